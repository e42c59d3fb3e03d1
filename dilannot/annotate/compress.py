"""Levels (probabilities in steps of 1/100) to runs: what goes to disk is a fraction of what the network says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 100  # steps of a probability: values are multiples of 1/100
CALLED = 128  # added to the level of a position whose probability, before rounding, reaches the threshold
GAP = 255  # where there is no prediction


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of equal code, marker after marker, sorted within each.

    Attributes
    ----------
    marker
        (R,) marker of each run.
    start, end
        (R,) 0-based half-open on the contig.
    code
        (R,) uint8; probability x `LEVELS`, plus `CALLED`.
    """

    marker: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    code: NDArray[np.uint8]


def run_lengths(codes: NDArray[np.uint8], known: NDArray[np.bool_], origin: int) -> Runs:
    """Runs of a stretch.

    Parameters
    ----------
    codes
        (T, L) levels, plus `CALLED` where called.
    known
        (L,) False where nothing is predicted: no run covers it.
    origin
        Position of the stretch on its contig, bp.
    """
    markers, length = codes.shape
    if not known.all():
        codes = np.where(known, codes, np.uint8(GAP))
    first = np.empty((markers, length), np.bool_)
    first[:, 0] = True
    np.not_equal(codes[:, 1:], codes[:, :-1], out=first[:, 1:])
    at = np.flatnonzero(first)
    marker, start = np.divmod(at, length)
    end = np.append(at[1:], markers * length) - marker * length
    code = codes.reshape(-1)[at]
    keep = code != GAP
    return Runs(marker[keep], start[keep] + origin, end[keep] + origin, code[keep])


Table = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]


def joined(start: NDArray[np.int64], end: NDArray[np.int64], value: NDArray[np.uint8]) -> Table:
    """Sorted runs of one contig with touching runs of equal value made one."""
    first = np.append(True, (start[1:] != end[:-1]) | (value[1:] != value[:-1]))
    at = np.flatnonzero(first)
    return start[at], end[np.append(at[1:], len(start)) - 1], value[at]
