from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dilannot.annotate import store
from dilannot.annotate.calls import CallRule, call, threshold_levels
from dilannot.annotate.compress import run_lengths
from dilannot.annotate.names import MAX_BYTES, safe_names
from dilannot.annotate.store import Stage, read_runs

LEVELS = st.integers(0, 10**6).map(lambda seed: np.random.default_rng(seed).integers(0, 3, (3, 40)).astype(np.uint8))
KNOWN = st.integers(0, 10**6).map(lambda seed: np.random.default_rng(seed).random(40) < 0.8)


def paint(start: np.ndarray, end: np.ndarray, level: np.ndarray, length: int) -> np.ndarray:
    painted = np.full(length, -1)
    for first, last, value in zip(start, end, level, strict=True):
        assert (painted[first:last] == -1).all()
        painted[first:last] = value
    return painted


@given(LEVELS, KNOWN)
def test_runs_paint_the_levels_again(levels: np.ndarray, known: np.ndarray) -> None:
    runs = run_lengths(levels, known, origin=100)
    for marker in range(3):
        rows = runs.marker == marker
        painted = paint(runs.start[rows] - 100, runs.end[rows] - 100, runs.level[rows], 40)
        assert (painted == np.where(known, levels[marker].astype(int), -1)).all()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LEVELS, KNOWN, st.sets(st.integers(1, 39), max_size=6), st.integers(1, 60))
def test_the_stage_gives_back_runs_that_do_not_show_where_they_were_cut(
    tmp_path: Path, levels: np.ndarray, known: np.ndarray, cuts: set[int], flush: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_FLUSH_RUNS", flush)
        check_stage(tmp_path, levels, known, cuts)


def check_stage(tmp_path: Path, levels: np.ndarray, known: np.ndarray, cuts: set[int]) -> None:
    path = tmp_path / "stage"
    whole = run_lengths(levels, known, 0)
    with open(path, "wb") as handle:
        stage = Stage(handle, 3)
        for contig in ("a", "b"):
            edges = [0, *sorted(cuts), 40]
            for start, end in itertools.pairwise(edges):
                stage.append(contig, run_lengths(levels[:, start:end], known[start:end], start))
        stage.flush()
    for marker in range(3):
        rows = whole.marker == marker
        found = list(read_runs(path, stage.pieces[marker]))
        if rows.any():
            assert [contig for contig, *_ in found] == ["a", "b"]
        for _, start, end, level in found:
            assert (start == whole.start[rows]).all()
            assert (end == whole.end[rows]).all()
            assert (level == whole.level[rows]).all()


@given(LEVELS, KNOWN, st.integers(1, 2), st.integers(0, 5), st.integers(1, 6))
def test_calls_equal_a_walk_along_the_positions(
    levels: np.ndarray, known: np.ndarray, threshold: int, gap: int, shortest: int
) -> None:
    runs = run_lengths(levels[:1], known, 0)
    start, end, highest = call(runs.start, runs.end, runs.level, CallRule(threshold, gap, shortest))
    walked: list[list[int]] = []
    for position in np.flatnonzero(known & (levels[0] >= threshold)).tolist():
        if walked and position - walked[-1][1] <= gap:
            walked[-1][1] = position + 1
        else:
            walked.append([position, position + 1])
    walked = [pair for pair in walked if pair[1] - pair[0] >= shortest]
    assert [list(pair) for pair in zip(start.tolist(), end.tolist(), strict=True)] == walked
    reached = [levels[0, first:last][known[first:last]].max() for first, last in walked]
    assert highest.tolist() == reached


def test_thresholds_become_levels_rounded_up() -> None:
    assert threshold_levels(np.array([0.5, 0.001, 0.126, np.nan, 1.0, 0.07])).tolist() == [50, 1, 13, 50, 100, 7]


def test_names_are_safe_and_unique() -> None:
    names = [
        "GM12878|CTCF|None",
        "GM12878 CTCF None",
        "../../etc/x",
        "-rf",
        ".",
        "α",
        "a",
        "A",
        "x" * 400,
        "x" * 401,
        "H2A.Z+",
    ]
    safe = safe_names(names)
    assert safe[0] == "GM12878_CTCF_None"
    assert safe[10] == "H2A.Z+"
    assert len({name.lower() for name in safe}) == len(names)
    for name in safe:
        assert name.encode().isascii()
        assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-")
        assert name[0] not in ".-"
        assert len(name) <= MAX_BYTES
