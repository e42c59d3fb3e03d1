"""Plots as inline SVG that takes its colours from the page: dots, histograms, and bands along a sequence."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from dilannot.report.palette import COLOURS, css

WIDTH = 4.8  # inches: the text is about as large as the page's where a plot is 480 pixels wide
LEVELS = 24  # heights that a band can have

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "dilannot",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": COLOURS["line"][0],
    "axes.labelcolor": COLOURS["muted"][0],
    "text.color": COLOURS["ink"][0],
    "xtick.color": COLOURS["muted"][0],
    "ytick.color": COLOURS["ink"][0],
    "ytick.major.size": 0,
    "grid.color": COLOURS["line"][0],
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "figure.constrained_layout.use": True,
}


def dots(
    rows: Sequence[str], groups: Mapping[str, Sequence[float]], colours: Sequence[str], *, label: str, name: str
) -> Markup:
    """A row a category, a dot a group, on a logarithmic axis of shares; zeros have no dot.

    Parameters
    ----------
    rows
        Categories, top first.
    groups
        Group -> a value for each row.
    colours
        Name of the colour of each group.
    label
        Of the axis.
    name
        Unique in the page.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), rows)
        axes.grid(axis="x")
        apart = np.linspace(-0.2, 0.2, len(groups))  # equal values side by side
        found = np.array([value for values in groups.values() for value in values])
        found = found[found > 0]
        for group, (values, colour, marker) in enumerate(zip(groups.values(), colours, "osD", strict=False)):
            seen = [value if value > 0 else np.nan for value in values]
            places = np.arange(len(rows)) + apart[group]
            axes.scatter(seen, places, s=36, c=COLOURS[colour][0], marker=marker, linewidths=0)
        if len(found):
            axes.set_xscale("log")
            axes.set_xlim(found.min() / 2, found.max() * 2)
        log_ticks(axes, lambda value: f"{100 * value:.12g} %", steps=(1, 2, 5))
        axes.set_xlabel(label)

    return as_svg(draw, 0.75 + 0.42 * len(rows), name)


def histograms(groups: Mapping[str, NDArray[np.int64]], colours: Sequence[str], *, label: str, name: str) -> Markup:
    """Histograms of counts on one logarithmic axis, one below the other, each with its median; zeros are left out."""
    every = np.concatenate([values[values > 0] for values in groups.values()])
    low, high = (np.floor(np.log10(every.min())), np.ceil(np.log10(every.max() + 1))) if len(every) else (0.0, 1.0)
    edges = np.logspace(low, high, int(8 * (high - low)) + 1)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (group, values), colour in zip(panels, groups.items(), colours, strict=True):
            positive = values[values > 0]
            axes.hist(positive, edges, color=COLOURS[colour][0], edgecolor="none", rwidth=0.92)
            if len(positive):
                axes.axvline(float(np.median(positive)), color=COLOURS["ink"][0], linewidth=1.2)
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
            highest = max(1, round(axes.get_ylim()[1] / 1.05))
            axes.set_yticks([0, highest], ["0", f"{highest:,}"])
            axes.tick_params(axis="y", colors=COLOURS["muted"][0])
            axes.set_title(f"{group} ({len(values):,})", loc="left", fontsize=9, pad=3)
        log_ticks(panels[-1], brief)
        panels[-1].set_xlabel(label)

    return as_svg(draw, 0.5 + 0.85 * len(groups), name)


def bands(shares: NDArray[np.float64], colours: Sequence[str], width: float) -> Markup:
    """A strip of columns in which the shares of several groups stand on each other; one path a group.

    Parameters
    ----------
    shares
        (columns, groups) part of each column that a group takes, at most 1 together.
    colours
        Name of the colour of each group.
    width
        Of the strip, as a fraction of the room there is.
    """
    columns = len(shares)
    top = np.rint(np.cumsum(shares, axis=1) * LEVELS).astype(int)
    edges = LEVELS - np.column_stack([np.zeros(columns, int), np.minimum(top, LEVELS)])
    paths = []
    for group, colour in enumerate(colours):
        lower, upper = edges[:, group], edges[:, group + 1]
        first = np.flatnonzero((np.diff(lower, prepend=-1) != 0) | (np.diff(upper, prepend=-1) != 0))
        drawn = "".join(
            f"M{start} {lower[start]}h{end - start}V{upper[start]}H{start}z"
            for start, end in zip(first.tolist(), [*first[1:].tolist(), columns], strict=True)
            if lower[start] > upper[start]
        )
        paths.append(f'<path fill="{css(colour)}" d="{drawn}"/>')
    return Markup(
        f'<svg class="bands" viewBox="0 0 {columns} {LEVELS}" preserveAspectRatio="none" '
        f'style="width:{100 * width:.2f}%" aria-hidden="true">{"".join(paths)}</svg>'
    )


def brief(value: float) -> str:
    """A power of ten as an axis shows it: 100, 1k, 10M."""
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:g}{unit}"
    return f"{value:g}"


def log_ticks(axes: Any, written: Callable[[float], str], steps: tuple[int, ...] = (1,)) -> None:
    """Ticks at powers of ten, at `steps` of them where there are few."""
    if axes.get_xscale() == "log":
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=steps if high / low < 200 else (1,), numticks=12))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))


@contextmanager
def drawing(**style: Any) -> Iterator[None]:
    """The same plot gets the same bytes inside, whatever the user's matplotlib settings are."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that matplotlib's font lacks: the page's own has it
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE | style)
        yield


def as_svg(draw: Callable[[Figure], None], height: float, name: str, width: float = WIDTH) -> Markup:
    """What `draw` draws on a figure so many inches wide and high, for a page; `name` is unique there."""
    out = io.StringIO()
    with drawing():
        figure = Figure(figsize=(width, height))
        draw(figure)
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return _inlined(out.getvalue(), name)


def _inlined(text: str, name: str) -> Markup:
    """An SVG document as part of a page: no remote names, ids of its own, colours and font of the page."""

    def fitted(tag: re.Match[str]) -> str:
        found = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", tag[0])
        found = re.sub(r'\s(?:xlink:)?href="#', f' href="#{name}-', found)
        found = re.sub(r'\sid="', f' id="{name}-', found).replace("url(#", f"url(#{name}-")
        found = re.sub(r"(\.\d\d)\d+", r"\1", found)  # a hundredth of a point is less than anybody sees
        found = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", found)
        for colour, (light, _) in COLOURS.items():
            found = found.replace(light, css(colour))
        return found

    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.S)
    return Markup(re.sub(r"\n\s*", "\n", re.sub(r"<[^<>]+>", fitted, text)))
