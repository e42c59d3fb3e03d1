"""The picture of an evaluation: the same bytes, legible whatever the classes and runs are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import pytest
from parsed_pages import HOSTILE
from pictures import Texts, check_texts, texts_drawn
from small_evaluations import compared, known_markers, make_evaluation

from dilannot.data.markers import Marker
from dilannot.errors import DilannotError
from dilannot.evaluation import Evaluation
from dilannot.report.evaluation_picture import check_picture_name, draw_evaluation

LONG = "a name that needs more room than there is beside a picture, and goes on"


def beside(others: int, markers: list[Marker], subject: str = "run") -> Evaluation:
    runs = [make_evaluation(markers, better=0.2 * i - 0.3, subject=f"/{subject} {i}") for i in range(others)]
    return compared(make_evaluation(markers, subject=f"/{subject}"), runs)


def own(*classes: str) -> list[Marker]:
    return [Marker(f"m{index}", classes[index % len(classes)]) for index in range(3 * len(classes))]


CASES: dict[str, Callable[[], Evaluation]] = {
    "one marker": lambda: make_evaluation([Marker("CTCF", "TFBS")], intervals=False),
    "all classes": lambda: beside(1, known_markers(30)),
    "two others": lambda: beside(2, known_markers(30), LONG),
    "three others": lambda: beside(3, known_markers(30), LONG),
    "five others": lambda: beside(5, known_markers(30)),
    "own classes": lambda: beside(3, own("x", LONG, "_z", HOSTILE, *"abcdefgh")),
    "no positives": lambda: make_evaluation(own("TFBS"), without_positives=(0, 1, 2), intervals=False),
    "scores": lambda: make_evaluation(own("TFBS"), space="score"),
}


@pytest.fixture
def texts() -> Iterator[Texts]:
    with texts_drawn() as found:
        yield found


@pytest.mark.parametrize("name", CASES)
def test_no_text_lies_over_another_or_outside(tmp_path: Path, texts: Texts, name: str) -> None:
    draw_evaluation(CASES[name](), tmp_path / "p.png")
    assert texts
    check_texts(texts)
    draw_evaluation(CASES[name](), tmp_path / "p.svg")


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_same_evaluation_gives_the_same_picture(tmp_path: Path, suffix: str) -> None:
    first, second = tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"
    draw_evaluation(CASES["all classes"](), first)
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 10}):
        draw_evaluation(CASES["all classes"](), second)
    assert first.read_bytes() == second.read_bytes()
    for word in (b"Software", b"dc:date", b"Matplotlib"):
        assert word not in first.read_bytes()


def test_a_picture_says_what_was_found(tmp_path: Path) -> None:
    found = CASES["all classes"]()
    draw_evaluation(found, tmp_path / "p.svg")
    written = (tmp_path / "p.svg").read_text()
    value = found.differences[0].classes["TFBS"]["pr_auc"][0]
    rows = found.means["TFBS"].markers
    for words in (
        f"TFBS ({rows})",
        "mean PR curves",
        "PR AUC, 95 % intervals",
        "PR AUC above run 0",
        f"{value:+.3f}",
    ):
        assert f">{words}<" in written, words


@pytest.mark.parametrize("name", ["p", "p.pdf"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DilannotError, match="suffix"):
        draw_evaluation(CASES["one marker"](), tmp_path / name)
    with pytest.raises(DilannotError, match=r"\.png or \.svg"):
        check_picture_name(tmp_path / name)
    assert not list(tmp_path.iterdir())
