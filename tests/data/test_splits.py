from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dilannot.data.settings import BuildSettings, Mode
from dilannot.data.splits import BUFFER, OTHER, SPLITS, TEST, TRAIN, VALIDATION, Candidates, assign, default_mode
from dilannot.errors import DilannotError
from dilannot.formats.fasta import Contig

WINDOW = 25_000


def split_of(
    mode: Mode, contig: np.ndarray, start: np.ndarray, names: list[str], seed: int = 0, **settings: object
) -> np.ndarray:
    settings = {"window": WINDOW, "seed": seed} | settings
    return assign(mode, candidates(contig, start, names), BuildSettings(**settings))  # type: ignore[arg-type]


def candidates(contig: np.ndarray, start: np.ndarray, names: list[str], length: int = 1 << 30) -> Candidates:
    return Candidates(contig, start, [Contig(name, length, "", 0, 0, 60, 61) for name in names])


def table(*counts: int, gaps: bool = False) -> tuple[np.ndarray, np.ndarray]:
    contig = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    start = np.concatenate([np.arange(count) for count in counts]).astype(np.int64)
    return contig, start * WINDOW * (2 if gaps else 1)


@given(counts=st.lists(st.integers(1, 900), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_blocks_keep_neighbours_out_of_other_splits(counts: list[int], seed: int) -> None:
    contig, start = table(*counts)
    if len(contig) < 20:
        return
    split = split_of("blocks", contig, start, [str(i) for i in range(len(counts))], seed)
    touching = (contig[1:] == contig[:-1]) & (split[1:] != BUFFER) & (split[:-1] != BUFFER)
    assert (split[1:] == split[:-1])[touching].all()
    assert all((split == code).any() for code in range(len(SPLITS)))


def test_blocks_are_80_10_10_and_lose_little() -> None:
    contig, start = table(2400)
    split = split_of("blocks", contig, start, ["chr20"], 0)
    share = np.bincount(split, minlength=4) / len(split)
    assert share[TRAIN] == pytest.approx(0.79, abs=0.02)
    assert share[VALIDATION] == share[TEST] == pytest.approx(0.1)
    assert share[BUFFER] < 0.01


def test_windows_that_do_not_touch_need_no_buffer() -> None:
    contig, start = table(500, gaps=True)
    assert BUFFER not in split_of("blocks", contig, start, ["c"], 3)


def test_windows_are_split_within_each_contig() -> None:
    contig, start = table(200, 50)
    split = split_of("windows", contig, start, ["a", "b"], 0)
    assert [np.bincount(split[contig == i]).tolist() for i in (0, 1)] == [[160, 20, 20], [40, 5, 5]]


def test_chromosomes_are_deepseas() -> None:
    names = ["chr1", "chr7", "chr8", "chr9"]
    contig, start = table(3, 3, 3, 3)
    split = split_of("chromosomes", contig, start, names, 0)
    assert split.reshape(4, 3)[:, 0].tolist() == [TRAIN, VALIDATION, TEST, TEST]
    assert default_mode(candidates(contig, start, names), BuildSettings()) == "chromosomes"
    assert default_mode(candidates(contig, start, ["chrI", "chr7", "chrII", "chrIII"]), BuildSettings()) == "blocks"


def test_a_split_without_windows_is_refused() -> None:
    contig, start = table(30)
    with pytest.raises(DilannotError, match="no window left for validation"):
        split_of("chromosomes", contig, start, ["chr20"], 0)


def test_the_seed_decides() -> None:
    contig, start = table(900)
    first, again, other = (split_of("blocks", contig, start, ["c"], seed) for seed in (5, 5, 6))
    assert (first == again).all()
    assert (first != other).any()


def test_deepsea_validates_on_the_first_4000_bins_of_its_region_and_trains_on_the_other_autosomes() -> None:
    names = ["chr7", "chr8", "chr9", "chr22", "chrX", "chr6_apd_hap1"]
    counts = [200_000, 10, 10, 10, 10, 10]
    contig = np.repeat(np.arange(6, dtype=np.int32), counts)
    start = np.concatenate([np.arange(count, dtype=np.int64) * 200 for count in counts])
    split = split_of("deepsea", contig, start, names, task="window")
    region = (contig == 0) & (start >= 30_508_750) & (start + 200 <= 35_296_850)
    assert (np.flatnonzero(split == VALIDATION) == np.flatnonzero(region)[:4000]).all()
    assert (split[region][4000:] == BUFFER).all()
    assert (split[(contig == 0) & ~region] == TRAIN).all()
    assert [set(split[contig == i].tolist()) for i in range(1, 6)] == [{TEST}, {TEST}, {TRAIN}, {OTHER}, {OTHER}]
    human = candidates(contig, start, names, 159_138_663)
    assert default_mode(human, BuildSettings(task="window")) == "deepsea"
    assert default_mode(human, BuildSettings()) == "chromosomes"
    assert default_mode(candidates(contig, start, names, 1000), BuildSettings(task="window")) == "chromosomes"
