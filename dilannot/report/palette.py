"""One fixed colour for each split and each class, safe for colour-blind readers, on light paper and on dark screens."""

from __future__ import annotations

from dilannot.data.markers import CLASSES, UNKNOWN
from dilannot.data.splits import SPLITS

# Name of the CSS variable -> colour on light, on dark. Classes are Okabe and Ito's; splits differ in lightness first.
COLOURS = {
    "ink": ("#1b2027", "#e4e8ee"),
    "muted": ("#5c6673", "#9aa5b4"),
    "line": ("#d9dee6", "#323a46"),
    "train": ("#9fb3cc", "#6f88a6"),
    "validation": ("#d55e00", "#f08c45"),
    "test": ("#7b2d8e", "#cb92e2"),
    "tfbs": ("#0072b2", "#4ba8e2"),
    "histone": ("#e69f00", "#f1b63f"),
    "dnase": ("#009e73", "#35c99b"),
    "unknown": ("#8c8c8c", "#a8a8a8"),
    "other-0": ("#cc79a7", "#dd94bc"),
    "other-1": ("#8a6d3b", "#b99a64"),
    "other-2": ("#3f6f6f", "#7fb3b3"),
    "dropped-0": ("#c3c8cf", "#4a525e"),
    "dropped-1": ("#989fa9", "#6a7482"),
    "dropped-2": ("#6c7581", "#8d98a8"),
    "dropped-3": ("#474e58", "#b3bdca"),
}


def css(name: str) -> str:
    """The colour `name` as a page refers to it: light or dark as the reader has it."""
    return f"var(--{name})"


def split_colours() -> list[str]:
    """Names of the colours of train, validation and test."""
    return list(SPLITS)


def class_colours(classes: list[str]) -> dict[str, str]:
    """Name of the colour of each class; words of the user's own take turns."""
    known = {name: name.lower() for name in (*CLASSES, UNKNOWN)}
    own = [name for name in classes if name not in known]
    return {name: known.get(name) or f"other-{own.index(name) % 3}" for name in classes}


def variables(dark: bool) -> str:
    """The CSS declarations of all colours."""
    return "".join(f"--{name}:{pair[dark]};" for name, pair in COLOURS.items())
