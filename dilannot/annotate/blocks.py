"""Blocks: stretches of a genome that are annotated, kept and resumed as one, and shared out between processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dilannot.genome.intervals import Interval

LENGTH = 250_000  # nt; compressed for 919 markers some 10 MB, and lost when work is killed


@dataclass(frozen=True, slots=True)
class Block:
    """One of the numbered pieces of an annotation.

    Attributes
    ----------
    number
        Its place among all blocks, which are in genome order.
    contig
        Number of its contig in the genome.
    kept
        What gets values.
    """

    number: int
    contig: int
    kept: Interval

    def whole_bins(self, length: int, contig_length: int) -> Interval:
        """`kept` with the bins it cuts made whole."""
        start, end = self.kept.start // length * length, -(-self.kept.end // length) * length
        return Interval(self.kept.contig, start, min(end, contig_length))


def blocks_of(regions: Sequence[Interval], contigs: Sequence[str], tile: int) -> list[Block]:
    """Cut regions at multiples of about `LENGTH`, which are multiples of `tile` too; numbered in genome order."""
    numbers = {name: number for number, name in enumerate(contigs)}
    size = tile * max(1, LENGTH // tile)
    cut = [piece for region in regions for piece in _cut(region, size)]
    return [Block(number, numbers[piece.contig], piece) for number, piece in enumerate(cut)]


def _cut(region: Interval, size: int) -> Iterator[Interval]:
    for origin in range(region.start // size * size, region.end, size):
        yield Interval(region.contig, max(origin, region.start), min(origin + size, region.end))


def shard_of(blocks: Sequence[Block], number: int, count: int) -> Sequence[Block]:
    """The `number`-th, from 1 on, of `count` shares that follow each other and differ by one block at most."""
    return blocks[len(blocks) * (number - 1) // count : len(blocks) * number // count]
