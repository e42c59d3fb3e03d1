"""The report on a dataset: what a person checks in one look before spending a day on training."""

from __future__ import annotations

from pathlib import Path

from dilannot.errors import DilannotError
from dilannot.outputs import write_text
from dilannot.report import page, text
from dilannot.report.content import Fact, Report, names, plural, shown, size
from dilannot.report.dataset_concerns import find_concerns
from dilannot.report.dataset_facts import DatasetFacts, read_facts
from dilannot.report.dataset_markers import marker_section, positives_section
from dilannot.report.dataset_record import left_out_section, origin_section
from dilannot.report.dataset_windows import map_section, windows_section

PAGES, TEXTS, MARKDOWN = (".html", ".htm"), (".txt", ".text"), (".md", ".markdown")


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
    found = dataset_report(read_facts(dataset))
    suffix = report.suffix.lower()
    written = page.render(found) if suffix in PAGES else text.render(found, markdown=suffix in MARKDOWN)
    write_text(report, written)


def check_report_name(report: Path) -> None:
    """Refuse, before any work, a name whose suffix says no form of report."""
    if report.suffix.lower() not in (*PAGES, *TEXTS, *MARKDOWN):
        raise DilannotError(
            f"a report with the suffix {report.suffix!r}",
            where=report,
            remedy="call it .html for a page, .txt or .md for text",
        )


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
