"""The section of an evaluation's report with the table of all markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dilannot.data.published import PublishedMarker
from dilannot.evaluation import Evaluation
from dilannot.report.content import Column, Note, Section, Table, Value
from dilannot.report.evaluation_words import (
    class_colours,
    labelled,
    marker_interval_cells,
    short_names,
)
from dilannot.report.tiny import spark

SHOWN_RULES = ("break-even", "fdr-10")  # whose precision and recall the table has; all are in the section on thresholds


@dataclass(frozen=True, slots=True)
class _Values:
    """A column with a value for each marker."""

    column: Column
    values: Sequence[Value]


def markers_section(evaluation: Evaluation, published: Sequence[PublishedMarker | None]) -> Section:
    """Every marker with all figures, beside those of other runs and of DeepSEA where they are known."""
    found = [*_named(evaluation), *_own(evaluation), *_beside(evaluation), *_rest(evaluation), *_known(published)]
    rows = [list(row) for row in zip(*(each.values for each in found), strict=True)]
    colours = class_colours(evaluation)
    said = f"What each marker got on the {labelled(evaluation)} judged; figures are defined at the end of the report."
    swatches = [colours[marker.marker_class] for marker in evaluation.markers]
    table = Table([each.column for each in found], rows, "All markers", swatches, interactive=True)
    return Section("Markers", [said, Note("A click on a heading sorts. Bars are logarithmic."), table])


def _named(evaluation: Evaluation) -> list[_Values]:
    markers = evaluation.markers
    described = [("cell", [marker.cell for marker in markers]), ("target", [marker.target for marker in markers])]
    return [
        _Values(Column("name"), [marker.name for marker in markers]),
        _Values(Column("class"), [marker.marker_class for marker in markers]),
        *(_Values(Column(name, minor=True), words) for name, words in described if _tells_more(evaluation, words)),
    ]


def _tells_more(evaluation: Evaluation, words: Sequence[str]) -> bool:
    """Whether many of the words are not in their marker's name; nearly all of DeepSEA's are."""
    pairs = zip(words, evaluation.markers, strict=True)
    return sum(word not in marker.name for word, marker in pairs if word != "None") > 0.1 * len(words)


def _own(evaluation: Evaluation) -> list[_Values]:
    scores, shapes, colours = evaluation.scores, evaluation.shapes, class_colours(evaluation)
    drawn: list[Value] = [
        spark((shapes.recall, precision), colours[marker.marker_class]) if defined else ""
        for marker, precision, defined in zip(evaluation.markers, shapes.precision, scores.defined, strict=True)
    ]
    ratio = scores.pr_auc / np.where(scores.base_rate > 0, scores.base_rate, np.nan)
    columns = [
        _Values(Column("PR", "drawing"), drawn),
        _Values(Column("PR AUC", "score", bar="swatch"), scores.pr_auc.tolist()),
        _Values(Column("95 % interval", "interval"), marker_interval_cells(evaluation, "pr_auc")),
        _Values(Column("base rate", "small"), scores.base_rate.tolist()),
        _Values(Column("PR AUC / base", "ratio"), ratio.tolist()),
        _Values(Column("ROC AUC", "score"), scores.roc_auc.tolist()),
        _Values(Column("95 % interval", "interval"), marker_interval_cells(evaluation, "roc_auc")),
    ]
    return [each for each in columns if each.column.kind != "interval" or evaluation.intervals is not None]


def _beside(evaluation: Evaluation) -> list[_Values]:
    columns = []
    for difference, name in zip(evaluation.differences, short_names(evaluation)[1:], strict=True):
        columns.append(_Values(Column(f"PR AUC, {name}", "score"), difference.other.scores.pr_auc.tolist()))
        columns.append(_Values(Column("difference", "difference"), difference.markers["pr_auc"][:, 0].tolist()))
    return columns


def _rest(evaluation: Evaluation) -> list[_Values]:
    scores = evaluation.scores
    columns = [_Values(Column("best F1", "score"), scores.best_f1.tolist())]
    for rule in evaluation.operating:
        if rule.rule in SHOWN_RULES:
            columns.append(_Values(Column(f"precision, {rule.rule}", "share"), rule.precision.tolist()))
            columns.append(_Values(Column(f"recall, {rule.rule}", "share"), rule.recall.tolist()))
    for title, values in (("log loss", scores.log_loss), ("calibration error", scores.calibration_error)):
        if np.isfinite(values).any():
            columns.append(_Values(Column(title, "small"), values.tolist()))
    columns.append(_Values(Column("trapezoid", "score"), scores.pr_auc_trapezoid.tolist()))
    columns.append(_Values(Column("positives", "count"), scores.positives.tolist()))
    return columns


def _known(published: Sequence[PublishedMarker | None]) -> list[_Values]:
    """What DeepSEA got, where any marker is one of its."""
    if not any(published):
        return []
    return [
        _Values(Column("DeepSEA, PR AUC", "score"), [each.pr_auc if each else None for each in published]),
        _Values(Column("DeepSEA, ROC AUC", "score"), [each.roc_auc if each else None for each in published]),
    ]
