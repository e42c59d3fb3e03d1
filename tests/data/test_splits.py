from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dilannot.data.splits import BUFFER, SPLITS, TEST, TRAIN, VALIDATION, assign, default_mode
from dilannot.errors import DilannotError

WINDOW = 100


def table(*counts: int, gaps: bool = False) -> tuple[np.ndarray, np.ndarray]:
    contig = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    start = np.concatenate([np.arange(count) for count in counts]).astype(np.int64)
    return contig, start * WINDOW * (2 if gaps else 1)


@given(counts=st.lists(st.integers(1, 900), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_blocks_keep_neighbours_out_of_other_splits(counts: list[int], seed: int) -> None:
    contig, start = table(*counts)
    if len(contig) < 20:
        return
    split = assign("blocks", contig, start, WINDOW, [str(i) for i in range(len(counts))], seed)
    touching = (contig[1:] == contig[:-1]) & (split[1:] != BUFFER) & (split[:-1] != BUFFER)
    assert (split[1:] == split[:-1])[touching].all()
    assert all((split == code).any() for code in range(len(SPLITS)))


def test_blocks_are_80_10_10_and_lose_little() -> None:
    contig, start = table(2400)
    split = assign("blocks", contig, start, WINDOW, ["chr20"], 0)
    share = np.bincount(split, minlength=4) / len(split)
    assert share[TRAIN] == pytest.approx(0.79, abs=0.02)
    assert share[VALIDATION] == share[TEST] == pytest.approx(0.1)
    assert share[BUFFER] < 0.01


def test_windows_that_do_not_touch_need_no_buffer() -> None:
    contig, start = table(500, gaps=True)
    assert BUFFER not in assign("blocks", contig, start, WINDOW, ["c"], 3)


def test_windows_are_split_within_each_contig() -> None:
    contig, start = table(200, 50)
    split = assign("windows", contig, start, WINDOW, ["a", "b"], 0)
    assert [np.bincount(split[contig == i]).tolist() for i in (0, 1)] == [[160, 20, 20], [40, 5, 5]]


def test_chromosomes_are_deepseas() -> None:
    names = ["chr1", "chr7", "chr8", "chr9"]
    contig, start = table(3, 3, 3, 3)
    split = assign("chromosomes", contig, start, WINDOW, names, 0)
    assert split.reshape(4, 3)[:, 0].tolist() == [TRAIN, VALIDATION, TEST, TEST]
    assert default_mode(names) == "chromosomes"
    assert default_mode(["chr20"]) == default_mode(["chrI", "chrII"]) == "blocks"


def test_a_split_without_windows_is_refused() -> None:
    contig, start = table(30)
    with pytest.raises(DilannotError, match="no window left for validation"):
        assign("chromosomes", contig, start, WINDOW, ["chr20"], 0)


def test_the_seed_decides() -> None:
    contig, start = table(900)
    first, again, other = (assign("blocks", contig, start, WINDOW, ["c"], seed) for seed in (5, 5, 6))
    assert (first == again).all()
    assert (first != other).any()
