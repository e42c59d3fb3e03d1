from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dilannot.genome.intervals import Interval
from dilannot.genome.tiles import Context, Tile, cover, cover_bins, cover_overlapping

LENGTHS = st.integers(1, 400)
CUTS = st.tuples(st.integers(0, 399), st.integers(1, 400))


def region_of(cuts: tuple[int, int], length: int) -> Interval:
    start = min(cuts[0], length - 1)
    return Interval("c", start, max(start + 1, min(cuts[1], length)))


def check_kept_once_in_order(tiles: list[Tile], region: Interval) -> None:
    position = region.start
    for tile in tiles:
        assert tile.contig == region.contig
        assert tile.keep_start == position < tile.keep_end
        assert tile.read_start <= tile.keep_start
        assert tile.keep_end <= tile.read_end
        position = tile.keep_end
    assert position == region.end


@given(
    length=LENGTHS,
    cuts=CUTS,
    stride=st.integers(1, 7),
    blocks=st.integers(1, 9),
    before=st.integers(0, 5),
    after=st.integers(0, 5),
)
def test_tiles_keep_each_base_once_with_all_its_context(
    length: int, cuts: tuple[int, int], stride: int, blocks: int, before: int, after: int
) -> None:
    region = region_of(cuts, length)
    context = Context(before * stride, after * stride + stride - 1, stride)
    tiles = list(cover(region, blocks * stride, context, length))
    check_kept_once_in_order(tiles, region)
    for tile in tiles:
        assert tile.read_start >= 0
        assert tile.read_end <= length
        assert tile.read_start % stride == 0
        assert tile.read_end % stride == 0 or tile.read_end == length
        first, last = tile.keep_start // stride * stride, (tile.keep_end - 1) // stride * stride
        assert tile.read_start == 0 or tile.read_start <= first - context.left
        assert tile.read_end == length or tile.read_end > last + context.right


@settings(derandomize=True)
@given(length=LENGTHS, cuts=CUTS, window=st.integers(1, 150), stride=st.integers(1, 30))
@example(length=100, cuts=(99, 100), window=40, stride=1)  # one nucleotide, the contig's last
@example(length=7, cuts=(0, 7), window=40, stride=10)  # a contig shorter than a block
@example(length=200, cuts=(0, 200), window=39, stride=10)  # a window of less than 4 strides
@example(length=200, cuts=(0, 200), window=5, stride=10)  # and of less than one
def test_overlapping_windows_keep_each_base_once_and_read_the_same_for_it_in_every_region(
    length: int, cuts: tuple[int, int], window: int, stride: int
) -> None:
    region = region_of(cuts, length)
    tiles = list(cover_overlapping(region, window, stride, length))
    check_kept_once_in_order(tiles, region)
    read = {}
    for tile in cover_overlapping(Interval("c", 0, length), window, stride, length):
        read.update(dict.fromkeys(range(tile.keep_start, tile.keep_end), (tile.read_start, tile.read_end)))
    for tile in tiles:
        assert {read[position] for position in range(tile.keep_start, tile.keep_end)} == {
            (tile.read_start, tile.read_end)
        }
        assert tile.read_start >= 0
        assert tile.read_end <= length
        assert tile.read_start % stride == 0


@settings(derandomize=True)
@given(length=st.integers(1, 900), window=st.integers(1, 150), stride=st.integers(1, 30))
def test_windows_inside_a_contig_are_as_long_as_in_training_and_keep_their_middle(
    length: int, window: int, stride: int
) -> None:
    blocks = max(window // stride, 1)
    for tile in cover_overlapping(Interval("c", 0, length), window, stride, length):
        left, right = tile.keep_start - tile.read_start, tile.read_end - tile.keep_end
        assert tile.read_end - tile.read_start <= blocks * stride
        assert left == 0 or left % stride == 0
        if tile.read_start > 0 and tile.read_end < length:
            assert tile.read_end - tile.read_start == blocks * stride
            assert left == right
            assert window / 4 - stride < left <= window / 4
        if tile.read_start > 0:
            assert left > window / 4 - stride
        if tile.read_end < length:
            assert right > window / 4 - stride


def test_windows_overlap_by_half_and_end_with_the_contig() -> None:
    tiles = [
        (t.read_start, t.read_end, t.keep_start, t.keep_end)
        for t in cover_overlapping(Interval("c", 0, 230), 80, 10, 230)
    ]
    assert tiles == [
        (0, 60, 0, 40),
        (20, 100, 40, 80),
        (60, 140, 80, 120),
        (100, 180, 120, 160),
        (140, 220, 160, 200),
        (180, 230, 200, 230),
    ]


@settings(derandomize=True)
@given(length=LENGTHS, cuts=CUTS, bin_length=st.integers(1, 60), around=st.integers(0, 90), bins=st.integers(1, 6))
@example(length=100, cuts=(50, 51), bin_length=20, around=0, bins=1)  # one nucleotide of a bin without context
@example(length=100, cuts=(99, 100), bin_length=30, around=41, bins=2)  # an odd context, and a bin that is cut off
@example(length=9, cuts=(2, 8), bin_length=20, around=80, bins=1)  # a contig shorter than a bin
def test_bins_lie_on_their_multiples_and_are_read_with_all_that_is_around_them(
    length: int, cuts: tuple[int, int], bin_length: int, around: int, bins: int
) -> None:
    region, sequence = region_of(cuts, length), bin_length + around
    tiles = list(cover_bins(region, bins * bin_length, bin_length, sequence))
    check_kept_once_in_order(tiles, region)
    for tile in tiles:
        kept = range(tile.keep_start // bin_length, (tile.keep_end - 1) // bin_length + 1)
        decided_from = [each * bin_length - around // 2 for each in kept]  # one more base on the right if odd
        read = range(tile.read_start, tile.read_end - sequence + 1, bin_length)
        assert list(read) == decided_from
        assert tile.read_end == decided_from[-1] + sequence
        assert len(kept) <= bins
    # Only the region cuts a bin.
    assert all(tile.keep_start % bin_length == 0 for tile in tiles[1:])
