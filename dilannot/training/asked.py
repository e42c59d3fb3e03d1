"""What a search is asked to do, settled before its first trial, and recorded so that all its processes agree."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import dilannot
from dilannot.data.dataset import Dataset
from dilannot.data.splits import SPLITS
from dilannot.errors import DilannotError
from dilannot.models import build_without_memory, count_parameters, entry, full_arguments, resolve
from dilannot.models.arguments import parse_arguments
from dilannot.training.grids import GRIDS, SEARCHED, check_grid, published_grid, usual_space
from dilannot.training.network import Choice, choose, default_model
from dilannot.training.prepare import check_dataset, total_steps
from dilannot.training.proposals import FromGrid, FromOptuna, Proposer
from dilannot.training.recipes import recipe, resolve_settings
from dilannot.training.settings import Settings
from dilannot.training.space import Space, read_space
from dilannot.trials import FORMAT, FORMAT_VERSION, Search, Trial, best_of, written

_OPTIONS = ("epochs", "max_steps", "batch_size", "learning_rate", "patience", "seed")  # of train, called as settings
_DIGESTS = {
    "windows": "other windows of the dataset",
    "labels": "other labels of the dataset",
    "code": "other code of the network",
}
_WHERE_FROM = ("dilannot", "dataset")  # may change while the search stays the same


@dataclass(frozen=True, slots=True)
class Asked:
    """A search.

    Attributes
    ----------
    dataset, model, arguments, motifs
        As given; arguments as values.
    choice, settings
        The network and training where no trial changes them.
    space, proposer, prune
        What is varied, in which order, and whether trials are given up.
    markers, task, steps, windows
        Of the dataset: outputs, kind; steps that a trial that is not given up takes, the fewest and the most; how many
        training windows there are, and their nt.
    digests
        Of the dataset's windows and labels.
    """

    dataset: Path
    model: str | None
    arguments: dict[str, Any]
    motifs: Path | None
    choice: Choice
    settings: Settings
    space: Space
    proposer: Proposer
    prune: bool
    markers: int
    task: str
    steps: tuple[int, int]
    windows: tuple[int, int]
    digests: tuple[str, str]

    @property
    def count(self) -> int:
        """Trials that there will be."""
        return self.proposer.count

    @property
    def by(self) -> str:
        """Who chooses the values."""
        return self.proposer.by

    def __str__(self) -> str:
        """What the search would do."""
        windows, length = self.windows
        least, most = self.steps
        steps = _plural(most, "step") if least == most else f"{least:,} to {most:,} steps"
        some = f" (of {self.space.size:,} points)" if self.by == "grid" and self.count < self.space.size else ""
        return "\n".join(
            (
                f"{self.choice.model}, {self.space.name}: {_plural(self.count, 'trial')}{some}, {steps} each, over "
                f"{_plural(windows, 'window')} of {length:,} nt and {_plural(self.markers, 'marker')}, "
                f"recipe {self.settings.recipe}",
                *(f"  {axis}" for axis in self.space.axes),
            )
        )

    def record(self, output: Path) -> dict[str, Any]:
        """For `tune.json`."""
        code = entry(self.choice.model).code
        record = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "dilannot": dilannot.__version__,
            "dataset": os.path.relpath(os.path.realpath(self.dataset), os.path.realpath(output)),
            "windows": self.digests[0],
            "labels": self.digests[1],
            "model": self.choice.model,
            "code": code.sha256 if code else None,
            "motifs": self.choice.motif_record(),
            "arguments": self.choice.arguments,
            "settings": self.settings_of({}).as_dict(),
            "by": self.by,
            "prune": self.prune,
            "axes": self.space.record(),
        }
        return json.loads(json.dumps(record))  # type: ignore[no-any-return]

    def check_same(self, old: Mapping[str, Any], output: Path) -> None:
        """Refuse to mix trials of two searches in one folder.

        Raises
        ------
        DilannotError
            The first thing that differs.
        """
        before, now = _flat(old), _flat(self.record(output))
        for name in before | now:
            if name.split(".")[0] in _WHERE_FROM or before.get(name) == now.get(name):
                continue
            short = name.removeprefix("arguments.").removeprefix("settings.").removeprefix("axes.")
            problem = f"this search began with {short} = {_shown(before, name)}, not {_shown(now, name)}"
            if name in _DIGESTS:
                problem = f"this search began with {_DIGESTS[name]}"
            raise DilannotError(problem, where=output, remedy="use the same options, or another -o")

    def search(self, output: Path, trials: list[Trial]) -> Search:
        """The search so far."""
        best = best_of(trials)
        command = "" if best is None else self.command(best)
        return Search(output, self.choice.model, self.space.record(), trials, command)

    def parameters(self, trial: Trial) -> int:
        """Trainable ones of a trial's network.

        Raises
        ------
        DilannotError
            Its values make no network.
        """
        arguments = full_arguments(self.choice.model, self.choice.arguments | trial.arguments)
        return count_parameters(build_without_memory(self.choice.model, self.markers, **arguments))

    def reads(self, path: object) -> bool:
        """Whether this is a file that all trials read: with an error in it, the next trial would do no better."""
        code = entry(self.choice.model).code
        return str(path) in {str(self.dataset), str(self.motifs), str(code.path if code else None)} - {"None"}

    def settings_of(self, values: Mapping[str, Any]) -> Settings:
        """How a trial trains: what its optimiser and task decide follows from its values."""
        return self.settings.changed(values).for_task(self.task)

    def command(self, trial: Trial) -> str:
        """What trains with the values of a trial."""
        words = ["dilannot", "train", str(self.dataset), "--model", self.model or self.choice.model]
        words += ["--motifs", str(self.motifs)] if self.motifs else []
        for name, value in (self.arguments | trial.arguments).items():
            words += ["--set", f"{name}={written(value)}"]
        settings = self.settings_of(trial.settings).as_dict()
        usual = recipe(self.settings.recipe).for_task(self.task).as_dict()
        words += ["--recipe", self.settings.recipe] if self.settings.recipe != "modern" else []
        for name, value in settings.items():
            if value != usual[name] and name != "max_steps":  # trials are short, what comes of them need not be
                option = [f"--{name.replace('_', '-')}"] if name in _OPTIONS else ["--setting"]
                words += [*option, written(value) if name in _OPTIONS else f"{name}={written(value)}"]
        return shlex.join(words)


def ask(
    dataset: Path,
    *,
    model: str | None = None,
    arguments: dict[str, Any] | Sequence[str] = (),
    motifs: Path | None = None,
    grid: str | None = None,
    space: Path | None = None,
    trials: int | None = None,
    settings: Settings | None = None,
    fixed: Sequence[str] = (),
    prune: bool = True,
) -> Asked:
    """Settle a search: see `tune` for what is given.

    Raises
    ------
    DilannotError
        A bad dataset, grid or file, or nothing to search by.
    """
    if grid is None and trials is None:
        raise DilannotError("nothing says what is tried", remedy="give --grid, or --trials N for a search by Optuna")
    if grid is not None and space is not None:
        raise DilannotError("a grid is searched, or a space", where="--space", remedy="leave one of them out")
    with Dataset(dataset) as data:
        settings = settings or resolve_settings()
        model = model or (SEARCHED[data.task] if grid in GRIDS else default_model(data.task, settings))
        name = resolve(model)
        given = arguments if isinstance(arguments, dict) else parse_arguments(name, arguments)
        choice = choose(data, model, given, motifs)
        check_dataset(data, settings.for_task(data.task))
        if not data.positives[:, SPLITS.index("validation")].any():
            raise DilannotError(
                "no marker has positives in the validation split", where=dataset, remedy="trials could not be compared"
            )
        found = _space(grid, space, name, choice, settings).without({*given, *fixed})
        proposer = _proposer(grid, found, settings.seed, trials)
        return Asked(
            dataset=dataset,
            model=model,
            arguments=given,
            motifs=motifs,
            choice=choice,
            settings=settings,
            space=found,
            proposer=proposer,
            prune=prune,
            markers=len(data.markers),
            task=data.task,
            steps=_steps(data, settings, found),
            windows=(len(data.rows("train")), data.window),
            digests=(data.digest, data.labels_digest()),
        )


def _space(grid: str | None, file: Path | None, model: str, choice: Choice, settings: Settings) -> Space:
    if grid in GRIDS:
        return published_grid(grid, model, choice.arguments)
    if grid is not None:
        if not Path(grid).exists():
            check_grid(grid)
        return read_space(Path(grid), model, choice.arguments, settings, ranges=False)
    if file is not None:
        return read_space(file, model, choice.arguments, settings, ranges=True)
    return usual_space(choice.arguments)


def _proposer(grid: str | None, space: Space, seed: int, trials: int | None) -> Proposer:
    if grid is not None:
        return FromGrid(space, seed, trials)
    assert trials is not None
    return FromOptuna(space, seed, trials)


def _steps(data: Dataset, settings: Settings, space: Space) -> tuple[int, int]:
    """Of the shortest trial and of the longest."""
    axes = [axis for axis in space.axes if axis.setting and axis.name in ("epochs", "max_steps", "batch_size")]
    names = [axis.name for axis in axes]
    ends = [axis.choices if axis.range is None else (axis.range.low, axis.range.high) for axis in axes]
    found = [
        total_steps(data, settings.changed(dict(zip(names, values, strict=True))).for_task(data.task))
        for values in product(*ends)
    ]
    return min(found), max(found)


def _flat(record: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in record.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return found


def _shown(flat: Mapping[str, Any], name: str) -> str:
    return json.dumps(flat[name]) if name in flat else "nothing"


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
