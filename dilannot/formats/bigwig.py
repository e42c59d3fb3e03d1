"""Write bigWig files, from sections that `bigwig_sections` compressed, without changing them."""

from __future__ import annotations

import math
import os
import struct
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import pyBigWig
from numpy.typing import NDArray

from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.formats.bigwig_index import (
    HEADER_SIZE,
    MAGIC,
    PLACE,
    ZOOM_HEADER_SIZE,
    Zoom,
    contig_tree,
    header,
    section_tree,
)
from dilannot.formats.bigwig_sections import (
    ITEMS,
    REDUCTIONS,
    SECTION,
    SUMMARY,
    ZOOM,
    fold,
    pack_zooms,
    rounded,
    unrounded,
)

_SUMMARY_AT = HEADER_SIZE + ZOOM_HEADER_SIZE * len(REDUCTIONS)
_CONTIGS_AT = _SUMMARY_AT + SUMMARY.itemsize
_PAYS = 2  # a zoom level has at most one record for so many of the level below it
_ITEM_SIZE, _SECTION_HEADER_SIZE = 12, 24
_BUFFER = 1 << 18


class BigWigWriter:
    """One bigWig file; of what is written, it keeps 16 bytes a section and 8 a block.

    First `add_values` for all blocks, then `add_zooms` for all blocks, then `finish`. Until that has ended the file
    begins with zeros, which no reader takes for a bigWig.

    Parameters
    ----------
    path
        The file; its folder must exist.
    lengths
        Contig lengths in bp. Contigs have their place in it as their number, and the file's sections are in that
        order.

    Raises
    ------
    ValueError
        Names or lengths the format cannot hold.
    OSError
        From all methods: the disk is full or broken; it names `path`.
    """

    def __init__(self, path: Path, lengths: dict[str, int]) -> None:
        contigs = contig_tree(lengths, _CONTIGS_AT)
        self._path = path
        self._lengths = np.array(list(lengths.values()), np.int64)
        self._file = open(path, "wb", buffering=_BUFFER)  # noqa: SIM115 (closed by __exit__)
        self._data = _CONTIGS_AT + len(contigs)
        self._values = _Stretch(self._data + 8)  # behind the count of sections
        self._zooms: _Stretch | None = None
        self._values_index = 0
        with self._named():
            self._file.write(bytes(_CONTIGS_AT) + contigs + bytes(8))

    def __enter__(self) -> BigWigWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with suppress(OSError) if kind else self._named():
            self._file.close()

    def add_values(self, contig: int, table: NDArray[np.void], data: bytes | memoryview) -> None:
        """Append sections of runs of one block: (S,) `SECTION` and their bytes; blocks in genome order."""
        if self._zooms is not None:
            raise ValueError("values come before zooms")
        self._append(self._values, contig, table, data)

    def add_zooms(self, contig: int, table: NDArray[np.void], data: bytes | memoryview) -> None:
        """Append sections of zoom records over `REDUCTIONS[0]` nt of one block; blocks in genome order."""
        self._append(self._zooms or self._end_values(), contig, table, data)

    def finish(self, coarse: NDArray[np.void], summary: NDArray[np.void]) -> None:
        """Make the other zoom levels and all that leads to the sections; check the file's size.

        Parameters
        ----------
        coarse
            (Z,) `ZOOM` over `REDUCTIONS[1]` nt of the whole track, in genome order.
        summary
            `SUMMARY` of the track, or (B,) of its blocks.

        Raises
        ------
        ValueError
            Sections out of order, past a contig's end or other than their bytes; or zooms are missing.
        DilannotError
            The file is not as long as what was written to it (exit code 3).
        """
        with self._named():
            first = self._zooms or self._end_values()
            levels, largest = self._write_zooms(first, coarse)
            self._file.write(struct.pack("<I", MAGIC))
            size = self._file.tell()
            self._write_at(self._data, struct.pack("<Q", self._values.sections))
            self._write_at(first.at - 4, struct.pack("<I", first.items()))
            self._write_at(_SUMMARY_AT, _merge(np.atleast_1d(summary)).tobytes())
            self._file.flush()  # the header only when all else is there
            self._write_header(levels, largest)
            self._file.flush()
            found = os.fstat(self._file.fileno()).st_size
        if found != size:
            raise not_whole(self._path, f"{found:,} of {size:,} bytes are there")

    def _append(self, stretch: _Stretch, contig: int, table: NDArray[np.void], data: bytes | memoryview) -> None:
        if len(table):
            stretch.add(contig, table)
            try:
                self._file.write(data)
            except OSError as error:
                error.filename = str(self._path)
                raise

    def _end_values(self) -> _Stretch:
        """Write the tree of the values' sections, and begin the first zoom level."""
        with self._named():
            self._values_index = self._write_index(self._values, 1)
            self._zooms = _Stretch(self._file.tell() + 4)  # behind the count of records
            self._file.write(bytes(4))
        return self._zooms

    def _write_index(self, stretch: _Stretch, items: int) -> int:
        at = self._file.tell()
        places = stretch.places(at)
        _check(places, self._lengths)
        self._file.write(section_tree(places, at, items))
        return at

    def _write_zooms(self, first: _Stretch, coarse: NDArray[np.void]) -> tuple[list[Zoom], int]:
        """Zoom levels, and the bytes of the largest section of the file before compression."""
        if bool(self._values.sections) != bool(first.sections):
            raise ValueError("zooms are missing")
        levels = [Zoom(REDUCTIONS[0], first.at - 4, self._write_index(first, ITEMS))]
        most, below = first.most(), first.items()
        records = unrounded(coarse)
        for reduction in REDUCTIONS[1:]:
            records = fold(records, reduction)
            if len(records.places) * _PAYS <= below and below > 0:
                below = len(records.places)
                stretch = self._write_level(rounded(records))
                most = max(most, stretch.most())
                levels.append(Zoom(reduction, stretch.at - 4, self._write_index(stretch, ITEMS)))
        values = self._values.most()
        return levels, max(values and _SECTION_HEADER_SIZE + _ITEM_SIZE * values, ZOOM.itemsize * most)

    def _write_level(self, records: NDArray[np.void]) -> _Stretch:
        counts = np.bincount(records["contig"], minlength=len(self._lengths))
        sections = pack_zooms(records, counts)
        stretch = _Stretch(self._file.tell() + 4)
        stretch.add_contigs(sections.counts, sections.table)
        self._file.write(struct.pack("<I", len(records)))
        self._file.write(sections.data)
        return stretch

    def _write_header(self, levels: list[Zoom], largest: int) -> None:
        made = header(
            contigs=_CONTIGS_AT,
            data=self._data,
            index=self._values_index,
            summary=_SUMMARY_AT,
            largest=largest,
            zooms=levels,
        )
        self._write_at(0, made)

    def _write_at(self, place: int, data: bytes) -> None:
        self._file.seek(place)
        self._file.write(data)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = str(self._path)
            raise


class _Stretch:
    """The sections of the values or of a zoom level, one behind the other from `at` on."""

    def __init__(self, at: int) -> None:
        self.at = at
        self._rows = bytearray()
        self._contigs, self._counts = array("I"), array("I")

    def add(self, contig: int, table: NDArray[np.void]) -> None:
        self._rows += table.tobytes()
        self._contigs.append(contig)
        self._counts.append(len(table))

    def add_contigs(self, counts: NDArray[np.int64], table: NDArray[np.void]) -> None:
        """Sections of all contigs, `counts` of each."""
        self._rows += table.tobytes()
        self._contigs.extend(range(len(counts)))
        self._counts.extend(counts.tolist())

    @property
    def sections(self) -> int:
        return len(self._rows) // SECTION.itemsize

    def most(self) -> int:
        """Items of the section that has most."""
        return int(self._table["items"].max(initial=0))

    def items(self) -> int:
        return int(self._table["items"].sum(dtype=np.int64))

    @property
    def _table(self) -> NDArray[np.void]:
        # A copy: a bytearray that numpy looks into cannot grow.
        return np.frombuffer(bytes(self._rows), SECTION)

    def places(self, end: int) -> NDArray[np.void]:
        """(S,) `PLACE`; they must end at `end`."""
        table = self._table
        made = np.empty(len(table), PLACE)
        made["contig"] = made["to"] = np.repeat(np.array(self._contigs, np.uint32), np.array(self._counts, np.int64))
        made["start"], made["end"], made["size"] = table["start"], table["end"], table["size"]
        ends = self.at + np.cumsum(table["size"], dtype=np.int64)
        made["offset"] = ends - table["size"]
        if (ends[-1] if len(ends) else self.at) != end:
            raise ValueError("sections have other sizes than their table says")
        return made


def _check(places: NDArray[np.void], lengths: NDArray[np.int64]) -> None:
    contig, start, end = (places[name].astype(np.int64) for name in ("contig", "start", "end"))
    if (contig >= len(lengths)).any() or (start >= end).any() or (end > lengths[contig]).any():
        raise ValueError("a section is empty or leaves its contig")
    if ((contig[1:] < contig[:-1]) | ((contig[1:] == contig[:-1]) & (start[1:] < end[:-1]))).any():
        raise ValueError("sections are not in genome order")


def _merge(summaries: NDArray[np.void]) -> NDArray[np.void]:
    """One summary of blocks; sums are rounded once, so that they depend on blocks as little as can be."""
    some = summaries[summaries["bases"] > 0]
    merged = np.zeros((), SUMMARY)
    if len(some):
        merged["bases"], merged["min"], merged["max"] = some["bases"].sum(), some["min"].min(), some["max"].max()
        merged["sum"], merged["squares"] = math.fsum(some["sum"]), math.fsum(some["squares"])
    return merged


def not_whole(path: Path, detail: str) -> DilannotError:
    """The disk did not take a file."""
    return DilannotError(
        f"the bigWig could not be written whole ({detail})",
        where=path,
        remedy="is the disk full?",
        exit_code=ENVIRONMENT,
    )


def check_whole(path: Path, bases: int) -> None:
    """Look at a finished file through another reader, pyBigWig.

    Raises
    ------
    DilannotError
        It cannot be read, or holds other than so many bases with a value (exit code 3).
    """
    try:
        with pyBigWig.open(str(path)) as file:
            found = file.header()["nBasesCovered"]
    except RuntimeError:
        found = None
    if found != bases:
        raise not_whole(path, "it does not read back")
