"""Windows varied: the other strand, and small shifts, of sequence and label intervals together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dilannot.genome.intervals import Positions
from dilannot.genome.sequence import Codes, N

Intervals = tuple[Positions, Positions, Positions, Positions]  # window, marker, start, end


def turned(intervals: Intervals, other_strand: NDArray[np.bool_], length: int) -> Intervals:
    """Label intervals as the other strand has them, in the windows of `other_strand`."""
    window, marker, start, end = intervals
    other = other_strand[window]
    return window, marker, np.where(other, length - end, start), np.where(other, length - start, end)


def shifted(codes: Codes, shift: NDArray[np.int64]) -> Codes:
    """Sequences moved to the right by `shift`; N comes in."""
    result = np.full_like(codes, N)
    length = codes.shape[1]
    for row, by in enumerate(np.clip(shift, -length, length).tolist()):
        result[row, max(by, 0) : length + min(by, 0)] = codes[row, max(-by, 0) : length - max(by, 0)]
    return result


def moved(intervals: Intervals, shift: NDArray[np.int64], length: int) -> Intervals:
    """Label intervals moved along with their sequence; what leaves the window is cut off."""
    window, marker, start, end = intervals
    start, end = np.clip(start + shift[window], 0, length), np.clip(end + shift[window], 0, length)
    inside = start < end
    return window[inside], marker[inside], start[inside], end[inside]
