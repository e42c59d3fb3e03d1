"""Blocks: stretches of a genome that are annotated, kept and resumed as one, and shared out between processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from dilannot.genome.intervals import Interval

LENGTH = 250_000  # nt; compressed for 919 markers some 10 MB, and lost when work is killed


@dataclass(frozen=True, slots=True)
class Block:
    """One of the numbered pieces of an annotation: what is asked for in a cell of a grid on a contig.

    Attributes
    ----------
    number
        Its place among all blocks, which are in genome order.
    contig, name
        Number of its contig in the genome, and the contig's name.
    parts
        What gets values: starts and ends, 0-based half-open, bp; disjoint and sorted.
    """

    number: int
    contig: int
    name: str
    parts: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return sum(end - start for start, end in self.parts)

    def spans(self, size: int) -> Iterator[Interval]:
        """Of each cell of a grid of `size` nt that holds some of the block, from the first to the last of it."""
        pieces = [piece for start, end in self.parts for piece in _cut(start, end, size)]
        for _, group in groupby(pieces, key=lambda piece: piece[0] // size):
            of_cell = list(group)
            yield Interval(self.name, of_cell[0][0], of_cell[-1][1])

    def asked(self, start: int, end: int) -> NDArray[np.bool_]:
        """(end - start,) which of these positions get values."""
        inside = np.zeros(end - start, np.bool_)
        for first, last in self.parts:
            inside[max(first - start, 0) : max(last - start, 0)] = True
        return inside

    def first_span(self, size: int) -> Block:
        """The part of it in the first cell of a grid of `size` nt."""
        edge = self.parts[0][0] // size * size + size
        return replace(self, parts=tuple((start, min(end, edge)) for start, end in self.parts if start < edge))


def whole_bins(span: Interval, length: int, contig_length: int) -> Interval:
    """A stretch with the bins it cuts made whole."""
    start, end = span.start // length * length, -(-span.end // length) * length
    return Interval(span.contig, start, min(end, contig_length))


def blocks_of(regions: Sequence[Interval], contigs: Sequence[str], tile: int) -> list[Block]:
    """Cut disjoint regions, in genome order, at multiples of about `LENGTH`, which are multiples of `tile` too.

    What lies between two of these is one block, however many regions it is: each costs a record and a look.
    """
    numbers = {name: number for number, name in enumerate(contigs)}
    size = tile * max(1, LENGTH // tile)
    pieces = ((region.contig, piece) for region in regions for piece in _cut(region.start, region.end, size))
    cells = groupby(pieces, key=lambda pair: (pair[0], pair[1][0] // size))
    return [
        Block(number, numbers[name], name, tuple(piece for _, piece in cell))
        for number, ((name, _), cell) in enumerate(cells)
    ]


def _cut(start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    for origin in range(start // size * size, end, size):
        yield max(origin, start), min(origin + size, end)


def shard_of(blocks: Sequence[Block], number: int, count: int) -> Sequence[Block]:
    """The `number`-th, from 1 on, of `count` shares that follow each other and differ by one block at most."""
    return blocks[len(blocks) * (number - 1) // count : len(blocks) * number // count]
