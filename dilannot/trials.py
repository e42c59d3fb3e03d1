"""A search as a folder: what is searched, a record a trial, and a table of them; `dilannot tune` writes it.

tune.json           what is searched: dataset, network, settings, and the axes of the search
trials/0001.json    a trial: its values, whether it runs or how it ended, and what came of it
trials/0001/        its run folder
trials.tsv          a row a trial
tune.png            a picture of it
best/               a copy of the best trial's run folder
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dilannot.data.markers import class_order
from dilannot.errors import DilannotError
from dilannot.outputs import write_json

FORMAT = "dilannot-search"
FORMAT_VERSION = 1
TUNE_VERSION = 1  # of `Search.as_json`
RECORD, TRIALS, TABLE, PICTURE, BEST, TRIAL = "tune.json", "trials", "trials.tsv", "tune.png", "best", "trial.json"
STUDY = "optuna.log"
FILES = (RECORD, TRIALS, TABLE, PICTURE, BEST, STUDY)

State = Literal["running", "finished", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a search.

    Attributes
    ----------
    number
        From 1.
    values
        What was tried: axis -> value.
    arguments, settings
        Of network and training, as far as the search decides them.
    state
        A trial that still runs, or whose process died, is running.
    epochs, best_epoch
        Those done, and the one whose weights are kept.
    value
        Mean over classes of the validation PR AUC, in the best epoch; None before the first one.
    pr_auc, validation_loss
        In the best epoch: class -> PR AUC (None without positives); nats per position and marker.
    parameters
        Trainable ones of the network.
    problem
        Why it failed.
    """

    number: int
    values: dict[str, Any]
    arguments: dict[str, Any]
    settings: dict[str, Any]
    state: State = "running"
    epochs: int = 0
    best_epoch: int = 0
    value: float | None = None
    pr_auc: dict[str, float | None] = field(default_factory=dict)
    validation_loss: float | None = None
    parameters: int | None = None
    problem: str = ""

    def folder(self, search: Path) -> Path:
        """Its run folder."""
        return search / TRIALS / f"{self.number:04d}"

    def save(self, search: Path) -> None:
        """Write its JSON file."""
        write_json(record_of(search, self.number), asdict(self))


@dataclass(frozen=True, slots=True)
class Search:
    """A search and its trials, by number.

    Attributes
    ----------
    folder, model
        Where it lies, and the network.
    axes
        What is varied: axis -> `choices`, or `low`, `high` and `log`.
    trials
        Those begun.
    command
        Trains again with the values of the best trial; empty while none has ended.
    """

    folder: Path
    model: str
    axes: dict[str, dict[str, Any]]
    trials: list[Trial]
    command: str = ""

    @property
    def best(self) -> Trial | None:
        """The trial of the highest value, the first of equals; None while none has one."""
        return best_of(self.trials)

    @property
    def ended(self) -> list[Trial]:
        """The trials that do not run any more."""
        return [trial for trial in self.trials if trial.state != "running"]

    @property
    def classes(self) -> list[str]:
        """The classes that trials have a PR AUC of."""
        return class_order(name for trial in self.trials for name in trial.pr_auc)

    def ranked(self) -> list[Trial]:
        """The trials that have come to an end and a value, best first."""
        return sorted(_valued(self.trials), key=_order)

    def columns(self) -> list[str]:
        """Of `rows`."""
        classes = [f"pr_auc_{name}" for name in self.classes]
        figures = ["epochs", "best_epoch", "pr_auc", *classes, "validation_loss", "parameters", "problem"]
        return ["trial", "state", *self.axes, *figures]

    def rows(self, trials: Sequence[Trial] | None = None, *, digits: int = 6) -> list[list[str]]:
        """Trials as a table: all of them, or those given; NA is what is not known."""
        return [
            [
                f"{trial.number}",
                trial.state,
                *(written(trial.values.get(axis)) for axis in self.axes),
                f"{trial.epochs}",
                f"{trial.best_epoch}" if trial.best_epoch else "NA",
                _figure(trial.value, digits),
                *(_figure(trial.pr_auc.get(name), digits) for name in self.classes),
                _figure(trial.validation_loss, digits),
                "NA" if trial.parameters is None else f"{trial.parameters}",
                trial.problem,
            ]
            for trial in (self.trials if trials is None else trials)
        ]

    def as_json(self) -> dict[str, Any]:
        """All of it; what is not known is null."""
        return {
            "tune_version": TUNE_VERSION,
            "folder": str(self.folder),
            "model": self.model,
            "axes": self.axes,
            "best": None if self.best is None else self.best.number,
            "command": self.command,
            "trials": [asdict(trial) for trial in self.trials],
        }


def record_of(search: Path, number: int) -> Path:
    """A trial's JSON file, beside the run folder: that holds nothing but the run."""
    return search / TRIALS / f"{number:04d}.json"


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The ended trial of the highest value, the first of equals."""
    return min(_valued(trials), key=_order, default=None)


def _valued(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.value is not None and trial.state in ("finished", "pruned")]


def _order(trial: Trial) -> tuple[float, int]:
    return -(trial.value or 0.0), trial.number


def read_record(folder: Path) -> dict[str, Any] | None:
    """What a folder searches; None where no search has begun.

    Raises
    ------
    DilannotError
        A damaged record, or one of another version.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    record = _read(path)
    if record.get("format") != FORMAT:
        raise DilannotError("is not the record of a search", where=path, remedy="give another output with -o")
    if record.get("format_version") != FORMAT_VERSION:
        raise DilannotError(
            f"has format version {record.get('format_version')}; this dilannot reads version {FORMAT_VERSION}",
            where=path,
            remedy="use the matching dilannot",
        )
    return record


def read_trials(folder: Path) -> list[Trial]:
    """The trials begun so far, by number.

    Raises
    ------
    DilannotError
        A damaged record.
    """
    paths = sorted((int(path.stem), path) for path in (folder / TRIALS).glob("*.json") if path.stem.isdigit())
    return [read_trial(path) for _, path in paths]


def read_trial(path: Path) -> Trial:
    """One trial.

    Raises
    ------
    DilannotError
        A damaged record.
    """
    try:
        return Trial(**_read(path))
    except TypeError as error:
        raise _damaged(path, error) from None


def written(value: Any) -> str:
    """A value as tables and command lines have it: 0.001, 64,120,50, relu."""
    if isinstance(value, str):
        return value
    text = json.dumps(value, separators=(",", ":"))
    flat = isinstance(value, list) and len(value) > 1 and not any(isinstance(part, list | str) for part in value)
    return text[1:-1] if flat else text


def _figure(value: float | None, digits: int) -> str:
    return "NA" if value is None else f"{value:.{digits}g}"


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path, error) from None
    if not isinstance(record, dict):
        raise _damaged(path, "no JSON object")
    return record


def _damaged(path: Path, why: object) -> DilannotError:
    remedy = "remove it, and the trial is made again" if path.parent.name == TRIALS else "give another output with -o"
    return DilannotError(f"is damaged: {why}", where=path, remedy=remedy)
