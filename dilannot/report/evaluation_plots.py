"""Plots of an evaluation as inline SVG: class means, curves, and one value against another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from dilannot.errors import printable, shorten
from dilannot.report.palette import COLOURS
from dilannot.report.plots import as_svg

FAINT = 60  # curves of markers behind that of their class
POINTS = 70  # of a faint curve
SHAPES = "osD^vP*X"
DOTTED: Any = (0, (2, 2))  # what a guess gets
DASHES: tuple[Any, ...] = ((0, (5, 2)), (0, (6, 1.5, 1.5, 1.5)), (0, (9, 1.5, 1.5, 1.5, 1.5, 1.5)))

Floats = NDArray[np.float64]
Interval = tuple[float, float]
_INK, _MUTED = COLOURS["ink"][0], COLOURS["muted"][0]


@dataclass(frozen=True, slots=True)
class MeanRow:
    """A class in the plot of means.

    Attributes
    ----------
    name, colour
        Of the class.
    mean, interval, base
        The mean, how far it could be off, and what a guess gets; None where not known.
    markers
        The values of its markers.
    others
        Means and intervals of other runs.
    """

    name: str
    colour: str
    mean: float
    interval: Interval | None
    base: float | None
    markers: Floats
    others: Sequence[tuple[float, Interval | None]] = field(default_factory=tuple)


def means(rows: Sequence[MeanRow], *, label: str, name: str, low: float = 0.0) -> Markup:
    """A row a class: a dot with its interval, the markers as ticks below it, and other runs as hollow dots."""
    others = max((len(row.others) for row in rows), default=0)

    def draw(figure: Figure) -> None:
        draw_means(figure.add_subplot(), rows, low)
        figure.axes[0].set_xlabel(label)

    return as_svg(draw, 0.7 + (0.55 + 0.1 * others) * len(rows), name)


def draw_means(axes: Axes, rows: Sequence[MeanRow], low: float = 0.0) -> None:
    """As `means`, on axes."""
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_yticks(range(len(rows)), [shorten(printable(row.name), 18) for row in rows])
    axes.grid(axis="x")
    for place, row in enumerate(rows):
        colour = COLOURS[row.colour][0]
        ticks(axes, row.markers, place + 0.24, 0.14, colour)
        if row.base is not None:
            axes.plot([row.base] * 2, [place - 0.2, place + 0.2], color=_INK, linewidth=1, linestyle=DOTTED)
        apart = -0.36 / max(1, len(row.others))
        for index, (mean, interval) in enumerate(row.others):
            _dot(axes, mean, interval, place + apart * (index + 1), _MUTED, SHAPES[1 + index % 7], hollow=True)
        _dot(axes, row.mean, row.interval, place, colour, SHAPES[0])
    values = np.concatenate([[low + 0.02], *(np.append(row.markers, row.mean) for row in rows)])
    least, highest = np.nanmin(values), np.nanmax(values)
    least = min(low, float(least))
    axes.set_xlim(least, highest + 0.04 * (highest - least))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))


def ticks(axes: Axes, values: Floats, place: float, height: float, colour: str) -> None:
    """Short upright lines as one path."""
    x = np.repeat(values[np.isfinite(values)], 3)
    y = np.tile([place, place + height, np.nan], len(x) // 3)
    axes.plot(x, y, color=colour, linewidth=0.8, alpha=0.35 if len(x) > 150 else 0.7, solid_capstyle="butt")


def _dot(
    axes: Axes, mean: float, interval: Interval | None, place: float, colour: str, shape: str, *, hollow: bool = False
) -> None:
    if interval is not None:
        axes.plot(interval, [place, place], color=colour, linewidth=1.2 if hollow else 4, alpha=1 if hollow else 0.45)
    face = {"markerfacecolor": "none", "markersize": 5} if hollow else {"markersize": 7}
    axes.plot([mean], [place], shape, color=colour, markeredgewidth=1.2 if hollow else 0, **face)


def curves(
    x: Floats,
    each: Floats,
    order: NDArray[np.intp],
    others: Sequence[Floats],
    colour: str,
    *,
    base: float | None,
    labels: tuple[str, str],
    name: str,
) -> Markup:
    """The mean of curves over some of them, the guess that they should be above, and the means of other runs.

    Parameters
    ----------
    x, each
        (P,) and (markers, P).
    order
        Markers from the worst to the best: as many as fit are drawn, evenly chosen.
    others
        (P,) each.
    colour
        Name of that of the class.
    base
        Height of the base rate; None draws the diagonal.
    labels
        Of the axes.
    """
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), FAINT)).astype(int))]
    at = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).astype(int))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        faint = np.column_stack([each[np.ix_(chosen, at)], np.full(len(chosen), np.nan)])
        if len(each) > 1:
            beside = np.tile(np.append(x[at], np.nan), len(chosen))
            axes.plot(beside, faint.ravel(), color=COLOURS[colour][0], linewidth=0.7, alpha=0.28)
        guess = ([0, 1], [0, 1] if base is None else [base, base])
        axes.plot(*guess, color=_INK, linewidth=1, linestyle=DOTTED)
        for curve, dashes in zip(others, DASHES, strict=False):
            axes.plot(x, curve, color=_INK, linewidth=1.3, linestyle=dashes)
        axes.plot(x, mean_curve(each), color=COLOURS[colour][0], linewidth=2.4)
        unit_square(axes)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])

    return as_svg(draw, 3.6, name)


def mean_curve(each: Floats) -> Floats:
    """(P,) the mean of curves, where they are known."""
    known = np.isfinite(each)
    total = np.where(known, each, 0).sum(axis=0)
    return np.asarray(np.divide(total, known.sum(axis=0), out=np.full(each.shape[1], np.nan), where=known.any(axis=0)))


def unit_square(axes: Axes) -> None:
    """Both axes from 0 to 1, with the same few ticks."""
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.grid()
    steps = (0, 0.2, 0.4, 0.6, 0.8, 1)
    axes.set_xticks(steps, [f"{step:g}" for step in steps])
    axes.set_yticks(steps, [f"{step:g}" for step in steps])
    axes.tick_params(axis="y", colors=_MUTED)


def against(
    groups: Mapping[str, tuple[Floats, Floats]], colours: Sequence[str], *, labels: tuple[str, str], name: str
) -> Markup:
    """A dot a marker, one value against another, and the diagonal on which both are the same."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        highest = max((float(np.nanmax([x, y])) for x, y in groups.values() if np.isfinite([x, y]).any()), default=1)
        highest = min(1.0, 1.06 * highest) if highest > 0 else 1.0
        axes.plot([0, highest], [0, highest], color=_INK, linewidth=1, linestyle=DOTTED)
        many = sum(len(x) for x, _ in groups.values()) > 100
        for (x, y), colour, shape in zip(groups.values(), colours, SHAPES, strict=False):
            axes.plot(
                x, y, shape, color=COLOURS[colour][0], markersize=3.2 if many else 5,
                markeredgewidth=0, alpha=0.6 if many else 0.9,
            )  # fmt: skip
        axes.set_xlim(0, highest)
        axes.set_ylim(0, highest)
        axes.set_aspect("equal")
        axes.grid()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
        axes.tick_params(axis="y", colors=_MUTED)
        axes.set_xlabel(shorten(printable(labels[0]), 60))
        axes.set_ylabel(shorten(printable(labels[1]), 60))

    return as_svg(draw, 4.0, name, 4.2)
