"""What all sections of an evaluation's report call things by: classes, their colours, runs, and what was counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dilannot.errors import shorten
from dilannot.evaluation import Evaluation
from dilannot.metrics.bootstrap import Figure
from dilannot.report import palette
from dilannot.report.content import interval

MOST_CLASSES = 8  # that are drawn
MOST_OTHERS = 3  # runs that are drawn beside


def drawn_classes(evaluation: Evaluation) -> list[str]:
    """The classes, or where a table has invented many, the largest."""
    classes = evaluation.classes
    most = sorted(classes, key=lambda name: (-len(evaluation.of_class(name)), name))[:MOST_CLASSES]
    return [name for name in classes if name in most]


def class_colours(evaluation: Evaluation) -> dict[str, str]:
    """Name of the colour of each class, of those without positives too."""
    return palette.class_colours(
        list(dict.fromkeys([*evaluation.classes, *(marker.marker_class for marker in evaluation.markers)]))
    )


def short_names(evaluation: Evaluation) -> list[str]:
    """`Evaluation.run_names`, short enough for headings and legends; still no two are the same."""
    found = [cut(name, 60) for name in evaluation.run_names]
    return found if len(set(found)) == len(found) else [f"{name} ({number})" for number, name in enumerate(found, 1)]


def cut(text: str, length: int) -> str:
    """A name of at most `length` letters; names of folders begin and end with what tells them apart."""
    return text if len(text) <= length else f"{text[: length // 2 - 1]}…{text[-(length - length // 2) :]}"


def labelled(evaluation: Evaluation) -> str:
    """What is positive or not."""
    bins = evaluation.protocol.get("bin")
    return "bins" if isinstance(bins, int) and bins > 1 else "positions"


def class_interval(evaluation: Evaluation, name: str, figure: Figure) -> tuple[float, float] | None:
    """Low and high end of the mean of a class, where they are known."""
    found = evaluation.intervals.classes.get(name, {}).get(figure) if evaluation.intervals else None
    return (found.low, found.high) if found and found.known else None


def interval_cell(found: tuple[float, float] | None) -> str | None:
    """An interval as tables show it."""
    return interval(*found) if found else None


def marker_interval_cells(evaluation: Evaluation, figure: Figure) -> list[str | None]:
    """The intervals of all markers as tables show them."""
    found: Mapping[Figure, Any] = evaluation.intervals.markers if evaluation.intervals else {}
    if figure not in found:
        return [None] * len(evaluation.markers)
    return [interval(low, high) for low, high in found[figure].tolist()]


def setting(value: Any) -> str:
    """A value of the protocol in words."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(setting, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {setting(each)}" for key, each in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "none" if value is None else shorten(str(value), 2_000)
