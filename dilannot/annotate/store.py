"""Finished blocks on disk: one file for each shard, appended to, from which a killed annotation goes on.

A record holds a block's compressed bigWig sections and called stretches, marker after marker, so that the tracks are
made by copying. It is complete when its checksum is right: of a file that was cut, whatever comes first still counts.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from dilannot.annotate.calls import STRETCH
from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.formats.bigwig_sections import SECTION, SUMMARY, ZOOM, Packed
from dilannot.outputs import named

_MAGIC = b"dlblock1"
_BYTES = np.dtype(np.uint8)
_COUNT = np.dtype("<u4")
# What a record holds, in this order; sections and data come with T counts each.
_COLUMNS = {
    "value_counts": _COUNT,
    "value_table": SECTION,
    "value_sizes": _COUNT,
    "value_data": _BYTES,
    "zoom_counts": _COUNT,
    "zoom_table": SECTION,
    "zoom_sizes": _COUNT,
    "zoom_data": _BYTES,
    "coarse_counts": _COUNT,
    "coarse": ZOOM,
    "summary": SUMMARY,
    "stretch_counts": _COUNT,
    "stretches": STRETCH,
}
# Magic, checksum of all that follows, block, positions with a value, and the bytes of each column.
_HEAD = struct.Struct(f"<8sI I Q {len(_COLUMNS)}Q")
_CHECKED_FROM = 12
_AT_ONCE = 1 << 24


def record_of(
    block: int, nucleotides: int, packed: Packed, counts: NDArray[np.int64], stretches: NDArray[np.void]
) -> bytes:
    """The bytes of a block's record; (T,) `counts` of the called stretches."""
    values, zooms = packed.values, packed.zooms
    parts = {
        "value_counts": values.counts, "value_table": values.table, "value_sizes": values.sizes,
        "value_data": np.frombuffer(values.data, np.uint8),
        "zoom_counts": zooms.counts, "zoom_table": zooms.table, "zoom_sizes": zooms.sizes,
        "zoom_data": np.frombuffer(zooms.data, np.uint8),
        "coarse_counts": packed.coarse_counts, "coarse": packed.coarse, "summary": packed.summary,
        "stretch_counts": counts, "stretches": stretches,
    }  # fmt: skip
    columns = [np.ascontiguousarray(parts[name], kind) for name, kind in _COLUMNS.items()]
    head = _HEAD.pack(_MAGIC, 0, block, nucleotides, *(column.nbytes for column in columns))
    body = b"".join([head[_CHECKED_FROM:], *(column.tobytes() for column in columns)])
    return _MAGIC + struct.pack("<I", isal_zlib.crc32(body)) + body


@dataclass(frozen=True, slots=True)
class Record:
    """Where a block's record lies: in which file, and its columns in it."""

    path: Path
    block: int
    nucleotides: int
    offset: int
    sizes: tuple[int, ...]

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.offset + _HEAD.size + sum(self.sizes)

    def bytes_of(self, name: str) -> int:
        """Size of a column."""
        return self.sizes[list(_COLUMNS).index(name)]

    def place(self, name: str) -> int:
        """Where a column begins, in bytes from the file's start."""
        at = list(_COLUMNS).index(name)
        return self.offset + _HEAD.size + sum(self.sizes[:at])


def read_records(path: Path) -> Iterator[Record]:
    """The whole records of a file, in the order they were written; all of it is read and checked."""
    return (record for record, whole in _walk(path) if whole)


def _walk(path: Path) -> Iterator[tuple[Record, bool]]:
    """Records, and whether each is what was written; what comes after one whose head is damaged is not looked at."""
    with open(path, "rb") as handle:
        size, offset = os.fstat(handle.fileno()).st_size, 0
        while True:
            handle.seek(offset)
            head = handle.read(_HEAD.size)
            record = _record_at(path, offset, head)
            if record is None or record.end > size:
                return
            yield record, _is_whole(handle, head, record)
            offset = record.end


def _record_at(path: Path, offset: int, head: bytes) -> Record | None:
    if len(head) < _HEAD.size or not head.startswith(_MAGIC):
        return None
    _, _, block, nucleotides, *sizes = _HEAD.unpack(head[: _HEAD.size])
    return Record(path, block, nucleotides, offset, tuple(sizes))


def _is_whole(handle: BinaryIO, head: bytes, record: Record) -> bool:
    checksum = _HEAD.unpack(head)[1]
    found, left = isal_zlib.crc32(head[_CHECKED_FROM:]), sum(record.sizes)
    while left and (part := handle.read(min(left, _AT_ONCE))):
        found = isal_zlib.crc32(part, found)
        left -= len(part)
    return bool(found == checksum and not left)


class Appender:
    """Appends records to a shard's file, behind those that are there.

    Attributes
    ----------
    records
        Whole ones, those that are appended among them.
    damaged
        Records that were there and are not what was written; their blocks are to be made again.
    """

    def __init__(self, path: Path) -> None:
        found = list(_walk(path)) if path.exists() else []
        self.records = [record for record, whole in found if whole]
        self.damaged = len(found) - len(self.records)
        self._path = path
        self._there = self._end = found[-1][0].end if found else 0
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        if os.fstat(self._handle).st_size != self._end:
            os.ftruncate(self._handle, self._end)

    def append(self, record: bytes) -> None:
        """Write a record whole, or leave what a reader does not take for one."""
        view, written = memoryview(record), 0
        with named(self._path):
            if not os.fstat(self._handle).st_nlink:  # somebody removed the folder: nothing would be left of this
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            while written < len(view):
                written += os.pwrite(self._handle, view[written:], self._end + written)
        made = _record_at(self._path, self._end, record)
        assert made is not None
        self.records.append(made)
        self._end += len(view)

    def take_back(self) -> None:
        """Remove what was appended."""
        os.ftruncate(self._handle, self._there)
        self._end = self._there
        self.records = [record for record in self.records if record.end <= self._end]

    def is_there(self) -> bool:
        """Whether the file is still under its name, as long as it was written."""
        try:
            found, own = os.stat(self._path), os.fstat(self._handle)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino, found.st_size) == (own.st_dev, own.st_ino, self._end)

    @property
    def folder(self) -> Path:
        """Where the file lies."""
        return self._path.parent

    @property
    def size(self) -> int:
        """Bytes of all records."""
        return self._end

    def close(self) -> None:
        """Let the disk have everything."""
        try:
            with named(self._path):
                os.fsync(self._handle)
        finally:
            os.close(self._handle)


@dataclass(frozen=True, slots=True)
class Slice:
    """One block of some markers that follow each other; G of them.

    Attributes
    ----------
    counts
        (G,) rows of each marker in `table`.
    table
        Rows, marker after marker.
    sizes, data
        Where rows are sections: (G,) bytes of each marker, and those.
    """

    counts: list[int]
    table: NDArray[np.void]
    sizes: list[int]
    data: memoryview

    def __iter__(self) -> Iterator[tuple[NDArray[np.void], memoryview]]:
        """Rows and bytes of each marker."""
        row = byte = 0
        for count, size in zip(self.counts, self.sizes, strict=True):
            yield self.table[row : row + count], self.data[byte : byte + size]
            row, byte = row + count, byte + size


class StoppedError(Exception):
    """The annotation ends before this is done."""


class Reader:
    """Reads columns of records, of some markers at a time; threads may share it.

    Attributes
    ----------
    stop
        Once set, whoever reads gets a `StoppedError`.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.stop = threading.Event()
        self._handles: dict[Path, int] = {}
        try:
            for path in paths:
                self._handles[path] = os.open(path, os.O_RDONLY)
        except OSError:
            self.__exit__()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles.values():
            os.close(handle)

    def is_wanted(self) -> bool:
        """True; see `stop`."""
        if self.stop.is_set():
            raise StoppedError
        return True

    def sections(self, record: Record, kind: str, markers: slice) -> Slice:
        """Sections of `kind` (value or zoom) and their bytes."""
        counts, table = self._rows(record, f"{kind}_counts", f"{kind}_table", markers)
        sizes = self._column(record, f"{kind}_sizes")
        begin, end = _borders(sizes, markers)
        data = self._read(record, record.place(f"{kind}_data") + begin, end - begin)
        return Slice(counts.tolist(), table, sizes[markers].tolist(), memoryview(data))

    def rows(self, record: Record, counts: str, rows: str, markers: slice) -> Slice:
        """Rows without bytes."""
        found, table = self._rows(record, counts, rows, markers)
        return Slice(found.tolist(), table, [0] * len(found), memoryview(b""))

    def summary(self, record: Record, markers: slice) -> NDArray[np.void]:
        """(G,) `SUMMARY`."""
        size = SUMMARY.itemsize
        first = record.place("summary") + markers.start * size
        return np.frombuffer(self._read(record, first, (markers.stop - markers.start) * size), SUMMARY)

    def _rows(
        self, record: Record, counts: str, rows: str, markers: slice
    ) -> tuple[NDArray[np.uint32], NDArray[np.void]]:
        every, kind = self._column(record, counts), _COLUMNS[rows]
        begin, end = (border * kind.itemsize for border in _borders(every, markers))
        table: NDArray[np.void] = np.frombuffer(self._read(record, record.place(rows) + begin, end - begin), kind)
        return every[markers], table

    def _column(self, record: Record, name: str) -> NDArray[np.uint32]:
        size = record.sizes[list(_COLUMNS).index(name)]
        return np.frombuffer(self._read(record, record.place(name), size), np.uint32)

    def _read(self, record: Record, offset: int, size: int) -> bytes:
        parts, handle = [], self._handles[record.path]
        while size and self.is_wanted():
            part = os.pread(handle, size, offset)
            if not part:
                raise DilannotError("was cut while it was read", where=record.path, exit_code=ENVIRONMENT)
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)


def _borders(counts: NDArray[np.uint32], markers: slice) -> tuple[int, int]:
    begin = int(counts[: markers.start].sum(dtype=np.int64))
    return begin, begin + int(counts[markers].sum(dtype=np.int64))
