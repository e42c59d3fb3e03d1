"""Curves, distributions of scores and calibration, as they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dilannot.metrics.keys import COARSE, HIGHEST, LOWEST, Space, drawn_edges, key_values
from dilannot.metrics.scores import Floats
from dilannot.metrics.steps import Steps, steps_of

POINTS = 101  # of a curve
CALIBRATION_EDGES = (0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)


@dataclass(frozen=True, slots=True)
class Shapes:
    """What is drawn: curves, distributions of scores, calibration.

    Attributes
    ----------
    recall, precision
        (P,) from 0 to 1, and (T, P) the precision where that much is found, NaN for undefined markers.
    false_positive_rate, true_positive_rate
        (P,) from 0 to 1, denser near 0, and (T, P).
    score, everything, positive
        (COARSE,) centres of bins of the score (of the probability, where it is one), and (T, COARSE) counts in them of
        all positions and of the positive ones.
    calibration_edges
        (K + 1,) of bins of probability, finer near 0.
    calibration_counts, calibration_positives, calibration_predicted
        (T, K) positions in them, the positive ones, and the sum of the predicted probabilities; empty (T, 0) where
        scores are no probabilities.
    """

    recall: Floats
    precision: Floats
    false_positive_rate: Floats
    true_positive_rate: Floats
    score: Floats
    everything: NDArray[np.int64]
    positive: NDArray[np.int64]
    calibration_edges: Floats
    calibration_counts: NDArray[np.int64]
    calibration_positives: NDArray[np.int64]
    calibration_predicted: Floats


def shapes_of(
    everything: NDArray[np.uint32], positive: NDArray[np.uint32], space: Space, shift: Floats | None = None
) -> Shapes:
    """Curves, distributions and calibration of every marker.

    The precision at a recall is that of the highest threshold that finds as much (at recall 0: anything), as in average
    precision. The true positive rate is that of straight lines between the points of the ROC curve, its highest at
    false positive rate 0. Bins of probability hold their lower edge, the last one 1 as well.

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
    Shapes
        Markers with scores beyond [0, 1] that should be probabilities have nothing in their calibration bins.
    """
    markers, calibrated = len(everything), space != "score"
    false_positive_rate = np.linspace(0, 1, POINTS) ** 3
    curves = np.full((2, markers, POINTS), np.nan)
    counts = np.zeros((2, markers, COARSE), np.int64)
    edges = np.array(CALIBRATION_EDGES if calibrated else ())
    bins = len(CALIBRATION_EDGES) - 1 if calibrated else 0
    calibration = np.zeros((3, markers, bins))
    borders = key_values()[drawn_edges(space)[1:-1]]
    for marker, steps in enumerate(steps_of(everything, positive, shift)):
        if steps.positives and steps.negatives:
            curves[:, marker] = _precision(steps), _true_positive_rate(steps, false_positive_rate)
        place = np.searchsorted(borders, steps.numbers, "right")
        counts[:, marker] = [np.bincount(place, each, COARSE) for each in steps.each()]
        if calibrated:
            calibration[:, marker] = _calibration(steps, space)
    return Shapes(
        recall=np.linspace(0, 1, POINTS),
        precision=curves[0],
        false_positive_rate=false_positive_rate,
        true_positive_rate=curves[1],
        score=_centres(space),
        everything=counts[0],
        positive=counts[1],
        calibration_edges=edges,
        calibration_counts=calibration[0].astype(np.int64),
        calibration_positives=calibration[1].astype(np.int64),
        calibration_predicted=calibration[2],
    )


def _precision(steps: Steps) -> Floats:
    """(POINTS,) at evenly spaced recalls; compared in whole numbers, which are exact."""
    parts = POINTS - 1
    asked = np.maximum(np.arange(POINTS) * steps.positives, 1)
    step = np.searchsorted(steps.found * parts, asked)
    precision: Floats = steps.found[step] / steps.called[step]
    return precision


def _true_positive_rate(steps: Steps, false_positive_rate: Floats) -> Floats:
    """(POINTS,) between the points of the ROC curve; of several above each other the highest."""
    false = np.append(0, steps.called - steps.found)
    true = np.append(0, steps.found)
    rate: Floats = np.interp(false_positive_rate * steps.negatives, false, true) / steps.positives
    return rate


def _calibration(steps: Steps, space: Space) -> Floats:
    """(3, K) positions, positives and the sum of probabilities in each bin."""
    probability, bins = steps.probabilities(space), len(CALIBRATION_EDGES) - 1
    if np.isnan(probability).any():
        return np.zeros((3, bins))
    place = np.clip(np.searchsorted(CALIBRATION_EDGES, probability, "right") - 1, 0, bins - 1)
    counts, hits = steps.each()
    return np.array([np.bincount(place, each, bins) for each in (counts, hits, counts * probability)])


def _centres(space: Space) -> Floats:
    """(COARSE,) of the coarse bins; a probability, where there is one."""
    edges = drawn_edges(space)
    if space == "score":
        inside = np.clip(edges, LOWEST + 1, HIGHEST - 1)  # finite
        middle: Floats = key_values()[(inside[:-1] + inside[1:]) // 2]
        return middle
    inner = key_values()[edges[1:-1]]
    step = (inner[-1] - inner[0]) / (COARSE - 2)
    centres: Floats = inner[0] + step * (np.arange(COARSE) - 0.5)
    return 1 / (1 + np.exp(-centres)) if space == "logit" else centres
