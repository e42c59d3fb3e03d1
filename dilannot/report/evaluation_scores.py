"""The sections of an evaluation's report on the scores themselves: how they are distributed, and if they are true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dilannot.evaluation import Evaluation
from dilannot.report.content import Column, Figure, Figures, Legend, Note, Part, Section, Table, Value, shown
from dilannot.report.evaluation_classes import class_legend
from dilannot.report.evaluation_plots import SHAPES
from dilannot.report.evaluation_score_plots import calibration, distributions, mean_predictions
from dilannot.report.evaluation_words import class_colours, drawn_classes, labelled

LEAST_POSITIVES = 10  # of a bin of probability that is drawn: fewer say little about their share


def distributions_section(evaluation: Evaluation) -> Section:
    """Which scores positives get, and which all positions do."""
    shapes, colours, figures = evaluation.shapes, class_colours(evaluation), []
    for place, name in enumerate(drawn_classes(evaluation)):
        rows = evaluation.of_class(name)
        everything, positive = shapes.everything[rows].sum(axis=0), shapes.positive[rows].sum(axis=0)
        svg = distributions(shapes.score, everything, positive, evaluation.space, colours[name], name=f"scores-{place}")
        middle = [_said(_median(shapes.score, counts), evaluation) for counts in (everything, positive)]
        said = f"median {middle[0]}, positives {middle[1]}"
        figures.append(Figure(svg, f"{name}: {said}", f"Scores of {name}: {said}"))
    said = (
        f"How often each score is given, in percent of all {labelled(evaluation)} of all markers of a class (grey) and "
        "in percent of the positive ones (colour): each fills its own 100 %, however few positives there are. The "
        "further apart, the better."
    )
    if evaluation.space == "logit":
        said += " Probabilities are spaced by their log-odds."
    legend = Legend([(f"all {labelled(evaluation)}", "dropped-1"), *class_legend(evaluation).entries])
    return Section("Score distributions", [Note(said), legend, Figures(figures)])


def _said(score: float, evaluation: Evaluation) -> str:
    return f"{score:.3g}" if evaluation.space == "score" else shown(score, "small")


def _median(score: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    total = np.cumsum(counts)
    return float(score[int(np.searchsorted(total, total[-1] / 2))]) if total[-1] else float("nan")


def calibration_section(evaluation: Evaluation) -> Section:
    """Whether a probability of 10 % is right one time in ten."""
    colours, classes = class_colours(evaluation), drawn_classes(evaluation)
    drawn = {name: reliability(evaluation, name) for name in classes}
    groups = {}
    for name, (predicted, observed, counts) in drawn.items():
        enough = (observed * counts >= LEAST_POSITIVES) & (predicted > 0)
        groups[name] = (predicted[enough], observed[enough], counts[enough])
    svg = calibration(groups, [colours[name] for name in groups], name="calibration", shapes=SHAPES)
    rows: list[list[Value]] = []
    for name in evaluation.classes:
        mean, positive = mean_probabilities(evaluation, name)
        ratio = mean / positive if positive else None
        rows.append([name, mean, positive, ratio, evaluation.means[name].calibration_error])
    columns = [
        Column("class"), Column("mean predicted", "small"), Column("positive", "small"),
        Column("predicted / positive", "ratio"), Column("calibration error", "small"),
    ]  # fmt: skip
    said = (
        f"Of all {labelled(evaluation)} that get about the same probability, is as large a part positive? The "
        "calibration error is the mean distance between the two over 15 equal bins of probability, of each marker: "
        "compare it with the part that is positive."
    )
    drawn_so = (
        "On the dotted line, as large a part is positive as was predicted; below it, probabilities are too high. Axes "
        "are logarithmic, since positives are rare; bins with fewer than "
        f"{LEAST_POSITIVES} of them are not drawn."
    )
    caption = "Part that is positive by predicted probability, and how many positions those are"
    words = "; ".join(
        f"{row[0]}: predicted {shown(row[1], 'small')}, positive {shown(row[2], 'small')}" for row in rows
    )
    figures = Figures([Figure(svg, caption, f"{caption}. {words}"), _of_markers(evaluation)])
    table = Table(columns, rows, swatches=[colours[name] for name in evaluation.classes])
    parts: list[Part] = [said, table, Note(drawn_so), class_legend(evaluation), figures]
    return Section("Calibration", parts)


def _of_markers(evaluation: Evaluation) -> Figure:
    shapes, colours, groups = evaluation.shapes, class_colours(evaluation), {}
    for name in drawn_classes(evaluation):
        rows = evaluation.of_class(name)
        counts = np.maximum(shapes.calibration_counts[rows].sum(axis=1), 1)
        predicted = shapes.calibration_predicted[rows].sum(axis=1) / counts
        groups[name] = (predicted, shapes.calibration_positives[rows].sum(axis=1) / counts)
    svg = mean_predictions(groups, [colours[name] for name in groups], name="predictions", shapes=SHAPES)
    high = sum(int((predicted > observed).sum()) for predicted, observed in groups.values())
    caption = "Mean predicted probability of each marker by the part that is positive"
    return Figure(svg, caption, f"{caption}: too high for {high:,}")


def has_calibration(evaluation: Evaluation) -> bool:
    """Whether scores are probabilities, and were counted as such."""
    return evaluation.space != "score" and evaluation.shapes.calibration_counts.sum() > 0


def reliability(
    evaluation: Evaluation, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean predicted probability, part that is positive, and positions, of the bins of a class that hold some."""
    rows, shapes = evaluation.of_class(name), evaluation.shapes
    counts = shapes.calibration_counts[rows].sum(axis=0)
    some = counts > 0
    counts = counts[some]
    predicted = shapes.calibration_predicted[rows].sum(axis=0)[some] / counts
    return predicted, shapes.calibration_positives[rows].sum(axis=0)[some] / counts, counts


def mean_probabilities(evaluation: Evaluation, name: str) -> tuple[float, float]:
    """Of a class: the mean predicted probability, and the part that is positive."""
    predicted, observed, counts = reliability(evaluation, name)
    total = max(1, int(counts.sum()))
    return float((predicted * counts).sum() / total), float((observed * counts).sum() / total)
