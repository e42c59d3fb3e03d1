from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from key_histograms import Counts, Flags, coarse, histograms
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from dilannot.data.markers import Marker
from dilannot.evaluate.confidence import difference, intervals
from dilannot.evaluation import Evaluation, Intervals, class_means
from dilannot.metrics.bootstrap import FIGURES, LEAST_BLOCKS, Resampled, resampled
from dilannot.metrics.keys import COARSE, Space, coarse_edges
from dilannot.metrics.scores import Floats, scores_of
from dilannot.metrics.shapes import shapes_of

MARKERS = [Marker("a", "TFBS"), Marker("b", "TFBS"), Marker("c", "DNase"), Marker("d", "DNase")]
RATES = np.array([0.2, 0.05, 0.3, 0.1])


def simulate(random: np.random.Generator, blocks: int, skill: float = 1.5) -> tuple[NDArray[np.float32], Flags]:
    """(4, blocks, 300) scores and labels; blocks differ in how much is positive, and how well it is found."""
    frequent, easy = random.normal(0, 0.7, (2, 4, blocks, 1))
    labels = random.random((4, blocks, 300)) < 1 / (1 + np.exp(-np.log(RATES)[:, None, None] - frequent))
    return (random.normal(-2, 1, labels.shape) + (skill + easy) * labels).astype(np.float32), labels


def coarse_of(scores: NDArray[np.float32], labels: Flags, space: Space = "logit") -> tuple[Counts, Counts]:
    """(blocks, T, COARSE) of all and of positives, in bins that fit the first block."""
    first = scores[:, 0].astype(np.float16).astype(np.float64)
    edges = coarse_edges(first.min(axis=1), first.max(axis=1), space)
    pairs = [histograms(scores[:, block], labels[:, block]) for block in range(scores.shape[1])]
    everything, positive = (
        np.stack([[coarse(pair[which][t : t + 1], row)[0] for t, row in enumerate(edges)] for pair in pairs])
        for which in (0, 1)
    )
    return everything, positive


def drawn_as(deviations: Floats, judged: Evaluation) -> Resampled:
    """Both figures deviate like this."""
    exact = judged.scores.roc_auc, judged.scores.pr_auc
    return Resampled(deviations, deviations, *exact, np.full(4, LEAST_BLOCKS))


def evaluation(scores: NDArray[np.float32], labels: Flags) -> Evaluation:
    counts = histograms(scores.reshape(4, -1), labels.reshape(4, -1))
    return Evaluation("run", "logit", {}, MARKERS, scores_of(*counts, "logit"), shapes_of(*counts, "logit"))


def intervals_of(drawn: Resampled, judged: Evaluation, blocks: int) -> Intervals:
    found = intervals(drawn, judged.scores, MARKERS, blocks=blocks, block_length=300, replicates=400, seed=0)
    assert found is not None
    return found


def test_figures_of_replicates() -> None:
    everything, positive = coarse_of(*simulate(np.random.default_rng(0), 12))
    drawn = resampled(everything, positive, replicates=5, seed=8)
    weights = np.random.default_rng(8).multinomial(12, np.full(12, 1 / 12), size=5)
    bins = np.tile(np.arange(COARSE), 2)
    truth = np.repeat([True, False], COARSE)

    def by_scikit_learn(weight: Sequence[int], marker: int) -> tuple[float, float]:
        counts, hits = (np.einsum("b,bc->c", weight, each[:, marker].astype(int)) for each in (everything, positive))
        middle = np.cumsum(hits[::-1]) - hits[::-1] / 2, np.cumsum(counts[::-1]) - counts[::-1] / 2
        precision = np.divide(*middle, out=np.zeros(COARSE), where=middle[1] > 0)
        roc = roc_auc_score(truth, bins, sample_weight=np.append(hits, counts - hits))
        return roc, np.average(precision, weights=hits[::-1])

    for marker in range(4):
        together = by_scikit_learn([1] * 12, marker)
        for replicate, weight in enumerate(weights.tolist()):
            roc, average = by_scikit_learn(weight, marker)
            assert drawn.roc_auc[replicate, marker] == pytest.approx(roc - together[0], abs=1e-12)
            assert drawn.pr_auc[replicate, marker] == pytest.approx(average - together[1], abs=1e-12)


def test_equal_blocks_leave_no_doubt() -> None:
    scores, labels = simulate(np.random.default_rng(1), 1)
    scores, labels = scores.repeat(15, axis=1), labels.repeat(15, axis=1)
    counts = coarse_of(scores, labels)
    drawn = resampled(*counts, replicates=50, seed=0, distinct=(counts[0].sum(axis=0) > 0).astype(np.int64))
    judged = evaluation(scores, labels)
    found = intervals_of(drawn, judged, 15)
    for figure in FIGURES:
        np.testing.assert_allclose(drawn.of(figure), 0, atol=1e-12)
        exact = getattr(judged.scores, figure)[:, None].repeat(2, axis=1)
        np.testing.assert_allclose(found.markers[figure], exact, atol=1e-12)
        for name, mean in judged.means.items():
            around = found.classes[name][figure]
            assert (around.low, around.high) == pytest.approx([getattr(mean, figure)] * 2, abs=1e-12)


def test_the_seed_decides() -> None:
    counts = coarse_of(*simulate(np.random.default_rng(2), 12))
    one, same, other = (resampled(*counts, replicates=20, seed=seed) for seed in (5, 5, 6))
    assert one.roc_auc.shape == one.pr_auc.shape == (20, 4)
    for figure in FIGURES:
        np.testing.assert_array_equal(one.of(figure), same.of(figure))
        assert (one.of(figure) != other.of(figure)).any()


def test_a_marker_without_positives_in_the_drawn_blocks() -> None:
    scores, labels = simulate(np.random.default_rng(3), 12)
    labels[0, 1:] = False  # all positives in one block
    labels[2] = False
    labels[3] = True
    drawn = resampled(*coarse_of(scores, labels), replicates=200, seed=1)
    there = np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12), size=200)[:, 0] > 0
    for figure in FIGURES:
        np.testing.assert_array_equal(np.isfinite(drawn.of(figure)[:, 0]), there)
        assert np.isfinite(drawn.of(figure)[:, 1]).all()
        assert np.isnan(drawn.of(figure)[:, 2:]).all()
    judged = evaluation(scores, labels)
    found = intervals_of(drawn, judged, 12)
    assert list(found.classes) == ["TFBS"]
    assert drawn.positive_blocks.tolist() == [1, 12, 0, 12]
    assert np.isfinite(found.markers["pr_auc"]).all(axis=1).tolist() == [False, True, False, False]
    compared = difference(judged, judged, drawn, drawn)
    assert list(compared.classes) == ["TFBS"]
    assert np.isnan(compared.markers["pr_auc"][2:]).all()
    assert np.isnan(compared.markers["pr_auc"][0, 1:]).all()


def test_coarse_figures_are_close_to_exact_ones() -> None:
    """Drawing one of two blocks only shows them; the other one has 0.5 and 0.5."""
    scores, labels = simulate(np.random.default_rng(4), 20)
    exact = evaluation(scores, labels).scores
    everything, positive = coarse_of(scores, labels)
    none = np.zeros_like(everything[:1])
    empty = none.copy()
    empty[..., 0], none[..., 0] = 2, 1  # a positive and a negative, alike
    pair = np.stack([everything.sum(axis=0), empty[0]]), np.stack([positive.sum(axis=0), none[0]])
    drawn = resampled(*pair, replicates=40, seed=0)
    only = np.random.default_rng(0).multinomial(2, [0.5, 0.5], size=40)
    first, second = (int(np.flatnonzero(only[:, block] == 2)[0]) for block in (0, 1))
    for figure in FIGURES:
        figures = drawn.of(figure)[first] - drawn.of(figure)[second] + 0.5
        np.testing.assert_allclose(figures, getattr(exact, figure), atol=0.003)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(5)
    whole = evaluation(*simulate(random, 3000))
    truth = {figure: getattr(whole.scores, figure) for figure in FIGURES}
    held: list[bool] = []
    held_means: list[bool] = []
    for seed in range(40):
        scores, labels = simulate(random, 40)
        judged = evaluation(scores, labels)
        drawn = resampled(*coarse_of(scores, labels), replicates=200, seed=seed)
        found = intervals_of(drawn, judged, 40)
        for figure in FIGURES:
            low, high = found.markers[figure].T
            values = getattr(judged.scores, figure)
            assert ((low < values) & (values < high)).all()
            held += ((low <= truth[figure]) & (truth[figure] <= high)).tolist()
            for name, mean in class_means(whole.scores, MARKERS).items():
                around = found.classes[name][figure]
                held_means.append(around.low <= getattr(mean, figure) <= around.high)
                assert around.low < getattr(judged.means[name], figure) < around.high
    assert 0.88 <= np.mean(held) <= 0.98
    assert 0.86 <= np.mean(held_means) <= 0.99


def test_intervals_stay_between_0_and_1() -> None:
    scores, labels = simulate(np.random.default_rng(6), 12)
    scores = np.where(labels, 3, -3).astype(np.float32)  # perfect
    judged = evaluation(scores, labels)
    found = intervals_of(resampled(*coarse_of(scores, labels), replicates=99, seed=0), judged, 12)
    assert found.markers["pr_auc"].tolist() == [[1, 1]] * 4
    wide = np.tile(np.linspace(-2, 2, 400)[:, None], 4)
    for drawn, ends in ((drawn_as(wide, judged), [0, 1]), (drawn_as(wide / 4, judged), [0.525, 1])):
        np.testing.assert_allclose(intervals_of(drawn, judged, 12).markers["roc_auc"], [ends] * 4, atol=1e-12)
    compared = difference(judged, judged, drawn_as(wide, judged), drawn_as(-wide, judged))
    assert compared.markers["roc_auc"].tolist() == [[0, -1, 1]] * 4
    assert compared.classes["TFBS"]["roc_auc"][2] == 0.5
    assert (found.blocks, found.block_length, found.replicates, found.seed) == (12, 300, 400, 0)


def test_too_few_blocks_say_nothing() -> None:
    scores, labels = simulate(np.random.default_rng(7), LEAST_BLOCKS - 1)
    judged = evaluation(scores, labels)
    drawn = resampled(*coarse_of(scores, labels), replicates=9, seed=0)
    few = {"block_length": 300, "replicates": 9, "seed": 0}
    assert intervals(drawn, judged.scores, MARKERS, blocks=LEAST_BLOCKS - 1, **few) is None
    compared = difference(judged, judged, None, None)
    for figure in FIGURES:
        np.testing.assert_array_equal(compared.markers[figure], [[0, np.nan, np.nan]] * 4)
        value, around, share = compared.classes["TFBS"][figure]
        np.testing.assert_array_equal([value, around.low, around.high, share], [0, np.nan, np.nan, np.nan])
    assert compared.better() == (0, 0)


def test_a_run_is_no_better_than_itself() -> None:
    scores, labels = simulate(np.random.default_rng(8), 20)
    one, other = (evaluation(scores, labels) for _ in range(2))
    drawn = [resampled(*coarse_of(scores, labels), replicates=100, seed=3) for _ in range(2)]
    compared = difference(one, other, *drawn)
    assert compared.other is other
    for figure in FIGURES:
        assert not compared.markers[figure].any()
        for of_figure in compared.classes.values():
            value, around, share = of_figure[figure]
            assert (value, around.low, around.high, share) == (0, 0, 0, 0)
    assert compared.better() == (0, 0)


def test_a_better_run_is_better_more_surely_than_either_is_good() -> None:
    random = np.random.default_rng(9)
    scores, labels = simulate(random, 40)
    worse = scores + random.normal(0, 0.7, scores.shape).astype(np.float32)
    one, other = evaluation(scores, labels), evaluation(worse, labels)
    draws = [resampled(*coarse_of(each, labels), replicates=300, seed=3) for each in (scores, worse)]
    forth, back = difference(one, other, *draws), difference(other, one, *draws[::-1])
    alone = intervals_of(draws[0], one, 40)
    for figure in FIGURES:
        value, low, high = forth.markers[figure].T
        np.testing.assert_array_equal(value, getattr(one.scores, figure) - getattr(other.scores, figure))
        np.testing.assert_allclose(back.markers[figure], -forth.markers[figure][:, [0, 2, 1]], atol=1e-12)
        assert (low > 0).all()
        width: Floats = np.diff(alone.markers[figure])[:, 0]
        assert (high - low < width).all()
        for name, of_figure in forth.classes.items():
            mean, around, share = of_figure[figure]
            assert mean == pytest.approx(getattr(one.means[name], figure) - getattr(other.means[name], figure))
            assert 0 < around.low < mean < around.high
            assert share == 1
            assert back.classes[name][figure][2] == 0
    assert forth.better("roc_auc") == (4, 0)
    assert back.better("roc_auc") == (0, 4)


def test_a_class_is_compared_over_markers_that_are_defined_in_both() -> None:
    scores, labels = simulate(np.random.default_rng(10), 12)
    fewer = labels.copy()
    fewer[0] = False
    one, other = evaluation(scores, labels), evaluation(scores - labels, fewer)
    draws = [
        resampled(*coarse_of(*each), replicates=50, seed=3) for each in ((scores, labels), (scores - labels, fewer))
    ]
    value, around, _ = difference(one, other, *draws).classes["TFBS"]["pr_auc"]
    assert value == one.scores.pr_auc[1] - other.scores.pr_auc[1]
    assert around.low < value < around.high


SCALES: list[tuple[Space, float, float]] = [
    ("logit", -5, 1), ("logit", -5, 0.02), ("logit", -20, 0.8), ("logit", 0, 2), ("probability", 5e-4, 1e-4),
    ("probability", 0.5, 0.1), ("score", 1050, 15), ("score", 11, 0.3), ("score", 0, 5),
]  # fmt: skip


@pytest.mark.parametrize(("space", "middle", "spread"), SCALES)
def test_intervals_are_as_wide_as_those_of_exact_figures(space: Space, middle: float, spread: float) -> None:
    """Whatever the scale of the scores: scikit-learn on weighted positions is the oracle."""
    random = np.random.default_rng(9)
    frequent = random.normal(0, 0.7, (1, 20, 1))
    labels = random.random((1, 20, 300)) < 1 / (1 + np.exp(2 - frequent))
    scores = (middle + spread * (random.normal(0, 1, labels.shape) + 1.2 * labels)).astype(np.float32)
    if space == "probability":
        scores = scores.clip(0, 1)
    drawn = resampled(*coarse_of(scores, labels, space), replicates=150, seed=2)
    weights = np.random.default_rng(2).multinomial(20, np.full(20, 1 / 20), size=150)
    halves = scores.astype(np.float16).astype(np.float64).ravel()
    for figure, oracle in (("roc_auc", roc_auc_score), ("pr_auc", average_precision_score)):
        exact = [oracle(labels.ravel(), halves, sample_weight=weight.repeat(300)) for weight in weights]
        widths = [np.diff(np.percentile(each, (2.5, 97.5)))[0] for each in (exact, drawn.of(figure)[:, 0])]
        assert widths[1] == pytest.approx(widths[0], rel=0.12)
        assert drawn.sure(figure, np.array([oracle(labels.ravel(), halves)])).all()


def test_bins_that_are_too_coarse_give_no_interval() -> None:
    """The first block told nothing of the others."""
    scores, labels = simulate(np.random.default_rng(5), 15)
    scores[:, 1:] += 100
    judged, drawn = evaluation(scores, labels), resampled(*coarse_of(scores, labels), replicates=50, seed=0)
    assert not drawn.sure("pr_auc", judged.scores.pr_auc).any()
    assert np.isnan(intervals_of(drawn, judged, 15).markers["pr_auc"]).all()


def test_figures_of_ties_are_exact() -> None:
    """As many bins as scores: the figures they deviate from are the exact ones."""
    scores, labels = simulate(np.random.default_rng(7), 15)
    scores = np.round(scores * 4) / 4
    counts = histograms(scores.reshape(4, -1), labels.reshape(4, -1))
    everything, positive = coarse_of(scores, labels)
    drawn = resampled(
        everything, positive, replicates=2, seed=0, distinct=(everything.sum(axis=0) > 0).astype(np.int64)
    )
    exact = scores_of(*counts, "logit")
    np.testing.assert_allclose(drawn.coarse_pr_auc, exact.pr_auc, rtol=0, atol=2e-3)
    np.testing.assert_allclose(drawn.coarse_roc_auc, exact.roc_auc, rtol=0, atol=2e-3)
