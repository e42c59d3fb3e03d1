"""The sections of a dataset report on windows: how many are kept and why others are not, and where they lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dilannot.data.splits import SPLITS
from dilannot.report import palette
from dilannot.report.content import Column, Legend, Part, Section, StackedBar, Table, Value, plural
from dilannot.report.dataset_concerns import reason_text
from dilannot.report.dataset_facts import DatasetFacts
from dilannot.report.plots import bands

LEAST_CONTIG = 0.01  # of the longest: shorter ones without windows are not drawn
MOST_CONTIGS = 100
COLUMNS = 900  # of the longest contig's strip


def windows_section(facts: DatasetFacts) -> Section:
    """How many windows are kept, and why the others are not."""
    kept = zip(SPLITS, facts.windows.tolist(), palette.split_colours(), strict=True)
    parts = [(f"kept for {name}", count, colour) for name, count, colour in kept]
    reasons = [(key, count) for key, count in facts.dropped.items() if count]
    parts += [(f"dropped: {reason_text(key)}", count, f"dropped-{i % 4}") for i, (key, count) in enumerate(reasons)]
    total = sum(count for _, count, _ in parts)
    rows = [(name, count, count / total, count * facts.unit) for name, count, _ in parts]
    table = Table(
        [
            Column("windows"),
            Column("count", "count"),
            Column("share", "share"),
            Column("bp", "count"),
        ],
        [*rows, ("all", total, 1.0, total * facts.unit)],
        swatches=[*(colour for _, _, colour in parts), ""],
    )
    return Section("Windows", [StackedBar(parts), table, _not_windows(facts)])


def _not_windows(facts: DatasetFacts) -> str:
    counts = facts.mapping("windows_dropped")
    short, tails = int(counts.get("short_contigs", 0)), int(counts.get("tail_bases", 0))
    said = "Windows are whole" + (f": {tails:,} bp at the ends of contigs are in none." if tails else ".")
    said += f" {plural(short, 'contig is', 'contigs are')} too short for one." if short else ""
    ambiguous = int(facts.record.get("ambiguous_bases") or 0)
    return said + (f" {ambiguous:,} ambiguous IUPAC letters were read as N." if ambiguous else "")


def map_section(facts: DatasetFacts) -> Section:
    """Where the windows of each split lie on the genome."""
    colours = palette.split_colours()
    counts = np.zeros((len(facts.contig_names), len(SPLITS)), np.int64)
    np.add.at(counts, (facts.contig, facts.split), 1)
    longest = int(facts.contig_lengths.max())
    wanted = (counts.sum(axis=1) > 0) | (facts.contig_lengths > LEAST_CONTIG * longest)
    drawn = np.flatnonzero(wanted)
    if len(drawn) > MOST_CONTIGS:
        drawn = np.sort(drawn[np.argsort(-facts.contig_lengths[drawn], kind="stable")[:MOST_CONTIGS]])
    lengths = facts.contig_lengths[drawn].tolist()
    shares = [
        split_shares(facts, i, max(1, -(-COLUMNS * n // longest))) for i, n in zip(drawn.tolist(), lengths, strict=True)
    ]
    full = full_height(np.concatenate(shares).sum(axis=1))
    rows: list[list[Value]] = []
    for index, length, found in zip(drawn.tolist(), lengths, shares, strict=True):
        heights = found / np.maximum(found.sum(axis=1, keepdims=True), full)
        strip = bands(heights, colours, length / longest)
        rows.append([facts.contig_names[index], strip, length, int(counts[index].sum()), *counts[index].tolist()])
    columns = [
        Column("contig"), Column("", "drawing"), Column("length, bp", "count", minor=True), Column("windows", "count"),
        *(Column(name, "count", minor=True) for name in SPLITS),
    ]  # fmt: skip
    parts: list[Part] = [Legend([*zip(SPLITS, colours, strict=True), ("no window", "line")]), Table(columns, rows)]
    if full < 1:
        parts.insert(0, f"Windows are few and far between: a strip is full where they take {100 * full:.0f} % of it.")
    hidden = len(facts.contig_names) - len(drawn)
    if hidden:
        lost = int(counts.sum() - counts[drawn].sum())
        parts.append(
            f"{plural(hidden, 'contig')} not drawn: without windows, and shorter than 1 % of the longest."
            if not lost
            else f"{plural(hidden, 'contig')} not drawn: the shortest ones, with {plural(lost, 'window')}."
        )
    return Section("Genome map", parts)


def full_height(taken: NDArray[np.float64]) -> float:
    """The part of a column that windows take where a strip is drawn full: all, or less where windows are sparse."""
    often = float(np.quantile(taken[taken > 0], 0.95)) if (taken > 0).any() else 1.0
    return 1.0 if often > 0.5 else max(0.01, round(often, 2))


def split_shares(facts: DatasetFacts, index: int, columns: int) -> NDArray[np.float64]:
    """(columns, splits) the part of each column of a contig that windows of each split take."""
    first, last = np.searchsorted(facts.contig, [index, index + 1])
    edges = np.linspace(0, facts.contig_lengths[index], columns + 1)
    shares = np.zeros((columns, len(SPLITS)))
    for code in range(len(SPLITS)):
        start = facts.start[first:last][facts.split[first:last] == code]
        if len(start):
            knots = np.stack([start, start + facts.unit], axis=1).reshape(-1)
            taken = np.repeat(np.arange(len(start) + 1), 2)[1:-1] * facts.unit
            shares[:, code] = np.diff(np.interp(edges, knots, taken)) / np.diff(edges)
    return shares
