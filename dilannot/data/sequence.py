"""The packed bases of a dataset, read where they lie in the file: no copy in memory, safe in forked processes."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from dilannot.data import schema
from dilannot.errors import DilannotError
from dilannot.genome.intervals import Positions
from dilannot.genome.sequence import Codes, N, unpack


class SequenceReader:
    """Reads stretches of `sequence/packed`; a block's checksum is compared when it is first touched.

    Reads name their place in the file (pread), so that processes which share the open file never disturb each other.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        packed = file["sequence/packed"]
        self._path = path
        self._bytes = len(packed)
        self._place = packed.id.get_offset()
        if packed.chunks is not None or self._place is None:
            raise DilannotError("sequence/packed is not stored in one piece", where=path, remedy="build it again")
        self._checks: NDArray[np.uint32] = file["sequence/checks"][:]
        self._good = np.zeros(len(self._checks), bool)
        self._n_start: Positions = file["sequence/n_start"][:]
        self._n_end: Positions = file["sequence/n_end"][:]
        starts, ends = self._n_start, self._n_end
        problem = ""
        if (starts >= ends).any() or (starts[1:] < ends[:-1]).any():
            problem = "runs of N overlap"
        elif len(starts) and (starts[0] < 0 or ends[-1] > self.bases):
            problem = "a run of N is out of range"
        if problem:
            raise DilannotError(f"sequence/n: {problem}", where=path, remedy="build it again")
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def bases(self) -> int:
        """How many there are; one byte of padding follows."""
        return 4 * (self._bytes - 1)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def fetch(self, offset: Positions, length: int) -> Codes:
        """Codes of the stretches `[offset, offset + length)`, shape (len(offset), length).

        Raises
        ------
        DilannotError
            The file is damaged, or was changed since it was opened.
        """
        first = offset >> 2
        width = -(-(length + int((offset & 3).max(initial=0))) // 4)
        packed = self._read(first, width)
        self._check(first, width)
        codes = _from_phase(unpack(packed), offset & 3, length)
        left = np.searchsorted(self._n_end, offset, "right")
        right = np.searchsorted(self._n_start, offset + length)
        for window in np.flatnonzero(right > left).tolist():
            for run in range(left[window], right[window]):
                start, end = self._n_start[run] - offset[window], self._n_end[run] - offset[window]
                codes[window, max(start, 0) : end] = N
        return codes

    def _read(self, first: Positions, width: int) -> NDArray[np.uint8]:
        """Rows of `width` bytes, each from its `first` on."""
        packed = np.empty((len(first), width), np.uint8)
        view, handle, at = packed.reshape(-1).data, self._handle, 0
        for place in (first + self._place).tolist():
            if os.preadv(handle, [view[at : at + width]], place) != width:
                self._refuse()
            at += width
        return packed

    def _check(self, first: Positions, width: int) -> None:
        """Compare checksums of blocks that were not looked at before."""
        size = schema.CHECKED_BLOCK
        low, high = first // size, (first + width - 1) // size
        if width <= size and self._good[low].all() and self._good[high].all():
            return
        for block in {
            block for ends in zip(low.tolist(), high.tolist(), strict=True) for block in range(ends[0], ends[1] + 1)
        }:
            if self._good[block]:
                continue
            data = os.pread(self._handle, min(size, self._bytes - block * size), self._place + block * size)
            if schema.checksum(data) != self._checks[block]:
                self._refuse()
            self._good[block] = True

    def _refuse(self) -> None:
        raise DilannotError(
            "corrupt: the checksum of its sequence differs", where=self._path, remedy="build it again, or copy it again"
        )


def _from_phase(codes: Codes, phase: Positions, length: int) -> Codes:
    """Rows of `length` bases that begin `phase` bases into theirs."""
    if not phase.any():
        return codes[:, :length]
    cut = np.empty((len(codes), length), np.uint8)
    for start in np.unique(phase).tolist():
        cut[phase == start] = codes[phase == start, start : start + length]
    return cut
