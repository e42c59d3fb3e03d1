"""How a network walks a genome: exact tiles, overlapping windows, or bins."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dilannot.errors import DilannotError
from dilannot.genome.intervals import Interval
from dilannot.genome.tiles import Context, Tile, cover, cover_bins, cover_overlapping
from dilannot.models import context_of
from dilannot.run import Run

TILE = 25_000  # nt; the length of a training window
_NT_AT_ONCE = 250_000  # of overlapping windows of bins: DanQ's filters take 1.2 GB for as many


class Walk(Protocol):
    """Which parts of a genome to read, and what a network says of them. Legend: N tiles, L positions, T markers."""

    def tiles(self, region: Interval, contig_length: int) -> Iterator[Tile]:
        """Tiles that keep every position of `region` exactly once, in order. Past a contig's end there is N."""
        ...

    def predict(self, sequence: Tensor, start: int, end: int) -> Tensor:
        """Logits of positions [start, end) of tiles of one length, (N, L) base codes -> (N, T, end - start)."""
        ...


@dataclass(frozen=True, slots=True)
class ExactTiles:
    """Tiles with as much context as the network can see: the result equals one pass over the contig."""

    network: torch.nn.Module
    context: Context
    size: int

    def tiles(self, region: Interval, contig_length: int) -> Iterator[Tile]:
        return cover(region, self.size, self.context, contig_length)

    def predict(self, sequence: Tensor, start: int, end: int) -> Tensor:
        logits: Tensor = self.network(sequence, keep=(start, end))
        return logits


@dataclass(frozen=True, slots=True)
class OverlappingWindows:
    """Windows as long as in training, of which the middle half is kept: for networks without a finite context."""

    network: torch.nn.Module
    window: int
    stride: int

    def tiles(self, region: Interval, contig_length: int) -> Iterator[Tile]:
        return cover_overlapping(region, self.window, self.stride, contig_length)

    def predict(self, sequence: Tensor, start: int, end: int) -> Tensor:
        if "keep" in inspect.signature(self.network.forward).parameters:
            logits: Tensor = self.network(sequence, keep=(start, end))
            return logits
        whole: Tensor = self.network(sequence)
        return whole[:, :, start:end]


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins as in training: a network for windows decides on each from the sequence around it."""

    network: torch.nn.Module
    bin_length: int
    length: int
    size: int

    def tiles(self, region: Interval, contig_length: int) -> Iterator[Tile]:
        return cover_bins(region, self.size, self.bin_length, self.length)

    def predict(self, sequence: Tensor, start: int, end: int) -> Tensor:
        windows = sequence.unfold(1, self.length, self.bin_length)  # (N, bins, length)
        parts = torch.split(windows.reshape(-1, self.length), max(1, _NT_AT_ONCE // self.length))
        logits = torch.cat([self.network(part)[:, :, 0] for part in parts])
        of_bins = logits.reshape(*windows.shape[:2], -1).transpose(1, 2)  # (N, T, bins)
        context = (self.length - self.bin_length) // 2
        return of_bins.repeat_interleave(self.bin_length, dim=2)[:, :, start - context : end - context]


def walk_of(network: torch.nn.Module, run: Run, tile: int | None) -> Walk:
    """How a run's network walks a genome.

    Parameters
    ----------
    network
        Of the run.
    run
        Its record: a network without a finite context gets windows as long as in training.
    tile
        Kept nt of a tile; None lets the network choose.

    Raises
    ------
    DilannotError
        A tile that does not fit the network.
    """
    context = None if run.output == "window" else context_of(network)
    step = run.window if run.output == "window" else context.stride if context else 0
    if tile is not None and (step == 0 or tile < 1 or tile % step):
        raise DilannotError(
            f"a tile of {tile} nt",
            where="--tile",
            remedy=f"give a multiple of {step}" if step else "leave it out: this network has no finite context",
        )
    if run.output == "window":
        return Bins(network, run.window, run.length, tile or max(1, TILE // step) * step)
    if context is not None:
        return ExactTiles(network, context, tile or max(1, TILE // step) * step)
    return OverlappingWindows(network, run.window, getattr(network, "stride", 1))
