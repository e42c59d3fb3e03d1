"""How good a trial of a search is, and when it is given up: behind the median of the others at the same epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any

from dilannot.errors import DilannotError
from dilannot.history import History, read_history
from dilannot.run import read_run
from dilannot.training.settings import Settings
from dilannot.trials import Trial

LEAST = 4  # others that must have come as far
GRACE = 0.2  # of the training in which nobody is given up: the learning rate has hardly warmed up


def history_of(run: Path) -> History | None:
    """What a run folder has of it; None before the first epoch has ended."""
    try:
        return read_history(read_run(run))
    except DilannotError:
        return None


def with_figures(trial: Trial, history: History) -> Trial:
    """The trial, and what came of it."""
    at = history.best
    return replace(
        trial,
        epochs=len(history.epochs),
        best_epoch=history.best_epoch,
        value=_known(history.mean_pr_auc[at]),
        pr_auc={name: _known(values[at]) for name, values in history.pr_auc.items()},
        validation_loss=_known(history.validation_loss[at]),
    )


def value_after(history: History, epochs: int) -> float | None:
    """The value that a training of so many epochs would have had; None where it was shorter."""
    if len(history.epochs) < epochs:
        return None
    first = replace(
        history,
        epochs=history.epochs[:epochs],
        validation_loss=history.validation_loss[:epochs],
        pr_auc={name: values[:epochs] for name, values in history.pr_auc.items()},
    )
    return _known(first.mean_pr_auc[first.best])


def may_be_pruned(row: Mapping[str, Any], settings: Settings) -> bool:
    """Whether a training that has come to this row of its metrics is neither too young for it nor done."""
    done = float(row["epoch"]) / settings.epochs
    if settings.max_steps:
        done = max(done, float(row["step"]) / settings.max_steps)
    return GRACE < done < 1


def too_far_behind(own: float | None, others: Sequence[float | None]) -> bool:
    """Whether a value is below the median of the others that there are, and there are enough."""
    values = [other for other in others if other is not None]
    return own is not None and len(values) >= LEAST and own < median(values)


def _known(value: float) -> float | None:
    return float(value) if isfinite(value) else None
