"""All figures of every marker, from its histograms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dilannot.compiled import compiled
from dilannot.metrics.keys import Space
from dilannot.metrics.steps import lower_border, steps_of

CALIBRATION_BINS = 15  # of the calibration error

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Per marker, arrays of shape (T,); NaN where a figure is not defined.

    Attributes
    ----------
    positions, positives
        Positions (or bins) that count, the same for all markers; how many of them are positive.
    base_rate
        `positives / positions`: what a guess would get as PR AUC.
    roc_auc
        As `sklearn.metrics.roc_auc_score`.
    pr_auc
        Average precision, the mean precision over positives without interpolation, as
        `sklearn.metrics.average_precision_score`.
    pr_auc_trapezoid
        Area under straight lines between the points of the PR curve, as in the thesis: `sklearn.metrics.auc` of
        `precision_recall_curve`.
    best_f1, best_f1_threshold
        Highest F1 of any threshold, and the least score that is called there.
    log_loss, calibration_error
        Mean cross-entropy, nats; expected calibration error over 15 equal bins of probability (Guo et al. 2017). NaN
        where scores are no probabilities.
    """

    positions: int
    positives: NDArray[np.int64]
    base_rate: Floats
    roc_auc: Floats
    pr_auc: Floats
    pr_auc_trapezoid: Floats
    best_f1: Floats
    best_f1_threshold: Floats
    log_loss: Floats
    calibration_error: Floats

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Markers with positives and negatives."""
        return np.isfinite(self.pr_auc)


def scores_of(
    everything: NDArray[np.uint32], positive: NDArray[np.uint32], space: Space, shift: Floats | None = None
) -> Scores:
    """All figures, as scikit-learn computes them from the same rounded scores.

    Parameters
    ----------
    everything, positive
        (T, KEYS) histograms of the scores of all positions and of the positive ones.
    space
        What the scores are.
    shift
        (T,) what was taken from them before they were counted.

    Returns
    -------
    Scores
        AUCs and F1 are NaN without positives or without negatives. Of scores beyond [0, 1] that should be
        probabilities there is no log loss and no calibration error.
    """
    figures = np.full((6, len(everything)), np.nan)
    thresholds = np.full(len(everything), np.nan)
    for marker, steps in enumerate(steps_of(everything, positive, shift)):
        best = _figures(  # type: ignore[no-untyped-call]
            steps.called, steps.found, *_meanings(steps.probabilities(space)), figures[:, marker]
        )
        if best >= 0:
            thresholds[marker] = lower_border(int(steps.keys[best]), space, 0.0 if shift is None else shift[marker])
    roc, average, trapezoid, f1, loss, error = figures
    positions = int(everything[0].sum(dtype=np.int64)) if len(everything) else 0
    positives = positive.sum(axis=1, dtype=np.int64)
    return Scores(
        positions=positions,
        positives=positives,
        base_rate=positives / positions if positions else np.full(len(positives), np.nan),
        roc_auc=roc,
        pr_auc=average,
        pr_auc_trapezoid=trapezoid,
        best_f1=f1,
        best_f1_threshold=thresholds,
        log_loss=loss,
        calibration_error=error,
    )


def _meanings(probability: Floats) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """(m,) each: probability, loss where positive and where not, bin of the calibration error."""
    least = np.finfo(np.float64).eps
    if_positive, if_not = (-np.log(np.clip(each, least, 1 - least)) for each in (probability, 1 - probability))
    place = np.minimum(np.nan_to_num(probability) * CALIBRATION_BINS, CALIBRATION_BINS - 1)
    return probability, if_positive, if_not, place.astype(np.int64)


@compiled("int64(int64[::1], int64[::1], float64[::1], float64[::1], float64[::1], int64[::1], float64[:])")
def _figures(called, found, probability, if_positive, if_not, bins, to):  # type: ignore[no-untyped-def]
    """Put the figures of one marker's steps into `to` (6,), and return the step with the best F1, or -1.

    Products are made of floats: that of two counts may pass 64 bits.
    """
    if len(called) == 0:
        return np.int64(-1)
    best, best_f1 = np.int64(-1), 0.0
    positives, positions = np.float64(found[-1]), np.float64(called[-1])
    roc, average, trapezoid, loss = 0.0, 0.0, 0.0, 0.0
    excess = np.zeros(CALIBRATION_BINS)
    true_before, called_before, precision_before = 0.0, 0.0, 1.0
    for i in range(len(called)):
        true, calls = np.float64(found[i]), np.float64(called[i])
        new, hits = calls - called_before, true - true_before
        misses, precision = new - hits, true / calls
        roc += misses * (true + true_before) / 2
        average += hits * precision
        trapezoid += hits * (precision + precision_before) / 2
        f1 = 2 * true / (positives + calls)
        if f1 > best_f1:
            best, best_f1 = np.int64(i), f1
        loss += hits * if_positive[i] + misses * if_not[i]
        excess[bins[i]] += hits - new * probability[i]
        true_before, called_before, precision_before = true, calls, precision
    to[4], to[5] = loss / positions, np.abs(excess).sum() / positions
    if positives == 0 or positives == positions:
        return np.int64(-1)
    to[0], to[1] = roc / (positives * (positions - positives)), average / positives
    to[2], to[3] = trapezoid / positives, best_f1
    return best
