"""The arrays of a dataset, and the HDF5 file that holds them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dilannot.data import schema
from dilannot.data.labels import MarkerLabels
from dilannot.data.markers import FIELDS, Marker
from dilannot.data.splits import SPLITS
from dilannot.data.windows import Windows
from dilannot.formats.fasta import Contig
from dilannot.genome.intervals import Positions
from dilannot.outputs import check_space, replacing, signals_deferred

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class WindowTable:
    """Windows that go into the dataset, in genome order: contig, start in bp, split."""

    contig: NDArray[np.int32]
    start: Positions
    split: NDArray[np.uint8]


def genome_arrays(contigs: list[Contig], table: WindowTable) -> Arrays:
    """Contigs and the window table."""
    return {
        "contigs/name": schema.as_bytes([contig.name for contig in contigs]),
        "contigs/length": np.array([contig.length for contig in contigs], np.int64),
        "contigs/md5": schema.as_bytes([contig.md5 for contig in contigs]),
        "windows/contig": table.contig,
        "windows/start": table.start,
        "windows/split": table.split,
    }


def sequence_arrays(windows: Windows, kept: NDArray[np.intp]) -> Arrays:
    """Packed bases and runs of N of the rows `kept`."""
    position = _position_type(windows.rule.length)
    new_row = np.full(windows.kept, -1, np.int64)
    new_row[kept] = np.arange(len(kept))
    row = new_row[np.concatenate(windows.n_window)]
    inside = row >= 0
    return {
        "sequence/packed": np.concatenate(windows.packed)[kept],
        "sequence/n_offsets": _offsets(row[inside], len(kept)),
        "sequence/n_start": np.concatenate(windows.n_start)[inside].astype(position),
        "sequence/n_end": np.concatenate(windows.n_end)[inside].astype(position),
    }


def label_arrays(labels: list[MarkerLabels], markers: list[Marker], table: WindowTable, window: int) -> Arrays:
    """Label intervals sorted by (window, marker, start), and the marker table."""
    row = np.concatenate([marker.window for marker in labels])
    column = np.repeat(np.arange(len(labels)), [len(marker.window) for marker in labels])
    start = np.concatenate([marker.start for marker in labels])
    end = np.concatenate([marker.end for marker in labels])
    positives = np.zeros((len(labels), len(SPLITS)), np.int64)
    np.add.at(positives, (column, table.split[row]), end - start)
    # Markers come one after the other, each sorted: a stable sort by window leaves (window, marker, start).
    order = np.argsort(row, kind="stable")
    position = _position_type(window)
    named = zip(FIELDS, zip(*(marker.row() for marker in markers), strict=True), strict=True)
    return {
        "labels/offsets": _offsets(row, len(table.start)),
        "labels/marker": column[order].astype(np.uint16),
        "labels/start": start[order].astype(position),
        "labels/end": end[order].astype(position),
        **{f"markers/{field}": schema.as_bytes(list(values)) for field, values in named},
        "markers/sha256": schema.as_bytes([marker.sha256 for marker in labels]),
        **{
            f"markers/{count}": np.array([getattr(marker, count) for marker in labels], np.int64)
            for count in ("peaks_read", "peaks_merged", "peaks_used", "bases_covered")
        },
        "markers/positives": positives,
    }


def _position_type(window: int) -> type[np.unsignedinteger[Any]]:
    """Two bytes where they hold a window's end."""
    return np.uint16 if window < 1 << 16 else np.uint32


def _offsets(row: NDArray[Any], count: int) -> NDArray[np.int64]:
    """CSR offsets of rows that are grouped or not: how many entries come before each row."""
    return np.concatenate(([0], np.cumsum(np.bincount(row, minlength=count)))).astype(np.int64)


class _CarefulFile(io.FileIO):
    """A file that hides from HDF5 that the disk failed, and says so when it is closed.

    HDF5 crashes the interpreter after a write that failed or raised. Once a signal has come, nothing more is written.
    """

    _failure: OSError | None = None

    def __init__(self, path: Path, signals: list[int]) -> None:
        super().__init__(path, "w+")
        self._signals = signals

    def write(self, data: Any) -> int:
        try:
            view, done = memoryview(data).cast("B"), 0
            while self._failure is None and not self._signals and done < len(view):
                done += super().write(view[done:])
        except OSError as error:
            self._failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size) if self._failure is None else 0
        except OSError as error:
            self._failure = error
            return 0

    def close(self) -> None:
        super().close()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure


def write_dataset(output: Path, arrays: Arrays, record: dict[str, Any], window: int) -> None:
    """Write the file the safe way and read it back.

    Raises
    ------
    DilannotError
        The disk cannot hold it (exit code 3).
    """
    check_space(output.parent, int(1.1 * sum(array.nbytes for array in arrays.values())) + (1 << 20), output.name)
    with replacing(output) as temporary:
        with signals_deferred() as came, _CarefulFile(temporary, came) as handle, h5py.File(handle, "w") as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array, **_storage(name, array))
            file.attrs["format"] = schema.FORMAT
            file.attrs["format_version"] = schema.FORMAT_VERSION
            file.attrs["task"] = "dense"
            file.attrs["window"] = window
            file.attrs["provenance"] = json.dumps(record, ensure_ascii=False)
            file.flush()
            file.attrs["complete"] = 1
        with schema.open_dataset(temporary):
            pass


def _storage(name: str, array: NDArray[Any]) -> dict[str, Any]:
    """Checksummed chunks of about 16 KB; packed sequence does not compress further."""
    if not array.size:
        return {}
    rows = max(1, min(len(array), (1 << 14) // (array.nbytes // len(array))))
    storage = {"chunks": (rows, *array.shape[1:]), "fletcher32": True}
    return (
        storage
        if name == "sequence/packed"
        else storage | {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    )
