"""The section of an evaluation's report on classes: means over their markers, and how far those could be off."""

from __future__ import annotations

from dilannot.evaluation import Evaluation
from dilannot.metrics.bootstrap import Figure as Name
from dilannot.report.content import Column, Figure, Figures, Legend, Note, Part, Section, Table, Value, plural, shown
from dilannot.report.evaluation_plots import MeanRow, means
from dilannot.report.evaluation_words import (
    MOST_OTHERS,
    class_colours,
    class_interval,
    drawn_classes,
    interval_cell,
    labelled,
    short_names,
)

SAID: dict[Name, str] = {"pr_auc": "PR AUC", "roc_auc": "ROC AUC"}


def classes_section(evaluation: Evaluation) -> Section:
    """The table of means, and each mean among its markers."""
    colours, found = class_colours(evaluation), evaluation.means
    rows: list[list[Value]] = []
    for name, mean in found.items():
        intervals = {figure: interval_cell(class_interval(evaluation, name, figure)) for figure in SAID}
        rows.append([
            name, mean.markers, mean.pr_auc, intervals["pr_auc"], mean.pr_auc_trapezoid, mean.base_rate,
            mean.pr_auc / mean.base_rate, mean.roc_auc, intervals["roc_auc"], mean.best_f1,
            *((mean.log_loss, mean.calibration_error) if evaluation.space != "score" else ()),
        ])  # fmt: skip
    columns = [
        Column("class"), Column("markers", "count"), Column("PR AUC", "score"), Column("95 % interval", "interval"),
        Column("trapezoid", "score", minor=True), Column("base rate", "small"), Column("PR AUC / base", "ratio"),
        Column("ROC AUC", "score"), Column("95 % interval", "interval", minor=True), Column("best F1", "score"),
    ]  # fmt: skip
    if evaluation.space != "score":
        columns += [Column("log loss", "small", minor=True), Column("calibration error", "small", minor=True)]
    table = Table(columns, rows, swatches=[colours[name] for name in found])
    parts: list[Part] = [_said(evaluation), table.without("interval") if evaluation.intervals is None else table]
    names = short_names(evaluation)[1 : 1 + MOST_OTHERS]
    if names:
        hollow = [f"{name} ({shape})" for name, shape in zip(names, _SHAPES, strict=False)]
        parts.append(Note(f"Hollow in the plots: {', '.join(hollow)}."))
    parts.append(Figures([_figure(evaluation, "pr_auc"), _figure(evaluation, "roc_auc")]))
    return Section("Class means", parts)


_SHAPES = ("square", "diamond", "triangle")


def _said(evaluation: Evaluation) -> str:
    said = (
        "Means over the markers of a class that have positives. PR AUC is average precision; a guess gets the base "
        f"rate, the part of all {labelled(evaluation)} that is positive."
    )
    if evaluation.intervals is None:
        return said
    drawn = evaluation.intervals
    return said + (
        f" Intervals hold 95 % of {drawn.replicates:,} replicates, each of {plural(drawn.blocks, 'block')} of about "
        f"{drawn.block_length:,} nt drawn with replacement: how far figures depend on which parts of the genome were "
        "judged."
    )


def mean_rows(evaluation: Evaluation, figure: Name, *, others: bool = True) -> list[MeanRow]:
    """The classes as they are drawn, beside other runs where wanted."""
    colours, means_of = class_colours(evaluation), evaluation.means
    values = getattr(evaluation.scores, figure)
    beside = [difference.other for difference in evaluation.differences[: MOST_OTHERS if others else 0]]
    rows = []
    for name in drawn_classes(evaluation):
        base = means_of[name].base_rate if figure == "pr_auc" else 0.5
        known = [
            (getattr(other.means[name], figure), class_interval(other, name, figure))
            for other in beside
            if name in other.means
        ]
        own = class_interval(evaluation, name, figure)
        mean, each = getattr(means_of[name], figure), values[evaluation.of_class(name)]
        rows.append(MeanRow(name, colours[name], mean, own, base, each, known))
    return rows


def _figure(evaluation: Evaluation, figure: Name) -> Figure:
    rows = mean_rows(evaluation, figure)
    svg = means(rows, label=SAID[figure], name=f"means-{figure}", low=0.0 if figure == "pr_auc" else 0.5)
    caption = f"{SAID[figure]}: mean and interval; ticks are markers, the dotted line is a guess"
    words = (
        f"{row.name} {shown(row.mean, 'score')}" + (f" ({interval_cell(row.interval)})" if row.interval else "")
        for row in rows
    )
    return Figure(svg, caption, f"{SAID[figure]} by class. {'; '.join(words)}")


def class_legend(evaluation: Evaluation) -> Legend:
    """Classes that are drawn, in their colours."""
    colours = class_colours(evaluation)
    return Legend([(name, colours[name]) for name in drawn_classes(evaluation)])
