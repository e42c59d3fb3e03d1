"""Probabilities to what goes to disk, next to the network: runs of equal level, and stretches that are called.

A level is a probability in even steps. On a CPU one compiled loop makes both; on a GPU torch does, and runs are sent,
not probabilities. Legend: T markers, n probabilities of a piece, L positions of a tile, R runs, S stretches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dilannot.annotate.calls import STRETCH
from dilannot.annotate.kernels import encode, gather

_AT_ONCE = 2048  # probabilities of a marker
_NEVER = np.iinfo(np.int64).max  # a least level that nothing reaches


@dataclass(frozen=True, slots=True)
class Rules:
    """What is kept of probabilities.

    Attributes
    ----------
    steps
        Levels of a probability above zero.
    least
        (T,) lowest level that is kept.
    thresholds
        (T,) float32 probabilities from which positions are called.
    merge_gap
        Stretches this close, nt, are one.
    bin_length
        Levels are those of means over so many nt; 1 for every nucleotide its own.
    """

    steps: int
    least: NDArray[np.int64]
    thresholds: NDArray[np.float32]
    merge_gap: int
    bin_length: int = 1

    @property
    def cut(self) -> NDArray[np.float32]:
        """(T,) what lies below is neither kept nor called."""
        kept = ((self.least - 0.5) / self.steps - 1e-6).astype(np.float32)
        return kept if self.bin_length > 1 else np.minimum(kept, self.thresholds)

    @property
    def values(self) -> NDArray[np.float32]:
        """(steps + 1,) the probability of each level, as it stands in a track."""
        return (np.arange(self.steps + 1) / self.steps).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Runs and stretches, marker after marker.

    Attributes
    ----------
    counts, start, end, level
        (T,) runs of each marker, and (R,) where each lies (0-based half-open, bp) and its level.
    stretch_counts, stretches
        (T,) stretches of each marker, and (S,) `STRETCH`.
    """

    counts: NDArray[np.int64]
    start: NDArray[np.uint32]
    end: NDArray[np.uint32]
    level: NDArray[np.uint16]
    stretch_counts: NDArray[np.int64]
    stretches: NDArray[np.void]


_Runs = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint16]]
_Stretches = tuple[NDArray[np.int32], NDArray[np.void]]


class Room:
    """Arrays that the compiled loop writes into; one for each thread, used again for every piece."""

    def __init__(self, markers: int) -> None:
        self.mask = np.zeros((markers, _AT_ONCE), np.bool_)
        self.counts = np.empty(markers, np.int64)
        self._runs_of(markers * _AT_ONCE)
        self._stretches_of(markers * (_AT_ONCE // 2 + 1))

    def make_sure(self, positions: int, unit: int) -> None:
        """There is space for all that so many positions, in scores of `unit`, may become."""
        if positions > len(self.runs[0]):
            self._runs_of(positions)
        # Of a score's positions every other may be N. Where each has its own, a call needs two: itself, and a gap.
        if unit > 1 and positions + len(self.counts) > len(self.marker):
            self._stretches_of(positions + len(self.counts))

    def _runs_of(self, most: int) -> None:
        self.runs = np.empty(most, np.uint32), np.empty(most, np.uint32), np.empty(most, np.uint16)

    def _stretches_of(self, most: int) -> None:
        self.marker = np.empty(most, np.int32)
        self.stretches = tuple(np.empty(most, STRETCH[name]) for name in ("start", "end", "max", "summit"))


class TileEncoder:
    """Encodes the pieces of one tile, in order.

    Parameters
    ----------
    rules
        What is kept.
    origin
        Where the tile's first position lies on its contig, bp.
    wanted
        (L,) where something may be said: inside what is asked for, and not N.
    known
        (L,) where the genome is not N; means are taken over these.
    room
        Of this thread; unused where probabilities lie on a GPU.
    """

    def __init__(
        self, rules: Rules, origin: int, wanted: NDArray[np.bool_], known: NDArray[np.bool_], room: Room
    ) -> None:
        self._rules, self._origin, self._wanted, self._known, self._room = rules, origin, wanted, known, room
        self.clear()

    def clear(self) -> None:
        """Forget all pieces."""
        markers = len(self._rules.least)
        self._open = np.full(markers, -1), np.zeros(markers, int), np.zeros(markers, np.float32), np.zeros(markers, int)
        self._nothing_kept = np.full(markers, _NEVER)
        self._nothing_called = np.full(markers, np.inf, np.float32)
        self._sums: Tensor | None = None
        self.runs: list[_Runs] = []
        self.stretches: list[_Stretches] = []

    def add(self, probabilities: Tensor, offset: int, unit: int = 1) -> None:
        """The next (T, n) probabilities of `unit` nt each, from `offset` behind the tile's first position on."""
        rules = self._rules
        if rules.bin_length > 1 and unit == 1:
            self._add_to_means(probabilities, offset)
            self._encode(probabilities, offset, unit, self._nothing_kept, rules.thresholds, rules.thresholds)
        else:
            self._encode(probabilities, offset, unit, rules.least, rules.thresholds, rules.cut)

    def finish(self) -> None:
        """The tile is complete."""
        if self._sums is not None:
            width = self._rules.bin_length
            edges = np.arange(0, len(self._known), width)
            known = np.maximum(np.add.reduceat(self._known.astype(np.float32), edges), 1)
            means = self._sums / torch.from_numpy(known).to(self._sums.device)
            self._encode(means, 0, width, self._rules.least, self._nothing_called, self._rules.cut)
        started, end, most, summit = self._open
        marker = np.flatnonzero(started >= 0).astype(np.int32)
        last = np.empty(len(marker), STRETCH)
        for name, column in zip(("start", "end", "max", "summit"), (started, end, most, summit), strict=True):
            last[name] = column[marker]
        self.stretches.append((marker, last))

    def _add_to_means(self, probabilities: Tensor, offset: int) -> None:
        """Add up the bins; of a bin that is cut between pieces, its parts."""
        width, length = self._rules.bin_length, len(self._known)
        first, last = max(0, offset), min(length, offset + probabilities.shape[1])
        part = probabilities[:, first - offset : last - offset]
        if not self._known[first:last].all():
            part = part * torch.from_numpy(self._known[first:last]).to(part.device)
        if self._sums is None:
            self._sums = part.new_zeros(len(part), -(-length // width))
        inner, outer = -(-first // width) * width, last // width * width
        if inner > outer:
            self._sums[:, first // width] += part.sum(1)
            return
        if first < inner:
            self._sums[:, first // width] += part[:, : inner - first].sum(1)
        whole = part[:, inner - first : outer - first]
        self._sums[:, inner // width : outer // width] += whole.reshape(len(whole), -1, width).sum(2)
        if outer < last:
            self._sums[:, outer // width] += part[:, outer - first :].sum(1)

    def _encode(
        self,
        probabilities: Tensor,
        offset: int,
        unit: int,
        least: NDArray[np.int64],
        thresholds: NDArray[np.float32],
        cut: NDArray[np.float32],
    ) -> None:
        if probabilities.device.type != "cpu":
            place = self._origin, offset, unit
            runs, stretches = encode_with_torch(
                probabilities, least, self._rules.steps, thresholds, self._wanted, place
            )
            self.runs.append(runs)
            self.stretches.append(stretches)
            return
        scores = probabilities.numpy()
        for begin in range(0, scores.shape[1], _AT_ONCE):
            part = np.ascontiguousarray(scores[:, begin : begin + _AT_ONCE])
            self._encode_part(part, offset + begin * unit, unit, least, thresholds, cut)

    def _encode_part(
        self,
        scores: NDArray[np.float32],
        offset: int,
        unit: int,
        least: NDArray[np.int64],
        thresholds: NDArray[np.float32],
        cut: NDArray[np.float32],
    ) -> None:
        room, rules = self._room, self._rules
        mask = _of_width(room.mask, -(-scores.shape[1] // 8) * 8)
        mask[:, scores.shape[1] :] = False
        np.greater_equal(scores, cut[:, None], out=mask[:, : scores.shape[1]])
        room.make_sure(int(np.count_nonzero(mask)) * unit, unit)
        runs, ended = encode(  # type: ignore[no-untyped-call]
            scores, mask, mask.view(np.uint64), least, np.float32(rules.steps), thresholds, self._wanted,
            self._origin, offset, unit, rules.merge_gap, *self._open,
            *room.runs, room.counts, room.marker, *room.stretches,
        )  # fmt: skip
        start, end, level = room.runs
        self.runs.append((room.counts.copy(), start[:runs].copy(), end[:runs].copy(), level[:runs].copy()))
        stretches = np.empty(ended, STRETCH)
        for name, column in zip(("start", "end", "max", "summit"), room.stretches, strict=True):
            stretches[name] = column[:ended]
        self.stretches.append((room.marker[:ended].copy(), stretches))


def _of_width(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The same memory as rows of another width, without gaps between them."""
    return mask.reshape(-1)[: len(mask) * width].reshape(len(mask), width)


def encode_with_torch(
    probabilities: Tensor,
    least: NDArray[np.int64],
    steps: int,
    thresholds: NDArray[np.float32],
    wanted: NDArray[np.bool_],
    place: tuple[int, int, int],
) -> tuple[_Runs, _Stretches]:
    """What the compiled loop gives, made where the probabilities lie; only runs and stretches are fetched.

    Stretches are not joined yet. `place` is origin, offset and unit.
    """
    origin, offset, unit = place
    where = probabilities.device
    scores = probabilities.repeat_interleave(unit, dim=1) if unit > 1 else probabilities
    first, last = max(0, offset), min(len(wanted), offset + scores.shape[1])
    scores = scores[:, first - offset : last - offset]
    inside = torch.from_numpy(wanted[first:last]).to(where)
    level = (scores * steps + 0.5).to(torch.int32)
    kept = inside & (level >= torch.from_numpy(np.minimum(least, steps + 1)).to(where)[:, None])
    marker, start, end = _stretches_of(kept, torch.where(kept, level, -1))
    counts = torch.bincount(marker, minlength=len(scores))
    runs = (
        counts.cpu().numpy(),
        (start + origin + first).cpu().numpy().astype(np.uint32),
        (end + origin + first).cpu().numpy().astype(np.uint32),
        level[marker, start].cpu().numpy().astype(np.uint16),
    )
    called = inside & (scores >= torch.from_numpy(thresholds).to(where)[:, None])
    marker, start, end = _stretches_of(called, called)
    stretches = np.empty(len(marker), STRETCH)
    most, summit = _summits(scores, called, start, marker)
    for name, column in (("start", start), ("end", end), ("summit", summit)):
        stretches[name] = (column + origin + first).cpu().numpy()
    stretches["max"] = most.cpu().numpy()
    return runs, (marker.cpu().numpy().astype(np.int32), stretches)


def _stretches_of(inside: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row, start and end of each stretch of equal value inside; all (T, n)."""
    edge = value[:, 1:] != value[:, :-1]
    border = edge.new_ones(len(edge), 1)
    starts = (inside & torch.cat([border, edge], dim=1)).nonzero()
    ends = (inside & torch.cat([edge, border], dim=1)).nonzero()
    return starts[:, 0], starts[:, 1], ends[:, 1] + 1


def _summits(scores: Tensor, called: Tensor, start: Tensor, marker: Tensor) -> tuple[Tensor, Tensor]:
    """Highest score of each stretch, and the first column that has it."""
    row, column = called.nonzero(as_tuple=True)
    width = scores.shape[1]
    stretch = torch.searchsorted(marker * width + start, row * width + column, right=True) - 1
    values = scores[row, column]
    most = values.new_zeros(len(start)).scatter_reduce(0, stretch, values, "amax")
    place = torch.where(values == most[stretch], column, width)
    return most, torch.full_like(start, width).scatter_reduce(0, stretch, place, "amin")


def in_one(tiles: Sequence[TileEncoder]) -> Encoded:
    """The tiles of a block, in order, as one: marker after marker, runs that were cut whole again."""
    runs = [each for tile in tiles for each in tile.runs]
    counts = np.stack([each[0] for each in runs])
    start, end, level = (np.concatenate([each[i] for each in runs]) for i in (1, 2, 3))
    made = np.empty_like(start), np.empty_like(end), np.empty_like(level)
    of_marker = np.empty(counts.shape[1], np.int64)
    length = gather(  # type: ignore[no-untyped-call]
        counts, start, end, level, *made, of_marker
    )
    marker = np.concatenate([each[0] for tile in tiles for each in tile.stretches])
    order = np.argsort(marker, kind="stable")
    stretches = np.concatenate([each[1] for tile in tiles for each in tile.stretches])[order]
    start, end, level = (each[:length] for each in made)
    return Encoded(of_marker, start, end, level, np.bincount(marker, minlength=counts.shape[1]), stretches)
