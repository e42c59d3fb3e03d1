"""Which network is trained: its name, arguments and motifs, made to fit a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dilannot.data.dataset import Dataset
from dilannot.data.splits import SPLITS, TRAIN
from dilannot.errors import DilannotError
from dilannot.formats.motifs import Motif, read_motifs
from dilannot.models import build, entry, full_arguments, parameters_of, resolve
from dilannot.models.arguments import parse_arguments
from dilannot.models.motifs import arguments_for, start_from_motifs
from dilannot.models.registry import check_arguments
from dilannot.predict import predicting
from dilannot.progress import Progress
from dilannot.training.initial import start_as_published
from dilannot.training.settings import Initial, Settings

DEFAULT_MODELS = {"dense": "hybrid", "window": "deepsea"}


def default_model(task: str, settings: Settings) -> str:
    """The network where none is named: a published one where weights are to start as those of the sources did."""
    return "dilated" if task == "dense" and settings.initial == "published" else DEFAULT_MODELS[task]


@dataclass(frozen=True, slots=True)
class Choice:
    """A network for a dataset.

    Attributes
    ----------
    model, arguments
        Registered name, and all constructor arguments.
    motifs, motif_file
        What its filters start from, and where that came from; none and None without.
    """

    model: str
    arguments: dict[str, Any]
    motifs: list[Motif]
    motif_file: Path | None

    def motif_record(self) -> dict[str, Any] | None:
        """For the run: where the motifs came from."""
        if self.motif_file is None:
            return None
        digest = hashlib.sha256(self.motif_file.read_bytes()).hexdigest()
        return {"file": self.motif_file.name, "sha256": digest, "count": len(self.motifs)}

    def build(self, data: Dataset, progress: Progress, initial: Initial = "base-rates") -> torch.nn.Module:
        """The network with its start weights: see `Settings.initial`.

        Raises
        ------
        DilannotError
            Its output has another shape than the labels.
        """
        network = build(self.model, len(data.markers), **self.arguments)
        if initial == "published":
            start_as_published(network)
        if self.motifs:
            used = start_from_motifs(network, self.motifs)
            progress.say(f"{used} of {len(self.motifs)} motifs start a filter each")
        self._check_output(network, data)
        start = getattr(network, "start_from", None)
        if start is not None and initial == "base-rates":
            labelled = len(data.rows(SPLITS[TRAIN])) * data.positions
            start(torch.from_numpy(data.positives[:, TRAIN] / labelled).float())
        return network

    def _check_output(self, network: torch.nn.Module, data: Dataset) -> None:
        """Run one window: a shorter or turned output would train as if nothing were wrong, and shift all tracks."""
        chosen = entry(self.model)
        batch = data.batch(data.rows(SPLITS[TRAIN])[:1])
        with predicting(network):
            output = network(**batch.select(chosen.inputs))
        wanted, given = (1, len(data.markers), data.positions), tuple(getattr(output, "shape", ()))
        if given != wanted:
            raise DilannotError(
                f"model {self.model!r} gives {given} for a window, not (N, markers, positions) = {wanted}",
                where=chosen.code.path if chosen.code else None,
                remedy="see docs/how-to/models.md for what forward gives",
            )


def choose(
    data: Dataset,
    model: str,
    arguments: dict[str, Any] | Sequence[str] = (),
    motif_file: Path | None = None,
) -> Choice:
    """Decide what to train on a dataset.

    Parameters
    ----------
    data
        The dataset.
    model
        Registered name or FILE.py:CLASS.
    arguments
        Constructor arguments where they are not the defaults, or NAME=VALUE texts.
    motif_file
        JASPAR or MEME file that the first filters start from.

    Raises
    ------
    DilannotError
        No such network or argument, one for other data, or motifs that are missing or of no use.
    """
    model = resolve(model)
    chosen = entry(model)
    if data.task != chosen.output:
        raise DilannotError(
            f"is a {data.task} dataset, and model {model!r} learns from {chosen.output} ones",
            where=data.path,
            remedy=f"dilannot models --task {data.task} lists those for it",
        )
    missing = [name for name in chosen.inputs if name not in data.inputs]
    if missing:
        raise DilannotError(f"has no {missing[0]!r}, which model {model!r} takes as an input", where=data.path)
    if chosen.needs_motifs and motif_file is None:
        raise DilannotError(f"model {model!r} starts from known motifs", where="--model", remedy="give --motifs FILE")
    if not isinstance(arguments, dict):
        arguments = parse_arguments(model, arguments)
    check_arguments(model, arguments)
    motifs = [] if motif_file is None else read_motifs(motif_file)
    fitted = {"length": data.length} if "length" in parameters_of(model) else {}
    fitted |= arguments_for(model, motifs) if motifs else {}
    for name, value in fitted.items():
        if arguments.get(name, value) != value:
            raise DilannotError(
                f"{name}={arguments[name]} does not fit: it is {value} here", where="--set", remedy="leave it out"
            )
    return Choice(model, full_arguments(model, fitted | arguments), motifs, motif_file)
