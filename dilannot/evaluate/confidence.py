"""How sure figures are, and whether one run is better than another: intervals from resampled blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dilannot.data.markers import Marker, class_order
from dilannot.evaluation import Difference, Evaluation, Intervals, Range, rows_of_class
from dilannot.metrics.bootstrap import FIGURES, LEAST_BLOCKS, Figure, Resampled
from dilannot.metrics.scores import Floats, Scores

_PERCENTILES = (2.5, 97.5)


def intervals(
    resampled: Resampled,
    scores: Scores,
    markers: Sequence[Marker],
    *,
    blocks: int,
    block_length: int,
    replicates: int,
    seed: int,
) -> Intervals | None:
    """95 % intervals of every marker's figures, and of their means over classes.

    Each is the exact figure and the 2.5 and 97.5 percentiles of its deviations; NaN for markers whose positives lie in
    too few blocks. A mean deviates by the mean over those markers of the class that are defined in the replicate.

    Parameters
    ----------
    resampled
        Deviations, (replicates, T).
    scores, markers
        The exact figures, and what they are of.
    blocks, block_length, replicates, seed
        What was drawn from.

    Returns
    -------
    Intervals, or None
        None with fewer than `LEAST_BLOCKS` blocks.
    """
    if blocks < LEAST_BLOCKS:
        return None
    of_markers: dict[Figure, Floats] = {}
    of_classes: dict[str, dict[Figure, Range]] = {name: {} for name in _classes(markers, scores.defined)}
    for figure in FIGURES:
        values, deviations = _values(scores, figure), resampled.of(figure)
        around = np.array([_interval(*pair, 0) for pair in zip(values, deviations.T, strict=True)]).reshape(-1, 2)
        around[~resampled.sure(figure, values)] = np.nan
        of_markers[figure] = around
        for name, ranges in of_classes.items():
            rows = rows_of_class(scores, markers, name)
            low, high = _interval(float(values[rows].mean()), _means(deviations[:, rows]), 0)
            ranges[figure] = Range(low, high)
    return Intervals(blocks, block_length, replicates, seed, of_markers, of_classes)


def difference(
    one: Evaluation, other: Evaluation, one_resampled: Resampled | None, other_resampled: Resampled | None
) -> Difference:
    """How much better `one` is than `other`, both judged by the same positions and resampled with the same blocks.

    What two runs find hard alike cancels out, so that a difference is surer than either figure. A class counts the
    markers that are defined in both.

    Parameters
    ----------
    one, other
        Their markers are the same, in the same order.
    one_resampled, other_resampled
        Deviations, (replicates, T), of the same seed; None where there is too little to resample: intervals are NaN.
    """
    markers: dict[Figure, Floats] = {}
    defined = one.scores.defined & other.scores.defined
    classes: dict[str, dict[Figure, tuple[float, Range, float]]] = {name: {} for name in _classes(one.markers, defined)}
    for figure in FIGURES:
        values = _values(one.scores, figure) - _values(other.scores, figure)
        deviations = np.full((1, len(values)), np.nan)
        if one_resampled is not None and other_resampled is not None:
            deviations = one_resampled.of(figure) - other_resampled.of(figure)
        rows_of = [(value, *_interval(value, column, -1)) for value, column in zip(values, deviations.T, strict=True)]
        around = np.array(rows_of).reshape(-1, 3)
        for drawn_of, judged in ((one_resampled, one), (other_resampled, other)):
            if drawn_of is not None:
                around[~drawn_of.sure(figure, _values(judged.scores, figure)), 1:] = np.nan
        markers[figure] = around
        for name, found in classes.items():
            rows = rows_of_class(one.scores, one.markers, name)
            rows = rows[defined[rows]]
            value, drawn = float(values[rows].mean()), _means(deviations[:, rows])
            known = drawn[np.isfinite(drawn)]
            share = float((value + known > 0).mean()) if len(known) else float("nan")
            found[figure] = value, Range(*_interval(value, drawn, -1)), share
    return Difference(other, markers, classes)


def _values(scores: Scores, figure: Figure) -> Floats:
    values: Floats = getattr(scores, figure)
    return values


def _classes(markers: Sequence[Marker], defined: NDArray[np.bool_]) -> list[str]:
    return class_order(marker.marker_class for marker, known in zip(markers, defined, strict=True) if known)


def _means(deviations: Floats) -> Floats:
    """(replicates,) over the markers that are defined in each; NaN where none is."""
    known = np.isfinite(deviations)
    count = known.sum(axis=1)
    total: Floats = np.where(known, deviations, 0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _interval(value: float, deviations: Floats, least: float) -> tuple[float, float]:
    """The figure and most of its deviations, within [`least`, 1]; NaN where either is not known."""
    known = deviations[np.isfinite(deviations)]
    if not len(known) or not np.isfinite(value):
        return float("nan"), float("nan")
    low, high = np.clip(value + np.percentile(known, _PERCENTILES), least, 1)
    return float(low), float(high)
