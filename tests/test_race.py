"""The benchmark that compares networks: what it leaves out of its bins, whom it compares, and what it concludes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY


@pytest.fixture
def race(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    monkeypatch.delitem(sys.modules, "race", raising=False)
    return importlib.import_module("race")


def test_no_bin_reads_beyond_its_window(race: Any) -> None:
    """Of windows of 1,000 nt, two of them neighbours, with 500 nt on either side of what lies between."""
    found = list(race.gaps(np.array([2000, 3000, 9000]), 1000))
    assert found == [(0, 2500), (3500, 9500), (9500, 10**9 + 500)]


def a_result(race: Any, name: str, pr_auc: float, lows: tuple[float, ...] = ()) -> Any:
    records = [{"class_means": {kind: {"pr_auc": pr_auc} for kind in race.CLASSES}}]
    against = [
        {"differences": [{"class_differences": {kind: {"pr_auc": {"low": low}} for kind in race.CLASSES}}]}
        for low in lows
    ]
    return race.Result(race.Entrant(name, name), race.Tuned("muon", 0.006), records, against, 46.8, 9.0)


def test_the_best_rival_decides_the_ratio(race: Any, capsys: pytest.CaptureFixture[str]) -> None:
    results = [a_result(race, "hybrid", 0.3), a_result(race, "a", 0.1, (0.1,)), a_result(race, "b", 0.2, (0.1, -0.1))]
    assert race.ratios(results) == pytest.approx(dict.fromkeys(race.CLASSES, 1.5))
    assert results[2].beaten("TFBS") == (1, 2)
    assert race.conclude(results, "dense", 2.0) == 1
    assert race.conclude(results[:2], "dense", 2.0) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[2] == "least ratio of PR AUC, dense: 1.50 (goal 2)"
    assert [line.rpartition(": ")[2] for line in said[::3]] == ["no class", "TFBS, histone, DNase"]


def test_what_a_search_found_is_for_those_who_race(race: Any) -> None:
    entrants = race.entrants_of("dense", "dilated,hybrid")
    assert [each.name for each in entrants] == ["hybrid", "dilated"]
    assert race.found_before("dilated=muon:0.006", entrants) == {"dilated": race.Tuned("muon", 0.006)}
    with pytest.raises(SystemExit, match="--only: no dilatd among hybrid, "):
        race.entrants_of("dense", "dilatd")
    with pytest.raises(SystemExit, match="--known: no conv7 among hybrid, dilated"):
        race.found_before("conv7=sgd:1", entrants)


def test_figures_go_between_their_marks(race: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- m -->\nold\n<!-- m -->\nb\n")
    race.put(page, "<!-- m -->", ["new"])
    assert page.read_text() == "a\n<!-- m -->\nnew\n<!-- m -->\nb\n"
    with pytest.raises(SystemExit, match="no two lines"):
        race.put(page, "<!-- n -->", [])
