"""Evaluations made from a seed: scores of two normal distributions, so that every curve and figure is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from dilannot.data.markers import Marker
from dilannot.data.published import published_markers
from dilannot.evaluation import Difference, Evaluation, Intervals, Range, class_means, rows_of_class
from dilannot.metrics.bootstrap import FIGURES
from dilannot.metrics.keys import COARSE, Space
from dilannot.metrics.scores import Scores
from dilannot.metrics.shapes import CALIBRATION_EDGES, Shapes
from dilannot.metrics.thresholds import Operating

Floats = NDArray[np.float64]

POSITIONS = 4_000_000
RATES = {"TFBS": 0.002, "histone": 0.05, "DNase": 0.012}
APART = {"TFBS": 2.6, "histone": 1.5, "DNase": 2.4}
CALIBRATION = np.array(CALIBRATION_EDGES, np.float64)
PROTOCOL: dict[str, Any] = {
    "dataset": "/data/hg19-chr20.h5", "split": "test", "weights": "best", "epoch": 5, "windows": 160,
    "positions": POSITIONS, "regions": None, "bin": 1, "rc": False,
}  # fmt: skip


def known_markers(count: int) -> list[Marker]:
    """Markers of DeepSEA, evenly chosen so that all classes are among them."""
    every = published_markers()
    chosen = np.linspace(0, len(every) - 1, count).astype(int)
    return [every[index].marker for index in chosen]


def make_evaluation(
    markers: Sequence[Marker],
    *,
    seed: int = 0,
    better: float = 0.0,
    space: Space = "logit",
    subject: str = "/work/runs/run-a",
    without_positives: Sequence[int] = (),
    intervals: bool = True,
    operating: bool = True,
    shift: float = 0.3,
) -> Evaluation:
    """A whole evaluation of a network whose logits are normal, equally wide for positives and negatives.

    Parameters
    ----------
    better
        How much further apart positives and negatives are, in standard deviations.
    without_positives
        Indices of markers that have none.
    shift
        Of all logits from what they should be.
    """
    random = np.random.default_rng(seed)
    rate = np.array([RATES.get(marker.marker_class, 0.01) for marker in markers])
    rate = np.clip(rate * random.lognormal(0, 0.8, len(markers)), 2e-5, 0.5)
    apart = np.array([APART.get(marker.marker_class, 2.0) for marker in markers])
    other = np.random.default_rng([seed, 1]).normal(better, abs(better), len(markers))
    apart = np.maximum(0.05, apart * random.normal(1, 0.22, len(markers)) + other)
    positives = np.rint(rate * POSITIONS).astype(np.int64)
    positives[list(without_positives)] = 0
    thresholds, true, false = _rates(apart, shift, np.log(rate / (1 - rate)))
    scores = _scores(rate, positives, true, false, thresholds, space)
    found = Evaluation(
        subject=subject,
        space=space,
        protocol=PROTOCOL,
        markers=list(markers),
        scores=scores,
        shapes=_shapes(scores, thresholds, true, false, space, shift),
    )
    if operating:
        found = replace(
            found, operating=[_operating(rule, rate, thresholds, true, false) for rule in ("break-even", "fdr-10")]
        )
    return replace(found, intervals=_intervals(found)) if intervals else found


def _rates(apart: Floats, shift: float, middle: Floats) -> tuple[Floats, Floats, Floats]:
    """(K,) falling thresholds of the logit, and (T, K) true and false positive rates there.

    With variance `apart`² and means half of it on either side, the logit is the true log-odds, but for `shift`.
    """
    thresholds = np.linspace(22, -26, 1_500)
    width = apart[:, None]
    centred = thresholds[None] - middle[:, None] - shift
    return thresholds, ndtr(-(centred - width**2 / 2) / width), ndtr(-(centred + width**2 / 2) / width)


def _scores(
    rate: Floats, positives: NDArray[np.int64], true: Floats, false: Floats, thresholds: Floats, space: Space
) -> Scores:
    called = rate[:, None] * true + (1 - rate[:, None]) * false
    precision = rate[:, None] * true / np.maximum(called, 1e-300)
    gained = np.diff(true, axis=1, prepend=0)
    pr_auc = (gained * precision).sum(axis=1) / gained.sum(axis=1)
    roc_auc = np.trapezoid(true, false, axis=1)
    f1 = 2 * precision * true / np.maximum(precision + true, 1e-12)
    best = f1.argmax(axis=1)
    figures = [roc_auc, pr_auc, pr_auc + 0.001, f1.max(axis=1), thresholds[best], 5 * rate, 0.2 * rate]
    for figure in figures:
        figure[positives == 0] = np.nan
    if space == "score":
        figures[5:] = [np.full(len(rate), np.nan)] * 2
    return Scores(POSITIONS, positives, positives / POSITIONS, *figures)


def _shapes(scores: Scores, thresholds: Floats, true: Floats, false: Floats, space: Space, shift: float) -> Shapes:
    recall = np.linspace(0, 1, 101)
    rising = np.concatenate([[0], np.logspace(-4, 0, 100)])
    rate = scores.base_rate[:, None]
    precision = rate * true / np.maximum(rate * true + (1 - rate) * false, 1e-300)
    at_recall = np.stack([np.interp(recall, t, p) for t, p in zip(true, precision, strict=True)])
    at_false = np.stack([np.interp(rising, f, t) for t, f in zip(true, false, strict=True)])
    at_recall[~scores.defined], at_false[~scores.defined] = np.nan, np.nan
    edges = np.linspace(-16, 8, COARSE + 1)
    positive, negative = (_counts(edges, thresholds, rates) for rates in (true, false))
    counts = np.rint(positive * scores.positives[:, None]).astype(np.int64)
    everything = counts + np.rint(negative * (POSITIONS - scores.positives[:, None])).astype(np.int64)
    centres = (edges[1:] + edges[:-1]) / 2
    bins = np.log(CALIBRATION[1:-1] / (1 - CALIBRATION[1:-1]))
    ends = np.concatenate([[-30], bins, [30]])
    calibrated = [_counts(ends, thresholds, rates) for rates in (true, false)]
    calibration_positives = np.rint(calibrated[0] * scores.positives[:, None]).astype(np.int64)
    calibration_counts = calibration_positives + np.rint(
        calibrated[1] * (POSITIONS - scores.positives[:, None])
    ).astype(np.int64)
    kept = slice(0, 0) if space == "score" else slice(None)
    low, high = calibration_counts * CALIBRATION[:-1], calibration_counts * CALIBRATION[1:]
    predicted: Floats = np.clip(calibration_positives * np.exp(shift), low, high)
    shown = {"logit": expit(centres), "probability": np.linspace(0, 1, COARSE), "score": centres}[space]
    return Shapes(
        recall, at_recall, rising, at_false, shown, everything, counts,
        CALIBRATION, calibration_counts[:, kept], calibration_positives[:, kept], predicted[:, kept],
    )  # fmt: skip


def _counts(edges: Floats, thresholds: Floats, rates: Floats) -> Floats:
    """(T, bins) the part of the scores in each bin."""
    above = np.stack([np.interp(edges, thresholds[::-1], each[::-1]) for each in rates])
    above[:, 0], above[:, -1] = 1, 0
    return -np.diff(above, axis=1)


def _operating(rule: str, rate: Floats, thresholds: Floats, true: Floats, false: Floats) -> Operating:
    called = rate[:, None] * true + (1 - rate[:, None]) * false
    precision = rate[:, None] * true / np.maximum(called, 1e-300)
    wrong = np.abs(called - rate[:, None]) if rule == "break-even" else np.abs(precision - 0.9)
    at = wrong.argmin(axis=1)
    rows = np.arange(len(rate))
    return Operating(rule, expit(thresholds[at]), precision[rows, at], true[rows, at])


def _intervals(evaluation: Evaluation, wide: float = 0.05) -> Intervals:
    """Some intervals, the wider the fewer positives."""
    scores = evaluation.scores
    found = {}
    for figure in FIGURES:
        value = getattr(scores, figure)
        half = wide * (1 - value) * np.sqrt(1e4 / np.maximum(scores.positives, 1e3))
        found[figure] = np.stack([value - half, np.minimum(1, value + 1.2 * half)], axis=1)
    means = class_means(scores, evaluation.markers)
    classes = {
        name: {figure: Range(getattr(mean, figure) - 0.012, getattr(mean, figure) + 0.014) for figure in FIGURES}
        for name, mean in means.items()
    }
    return Intervals(80, 50_000, 200, 0, found, classes)


def compared(evaluation: Evaluation, others: Sequence[Evaluation]) -> Evaluation:
    """The evaluation with differences to others of the same markers."""
    differences = []
    for other in others:
        markers = {}
        for figure in FIGURES:
            value = getattr(evaluation.scores, figure) - getattr(other.scores, figure)
            markers[figure] = np.stack([value, value - 0.02, value + 0.02], axis=1)
        classes: dict[str, Any] = {}
        for name in class_means(evaluation.scores, evaluation.markers):
            rows = rows_of_class(evaluation.scores, evaluation.markers, name)
            classes[name] = {}
            for figure in FIGURES:
                value = float(markers[figure][rows, 0].mean())
                classes[name][figure] = (value, Range(value - 0.008, value + 0.007), 0.975 if value > 0 else 0.1)
        differences.append(Difference(other, markers, classes))
    return replace(evaluation, differences=differences)
