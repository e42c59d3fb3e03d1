from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dilannot.annotate.calls import DEFAULT_THRESHOLD, STRETCH, CallRule, joined, usable_thresholds
from dilannot.errors import DilannotError
from dilannot.formats.calls import Calls
from dilannot.metrics.thresholds import RULES

Row = tuple[int, int, float, int]


def of_block(scores: np.ndarray, origin: int, rule: CallRule) -> list[Row]:
    """Stretches of one block, as an encoder makes them: close ones joined, none dropped."""
    found: list[Row] = []
    for place in np.flatnonzero(scores >= rule.threshold).tolist():
        here, score = origin + place, float(scores[place])
        if found and here - found[-1][1] <= rule.merge_gap:
            start, _, highest, summit = found[-1]
            found[-1] = (start, here + 1, max(highest, score), here if score > highest else summit)
        else:
            found.append((here, here + 1, score, here))
    return found


def stretches(rows: list[Row]) -> Calls:
    return np.array(rows, STRETCH)


def whole(scores: np.ndarray, rule: CallRule) -> list[Row]:
    return [row for row in of_block(scores, 0, rule) if row[1] - row[0] >= rule.min_length]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([(10, 60, 0.5, 20)], [(10, 60, 0.5, 20)]),
        ([(10, 59, 0.5, 20)], []),
        ([(10, 20, 0.5, 11), (20, 60, 0.75, 21)], [(10, 60, 0.75, 21)]),
        ([(10, 20, 0.5, 11), (30, 60, 0.5, 31)], [(10, 60, 0.5, 11)]),
        ([(10, 20, 0.5, 11), (31, 81, 0.5, 32)], [(31, 81, 0.5, 32)]),
        ([(0, 9, 0.75, 1), (9, 40, 0.5, 9), (45, 90, 0.75, 50)], [(0, 90, 0.75, 1)]),
        ([(4_294_967_000, 4_294_967_200, 1, 4_294_967_001)], [(4_294_967_000, 4_294_967_200, 1, 4_294_967_001)]),
    ],
)
def test_known_calls(rows: list[Row], expected: list[Row]) -> None:
    assert joined(stretches(rows), CallRule(0.5, merge_gap=10, min_length=50)).tolist() == expected


@settings(deadline=None, max_examples=300)
@given(
    # Quarters are exact, and equal ones are frequent.
    scores=st.lists(st.sampled_from([0, 0, 0, 0.25, 0.5, 0.75, 1]), max_size=120).map(np.array),
    cuts=st.lists(st.integers(0, 120), max_size=12),
    gap=st.integers(0, 9),
    shortest=st.integers(1, 12),
)
def test_calls_do_not_depend_on_how_a_contig_was_cut(
    scores: np.ndarray, cuts: list[int], gap: int, shortest: int
) -> None:
    rule = CallRule(0.5, gap, shortest)
    borders = sorted({0, *(min(cut, len(scores)) for cut in cuts), len(scores)})
    rows = [row for begin, end in pairwise(borders) for row in of_block(scores[begin:end], begin, rule)]
    assert joined(stretches(rows), rule).tolist() == whole(scores, rule)


def test_what_was_given_is_left_as_it_was() -> None:
    rows = stretches([(10, 20, 0.5, 11), (20, 60, 0.75, 21)])
    before = rows.copy()
    joined(rows, CallRule(0.5))
    assert (rows == before).all()


def test_markers_without_a_threshold_get_the_default() -> None:
    thresholds = dict.fromkeys(RULES, np.array([0.2, np.nan]))
    for rule in RULES:
        missing = np.inf if rule.startswith("fdr") else DEFAULT_THRESHOLD
        assert usable_thresholds(thresholds, rule).tolist() == [0.2, missing]
    with pytest.raises(DilannotError, match="no best-f1 thresholds"):
        usable_thresholds({"break-even": np.zeros(2)}, "best-f1")
