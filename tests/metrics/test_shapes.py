from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from key_histograms import Counts, Flags, coarse, histograms, key_of, scored
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from dilannot.metrics.keys import COARSE, KEYS, Space, drawn_edges, key_values, probabilities
from dilannot.metrics.scores import scores_of
from dilannot.metrics.shapes import CALIBRATION_EDGES, POINTS, shapes_of

SPACES: list[Space] = ["logit", "probability", "score"]


def example(space: Space) -> tuple[NDArray[np.float32], Flags, tuple[Counts, Counts]]:
    random = np.random.default_rng(3)
    labels = random.random((3, 5000)) < np.array([0.3, 0.01, 0.1])[:, None]
    scores = random.normal(-2, 2, labels.shape) + 2 * labels
    scores[2] = np.round(scores[2])
    if space == "probability":
        scores = 1 / (1 + np.exp(-scores))
    scores = scores.astype(np.float32)
    return scores, labels, histograms(scores, labels)


@pytest.mark.parametrize("space", SPACES)
def test_curves_equal_scikit_learn(space: Space) -> None:
    scores, labels, counts = example(space)
    shapes = shapes_of(*counts, space)
    assert shapes.recall.tolist() == pytest.approx([i / 100 for i in range(101)])
    for marker, truth in enumerate(labels):
        halves = key_values()[key_of(scores[marker])]
        precision, recall, _ = precision_recall_curve(truth, halves)
        for point, asked in enumerate(shapes.recall[1:], 1):
            highest = np.flatnonzero(recall >= asked - 1e-12)[-1]  # recall falls
            assert shapes.precision[marker, point] == pytest.approx(precision[highest], abs=1e-12)
        assert shapes.precision[marker, 0] == precision[np.flatnonzero(recall > 0)[-1]]
        false, true, _ = roc_curve(truth, halves, drop_intermediate=False)
        expected = np.interp(shapes.false_positive_rate, false, true)
        np.testing.assert_allclose(shapes.true_positive_rate[marker], expected, atol=1e-12)


def test_curves_have_about_the_areas_of_the_scores() -> None:
    everything, positive = example("logit")[2]
    shapes, scores = shapes_of(everything, positive, "logit"), scores_of(everything, positive, "logit")
    areas = np.trapezoid(shapes.true_positive_rate, shapes.false_positive_rate, axis=1)
    np.testing.assert_allclose(areas, scores.roc_auc, atol=0.002)
    np.testing.assert_allclose(shapes.precision[:, 1:].mean(axis=1), scores.pr_auc, atol=0.02)


@given(scored)
@settings(max_examples=50, deadline=None)
def test_curves_rise_and_nothing_is_lost(pairs: list[tuple[float, bool]]) -> None:
    counts = histograms(np.array([[s for s, _ in pairs]]), np.array([[y for _, y in pairs]]))
    shapes = shapes_of(*counts, "logit")
    positives = sum(y for _, y in pairs)
    assert shapes.everything.sum() == shapes.calibration_counts.sum() == len(pairs)
    assert shapes.positive.sum() == shapes.calibration_positives.sum() == positives
    if 0 < positives < len(pairs):
        assert shapes.true_positive_rate[0, -1] == 1
        assert (np.diff(shapes.true_positive_rate[0]) >= 0).all()
        assert shapes.precision[0, -1] >= positives / len(pairs) - 1e-12
    else:
        assert np.isnan(shapes.precision).all()
        assert np.isnan(shapes.true_positive_rate).all()


def test_a_recall_that_is_just_reached_counts() -> None:
    """0.07 * 100 is a little more than 7 in floating point."""
    labels = np.arange(200)[None] % 2 == 0  # every second one, from the highest score on
    shapes = shapes_of(*histograms(np.arange(200.0)[None, ::-1], labels), "score")
    assert shapes.precision[0, 1:].tolist() == [i / (2 * i - 1) for i in range(1, 101)]


@pytest.mark.parametrize("space", SPACES)
def test_distributions(space: Space) -> None:
    everything, positive = example(space)[2]
    shapes = shapes_of(everything, positive, space)
    edges = drawn_edges(space)
    np.testing.assert_array_equal(shapes.everything, coarse(everything, edges))
    np.testing.assert_array_equal(shapes.positive, coarse(positive, edges))
    assert shapes.score.shape == (COARSE,)
    assert np.isfinite(shapes.score).all()
    assert (np.diff(shapes.score) > 0).all()
    shown = key_values() if space == "score" else probabilities(space)
    inner = shown[edges[1:-1]]
    assert (shapes.score[:-1] < inner).all()
    assert (inner < shapes.score[1:]).all()
    if space == "logit":
        assert shapes.score[[0, -1]].tolist() == pytest.approx(
            [1 / (1 + np.exp(16 - 3 / 64)), 1 / (1 + np.exp(-8 + 3 / 64))], rel=1e-12
        )
    if space == "probability":
        assert shapes.score.tolist() == pytest.approx([(i + 0.5) / COARSE for i in range(COARSE)])


@pytest.mark.parametrize("space", ["logit", "probability"])
def test_calibration(space: Space) -> None:
    scores, labels, counts = example(space)
    shapes = shapes_of(*counts, space)
    assert tuple(shapes.calibration_edges) == CALIBRATION_EDGES
    for marker, truth in enumerate(labels):
        probability = probabilities(space)[key_of(scores[marker])]
        for k, (low, high) in enumerate(pairwise(CALIBRATION_EDGES)):
            inside = (probability >= low) & (probability < high if high < 1 else True)
            assert shapes.calibration_counts[marker, k] == inside.sum()
            assert shapes.calibration_positives[marker, k] == truth[inside].sum()
            assert shapes.calibration_predicted[marker, k] == pytest.approx(probability[inside].sum(), abs=1e-9)


def test_scores_that_are_no_probabilities_have_no_calibration() -> None:
    shapes = shapes_of(*example("score")[2], "score")
    assert shapes.calibration_counts.shape == shapes.calibration_predicted.shape == (3, 0)
    assert shapes.calibration_edges.shape == (0,)
    counts = histograms(np.array([[0.0, 1.0], [0.5, 1.5]]), np.array([[False, True]] * 2))
    assert shapes_of(*counts, "probability").calibration_counts.sum(axis=1).tolist() == [2, 0]


def test_markers_without_anything() -> None:
    nothing = np.zeros((2, KEYS), np.uint32)
    shapes = shapes_of(nothing, nothing, "logit")
    assert shapes.precision.shape == shapes.true_positive_rate.shape == (2, POINTS)
    assert np.isnan(shapes.precision).all()
    assert shapes.everything.sum() == shapes.calibration_counts.sum() == 0
