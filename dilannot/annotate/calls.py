"""Calls: stretches whose probability reaches the marker's threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dilannot.annotate.compress import LEVELS

DEFAULT_THRESHOLD = 0.5  # for markers whose validation split held no positives to choose by
MERGE_GAP = 50  # nt
MIN_LENGTH = 50  # nt; single nucleotides flicker around a threshold, peaks are 150 nt and more


@dataclass(frozen=True, slots=True)
class CallRule:
    """What counts as a call.

    Attributes
    ----------
    threshold
        Lowest level of a called position.
    merge_gap
        Stretches this close or closer, nt, are one call.
    min_length
        Shorter calls are dropped, nt.
    """

    threshold: int
    merge_gap: int = MERGE_GAP
    min_length: int = MIN_LENGTH


def threshold_levels(thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Thresholds as levels of the tracks, rounded up, at least 1; `DEFAULT_THRESHOLD` for NaN."""
    filled = np.where(np.isnan(thresholds), DEFAULT_THRESHOLD, thresholds)
    return np.clip(np.ceil(filled * LEVELS - 1e-6), 1, LEVELS).astype(np.int64)


def call(
    start: NDArray[np.int64], end: NDArray[np.int64], level: NDArray[np.uint8], rule: CallRule
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Calls of one contig.

    Parameters
    ----------
    start, end, level
        (R,) runs, sorted.
    rule
        What counts.

    Returns
    -------
    start, end, highest
        Of each call: where it lies, 0-based half-open, and its highest level.
    """
    high = level >= rule.threshold
    start, end, level = start[high], end[high], level[high]
    if not len(start):
        return start, end, level
    first = np.append(True, start[1:] - end[:-1] > rule.merge_gap)
    at = np.flatnonzero(first)
    start, end, level = start[at], end[np.append(at[1:], len(end)) - 1], np.maximum.reduceat(level, at)
    long = end - start >= rule.min_length
    return start[long], end[long], level[long]
