"""Intervals on contigs, 0-based half-open, and the region strings people type, 1-based inclusive."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError, near

Positions = NDArray[np.int64]
Bounds = tuple[Positions, Positions]  # starts and ends


@dataclass(frozen=True, slots=True)
class Interval:
    """`contig:[start, end)`, 0-based half-open, in bp."""

    contig: str
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        """As a region string: 1-based, inclusive."""
        return f"{self.contig}:{self.start + 1:,}-{self.end:,}"


_RANGE = re.compile(r"(?P<first>[0-9][0-9,]{0,29})?-(?P<last>[0-9][0-9,]{0,29})?", re.ASCII)


def parse_region(text: str, lengths: Mapping[str, int]) -> tuple[Interval, str | None]:
    """Read `chr1`, `chr1:1,000-2,000`, `chr1:500-` or `chr1:-500` (1-based, inclusive, as in samtools).

    Parameters
    ----------
    text
        The region as typed. A name that holds a colon wins over its reading as a range.
    lengths
        Contig lengths in bp.

    Returns
    -------
    interval, warning
        The interval, and a sentence when the region was clipped at the contig's end (otherwise None).

    Raises
    ------
    DilannotError
        Unknown contig, a bare position, a start below 1, or an end before the start.
    """
    if text in lengths:
        return Interval(text, 0, lengths[text]), None
    contig, colon, positions = text.rpartition(":")
    if not colon or contig not in lengths:
        name = contig if colon else text
        raise DilannotError(f"no contig {name!r} in the genome{near(name, lengths)}", where=f"region {text}")
    if re.fullmatch(r"[0-9][0-9,]*", positions, re.ASCII):
        raise DilannotError(
            "a single position means different things to different tools",
            where=f"region {text}",
            remedy=f"type {contig}:{positions}-{positions} for one base or {contig}:{positions}- for the rest",
        )
    match = _RANGE.fullmatch(positions)
    if not match or positions == "-":
        raise DilannotError(
            f"cannot read {positions!r} as a range", where=f"region {text}", remedy="type contig:start-end"
        )
    first = int((match["first"] or "1").replace(",", ""))
    length = lengths[contig]
    last = int(match["last"].replace(",", "")) if match["last"] else max(first, length)
    if first < 1:
        raise DilannotError("the start is below 1; regions are 1-based, inclusive", where=f"region {text}")
    if last < first:
        raise DilannotError("the end lies before the start", where=f"region {text}")
    if first > length:
        raise DilannotError(f"starts after the end of {contig} ({length:,} bp)", where=f"region {text}")
    clipped = f"region {text} clipped to the end of {contig} ({length:,} bp)" if last > length else None
    return Interval(contig, first - 1, min(last, length)), clipped


def merge(starts: Positions, ends: Positions) -> tuple[Positions, Positions]:
    """Merge overlapping and touching intervals of one contig.

    Parameters
    ----------
    starts, ends
        int64 arrays of equal length, in any order.

    Returns
    -------
    starts, ends
        Sorted, disjoint, never touching.
    """
    if not len(starts):
        return starts, ends
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    first = np.concatenate(([True], starts[1:] > ends[:-1]))
    return starts[first], ends[np.append(first[1:], True)]


def by_contig(intervals: Iterable[Interval]) -> dict[str, Bounds]:
    """Merged intervals of each contig, contigs in the order in which they come; those without any base are left out."""
    found: dict[str, list[tuple[int, int]]] = {}
    for interval in filter(len, intervals):
        found.setdefault(interval.contig, []).append((interval.start, interval.end))
    return {name: merge(*np.array(bounds, np.int64).T) for name, bounds in found.items()}


def both(ones: Bounds, others: Bounds) -> tuple[Positions, Positions, Positions]:
    """What lies in both of two sets of intervals of one contig.

    Parameters
    ----------
    ones
        int64 arrays of equal length; they may overlap and come in any order.
    others
        Sorted and disjoint.

    Returns
    -------
    starts, ends, source
        The row of `ones` that each is a part of, in the order of these; sorted and disjoint if `ones` are.
    """
    first = np.searchsorted(others[1], ones[0], "right")
    count = np.maximum(np.searchsorted(others[0], ones[1], "left") - first, 0)
    source = np.repeat(np.arange(len(ones[0])), count)
    other = first[source] + np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
    return np.maximum(ones[0][source], others[0][other]), np.minimum(ones[1][source], others[1][other]), source


def runs(mask: NDArray[np.bool_]) -> tuple[Positions, Positions]:
    """Starts and ends of the stretches of True in a one-dimensional mask."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return edges[::2], edges[1::2]


def split_into_windows(
    starts: Positions, ends: Positions, window: int
) -> tuple[Positions, Positions, Positions, Positions]:
    """Cut sorted intervals of one contig at the borders of consecutive windows.

    Returns
    -------
    window_index, start, end, source
        One row per piece: the window it lies in, its place relative to that window's start, and the row of the
        interval it was cut from. Sorted if the input is.
    """
    first = starts // window
    pieces = (ends - 1) // window - first + 1
    source = np.repeat(np.arange(len(starts)), pieces)
    step = np.arange(len(source)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    index = first[source] + step
    origin = index * window
    start = np.maximum(starts[source], origin) - origin
    end = np.minimum(ends[source], origin + window) - origin
    return index, start, end, source
