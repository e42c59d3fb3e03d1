from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dilannot.annotate import blocks
from dilannot.annotate.blocks import blocks_of, shard_of
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
    assert all(block.contig == {"b": 0, "a": 2}[block.kept.contig] for block in made)
    positions = [(block.kept.contig, at) for block in made for at in range(block.kept.start, block.kept.end)]
    assert positions == [(region.contig, at) for region in regions for at in range(region.start, region.end)]
    ends = {(region.contig, region.end) for region in regions}
    for block in made:
        assert 0 < len(block.kept) <= max(tile, length)
        assert block.kept.end % tile == 0 or (block.kept.contig, block.kept.end) in ends
    shares = [shard_of(made, number + 1, shards) for number in range(shards)]
    assert [block for share in shares for block in share] == made
    assert np.ptp([len(share) for share in shares]) <= 1


@pytest.mark.parametrize(
    ("kept", "width", "expected"),
    [((0, 100), 1, (0, 100)), ((13, 14), 10, (10, 20)), ((10, 20), 10, (10, 20)), ((95, 97), 10, (90, 97))],
)
def test_bins_that_a_block_cuts_are_made_whole(kept: tuple[int, int], width: int, expected: tuple[int, int]) -> None:
    [block] = blocks_of([Interval("c", *kept)], ["c"], 1000)
    assert block.whole_bins(width, 97 if kept[1] == 97 else 1000) == Interval("c", *expected)
