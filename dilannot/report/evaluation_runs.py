"""The section of an evaluation's report that sets other runs beside this one, judged on the same positions."""

from __future__ import annotations

import numpy as np

from dilannot.evaluation import Evaluation
from dilannot.report.content import Column, Figure, Figures, Part, Section, Table, Value, interval, plural, shown
from dilannot.report.evaluation_classes import class_legend
from dilannot.report.evaluation_plots import against
from dilannot.report.evaluation_words import (
    MOST_OTHERS,
    class_colours,
    class_interval,
    drawn_classes,
    interval_cell,
    short_names,
)


def runs_section(evaluation: Evaluation) -> Section:
    """Means of every run, differences with their intervals, and one marker after the other."""
    names = short_names(evaluation)
    said = (
        f"A difference is {names[0]} less the other run, both judged on the same positions. Its interval comes from "
        "resampling both together, which makes it narrower than those of the runs. One that leaves out 0 is not owed "
        "to the choice of regions; another seed of the same training may still differ as much."
    )
    parts: list[Part] = [said, _means(evaluation, names), _differences(evaluation, names)]
    parts += [class_legend(evaluation), _figures(evaluation, names)]
    return Section("Beside other runs", parts)


def _means(evaluation: Evaluation, names: list[str]) -> Table:
    runs = [evaluation, *(difference.other for difference in evaluation.differences)]
    columns = [Column("PR AUC")]
    for name in evaluation.classes:
        columns += [Column(name, "score"), Column("95 % interval", "interval", minor=True)]
    rows: list[list[Value]] = []
    for run, said in zip(runs, names, strict=True):
        row: list[Value] = [said]
        for name in evaluation.classes:
            mean = run.means.get(name)
            row += [mean.pr_auc if mean else None, interval_cell(class_interval(run, name, "pr_auc"))]
        rows.append(row)
    table = Table(columns, rows, "Class means of each run")
    return table if any(run.intervals for run in runs) else table.without("interval")


def _differences(evaluation: Evaluation, names: list[str]) -> Table:
    rows: list[list[Value]] = []
    for difference, said in zip(evaluation.differences, names[1:], strict=True):
        for name in evaluation.classes:
            row: list[Value] = [said, name]
            for figure in ("pr_auc", "roc_auc"):
                found = difference.classes.get(name, {}).get(figure)
                value, around, share = found if found else (None, None, None)
                row += [value, interval(around.low, around.high, "difference") if around else None]
                row += [share] if figure == "pr_auc" else []
            of_class = evaluation.of_class(name)
            known = difference.known("pr_auc", of_class)
            rows.append([*row[:5], *(difference.better("pr_auc", of_class) if known else (None, None)), *row[5:]])
    columns = [
        Column("against"), Column("class"), Column("PR AUC", "difference"), Column("95 % interval", "interval"),
        Column("better in", "share"), Column("markers better", "count"), Column("worse", "count"),
        Column("ROC AUC", "difference", minor=True), Column("95 % interval", "interval", minor=True),
    ]  # fmt: skip
    return Table(columns, rows, f"{names[0]} less the others")


def _figures(evaluation: Evaluation, names: list[str]) -> Figures:
    colours = class_colours(evaluation)
    figures = []
    for index, difference in enumerate(evaluation.differences[:MOST_OTHERS]):
        this, other = evaluation.scores.pr_auc, difference.other.scores.pr_auc
        rows = {name: evaluation.of_class(name) for name in drawn_classes(evaluation)}
        groups = {name: (other[found], this[found]) for name, found in rows.items()}
        svg = against(
            groups, [colours[name] for name in groups], labels=(f"PR AUC, {names[1 + index]}", f"PR AUC, {names[0]}"),
            name=f"against-{index}",
        )  # fmt: skip
        above = int(np.sum(this > other))
        said = f"above the diagonal for {above:,} of {plural(int(np.isfinite(this - other).sum()), 'marker')}"
        caption = f"PR AUC of each marker: {names[0]} against {names[1 + index]}"
        alternative = f"{caption}: {said}"
        if difference.known():
            better, worse = difference.better()
            alternative += f"; outside intervals better {shown(better, 'count')}, worse {shown(worse, 'count')}"
        figures.append(Figure(svg, f"{caption} ({said})", alternative))
    return Figures(figures)
