"""A report as plain text: the page's facts in aligned columns, its long tables at the end."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from dilannot.errors import printable, shorten
from dilannot.report.content import NUMBERS, Report, Section, Table, shown

_WIDTH = 110
_WIDEST_CELL = 64


def render(report: Report, *, markdown: bool = False) -> str:
    """The report as text; as Markdown its headings are marked and all else stands in code blocks."""
    concerns = [
        line
        for concern in report.concerns
        for line in _wrapped(f"! {concern.what}" + (f": {concern.detail}" if concern.detail else ""), "  ")
    ]
    blocks = [
        (report.title, [report.subject, "", *_facts(report)]),
        ("Look at this first" if concerns else "Nothing to worry about", concerns),
        *((section.title, lines) for section in report.sections if (lines := list(_section(section)))),
        *((table.title, list(aligned(table))) for table in _long_tables(report)),
    ]
    return "\n".join(line for title, lines in blocks if title for line in _block(title, lines, markdown))


def aligned(table: Table) -> Iterator[str]:
    """A table as lines: text on the left of its column, numbers on the right."""
    columns = [(i, column) for i, column in enumerate(table.columns) if column.kind != "drawing"]
    cells = [[column.title for _, column in columns]]
    cells += [[_cell(shown(row[i], column.kind)) for i, column in columns] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (
            value.rjust(width) if column.kind in NUMBERS else value.ljust(width)
            for value, width, (_, column) in zip(row, widths, columns, strict=True)
        )
        yield "  ".join(padded).rstrip()


def _cell(text: str) -> str:
    return shorten(printable(text), _WIDEST_CELL)


def _facts(report: Report) -> Iterator[str]:
    width = max(len(fact.label) for fact in report.facts)
    for fact in report.facts:
        yield f"{fact.label.ljust(width)}  {fact.value}" + (f"  ({fact.detail})" if fact.detail else "")


def _section(section: Section) -> Iterator[str]:
    apart = False
    for part in section.parts:
        if isinstance(part, str):
            lines = _wrapped(part)
        elif isinstance(part, Table) and not part.interactive:
            lines = [f"{part.title}:"] if part.title else []
            lines += aligned(part)
        elif isinstance(part, Table):
            lines = ["The table is at the end."]
        else:
            continue
        if apart:
            yield ""
        yield from lines
        apart = True


def _long_tables(report: Report) -> list[Table]:
    parts = [part for section in report.sections for part in section.parts]
    return [part for part in parts if isinstance(part, Table) and part.interactive]


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(printable(text), _WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _block(title: str, lines: list[str], markdown: bool) -> Iterator[str]:
    if markdown:
        yield from (f"## {title}", "", *(("```text", *lines, "```", "") if lines else ()))
    else:
        yield from (title, "=" * len(title), *lines, "")
