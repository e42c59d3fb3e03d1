"""How a network walks a genome: exact tiles, overlapping windows, the windows of training, or bins."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dilannot.errors import DilannotError
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Interval
from dilannot.genome.sequence import Codes, N
from dilannot.genome.tiles import Context, Tile, cover, cover_bins, cover_overlapping, cover_windows
from dilannot.models.pieces import bias_of, pieces
from dilannot.run import Run

TILE = 50_000  # nt; for `dilated` 2.24 us/nt at 25,000, 2.06 at 50,000, 1.98 at 100,000, 2.01 at 250,000
_NT_AT_ONCE = 250_000  # of overlapping windows of bins: DanQ's filters take 1.2 GB for as many

# Probabilities of a piece, (N, T, n), and where its first one begins, counted from the start of the sequence.
Piece = tuple[int, Tensor]


class Walk(Protocol):
    """Which parts of a genome to read, and what a network says of them. Legend: N tiles, L positions, T markers.

    Attributes
    ----------
    network
        In evaluation mode.
    size
        Tiles start on multiples of it, nt.
    unit
        Nucleotides of a probability.
    """

    @property
    def network(self) -> torch.nn.Module: ...

    @property
    def size(self) -> int: ...

    @property
    def unit(self) -> int: ...

    def tiles(self, region: Interval, contig_length: int) -> Iterator[Tile]:
        """Tiles that keep every position of `region` exactly once, in order. Past a contig's end there is N."""
        ...

    def predict(self, sequence: Tensor, start: int, end: int) -> Iterator[Piece]:
        """Probabilities of positions [start, end) of tiles of one length, (N, L) base codes, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Dense:
    """What the walks of dense networks share.

    Attributes
    ----------
    stride
        Of the network.
    both_strands
        Average the probabilities of a sequence and of its reverse complement; where the length is no multiple of the
        stride, N at the end makes it one.
    """

    network: torch.nn.Module
    size: int
    stride: int
    both_strands: bool

    @property
    def unit(self) -> int:
        """Every nucleotide has a probability."""
        return 1

    def predict(self, sequence: Tensor, start: int, end: int) -> Iterator[Piece]:
        """See `Walk`."""
        if not self.both_strands:
            yield from self._one_strand(sequence, start, end)
            return
        sequence = torch.nn.functional.pad(sequence, (0, -sequence.shape[1] % self.stride))
        length = sequence.shape[1]
        behind = self._one_strand(other_strand(sequence), length - end, length - start)
        # The other strand's pieces come from the far end, so they are kept until the near one is reached.
        other = torch.cat([each.clone() for _, each in behind], dim=2).flip(2)
        for first, one in self._one_strand(sequence, start, end):
            yield first, one.add_(other[:, :, first - start : first - start + one.shape[2]]).mul_(0.5)

    def _one_strand(self, sequence: Tensor, start: int, end: int) -> Iterator[Piece]:
        bias = bias_of(self.network)
        for piece in pieces(self.network, sequence, start, end):
            # What an unknown network gives may be its own, or one number for many positions: it is left as it is.
            logits = piece.logits if bias is None else piece.logits.add_(bias[:, None])
            yield piece.start, logits.sigmoid() if bias is None else logits.sigmoid_()


@dataclass(frozen=True, slots=True)
class ExactTiles(Dense):
    """Tiles with as much context as the network can see: the result equals one pass over the contig."""

    context: Context

    def tiles(self, region: Interval, contig_length: int) -> Iterator[Tile]:
        """See `Walk`."""
        return cover(region, self.size, self.context, contig_length)


@dataclass(frozen=True, slots=True)
class OverlappingWindows(Dense):
    """Windows as long as in training, of which the middle half is kept: for networks without a finite context."""

    window: int

    def tiles(self, region: Interval, contig_length: int) -> Iterator[Tile]:
        """See `Walk`."""
        return cover_overlapping(region, self.window, self.stride, contig_length)


@dataclass(frozen=True, slots=True)
class TrainingWindows(Dense):
    """Windows side by side, as in training: each sees nothing of its neighbours."""

    def tiles(self, region: Interval, contig_length: int) -> Iterator[Tile]:
        """See `Walk`."""
        return cover_windows(region, self.size, contig_length)


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins as in training: a network for windows decides on each from the sequence around it."""

    network: torch.nn.Module
    bin_length: int
    length: int
    size: int
    both_strands: bool = False

    @property
    def unit(self) -> int:
        """One probability for each bin."""
        return self.bin_length

    def tiles(self, region: Interval, contig_length: int) -> Iterator[Tile]:
        """See `Walk`."""
        return cover_bins(region, self.size, self.bin_length, self.length)

    def predict(self, sequence: Tensor, start: int, end: int) -> Iterator[Piece]:
        """See `Walk`."""
        windows = sequence.unfold(1, self.length, self.bin_length)  # (N, bins, length)
        parts = torch.split(windows.reshape(-1, self.length), max(1, _NT_AT_ONCE // self.length))
        made = torch.cat([self._probabilities(part) for part in parts])
        yield (self.length - self.bin_length) // 2, made.view(*windows.shape[:2], -1).transpose(1, 2)

    def _probabilities(self, windows: Tensor) -> Tensor:
        probabilities: Tensor = self.network(windows)[:, :, 0].sigmoid()
        if self.both_strands:
            other: Tensor = self.network(other_strand(windows))[:, :, 0].sigmoid()
            return probabilities.add_(other).mul_(0.5)
        return probabilities


def codes_of(genome: Genome, tile: Tile) -> Codes:
    """Base codes of a tile; N where it leaves its contig."""
    length = genome.contigs[tile.contig].length
    inside = genome.fetch(tile.contig, max(0, tile.read_start), min(length, tile.read_end))
    before, after = max(0, -tile.read_start), max(0, tile.read_end - length)
    return np.pad(inside, (before, after), constant_values=N) if before or after else inside


def other_strand(sequence: Tensor) -> Tensor:
    """Reverse complement of base codes."""
    back = sequence.flip(-1)
    return torch.where(back == 0, back, 5 - back)


def walk_of(
    network: torch.nn.Module,
    run: Run,
    context: Context | None,
    tile: int | None = None,
    *,
    training_windows: bool = False,
    both_strands: bool = False,
    bin_length: int = 1,
) -> Walk:
    """How a run's network walks a genome.

    Parameters
    ----------
    network
        Of the run, or one that does the same.
    run
        Its record.
    context
        `context_of` the run's network; one without a finite context gets windows as long as in training.
    tile
        Kept nt of a tile; None lets the network choose.
    training_windows
        Independent windows as in training, whatever the network.
    both_strands
        Average over both strands.
    bin_length
        Tiles hold whole bins of so many nt.

    Raises
    ------
    DilannotError
        A tile that does not fit the network or the bins, or bins that do not fit its windows.
    """
    if run.output == "window":
        if training_windows:
            raise DilannotError("this network decides on bins, not on windows", where="--window-mode")
        return Bins(network, run.window, run.length, _tile(tile, run.window), both_strands)
    stride = context.stride if context else getattr(network, "stride", 1)
    if training_windows or context is None:
        if tile is not None:
            why = "windows are those of training" if training_windows else "this network has no finite context"
            raise DilannotError(f"a tile of {tile} nt", where="--tile", remedy=f"leave it out: {why}")
        if training_windows:
            return TrainingWindows(network, _whole_bins(run.window, bin_length), stride, both_strands)
        margin = run.window // 4 // stride * stride
        kept = max((run.window - 2 * margin) // stride, 1) * stride
        return OverlappingWindows(network, _whole_bins(kept, bin_length), stride, both_strands, run.window)
    if both_strands:
        # Seen from the other strand, left is right, and a block begins at its last position.
        left, right = max(context.left, context.right - stride + 1), max(context.right, context.left + stride - 1)
        context = replace(context, left=left, right=right)
    return ExactTiles(network, _tile(tile, math.lcm(stride, bin_length)), stride, both_strands, context)


def _whole_bins(size: int, bin_length: int) -> int:
    if size % bin_length:
        raise DilannotError(f"bins of {bin_length} nt", where="--bin", remedy=f"give a divisor of {size:,}")
    return size


def _tile(asked: int | None, step: int) -> int:
    """Kept nt of a tile."""
    if asked is not None and (asked < 1 or asked % step):
        raise DilannotError(f"a tile of {asked} nt", where="--tile", remedy=f"give a multiple of {step}")
    return asked or max(1, TILE // step) * step
