from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dilannot.annotate import store
from dilannot.annotate.calls import CallRule, call, usable_thresholds
from dilannot.annotate.compress import CALLED, run_lengths
from dilannot.annotate.names import MAX_BYTES, safe_names
from dilannot.annotate.store import Stage, read_runs
from dilannot.annotate.stream import quantise

LEVELS = st.integers(0, 10**6).map(lambda seed: np.random.default_rng(seed).integers(0, 3, (3, 40)).astype(np.uint8))
KNOWN = st.integers(0, 10**6).map(lambda seed: np.random.default_rng(seed).random(40) < 0.8)


def paint(start: np.ndarray, end: np.ndarray, level: np.ndarray, length: int) -> np.ndarray:
    painted = np.full(length, -1)
    for first, last, value in zip(start, end, level, strict=True):
        assert (painted[first:last] == -1).all()
        painted[first:last] = value
    return painted


@settings(deadline=None)
@given(LEVELS, KNOWN)
def test_runs_paint_the_levels_again(levels: np.ndarray, known: np.ndarray) -> None:
    runs = run_lengths(levels, known, origin=100)
    for marker in range(3):
        rows = runs.marker == marker
        painted = paint(runs.start[rows] - 100, runs.end[rows] - 100, runs.code[rows], 40)
        assert (painted == np.where(known, levels[marker].astype(int), -1)).all()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
            assert (level == whole.code[rows]).all()


@given(LEVELS, KNOWN, KNOWN, st.integers(0, 5), st.integers(1, 6))
def test_calls_equal_a_walk_along_the_positions(
    levels: np.ndarray, known: np.ndarray, called: np.ndarray, gap: int, shortest: int
) -> None:
    runs = run_lengths((levels[:1] + CALLED * called).astype(np.uint8), known, 0)
    start, end, highest = call(runs.start, runs.end, runs.code, CallRule(0.5, gap, shortest))
    walked: list[list[int]] = []
    for position in np.flatnonzero(known & called).tolist():
        if walked and position - walked[-1][1] <= gap:
            walked[-1][1] = position + 1
        else:
            walked.append([position, position + 1])
    walked = [pair for pair in walked if pair[1] - pair[0] >= shortest]
    assert [list(pair) for pair in zip(start.tolist(), end.tolist(), strict=True)] == walked
    assert highest.tolist() == [levels[0, first:last][(known & called)[first:last]].max() for first, last in walked]


def test_codes_hold_the_rounded_level_and_the_unrounded_call() -> None:
    probabilities = torch.tensor([[[0.004, 0.006, 0.0349, 0.0351, 0.5, 0.9999]]])
    codes = quantise(torch.logit(probabilities), torch.tensor([0.035]))
    assert (codes % CALLED).tolist() == [[[0, 1, 3, 4, 50, 100]]]
    assert (codes >= CALLED).tolist() == [[[False, False, False, True, True, True]]]


def test_a_marker_without_a_threshold_is_called_from_one_half() -> None:
    assert usable_thresholds(np.array([0.001, np.nan])).tolist() == [0.001, 0.5]


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
