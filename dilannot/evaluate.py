"""How well a run predicts a split: ROC AUC and PR AUC per marker, means per class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dilannot.data.batch import LabelIntervals
from dilannot.data.dataset import Dataset
from dilannot.data.markers import Marker, class_order
from dilannot.errors import DilannotError
from dilannot.metrics import ScoreHistograms, Scores
from dilannot.models import entry
from dilannot.outputs import check_new_file, write_json, write_text
from dilannot.predict import choose_device, predicting
from dilannot.progress import Progress, Silent
from dilannot.ranks import Ranks
from dilannot.run import Run, Which, check_same_markers, load_network, read_run

FORMAT_VERSION = 1
COLUMNS = ("marker", "class", "roc_auc", "pr_auc", "base_rate", "positives")

Loss = Callable[[Tensor, LabelIntervals, Tensor], Tensor]


def score_split(
    network: torch.nn.Module,
    dataset: Dataset,
    split: str,
    *,
    batch_size: int,
    device: torch.device,
    progress: Progress,
    inputs: Sequence[str] = ("sequence",),
    loss: Loss | None = None,
    ranks: Ranks | None = None,
    together: Callable[[], object] | None = None,
) -> tuple[ScoreHistograms, float]:
    """Predict every window of a split by itself (as in training: zero edges) and count its scores.

    Several processes predict a share each, and all get the whole result.

    Parameters
    ----------
    loss
        Summed over unmasked positions x markers.
    ranks, together
        The processes, and what all of them do after each whole batch.

    Returns
    -------
    histograms, loss
        The mean loss over unmasked positions x markers is NaN when no `loss` was given.
    """
    histograms = ScoreHistograms(len(dataset.markers))
    losses, positions, windows = 0.0, 0, len(dataset.rows(split))
    ranks = ranks or Ranks(0, 1, 0, device)
    shares = dataset.batches(split, batch_size * ranks.count, rank=ranks.rank, ranks=ranks.count)
    with predicting(network), progress.task(f"evaluating {split}", windows * dataset.length) as task:
        for step, batch in enumerate(shares, 1):
            batch = batch.to(device)
            logits = network(**batch.select(inputs))
            histograms.update(logits, batch.targets.flat_index(*logits.shape[1:]), batch.mask)
            if loss is not None:
                losses += float(loss(logits, batch.targets, batch.mask))
                positions += int(batch.mask.sum())
            task.advance(batch.inputs["sequence"].numel() * ranks.count)
            if together is not None and step * batch_size * ranks.count <= windows:
                together()
    ranks.sum_counts(histograms.all)
    ranks.sum_counts(histograms.positive)
    losses, counted = ranks.sum(losses, positions)
    return histograms, losses / max(counted * len(dataset.markers), 1) if loss else float("nan")


@dataclass(frozen=True, slots=True)
class ClassMean:
    """Means over the markers of a class that have positives; `markers` counts them."""

    markers: int
    roc_auc: float
    pr_auc: float
    base_rate: float


def class_means(scores: Scores, markers: list[Marker]) -> dict[str, ClassMean]:
    """Means per marker class; markers without positives are left out."""
    means = {}
    of_class = np.array([marker.marker_class for marker in markers])
    for name in class_order(of_class[scores.defined].tolist()):
        rows = np.flatnonzero((of_class == name) & scores.defined)
        values = (
            float(column[rows].mean()) if len(rows) else float("nan")
            for column in (scores.roc_auc, scores.pr_auc, scores.base_rate)
        )
        means[name] = ClassMean(len(rows), *values)
    return means


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of `evaluate` and the files it went to."""

    run: str
    dataset: str
    split: str
    weights: str
    epoch: int
    windows: int
    markers: list[Marker]
    scores: Scores
    table: Path
    record: Path

    @property
    def means(self) -> dict[str, ClassMean]:
        """Means per class."""
        return class_means(self.scores, self.markers)

    @property
    def undefined(self) -> list[str]:
        """Markers without positives in the split."""
        return [marker.name for marker, defined in zip(self.markers, self.scores.defined, strict=True) if not defined]

    def rows(self) -> list[tuple[str, str, float, float, float, int]]:
        """`COLUMNS` of every marker."""
        scores = self.scores
        columns = (scores.roc_auc, scores.pr_auc, scores.base_rate, scores.positives)
        return [
            (marker.name, marker.marker_class, *(column[i].item() for column in columns))
            for i, marker in enumerate(self.markers)
        ]

    def as_json(self) -> dict[str, Any]:
        """The whole result; undefined values are null."""
        return {
            "format": "dilannot-evaluation",
            "format_version": FORMAT_VERSION,
            "run": self.run,
            "dataset": self.dataset,
            "split": self.split,
            "weights": self.weights,
            "epoch": self.epoch,
            "windows": self.windows,
            "positions": self.scores.positions,
            "class_means": {
                name: {
                    "markers": mean.markers,
                    **_finite(roc_auc=mean.roc_auc, pr_auc=mean.pr_auc, base_rate=mean.base_rate),
                }
                for name, mean in self.means.items()
            },
            "without_positives": self.undefined,
            "markers": [_finite(**dict(zip(COLUMNS, row, strict=True))) for row in self.rows()],
        }


def _finite(**values: Any) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and np.isnan(value) else value for key, value in values.items()}


def evaluate(
    run: Path,
    dataset: Path | None = None,
    *,
    split: str = "test",
    weights: Which = "best",
    output: Path | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    force: bool = False,
    trust_code: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a run on a split of a dataset and write `OUTPUT.tsv` and `OUTPUT.json`.

    Parameters
    ----------
    run
        Run folder.
    dataset
        By default the one the run was trained on.
    split
        train, validation or test.
    weights
        Those of the best or the last epoch.
    output
        File name without extension; by default `RUN/evaluation-SPLIT`.
    batch_size
        Windows a step; without it as many as make 100,000 nt.
    device
        auto, cpu, cuda or cuda:N.
    force
        Overwrite the two files.
    trust_code
        See `load_network`.

    Raises
    ------
    DilannotError
        No run, no dataset, or a dataset of other markers.
    """
    progress = progress or Silent()
    record = read_run(run)
    files = _output_files(output or run / f"evaluation-{split}", force)
    where = choose_device(device)
    with Dataset(dataset or record.recorded_file("dataset", "evaluate")) as data:
        check_same_markers(record, data.markers, data.path)
        if not len(data.rows(split)):
            raise DilannotError(f"holds no {split} windows", where=data.path, remedy="choose another with --split")
        _check_windows(record, data, given=dataset is not None, progress=progress)
        loaded = load_network(record, weights, trust_code=trust_code)
        network = loaded.network.to(where)
        histograms, _ = score_split(
            network,
            data,
            split,
            batch_size=batch_size or max(1, 100_000 // data.length),
            device=where,
            progress=progress,
            inputs=entry(record.model).inputs,
        )
        result = Evaluation(
            str(run),
            str(data.path),
            split,
            weights,
            loaded.epoch,
            len(data.rows(split)),
            data.markers,
            histograms.scores(),
            *files,
        )
    rows = [COLUMNS, *((name, kind, *map(_cell, values)) for name, kind, *values in result.rows())]
    write_text(result.table, "".join("\t".join(row) + "\n" for row in rows))
    write_json(result.record, result.as_json())
    return result


def _output_files(stem: Path, force: bool) -> list[Path]:
    """The table and the record, `stem` with either extension; refused where they may not be written."""
    if stem.suffix in (".tsv", ".json"):
        stem = stem.with_suffix("")
    if not stem.name:
        raise DilannotError("is no file name", where=f"--output {stem}", remedy="give a name without extension")
    files = [stem.with_name(stem.name + suffix) for suffix in (".tsv", ".json")]
    for file in files:
        check_new_file(file, force=force)
    return files


def _check_windows(run: Run, data: Dataset, *, given: bool, progress: Progress) -> None:
    """Other windows or another split than in training: a test window may be one the network has learnt."""
    if data.digest == run.dataset_digest:
        return
    if data.task != run.output:
        raise DilannotError(
            f"is a {data.task} dataset, and {run.folder} learnt from a {run.output} one", where=data.path
        )
    if run.output == "window" and (data.window, data.length) != (run.window, run.length):
        raise DilannotError(
            f"has bins of {data.window:,} in {data.length:,} bp, and {run.folder} learnt from {run.window:,} in "
            f"{run.length:,}",
            where=data.path,
            remedy="build it with the same --bin and --context",
        )
    if not given:
        raise DilannotError(
            f"is not the dataset {run.folder} was trained on: its windows or splits differ",
            where=data.path,
            remedy="build it as before, or name it as DATASET if the change is meant",
        )
    progress.warn(
        f"{data.path} is not the dataset {run.folder} was trained on: its test windows may have been trained on"
    )


def _cell(value: float) -> str:
    return "NA" if np.isnan(value) else f"{value:.6g}" if isinstance(value, float) else str(value)
