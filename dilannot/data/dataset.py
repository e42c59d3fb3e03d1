"""Reading side of a dataset: windows and label intervals as batches of tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dilannot.data import schema
from dilannot.data.splits import SPLITS
from dilannot.errors import DilannotError
from dilannot.genome.sequence import Codes, N, unpack


@dataclass(frozen=True, slots=True)
class LabelIntervals:
    """Where the labels of a batch are 1: int64 tensors of shape (K,), disjoint, sorted by (window, marker, start).

    `window` counts within the batch; `start` and `end` are 0-based half-open in the window.
    """

    window: Tensor
    marker: Tensor
    start: Tensor
    end: Tensor

    def flat_index(self, markers: int, length: int) -> Tensor:
        """Indices of every positive in a flattened (N, T, L) array, shape (positives,)."""
        width = self.end - self.start
        first = (self.window * markers + self.marker) * length + self.start
        shift = first - (width.cumsum(0) - width)
        return torch.repeat_interleave(shift, width) + torch.arange(int(width.sum()), device=width.device)


@dataclass(frozen=True, slots=True)
class Batch:
    """What passes between data and models.

    Attributes
    ----------
    inputs
        Named tensors for the network; a dense dataset gives `sequence`, (N, L) uint8 base codes.
    targets
        Label intervals.
    mask
        (N, L) bool: positions that count. Unknown bases (N) do not.
    """

    inputs: dict[str, Tensor]
    targets: LabelIntervals
    mask: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        targets = LabelIntervals(*(getattr(self.targets, field.name).to(device) for field in fields(self.targets)))
        return Batch({name: value.to(device) for name, value in self.inputs.items()}, targets, self.mask.to(device))


class Dataset:
    """An open `dataset.h5`. Open one in each process.

    Attributes
    ----------
    path, markers, window
        The file, its marker table, and the length of its windows in nt.
    split
        (windows,) index into `SPLITS`.
    positives
        (markers, splits) labelled bases.
    digest
        SHA-256 of contigs, windows and their splits: what must not change between training and testing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with ExitStack() as opening:
            file = opening.enter_context(schema.open_dataset(path))
            with schema.reading(path):
                self._read(file)
            self._opened = opening.pop_all()

    def _read(self, file: h5py.File) -> None:
        """Load everything but the sequence."""
        self.markers = schema.read_markers(file)
        self.window = schema.window_length(file)
        self.provenance: dict[str, Any] = schema.provenance(file)
        self.contigs = [
            {"name": name, "length": int(length), "md5": md5}
            for name, length, md5 in zip(
                schema.texts(file["contigs/name"][:]),
                file["contigs/length"][:],
                schema.texts(file["contigs/md5"][:]),
                strict=True,
            )
        ]
        self.split: NDArray[np.uint8] = file["windows/split"][:]
        self.positives: NDArray[np.int64] = file["markers/positives"][:]
        self._packed = file["sequence/packed"]
        self.digest = _digest(file)
        self._n_offsets, self._n_start, self._n_end = (
            file[f"sequence/n_{part}"][:] for part in ("offsets", "start", "end")
        )
        self._offsets = file["labels/offsets"][:]
        self._marker, self._start, self._end = (file[f"labels/{part}"][:] for part in ("marker", "start", "end"))
        self._check_intervals()

    def _check_intervals(self) -> None:
        """Refuse intervals that lie outside their window: they would land in another one."""
        problem = ""
        for name, offsets, start, end in (
            ("labels", self._offsets, self._start, self._end),
            ("sequence/n", self._n_offsets, self._n_start, self._n_end),
        ):
            if offsets[0] != 0 or offsets[-1] != len(start) or (np.diff(offsets) < 0).any():
                problem = f"{name}: the offsets do not fit the intervals"
            elif (start >= end).any() or (end > self.window).any():
                problem = f"{name}: an interval leaves its window"
        if (self._marker >= len(self.markers)).any():
            problem = "labels/marker: a label of no marker"
        if problem:
            raise DilannotError(problem, where=self.path, remedy="build it again with dilannot build-data")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def rows(self, split: str) -> NDArray[np.intp]:
        """Windows of a split, in genome order."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def sequence(self, rows: NDArray[np.intp]) -> Codes:
        """Base codes of windows, shape (len(rows), window)."""
        with schema.reading(self.path):
            packed = np.stack([self._packed[row] for row in rows])
        codes = unpack(packed, self.window)
        for i, row in enumerate(rows):
            for at in range(self._n_offsets[row], self._n_offsets[row + 1]):
                codes[i, self._n_start[at] : self._n_end[at]] = N
        return codes

    def labels(self, rows: NDArray[np.intp]) -> LabelIntervals:
        """Label intervals of windows; `window` counts along `rows`."""
        begin, end = self._offsets[rows], self._offsets[rows + 1]
        count = end - begin
        at = np.repeat(begin - (np.cumsum(count) - count), count) + np.arange(count.sum())
        columns = np.repeat(np.arange(len(rows)), count), self._marker[at], self._start[at], self._end[at]
        return LabelIntervals(*(torch.from_numpy(column.astype(np.int64)) for column in columns))

    def batch(self, rows: NDArray[np.intp]) -> Batch:
        """The windows `rows` with their labels."""
        codes = self.sequence(rows)
        return Batch({"sequence": torch.from_numpy(codes)}, self.labels(rows), torch.from_numpy(codes != N))

    def batches(self, split: str, batch_size: int, *, shuffle_seed: tuple[int, int] | None = None) -> Iterator[Batch]:
        """All windows of a split, `batch_size` at a time.

        Parameters
        ----------
        split
            One of `SPLITS`.
        batch_size
            Windows a batch; the last batch may be smaller.
        shuffle_seed
            Seed and epoch of the order; in genome order without it.
        """
        rows = self.rows(split)
        if shuffle_seed is not None:
            rows = np.random.default_rng(shuffle_seed).permutation(rows)
        for first in range(0, len(rows), batch_size):
            yield self.batch(rows[first : first + batch_size])


def _digest(file: h5py.File) -> str:
    digest = hashlib.sha256(f"{schema.window_length(file)}\n".encode())
    for name in ("contigs/md5", "windows/contig", "windows/start", "windows/split"):
        digest.update(file[name][:].tobytes())
    return digest.hexdigest()
