"""A report as one HTML file that needs nothing else: styles, script and plots inside, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from dilannot.errors import printable
from dilannot.report import palette
from dilannot.report.content import (
    NUMBERS,
    Column,
    Figures,
    Legend,
    Note,
    Panels,
    Report,
    StackedBar,
    Table,
    Value,
    shown,
)

_KINDS = {
    str: "paragraph",
    Note: "note",
    Table: "table",
    Figures: "figures",
    StackedBar: "bar",
    Legend: "legend",
    Panels: "panels",
}


def render(report: Report) -> str:
    """The report as a page. All text is escaped; the browser is told to run nothing but this page's own script."""
    script = _file("table.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            style=_file("style.css"),
            light=Markup(palette.variables(dark=False)),
            dark=Markup(palette.variables(dark=True)),
            script=script,
            script_digest=digest,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dilannot.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    environment.filters |= {
        "kind": lambda part: _KINDS[type(part)],
        "css": palette.css,
        "cell": cell,
        "number": lambda column: column.kind in NUMBERS,
        "anchor": anchor,
        "breakable": breakable,
    }
    environment.globals["bars"] = bars
    return environment


def _file(name: str) -> Markup:
    """A file of `templates/` as it is."""
    loader = _environment().loader
    assert loader is not None
    return Markup(loader.get_source(_environment(), name)[0])


def _clean(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def cell(value: Value, column: Column) -> str:
    """A value as its cell shows it."""
    return value if isinstance(value, Markup) else shown(value, column.kind)


def bars(table: Table) -> list[list[int]]:
    """For each column and row how long its bar is, in percent of its cell; 0 where there is none.

    Bars are logarithmic, from half of the least number in the column to the greatest: markers span orders of magnitude.
    """
    return [
        _lengths([float(row[i] or 0) for row in table.rows]) if column.bar else [0] * len(table.rows)
        for i, column in enumerate(table.columns)
    ]


def _lengths(values: list[float]) -> list[int]:
    positive = [value for value in values if value > 0]
    if not positive:
        return [0] * len(values)
    low, high = math.log(min(positive) / 2), math.log(max(positive))
    return [round(100 * (math.log(value) - low) / (high - low)) if value > 0 else 0 for value in values]


def anchor(title: str) -> str:
    """A heading as the name of its place in the page."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in title.lower()).split())


def breakable(name: str) -> Markup:
    """A name that may go on in the next line after the signs that part it."""
    if isinstance(name, Markup):
        return name
    return Markup(re.sub(r"([|_/])", r"\1<wbr>", str(escape(printable(name)))))
