from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dilannot.annotate import blocks
from dilannot.annotate.blocks import Block, blocks_of, shard_of, whole_bins
from dilannot.genome.intervals import Interval


@settings(deadline=None)
@given(
    edges=st.sets(st.integers(0, 200), min_size=2, max_size=10).map(sorted),
    tile=st.integers(1, 30),
    length=st.integers(1, 60),
    shards=st.integers(1, 9),
)
def test_blocks_and_shards_hold_every_position_once_and_in_order(
    edges: list[int], tile: int, length: int, shards: int
) -> None:
    regions = [Interval("b", *pair) for pair in zip(edges[::2], edges[1::2], strict=False)]
    regions.append(Interval("a", 0, 200))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "LENGTH", length)
        made = blocks_of(regions, ["b", "c", "a"], tile)
    assert [block.number for block in made] == list(range(len(made)))
    assert all(block.contig == {"b": 0, "a": 2}[block.name] for block in made)
    positions = [(block.name, at) for block in made for part in block.parts for at in range(*part)]
    assert positions == [(region.contig, at) for region in regions for at in range(region.start, region.end)]
    ends = {(region.contig, region.end) for region in regions}
    cell = tile * max(1, length // tile)
    for block in made:
        assert 0 < len(block) == sum(end - start for start, end in block.parts)
        assert {at // cell for part in block.parts for at in (part[0], part[1] - 1)} == {block.parts[0][0] // cell}
        assert all(end % cell == 0 or (block.name, end) in ends for _, end in block.parts)
    assert len({(block.name, block.parts[0][0] // cell) for block in made}) == len(made)
    shares = [shard_of(made, number + 1, shards) for number in range(shards)]
    assert [block for share in shares for block in share] == made
    assert np.ptp([len(share) for share in shares]) <= 1


@given(
    edges=st.sets(st.integers(0, 120), min_size=2, max_size=12).map(sorted), size=st.integers(1, 50),
    start=st.integers(0, 110), width=st.integers(1, 60),
)  # fmt: skip
@settings(deadline=None)
def test_spans_hold_all_that_is_asked_and_no_cell_without(edges: list[int], size: int, start: int, width: int) -> None:
    parts = tuple(zip(edges[::2], edges[1::2], strict=False))
    block = Block(0, 0, "c", parts)
    asked = np.zeros(200, bool)
    for first, last in parts:
        asked[first:last] = True
    np.testing.assert_array_equal(block.asked(start, start + width), asked[start : start + width])
    spans = list(block.spans(size))
    cells = sorted({at // size for at in np.flatnonzero(asked).tolist()})
    assert [span.start // size for span in spans] == cells
    for span, cell in zip(spans, cells, strict=True):
        inside = np.flatnonzero(asked[cell * size : (cell + 1) * size]) + cell * size
        assert (span.start, span.end) == (inside[0], inside[-1] + 1)
    first = block.first_span(size)
    assert first.asked(0, 200).tolist() == (asked & (np.arange(200) // size == cells[0])).tolist()


@pytest.mark.parametrize(
    ("kept", "width", "expected"),
    [((0, 100), 1, (0, 100)), ((13, 14), 10, (10, 20)), ((10, 20), 10, (10, 20)), ((95, 97), 10, (90, 97))],
)
def test_bins_that_a_span_cuts_are_made_whole(kept: tuple[int, int], width: int, expected: tuple[int, int]) -> None:
    length = 97 if kept[1] == 97 else 1000
    assert whole_bins(Interval("c", *kept), width, length) == Interval("c", *expected)
