from __future__ import annotations

import struct
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pybigtools
import pyBigWig
import pytest
from formats.test_bigwig_layout import parse
from hypothesis import given, settings
from hypothesis import strategies as st

from dilannot.formats.bigwig import BigWigWriter
from dilannot.formats.bigwig_sections import ITEMS, REDUCTIONS, Packed, pack

GRID = 125_000
Run = tuple[int, int, float]

widths = st.sampled_from([1, 2, 3, 10, 999, 1_000, 1_001, 5_000, 40_000, 300_000])
values = st.floats(-4, 4, width=32).map(lambda value: 0.0 if value == 0 else value)
tracks = st.lists(st.tuples(st.sampled_from([0, 0, 1, 500, 999, 7_000, 90_000]), widths, values), max_size=40)


def cut(steps: list[tuple[int, int, float]]) -> list[Run]:
    """Runs from gaps, widths and values, split where blocks may be cut."""
    runs, at = [], 0
    for gap, width, value in steps:
        at += gap
        end = at + width
        while at < end:
            stop = min(end, (at // GRID + 1) * GRID)
            runs.append((at, stop, value))
            at = stop
    return runs


def packed(contig: int, of_tracks: list[list[Run]]) -> Packed:
    rows = np.array([run for track in of_tracks for run in track], float).reshape(-1, 3)
    counts = np.array([len(track) for track in of_tracks])
    return pack(contig, counts, rows[:, 0].astype("u4"), rows[:, 1].astype("u4"), rows[:, 2].astype("f4"))


def write(path: Path, length: int, blocks: list[list[Run]]) -> None:
    made = [packed(0, [block]) for block in blocks]
    with BigWigWriter(path, {"c": length}) as writer:
        for each in made:
            writer.add_values(0, each.values.table, each.values.data)
        for each in made:
            writer.add_zooms(0, each.zooms.table, each.zooms.data)
        writer.finish(np.concatenate([each.coarse for each in made]), np.concatenate([each.summary for each in made]))


def summarised(runs: list[Run], reduction: int) -> list[tuple[float, ...]]:
    """Zoom records, a bin at a time."""
    bins: dict[int, list[Run]] = defaultdict(list)
    for start, end, value in runs:
        for here in range(start // reduction, (end - 1) // reduction + 1):
            bins[here].append((max(start, here * reduction), min(end, (here + 1) * reduction), value))
    return [
        (
            0,
            parts[0][0],
            parts[-1][1],
            sum(end - start for start, end, _ in parts),
            min(value for *_, value in parts),
            max(value for *_, value in parts),
            sum((end - start) * value for start, end, value in parts),
            sum((end - start) * value**2 for start, end, value in parts),
        )
        for parts in bins.values()
    ]


@given(steps=tracks.filter(len), data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_runs_in_any_blocks(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Run], data: st.DataObject
) -> None:
    runs = cut(steps)
    path, length = tmp_path_factory.mktemp("any") / "a.bw", runs[-1][1]
    borders = [0, *sorted(data.draw(st.sets(st.sampled_from(range(GRID, length + GRID, GRID))))), length + GRID]
    blocks = [[run for run in runs if low <= run[0] < high] for low, high in pairwise(borders)]
    write(path, length, blocks)
    with pyBigWig.open(str(path)) as file:
        assert file.intervals("c") == tuple(runs)
    assert list(pybigtools.open(str(path)).records("c")) == runs
    found = parse(path)
    write(path, length, [runs])
    whole = parse(path)
    assert found.levels[0].records == whole.levels[0].records
    assert [level.records for level in found.levels[1:]] == [level.records for level in whole.levels[1:]]
    np.testing.assert_allclose(found.summary, whole.summary, rtol=1e-12, atol=1e-9)
    for level in found.levels:
        # Sums of the coarser ones are of rounded numbers, which may cancel out.
        off = 1e-6 * 16 * min(length, level.reduction)
        np.testing.assert_allclose(level.records, summarised(runs, level.reduction), rtol=1e-6, atol=off)
    wanted = summarised(runs, 1 << 40)[0]
    np.testing.assert_allclose(found.summary, wanted[3:], rtol=1e-12, atol=1e-9)


def test_reductions_divide_each_other() -> None:
    assert all(two % one == 0 for one, two in pairwise(REDUCTIONS))


def test_tracks_do_not_mix() -> None:
    one, two = [(5, 7, 1.0), (900, 2_100, 2.0)], [(2_099, 2_101, 3.0)]
    both = packed(4, [[], one, [], two, []])
    alone = [packed(4, [track]) for track in (one, two)]
    for kind in ("values", "zooms"):
        sections = getattr(both, kind)
        assert sections.counts.tolist() == [0, 1, 0, 1, 0]
        assert sections.data == b"".join(getattr(each, kind).data for each in alone)
        assert sections.sizes.tolist() == [0, *(n for each in alone for n in (len(getattr(each, kind).data), 0))]
    assert both.coarse_counts.tolist() == [0, 1, 0, 1, 0]
    assert both.coarse.tolist() == [(4, 5, 2_100, 1_202, 1, 2, 2_402, 4_802), (4, 2_099, 2_101, 2, 3, 3, 6, 18)]
    assert both.summary["bases"].tolist() == [0, 1_202, 0, 2, 0]
    assert both.summary["sum"].tolist() == [0, 2_402, 0, 6, 0]


def test_a_block_without_runs() -> None:
    for count in (0, 3):
        empty = packed(0, [[]] * count)
        assert empty.values.data == empty.zooms.data == b""
        assert empty.values.sizes.tolist() == empty.coarse_counts.tolist() == [0] * count
        assert len(empty.values.table) == len(empty.coarse) == 0
        assert empty.summary["bases"].tolist() == [0] * count


def test_sections_hold_so_many_items_at_most() -> None:
    runs = [(at, at + 1, 1.0) for at in range(2 * ITEMS + 1)]
    table = packed(0, [runs]).values.table
    assert table["items"].tolist() == [ITEMS, ITEMS, 1]
    assert table["start"].tolist() == [0, ITEMS, 2 * ITEMS]
    assert table["end"].tolist() == [ITEMS, 2 * ITEMS, 2 * ITEMS + 1]


def test_sums_of_steps_of_a_hundredth_do_not_depend_on_blocks() -> None:
    rng = np.random.default_rng(0)
    value = (rng.integers(1, 101, 200_000) / 100).astype("f4")
    start = np.arange(200_000, dtype="u4") * 5
    all_at_once = pack(0, np.array([200_000]), start, start + 5, value).summary["sum"].sum()
    parts = [
        pack(0, np.array([25_000]), start[at : at + 25_000], start[at : at + 25_000] + 5, value[at : at + 25_000])
        for at in range(0, 200_000, 25_000)
    ]
    assert sum(part.summary["sum"][0] for part in parts) == all_at_once


def test_the_end_of_the_longest_contig(tmp_path: Path) -> None:
    length = (1 << 32) - 1
    write(tmp_path / "a.bw", length, [[(0, 1, 0.5), (length - 2_000, length, 1.0)]])
    found = parse(tmp_path / "a.bw")
    assert found.runs == [(0, 0, 1, 0.5), (0, length - 2_000, length, 1.0)]
    assert found.levels[0].records[-1][:4] == (0, 4_294_967_000, length, 295)


def test_threads_make_the_same_bytes() -> None:
    runs = [(at * 3, at * 3 + 2, at % 100 / 100) for at in range(30_000)]
    alone = packed(0, [runs])
    with ThreadPoolExecutor(4) as pool:
        for made in pool.map(lambda _: packed(0, [runs]), range(8)):
            assert made.values.data == alone.values.data
            assert made.zooms.data == alone.zooms.data


def test_values_keep_their_bits() -> None:
    value = struct.unpack("<f", struct.pack("<I", 0x3DCCCCCD))[0]
    assert packed(0, [[(0, 1, value)]]).coarse["max"][0] == np.float32(value)
