from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from key_histograms import Flags, histograms, key_of, scored
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, log_loss, precision_recall_curve, roc_auc_score

from dilannot.metrics.keys import HIGHEST, KEYS, LOWEST, ZERO, Space, key_values, probabilities
from dilannot.metrics.scores import CALIBRATION_BINS, Floats, Scores, scores_of
from dilannot.metrics.steps import lower_borders, steps_of

FIGURES = ("roc_auc", "pr_auc", "pr_auc_trapezoid", "best_f1", "log_loss", "calibration_error")
SPACES: list[Space] = ["logit", "probability", "score"]


def example(seed: int, space: Space) -> tuple[NDArray[np.float32], Flags]:
    """(6, 3000): rare and frequent markers, one without ties, one with hardly anything else."""
    random = np.random.default_rng(seed)
    labels = random.random((6, 3000)) < np.array([0.3, 0.01, 0.5, 0.002, 0.97, 0.1])[:, None]
    labels[:, 0], labels[:, 1] = True, False
    scores = random.normal(-2, 3, labels.shape) + 2 * labels
    scores[2:4] = np.round(scores[2:4])  # -0.0 too
    scores[5] = np.where(random.random(3000) < 0.5, 0.0, -0.0)
    if space == "probability":
        scores[[0, 1, 4]] = 1 / (1 + np.exp(-scores[[0, 1, 4]]))
        scores[2:4] = np.clip(np.abs(scores[2:4]) / 10, 0, 1)
    return scores.astype(np.float32), labels


def by_scikit_learn(scores: NDArray[np.float32], labels: Flags, space: Space) -> dict[str, float]:
    keys = key_of(scores)
    keys[keys == ZERO - 1] = ZERO
    precision, recall, _ = precision_recall_curve(labels, keys)
    with np.errstate(invalid="ignore"):
        f1 = 2 * precision * recall / (precision + recall)
    figures = {
        "roc_auc": roc_auc_score(labels, keys),
        "pr_auc": average_precision_score(labels, keys),
        "pr_auc_trapezoid": auc(recall, precision),
        "best_f1": np.nanmax(f1),
    }
    if space != "score":
        probability = probabilities(space)[keys]
        figures["log_loss"] = log_loss(labels, probability, labels=[0, 1])
        figures["calibration_error"] = calibration_error(probability, labels)
    return figures


def calibration_error(probability: Floats, labels: Flags) -> float:
    error = 0.0
    for bin_ in range(CALIBRATION_BINS):
        last = bin_ == CALIBRATION_BINS - 1
        inside = (probability * CALIBRATION_BINS >= bin_) & ((probability * CALIBRATION_BINS < bin_ + 1) | last)
        if inside.any():
            error += inside.mean() * abs(labels[inside].mean() - probability[inside].mean())
    return error


def of_one(
    scores: list[float] | NDArray[np.floating[Any]], labels: list[bool] | Flags, space: Space = "logit"
) -> Scores:
    return scores_of(*histograms(np.array([scores]), np.array([labels], bool)), space)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("seed", range(3))
def test_figures_equal_scikit_learn(seed: int, space: Space) -> None:
    scores, labels = example(seed, space)
    found = scores_of(*histograms(scores, labels), space)
    assert found.positions == 3000
    assert found.positives.tolist() == labels.sum(axis=1).tolist()
    np.testing.assert_allclose(found.base_rate, labels.mean(axis=1), rtol=1e-15)
    assert found.defined.all()
    for marker in range(len(scores)):
        for name, value in by_scikit_learn(scores[marker], labels[marker], space).items():
            assert getattr(found, name)[marker] == pytest.approx(value, abs=1e-12, rel=1e-12), (marker, name)
    if space == "score":
        assert np.isnan(found.log_loss).all()
        assert np.isnan(found.calibration_error).all()


@given(scored)
@settings(max_examples=200, deadline=None)
def test_figures_of_any_scores_equal_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = (np.array(column) for column in zip(*[*pairs, (1.0, True), (0.0, False)], strict=True))
    found = of_one(scores, labels)
    for name, value in by_scikit_learn(scores.astype(np.float32), labels, "logit").items():
        assert getattr(found, name)[0] == pytest.approx(value, abs=1e-12, rel=1e-12), name


@pytest.mark.parametrize("extreme", [30.0, 88.0, 65504.0, np.inf])
def test_extreme_logits(extreme: float) -> None:
    scores = np.array([-extreme, extreme, -extreme, extreme, 0.5, 40.0], np.float32)
    labels = np.array([False, True, True, False, True, False])
    found = of_one(scores, labels)
    for name, value in by_scikit_learn(scores, labels, "logit").items():
        assert getattr(found, name)[0] == pytest.approx(value, abs=1e-12, rel=1e-12), name


def test_known_answers() -> None:
    perfect = of_one([-1, 0, 1, 2], [False, False, True, True])
    hopeless = of_one([-1, 0, 1, 2], [True, True, False, False])
    same = of_one([3, 3, 3, 3], [True, False, False, False])
    assert (perfect.roc_auc[0], perfect.pr_auc[0], perfect.pr_auc_trapezoid[0], perfect.best_f1[0]) == (1, 1, 1, 1)
    assert hopeless.roc_auc[0] == 0
    assert hopeless.pr_auc[0] == pytest.approx((1 / 3 + 2 / 4) / 2, abs=1e-15)
    assert hopeless.best_f1[0] == pytest.approx(2 / 3)
    assert (same.roc_auc[0], same.pr_auc[0]) == (0.5, 0.25)
    assert same.best_f1[0] == pytest.approx(0.4)
    assert same.log_loss[0] == pytest.approx(np.log1p(np.exp(3)) - 3 / 4, abs=1e-14)
    assert same.calibration_error[0] == pytest.approx(1 / (1 + np.exp(-3)) - 1 / 4, abs=1e-14)


def test_both_zeros_are_one_score() -> None:
    mixed = of_one([0.0, -0.0, -0.0, 0.0], [True, False, True, False])
    assert (mixed.roc_auc[0], mixed.pr_auc[0]) == (0.5, 0.5)
    for zero in (0.0, -0.0):
        assert of_one([zero, -1.0], [True, False]).best_f1_threshold[0] == 0.5 - 2.0**-27  # logit -2^-25


@pytest.mark.parametrize("space", SPACES)
def test_undefined_markers(space: Space) -> None:
    scores = np.array([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5], [0.1, 0.9, 0.5]])
    labels = np.array([[False] * 3, [True] * 3, [True, False, True]])
    found = scores_of(*histograms(scores, labels), space)
    assert found.defined.tolist() == [False, False, True]
    for name in ("roc_auc", "pr_auc", "pr_auc_trapezoid", "best_f1", "best_f1_threshold"):
        assert np.isfinite(getattr(found, name)).tolist() == [False, False, True], name
    assert np.isfinite(found.log_loss).all() == (space != "score")
    assert np.isfinite(found.calibration_error).all() == (space != "score")
    assert found.base_rate.tolist() == [0, 1, 2 / 3]


def test_scores_that_are_no_probabilities_have_no_loss() -> None:
    scores = np.array([[0.1, 0.9], [0.1, 1.01], [-0.1, 0.5], [0.0, 1.0], [-0.0, 1.0]])
    found = scores_of(*histograms(scores, np.array([[False, True]] * 5)), "probability")
    assert np.isfinite(found.log_loss).tolist() == [True, False, False, True, True]
    assert np.isfinite(found.calibration_error).tolist() == [True, False, False, True, True]
    assert found.roc_auc.tolist() == [1] * 5


def test_nothing_counted_and_scores_that_are_no_numbers() -> None:
    nothing = scores_of(np.zeros((2, KEYS), np.uint32), np.zeros((2, KEYS), np.uint32), "logit")
    nan = of_one([np.nan, 1.0, 0.0], [True, True, False])
    none = scores_of(np.zeros((0, KEYS), np.uint32), np.zeros((0, KEYS), np.uint32), "logit")
    assert (nothing.positions, none.positions, nan.positions) == (0, 0, 3)
    assert none.roc_auc.shape == (0,)
    for name in FIGURES:
        assert np.isnan(getattr(nothing, name)).all()
        assert np.isnan(getattr(nan, name)).all()


def test_counts_of_a_whole_genome_do_not_overflow() -> None:
    """The largest counts there can be: 4.3e9 positions, half of the pairs above 2^63."""
    counts = np.zeros((2, 1, KEYS), np.uint32)
    counts[0, 0, [ZERO - 100, ZERO + 100]] = 2_147_483_000
    counts[1, 0, [ZERO - 100, ZERO + 100]] = 500_000_000, 1_500_000_000
    found = scores_of(counts[0], counts[1], "logit")
    true, false = 0.75, 647_483 / 2_294_966
    assert found.positions == 4_294_966_000
    assert found.positives.tolist() == [2_000_000_000]
    assert found.roc_auc[0] == pytest.approx((1 + true - false) / 2, rel=1e-12)
    precision = 1_500_000 / 2_147_483
    assert found.pr_auc[0] == pytest.approx(0.75 * precision + 0.25 * 2_000_000 / 4_294_966, rel=1e-12)


@given(scored, scored)
@settings(max_examples=50, deadline=None)
def test_histograms_of_parts_add_up(one: list[tuple[float, bool]], two: list[tuple[float, bool]]) -> None:
    parts = [histograms(np.array([[s for s, _ in part]]), np.array([[y for _, y in part]])) for part in (one, two)]
    whole = of_one([s for s, _ in one + two], [y for _, y in one + two])
    added = scores_of(parts[0][0] + parts[1][0], parts[0][1] + parts[1][1], "logit")
    for name in FIGURES:
        np.testing.assert_array_equal(getattr(whole, name), getattr(added, name))


@given(scored, st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_only_the_order_matters_for_areas(pairs: list[tuple[float, bool]], seed: int) -> None:
    scores, labels = (np.array(column) for column in zip(*[*pairs, (1.0, True), (0.0, False)], strict=True))
    _, rank = np.unique(scores, return_inverse=True)
    keys = np.random.default_rng(seed).choice(np.arange(LOWEST, ZERO - 1), rank.max() + 1, replace=False)
    one, other = of_one(scores, labels), of_one(key_values()[np.sort(keys)][rank], labels)
    for name in ("roc_auc", "pr_auc", "pr_auc_trapezoid", "best_f1"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_allclose(of_one(-scores, labels).roc_auc, 1 - one.roc_auc, atol=1e-14)


def test_steps_are_the_distinct_scores_from_the_highest_on() -> None:
    scores, labels = np.array([[2.0, 1.0, 2.0, 0.0, -0.0, -np.inf, np.inf]]), np.array([[1, 0, 0, 1, 1, 0, 1]], bool)
    (steps,) = steps_of(*histograms(scores, labels))
    assert key_values()[steps.keys].tolist() == [np.inf, 2, 1, 0, -np.inf]
    assert steps.called.tolist() == [1, 3, 4, 6, 7]
    assert steps.found.tolist() == [1, 2, 2, 4, 4]
    assert [part.tolist() for part in steps.each()] == [[1, 2, 1, 2, 1], [1, 1, 0, 2, 0]]
    assert (steps.positives, steps.negatives) == (4, 3)


def test_lower_borders_are_where_rounding_turns() -> None:
    """Of single-precision scores, the border is the least that rounds to the key or higher."""
    lower = lower_borders("score")
    keys = np.append(np.arange(LOWEST + 1, ZERO - 1), np.arange(ZERO + 1, HIGHEST + 1))
    border = lower[keys].astype(np.float32)
    np.testing.assert_array_equal(border, lower[keys])
    assert (key_of(border) >= keys).all()
    assert (key_of(np.nextafter(border, np.float32(-np.inf))) < keys).all()
    assert lower[LOWEST] == -np.inf
    assert lower[ZERO] == lower[ZERO - 1] == np.float32(-(2.0**-25))
    assert (np.diff(lower[LOWEST : HIGHEST + 1]) >= 0).all()
