"""Integer histograms of scores per marker: what is counted while predictions stream by, on a CPU or a GPU."""

from __future__ import annotations

import mmap
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dilannot.data.batch import Batch, LabelIntervals
from dilannot.errors import DilannotError
from dilannot.genome.intervals import runs
from dilannot.metrics.counting import count_window
from dilannot.metrics.keys import COARSE, HIGHEST, KEYS, LOWEST, Space, coarse_edges, key_values

Counts = NDArray[np.uint32]

_MOST = (1 << 32) - 1  # positions that 32 bits count: more than any vertebrate has
_TOGETHER = 64  # markers whose scores are shifted at a time
_FAR = 30.0  # logits beyond which probabilities are 0 or 1
_MORE = 64
_HIGH = 1_000  # one in so many scores is higher than what is taken from them
_ON_A_GPU = 1 << 24  # scores whose places are made at a time, eight bytes each


class Room:
    """A place for the scores of one batch, used again by the next: new memory costs more than counting its scores.

    Parameters
    ----------
    shift
        (T,) what is taken from scores before they are rounded, see `ScoreHistograms`.
    """

    def __init__(self, shift: NDArray[np.float64] | None = None) -> None:
        self._shift = None if shift is None else torch.from_numpy(shift).float()
        self._kept = torch.empty(0, dtype=torch.float16)

    def of(self, size: int, markers: int, length: int, device: torch.device) -> Tensor:
        """A (N, T, L) tensor of half precision with each marker in one piece, as `ScoreHistograms.update` wants it."""
        needed = size * markers * length
        if self._kept.numel() < needed or self._kept.device != device:
            self._kept = torch.empty(needed, dtype=torch.float16, device=device)
        return self._kept[:needed].view(markers, size, length).transpose(0, 1)

    def shift(self, markers: int, device: torch.device) -> Tensor:
        """(T,) what is taken from scores."""
        return (torch.zeros(markers) if self._shift is None else self._shift).to(device)

    def put(self, scores: Tensor) -> Tensor:
        """(N, T, L) scores less the shift, in half precision."""
        size, markers, length = scores.shape
        room, shift = self.of(size, markers, length, scores.device), self.shift(markers, scores.device)
        for begin in range(0, markers, _TOGETHER):
            some = slice(begin, begin + _TOGETHER)
            room[:, some] = scores[:, some] if self._shift is None else scores[:, some] - shift[some, None]
        return room


@dataclass(slots=True)
class ScoreHistograms:
    """How often each score was given, to all positions and to the positive ones.

    A score, less its marker's `shift`, counts as the half-precision number next to it: these lie closest around 0, so
    that a shift to where the highest scores lie tells most of those apart that decide about precision. Histograms of
    parts add up to that of the whole, whatever the order, the batches and the processes. Pages that no score falls on
    take no memory. Coarse bins fit a marker's scores in the first block.

    Attributes
    ----------
    markers
        T, how many there are.
    space
        What the scores are.
    blocks
        Parts of the genome that are counted coarsely each, for intervals; 0 does without.
    shift
        (T,) taken from scores before they are rounded; nothing is without it.
    room
        Where scores are put, so that `update` need not copy them.
    edges
        (T, COARSE + 1) keys at which coarse bins begin; without them they are chosen after the first block.
    everything, positive
        (T, KEYS) counts by key.
    coarse_everything, coarse_positive
        (blocks, T, COARSE) counts by coarse bin.
    positions
        Counted so far, in this process.
    """

    markers: int
    space: Space = "logit"
    blocks: int = 0
    edges: NDArray[np.int64] | None = None
    shift: NDArray[np.float64] | None = None
    everything: Counts = field(init=False)
    positive: Counts = field(init=False)
    coarse_everything: Counts = field(init=False)
    coarse_positive: Counts = field(init=False)
    positions: int = 0
    _seen: NDArray[np.int64] = field(init=False)
    _first: int | None = None  # block
    _there: _OnDevice | None = None
    room: Room = field(init=False)

    def __post_init__(self) -> None:
        self.room = Room(self.shift)
        self._seen = np.tile(np.array([KEYS, 0]), (self.markers, 2, 1))
        self.everything, self.positive = (_sparse_zeros(self.markers, KEYS) for _ in range(2))
        self.coarse_everything, self.coarse_positive = (
            _sparse_zeros(self.blocks * self.markers, COARSE).reshape(self.blocks, self.markers, COARSE)
            for _ in range(2)
        )

    def update(self, scores: Tensor, labels: LabelIntervals, mask: Tensor, block: int = 0) -> None:
        """Count one batch.

        Parameters
        ----------
        scores
            (N, T, L); those in half precision were put into the `room` by the caller, less the shift.
        labels
            Where they are positive.
        mask
            (N, L) bool, positions that count.
        block
            Which part of the genome this is.

        Raises
        ------
        DilannotError
            More positions than can be counted.
        """
        halves = scores if scores.dtype == torch.float16 else self.room.put(scores)
        self.positions += int(mask.sum())
        if self.positions > _MOST:
            raise DilannotError(
                f"more than {_MOST:,} positions", remedy="evaluate some contigs at a time, with --region"
            )
        self._first = block if self._first is None else self._first
        if self.blocks and self.edges is None and block != self._first:
            self._choose_edges()
        if halves.device.type != "cpu":
            if self._there is None:
                self._there = _OnDevice(self, halves.device)
            there = Batch({}, labels, mask).to(halves.device)
            self._there.update(halves, there.targets, there.mask, block, self.edges)
            return
        labels = side_by_side(labels, halves.shape[2])
        order = torch.argsort(labels.marker, stable=True).numpy()
        marker, start, end = (column.numpy()[order] for column in (labels.marker, labels.start, labels.end))
        first = np.searchsorted(marker, np.arange(self.markers + 1))
        bits = halves.transpose(0, 1).reshape(self.markers, -1).view(torch.int16).numpy().view(np.uint16)
        self._count(bits, mask.reshape(-1).numpy(), first, start, end, block)

    def _count(
        self, bits: NDArray[np.uint16], mask: NDArray[np.bool_], first: NDArray[np.int64],
        start: NDArray[np.int64], end: NDArray[np.int64], block: int,
    ) -> None:  # fmt: skip
        """Count (T, positions) of all windows; threads take some of the markers each."""
        known_start, known_end = runs(mask)
        if not len(known_start):
            return
        threads, edges, coarse = min(torch.get_num_threads(), self.markers), self.edges, self._coarse_of(block)
        if edges is None:  # one bin, which nobody reads
            edges = np.tile(np.array([0, KEYS]), (self.markers, 1))

        def some(part: int) -> None:
            begin, stop = (self.markers * each // threads for each in (part, part + 1))
            own, other = np.zeros((2, KEYS), np.uint32)
            count_window(  # type: ignore[no-untyped-call]
                bits, known_start, known_end, mask.view(np.uint8), first, start, end, begin, stop,
                self.everything, self.positive, coarse[0], coarse[1],
                self._seen, edges, own, other,
            )  # fmt: skip

        if threads == 1:
            some(0)
            return
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(some, range(threads)):
                pass

    def _coarse_of(self, block: int) -> list[Counts]:
        """Where a block is counted coarsely; nowhere that is kept, as long as there are no bins."""
        if self.edges is None:
            return list(np.zeros((2, self.markers, 1), np.uint32))
        return [self.coarse_everything[block], self.coarse_positive[block]]

    def _choose_edges(self) -> None:
        """Fit the coarse bins to what was counted so far, which is the first block."""
        if self._there is not None:
            self._there.bring(self)
        occupied = [np.flatnonzero(row) for row in self.everything]
        bounds = [(key_values()[keys[[0, -1]]] if len(keys) else (np.nan, np.nan)) for keys in occupied]
        low, high = np.array(bounds, np.float64).reshape(-1, 2).T
        self.edges = coarse_edges(low, high, self.space)
        assert self._first is not None
        for coarse, counts in ((self.coarse_everything, self.everything), (self.coarse_positive, self.positive)):
            for marker, row in enumerate(counts):
                before = np.append(0, np.cumsum(row, dtype=np.int64))[self.edges[marker]]
                coarse[self._first, marker] = np.diff(before)

    def distinct(self) -> NDArray[np.int64]:
        """(T, COARSE) how many different scores were counted in each coarse bin."""
        assert self.edges is not None
        before = (np.append(0, np.cumsum(row > 0)) for row in self.everything)
        return np.stack([np.diff(each[edges]) for each, edges in zip(before, self.edges, strict=True)])

    def finish(self) -> None:
        """`collect` and `check`."""
        self.collect()
        self.check()

    def collect(self) -> None:
        """Bring what a GPU has counted here."""
        if self._there is not None:
            self._there.bring(self)
            self._there = None
        if self.blocks and self.edges is None and self._first is not None:
            self._choose_edges()

    def check(self) -> None:
        """Look whether all of it were numbers.

        Raises
        ------
        DilannotError
            Some scores were NaN.
        """
        if self.everything[:, :LOWEST].any() or self.everything[:, HIGHEST + 1 :].any():
            raise DilannotError("the network gives no numbers: are its weights damaged?")


def _sparse_zeros(rows: int, columns: int) -> Counts:
    """Zeros whose pages take memory once they are written to. NumPy's would come in pages of 2 MB."""
    # Of memory that is shared, pages that are only read would be made, too.
    memory = mmap.mmap(-1, max(rows * columns * 4, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with suppress(OSError):  # a kernel without any
            memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.uint32, rows * columns).reshape(rows, columns)


def highest(scores: Tensor) -> NDArray[np.float64]:
    """(T,) a little more than what one in a thousand of (N, T, L) scores is higher than: a good `shift`.

    A little more, since a score that is just the shift would be 0, and its marker's scores reach over many more keys.
    """
    parts: list[Tensor] = []
    for some in torch.split(scores, _TOGETHER, dim=1):
        flat = some.float().transpose(0, 1).reshape(some.shape[1], -1)
        top = flat.topk(max(1, flat.shape[1] // _HIGH)).values[:, -1]
        parts.append(top + (top - flat.median(dim=1).values) / _MORE)
    return torch.nan_to_num(torch.cat(parts)).clamp(-_FAR, _FAR).cpu().double().numpy()


def side_by_side(labels: LabelIntervals, length: int) -> LabelIntervals:
    """Labels of windows of L positions as those of one window of N * L."""
    shift = labels.window * length
    return LabelIntervals(torch.zeros_like(shift), labels.marker, labels.start + shift, labels.end + shift)


class _OnDevice:
    """The same counts on a GPU; torch has no sums of unsigned integers, but their bits are the same."""

    def __init__(self, of: ScoreHistograms, device: torch.device) -> None:
        shapes = (of.everything, of.positive, of.coarse_everything, of.coarse_positive)
        self._counts = [torch.zeros(each.size, dtype=torch.int32, device=device) for each in shapes]
        self._markers = of.markers

    def update(
        self, halves: Tensor, labels: LabelIntervals, mask: Tensor, block: int, edges: NDArray[np.int64] | None
    ) -> None:
        """See `ScoreHistograms.update`; all of it is on the device, but the edges."""
        size, markers, length = halves.shape
        bits, counted = halves.view(torch.int16), mask.to(torch.int32)
        flat = labels.flat_index(markers, length)
        row = torch.div(flat, length, rounding_mode="floor")
        there = torch.div(row, markers, rounding_mode="floor") * length + flat % length
        hit_keys, hit_markers, hits = _ordered(bits.reshape(-1)[flat]), row % markers, counted.reshape(-1)[there]
        self._add(1, hit_markers * KEYS + hit_keys, hits)
        borders = None if edges is None else torch.from_numpy(edges[:, 1:]).to(bits.device)
        if borders is not None:
            place = torch.searchsorted(borders[hit_markers], hit_keys[:, None], right=True)[:, 0]
            self._add(3, (block * markers + hit_markers) * COARSE + place, hits)
        step = max(1, _ON_A_GPU // (size * length))
        for begin in range(0, markers, step):
            keys = _ordered(bits[:, begin : begin + step]).transpose(0, 1).reshape(-1, size * length)
            some = torch.arange(begin, begin + len(keys), device=bits.device)[:, None]
            ones = counted.reshape(1, -1).expand_as(keys)
            self._add(0, some * KEYS + keys, ones)
            if borders is not None:
                place = torch.searchsorted(borders[begin : begin + len(keys)].contiguous(), keys, right=True)
                self._add(2, (block * markers + some) * COARSE + place, ones)

    def _add(self, which: int, place: Tensor, ones: Tensor) -> None:
        self._counts[which].scatter_add_(0, place.reshape(-1), ones.reshape(-1))

    def bring(self, to: ScoreHistograms) -> None:
        """Move the counts to those of `to`."""
        wholes: list[Any] = [to.everything, to.positive, to.coarse_everything, to.coarse_positive]
        for whole, counts in zip(wholes, self._counts, strict=True):
            whole += counts.cpu().numpy().view(np.uint32).reshape(whole.shape)
            counts.zero_()


def _ordered(bits: Tensor) -> Tensor:
    """Keys of half-precision numbers."""
    wide = bits.to(torch.int64)
    return torch.where(wide < 0, -1 - wide, wide + 0x8000)
