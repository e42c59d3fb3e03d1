"""Read the values of bigWig files, whoever wrote them, as runs.

After the supplement of Kent et al. 2010 (doi:10.1093/bioinformatics/btq351). pyBigWig would do for files without fault:
for others its C library prints lines of its own, its header() cuts the range of values to whole numbers, and it holds
Python's lock while it reads.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from dilannot.compiled import compiled
from dilannot.errors import DilannotError
from dilannot.formats.bigwig_index import BRANCH, CONTIG_MAGIC, HEADER_SIZE, MAGIC, PLACE, SECTION_MAGIC
from dilannot.formats.compression import check_input

Runs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]

_OTHERS = {
    b"\xeb\xf2\x89\x87": "a bigBed file", b"\x87\x89\xf2\xeb": "a bigBed file", b"\x1f\x8b": "a gzip file",
    b"\x88\x8f\xfc\x26": "a bigWig file in big-endian order", b"\x89HDF": "an HDF5 file", b"BAM\1": "a BAM file",
}  # fmt: skip
_TREE_HEADER, _SECTION_TREE_HEADER, _NODE_HEADER = 32, 48, 4
_LARGEST = 24 + 65_535 * 12  # bytes of a section: its items are counted with 16 bits
_MOST = float(np.finfo(np.float32).max)
_TOGETHER = 64  # sections: some 800 KB, which stay in the cache
_FAULTS = {1: "a section does not fit its index", 2: "a section has another size than it says",
           3: "runs overlap, are out of order or leave the contig", 4: "a section of unknown type"}  # fmt: skip


class BigWig:
    """An open bigWig file.

    Attributes
    ----------
    path
        The file.
    lengths
        Of its contigs, bp, in the order of their numbers.
    range
        Least and highest value, as the header says, which may be wrong; None where it says nothing, or what cannot be.

    Raises
    ------
    DilannotError
        From all methods: no bigWig, a truncated or damaged one.
    """

    def __init__(self, path: Path) -> None:
        check_input(path)
        self.path = path
        self._file = os.open(path, os.O_RDONLY)
        try:
            self._read_header()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        os.close(self._file)

    def contigs_with_values(self) -> list[str]:
        """Those of which the index lists a section."""
        places = self._places(0, 0, (1 << 32) - 1, anywhere=True)
        numbers = set(np.concatenate((places["contig"], places["to"])).tolist())
        return [name for name in self.lengths if self._numbers[name] in numbers]

    def runs(self, contig: str, start: int, end: int) -> Iterator[Runs]:
        """Runs of equal values in `contig:[start, end)`, 0-based half-open, some ten thousands at a time.

        Yields
        ------
        starts, ends, values
            Sorted, disjoint, cut at `start` and `end`. Values may be NaN or infinite, as they are in the file.
        """
        number, length = self._numbers[contig], self.lengths[contig]
        places = self._places(number, start, end)
        before = 0
        for first in range(0, len(places), _TOGETHER):
            some = places[first : first + _TOGETHER]
            starts, ends, values = self._unpack(some, number, length, before)
            if len(starts):
                before = int(ends[-1])
                low, high = np.searchsorted(ends, start, "right"), np.searchsorted(starts, end, "left")
                starts, ends, values = starts[low:high], ends[low:high], values[low:high]
            if len(starts):
                yield np.maximum(starts, start), np.minimum(ends, end), values

    def _damaged(self, what: str) -> NoReturn:
        raise DilannotError(f"is damaged: {what}", where=self.path, remedy="copy, download or make it again") from None

    def _bytes(self, at: int, size: int) -> bytes:
        found = os.pread(self._file, size, at) if 0 <= at < 1 << 62 else b""
        if len(found) != size:
            raise DilannotError(
                "is truncated: what its index leads to is not there",
                where=self.path,
                remedy="copy, download or make it again",
            )
        return found

    def _read_header(self) -> None:
        head = os.pread(self._file, HEADER_SIZE, 0)
        if head[:4] != struct.pack("<I", MAGIC):
            kind = next((name for magic, name in _OTHERS.items() if head.startswith(magic)), None)
            # Writers put the header there last: a killed one leaves zeros.
            what = f"{kind}, not bigWig" if kind else "no bigWig file" if head.strip(b"\0") else "empty or unfinished"
            raise DilannotError(f"is {what}", where=self.path, remedy="convert it" if kind else "give bigWig files")
        if len(head) < HEADER_SIZE:
            self._bytes(0, HEADER_SIZE)
        _, _, _, contigs, _, self._index, _, _, _, summary, self._unpacked, _ = struct.unpack("<IHHQQQHHQQIQ", head)
        self._read_contigs(contigs)
        self.range: tuple[float, float] | None = None
        if summary:
            bases, low, high = struct.unpack("<Qdd", self._bytes(summary, 24))
            self.range = (low, high) if bases and -_MOST <= low <= high <= _MOST else None

    def _read_contigs(self, at: int) -> None:
        magic, _, width, value, _, _ = struct.unpack("<IIIIQQ", self._bytes(at, _TREE_HEADER))
        if magic != CONTIG_MAGIC or value != 8 or not 0 < width < 1 << 16:
            self._damaged("its list of contigs")
        found: list[tuple[int, str, int]] = []
        leaf = np.dtype([("name", f"S{width}"), ("number", "<u4"), ("length", "<u4")])
        branch = np.dtype([("name", f"S{width}"), ("offset", "<u8")])
        for items in self._nodes(at + _TREE_HEADER, leaf, branch):
            found += zip(items["number"].tolist(), map(self._text, items["name"].tolist()), items["length"].tolist(),
                         strict=True)  # fmt: skip
        found.sort()
        self.lengths = {name: length for _, name, length in found}
        self._numbers = {name: number for number, name, _ in found}
        if not found or len(self.lengths) < len(found) or len(set(self._numbers.values())) < len(found):
            self._damaged("its list of contigs is empty, or names one twice")

    def _text(self, name: bytes) -> str:
        try:
            return name.decode("utf-8")
        except UnicodeDecodeError:
            self._damaged("the name of a contig is not UTF-8")

    def _nodes(
        self, at: int, leaf: np.dtype[np.void], branch: np.dtype[np.void], wanted: tuple[int, int, int] | None = None
    ) -> Iterator[NDArray[np.void]]:
        """Items of the leaves of a tree, in order; with `wanted` (contig, start, end) those that may touch it."""
        ahead, seen = [at], set()
        while ahead:
            at = ahead.pop()
            if at in seen:
                self._damaged("its index leads in a circle")
            seen.add(at)
            is_leaf, _, count = struct.unpack("<BBH", self._bytes(at, _NODE_HEADER))
            kind = leaf if is_leaf else branch
            items = np.frombuffer(self._bytes(at + _NODE_HEADER, count * kind.itemsize), kind)
            if wanted:
                items = items[_touches(items, *wanted)]
            if is_leaf:
                yield items
            else:
                ahead += items["offset"][::-1].tolist()

    def _places(self, number: int, start: int, end: int, *, anywhere: bool = False) -> NDArray[np.void]:
        """(S,) `PLACE` of the sections that touch a stretch of one contig, or of all."""
        if not self._index:  # libBigWig's, without a value
            return np.zeros(0, PLACE)
        (magic,) = struct.unpack_from("<I", self._bytes(self._index, _SECTION_TREE_HEADER))
        if magic != SECTION_MAGIC:
            self._damaged("its index")
        wanted = None if anywhere else (number, start, end)
        leaves = self._nodes(self._index + _SECTION_TREE_HEADER, PLACE, BRANCH, wanted)
        found = np.concatenate([np.zeros(0, PLACE), *leaves])
        if (found["size"] > 2 * _LARGEST).any():
            self._damaged("a section is larger than sections are")
        return found

    def _unpack(self, places: NDArray[np.void], number: int, length: int, before: int) -> Runs:
        """Runs of some sections, one behind the other."""
        parts = [self._section(*each) for each in zip(places["offset"].tolist(), places["size"].tolist(), strict=True)]
        sizes = np.array([len(part) for part in parts], np.int64)
        if (sizes < 24).any() or (sizes % 4).any():
            self._damaged(_FAULTS[2])
        words = np.frombuffer(bytearray().join(parts), np.uint32)  # of bytes it could not be written to
        borders = np.concatenate(([0], np.cumsum(sizes // 4)))
        start, end = np.empty(len(words), np.int64), np.empty(len(words), np.int64)
        value = np.empty(len(words), np.float32)
        bounds = (places["start"].astype(np.int64), places["end"].astype(np.int64))
        found = lay_out(  # type: ignore[no-untyped-call]
            words, words.view(np.float32), borders, *bounds, number, length, before, start, end, value
        )
        if found < 0:
            self._damaged(_FAULTS[-found])
        return start[:found], end[:found], value[:found]

    def _section(self, at: int, size: int) -> bytes:
        packed = self._bytes(at, size)
        if not self._unpacked:
            return packed
        unpacking = isal_zlib.decompressobj()
        try:
            section = unpacking.decompress(packed, _LARGEST + 1)
        except (isal_zlib.error, zlib.error):  # type: ignore[misc]
            self._damaged("a section cannot be unpacked")
        if not unpacking.eof:
            self._damaged("a section is incomplete")
        return section


def _touches(items: NDArray[np.void], number: int, start: int, end: int) -> NDArray[np.bool_]:
    """Which items of a tree reach into a stretch of a contig."""
    begins = (items["contig"] < number) | ((items["contig"] == number) & (items["start"] < end))
    ends = (items["to"] > number) | ((items["to"] == number) & (items["end"] > start))
    touching: NDArray[np.bool_] = begins & ends
    return touching


@compiled(
    "int64(uint32[::1], float32[::1], int64[::1], int64[::1], int64[::1], int64, int64, int64, int64[::1], int64[::1], "
    "float32[::1])"
)
def lay_out(words, floats, borders, low, high, number, length, before, start, end, value):  # type: ignore[no-untyped-def]
    """Write down the runs of sections; how many, or less than 0 at a fault.

    Section s is `words[borders[s] : borders[s + 1]]` and must lie in [low[s], high[s]) of contig `number`, which has
    `length` bp; runs follow `before` and one another.
    """
    put = 0
    for s in range(len(borders) - 1):
        at, last = borders[s], borders[s + 1]
        if words[at] != number:
            continue
        kind, count = words[at + 5] & 0xFF, words[at + 5] >> 16
        if kind < 1 or kind > 3:
            return -4
        width = 4 - np.int64(kind)
        if last - at != 6 + width * count:
            return -2
        step, span = np.int64(words[at + 3]), np.int64(words[at + 4])
        position = np.int64(words[at + 1])
        at += 6
        for i in range(count):
            if kind == 1:
                begin, stop = np.int64(words[at]), np.int64(words[at + 1])
            elif kind == 2:
                begin = np.int64(words[at])
                stop = begin + span
            else:
                begin = position + i * step
                stop = begin + span
            if begin < before or begin >= stop or stop > length:
                return -3
            if begin < low[s] or stop > high[s]:
                return -1
            start[put], end[put], value[put] = begin, stop, floats[at + width - 1]
            put, before, at = put + 1, stop, at + width
    return put
