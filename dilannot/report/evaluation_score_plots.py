"""Plots of an evaluation's scores as inline SVG: how they are distributed, and whether they are probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from dilannot.metrics.keys import Space
from dilannot.report.evaluation_plots import DOTTED
from dilannot.report.palette import COLOURS
from dilannot.report.plots import as_svg, brief

BINS = 64  # that are drawn, at most
LEAST_SHARE = 1e-5  # of positions or positives on either side that are not drawn
_PLACES = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
_INK, _MUTED, _GREY = (COLOURS[name][0] for name in ("ink", "muted", "dropped-1"))

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def distributions(
    score: Floats, everything: Counts, positive: Counts, space: Space, colour: str, *, name: str
) -> Markup:
    """Shares of all positions and of the positives by score; log-odds are spaced evenly where scores were logits.

    Parameters
    ----------
    score, everything, positive
        (bins,) centres, and counts.
    space
        What scores are.
    colour
        Name of that of the positives.
    """
    places = _places(score, space)
    shares = np.stack([counts / max(1, int(counts.sum())) for counts in (everything, positive)])
    first, last = _range(shares)
    group = -(-(last - first) // BINS)
    starts = np.arange(first, last, group)
    heights = np.add.reduceat(shares[:, :last], starts, axis=1)
    edges = _edges(places)[np.append(starts, last)]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for values, shade, alpha in zip(heights, (_GREY, COLOURS[colour][0]), (0.45, 0.4), strict=True):
            axes.stairs(values, edges, fill=True, color=shade, alpha=alpha, linewidth=0)
            axes.stairs(values, edges, color=shade, linewidth=1.3)
        axes.set_xlim(edges[0], edges[-1])
        if space == "logit":
            axes.set_ylim(0, 1.05 * heights.max() or 1)
        else:  # most scores are the least one
            axes.set_yscale("log")
            axes.set_ylim(LEAST_SHARE, 1.5)
        _score_ticks(axes, score, places, space)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="y", colors=_MUTED)
        axes.grid(axis="y")
        axes.set_xlabel("score" if space == "score" else "predicted probability")

    return as_svg(draw, 2.3, name, 3.8)


def _places(score: Floats, space: Space) -> Floats:
    """Where bins lie on the axis: by log-odds, by probability, or evenly."""
    if space == "score":
        return np.arange(len(score), dtype=np.float64)
    if space == "probability":
        return score
    inside = np.clip(score, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(inside / (1 - inside)))


def _edges(places: Floats) -> Floats:
    """Half-way between centres; the outer bins are as wide as their neighbours."""
    if len(places) < 2:
        return np.array([places[0] - 0.5, places[0] + 0.5])
    middle = (places[1:] + places[:-1]) / 2
    return np.concatenate([[2 * places[0] - middle[0]], middle, [2 * places[-1] - middle[-1]]])


def _range(shares: Floats) -> tuple[int, int]:
    """The bins that hold all but the last few of either end."""
    cumulative = np.cumsum(shares, axis=1)
    seen = ((cumulative > LEAST_SHARE) & (cumulative - shares < 1 - LEAST_SHARE)).any(axis=0)
    found = np.flatnonzero(seen)
    return (int(found[0]), int(found[-1]) + 1) if len(found) else (0, shares.shape[1])


def _score_ticks(axes: Any, score: Floats, places: Floats, space: Space) -> None:
    low, high = axes.get_xlim()
    if space == "logit":
        known = [(float(np.log(p / (1 - p))), p) for p in _PLACES]
        shown: list[tuple[float, float]] = []
        for place, p in known:  # labels need an eighth of the axis
            if low <= place <= high and (not shown or place - shown[-1][0] > 0.125 * (high - low)):
                shown.append((place, p))
        axes.set_xticks([place for place, _ in shown], [_short(p) for _, p in shown])
    elif space == "score":
        chosen = np.unique(np.linspace(max(0, low + 0.5), min(len(places) - 1, high - 0.5), 6).astype(int))
        axes.set_xticks(places[chosen], [f"{score[index]:.2g}" for index in chosen])


def _short(probability: float) -> str:
    return f"{probability:g}" if probability >= 1e-3 else f"{probability:.0e}".replace("e-0", "e-")


def calibration(
    groups: Mapping[str, tuple[Floats, Floats, Counts]], colours: Sequence[str], *, name: str, shapes: str
) -> Markup:
    """Above: the part that is positive where so much is predicted, a line a class; below: how many positions those are.

    Parameters
    ----------
    groups
        Class -> mean predicted probability, part that is positive, and positions, of bins with some.
    colours
        Name of the colour of each class.
    shapes
        Of the dots of the classes, one letter each.
    """
    every = np.concatenate([np.concatenate(values[:2]) for values in groups.values()] or [np.array([1.0])])
    every = every[every > 0]
    least = max(1e-7, float(every.min()) / 1.5) if len(every) else 1e-3

    def draw(figure: Figure) -> None:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
        axes.plot([least, 1], [least, 1], color=_INK, linewidth=1, linestyle=DOTTED)
        for (predicted, observed, counts), colour, shape in zip(groups.values(), colours, shapes, strict=False):
            seen = observed > 0
            line = axes.plot(predicted[seen], observed[seen], shape, color=COLOURS[colour][0])[0]
            line.set(linestyle="-", linewidth=1.4, markersize=4.5, markeredgewidth=0)
            below.plot(predicted, counts, color=COLOURS[colour][0], linewidth=1.4)
        for each in (axes, below):
            each.set_xscale("log")
            each.set_yscale("log")
            each.grid()
            each.yaxis.set_minor_locator(NullLocator())
            each.tick_params(axis="y", colors=_MUTED)
        axes.set_xlim(least, 1.15)
        axes.set_ylim(least, 1.3)
        axes.set_ylabel("part that is positive")
        below.set_ylabel("positions")
        below.set_xlabel("mean predicted probability")
        below.yaxis.set_major_locator(LogLocator(numticks=4))
        below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: brief(value)))
        for axis in (axes.yaxis, below.xaxis):
            axis.set_major_locator(LogLocator(numticks=9))
            axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        below.xaxis.set_minor_locator(NullLocator())

    return as_svg(draw, 4.4, name)


def mean_predictions(
    groups: Mapping[str, tuple[Floats, Floats]], colours: Sequence[str], *, name: str, shapes: str
) -> Markup:
    """A dot a marker: the mean of what is predicted against the part that is positive, on logarithmic axes."""
    every = np.concatenate([np.concatenate(values) for values in groups.values()])
    every = every[every > 0]
    low, high = (float(every.min()) / 4, min(1.0, float(every.max()) * 4)) if len(every) else (1e-3, 1.0)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot([low, high], [low, high], color=_INK, linewidth=1, linestyle=DOTTED)
        many = sum(len(x) for x, _ in groups.values()) > 100
        for (predicted, observed), colour, shape in zip(groups.values(), colours, shapes, strict=False):
            axes.plot(
                observed, predicted, shape, color=COLOURS[colour][0], markersize=3.2 if many else 5,
                markeredgewidth=0, alpha=0.6 if many else 0.9,
            )  # fmt: skip
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
        axes.grid()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 200 else (1,), numticks=9))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        axes.tick_params(axis="y", colors=_MUTED)
        axes.set_xlabel("part that is positive")
        axes.set_ylabel("mean predicted probability")

    return as_svg(draw, 4.4, name)
