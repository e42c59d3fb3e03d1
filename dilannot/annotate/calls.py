"""Calls: stretches whose probability reaches the marker's threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError
from dilannot.formats.calls import CALL, Calls
from dilannot.metrics.thresholds import Rule

DEFAULT_THRESHOLD = 0.5  # for markers whose validation split held no positives to choose by
STRETCH = CALL  # the same fields, before stretches are joined and short ones dropped
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


def usable_thresholds(thresholds: Mapping[str, NDArray[np.float64]], rule: Rule) -> NDArray[np.float64]:
    """Every marker's threshold by a rule; where validation knew none, `DEFAULT_THRESHOLD`, or with a limit to false
    calls infinity: nothing is called then.

    Raises
    ------
    DilannotError
        The run has none by this rule.
    """
    if rule not in thresholds:
        raise DilannotError(f"this run has no {rule} thresholds", where="--call-at", remedy="train it again")
    known = thresholds[rule]
    return np.where(np.isnan(known), np.inf if rule.startswith("fdr") else DEFAULT_THRESHOLD, known)


def joined(stretches: Calls, rule: CallRule) -> Calls:
    """Calls of one marker and contig, whatever blocks it was cut into.

    Parameters
    ----------
    stretches
        (n,) of `STRETCH`, those of all blocks, sorted and disjoint: positions that reach the threshold, short ones too.
    rule
        What counts.

    Returns
    -------
    calls
        Of each, the highest probability of its stretches and where that is first reached.
    """
    if not len(stretches):
        return stretches
    start, end = stretches["start"].astype(np.int64), stretches["end"].astype(np.int64)
    first = np.flatnonzero(np.append(True, start[1:] - end[:-1] > rule.merge_gap))
    last = np.append(first[1:], len(stretches)) - 1
    long = end[last] - start[first] >= rule.min_length
    calls = np.empty(len(first), CALL)
    calls["start"], calls["end"] = start[first], end[last]
    calls["max"] = np.maximum.reduceat(stretches["max"], first)
    highest = stretches["max"] == np.repeat(calls["max"], last - first + 1)
    row = np.minimum.reduceat(np.where(highest, np.arange(len(stretches)), len(stretches)), first)
    calls["summit"] = stretches["summit"][row]
    kept: Calls = calls[long]
    return kept
