"""Calls: stretches whose probability reaches the marker's threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dilannot.annotate.compress import LEVELS

DEFAULT_THRESHOLD = 0.5  # for markers whose validation split held no positives to choose by


def threshold_levels(thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Thresholds as the levels the tracks are written in, at least 1; `DEFAULT_THRESHOLD` for NaN."""
    filled = np.where(np.isnan(thresholds), DEFAULT_THRESHOLD, thresholds)
    return np.clip(np.round(filled * LEVELS), 1, LEVELS).astype(np.int64)


def call(
    start: NDArray[np.int64], end: NDArray[np.int64], level: NDArray[np.uint8], threshold: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Join touching runs at or above a threshold.

    Parameters
    ----------
    start, end, level
        (R,) runs of one contig, sorted.
    threshold
        Lowest level of a call.

    Returns
    -------
    start, end, highest
        Of each call: where it lies, 0-based half-open, and its highest level.
    """
    high = level >= threshold
    start, end, level = start[high], end[high], level[high]
    if not len(start):
        return start, end, level
    first = np.append(True, start[1:] != end[:-1])
    at = np.flatnonzero(first)
    return start[at], end[np.append(at[1:], len(end)) - 1], np.maximum.reduceat(level, at)
