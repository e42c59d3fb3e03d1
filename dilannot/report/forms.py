"""The forms a report can have: a page, plain text or Markdown, as the suffix of its file says."""

from __future__ import annotations

from pathlib import Path

from dilannot.errors import DilannotError
from dilannot.outputs import write_text
from dilannot.report import page, text
from dilannot.report.content import Report

PAGES, TEXTS, MARKDOWN = (".html", ".htm"), (".txt", ".text"), (".md", ".markdown")


def check_report_name(report: Path) -> None:
    """Refuse, before any work, a name whose suffix says no form of report."""
    if report.suffix.lower() not in (*PAGES, *TEXTS, *MARKDOWN):
        raise DilannotError(
            f"a report with the suffix {report.suffix!r}",
            where=report,
            remedy="call it .html for a page, .txt or .md for text",
        )


def write_report(found: Report, path: Path) -> None:
    """Write a report in the form that the suffix of `path` says.

    Raises
    ------
    DilannotError
        It says none.
    """
    check_report_name(path)
    suffix = path.suffix.lower()
    written = page.render(found) if suffix in PAGES else text.render(found, markdown=suffix in MARKDOWN)
    write_text(path, written)
