"""A run: a trained network as a folder that rebuilds itself.

run.json            what it is: network name and arguments, window, genome, dataset
markers.tsv         its output columns
settings.toml       how it was trained
metrics.csv         one row per epoch
timing.log          how long each took
best.safetensors    weights of the best epoch on the validation split, with thresholds for calls
last.safetensors    weights of the last epoch
network.py          a copy of the file of the user's own that the network came from, where it is not dilannot's
training.png        what dilannot plot drew
tensorboard/        what train --tensorboard wrote
.checkpoint.safetensors    where a training that has not ended goes on
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tomli_w
from numpy.typing import NDArray

import dilannot
from dilannot.data.markers import FIELDS, Marker, check_markers
from dilannot.errors import DilannotError
from dilannot.outputs import write_json, write_text
from dilannot.tensors import Layout, check_layout, read_tensors, write_tensors
from dilannot.trust import run_kept_code

if TYPE_CHECKING:
    import torch

FORMAT = "dilannot-run"
FORMAT_VERSION = 4
_READABLE = (3, 4)  # weights of version 3 have one threshold a marker, break-even
RECORD, MARKERS, SETTINGS, METRICS = "run.json", "markers.tsv", "settings.toml", "metrics.csv"
TIMING, STATE = "timing.log", ".checkpoint.safetensors"
WEIGHTS = {"best": "best.safetensors", "last": "last.safetensors"}
CODE = "network.py"
PICTURE, BOARD = "training.png", "tensorboard"  # on demand
_FIELDS: dict[str, tuple[type, ...]] = {
    "model": (str,),
    "output": (str,),
    "arguments": (dict,),
    "code": (dict, NoneType),
    "window": (int,),
    "length": (int,),
    "motifs": (dict, NoneType),
    "genome": (str,),
    "dataset": (str,),
    "dataset_digest": (str,),
    "contigs": (list,),
}
EVALUATION = "evaluation-"  # begins the names of the tables and records that `evaluate` leaves here
FILES = (RECORD, MARKERS, SETTINGS, METRICS, TIMING, STATE, *WEIGHTS.values(), CODE, PICTURE)

Which = Literal["best", "last"]
Thresholds = Mapping[str, NDArray[np.float64]]  # rule -> (T,) probabilities


@dataclass(frozen=True, slots=True)
class Run:
    """What a run folder says of itself.

    Attributes
    ----------
    folder
        Where it lies.
    model, output, arguments
        Name of the network, whether it is dense or for windows, and its constructor arguments.
    markers
        Its output columns.
    window, length
        Labelled bases of a window (of a bin, in a network for windows), and those of its sequence, nt.
    genome, dataset
        Paths as recorded: relative ones start at the folder. `genome` is empty, and `contigs` too, where the dataset
        was imported.
    dataset_digest
        Of the windows it was trained on: `Dataset.digest`.
    contigs
        Of the genome: name, length, md5.
    settings
        Of the training.
    code
        `file` (its name) and `sha256` of the user's own file the network came from; None for one of dilannot's.
    motifs
        `file`, `sha256` and `count` of the motifs its filters started from; None without.
    """

    folder: Path
    model: str
    output: str
    arguments: dict[str, Any]
    markers: list[Marker]
    window: int
    length: int
    genome: str
    dataset: str
    dataset_digest: str
    contigs: list[dict[str, Any]]
    settings: dict[str, Any]
    code: dict[str, str] | None = None
    motifs: dict[str, Any] | None = None

    def path_of(self, recorded: str) -> Path:
        """A recorded path, seen from here."""
        return Path(
            os.path.relpath(os.path.realpath(self.folder) + os.sep + recorded)
            if not os.path.isabs(recorded)
            else recorded
        )

    def recorded_file(self, kind: Literal["genome", "dataset"], command: str) -> Path:
        """The genome or dataset this run was trained on.

        Raises
        ------
        DilannotError
            There was none, or it is not there any more; `command` takes another one.
        """
        flag = "--genome FASTA" if (command, kind) == ("evaluate", "genome") else kind.upper()
        remedy = f"name it: dilannot {command} {self.folder} {flag}"
        if kind == "genome" and not self.genome:
            raise DilannotError(
                "no genome is recorded: this run was trained on an imported dataset", where=self.folder, remedy=remedy
            )
        path = self.path_of(self.genome if kind == "genome" else self.dataset)
        if not path.exists():
            raise DilannotError(
                f"the {kind} this run was trained on is not at {path} any more",
                where=self.folder,
                remedy=remedy,
            )
        return path

    def save(self) -> None:
        """Write everything but weights, metrics and code."""
        rows = [FIELDS, *(marker.row() for marker in self.markers)]
        write_text(self.folder / MARKERS, "".join("\t".join(row) + "\n" for row in rows))
        write_text(self.folder / SETTINGS, tomli_w.dumps(self.settings))
        write_json(self.folder / RECORD, self.record())

    def record(self) -> dict[str, Any]:
        """What stands in `run.json`."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "dilannot": dilannot.__version__,
            "model": self.model,
            "output": self.output,
            "arguments": self.arguments,
            "code": self.code,
            "window": self.window,
            "length": self.length,
            "motifs": self.motifs,
            "dataset": self.dataset,
            "dataset_digest": self.dataset_digest,
            "genome": self.genome,
            "contigs": self.contigs,
        }


def evaluations(folder: Path) -> list[str]:
    """Names of the files that `evaluate` left in a run folder, or in what is to become one."""
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted(name for name in names if name.startswith(EVALUATION) and name.endswith((".tsv", ".json")))


def read_run(folder: Path) -> Run:
    """Read a run folder's record, markers and settings.

    Raises
    ------
    DilannotError
        It is no run folder, or one from a newer dilannot.
    """
    if not folder.exists():
        raise DilannotError("run folder not found", where=folder, remedy="train one with dilannot train")
    if not folder.is_dir():
        raise DilannotError("is a file, not a run folder", where=folder, remedy="give the folder dilannot train made")
    for name in (RECORD, SETTINGS, MARKERS):
        if not (folder / name).is_file():
            raise DilannotError(f"is not a dilannot run: it holds no {name}", where=folder)
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        settings = tomllib.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        rows = [line.split("\t") for line in (folder / MARKERS).read_text(encoding="utf-8").split("\n") if line]
    except (ValueError, RecursionError) as error:
        raise DilannotError(f"is damaged: {error}", where=folder, remedy="train it again") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise DilannotError("is not a dilannot run", where=folder / RECORD)
    if record.get("format_version") not in _READABLE:
        raise DilannotError(
            f"has format version {record.get('format_version')}; this dilannot reads version {FORMAT_VERSION}",
            where=folder / RECORD,
            remedy="use the matching dilannot",
        )
    try:
        fields = {key: record[key] for key in _FIELDS}
    except KeyError as error:
        raise DilannotError(f"has no field {error}", where=folder / RECORD, remedy="train it again") from None
    for key, kinds in _FIELDS.items():
        if not isinstance(fields[key], kinds):
            raise DilannotError(f"its {key} is {fields[key]!r}", where=folder / RECORD, remedy="train it again")
    return Run(folder=folder, markers=_markers(rows, folder), settings=settings, **fields)


def _markers(rows: list[list[str]], folder: Path) -> list[Marker]:
    where = folder / MARKERS
    if not rows or tuple(rows[0]) != FIELDS or any(len(row) != len(FIELDS) for row in rows):
        raise DilannotError(f"is not a marker table with columns {', '.join(FIELDS)}", where=where)
    markers = [Marker(*row) for row in rows[1:]]
    check_markers(markers, where)
    return markers


def save_weights(
    run: Run, which: Which, weights: Mapping[str, torch.Tensor], *, epoch: int, thresholds: Thresholds
) -> None:
    """Write a network's tensors, with all that is known of the run and the markers' thresholds in the header."""
    record = {
        "epoch": epoch,
        # NaN (no positives to choose by) is no JSON.
        "thresholds": {
            rule: [None if np.isnan(value) else float(f"{value:.6g}") for value in values]
            for rule, values in thresholds.items()
        },
        "markers": [marker.name for marker in run.markers],
        "run": run.record(),
        "settings": run.settings,
    }
    write_tensors(run.folder / WEIGHTS[which], weights, record)


@dataclass(frozen=True, slots=True)
class Weights:
    """A network with its trained weights, their digest, epoch, and the markers' thresholds for calls.

    `thresholds` are probabilities by rule: see `metrics.thresholds`. NaN where the validation split held no positives,
    or no threshold did what the rule asks.
    """

    network: torch.nn.Module
    sha256: str
    epoch: int
    thresholds: dict[str, NDArray[np.float64]]


def load_network(run: Run, which: Which = "best", *, trust_code: bool = False) -> Weights:
    """Rebuild the network and load its weights, strictly.

    Shapes and types are compared before a byte of weights is read; the digest after.

    Parameters
    ----------
    run, which
        The run, and which of its weights.
    trust_code
        Whether `network.py` in the run folder may be run though this user did not train with it.

    Raises
    ------
    DilannotError
        No weights yet, a damaged file, weights that are not this network's, or code that is not trusted.
    """
    path = run.folder / WEIGHTS[which]
    if not os.path.lexists(path):
        others = [name for name, file in WEIGHTS.items() if (run.folder / file).is_file()]
        raise DilannotError(
            "weights not found" if others else "weights not found: this run did not finish an epoch",
            where=path,
            remedy=f"use --weights {others[0]}" if others else "train it again, or go on with train --resume",
        )
    network = empty_network(run, trust_code=trust_code)
    wanted = network.state_dict()

    def check(record: dict[str, Any], found: Layout) -> None:
        if record.get("markers") != [marker.name for marker in run.markers]:
            raise DilannotError(f"weights of another run: its markers are not those of {MARKERS}", where=path)
        check_layout(wanted, found, path)

    tensors, record, digest = read_tensors(path, check)
    try:
        thresholds = {
            str(rule): np.array([np.nan if value is None else float(value) for value in values], np.float64)
            for rule, values in _by_rule(record["thresholds"]).items()
        }
        epoch = int(record["epoch"])
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError):
        raise DilannotError("is not a dilannot weights file: its header is another", where=path) from None
    for rule, values in thresholds.items():
        if len(values) != len(run.markers):
            raise DilannotError(f"holds {len(values)} {rule} thresholds for {len(run.markers)} markers", where=path)
    network.load_state_dict(tensors, strict=True, assign=True)
    return Weights(network, digest, epoch, thresholds)


def _by_rule(thresholds: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"break-even": thresholds} if isinstance(thresholds, list) else thresholds
    return found


def empty_network(run: Run, *, trust_code: bool = False) -> torch.nn.Module:
    """The run's network without memory for its weights.

    Raises
    ------
    DilannotError
        No such network, or code that is not trusted.
    """
    from dilannot.models import build_without_memory

    if run.code is not None:
        run_kept_code(run.folder / CODE, run.code["sha256"], trust_code=trust_code)
    try:
        return build_without_memory(run.model, len(run.markers), **run.arguments)
    except (DilannotError, TypeError, RuntimeError, OverflowError) as error:
        problem = error.problem if isinstance(error, DilannotError) else str(error).splitlines()[0]
        raise DilannotError(
            f"describes no network: {problem}", where=run.folder / RECORD, remedy="use another copy, or train it again"
        ) from error


def check_same_markers(run: Run, others: Sequence[Marker], where: Path) -> None:
    """Refuse a dataset whose columns are not the run's, in its order."""
    ours, theirs = [marker.name for marker in run.markers], [marker.name for marker in others]
    if ours != theirs:
        differ = next((pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]), None)
        detail = f"{differ[1]!r} where the run has {differ[0]!r}" if differ else f"{len(theirs)} against {len(ours)}"
        raise DilannotError(
            f"its markers are not those of {run.folder} ({detail})",
            where=where,
            remedy="use the dataset it was trained on",
        )
