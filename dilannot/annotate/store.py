"""A stage on disk between the walk along the genome and the files, which want one marker at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from dilannot.annotate.compress import Runs, joined

_RUN = np.dtype([("start", "<i4"), ("end", "<i4"), ("code", "u1")])
_FLUSH_RUNS = 2_000_000  # about 100 MB while they are sorted
RUN_BYTES = _RUN.itemsize


@dataclass(frozen=True, slots=True)
class Piece:
    """Where some runs of one marker lie in the stage."""

    contig: str
    offset: int
    count: int


class Stage:
    """Collects runs in genome order; leaves a file and, for each marker, the pieces of it that hold its runs."""

    def __init__(self, handle: BinaryIO, markers: int, before_write: Callable[[int], None] = lambda _: None) -> None:
        self._handle = handle
        self._before_write = before_write  # told how many runs there will be, of which the last are not written
        self.pieces: list[list[Piece]] = [[] for _ in range(markers)]
        self.runs = 0
        self._offset = 0
        self._pending: list[Runs] = []
        self._contig = ""

    def append(self, contig: str, runs: Runs) -> None:
        """Add the runs of the next stretch."""
        if contig != self._contig:
            self.flush()
            self._contig = contig
        self._pending.append(runs)
        self.runs += len(runs.marker)
        if sum(len(part.marker) for part in self._pending) >= _FLUSH_RUNS:
            self.flush()

    def flush(self) -> None:
        """Write what is pending, marker after marker."""
        if not self._pending:
            return
        marker = np.concatenate([part.marker for part in self._pending])
        order = np.argsort(marker, kind="stable")
        table = np.empty(len(marker), _RUN)
        for name in _RUN.names or ():
            table[name] = np.concatenate([getattr(part, name) for part in self._pending])[order]
        counts = np.bincount(marker, minlength=len(self.pieces))
        offsets = self._offset + (np.cumsum(counts) - counts) * _RUN.itemsize
        for index in np.flatnonzero(counts):
            self.pieces[index].append(Piece(self._contig, int(offsets[index]), int(counts[index])))
        self._before_write(self.runs)
        self._handle.write(table.tobytes())
        self._offset += table.nbytes
        self._pending.clear()


ContigRuns = tuple[str, NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]


def read_runs(path: Path, pieces: list[Piece]) -> Iterator[ContigRuns]:
    """The runs of one marker, contig by contig; runs that were cut between stretches are whole again.

    Yields
    ------
    runs
        For each contig its name, starts, ends and codes.
    """
    with open(path, "rb") as handle:
        for contig, group in groupby(pieces, key=lambda piece: piece.contig):
            parts = []
            for piece in group:
                handle.seek(piece.offset)
                parts.append(np.frombuffer(handle.read(piece.count * _RUN.itemsize), _RUN))
            table = np.concatenate(parts)
            start, end = table["start"].astype(np.int64), table["end"].astype(np.int64)
            yield contig, *joined(start, end, table["code"])
