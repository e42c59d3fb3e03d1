"""The report on a dataset: what a person checks in one look before spending a day on training."""

from __future__ import annotations

from pathlib import Path

from dilannot.report.content import Fact, Report, names, plural, shown, size
from dilannot.report.dataset_concerns import find_concerns
from dilannot.report.dataset_facts import DatasetFacts, read_facts
from dilannot.report.dataset_markers import marker_section, positives_section
from dilannot.report.dataset_record import left_out_section, origin_section
from dilannot.report.dataset_windows import map_section, windows_section
from dilannot.report.forms import check_report_name as check_report_name
from dilannot.report.forms import write_report


def write_dataset_report(dataset: Path, report: Path) -> None:
    """Write what `dataset` holds, and what is odd about it, to `report`.

    The suffix decides the form: a page (.html), plain text (.txt) or Markdown (.md). The same dataset gives the same
    bytes.

    Raises
    ------
    DilannotError
        The suffix is none of these, or the file is no dataset or damaged.
    """
    check_report_name(report)
    write_report(dataset_report(read_facts(dataset)), report)


def dataset_report(facts: DatasetFacts) -> Report:
    """The report, not yet in any form."""
    return Report(
        title="Dataset report",
        subject=facts.name,
        facts=_headline(facts),
        concerns=find_concerns(facts),
        sections=[
            windows_section(facts),
            map_section(facts),
            positives_section(facts),
            marker_section(facts),
            left_out_section(facts),
            origin_section(facts),
        ],
    )


def _headline(facts: DatasetFacts) -> list[Fact]:
    windows = facts.windows
    splits = zip(("train", "validation", "test"), windows.tolist(), strict=True)
    context = int(facts.settings.get("context") or 0)
    task = {
        "dense": f"a label for every base, windows of {facts.unit:,} bp",
        "window": f"a label for every bin of {facts.unit:,} bp, {context:,} bp on either side",
    }
    return [
        Fact(
            "Genome",
            Path(str(facts.record.get("genome") or "none: imported arrays")).name,
            f"{plural(len(facts.contig_names), 'contig')}, {int(facts.contig_lengths.sum()):,} bp",
        ),
        Fact("Task", facts.task, task.get(facts.task, f"windows of {facts.unit:,} bp")),
        Fact(
            "Windows kept",
            f"{int(windows.sum()):,}",
            ", ".join(f"{name} {count:,} ({shown(count / windows.sum(), 'share')})" for name, count in splits),
        ),
        Fact(
            "Markers",
            f"{len(facts.markers):,}",
            names([f"{len(facts.of_class(name)):,} {name}" for name in facts.classes], 6),
        ),
        Fact("Label intervals" if facts.task == "dense" else "Labels", f"{facts.intervals:,}"),
        Fact("File", size(facts.bytes)),
    ]
