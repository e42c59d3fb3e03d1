from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dilannot.errors import DilannotError
from dilannot.genome.intervals import Interval, both, by_contig, merge, parse_region, runs, split_into_windows

LENGTHS = {"chr1": 6000, "chr20": 100, "odd:name": 50, "HLA:1-20": 80}

PAIRS = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr1", ("chr1", 0, 6000)),
        ("chr1:1-100", ("chr1", 0, 100)),
        ("chr1:1,001-2,000", ("chr1", 1000, 2000)),
        ("chr1:500-", ("chr1", 499, 6000)),
        ("chr1:-500", ("chr1", 0, 500)),
        ("chr1:6000-6000", ("chr1", 5999, 6000)),
        ("odd:name", ("odd:name", 0, 50)),
        ("odd:name:2-3", ("odd:name", 1, 3)),
        ("HLA:1-20", ("HLA:1-20", 0, 80)),
    ],
)
def test_regions_are_one_based_inclusive(text: str, expected: tuple[str, int, int]) -> None:
    assert parse_region(text, LENGTHS) == (Interval(*expected), None)


def test_a_region_past_the_end_is_clipped_and_said() -> None:
    interval, warning = parse_region("chr1:5900-7000", LENGTHS)
    assert (interval.start, interval.end) == (5899, 6000)
    assert warning is not None
    assert "clipped" in warning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1", "chr1"),
        ("20", "chr20"),
        ("chrZ", "no contig 'chrZ'"),
        ("chr1:0-10", "start is below 1"),
        ("chr1:100-50", "end lies before the start"),
        ("chr1:1000", "chr1:1000-1000"),
        ("chr1:-", "cannot read"),
        ("chr1:a-b", "cannot read"),
        ("chr1:٣-٥", "cannot read"),
        ("chr1:6001-", "after the end"),
        ("chr1:7000-8000", "after the end"),
    ],
)
def test_bad_regions_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(DilannotError, match=message) as error:
        parse_region(text, LENGTHS)
    assert text in str(error.value)


def raster(starts: np.ndarray, ends: np.ndarray, length: int = 300) -> np.ndarray:
    mask = np.zeros(length, bool)
    for start, end in zip(starts, ends, strict=True):
        mask[start:end] = True
    return mask


@given(PAIRS)
def test_merged_intervals_cover_the_same_bases_and_never_touch(pairs: list[tuple[int, int]]) -> None:
    starts = np.array([start for start, _ in pairs], np.int64)
    ends = starts + np.array([width for _, width in pairs], np.int64)
    first, last = merge(starts, ends)
    assert (raster(first, last) == raster(starts, ends)).all()
    assert (first[1:] > last[:-1]).all()


@given(st.lists(st.booleans(), max_size=80))
def test_runs_rebuild_their_mask(bits: list[bool]) -> None:
    mask = np.array(bits, bool)
    assert (raster(*runs(mask), length=len(bits)) == mask).all()


@given(PAIRS, st.integers(1, 50))
def test_pieces_of_windows_are_the_intervals(pairs: list[tuple[int, int]], window: int) -> None:
    starts = np.array([start for start, _ in pairs], np.int64)
    starts, ends = merge(starts, starts + np.array([width for _, width in pairs], np.int64))
    index, begin, end, source = split_into_windows(starts, ends, window)
    assert ((begin >= 0) & (begin < end) & (end <= window)).all()
    assert (raster(index * window + begin, index * window + end) == raster(starts, ends)).all()
    assert sorted(set(source.tolist())) == list(range(len(starts)))


@given(PAIRS, PAIRS)
def test_parts_in_both_are_those_of_masks(ones: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    """The first may overlap and have any order: each row gets its own parts."""
    begin, stop = np.array([(start, start + width) for start, width in ones], np.int64).reshape(-1, 2).T
    within = merge(*np.array([(start, start + width) for start, width in others], np.int64).reshape(-1, 2).T)
    starts, ends, source = both((begin, stop), within)
    assert (starts < ends).all()
    assert (np.diff(source) >= 0).all()
    for row in range(len(begin)):
        own = source == row
        expected = raster(begin[[row]], stop[[row]]) & raster(*within)
        assert (raster(starts[own], ends[own]) == expected).all()
    first, last, _ = both(merge(begin, stop), within)
    assert (first[1:] > last[:-1]).all()


def test_intervals_are_grouped_by_contig() -> None:
    intervals = [Interval("b", 5, 9), Interval("a", 0, 3), Interval("empty", 0, 0), Interval("b", 0, 5)]
    found = by_contig(iter(intervals))
    assert {name: (starts.tolist(), ends.tolist()) for name, (starts, ends) in found.items()} == {
        "b": ([0], [9]), "a": ([0], [3])
    }  # fmt: skip
    assert list(found) == ["b", "a"]
    assert by_contig([]) == {}
