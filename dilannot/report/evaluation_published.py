"""The section of an evaluation's report that sets published figures beside it, and says why they differ in kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dilannot.data.markers import CLASSES, Marker
from dilannot.data.published import PublishedMarker, published_markers, recognise
from dilannot.data.published_scores import ALL, PROTOCOLS, TASKS, PublishedScores, deepsea_means, published_scores
from dilannot.evaluation import Evaluation
from dilannot.report.content import Column, Figure, Figures, Part, Section, Table, Value, plural
from dilannot.report.evaluation_classes import class_legend
from dilannot.report.evaluation_plots import against
from dilannot.report.evaluation_words import class_colours, drawn_classes, labelled, setting, short_names

CAVEAT = (
    "These figures are not comparable one to one: look at their order and at trends. The published ones come from "
    f"other test regions and from other labels. {PROTOCOLS['bins']}. {PROTOCOLS['nucleotides']}. Base rates differ "
    "with the labels, and PR AUC follows base rates."
)


def known_markers(markers: Sequence[Marker]) -> list[PublishedMarker | None]:
    """Which of DeepSEA's markers each one is, by its name or else by the name of its peak file."""
    by_name = {published.marker.name: published for published in published_markers()}
    by_file = recognise([Path(marker.file) for marker in markers if marker.file])
    return [by_name.get(marker.name) or by_file.get(Path(marker.file)) for marker in markers]


def published_section(evaluation: Evaluation, published: Sequence[PublishedMarker | None]) -> Section:
    """Class means of published systems under ours, and DeepSEA marker by marker."""
    parts: list[Part] = [CAVEAT, _table(evaluation, published)]
    pairs = _pairs(evaluation, published)
    if pairs:
        colours = class_colours(evaluation)
        labels = ("PR AUC, DeepSEA as published", f"PR AUC, {short_names(evaluation)[0]}")
        svg = against(pairs, [colours[name] for name in pairs], labels=labels, name="deepsea")
        count = sum(len(x) for x, _ in pairs.values())
        above = sum(int((y > x).sum()) for x, y in pairs.values())
        caption = f"PR AUC of {plural(count, 'marker')} that DeepSEA has too"
        said = f"{caption}: ours is higher for {above:,}"
        parts += [class_legend(evaluation), Figures([Figure(svg, caption, said)])]
    return Section("Beside published values", parts)


def _table(evaluation: Evaluation, published: Sequence[PublishedMarker | None]) -> Table:
    means, scores = evaluation.means, evaluation.scores
    this = "bins" if labelled(evaluation) == "bins" else "nucleotides"
    where = evaluation.protocol.get("split")
    said_here = f"here, {setting(where)}: {this}" if where else f"here: {this}"
    rows: list[list[Value]] = []
    for said, figure in (("average precision", "pr_auc"), ("trapezoid", "pr_auc_trapezoid")):
        values: list[Value] = [getattr(means[name], figure) if name in means else None for name in CLASSES]
        values.append(float(getattr(scores, figure)[scores.defined].mean()))
        rows.append([f"{short_names(evaluation)[0]}, {said}", *values, said_here, "this evaluation"])
    alike_first = sorted(published_scores(), key=lambda each: each.labels != this)
    rows += [_row(each, each.system) for each in alike_first]
    judged = zip(published, scores.defined, strict=True)
    here = [each for each, defined in judged if each and defined and each.pr_auc is not None]
    if 0 < len(here) < len(published_markers()):
        place = 2 + alike_first.index(deepsea_means())
        rows.insert(place, _row(deepsea_means(here), f"DeepSEA, only the {plural(len(here), 'marker')} judged here"))
    columns = [
        Column("PR AUC"), *(Column(name, "score") for name in CLASSES), Column("all markers", "score", minor=True),
        Column("judged on"), Column("source", minor=True),
    ]  # fmt: skip
    return Table(columns, rows)


def _row(each: PublishedScores, said: str) -> list[Value]:
    values = [each.pr_auc.get(name) for name in (*CLASSES, ALL)]
    return [said, *values, TASKS[each.labels], each.source]


def _pairs(
    evaluation: Evaluation, published: Sequence[PublishedMarker | None]
) -> dict[str, tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]]]:
    """Class -> DeepSEA's PR AUCs and ours, of markers that have both."""
    theirs = np.array([each.pr_auc if each and each.pr_auc is not None else np.nan for each in published])
    found = {}
    for name in drawn_classes(evaluation):
        rows = evaluation.of_class(name)
        rows = rows[np.isfinite(theirs[rows])]
        if len(rows):
            found[name] = (theirs[rows], evaluation.scores.pr_auc[rows])
    return found
