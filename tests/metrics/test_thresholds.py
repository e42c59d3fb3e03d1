from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from key_histograms import Flags, histograms, key_of, scored
from numpy.typing import NDArray
from sklearn.metrics import f1_score, precision_score, recall_score

from dilannot.metrics.keys import HIGHEST, KEYS, LOWEST, ZERO, Space, key_values, probabilities
from dilannot.metrics.scores import Floats, scores_of
from dilannot.metrics.steps import lower_borders
from dilannot.metrics.thresholds import RULES, Rule, lowest_called, operating_point, thresholds_of

SPACES: list[Space] = ["logit", "probability", "score"]
FDR: dict[Rule, float] = {"fdr-5": 0.95, "fdr-10": 0.9}


def sigmoid(logits: NDArray[np.float32]) -> Floats:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def example(seed: int, space: Space) -> tuple[NDArray[np.float32], Floats, Flags]:
    """(4, 4000) raw scores, the same as thresholds are compared with, and labels."""
    random = np.random.default_rng(seed)
    labels = random.random((4, 4000)) < np.array([0.3, 0.02, 0.5, 0.1])[:, None]
    scores = random.normal(-2, 2, labels.shape) + 3 * labels
    scores[3] = np.round(scores[3])
    scores = np.clip(scores, -15, 7).astype(np.float32)
    if space == "probability":
        scores = sigmoid(scores).astype(np.float32)
    return scores, sigmoid(scores) if space == "logit" else scores.astype(np.float64), labels


def steps_by_hand(scores: NDArray[np.float32], labels: Flags) -> tuple[Floats, Floats]:
    """Precision and number found of calls from each distinct half-precision score on, highest first."""
    halves = key_values()[key_of(scores)]
    called = [halves >= score for score in np.unique(halves)[::-1]]
    return np.array([labels[each].mean() for each in called]), np.array([labels[each].sum() for each in called])


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("seed", range(3))
def test_raw_scores_from_thresholds_on_do_what_rules_ask(seed: int, space: Space) -> None:
    scores, shown, labels = example(seed, space)
    counts = histograms(scores, labels)
    chosen = thresholds_of(*counts, space)
    figures = scores_of(*counts, space)
    assert tuple(chosen) == RULES
    np.testing.assert_array_equal(chosen["best-f1"], figures.best_f1_threshold)
    for marker, truth in enumerate(labels):
        precision, found = steps_by_hand(scores[marker], truth)
        called = np.round(found / np.where(precision > 0, precision, np.nan))
        even = shown[marker] >= chosen["break-even"][marker]
        assert abs(even.sum() - truth.sum()) == np.nanmin(np.abs(called - truth.sum()))
        best = shown[marker] >= chosen["best-f1"][marker]
        assert f1_score(truth, best) == pytest.approx(figures.best_f1[marker], abs=1e-12)
        for rule, least in FDR.items():
            reaching = found[precision >= least]
            threshold = chosen[rule][marker]
            assert np.isnan(threshold) == (not reaching.size)
            if reaching.size:
                assert precision_score(truth, shown[marker] >= threshold) >= least
                assert truth[shown[marker] >= threshold].sum() == reaching.max()


@given(st.lists(st.tuples(st.floats(-40, 40, width=32), st.booleans()), min_size=1, max_size=60))
@settings(max_examples=200, deadline=None)
def test_counts_from_keys_are_counts_of_raw_scores(pairs: list[tuple[float, bool]]) -> None:
    """Midway between two half-precision numbers, too."""
    scores, labels = np.array([[s for s, _ in pairs]], np.float32), np.array([[y for _, y in pairs]])
    counts = histograms(scores, labels)
    for rule, threshold in thresholds_of(*counts, "score").items():
        point = operating_point(rule, threshold, *counts, "score")
        called = scores[0] >= threshold[0]
        if np.isnan(threshold[0]):
            assert np.isnan([point.precision[0], point.recall[0]]).all()
        else:
            assert point.precision[0] == labels[0, called].mean()
            assert point.recall[0] == labels[0, called].sum() / labels.sum()
            assert point.precision[0] >= FDR.get(rule, 0)


@given(scored)
@settings(max_examples=100, deadline=None)
def test_no_threshold_has_a_better_f1(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = np.array([[s for s, _ in pairs]]), np.array([[y for _, y in pairs]])
    threshold = thresholds_of(*histograms(scores, labels), "score")["best-f1"][0]
    if not labels.any():
        assert np.isnan(threshold)
        return
    best = f1_score(labels[0], scores[0] >= threshold)
    assert all(f1_score(labels[0], scores[0] >= each) <= best + 1e-12 for each in scores[0])


def test_known_answers() -> None:
    scores = np.array([[8, 7, 6, 5, 4, 3, 2, 1, 0, -1]] * 3, np.float64)
    labels = np.zeros((3, 10), bool)
    labels[0, [0, 1, 3, 9]] = True
    labels[1, 5:] = True
    chosen = thresholds_of(*histograms(scores, labels), "score")
    half = {score: float(lower_borders("score")[key_of(np.array([score]))[0]]) for score in (5.0, 7.0, 4.0, -1.0)}
    np.testing.assert_array_equal(chosen["break-even"], [half[5.0], half[4.0], np.nan])
    np.testing.assert_array_equal(chosen["best-f1"], [half[5.0], half[-1.0], np.nan])
    np.testing.assert_array_equal(chosen["fdr-5"], [half[7.0], np.nan, np.nan])
    np.testing.assert_array_equal(chosen["fdr-10"], [half[7.0], np.nan, np.nan])
    assert 4.99 < half[5.0] < 5


@pytest.mark.parametrize(
    ("right", "rule", "reached"), [(19, "fdr-5", True), (18, "fdr-5", False), (18, "fdr-10", True)]
)
def test_a_rule_is_reached_exactly(right: int, rule: Rule, reached: bool) -> None:
    labels = np.arange(40)[None] < right
    scores = (np.arange(40)[None] < 20).astype(np.float32)  # 20 are called, or all
    chosen = thresholds_of(*histograms(scores, labels), "probability")
    assert np.isfinite(chosen[rule][0]) == reached


@pytest.mark.parametrize("space", SPACES)
def test_operating_points_equal_scikit_learn_however_thresholds_were_written(space: Space) -> None:
    scores, shown, labels = example(7, space)
    counts = histograms(scores, labels)
    for rule, exact in thresholds_of(*counts, space).items():
        threshold = np.where(np.isnan(exact), 0.75, exact)
        short = np.array([float(f"{each:.6g}") for each in threshold])
        single = threshold.astype(np.float32).astype(np.float64)
        points = [operating_point(rule, each, *counts, space) for each in (threshold, short, single)]
        for marker, truth in enumerate(labels):
            if np.isnan(exact[marker]):
                continue
            called = shown[marker] >= threshold[marker]
            for point in points:
                assert point.precision[marker] == pytest.approx(precision_score(truth, called), abs=1e-12)
                assert point.recall[marker] == pytest.approx(recall_score(truth, called), abs=1e-12)
        assert points[0].rule == rule
        assert points[0].threshold is threshold


@pytest.mark.parametrize("space", SPACES)
def test_every_border_is_found_again_after_rounding(space: Space) -> None:
    keys = np.arange(LOWEST + 1, HIGHEST + 1)
    if space == "logit":
        keys = keys[(np.abs(key_values()[keys]) > 0.01) & (key_values()[keys] > -600) & (key_values()[keys] < 8)]
    if space == "probability":
        keys = keys[np.isfinite(probabilities(space)[keys])]
    borders = lower_borders(space)[keys]
    expected = np.where(keys == ZERO, ZERO - 1, keys)
    with np.errstate(under="ignore"):
        single = borders.astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(lowest_called(borders, space), expected)
    usual = np.abs(borders) > 1e-30 if space == "logit" else np.full(len(keys), True)
    np.testing.assert_array_equal(lowest_called(single, space)[usual], expected[usual])
    short = np.array([float(f"{border:.6g}") for border in borders])
    np.testing.assert_array_equal(lowest_called(short, space), expected)


@pytest.mark.parametrize("space", ["probability", "score"])
def test_a_threshold_of_the_user_calls_scores_that_equal_it(space: Space) -> None:
    """Tracks have values of two or three digits, in single precision, and thresholds are such values."""
    values = np.arange(1001) / 1000
    keys = key_of(values.astype(np.float32))
    np.testing.assert_array_equal(lowest_called(values, space), np.where(keys == ZERO, ZERO - 1, keys))


def test_thresholds_at_the_ends() -> None:
    assert lowest_called(np.array([0.0, 0.5]), "logit").tolist() == [LOWEST, ZERO - 1]
    assert 36 < key_values()[lowest_called(np.array([1.0]), "logit")[0]] < 38  # there probabilities are 1
    ends = np.array([-np.inf, -1e9, 0.0, 1e9, np.inf])
    assert lowest_called(ends, "score").tolist() == [LOWEST, LOWEST, ZERO - 1, HIGHEST, HIGHEST]


def test_undefined_operating_points() -> None:
    scores, labels = np.array([[1.0, 2.0]] * 4), np.array([[True, False]] * 3 + [[False] * 2])
    point = operating_point("0.5", np.array([np.nan, 3, 1.5, 1]), *histograms(scores, labels), "score")
    np.testing.assert_array_equal(point.precision, [np.nan, np.nan, 0, 0])
    np.testing.assert_array_equal(point.recall, [np.nan, 0, 0, np.nan])


def test_nothing_was_counted() -> None:
    nothing = np.zeros((2, KEYS), np.uint32)
    assert all(np.isnan(each).all() for each in thresholds_of(nothing, nothing, "logit").values())
