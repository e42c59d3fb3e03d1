"""The picture of a search: what it shows, whatever was searched, with no text over another."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from pictures import check_texts, texts_drawn

from dilannot.report.tuning import draw
from dilannot.trials import Search, State, Trial

AXES: dict[str, dict[str, Any]] = {
    "hidden": {"choices": [125, 200]},
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "filters": {"choices": [[64, 120, 50, 50, 50], [128, 240, 50, 50, 50], [128, 240, 128, 128, 128]]},
    "dropout": {"low": 0.0, "high": 0.5, "log": False},
}
STATES: tuple[State, ...] = ("finished", "pruned", "finished", "failed", "finished")


def made(count: int, axes: dict[str, dict[str, Any]] = AXES, states: tuple[State, ...] = STATES) -> Search:
    """A search whose values are random, and grow."""
    chance = random.Random(0)
    trials = []
    for number in range(1, count + 1):
        values = {
            name: chance.choice(axis["choices"]) if "choices" in axis else chance.uniform(axis["low"], axis["high"])
            for name, axis in axes.items()
        }
        state = states[number % len(states)]
        value = None if state in ("failed", "running") else 0.1 + 0.1 * chance.random() + 0.001 * number
        trials.append(Trial(number, values, {}, {}, state, epochs=3, value=value))
    return Search(Path("tune"), "dilated", axes, trials)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the first panel shows: label or marker of a line -> its data; and the panels' titles."""
    found: dict[str, Any] = {}
    inner = Figure.savefig

    def savefig(figure: Figure, *arguments: Any, **options: Any) -> None:
        for line in figure.axes[0].get_lines():
            name = str(line.get_label()) if not str(line.get_label()).startswith("_") else str(line.get_marker())
            size = "ring" if line.get_markersize() == 10 else name
            found[size] = np.array(line.get_data())
        found["titles"] = [axes.get_title("left") for axes in figure.axes]
        found["legend"] = [text.get_text() for text in figure.legends[0].get_texts()]
        inner(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return found


def test_it_shows_every_trial_and_the_best_so_far(tmp_path: Path, lines: dict[str, Any]) -> None:
    search = made(12)
    assert draw(search, tmp_path / "tune.png") == tmp_path / "tune.png"
    assert (tmp_path / "tune.png").read_bytes().startswith(b"\x89PNG")
    best = search.best
    assert best is not None
    assert lines["titles"] == [f"dilated: trial {best.number} is the best, {best.value:.4f}", *AXES]
    for state, marker in (("finished", "o"), ("pruned", "v")):
        shown = [(trial.number, trial.value) for trial in search.trials if trial.state == state]
        assert lines[marker].T.tolist() == pytest.approx(np.array(shown))
    assert lines["x"][0].tolist() == [trial.number for trial in search.trials if trial.state == "failed"]
    assert not lines["x"][1].any()
    assert lines["ring"].T.tolist() == [[best.number, best.value]]
    so_far = lines["best so far"][1]
    values = [-1.0 if trial.value is None else trial.value for trial in search.trials]
    assert [value for value in so_far if not np.isnan(value)][-1] == best.value
    assert so_far.tolist() == pytest.approx(np.maximum.accumulate(values))
    assert lines["legend"] == ["finished (7)", "pruned (3)", "failed (2)", "best so far", "median of finished"]


def test_trials_that_still_run_are_not_shown(tmp_path: Path, lines: dict[str, Any]) -> None:
    draw(made(6, states=("running", "finished")), tmp_path / "tune.png")
    assert lines["o"][0].tolist() == [1, 3, 5]


def test_a_search_without_a_value_is_drawn_too(tmp_path: Path, lines: dict[str, Any]) -> None:
    draw(made(0), tmp_path / "tune.png")
    assert lines["titles"][0] == "dilated: no trial has a value"
    draw(made(2, states=("failed",)), tmp_path / "tune.png")
    assert lines["x"][0].tolist() == [1, 2]


def test_the_same_trials_give_the_same_bytes(tmp_path: Path) -> None:
    first = draw(made(9), tmp_path / "a.png").read_bytes()
    with matplotlib.rc_context({"font.size": 20, "axes.grid": False, "savefig.facecolor": "red"}):
        assert draw(made(9), tmp_path / "a.png").read_bytes() == first
    assert b"Software" not in first


HARD: dict[str, Callable[[], Search]] = {
    "one": lambda: made(1),
    "none": lambda: made(0),
    "many": lambda: made(400),
    "one axis": lambda: made(20, {"hidden": {"choices": [1, 2]}}),
    "twelve axes": lambda: made(30, {f"f{at}": {"choices": [120, 240, 360]} for at in range(12)}),
    "long": lambda: made(
        30,
        {
            "a_name_that_takes_more_room_than_there_is": {"choices": ["relu", "x" * 50, "<$_^&\n\x01"]},
            "filters": {"choices": [[n] * 15 for n in range(8)]},
            "rate": {"low": 1e-7, "high": 1e-1, "log": True},
            "narrow": {"low": 0.0011, "high": 0.0013, "log": True},
            "whole": {"low": 1, "high": 100_000, "log": False},
        },
    ),
}


@pytest.mark.parametrize("name", HARD)
def test_no_text_lies_over_another_or_outside(tmp_path: Path, name: str) -> None:
    with texts_drawn() as texts:
        draw(HARD[name](), tmp_path / "tune.png")
    assert len(texts) > 8
    check_texts(texts)


def test_drawing_needs_no_torch() -> None:
    code = "import sys, dilannot.report.tuning; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
