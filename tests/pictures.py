"""What stands in a picture where: no text may lie over another one or outside."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

Texts = list[tuple[str, Any, Any]]


@contextmanager
def texts_drawn() -> Iterator[Texts]:
    """Each text of the pictures that are saved inside, where it stands, and the size of the picture."""
    found: Texts = []
    inner = Figure.savefig

    def savefig(figure: Figure, *arguments: Any, **options: Any) -> None:
        inner(figure, *arguments, **options)
        figure.draw_without_rendering()
        assert all(axes.get_window_extent().height > figure.dpi for axes in figure.axes), "a panel below an inch"
        for each in figure.findobj(Text):
            if each.get_visible() and each.get_text().strip() and _shown(each, figure):
                found.append((each.get_text(), each.get_window_extent(), figure.bbox))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield found


def _shown(text: Text, figure: Figure) -> bool:
    """Labels of ticks outside the axis, and those of an axis that another has, are not drawn."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            ticks = axis.get_major_ticks()
            if any(text in (tick.label1, tick.label2) for tick in ticks):
                low, high = sorted(axis.get_view_interval())
                tick = next(tick for tick in ticks if text in (tick.label1, tick.label2))
                return low <= tick.get_loc() <= high
    return True


def check_texts(texts: Texts) -> None:
    """All inside, and none over another."""
    for text, box, page in texts:
        assert page.x0 <= box.x0 < box.x1 <= page.x1, text
        assert page.y0 <= box.y0 < box.y1 <= page.y1, text
    for (one, first, _), (other, second, _) in itertools.combinations(texts, 2):
        assert not first.overlaps(second), (one, other)
