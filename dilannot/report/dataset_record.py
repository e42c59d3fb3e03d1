"""The sections of a dataset report on what was left out, and on how the dataset was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dilannot.report.content import Column, Part, Section, Table, Value, plural
from dilannot.report.dataset_facts import DatasetFacts

MOST_CONTIGS = 30


def left_out_section(facts: DatasetFacts) -> Section:
    """Peaks, files and markers that are not in the dataset, and markers with nothing."""
    parts: list[Part] = []
    unknown = facts.mapping("peaks_on_unknown_contigs")
    if unknown:
        parts.append(_unknown_contigs(unknown, int(facts.counts["peaks_read"].sum())))
    files, left_out = facts.listed("files_left_out"), facts.mapping("markers_left_out")
    if files:
        parts.append(_folded(Table([Column("file")], [[name] for name in files], "Files left out")))
    if left_out:
        rows: list[list[Value]] = [
            [name, int(count)] for name, count in sorted(left_out.items(), key=lambda item: (item[1], item[0]))
        ]
        columns = [Column("marker"), Column("peaks", "count")]
        parts.append(_folded(Table(columns, rows, "Markers left out for few peaks")))
    has_peaks = facts.counts["peaks_read"] > 0
    empty = [[marker.name, marker.file] for marker, some in zip(facts.markers, has_peaks, strict=True) if not some]
    if empty:
        parts.append(_folded(Table([Column("marker"), Column("file")], empty, "Markers without peaks")))
    return Section(
        "Left out", parts or ["Nothing: every peak file is used, and every peak lies on the genome's contigs."]
    )


def _unknown_contigs(unknown: Mapping[str, int], every: int) -> Table:
    order = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))
    rows: list[list[Value]] = [[name, int(count), count / max(every, 1)] for name, count in order[:MOST_CONTIGS]]
    if len(order) > MOST_CONTIGS:
        rest = sum(count for _, count in order[MOST_CONTIGS:])
        rows.append([plural(len(order) - MOST_CONTIGS, "other contig"), rest, rest / max(every, 1)])
    total = sum(unknown.values())
    rows.append(["all", total, total / max(every, 1)])
    columns = [Column("contig"), Column("peaks", "count"), Column("of all peaks", "share")]
    return Table(columns, rows, "Peaks on contigs that the genome lacks")


def _folded(table: Table) -> Table:
    """A long table, shut on the page until somebody asks."""
    return Table(table.columns, table.rows, table.title, folded=len(table.rows) > MOST_CONTIGS)


def origin_section(facts: DatasetFacts) -> Section:
    """Command, versions, settings and digests of the inputs."""
    rows = [
        ["command", str(facts.record.get("command") or "not recorded")],
        ["dilannot", str(facts.record.get("dilannot", "unknown"))],
        ["genome", str(facts.record.get("genome", "unknown"))],
        *(["excluded regions", path] for path in facts.listed("exclude")),
        *([f"{key.replace('_', ' ')}", _setting(value)] for key, value in facts.settings.items()),
    ]
    contigs: list[list[Value]] = [
        [name, int(length), digest]
        for name, length, digest in zip(facts.contig_names, facts.contig_lengths, facts.contig_md5, strict=True)
    ]
    files: list[list[Value]] = [
        [marker.file or marker.name, digest] for marker, digest in zip(facts.markers, facts.sha256, strict=True)
    ]
    return Section(
        "How it was made",
        [
            Table([Column(""), Column("", "code")], rows),
            Table(
                [Column("contig"), Column("length, bp", "count"), Column("MD5 of its upper-case sequence", "code")],
                contigs, "Digests of the genome's contigs", folded=True,
            ),
            Table(
                [Column("file"), Column("SHA-256 of the file", "code")], files, "Digests of the peak files", folded=True
            ),
        ],
    )  # fmt: skip


def _setting(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else "none" if value is None else str(value)
