"""Walk regions of a genome through a network: tiles in, levels out, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dilannot.annotate.compress import CALLED, LEVELS
from dilannot.annotate.walk import Walk
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Interval
from dilannot.genome.sequence import Codes, N
from dilannot.genome.tiles import Tile


@dataclass(frozen=True, slots=True)
class Stretch:
    """Predictions of one tile.

    `codes` is (T, L) uint8; `known` is (L,) False where the base is unknown. A stretch of nothing but N has no codes.
    """

    contig: str
    start: int
    known: NDArray[np.bool_]
    codes: NDArray[np.uint8] | None

    def __len__(self) -> int:
        return len(self.known)


def quantise(logits: Tensor, thresholds: Tensor) -> Tensor:
    """Levels nearest to the probabilities, plus `CALLED` from the markers' thresholds on.

    Parameters
    ----------
    logits
        (N, T, L); overwritten where they lie in one piece.
    thresholds
        (T,) probabilities.

    Returns
    -------
    codes
        (N, T, L) uint8, on the logits' device.
    """
    called = logits >= torch.logit(thresholds)[:, None]
    return logits.contiguous().sigmoid_().mul_(LEVELS).round_().to(torch.uint8).add_(called, alpha=CALLED)


def stream(
    walk: Walk,
    genome: Genome,
    regions: Iterable[Interval],
    *,
    thresholds: Tensor,
    batch_size: int,
    device: torch.device,
) -> Iterator[Stretch]:
    """Predict regions; the result does not depend on which regions they are part of.

    Parameters
    ----------
    walk
        Of a network in evaluation mode.
    regions
        Disjoint, in genome order.
    thresholds
        (T,) probabilities of a called position, on the device.
    batch_size
        Tiles of one shape that are predicted together.

    Yields
    ------
    stretch
        In genome order, covering the regions exactly once.
    """
    batch: list[tuple[Tile, Codes]] = []
    for region in regions:
        for piece in walk.tiles(region, genome.contigs[region.contig].length):
            codes = _read(genome, piece)
            known = _kept(piece, codes) != N
            if batch and (len(batch) == batch_size or _shape(piece) != _shape(batch[0][0]) or not known.any()):
                yield from _predict(walk, batch, thresholds, device)
                batch = []
            if known.any():
                batch.append((piece, codes))
            else:
                yield Stretch(piece.contig, piece.keep_start, known, None)
    yield from _predict(walk, batch, thresholds, device)


def _read(genome: Genome, tile: Tile) -> Codes:
    """Base codes of a tile; N where it leaves its contig."""
    length = genome.contigs[tile.contig].length
    inside = genome.fetch(tile.contig, max(0, tile.read_start), min(length, tile.read_end))
    before, after = max(0, -tile.read_start), max(0, tile.read_end - length)
    return np.pad(inside, (before, after), constant_values=N) if before or after else inside


def _shape(tile: Tile) -> tuple[int, int, int]:
    return tile.read_end - tile.read_start, tile.keep_start - tile.read_start, tile.keep_end - tile.read_start


def _kept(tile: Tile, codes: Codes) -> Codes:
    return codes[tile.keep_start - tile.read_start : tile.keep_end - tile.read_start]


def _predict(
    walk: Walk, batch: list[tuple[Tile, Codes]], thresholds: Tensor, device: torch.device
) -> Iterator[Stretch]:
    if not batch:
        return
    _, start, end = _shape(batch[0][0])
    sequence = torch.from_numpy(np.stack([codes for _, codes in batch])).to(device)
    predicted = quantise(walk.predict(sequence, start, end), thresholds).cpu().numpy()
    for (tile, codes), of_tile in zip(batch, predicted, strict=True):
        yield Stretch(tile.contig, tile.keep_start, _kept(tile, codes) != N, of_tile)
