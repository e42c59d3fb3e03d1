from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from dilannot.metrics import LIMIT, ScoreHistograms


def example(seed: int, ties: bool = False) -> tuple[torch.Tensor, np.ndarray, torch.Tensor]:
    """Logits (N, T, L), dense labels, mask."""
    random = np.random.default_rng(seed)
    labels = random.random((3, 4, 2000)) < np.array([0.3, 0.01, 0.5, 0.002])[:, None]
    labels[:, 3] &= seed % 2 == 0
    logits = random.normal(-2, 3, labels.shape) + 2 * labels
    if ties:
        logits = np.round(logits)
    mask = np.ones((3, 2000), bool)
    mask[1, :700] = False
    return torch.from_numpy(logits.astype(np.float32)), labels, torch.from_numpy(mask)


def count(histograms: ScoreHistograms, logits: torch.Tensor, labels: np.ndarray, mask: torch.Tensor) -> None:
    histograms.update(logits, torch.from_numpy(np.flatnonzero(labels)), mask)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
def test_areas_equal_scikit_learn(seed: int, ties: bool) -> None:
    logits, labels, mask = example(seed, ties)
    histograms = ScoreHistograms(4)
    count(histograms, logits, labels, mask)
    scores = histograms.scores()
    for marker in range(4):
        truth, score = labels[:, marker][mask.numpy()], logits[:, marker].numpy()[mask.numpy()]
        assert scores.positives[marker] == truth.sum()
        assert scores.base_rate[marker] == truth.mean()
        if not truth.any():
            assert not scores.defined[marker]
            continue
        # Binning moves scores by at most 0.0004: see ScoreHistograms.
        assert scores.roc_auc[marker] == pytest.approx(roc_auc_score(truth, score), abs=2e-5)
        assert scores.pr_auc[marker] == pytest.approx(average_precision_score(truth, score), abs=5e-4)


@pytest.mark.parametrize("seed", range(2))
def test_areas_of_binned_scores_are_exact(seed: int) -> None:
    logits, labels, mask = example(seed, ties=True)
    step = 2 * LIMIT / 65535
    logits = torch.round((logits + LIMIT) / step) * step - LIMIT
    histograms = ScoreHistograms(4)
    count(histograms, logits, labels, mask)
    scores = histograms.scores()
    for marker in np.flatnonzero(scores.defined):
        truth, score = labels[:, marker][mask.numpy()], logits[:, marker].numpy()[mask.numpy()]
        assert scores.roc_auc[marker] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
        assert scores.pr_auc[marker] == pytest.approx(average_precision_score(truth, score), abs=1e-12)


def test_parts_add_up_to_the_whole() -> None:
    logits, labels, mask = example(1)
    whole, parts = ScoreHistograms(4), ScoreHistograms(4)
    count(whole, logits, labels, mask)
    for row in range(3):
        count(parts, logits[row : row + 1], labels[row : row + 1], mask[row : row + 1])
    assert (whole.all == parts.all).all()
    assert (whole.positive == parts.positive).all()


def test_perfect_and_hopeless_scores() -> None:
    labels = np.array([[[True, True, False, False]]])
    for sign, roc, average in ((1, 1.0, 1.0), (-1, 0.0, (1 / 3 + 2 / 4) / 2), (0, 0.5, 0.5)):
        histograms = ScoreHistograms(1)
        logits = torch.tensor([[[4.0, 3.0, 2.0, 1.0]]]) * sign
        count(histograms, logits, labels, torch.ones(1, 4, dtype=torch.bool))
        scores = histograms.scores()
        assert (scores.roc_auc[0], scores.pr_auc[0]) == (pytest.approx(roc), pytest.approx(average))


def test_calling_from_the_matching_threshold_covers_as_much_as_the_labels() -> None:
    logits, labels, mask = example(2)
    histograms = ScoreHistograms(4)
    count(histograms, logits, labels, mask)
    probabilities = torch.sigmoid(logits).numpy()
    for marker, threshold in enumerate(histograms.matching_thresholds()):
        truth, score = labels[:, marker][mask.numpy()], probabilities[:, marker][mask.numpy()]
        called = score >= threshold
        assert called.sum() == pytest.approx(truth.sum(), abs=3)
        assert precision_score(truth, called) == pytest.approx(recall_score(truth, called), abs=0.02)


def test_a_marker_without_positives_has_no_threshold() -> None:
    logits, labels, mask = example(1)
    histograms = ScoreHistograms(4)
    count(histograms, logits, labels, mask)
    assert np.isnan(histograms.matching_thresholds()).tolist() == [False, False, False, True]
