"""Runs of many tracks become compressed sections of bigWig files, in memory, a block of a contig at a time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from dilannot.compiled import compiled

ITEMS = 1024  # of a section, at most

# Levels of ISA-L's compression. 1 looks for repeats; 2 costs the same and makes nothing smaller here. Sections of zooms
# are short: 0 takes a quarter of the time for them, and adds 3 % to a file.
_VALUES_LEVEL, _ZOOMS_LEVEL = 1, 0

# Nucleotides that a zoom record stands for, level by level. Fixed, so that a block can be summarised alone, and each
# divides the next, so that a level is made from the one below.
REDUCTIONS = (1_000, 5_000, 25_000, 125_000, 625_000, 3_125_000, 15_625_000, 78_125_000)

SECTION = np.dtype([("start", "<u4"), ("end", "<u4"), ("items", "<u4"), ("size", "<u4")])
"""Where the items of a section lie, 0-based half-open (bp); how many; bytes when compressed."""

ZOOM = np.dtype(
    [
        ("contig", "<u4"),
        ("start", "<u4"),
        ("end", "<u4"),
        ("valid", "<u4"),
        ("min", "<f4"),
        ("max", "<f4"),
        ("sum", "<f4"),
        ("squares", "<f4"),
    ]
)
"""A zoom record as files hold it; `valid` bases with a value."""

SUMMARY = np.dtype([("bases", "<u8"), ("min", "<f8"), ("max", "<f8"), ("sum", "<f8"), ("squares", "<f8")])
"""The summary of a track as files hold it."""

_EVERYTHING = 1 << 40  # a bin that holds any contig


@dataclass(frozen=True, slots=True)
class Sections:
    """Compressed sections of several tracks, track after track.

    Parameters
    ----------
    table
        (S,) `SECTION`.
    counts
        (T,) sections of each track.
    data
        All sections' bytes, in the order of `table`.
    """

    table: NDArray[np.void]
    counts: NDArray[np.int64]
    data: bytes

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(T,) bytes of each track."""
        ends = np.concatenate([[0], np.cumsum(self.table["size"], dtype=np.int64)])
        borders = np.concatenate([[0], np.cumsum(self.counts)])
        sizes: NDArray[np.int64] = np.diff(ends[borders])
        return sizes


@dataclass(frozen=True, slots=True)
class Packed:
    """A block of all tracks, as `BigWigWriter` takes it.

    Parameters
    ----------
    values
        The runs.
    zooms
        Their summaries over `REDUCTIONS[0]` nt.
    coarse
        (Z,) `ZOOM`: their summaries over `REDUCTIONS[1]` nt, track after track.
    coarse_counts
        (T,) of `coarse`.
    summary
        (T,) `SUMMARY` of the block; zeros where a track has no run.
    """

    values: Sections
    zooms: Sections
    coarse: NDArray[np.void]
    coarse_counts: NDArray[np.int64]
    summary: NDArray[np.void]


class Records(NamedTuple):
    """Summaries before they are rounded: what they belong to, start, end, valid bases; and min, max, sum, squares."""

    places: NDArray[np.uint32]  # (Z, 4)
    statistics: NDArray[np.float64]  # (Z, 4)


def pack(
    contig: int,
    counts: NDArray[np.int64],
    start: NDArray[np.uint32],
    end: NDArray[np.uint32],
    value: NDArray[np.float32],
) -> Packed:
    """Compress a block of one contig, all tracks together.

    Nothing is checked here. Where blocks lie on multiples of `REDUCTIONS[1]`, records of zooms do not depend on how a
    contig was cut into blocks.

    Parameters
    ----------
    contig
        Its number in the files' header.
    counts
        (T,) runs of each track.
    start, end, value
        (R,) runs, track after track, in each sorted and disjoint; bp, 0-based half-open.
    """
    counts = np.ascontiguousarray(counts, np.int64)
    start, end = np.ascontiguousarray(start, np.uint32), np.ascontiguousarray(end, np.uint32)
    value = np.ascontiguousarray(value, np.float32)
    tracks = len(counts)
    fine = _summarise(counts, start, end, value)
    coarse = fold(fine, REDUCTIONS[1])
    coarse_counts = _count_groups(coarse, tracks)
    return Packed(
        _pack_values(contig, counts, start, end, value),
        pack_zooms(rounded(fine, contig), _count_groups(fine, tracks)),
        rounded(coarse, contig),
        coarse_counts,
        _total(coarse, tracks),
    )


def pack_zooms(records: NDArray[np.void], counts: NDArray[np.int64]) -> Sections:
    """Compress (Z,) `ZOOM` records; `counts` of them, one after another, share no section with others."""
    first, last, sections = _cut(counts)
    table = np.empty(len(first), SECTION)
    table["start"], table["end"] = records["start"][first], records["end"][last - 1]
    table["items"] = last - first
    borders = np.append(first, len(records)) * ZOOM.itemsize
    return Sections(table, sections, _deflate(table, records.view(np.uint8), borders, _ZOOMS_LEVEL))


def fold(records: Records, reduction: int) -> Records:
    """Join neighbours that lie in the same bin of `reduction` nt and belong to the same."""
    places, statistics = np.empty_like(records.places), np.empty_like(records.statistics)
    made = _fold(records.places, records.statistics, reduction, places, statistics)
    return Records(places[:made], statistics[:made])


def rounded(records: Records, contig: int | None = None) -> NDArray[np.void]:
    """As files hold them: (Z,) `ZOOM`, all on `contig` where one is given."""
    made = np.empty(len(records.places), ZOOM)
    made.view(np.uint32).reshape(-1, 8)[:, :4] = records.places
    made.view(np.float32).reshape(-1, 8)[:, 4:] = records.statistics
    if contig is not None:
        made["contig"] = contig
    return made


def unrounded(records: NDArray[np.void]) -> Records:
    """Records that belong to their contig, from (Z,) `ZOOM`."""
    records = np.ascontiguousarray(records, ZOOM)
    words = records.view(np.uint32).reshape(-1, 8)[:, :4]
    return Records(words.copy(), records.view(np.float32).reshape(-1, 8)[:, 4:].astype(np.float64))


def _cut(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """First and last + 1 item of each section, and sections of each track."""
    sections = -(-counts // ITEMS)
    track = np.repeat(np.arange(len(counts)), sections)
    within = np.arange(len(track)) - (np.cumsum(sections) - sections)[track]
    ends = np.cumsum(counts)
    first = (ends - counts)[track] + ITEMS * within
    return first, np.minimum(first + ITEMS, ends[track]), sections


def _deflate(table: NDArray[np.void], raw: NDArray[np.uint8], borders: NDArray[np.int64], level: int) -> bytes:
    """Compress each section, from one of `borders` (S + 1,) in `raw` to the next; enter sizes in `table`."""
    view, edges, compress = raw.data, borders.tolist(), isal_zlib.compress
    parts = [compress(view[low:high], level) for low, high in pairwise(edges)]
    table["size"] = [len(part) for part in parts]
    return b"".join(parts)


def _pack_values(
    contig: int,
    counts: NDArray[np.int64],
    start: NDArray[np.uint32],
    end: NDArray[np.uint32],
    value: NDArray[np.float32],
) -> Sections:
    first, last, sections = _cut(counts)
    table = np.empty(len(first), SECTION)
    table["start"], table["end"] = start[first], end[last - 1]
    words = np.empty(_HEADER * len(first) + 3 * len(start), "<u4")
    _lay_out(contig, first, last, start, end, value.view(np.uint32), words)
    borders = np.append(_HEADER * np.arange(len(first)) + 3 * first, len(words)) * 4
    table["items"] = last - first
    return Sections(table, sections, _deflate(table, words.view(np.uint8), borders, _VALUES_LEVEL))


def _summarise(
    counts: NDArray[np.int64], start: NDArray[np.uint32], end: NDArray[np.uint32], value: NDArray[np.float32]
) -> Records:
    """Records over `REDUCTIONS[0]` nt; they belong to a track."""
    some = counts > 0
    ends = np.cumsum(counts)[some]
    # As many as there may be; memory that is not written to costs nothing.
    size = int(((end[ends - 1] - 1) // _BIN - start[ends - counts[some]] // _BIN + 1).sum(dtype=np.int64))
    places, statistics = np.empty((size, 4), np.uint32), np.empty((size, 4), np.float64)
    made = _fill_bins(counts, start, end, value, places, statistics)
    return Records(places[:made], statistics[:made])


def _count_groups(records: Records, tracks: int) -> NDArray[np.int64]:
    return np.bincount(records.places[:, 0], minlength=tracks)


def _total(records: Records, tracks: int) -> NDArray[np.void]:
    total = fold(records, _EVERYTHING)
    summary, track = np.zeros(tracks, SUMMARY), total.places[:, 0]
    summary["bases"][track] = total.places[:, 3]
    for column, name in enumerate(("min", "max", "sum", "squares")):
        summary[name][track] = total.statistics[:, column]
    return summary


_HEADER = 6  # words before the items of a section
_BEDGRAPH = 1  # type of a section whose items have start, end and value
_BIN = REDUCTIONS[0]


@compiled("void(uint32, int64[::1], int64[::1], uint32[::1], uint32[::1], uint32[::1], uint32[::1])")
def _lay_out(
    contig: int,
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    start: NDArray[np.uint32],
    end: NDArray[np.uint32],
    bits: NDArray[np.uint32],
    words: NDArray[np.uint32],
) -> None:
    """Sections as they are before compression: contig, start, end, step, span, type and number of items; the items."""
    at = 0
    for section in range(len(first)):
        low, high = first[section], last[section]
        words[at], words[at + 1], words[at + 2] = contig, start[low], end[high - 1]
        words[at + 3] = words[at + 4] = 0
        words[at + 5] = _BEDGRAPH | (high - low) << 16
        at += _HEADER
        for run in range(low, high):
            words[at], words[at + 1], words[at + 2] = start[run], end[run], bits[run]
            at += 3


@compiled("int64(int64[::1], uint32[::1], uint32[::1], float32[::1], uint32[:,::1], float64[:,::1])")
def _fill_bins(
    counts: NDArray[np.int64],
    start: NDArray[np.uint32],
    end: NDArray[np.uint32],
    value: NDArray[np.float32],
    places: NDArray[np.uint32],
    statistics: NDArray[np.float64],
) -> int:
    """Summarise runs, split at borders of bins; a record reaches from its first to its last base with a value."""
    made, at = -1, 0
    for track in range(len(counts)):
        current = np.int64(-1)
        for run in range(at, at + counts[track]):
            low, stop, score = np.int64(start[run]), np.int64(end[run]), np.float64(value[run])
            while low < stop:
                here = low // _BIN
                high = min(stop, (here + 1) * _BIN)
                bases = high - low
                total = bases * score
                if here != current:
                    current = here
                    made += 1
                    places[made, 0], places[made, 1], places[made, 2], places[made, 3] = track, low, high, bases
                    statistics[made, 0] = statistics[made, 1] = score
                    statistics[made, 2], statistics[made, 3] = total, total * score
                else:
                    places[made, 2] = high
                    places[made, 3] += bases
                    statistics[made, 0] = min(statistics[made, 0], score)
                    statistics[made, 1] = max(statistics[made, 1], score)
                    statistics[made, 2] += total
                    statistics[made, 3] += total * score
                low = high
        at += counts[track]
    return made + 1


@compiled("int64(uint32[:,::1], float64[:,::1], int64, uint32[:,::1], float64[:,::1])")
def _fold(
    places: NDArray[np.uint32],
    statistics: NDArray[np.float64],
    reduction: int,
    joined: NDArray[np.uint32],
    sums: NDArray[np.float64],
) -> int:
    made, current = -1, np.int64(-1)
    for at in range(len(places)):
        here = np.int64(places[at, 1]) // reduction
        if made < 0 or here != current or places[at, 0] != joined[made, 0]:
            current = here
            made += 1
            joined[made] = places[at]
            sums[made] = statistics[at]
        else:
            joined[made, 2] = places[at, 2]
            joined[made, 3] += places[at, 3]
            sums[made, 0] = min(sums[made, 0], statistics[at, 0])
            sums[made, 1] = max(sums[made, 1], statistics[at, 1])
            sums[made, 2] += statistics[at, 2]
            sums[made, 3] += statistics[at, 3]
    return made + 1
