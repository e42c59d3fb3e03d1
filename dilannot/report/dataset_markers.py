"""The sections of a dataset report on markers: how much of what is positive, and the table of all of them."""

from __future__ import annotations

import numpy as np

from dilannot.data.splits import SPLITS
from dilannot.report import palette
from dilannot.report.content import Column, Figure, Figures, Legend, Section, Table, Value, percent
from dilannot.report.dataset_concerns import test_to_train
from dilannot.report.dataset_facts import DatasetFacts
from dilannot.report.plots import dots, histograms

MOST_CLASSES = 8


def positives_section(facts: DatasetFacts) -> Section:
    """Base rates by class and split, and how the positives of markers are distributed."""
    classes = _shown_classes(facts)
    groups = {name: facts.of_class(name) for name in classes}
    rates = {name: facts.rates[rows].mean(axis=0).tolist() for name, rows in groups.items()}
    total = facts.positives.sum(axis=1)
    rows: list[list[Value]] = []
    for name in classes:
        median = int(np.median(total[groups[name]]))
        rows.append([name, len(groups[name]), median, *rates[name], int((total[groups[name]] == 0).sum())])
    colours = palette.class_colours(facts.classes)
    table = Table(
        [
            Column("class"), Column("markers", "count"),
            Column(f"positive {facts.labelled}, median", "count", minor=True),
            *(Column(f"{name}", "rate") for name in SPLITS), Column("without positives", "count", minor=True),
        ],
        rows,
        swatches=[colours[name] for name in classes],
    )  # fmt: skip
    said = (
        f"The base rate of a marker is the part of all {facts.labelled} that are positive; that of a class is the mean "
        "of its markers. A classifier that knows nothing has this as its area under the precision-recall curve."
    )
    if len(classes) < len(facts.classes):
        said += f" Shown are the {len(classes)} largest of {len(facts.classes):,} classes."
    legend = Legend([*zip(SPLITS, palette.split_colours(), strict=True)])
    return Section("Positives", [said, table, legend, Figures([_rate_figure(facts, rates), _count_figure(facts)])])


def _shown_classes(facts: DatasetFacts) -> list[str]:
    """The classes, or where a table has invented many, the largest."""
    most = sorted(facts.classes, key=lambda name: (-len(facts.of_class(name)), name))[:MOST_CLASSES]
    return [name for name in facts.classes if name in most]


def _rate_figure(facts: DatasetFacts, rates: dict[str, list[float]]) -> Figure:
    by_split = {name: [rates[group][i] for group in rates] for i, name in enumerate(SPLITS)}
    said = "; ".join(
        f"{group}: " + ", ".join(f"{name} {percent(rate, 3)}" for name, rate in zip(SPLITS, found, strict=True))
        for group, found in rates.items()
    )
    svg = dots(list(rates), by_split, palette.split_colours(), label=f"positive {facts.labelled}, share", name="rates")
    return Figure(svg, "Base rate by class and split", f"Base rates. {said}")


def _count_figure(facts: DatasetFacts) -> Figure:
    total, colours = facts.positives.sum(axis=1), palette.class_colours(facts.classes)
    groups = {name: total[facts.of_class(name)] for name in _shown_classes(facts)}
    label = f"positive {facts.labelled} of a marker, all splits"
    svg = histograms(groups, [colours[name] for name in groups], label=label, name="counts")
    said = "; ".join(
        f"{name}: {len(found):,} markers, median {int(np.median(found)):,}" for name, found in groups.items()
    )
    return Figure(svg, "Markers by number of positives (line: median)", f"Positive {facts.labelled} a marker. {said}")


def marker_section(facts: DatasetFacts) -> Section:
    """Every marker: what was read for it, and what it got."""
    described = [
        (name, values)
        for name, values in (
            ("cell", [marker.cell for marker in facts.markers]),
            ("target", [marker.target for marker in facts.markers]),
            ("treatment", [marker.treatment for marker in facts.markers]),
        )
        if set(values) - {"", "None"}
    ]
    columns = [
        Column("name"), Column("class"), *(Column(name, minor=name == "treatment") for name, _ in described),
        Column("base rate", "rate", bar="swatch"), *(Column(name, "count", bar=name) for name in SPLITS),
        Column("test / train", "ratio"), Column("peaks read", "count"), Column("merged", "count"),
        Column("used", "count", bar="dropped-1"), Column("bases covered", "count"), Column("file"),
    ]  # fmt: skip
    colours, ratio = palette.class_colours(facts.classes), test_to_train(facts)
    rate = facts.positives.sum(axis=1) / facts.possible.sum()
    rows: list[list[Value]] = []
    for i, marker in enumerate(facts.markers):
        words = [marker.name, marker.marker_class, *(values[i] for _, values in described)]
        positives = [float(rate[i]), *facts.positives[i].tolist(), float(ratio[i])]
        rows.append([*words, *positives, *(int(column[i]) for column in facts.counts.values()), marker.file])
    swatches = [colours[marker.marker_class] for marker in facts.markers]
    said = (
        f"Positive {facts.labelled} in each split; test / train compares base rates. Peaks read from the file, after "
        "merging those that overlap or touch, and with a label in a window that is kept. Bars are logarithmic."
    )
    return Section("Markers", [said, Table(columns, rows, "All markers", swatches, interactive=True)])
