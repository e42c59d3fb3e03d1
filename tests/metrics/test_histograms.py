from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from key_histograms import coarse, key_of
from key_histograms import histograms as histograms_of
from sklearn.metrics import auc, average_precision_score, log_loss, precision_recall_curve, roc_auc_score

from dilannot.data.batch import LabelIntervals
from dilannot.errors import DilannotError
from dilannot.genome.intervals import runs
from dilannot.metrics import histograms as module
from dilannot.metrics.histograms import Counts, ScoreHistograms, _OnDevice, highest
from dilannot.metrics.keys import COARSE, HIGHEST, KEYS, LOWEST, ZERO, Space, coarse_edges, drawn_edges, key_values
from dilannot.metrics.scores import scores_of
from dilannot.metrics.thresholds import operating_point, thresholds_of

SPACES: list[Space] = ["logit", "probability", "score"]


def labels_of(dense: np.ndarray) -> LabelIntervals:
    """(N, T, L) flags as intervals, in no order but that of windows."""
    rows: list[tuple[int, int, int, int]] = []
    for window, markers in enumerate(dense):
        found = [
            (window, marker, start, end)
            for marker, flags in enumerate(markers)
            for start, end in zip(*runs(flags), strict=True)
        ]
        rows += found[::-1]
    columns = np.array(rows, np.int64).reshape(-1, 4).T.copy()
    return LabelIntervals(*map(torch.from_numpy, columns))


def example(seed: int, size: int = 3, markers: int = 4, length: int = 700) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scores = random.normal(-2, 3, (size, markers, length)).astype(np.float32)
    scores[:, :, ::50] = np.round(scores[:, :, ::50])  # ties, and both zeros
    positive = random.random(scores.shape) < 0.1
    return scores, positive, random.random((size, length)) < 0.8


def by_hand(scores: np.ndarray, positive: np.ndarray, mask: np.ndarray) -> tuple[Counts, Counts]:
    counted = [
        histograms_of(row[:, known], labels[:, known])
        for row, labels, known in zip(scores, positive, mask, strict=True)
    ]
    everything, positives = (np.sum(parts, axis=0, dtype=np.uint32) for parts in zip(*counted, strict=True))
    return everything, positives


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("length", [1, 700, 5000])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_score_is_counted(space: Space, length: int, threads: int) -> None:
    scores, positive, mask = example(length, length=length)
    histograms = ScoreHistograms(4, space=space, blocks=2)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for block in (0, 1, 1):
            histograms.update(torch.from_numpy(scores), labels_of(positive), torch.from_numpy(mask), block)
    finally:
        torch.set_num_threads(before)
    histograms.finish()
    everything, positives = by_hand(scores, positive, mask)
    assert (histograms.everything == 3 * everything).all()
    assert (histograms.positive == 3 * positives).all()
    assert histograms.edges is not None
    for marker, edges in enumerate(histograms.edges):
        for block, times in enumerate((1, 2)):
            of_block = (histograms.coarse_everything[block, marker], histograms.coarse_positive[block, marker])
            for found, counts in zip(of_block, (everything, positives), strict=True):
                assert (found == times * coarse(counts[marker : marker + 1], edges)[0]).all()
        occupied = (everything[marker : marker + 1] > 0).astype(np.uint32)
        assert (histograms.distinct()[marker] == coarse(occupied, edges)[0]).all()


@pytest.mark.parametrize("space", SPACES)
def test_a_gpu_counts_the_same(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its way of counting, on a CPU."""
    monkeypatch.setattr(module, "_ON_A_GPU", 4_000)
    scores, positive, mask = example(5)
    there, here = ScoreHistograms(4, space=space, blocks=3), ScoreHistograms(4, space=space, blocks=3)
    there._there, there._first = _OnDevice(there, torch.device("cpu")), 0
    for block in (0, 0, 2):
        if block:
            there._choose_edges()
        given = labels_of(positive), torch.from_numpy(mask), block
        there._there.update(torch.from_numpy(scores).half(), *given, there.edges)
        here.update(torch.from_numpy(scores), *given)
    there.collect()
    here.collect()
    assert (there.edges == here.edges).all()
    for name in ("everything", "positive", "coarse_everything", "coarse_positive"):
        assert (getattr(there, name) == getattr(here, name)).all(), name


@given(seed=st.integers(0, 1000), cut=st.integers(0, 6))
@settings(deadline=None, max_examples=30)
def test_parts_add_up_to_the_whole(seed: int, cut: int) -> None:
    scores, positive, mask = example(seed, size=6, length=200)
    whole, one, other = (ScoreHistograms(4) for _ in range(3))
    for histograms, rows in ((whole, slice(None)), (one, slice(cut)), (other, slice(cut, None))):
        if len(scores[rows]):
            histograms.update(torch.from_numpy(scores[rows]), labels_of(positive[rows]), torch.from_numpy(mask[rows]))
    assert np.array_equal(whole.everything, one.everything + other.everything)
    assert np.array_equal(whole.positive, one.positive + other.positive)


def test_extreme_scores_keep_their_order() -> None:
    scores = torch.tensor([[[-1e30, -70000.0, -5.0, -0.0, 0.0, 1e-8, 5.0, 1e30]]])
    histograms = ScoreHistograms(1)
    histograms.update(scores, labels_of(np.zeros((1, 1, 8), bool)), torch.ones(1, 8, dtype=torch.bool))
    histograms.finish()
    found = np.repeat(np.arange(KEYS), histograms.everything[0])
    assert key_values()[found].tolist() == [-np.inf, -np.inf, -5, 0, 0, 0, 5, np.inf]
    assert histograms.everything[0, LOWEST] == 2
    assert histograms.everything[0, HIGHEST] == 1


def test_scores_that_are_no_numbers_are_refused() -> None:
    for number in (float("nan"), -float("nan")):
        histograms = ScoreHistograms(1)
        histograms.update(
            torch.full((1, 1, 3), number), labels_of(np.zeros((1, 1, 3), bool)), torch.ones(1, 3, dtype=torch.bool)
        )
        with pytest.raises(DilannotError, match="no numbers"):
            histograms.finish()


def test_masked_scores_may_be_anything() -> None:
    histograms = ScoreHistograms(1)
    scores = torch.tensor([[[float("nan"), 1.0]]])
    histograms.update(scores, labels_of(np.ones((1, 1, 2), bool)), torch.tensor([[False, True]]))
    histograms.finish()
    assert histograms.everything.sum() == histograms.positive.sum() == 1


def test_more_positions_than_bits_are_refused() -> None:
    histograms = ScoreHistograms(1)
    histograms.positions = (1 << 32) - 2
    nothing = labels_of(np.zeros((1, 1, 2), bool))
    with pytest.raises(DilannotError, match="more than 4,294,967,295 positions"):
        histograms.update(torch.zeros(1, 1, 2), nothing, torch.ones(1, 2, dtype=torch.bool))


@pytest.mark.parametrize("space", SPACES)
def test_drawn_bins_cover_all_keys_and_cut_no_zero(space: Space) -> None:
    edges = drawn_edges(space)
    assert edges[0] == 0
    assert edges[-1] == KEYS
    assert len(edges) == COARSE + 1
    assert (np.diff(edges) > 0).all()
    assert ZERO not in edges


BOUNDS = [
    (-8.0, -1.0),
    (-5.0, -5.0),
    (-30.0, -17.0),
    (-1.0, 3.0),
    (0.0, 1.0),
    (1000.0, 1100.0),
    (np.nan, np.nan),
    (-np.inf, np.inf),
]


@pytest.mark.parametrize("space", SPACES)
def test_coarse_bins_cover_all_keys_and_tell_those_seen_apart(space: Space) -> None:
    edges = coarse_edges(*np.array(BOUNDS).T, space)
    assert edges.shape == (len(BOUNDS), COARSE + 1)
    assert (edges[:, 0] == 0).all()
    assert (edges[:, -1] == KEYS).all()
    assert (np.diff(edges) >= 0).all()
    assert ZERO not in edges
    for (low, high), row in zip(BOUNDS, edges, strict=True):
        if np.isfinite(low):
            first, last = key_of(np.array([low, high]))
            inside = np.unique(row[(row > first) & (row <= last)])
            assert len(inside) >= min(150, (last - first) * 0.9), (low, high)


def test_bins_are_those_of_the_first_block_whatever_the_batches() -> None:
    scores, positive, mask = example(3, size=6)
    found = []
    for parts in ([3], [1, 2], [2, 3], [0, 3]):
        histograms = ScoreHistograms(4, blocks=2)
        for rows, block in [(slice(a, b), 0) for a, b in zip([0, *parts], [*parts, 3], strict=True)] + [
            (slice(3, 6), 1)
        ]:
            if len(scores[rows]):
                given = labels_of(positive[rows]), torch.from_numpy(mask[rows]), block
                histograms.update(torch.from_numpy(scores[rows]), *given)
        histograms.finish()
        found.append(histograms)
    for other in found[1:]:
        assert (other.edges == found[0].edges).all()
        assert (other.coarse_everything == found[0].coarse_everything).all()
        assert (other.coarse_positive == found[0].coarse_positive).all()


@pytest.mark.parametrize(("middle", "spread"), [(-4.0, 0.01), (-4.0, 1.0), (-9.0, 2.0), (0.0, 0.3)])
def test_rounding_hardly_matters_once_scores_are_shifted(middle: float, spread: float) -> None:
    """Those of a network that has hardly learnt anything are nearly the same: around -4, half precision has 1/256."""
    random = np.random.default_rng(0)
    labels = random.random((2, 3, 40_000)) < 0.02
    scores = (middle + spread * (random.normal(0, 1, labels.shape) + 1.5 * labels)).astype(np.float32)
    mask = torch.ones(2, 40_000, dtype=torch.bool)
    shift = highest(torch.from_numpy(scores[:1]))
    histograms = ScoreHistograms(3, shift=shift)
    for first in (0, 1):
        some = slice(first, first + 1)
        histograms.update(torch.from_numpy(scores[some]), labels_of(labels[some]), mask[some])
    histograms.finish()
    counted = histograms.everything, histograms.positive, histograms.space, shift
    found, chosen = scores_of(*counted), thresholds_of(*counted)["break-even"]
    point = operating_point("break-even", chosen, *counted)
    for marker in range(3):
        pair = labels[:, marker].ravel(), scores[:, marker].ravel()
        precision, recall, _ = precision_recall_curve(*pair)
        assert found.roc_auc[marker] == pytest.approx(roc_auc_score(*pair), abs=1e-5)
        assert found.pr_auc[marker] == pytest.approx(average_precision_score(*pair), abs=1e-4)
        assert found.pr_auc_trapezoid[marker] == pytest.approx(auc(recall, precision), abs=2e-4)
        probability = 1 / (1 + np.exp(-scores[:, marker].ravel().astype(np.float64)))
        assert found.log_loss[marker] == pytest.approx(log_loss(pair[0], probability), abs=1e-5)
        called = probability >= chosen[marker]
        assert called.sum() == pytest.approx(pair[0].sum(), rel=5e-3)
        assert point.precision[marker] == pytest.approx(pair[0][called].mean(), abs=2e-3)
        assert point.recall[marker] == pytest.approx(point.precision[marker], rel=5e-3)
