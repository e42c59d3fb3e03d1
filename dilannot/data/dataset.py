"""Reading side of a dataset: windows and label intervals as batches of tensors."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from dilannot.data import schema
from dilannot.data.order import Augmentation, Order
from dilannot.data.sequence import SequenceReader
from dilannot.data.splits import SPLITS
from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.genome.intervals import Positions
from dilannot.genome.sequence import Codes, N, reverse_complement


@dataclass(frozen=True, slots=True)
class LabelIntervals:
    """Where the labels of a batch are 1: int64 tensors of shape (K,), disjoint, grouped by window.

    `window` counts within the batch; `start` and `end` are 0-based half-open in the window's L label positions (one for
    a bin, else one a nucleotide).
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
        Named tensors for the network: `sequence`, (N, bases) uint8 base codes.
    targets
        Label intervals.
    mask
        (N, L) bool: label positions that count. Unknown bases (N) of dense windows do not.
    """

    inputs: dict[str, Tensor]
    targets: LabelIntervals
    mask: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        targets = LabelIntervals(*(moved(getattr(self.targets, field.name)) for field in fields(self.targets)))
        return Batch({name: moved(value) for name, value in self.inputs.items()}, targets, moved(self.mask))


class Dataset:
    """An open `dataset.h5`; forked processes may share it.

    Attributes
    ----------
    path, markers, task
        The file, its marker table, and `dense` or `window`.
    window, context, length
        Labelled bases of a window, those of sequence on either side, and all of them, nt.
    positions
        Label positions of a window: `window` in a dense dataset, 1 for a bin.
    split
        (windows,) index into `SPLITS`.
    positives
        (markers, splits) labelled positions.
    digest
        SHA-256 of contigs, windows and their splits: what must not change between training and testing.
    """

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
        self.digest = _digest(self)
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

    def sequence(self, rows: NDArray[np.intp]) -> Codes:
        """Base codes of windows, shape (len(rows), length)."""
        return self._sequence.fetch(self._offset[rows], self.length)

    def labels(self, rows: NDArray[np.intp]) -> LabelIntervals:
        """Label intervals of windows; `window` counts along `rows`."""
        return _tensors(*self._intervals(rows))

    def _intervals(self, rows: NDArray[np.intp]) -> tuple[Positions, Positions, Positions, Positions]:
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
            intervals = _turned(intervals, order.turned, self.window) if dense else intervals
        if order.shift.any():
            codes = _shifted(codes, order.shift)
            intervals = _moved(intervals, order.shift, self.window) if dense else intervals
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
        rows = self.rows(split)
        order = Order.plain(rows)
        if shuffle_seed is not None:
            order = Order.shuffled(rows, shuffle_seed, augmentation or Augmentation())
        steps = range(first_step, order.steps(batch_size, ranks if shuffle_seed is not None else 1))
        parts = [order.part(step, batch_size, rank, ranks) for step in steps]
        yield from self._served([part for part in parts if len(part.rows)], workers)

    def _served(self, parts: list[Order], workers: int) -> Iterator[Batch]:
        if not workers:
            yield from map(self.serve, parts)
            return
        # A generator of its own: dropout draws the same numbers with workers and without.
        loader = DataLoader(
            _Parts(self, parts),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4,
            generator=torch.Generator(),
        )
        for item in self._while_they_live(loader):
            if isinstance(item, Exception):
                raise item
            yield item

    def _while_they_live(self, loader: DataLoader[Batch | Exception]) -> Iterator[Batch | Exception]:
        """What the workers send, until one of them dies."""
        try:
            with _deaths_unannounced():
                items = iter(loader)
            yield from items
        except (RuntimeError, ConnectionError, FileNotFoundError, EOFError) as error:
            # The last three: a batch was announced, and its sender is gone.
            if isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error):
                raise
            raise DilannotError(
                "a process that reads the dataset has died (killed? out of memory?)",
                where=self.path,
                remedy="use fewer --workers",
                exit_code=ENVIRONMENT,
            ) from error


@contextmanager
def _deaths_unannounced() -> Iterator[None]:
    """Keep torch from raising a worker's death wherever the program is then; its loader looks every five seconds."""
    here = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGCHLD) or signal.SIG_DFL
    try:
        yield
    finally:
        if here:
            signal.signal(signal.SIGCHLD, before)


class _Parts(torch.utils.data.Dataset[Batch | Exception]):
    """What torch's loader hands to its workers; of an error raised there it would make the text of its traceback."""

    def __init__(self, dataset: Dataset, parts: list[Order]) -> None:
        self._dataset, self._parts = dataset, parts

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, step: int) -> Batch | Exception:
        try:
            return self._dataset.serve(self._parts[step])
        except (DilannotError, OSError) as error:
            return error


_Intervals = tuple[Positions, Positions, Positions, Positions]


def _tensors(window: Positions, marker: Positions, start: Positions, end: Positions) -> LabelIntervals:
    return LabelIntervals(*map(torch.from_numpy, (window, marker, start, end)))


def _turned(intervals: _Intervals, turned: NDArray[np.bool_], length: int) -> _Intervals:
    """Label intervals as the other strand has them, in the windows that are `turned`."""
    window, marker, start, end = intervals
    other = turned[window]
    return window, marker, np.where(other, length - end, start), np.where(other, length - start, end)


def _shifted(codes: Codes, shift: NDArray[np.int64]) -> Codes:
    """Sequences moved to the right by `shift`; N comes in."""
    moved = np.full_like(codes, N)
    length = codes.shape[1]
    for row, by in enumerate(np.clip(shift, -length, length).tolist()):
        moved[row, max(by, 0) : length + min(by, 0)] = codes[row, max(-by, 0) : length - max(by, 0)]
    return moved


def _moved(intervals: _Intervals, shift: NDArray[np.int64], length: int) -> _Intervals:
    """Label intervals moved along with their sequence; what leaves the window is cut off."""
    window, marker, start, end = intervals
    start, end = np.clip(start + shift[window], 0, length), np.clip(end + shift[window], 0, length)
    inside = start < end
    return window[inside], marker[inside], start[inside], end[inside]


def _digest(dataset: Dataset) -> str:
    digest = hashlib.sha256(f"{dataset.task} {dataset.window} {dataset.context}\n".encode())
    digest.update("\n".join(str(contig["md5"]) for contig in dataset.contigs).encode())
    for column in (dataset.contig, dataset.start, dataset.split):
        digest.update(column.tobytes())
    return digest.hexdigest()
