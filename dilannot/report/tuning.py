"""A search as a picture: how good its trials were one after the other, and against each value that was varied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from dilannot.errors import printable, shorten
from dilannot.outputs import replacing
from dilannot.report.palette import COLOURS
from dilannot.report.plots import drawing
from dilannot.trials import Search, Trial, written

_WIDTH = 7.0  # inches
_ACROSS = 3  # panels
_DPI = 150
_MANY = 100  # trials; their dots are smaller
_ROOM = 28  # letters below a panel; more stand upright
_LETTERS = 16  # of a choice that are shown
_LABELS = 14  # choices that are named, at most

_INK, _MUTED = COLOURS["ink"][0], COLOURS["muted"][0]
_BLUE, _ORANGE = "#0072b2", "#d55e00"  # Okabe and Ito's; shapes say the same
_STYLE: dict[str, Any] = {
    "axes.spines.left": True,
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "ytick.color": _MUTED,
    "xtick.labelsize": 8,
    "lines.markersize": 5.0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}
# Shape, colour and filling of the dots of a state.
_LOOKS: dict[str, dict[str, Any]] = {
    "finished": {"marker": "o", "color": _BLUE},
    "pruned": {"marker": "v", "color": _MUTED, "markerfacecolor": "none"},
    "failed": {"marker": "x", "color": _ORANGE},
}


def draw(search: Search, path: Path) -> Path:
    """Draw a search, finished or not, over what is there; the same trials give the same bytes.

    Above: the value of each trial by its number, and the best so far as a line. Below: the values against each axis;
    dashes are medians of the finished trials with that choice. Failed trials stand at the bottom, and the best is
    ringed.

    Returns
    -------
    `path`, a PNG file.
    """
    crowd = {"lines.markersize": 3.5} if len(search.trials) > _MANY else {}
    with drawing(**_STYLE | crowd):
        figure = _figure(search)
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", dpi=_DPI, metadata={"Software": None})
    return path


def _figure(search: Search) -> Figure:
    axes = list(search.axes.items())
    rows = [axes[at : at + _ACROSS] for at in range(0, len(axes), _ACROSS)]
    heights = [2.7, *(2.1 + max(_upright(axis) for _, axis in row) for row in rows)]
    figure = Figure(figsize=(_WIDTH, sum(heights)))
    grid = figure.add_gridspec(len(heights), _ACROSS, height_ratios=heights)
    whole = figure.add_subplot(grid[0, :])
    _over_time(figure, whole, search)
    for index, (name, axis) in enumerate(axes):
        panel = figure.add_subplot(grid[1 + index // _ACROSS, index % _ACROSS], sharey=whole)
        (_choices if "choices" in axis else _range)(panel, search, name, axis)
        panel.set_title(shorten(printable(name), 26))
        if index % _ACROSS:
            panel.tick_params(labelleft=False)
        else:
            panel.set_ylabel("PR AUC")
    figure.align_ylabels()
    return figure


def _upright(axis: dict[str, Any]) -> float:
    """Inches that upright labels of choices take; 0 where they fit side by side."""
    labels = [len(label) for label in _labels(axis)[1]]
    return 0.07 * max(labels) if sum(labels) + 2 * len(labels) > _ROOM else 0.0


def _labels(axis: dict[str, Any]) -> tuple[list[int], list[str]]:
    """Which choices are named, and how."""
    choices = axis.get("choices", [])
    places = list(range(0, len(choices), -(-len(choices) // _LABELS) or 1))
    return places, [shorten(printable(written(choices[place])), _LETTERS) for place in places]


def _over_time(figure: Figure, axes: Axes, search: Search) -> None:
    numbers = [trial.number for trial in search.ended]
    _dots(axes, search, search.ended, numbers)
    best = np.fmax.accumulate(
        [_height(trial) if trial.state != "failed" else np.nan for trial in search.ended] or [0.0]
    )
    handles = [
        Line2D([], [], linestyle="", label=f"{state} ({count})", **look)
        for state, look in _LOOKS.items()
        if (count := sum(trial.state == state for trial in search.trials))
    ]
    if numbers:
        handles += axes.step(numbers, best, where="post", color=_INK, linewidth=1.2, zorder=1, label="best so far")
        margin = max(0.5, 0.015 * (numbers[-1] - numbers[0]))
        axes.set_xlim(numbers[0] - margin, numbers[-1] + margin)
    if any("choices" in axis for axis in search.axes.values()):
        handles.append(Line2D([], [], color=_INK, linewidth=1.2, linestyle="--", label="median of finished"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    best_trial = search.best
    title = f"{shorten(printable(search.model), 40)}: no trial has a value"
    if best_trial is not None:
        title = f"{shorten(printable(search.model), 40)}: trial {best_trial.number} is the best, {best_trial.value:.4f}"
    axes.set_title(title)
    axes.set_xlabel("trial")
    axes.set_ylabel("validation PR AUC")
    figure.legend(handles=handles, ncols=len(handles), loc="outside upper left")
    _from_nothing(axes, search)


def _choices(axes: Axes, search: Search, name: str, axis: dict[str, Any]) -> None:
    """A column for each choice; trials with the same one side by side."""
    labels = [written(choice) for choice in axis["choices"]]
    trials = [trial for trial in search.ended if written(trial.values.get(name)) in labels]
    columns = [labels.index(written(trial.values[name])) for trial in trials]
    places = [float(column) for column in columns]
    for column in range(len(labels)):
        here = [index for index, each in enumerate(columns) if each == column]
        for place, index in enumerate(here):
            places[index] += 0.5 * (place + 1) / (len(here) + 1) - 0.25
        values = [trials[index].value or 0.0 for index in here if trials[index].state == "finished"]
        if values:
            axes.hlines(
                median(values), column - 0.35, column + 0.35, color=_INK, linewidth=1.2, linestyle="--", zorder=1
            )
    _dots(axes, search, trials, places)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_xticks(*_labels(axis), rotation=90 if _upright(axis) else 0)
    axes.grid(visible=False, axis="x")


def _range(axes: Axes, search: Search, name: str, axis: dict[str, Any]) -> None:
    trials = [trial for trial in search.ended if name in trial.values]
    low, high = axis["low"], axis["high"]
    _dots(axes, search, trials, [trial.values[name] for trial in trials])
    if axis["log"]:
        axes.set_xscale("log")
        axes.set_xlim(low * (low / high) ** 0.05, high * (high / low) ** 0.05)
        decades = math.log10(high / low)
        powers = LogLocator(subs=(1, 2, 5) if decades < 2 else (1,), numticks=6)
        axes.xaxis.set_major_locator(powers if decades >= 1 else MaxNLocator(2))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _dots(axes: Axes, search: Search, trials: Sequence[Trial], places: Sequence[float]) -> None:
    for state, look in _LOOKS.items():
        shown = [(place, _height(trial)) for trial, place in zip(trials, places, strict=True) if trial.state == state]
        axes.plot([place for place, _ in shown], [height for _, height in shown], linestyle="", **look)
    best = search.best
    for trial, place in zip(trials, places, strict=True):
        if best is not None and trial.number == best.number:
            ring: dict[str, Any] = {"markersize": 10, "markerfacecolor": "none", "markeredgecolor": _INK}
            axes.plot([place], [_height(trial)], "o", **ring)


def _height(trial: Trial) -> float:
    return 0.0 if trial.state == "failed" or trial.value is None else trial.value


def _from_nothing(axes: Axes, search: Search) -> None:
    """Close to the values where all are alike; failed trials need the zero."""
    values = [_height(trial) for trial in search.ended]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    margin = 0.1 * (high - low) or 0.1 * high or 0.1
    axes.set_ylim(max(0.0, low - margin) if low else -0.5 * margin, high + margin)
    axes.yaxis.set_major_locator(MaxNLocator(5))
