"""Count the scores of a track by its runs, not position by position: no score is ever laid out along the genome."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dilannot.compiled import compiled
from dilannot.errors import DilannotError
from dilannot.evaluate.tracks.places import Places, Stretches
from dilannot.formats.bigwig_reader import BigWig
from dilannot.genome.intervals import Bounds, Positions
from dilannot.metrics.histograms import ScoreHistograms
from dilannot.metrics.keys import KEYS, ZERO, Space

Missing = Literal["zero", "skip"]
Range = tuple[float, float]
Runs = tuple[Positions, Positions, NDArray[np.floating]]

_LARGEST = 65_504.0  # of half precision
_SMALL = 2.0**-8  # smaller scores than this at most would lose digits
_LEAST = 2.0**-149  # of single precision


class Track:
    """The scores of one bigWig in units, and the least and the highest of its values that were read so far."""

    def __init__(self, file: BigWig, unit: int, missing: Missing) -> None:
        self._file, self._unit, self._missing = file, unit, missing
        self.low, self.high = math.inf, -math.inf

    def runs(self, contig: str, start: int, end: int) -> Iterator[Runs]:
        """Runs of units with a score between two units of a contig; of bins it is the mean.

        Raises
        ------
        DilannotError
            A value is infinite, or the file is damaged.
        """
        if contig not in self._file.lengths:
            return
        read = self._numbers(contig, start * self._unit, end * self._unit)
        yield from (read if self._unit == 1 else self._means(read))

    def _numbers(self, contig: str, start: int, end: int) -> Iterator[Runs]:
        """Without NaN, which is no value."""
        for starts, ends, values in self._file.runs(contig, start, end):
            if not np.isfinite(values).all():
                if np.isinf(values).any():
                    at = int(starts[np.argmax(np.isinf(values))])
                    raise DilannotError(f"an infinite value at {contig}:{at + 1:,}", where=self._file.path)
                there = ~np.isnan(values)
                starts, ends, values = starts[there], ends[there], values[there]
            if len(values):
                self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
                yield starts, ends, values

    def _means(self, read: Iterable[Runs]) -> Iterator[Runs]:
        place, total = np.zeros(2, np.int64), np.zeros(1)
        whole = self._missing == "zero"
        for starts, ends, values in read:
            size = 3 * len(starts)
            first, last, mean = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
            made = bin_runs(  # type: ignore[no-untyped-call]
                starts, ends, values.astype(np.float32, copy=False), self._unit, whole, place, total, first, last, mean
            )
            yield first[:made], last[:made], mean[:made]
        if place[1]:
            at = place[:1].copy()
            yield at, at + 1, total / (self._unit if whole else place[1])


def scale_for(found: Range, space: Space) -> float:
    """The power of two that scores are multiplied by so that half precision holds them: 1 where it does already.

    Ranks and ties stay as they are, apart from rounding to 11 bits.
    """
    largest = max(map(abs, found))
    # Headers may hold numbers of 64 bits that no value of 32 bits is: libBigWig's of nothing but zeros do.
    if space == "probability" or largest < _LEAST or _SMALL <= largest <= _LARGEST:
        return 1.0
    return math.ldexp(1.0, 15 - math.frexp(largest)[1])


def count_track(
    path: Path,
    peaks: Mapping[str, Bounds],
    places: Places,
    missing: Missing,
    histograms: ScoreHistograms,
    row: int,
    scale: float,
) -> Range:
    """Fill a marker's row of `histograms`, which have edges; units without a value have the score 0.

    Returns
    -------
    low, high
        Least and highest value that was judged; infinite, the wrong way round, where there was none.
    """
    assert histograms.edges is not None
    coarse = np.searchsorted(histograms.edges[row], np.arange(KEYS), "right") - 1
    counted = (
        (histograms.everything[row], histograms.coarse_everything[:, row]),
        (histograms.positive[row], histograms.coarse_positive[:, row]),
    )
    with BigWig(path) as file:
        track = Track(file, places.unit, missing)
        for contig, everywhere in places.contigs.items():
            positive = everywhere.meet(peaks[contig]) if contig in peaks else _NONE
            cursors = [0, 0]
            for stretches, (counts, by_block) in zip((everywhere, positive), counted, strict=True):
                _count_as_zeros(stretches, counts, by_block, int(coarse[ZERO]))
            for start, end in places.spans(contig):
                for starts, ends, values in track.runs(contig, start, end):
                    keys = keys_of(values, scale)
                    for i, stretches in enumerate((everywhere, positive)):
                        cursors[i] = count_runs(  # type: ignore[no-untyped-call]
                            starts, ends, keys, stretches.start, stretches.end, stretches.block, coarse, cursors[i],
                            *counted[i],
                        )  # fmt: skip
        return track.low, track.high


_NONE = Stretches(*[np.zeros(0, np.int64)] * 3)


def _count_as_zeros(stretches: Stretches, counts: NDArray[np.uint32], by_block: NDArray[np.uint32], place: int) -> None:
    """Everything first; `count_runs` takes away from the zeros what has a value."""
    widths = stretches.end - stretches.start
    counts[ZERO] += np.uint32(widths.sum())
    np.add.at(by_block[:, place], stretches.block, widths.astype(np.uint32))


def keys_of(values: NDArray[np.floating], scale: float | NDArray[np.float64]) -> NDArray[np.int64]:
    """Keys of scores; what lies beyond half precision gets the key of its last number, -0.0 that of 0.0."""
    with np.errstate(over="ignore"):
        scaled = values.astype(np.float64) * scale
    bits = np.clip(scaled, -_LARGEST, _LARGEST).astype(np.float16).view(np.uint16).astype(np.int64)
    keys = np.where(bits & 0x8000, 0xFFFF - bits, bits + 0x8000)
    keys[keys == ZERO - 1] = ZERO
    return keys


@compiled(
    "int64(int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64, "
    "uint32[::1], uint32[:,:])"
)
def count_runs(start, end, key, first, last, block, coarse, at, counts, by_block):  # type: ignore[no-untyped-def]
    """Count the units of runs that lie in stretches [first, last), no longer as zeros; the stretch to go on with."""
    zero = 32_768  # its key
    for i in range(len(start)):
        while at < len(first) and last[at] <= start[i]:
            at += 1
        place = at
        while place < len(first) and first[place] < end[i]:
            width = min(end[i], last[place]) - max(start[i], first[place])
            counts[key[i]] += np.uint32(width)
            counts[zero] -= np.uint32(width)
            by_block[block[place], coarse[key[i]]] += np.uint32(width)
            by_block[block[place], coarse[zero]] -= np.uint32(width)
            place += 1
    return at


@compiled(
    "int64(int64[::1], int64[::1], float32[::1], int64, boolean, int64[::1], float64[::1], int64[::1], int64[::1], "
    "float64[::1])"
)
def bin_runs(start, end, value, unit, whole, place, total, first, last, mean):  # type: ignore[no-untyped-def]
    """Runs of nucleotides to runs of bins with their mean; how many.

    The bin that may go on in the next batch stays in `place` (its number, and nt with a value) and `total` (sum).
    With `whole` what has no value counts as 0, otherwise not.
    """
    made = 0
    for i in range(len(start)):
        begin, stop = start[i], end[i]
        if place[1] and place[0] != begin // unit:
            first[made], last[made] = place[0], place[0] + 1
            mean[made] = total[0] / (unit if whole else place[1])
            made, place[1], total[0] = made + 1, 0, 0.0
        if place[1] or begin % unit:
            cut = min(stop, (begin // unit + 1) * unit)
            place[0] = begin // unit
            place[1] += cut - begin
            total[0] += np.float64(value[i]) * (cut - begin)
            begin = cut
            if begin % unit == 0:
                first[made], last[made] = place[0], place[0] + 1
                mean[made] = total[0] / (unit if whole else place[1])
                made, place[1], total[0] = made + 1, 0, 0.0
        if stop - begin >= unit:
            first[made], last[made], mean[made] = begin // unit, stop // unit, value[i]
            made, begin = made + 1, stop // unit * unit
        if stop > begin:
            place[0], place[1] = begin // unit, stop - begin
            total[0] = np.float64(value[i]) * (stop - begin)
    return made
