"""What the epochs of a run have left: losses, PR AUC per class, learning rate, speed; and whether runs compare."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError
from dilannot.run import METRICS, TIMING, Run

_CLASS = "pr_auc_"  # columns of METRICS begin with it, and end with the class
_NAMED = 3  # runs in one warning

Curve = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class History:
    """The finished epochs of a run; every array has one value an epoch, NaN where there is none.

    Attributes
    ----------
    epochs
        Their numbers.
    learning_rate, train_loss, validation_loss
        Losses are nats per position and marker.
    pr_auc
        Class -> mean PR AUC of its markers on the validation split.
    by_loss
        Whether the lowest validation loss made the best epoch, not the highest mean PR AUC.
    """

    epochs: NDArray[np.int64]
    learning_rate: Curve
    train_loss: Curve
    validation_loss: Curve
    pr_auc: dict[str, Curve]
    by_loss: bool

    @property
    def mean_pr_auc(self) -> Curve:
        """The mean over the classes that have a PR AUC."""
        values = np.array(list(self.pr_auc.values())).reshape(len(self.pr_auc), len(self.epochs))
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            mean: Curve = np.where(known, values, 0).sum(axis=0) / known.sum(axis=0)
        return mean

    @property
    def best(self) -> int:
        """Index of the best epoch, whose weights a run keeps; the earliest of equals."""
        loss, mean = -self.validation_loss, self.mean_pr_auc
        # Without any positive to rank, the loss decides.
        goodness = loss if self.by_loss else np.where(np.isnan(mean), loss, mean)
        return int(np.argmax(np.nan_to_num(goodness, nan=-np.inf)))

    @property
    def best_epoch(self) -> int:
        """Its number."""
        return int(self.epochs[self.best])


def read_history(run: Run) -> History:
    """Read the metrics of the epochs that a run has finished; it may still be training.

    Raises
    ------
    DilannotError
        No epoch is finished, or the file is damaged.
    """
    path = run.folder / METRICS
    rows = read_rows(path)
    if not rows:
        raise DilannotError(
            "has not finished an epoch", where=run.folder, remedy="wait for its first one, or train it again"
        )
    classes = [name.removeprefix(_CLASS) for name in rows[0] if name.startswith(_CLASS)]
    return History(
        epochs=np.array(_column(rows, "epoch", path, int), np.int64),
        learning_rate=_curve(rows, "learning_rate", path),
        train_loss=_curve(rows, "train_loss", path),
        validation_loss=_curve(rows, "validation_loss", path),
        pr_auc={name: _curve(rows, _CLASS + name, path) for name in classes},
        by_loss=run.settings.get("watch") == "loss",
    )


def median_speed(run: Run) -> float:
    """Nucleotides a second in training, the median over epochs; NaN where it was not recorded.

    Raises
    ------
    DilannotError
        The file is damaged.
    """
    path = run.folder / TIMING
    rows = read_rows(path)
    known = [value for value in _curve(rows, "nt_per_s", path).tolist() if np.isfinite(value)]
    return median(known) if known else float("nan")


def differences(runs: Sequence[Run]) -> list[str]:
    """Why figures of these runs are not comparable, a sentence for each reason."""

    def markers(run: Run) -> list[tuple[str, str]]:
        return [(marker.name, marker.marker_class) for marker in run.markers]

    first = runs[0]
    windows = [run for run in runs if run.dataset_digest != first.dataset_digest]
    columns = [run for run in runs if markers(run) != markers(first)]
    reasons = ((windows, "learnt from other windows or splits than"), (columns, "learnt other markers than"))
    return [f"{_names(runs)} {said} {first.folder}: figures are not comparable" for runs, said in reasons if runs]


def _names(runs: Sequence[Run]) -> str:
    more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
    return ", ".join(str(run.folder) for run in runs[:_NAMED]) + more


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of `metrics.csv` or `timing.log`, none where the file is not there yet.

    Raises
    ------
    DilannotError
        It is damaged, or cut short.
    """
    if not path.is_file():
        return []
    try:
        text = path.read_bytes().decode()
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (ValueError, csv.Error) as error:
        raise DilannotError(f"is no table of figures: {error}", where=path, remedy="train it again") from None
    for line, row in enumerate(rows, 2):
        # What a long row has too much stands under None, what a short one lacks is None.
        if None in row or None in row.values():
            raise DilannotError("has not one figure for every column", where=path, line=line, remedy="train it again")
    if text and not text.endswith("\n"):
        raise DilannotError("is cut short: its last line does not end", where=path, remedy="train it again")
    return rows


def _curve(rows: Sequence[dict[str, str]], column: str, path: Path) -> Curve:
    return np.array(_column(rows, column, path, float))


def _column(
    rows: Sequence[dict[str, str]], column: str, path: Path, number: type[int] | type[float]
) -> Sequence[float]:
    try:
        return [number(row[column]) for row in rows]
    except (KeyError, TypeError, ValueError):  # a short row holds None
        raise DilannotError(
            f"is damaged: it has no column of figures called {column}", where=path, remedy="train it again"
        ) from None
