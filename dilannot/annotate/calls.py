"""Calls: stretches whose probability reaches the marker's threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dilannot.annotate.compress import CALLED

DEFAULT_THRESHOLD = 0.5  # for markers whose validation split held no positives to choose by
MERGE_GAP = 50  # nt
MIN_LENGTH = 50  # nt; single nucleotides flicker around a threshold, peaks are 150 nt and more


@dataclass(frozen=True, slots=True)
class CallRule:
    """What counts as a call.

    Attributes
    ----------
    threshold
        Probability of a called position, before it is rounded for the track.
    merge_gap
        Stretches this close or closer, nt, are one call.
    min_length
        Shorter calls are dropped, nt.
    """

    threshold: float
    merge_gap: int = MERGE_GAP
    min_length: int = MIN_LENGTH


def usable_thresholds(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thresholds with `DEFAULT_THRESHOLD` for NaN."""
    return np.where(np.isnan(thresholds), DEFAULT_THRESHOLD, thresholds)


def call(
    start: NDArray[np.int64], end: NDArray[np.int64], code: NDArray[np.uint8], rule: CallRule
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Calls of one contig.

    Parameters
    ----------
    start, end, code
        (R,) runs, sorted; `CALLED` in the code says what reaches the threshold.
    rule
        What counts.

    Returns
    -------
    start, end, highest
        Of each call: where it lies, 0-based half-open, and its highest level.
    """
    called = code >= CALLED
    start, end, level = start[called], end[called], code[called] - np.uint8(CALLED)
    if not len(start):
        return start, end, level
    first = np.append(True, start[1:] - end[:-1] > rule.merge_gap)
    at = np.flatnonzero(first)
    start, end, level = start[at], end[np.append(at[1:], len(end)) - 1], np.maximum.reduceat(level, at)
    long = end - start >= rule.min_length
    return start[long], end[long], level[long]
