from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dilannot.genome.intervals import Interval
from dilannot.genome.tiles import Context, cover


@given(
    length=st.integers(1, 400),
    cuts=st.tuples(st.integers(0, 399), st.integers(1, 400)),
    stride=st.integers(1, 7),
    blocks=st.integers(1, 9),
    before=st.integers(0, 5),
    after=st.integers(0, 5),
)
def test_tiles_keep_each_base_once_with_all_its_context(
    length: int, cuts: tuple[int, int], stride: int, blocks: int, before: int, after: int
) -> None:
    start = min(cuts[0], length - 1)
    region = Interval("c", start, max(start + 1, min(cuts[1], length)))
    context = Context(before * stride, after * stride + stride - 1, stride)
    position = region.start
    for tile in cover(region, blocks * stride, context, length):
        assert tile.keep_start == position < tile.keep_end
        position = tile.keep_end
        assert 0 <= tile.read_start <= tile.keep_start
        assert tile.keep_end <= tile.read_end <= length
        assert tile.read_start % stride == 0
        assert tile.read_end % stride == 0 or tile.read_end == length
        first, last = tile.keep_start // stride * stride, (tile.keep_end - 1) // stride * stride
        assert tile.read_start == 0 or tile.read_start <= first - context.left
        assert tile.read_end == length or tile.read_end > last + context.right
    assert position == region.end
