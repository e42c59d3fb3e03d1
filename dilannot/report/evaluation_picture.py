"""An evaluation as a picture: mean PR and ROC curves, class means with intervals, and differences to other runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dilannot.errors import DilannotError, printable
from dilannot.evaluation import Evaluation
from dilannot.outputs import replacing
from dilannot.report.content import plural, shown
from dilannot.report.evaluation_classes import SAID, mean_rows
from dilannot.report.evaluation_plots import DOTTED, SHAPES, draw_means, mean_curve, unit_square
from dilannot.report.evaluation_words import MOST_OTHERS, class_colours, cut, drawn_classes, short_names
from dilannot.report.palette import COLOURS
from dilannot.report.plots import drawing

FORMATS = ("png", "svg")

_WIDTH = 7.6  # inches
_DPI = 150
_LETTERS = 18  # of a class
_INK, _MUTED = COLOURS["ink"][0], COLOURS["muted"][0]
_STYLE: dict[str, Any] = {
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.title_fontsize": 11,
    "figure.constrained_layout.h_pad": 0.08,
}


def check_picture_name(picture: Path) -> None:
    """Refuse, before any work, a name whose suffix says no form of picture."""
    if picture.suffix[1:].lower() not in FORMATS:
        raise DilannotError(
            f"a picture with the suffix {picture.suffix!r}", where=picture, remedy="call it .png or .svg"
        )


def draw_evaluation(evaluation: Evaluation, picture: Path) -> None:
    """Draw an evaluation over what is there; the same evaluation gives the same bytes.

    Above: mean PR and ROC curves of the classes. Below: class means with their intervals, over their markers as ticks.
    At the bottom, where there are others, differences of PR AUC to at most three other runs.

    Raises
    ------
    DilannotError
        The suffix is neither .png nor .svg.
    """
    check_picture_name(picture)
    with drawing(**_STYLE):
        figure = _figure(evaluation)
        with replacing(picture) as temporary:
            kind = picture.suffix[1:].lower()
            nameless = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
            figure.savefig(temporary, format=kind, dpi=_DPI, metadata=nameless)


def _figure(evaluation: Evaluation) -> Figure:
    classes, others = drawn_classes(evaluation), evaluation.differences[:MOST_OTHERS]
    below = 0.75 + 0.42 * max(2, len(classes))
    heights = [2.9, below, *([below] if others else [])]
    figure = Figure(figsize=(_WIDTH, sum(heights) + 0.7))
    title = f"{cut(printable(evaluation.name), 60)}: {plural(len(evaluation.markers), 'marker')}"
    grid = figure.add_gridspec(len(heights), 6, height_ratios=heights)
    upper = [figure.add_subplot(grid[0, :3]), figure.add_subplot(grid[0, 3:])]
    if not classes:
        for axes in upper:
            axes.set_axis_off()
        upper[0].text(0, 0.9, f"{title}, none with both positives and negatives")
        return figure
    _curves(evaluation, classes, upper)
    for place, (name, said) in enumerate(SAID.items()):
        axes = figure.add_subplot(grid[1, 3 * place : 3 * place + 3])
        draw_means(axes, mean_rows(evaluation, name, others=False), 0.5 * place)
        axes.set_title(said + (", 95 % intervals" if evaluation.intervals else ""))
        if place:
            axes.tick_params(labelleft=False)
    if others:
        _differences(figure, grid, evaluation, classes)
    handles = [
        Line2D(
            [],
            [],
            color=COLOURS[colour][0],
            linewidth=2.2,
            label=f"{_legible(name)} ({len(evaluation.of_class(name)):,})",
        )
        for name, colour in class_colours(evaluation).items()
        if name in classes
    ]
    handles.append(Line2D([], [], color=_INK, linewidth=1, linestyle=DOTTED, label="a guess"))
    longest = max(len(str(handle.get_label())) for handle in handles)
    across = max(1, min(len(handles), 100 // (longest + 7)))
    figure.legend(handles=handles, ncols=across, loc="outside upper left", title=title, alignment="left")
    return figure


def _legible(name: str) -> str:
    """A class as a legend says it; matplotlib leaves out labels that begin with an underscore."""
    said = cut(printable(name), _LETTERS)
    return f" {said}" if said.startswith("_") else said


def _curves(evaluation: Evaluation, classes: Sequence[str], panels: Sequence[Axes]) -> None:
    shapes, colours, means = evaluation.shapes, class_colours(evaluation), evaluation.means
    pr, roc = panels
    for name in classes:
        rows, colour = evaluation.of_class(name), COLOURS[colours[name]][0]
        pr.axhline(means[name].base_rate, color=colour, linewidth=1, linestyle=DOTTED)
        pr.plot(shapes.recall, mean_curve(shapes.precision[rows]), color=colour, linewidth=2)
        roc.plot(shapes.false_positive_rate, mean_curve(shapes.true_positive_rate[rows]), color=colour, linewidth=2)
    roc.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle=DOTTED)
    for axes, words in zip(
        panels, (("recall", "precision"), ("false positive rate", "true positive rate")), strict=True
    ):
        unit_square(axes)
        axes.set_xlabel(words[0])
        axes.set_ylabel(words[1])
    pr.set_title("mean PR curves")
    roc.set_title("mean ROC curves")


def _differences(figure: Figure, grid: Any, evaluation: Evaluation, classes: Sequence[str]) -> None:
    """A panel a run: the difference of each class with its interval, on one scale."""
    colours, names = class_colours(evaluation), short_names(evaluation)
    shown_runs = evaluation.differences[:MOST_OTHERS]
    wide = 6 // len(shown_runs)
    first: Axes | None = None
    for place, difference in enumerate(shown_runs):
        axes = figure.add_subplot(grid[2, wide * place : wide * (place + 1)], sharex=first, sharey=first)
        for row, name in enumerate(classes):
            found = difference.classes.get(name, {}).get("pr_auc")
            if found is not None:
                value, known, _ = found
                colour = COLOURS[colours[name]][0]
                axes.plot([known.low, known.high], [row, row], color=colour, linewidth=4, alpha=0.45)
                axes.plot([value], [row], SHAPES[0], color=colour, markersize=7, markeredgewidth=0)
                over = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
                above: Any = {
                    "bbox": over,
                    "xytext": (0, 7),
                    "textcoords": "offset points",
                    "ha": "center",
                    "fontsize": 8,
                }
                axes.annotate(shown(value, "difference"), (value, row), **above)
        axes.axvline(0, color=_INK, linewidth=1, linestyle=DOTTED)
        axes.grid(axis="x")
        if first is None:
            first = axes
            axes.set_yticks(range(len(classes)), [cut(printable(name), _LETTERS) for name in classes])
            axes.set_ylim(len(classes) - 0.45, -0.75)
        else:
            axes.tick_params(labelleft=False)
        axes.set_title("PR AUC above " + cut(printable(names[place + 1]), (70, 30, 14)[len(shown_runs) - 1]))
        axes.xaxis.set_major_locator(MaxNLocator((9, 5, 3)[len(shown_runs) - 1], steps=(1, 2, 5, 10)))
    if first is not None:
        low, high = first.get_xlim()
        margin = 0.09 * len(shown_runs) * (high - low) or 0.01
        first.set_xlim(low - margin, high + margin)
