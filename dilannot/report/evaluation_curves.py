"""The sections of an evaluation's report with PR and ROC curves: of the classes, and of every marker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dilannot.evaluation import Evaluation
from dilannot.report.content import Figure, Figures, Legend, Note, Panel, Panels, Part, Section, plural, shown
from dilannot.report.evaluation_plots import FAINT, curves, mean_curve
from dilannot.report.evaluation_words import MOST_OTHERS, class_colours, drawn_classes, short_names
from dilannot.report.tiny import tiny_curves

OPEN = 60  # panels that are shown without asking


def curves_section(evaluation: Evaluation) -> Section:
    """A PR and a ROC curve for each class, over those of its markers."""
    said = (
        "Thick: the mean curve of the markers of a class. Faint: its markers"
        + (f", {FAINT} of them evenly chosen from the worst to the best" if _many(evaluation) else "")
        + ". Dotted: a guess."
    )
    names = short_names(evaluation)[1 : 1 + MOST_OTHERS]
    if names:
        dashes = ("dashed", "dashes and dots", "dashes and pairs of dots")
        said += " Other runs: " + ", ".join(f"{name} ({dash})" for dash, name in zip(dashes, names, strict=False)) + "."
    parts: list[Part] = [Note(said)]
    parts += [Figures(_pair(evaluation, name, place)) for place, name in enumerate(drawn_classes(evaluation))]
    return Section("Curves", parts)


def _many(evaluation: Evaluation) -> bool:
    return any(len(evaluation.of_class(name)) > FAINT for name in drawn_classes(evaluation))


def _pair(evaluation: Evaluation, name: str, place: int) -> list[Figure]:
    rows, mean = evaluation.of_class(name), evaluation.means[name]
    order = by_pr_auc(evaluation, rows)
    shapes = evaluation.shapes
    others = [difference.other for difference in evaluation.differences[:MOST_OTHERS]]
    beside = [other.shapes for other in others]
    rank = np.searchsorted(rows, order)  # rows are sorted
    colour = class_colours(evaluation)[name]
    pr = curves(
        shapes.recall, shapes.precision[rows], rank,
        [mean_curve(other.precision[rows]) for other in beside],
        colour, base=mean.base_rate, labels=("recall", "precision"), name=f"pr-{place}",
    )  # fmt: skip
    roc = curves(
        shapes.false_positive_rate, shapes.true_positive_rate[rows], rank,
        [mean_curve(other.true_positive_rate[rows]) for other in beside],
        colour, base=None, labels=("false positive rate", "true positive rate"), name=f"roc-{place}",
    )  # fmt: skip
    pr_said = f"PR AUC {shown(mean.pr_auc, 'score')}, base rate {shown(mean.base_rate, 'small')}"
    roc_said = f"ROC AUC {shown(mean.roc_auc, 'score')}"
    of = plural(len(rows), "marker")
    return [
        Figure(pr, f"{name}: {pr_said}", f"Precision against recall, {of} of the class {name}: {pr_said}"),
        Figure(roc, f"{name}: {roc_said}", f"True against false positives, {of} of the class {name}: {roc_said}"),
    ]


def by_pr_auc(evaluation: Evaluation, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Some markers, the worst first."""
    return rows[np.argsort(evaluation.scores.pr_auc[rows], kind="stable")]


def panels_section(evaluation: Evaluation) -> Section:
    """The curves of every marker, class by class, the best first."""
    shapes, colours = evaluation.shapes, class_colours(evaluation)
    folded = int(evaluation.scores.defined.sum()) > OPEN
    said = (
        "Precision against recall in the colour of the class, and the ROC curve in grey, of each marker with its PR "
        "AUC; both axes go from 0 to 1. The best stand first."
    )
    parts: list[Part] = [Note(said)]
    if not folded:
        parts.append(Legend([(name, colours[name]) for name in evaluation.classes] + [("ROC", "dropped-1")]))
    for name in evaluation.classes:
        panels = [
            Panel(
                evaluation.markers[row].name,
                shown(float(evaluation.scores.pr_auc[row]), "score"),
                tiny_curves(
                    (shapes.recall, shapes.precision[row]),
                    (shapes.false_positive_rate, shapes.true_positive_rate[row]),
                ),
            )
            for row in by_pr_auc(evaluation, evaluation.of_class(name))[::-1].tolist()
        ]
        parts.append(Panels(name, panels, colours[name], folded))
    return Section("Every marker's curves", parts)
