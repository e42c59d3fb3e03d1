"""Walk a genome in tiles whose stitched predictions equal one pass over the whole contig."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dilannot.genome.intervals import Interval


@dataclass(frozen=True, slots=True)
class Context:
    """What one block of `stride` outputs can see, counted from the block's first position, in nt.

    `left` positions before it and `right` positions from it on, the block's own first one not counted.
    """

    left: int
    right: int
    stride: int


@dataclass(frozen=True, slots=True)
class Tile:
    """A stretch of contig to read, from a multiple of the network's stride on, and the part of it whose predictions
    are kept (0-based half-open, nt)."""

    contig: str
    read_start: int
    read_end: int
    keep_start: int
    keep_end: int


def cover(region: Interval, size: int, context: Context, contig_length: int) -> Iterator[Tile]:
    """Tiles that keep every position of `region` exactly once, in order.

    Each reads enough context that predictions on the kept part do not depend on where the tile was cut: either a
    reading edge is `context` away from the kept part, or it is the contig's own end, where the network pads as it
    would in one pass over the whole contig.

    Parameters
    ----------
    region
        What to keep.
    size
        Kept length of a tile, nt; a positive multiple of `context.stride`. Tiles start on multiples of it.
    context
        The network's.
    contig_length
        Length of the region's contig in bp.
    """
    stride = context.stride
    for origin in range(region.start // size * size, region.end, size):
        keep_start, keep_end = max(origin, region.start), min(origin + size, region.end)
        first_block = keep_start // stride * stride
        end_of_blocks = -(-keep_end // stride) * stride
        read_start = max(0, (first_block - context.left) // stride * stride)
        # The last block's own positions reach to its start + right; round up to whole blocks.
        read_end = min(contig_length, -(-(end_of_blocks - stride + context.right + 1) // stride) * stride)
        yield Tile(region.contig, read_start, max(read_end, keep_end), keep_start, keep_end)
