"""A training as a picture: losses, PR AUC per class and learning rate over epochs, of one run or of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dilannot.data.markers import class_order
from dilannot.data.splits import SPLITS
from dilannot.errors import DilannotError, printable
from dilannot.history import Curve, History, differences, read_history
from dilannot.outputs import check_new_file, replacing
from dilannot.progress import Progress, Silent
from dilannot.report.dataset_facts import read_facts
from dilannot.report.palette import COLOURS, class_colours
from dilannot.report.plots import drawing
from dilannot.run import PICTURE, Run, read_run

FORMATS = ("png", "svg")

_WIDTH = 7.0  # inches
_LETTERS = 92  # of the text's size fit into that width
_DPI = 150
_DOTTED = 40  # epochs; dots on more of them run together
# Okabe and Ito's without yellow, which paper swallows; then the same again with other dashes.
_RUNS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1b2027")
_DASHES = ("-", "--", "-.", (0, (1, 1)))
_SHAPES = "osD^vP*X"

_INK, _MUTED = COLOURS["ink"][0], COLOURS["muted"][0]
_STYLE: dict[str, Any] = {
    "axes.spines.left": True,
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "ytick.color": _MUTED,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.title_fontsize": 9,
}


def plot(
    runs: Sequence[Path], output: Path | None = None, *, force: bool = False, progress: Progress | None = None
) -> Path:
    """Draw the epochs that runs have finished, and return the file; the same runs give the same bytes.

    One run: training and validation loss, PR AUC of each class, and the learning rate. Several: a panel for the
    validation loss and one for each class, a line a run. The best epoch of each run is ringed. Base rates are drawn
    where the dataset is still the one that was trained on.

    Parameters
    ----------
    runs
        Run folders; they may still be training.
    output
        A .png or .svg file; needed with several runs, RUN/training.png with one.
    force
        Overwrite `output`. The picture in the run folder is always replaced: it is made from what lies beside it.
    progress
        Hears why runs are not comparable.

    Raises
    ------
    DilannotError
        No run, no finished epoch, or a file name that is taken or of another format.
    """
    progress = progress or Silent()
    records = [read_run(run) for run in runs]
    path = _output(records, output, force)
    histories = [read_history(record) for record in records]
    reasons = differences(records)
    for reason in reasons:
        progress.warn(reason)
    rates = {} if reasons else _base_rates(records[0])
    with drawing(**_STYLE):
        figure = (_one if len(records) == 1 else _several)(records, histories, rates)
        with replacing(path) as temporary:
            kind = path.suffix[1:].lower()
            nameless = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
            figure.savefig(temporary, format=kind, dpi=_DPI, metadata=nameless)
    return path


def _output(runs: Sequence[Run], output: Path | None, force: bool) -> Path:
    if output is None and len(runs) > 1:
        raise DilannotError("several runs in one picture", where="--output", remedy="say where it goes with -o FILE")
    path = output or runs[0].folder / PICTURE
    if path.suffix[1:].lower() not in FORMATS:
        raise DilannotError(f"a picture with the suffix {path.suffix!r}", where=path, remedy="call it .png or .svg")
    check_new_file(path, force=force or output is None)
    return path


def _base_rates(run: Run) -> dict[str, float]:
    """Class -> mean over its markers of the part of the validation split that is positive, as far as known."""
    try:
        facts = read_facts(run.path_of(run.dataset))
    except (DilannotError, OSError):
        return {}  # the picture can do without
    if facts.digest != run.dataset_digest or len(facts.markers) != len(run.markers):
        return {}
    rates = facts.rates[:, SPLITS.index("validation")]
    found = {name: rates[facts.of_class(name)] for name in facts.classes}
    return {name: float(values[values > 0].mean()) for name, values in found.items() if (values > 0).any()}


def _one(runs: Sequence[Run], histories: Sequence[History], rates: dict[str, float]) -> Figure:
    [run], [history] = runs, histories
    figure = Figure(figsize=(_WIDTH, 6.4))
    loss, pr_auc, learning_rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.6))
    figure.suptitle(_cut(f"{_names(runs)[0]}: {run.model}", _LETTERS - 20), x=0.01, ha="left", fontsize=11)
    losses = {  # the palette's colour of the training split is too pale for a line
        "training": (history.train_loss, _MUTED, _SHAPES[1]),
        "validation": (history.validation_loss, COLOURS["validation"][0], _SHAPES[0]),
    }
    _curves(loss, history, losses, ".4f")
    loss.set_title(_best_in_words(history))
    loss.set_ylabel("loss, nats")
    seen = _classes(histories)
    colours = class_colours(seen)
    curves = {
        name: (history.pr_auc[name], COLOURS[colours[name]][0], _SHAPES[index % len(_SHAPES)])
        for index, name in enumerate(seen)
    }
    for name in seen:
        if name in rates:
            pr_auc.axhline(rates[name], color=curves[name][1], linestyle=":", linewidth=1.2)
    _curves(pr_auc, history, curves, ".3f", with_base_rate=bool(rates.keys() & seen))
    pr_auc.set_ylabel("validation PR AUC")
    _from_nothing(pr_auc)
    learning_rate.plot(history.epochs, history.learning_rate, color=_INK, marker=_dot(history, _SHAPES[0]))
    learning_rate.set_ylabel("learning rate")
    _from_nothing(learning_rate)
    learning_rate.yaxis.set_major_locator(MaxNLocator(3, steps=(1, 2, 5, 10)))
    learning_rate.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for axes in (loss, pr_auc, learning_rate):
        axes.axvline(history.best_epoch, color=_INK, linewidth=0.8, zorder=1)
    _epochs(learning_rate, histories)
    learning_rate.set_xlabel("epoch")
    figure.align_ylabels()
    return figure


def _curves(
    axes: Axes, history: History, curves: dict[str, tuple[Curve, str, str]], form: str, *, with_base_rate: bool = False
) -> None:
    """Curves in their colours and shapes, ringed at the best epoch, with a legend that says their values there."""
    handles, labels = [], []
    for name, (values, colour, shape) in curves.items():
        handles += axes.plot(history.epochs, values, color=colour, marker=_dot(history, shape))
        labels.append(f"{_cut(name, 16)} {values[history.best]:{form}}")
        _ring(axes, history, values, colour)
    if with_base_rate:
        handles.append(_base_rate_line())
        labels.append("base rate")
    if handles:
        labels = [_legible(label) for label in labels]
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1), "alignment": "left"}
        axes.legend(handles, labels, title=f"in epoch {history.best_epoch}", **place)
    else:
        axes.text(0.5, 0.5, "no positives to rank", transform=axes.transAxes, ha="center", color=_MUTED)


def _several(runs: Sequence[Run], histories: Sequence[History], rates: dict[str, float]) -> Figure:
    classes = _classes(histories)
    rows = -(-(1 + len(classes)) // 2)
    names = [_legible(_cut(name, _LETTERS - 12)) for name in _names(runs)]
    across = min(len(names), max(1, _LETTERS // (max(map(len, names)) + 8)))
    figure = Figure(figsize=(_WIDTH, 2.2 * rows + 0.2 * (-(-len(names) // across)) + 0.6))
    panels = list(figure.subplots(rows, 2, sharex=True, squeeze=False).flat)
    for spare in panels[1 + len(classes) :]:
        spare.remove()
    looks = [_look(index, history) for index, history in enumerate(histories)]
    for history, look in zip(histories, looks, strict=True):
        nothing = np.full(len(history.epochs), np.nan)
        for axes, values in zip(
            panels, [history.validation_loss, *(history.pr_auc.get(name, nothing) for name in classes)], strict=False
        ):
            axes.plot(history.epochs, values, **look)
            _ring(axes, history, values, look["color"])
    panels[0].set_title("validation loss, nats")
    for name, axes in zip(classes, panels[1:], strict=False):
        axes.set_title(f"validation PR AUC, {_cut(name, 20)}")
        if name in rates:
            axes.axhline(rates[name], color=_MUTED, linestyle=":", linewidth=1.2)
        _from_nothing(axes)
    for axes in panels[max(0, len(classes) - 1) : len(classes) + 1]:  # the lowest of either column
        axes.tick_params(labelbottom=True)
    _epochs(panels[0], histories)
    for axes in panels[2 * rows - 2 : len(classes) + 1]:
        axes.set_xlabel("epoch")
    title = "ringed: the best epoch" + ("; dotted: base rate" if rates.keys() & classes else "")
    lines = [Line2D([], [], **look) for look in looks]
    figure.legend(lines, names, title=title, ncols=across, loc="outside upper left", alignment="left")
    return figure


def _look(index: int, history: History) -> dict[str, Any]:
    """Of a run's line: colours first, then dashes, tell runs apart; so do shapes, for those who see no colours."""
    return {
        "color": _RUNS[index % len(_RUNS)],
        "linestyle": _DASHES[index // len(_RUNS) % len(_DASHES)],
        "marker": _dot(history, _SHAPES[index % len(_SHAPES)]),
    }


def _ring(axes: Axes, history: History, values: Curve, colour: str) -> None:
    best = slice(history.best, history.best + 1)
    axes.plot(history.epochs[best], values[best], "o", markersize=9, markerfacecolor="none", markeredgecolor=colour)


def _base_rate_line() -> Line2D:
    return Line2D([], [], color=_MUTED, linestyle=":", linewidth=1.2)


def _from_nothing(axes: Axes) -> None:
    """From zero up, with room for a ring around the highest value."""
    highest = axes.dataLim.y1
    axes.set_ylim(0, 1.08 * highest if np.isfinite(highest) and highest > 0 else 1)


def _dot(history: History, shape: str) -> str:
    return shape if len(history.epochs) <= _DOTTED else ""


def _epochs(axes: Axes, histories: Sequence[History]) -> None:
    """Whole numbers from the first epoch on, and room around a single one."""
    first, last = (int(end(history.epochs[at] for history in histories)) for end, at in ((min, 0), (max, -1)))
    axes.set_xlim(first - 0.5, last + max(0.5, 0.03 * (last - first)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _best_in_words(history: History) -> str:
    best, loss = history.best, history.validation_loss[history.best]
    mean = history.mean_pr_auc[best]
    by_loss = history.by_loss or np.isnan(mean)
    figure = f"lowest validation loss, {loss:.4f}" if by_loss else f"highest mean PR AUC over classes, {mean:.3f}"
    return f"best epoch: {history.best_epoch} of {history.epochs[-1]} ({figure})"


def _classes(histories: Sequence[History]) -> list[str]:
    """The classes that some run has a PR AUC of."""
    return class_order(
        name for history in histories for name, values in history.pr_auc.items() if np.isfinite(values).any()
    )


def _names(runs: Sequence[Run]) -> list[str]:
    """The folders' names, with the way to them where they are alike."""
    short = [run.folder.resolve().name for run in runs]
    return short if len(set(short)) == len(runs) else [str(run.folder) for run in runs]


def _cut(text: str, length: int) -> str:
    """Names of folders begin and end with what tells them apart."""
    text = printable(text)
    return text if len(text) <= length else f"{text[: length // 2 - 1]}…{text[-(length - length // 2) :]}"


def _legible(label: str) -> str:
    return f" {label}" if label.startswith("_") else label  # matplotlib leaves such labels out
