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
    """A stretch of contig to read, and the part of it whose predictions are kept (0-based half-open, nt)."""

    contig: str
    read_start: int
    read_end: int
    keep_start: int
    keep_end: int


def cover_overlapping(region: Interval, window: int, stride: int, contig_length: int) -> Iterator[Tile]:
    """Windows of about `window` nt that overlap by half, and of which the middle half is kept.

    For networks whose every output depends on the whole sequence: no tile equals one pass over the contig, but a
    position's prediction depends on its place on the contig alone, neither on the region nor on how it is cut. At the
    contig's ends, windows end there and keep what lies between.

    Parameters
    ----------
    region
        What to keep.
    window
        Length of a window, nt: what the network was trained on.
    stride
        Windows start on multiples of it.
    contig_length
        Length of the region's contig in bp.
    """
    margin = window // 4 // stride * stride
    size = max((window - 2 * margin) // stride, 1) * stride
    for origin in range(region.start // size * size, region.end, size):
        keep_start, keep_end = max(origin, region.start), min(origin + size, region.end)
        read_start, read_end = max(0, origin - margin), min(contig_length, origin + size + margin)
        yield Tile(region.contig, read_start, read_end, keep_start, keep_end)


def cover_windows(region: Interval, window: int, contig_length: int) -> Iterator[Tile]:
    """Windows side by side from the contig's start, as in training: each reads what it keeps, and nothing else.

    Parameters
    ----------
    region
        What to keep.
    window
        Length of a window, nt; the last one of a contig ends with it.
    contig_length
        Length of the region's contig in bp.
    """
    for origin in range(region.start // window * window, region.end, window):
        keep_start, keep_end = max(origin, region.start), min(origin + window, region.end)
        yield Tile(region.contig, origin, min(origin + window, contig_length), keep_start, keep_end)


def cover_bins(region: Interval, size: int, bin_length: int, length: int) -> Iterator[Tile]:
    """Tiles for a network that decides on whole bins, each from `length` nt around it.

    Bins start on multiples of `bin_length`. A tile reads what its bins need, over the ends of the contig if need be:
    there is nothing but N.

    Parameters
    ----------
    region
        What to keep.
    size
        Kept length of a tile, nt, a multiple of `bin_length`.
    bin_length, length
        Nt of a bin, and of the sequence a decision on it is made from; the bin lies in its middle.
    """
    context = (length - bin_length) // 2
    for origin in range(region.start // size * size, region.end, size):
        keep_start, keep_end = max(origin, region.start), min(origin + size, region.end)
        first = keep_start // bin_length * bin_length
        last = (keep_end - 1) // bin_length * bin_length
        yield Tile(region.contig, first - context, last - context + length, keep_start, keep_end)


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
