"""Reading side of a dataset: windows and label intervals as batches of tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from dilannot.data import schema
from dilannot.data.batch import Batch, LabelIntervals
from dilannot.data.order import Augmentation, Order
from dilannot.data.sequence import SequenceReader
from dilannot.data.splits import SPLITS
from dilannot.data.vary import Intervals, moved, shifted, turned
from dilannot.data.workers import serve_ahead
from dilannot.errors import DilannotError
from dilannot.genome.intervals import Positions
from dilannot.genome.sequence import Codes, N, reverse_complement


class Dataset:
    """An open `dataset.h5`; forked processes may share it.

    Attributes
    ----------
    path, markers, task
        The file, its marker table, and `dense` or `window`.
    window, context, length
        Labelled bases of a window, those of sequence on either side, and all of them, nt.
    inputs
        Names of the tensors in its batches.
    positions
        Label positions of a window: `window` in a dense dataset, 1 for a bin.
    split
        (windows,) index into `SPLITS`.
    positives
        (markers, splits) labelled positions.
    digest
        SHA-256 of contigs, windows and their splits: what must not change between training and testing.
    """

    inputs = ("sequence",)

    def __init__(self, path: Path) -> None:
        self.path = path
        with schema.open_dataset(path) as file, schema.reading(path):
            self._read(file)

    def _read(self, file: h5py.File) -> None:
        """Load everything but the sequence."""
        self.markers = schema.read_markers(file)
        self.task = schema.task_of(file)
        self.window = schema.window_length(file)
        self.context = int(file.attrs["context"])
        self.length = self.window + 2 * self.context
        self.positions = self.window if self.task == "dense" else 1
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
        self.contig: NDArray[np.int32] = file["windows/contig"][:]
        self.start: Positions = file["windows/start"][:]
        self.split: NDArray[np.uint8] = file["windows/split"][:]
        self.positives: NDArray[np.int64] = file["markers/positives"][:]
        self.digest = schema.digest(file)
        self._offset: Positions = file["windows/offset"][:]
        self._labels = file["labels/offsets"][:]
        self._marker = file["labels/marker"][:]
        self._places = tuple(file[f"labels/{part}"][:] for part in ("start", "end")) if self.task == "dense" else None
        self._sequence = SequenceReader(self.path, file)
        self._check()

    def _check(self) -> None:
        """Refuse labels and sequence that lie outside their window: they would land in another one."""
        problem, offsets = "", self._labels
        if offsets[0] != 0 or offsets[-1] != len(self._marker) or (np.diff(offsets) < 0).any():
            problem = "labels: the offsets do not fit the intervals"
        elif (self._marker >= len(self.markers)).any():
            problem = "labels/marker: a label of no marker"
        elif self._places and ((self._places[0] >= self._places[1]).any() or (self._places[1] > self.window).any()):
            problem = "labels: an interval leaves its window"
        elif (self._offset < 0).any() or (self._offset > self._sequence.bases - self.length).any():
            problem = "windows/offset: a window lies outside the sequence"
        elif (self.start < self.context).any() or (self.start > self._last_starts()).any():
            problem = "windows/start: a window leaves its contig"
        if problem:
            raise DilannotError(problem, where=self.path, remedy="build it again with dilannot build-data")

    def _last_starts(self) -> Positions:
        """Where each window can start at most, on its contig."""
        lengths = np.array([contig["length"] for contig in self.contigs], np.int64)
        return lengths[self.contig] - self.window - self.context

    def __reduce__(self) -> tuple[type[Dataset], tuple[Path]]:
        return Dataset, (self.path,)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sequence.close()

    def rows(self, split: str) -> NDArray[np.intp]:
        """Windows of a split, in genome order."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def labels_digest(self) -> str:
        """SHA-256 of markers and labels: what must not change while a training is interrupted."""
        digest = hashlib.sha256("\n".join(marker.name for marker in self.markers).encode())
        for column in (self._labels, self._marker, *(self._places or ())):
            digest.update(column.tobytes())
        return digest.hexdigest()

    def sequence(self, rows: NDArray[np.intp]) -> Codes:
        """Base codes of windows, shape (len(rows), length)."""
        return self._sequence.fetch(self._offset[rows], self.length)

    def labels(self, rows: NDArray[np.intp]) -> LabelIntervals:
        """Label intervals of windows; `window` counts along `rows`."""
        return _tensors(*self._intervals(rows))

    def _intervals(self, rows: NDArray[np.intp]) -> Intervals:
        """Window, marker, start and end of the labels of `rows`."""
        first, last = self._labels[rows], self._labels[rows + 1]
        count = last - first
        at = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
        window, marker = np.repeat(np.arange(len(rows)), count), self._marker[at].astype(np.int64)
        if not self._places:
            return window, marker, np.zeros_like(window), np.ones_like(window)
        start, end = (place[at].astype(np.int64) for place in self._places)
        return window, marker, start, end

    def batch(self, rows: NDArray[np.intp]) -> Batch:
        """The windows `rows` with their labels."""
        return self.serve(Order.plain(rows))

    def serve(self, order: Order) -> Batch:
        """The windows of `order`, turned and shifted as it says."""
        codes = self.sequence(order.rows)
        intervals = self._intervals(order.rows)
        dense = self.task == "dense"
        if order.turned.any():
            codes[order.turned] = reverse_complement(codes[order.turned])
            intervals = turned(intervals, order.turned, self.window) if dense else intervals
        if order.shift.any():
            codes = shifted(codes, order.shift)
            intervals = moved(intervals, order.shift, self.window) if dense else intervals
        mask = codes != N if dense else np.ones((len(codes), 1), bool)
        return Batch({"sequence": torch.from_numpy(codes)}, _tensors(*intervals), torch.from_numpy(mask))

    def batches(
        self,
        split: str,
        batch_size: int,
        *,
        shuffle_seed: tuple[int, int] | None = None,
        augmentation: Augmentation | None = None,
        first_step: int = 0,
        rank: int = 0,
        ranks: int = 1,
        workers: int = 0,
    ) -> Iterator[Batch]:
        """All windows of a split, `batch_size` at a time.

        Parameters
        ----------
        split
            One of `SPLITS`.
        batch_size
            Windows a batch, over all ranks; the last batch may be smaller.
        shuffle_seed
            Seed and epoch of the order; in genome order without it. The order, and how a window is varied, depend on
            nothing else: neither on `batch_size`, `ranks` nor `workers`.
        augmentation
            How shuffled windows are varied; not at all without it.
        first_step
            Batches to pass over: where an interrupted epoch goes on.
        rank, ranks
            Every `ranks`-th window of each batch, from the `rank`-th. Shuffled batches that do not have a window for
            every rank are left out, so that all ranks take the same number of steps.
        workers
            Processes that prepare batches ahead; 0 does it in this one.
        """
        if batch_size < ranks:
            raise ValueError(f"a batch of {batch_size} for {ranks} ranks")
        rows = self.rows(split)
        order = Order.plain(rows)
        if shuffle_seed is not None:
            order = Order.shuffled(rows, shuffle_seed, augmentation or Augmentation())
        steps = range(first_step, order.steps(batch_size, ranks if shuffle_seed is not None else 1))
        parts = [order.part(step, batch_size, rank, ranks) for step in steps]
        parts = [part for part in parts if len(part.rows)]
        yield from serve_ahead(self.serve, parts, workers, self.path) if workers and parts else map(self.serve, parts)


def _tensors(window: Positions, marker: Positions, start: Positions, end: Positions) -> LabelIntervals:
    return LabelIntervals(*map(torch.from_numpy, (window, marker, start, end)))
