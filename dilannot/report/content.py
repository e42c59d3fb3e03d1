"""What a report is made of before it is a page or plain text: facts, concerns, sections of tables and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from markupsafe import Markup

# text and code are left-aligned, the others are numbers; a drawing is shown on the page only.
Kind = Literal[
    "text", "code", "count", "share", "rate", "ratio", "score", "small", "difference", "interval", "drawing"
]  # fmt: skip
Value = str | int | float | None

NUMBERS = ("count", "share", "rate", "ratio", "score", "small", "difference", "interval")
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Fact:
    """One tile of the headline: a label, its value, and what explains it."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that a careful colleague would raise: what, where, and what to do about it."""

    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A table column; `bar` is the colour of a bar behind its numbers, `minor` hides it on narrow windows."""

    title: str
    kind: Kind = "text"
    bar: str = ""
    minor: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values, formatted by the kind of their column.

    Attributes
    ----------
    swatches
        Colour beside the first cell of each row, where given.
    interactive
        Whether it can be sorted and filtered on the page; plain text has such tables at its end.
    folded
        Whether the page shows only its title until it is opened.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]
    title: str = ""
    swatches: Sequence[str] = ()
    interactive: bool = False
    folded: bool = False

    def without(self, kind: Kind) -> Table:
        """The table without the columns of a kind."""
        kept = [place for place, column in enumerate(self.columns) if column.kind != kind]
        rows = [[row[place] for place in kept] for row in self.rows]
        return replace(self, columns=[self.columns[place] for place in kept], rows=rows)


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot as inline SVG, with a caption, and in words for those who do not see it."""

    svg: Markup
    caption: str
    alternative: str


@dataclass(frozen=True, slots=True)
class Note:
    """A paragraph on the plots around it; on the page only."""

    text: str


@dataclass(frozen=True, slots=True)
class StackedBar:
    """One bar made of labelled parts in their colours; plain text leaves it to the table beside it."""

    parts: Sequence[tuple[str, int, str]]


@dataclass(frozen=True, slots=True)
class Legend:
    """Names beside their colours; on the page only."""

    entries: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Plots side by side where there is room."""

    figures: Sequence[Figure]


@dataclass(frozen=True, slots=True)
class Panel:
    """A tiny drawing with the name of what it shows, and its figure."""

    name: str
    figure: str
    svg: Markup


@dataclass(frozen=True, slots=True)
class Panels:
    """Tiny drawings in a grid, shut until opened where they are many; on the page only."""

    title: str
    panels: Sequence[Panel]
    colour: str
    folded: bool = False


Part = str | Note | Table | Figures | StackedBar | Legend | Panels


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it; a string is a paragraph."""

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report."""

    title: str
    subject: str
    facts: Sequence[Fact]
    concerns: Sequence[Concern]
    sections: Sequence[Section]


def shown(value: Value, kind: Kind = "text") -> str:
    """A value as both forms of a report print it."""
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return NOTHING
    if isinstance(value, str):
        return value
    if kind == "share":
        return percent(value, 1)
    if kind == "rate":
        return percent(value, 3)
    if kind == "ratio":
        return f"{value:,.2f}×"
    if kind == "score":
        return f"{value:.3f}"
    if kind == "small":
        return "<0.0001" if 0 < value < 5e-5 else f"{value:.4f}"
    if kind == "difference":
        return f"{value:+.3f}"
    return f"{value:,}"


def interval(low: float, high: float, kind: Kind = "score") -> str | None:
    """An interval as a cell of the kind `interval` shows it; None where it is not known."""
    if not np.isfinite((low, high)).all():
        return None
    return f"{shown(float(low), kind)} to {shown(float(high), kind)}"


def percent(value: float, digits: int) -> str:
    """A fraction in percent; what would round to nothing is said to be less than the last digit."""
    least = 10.0**-digits
    return f"<{least:.{digits}f} %" if 0 < 100 * value < least / 2 else f"{100 * value:,.{digits}f} %"


def size(count: int) -> str:
    """Bytes in the unit that people use."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:,.1f} {unit}"
    return f"{count:,} bytes"


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 window`, `1,234 windows`."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def names(found: Sequence[str], most: int = 5) -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(found) - most:,} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
