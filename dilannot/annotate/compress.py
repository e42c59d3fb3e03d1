"""Levels (probabilities in steps of 1/100) to runs: what goes to disk is a fraction of what the network says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 100  # steps of a probability: values are multiples of 1/100
GAP = 255  # where there is no prediction


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of equal level, marker after marker, sorted within each.

    Attributes
    ----------
    marker
        (R,) marker of each run.
    start, end
        (R,) 0-based half-open on the contig.
    level
        (R,) uint8; probability x `LEVELS`.
    """

    marker: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    level: NDArray[np.uint8]


def run_lengths(levels: NDArray[np.uint8], known: NDArray[np.bool_], origin: int) -> Runs:
    """Runs of a stretch.

    Parameters
    ----------
    levels
        (T, L) levels.
    known
        (L,) False where nothing is predicted: no run covers it.
    origin
        Position of the stretch on its contig, bp.
    """
    markers, length = levels.shape
    if not known.all():
        levels = np.where(known, levels, np.uint8(GAP))
    first = np.empty((markers, length), np.bool_)
    first[:, 0] = True
    np.not_equal(levels[:, 1:], levels[:, :-1], out=first[:, 1:])
    at = np.flatnonzero(first)
    marker, start = np.divmod(at, length)
    end = np.append(at[1:], markers * length) - marker * length
    level = levels.reshape(-1)[at]
    keep = level != GAP
    return Runs(marker[keep], start[keep] + origin, end[keep] + origin, level[keep])
