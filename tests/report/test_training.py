"""`plot`: pictures of trainings say what they should, where they may, with no text over another."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from conftest import Cli
from matplotlib.figure import Figure
from pictures import Texts, check_texts, texts_drawn
from small_datasets import small_dataset
from small_runs import PR_AUC, write_run

from dilannot.data.build import build_dataset
from dilannot.data.dataset import Dataset
from dilannot.data.settings import BuildSettings
from dilannot.data.splits import SPLITS
from dilannot.errors import DilannotError
from dilannot.report.dataset_facts import read_facts
from dilannot.report.training import plot

NAN = math.nan


def words(path: Path) -> str:
    """The text of a picture as SVG."""
    return path.read_text(encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run").folder


def test_one_run_is_drawn_into_its_folder_again_and_again(cli: Cli, run: Path) -> None:
    for _ in range(2):
        result = cli("plot", run)
        assert (result.code, result.err) == (0, f"wrote {run / 'training.png'}\n")
        assert (run / "training.png").read_bytes().startswith(b"\x89PNG")
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_the_run_of_the_working_folder_needs_no_name(cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)
    assert cli("plot", "-q").err == ""
    assert (run / "training.png").is_file()


def test_another_file_is_never_overwritten_silently(cli: Cli, run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_text("mine")
    result = cli("plot", run, "-o", tmp_path / "mine.png")
    assert (result.code, (tmp_path / "mine.png").read_text()) == (1, "mine")
    assert "use --force" in result.err
    assert cli("plot", run, "-o", tmp_path / "mine.png", "--force").code == 0
    assert (tmp_path / "mine.png").read_bytes().startswith(b"\x89PNG")
    (run / "training.png").mkdir()
    assert cli("plot", run).code == 1


def test_several_runs_need_a_file(cli: Cli, run: Path) -> None:
    assert cli("plot", run, run).code == 2
    with pytest.raises(DilannotError, match="say where it goes with -o FILE"):
        plot([run, run])


@pytest.mark.parametrize("name", ["picture.pdf", "picture", ".png"])
def test_other_formats_are_refused(run: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(DilannotError, match=r"call it \.png or \.svg"):
        plot([run], tmp_path / name)


@pytest.mark.parametrize("name", ["p.png", "p.svg", "P.SVG"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_same_runs_give_the_same_bytes(run: Path, tmp_path: Path, name: str, count: int) -> None:
    first = plot([run] * count, tmp_path / name).read_bytes()
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": None, "axes.grid": False, "savefig.facecolor": "red"}):
        assert plot([run] * count, tmp_path / name, force=True).read_bytes() == first
    assert b"Software" not in first
    assert b"dc:date" not in first
    assert b"Matplotlib" not in first


def test_a_picture_of_one_run_says_which_epoch_was_best(tmp_path: Path) -> None:
    text = words(plot([write_run(tmp_path / "my run").folder], tmp_path / "p.svg"))
    for part in (
        "my run: toy-blocks", "best epoch: 2 of 3 (highest mean PR AUC over classes, 0.367)", "training 0.3000",
        "validation 0.4000", "TFBS 0.300", "histone 0.400", "DNase 0.400", "learning rate", "in epoch 2",
    ):  # fmt: skip
        assert f">{part}<" in text, part
    assert "base rate" not in text
    by_loss = write_run(tmp_path / "by-loss", watch="loss").folder
    assert "best epoch: 3 of 3 (lowest validation loss, 0.3000)" in words(plot([by_loss], tmp_path / "l.svg"))


def test_classes_without_positives_are_left_out(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", {"TFBS": [0.1, 0.2], "DNase": [NAN, NAN]}, [0.2, 0.1]).folder
    assert "DNase" not in words(plot([one], tmp_path / "one.svg"))
    none = write_run(tmp_path / "none", {"TFBS": [NAN, NAN]}, [0.2, 0.1]).folder
    text = words(plot([none], tmp_path / "none.svg"))
    assert "no positives to rank" in text
    assert "best epoch: 2 of 2 (lowest validation loss" in text
    both = words(plot([one, none], tmp_path / "both.svg"))
    assert "validation PR AUC, TFBS" in both
    assert "DNase" not in both
    assert "validation loss, nats" in words(plot([none, none], tmp_path / "only-loss.svg"))


def test_several_runs_go_by_the_shortest_name_that_tells_them_apart(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name).folder for name in ("a/run", "a/other", "b/run")]
    text = words(plot(runs[:2], tmp_path / "p.svg"))
    assert ">run<" in text
    assert str(tmp_path) not in text
    text = words(plot(runs, tmp_path / "q.svg"))
    assert f"{runs[0]}<" in text or "…" in text
    assert all(f"validation PR AUC, {name}" in text for name in PR_AUC)


def test_runs_that_do_not_compare_are_drawn_with_a_warning(cli: Cli, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, digest=name).folder for name in "ab"]
    result = cli("plot", *runs, "-o", tmp_path / "p.png", "-q")
    assert result.code == 0
    assert result.err == (
        f"warning: {runs[1]} learnt from other windows or splits than {runs[0]}: figures are not comparable\n"
    )


@pytest.mark.parametrize("task", ["dense", "window"])
def test_base_rates_are_those_of_the_dataset_trained_on(tmp_path: Path, task: Any) -> None:
    small = small_dataset(tmp_path / "data", task)
    with Dataset(small.path) as data:
        digest, markers = data.digest, data.markers
        batch = data.batch(data.rows("validation"))
        counts = np.bincount(batch.targets.flat_index(len(markers), batch.mask.shape[1]).numpy(), minlength=1)
        rates = np.pad(counts, (0, len(markers) * batch.mask.numel() - len(counts)))
        rates = rates.reshape(len(batch.mask), len(markers), -1).mean((0, 2))
    kept = {"markers": markers, "dataset": str(small.path)}
    run = write_run(tmp_path / "run", digest=digest, **kept)
    drawn = base_rates_drawn(run.folder, tmp_path / "p.svg")
    assert drawn == pytest.approx([rate for rate in rates if rate > 0])
    assert ">base rate<" in words(tmp_path / "p.svg")
    assert base_rates_drawn(run.folder, tmp_path / "two.svg", count=2) == drawn
    other = write_run(tmp_path / "other", digest="other", **kept)
    assert base_rates_drawn(other.folder, tmp_path / "o.svg") == []
    settings = BuildSettings(task=task, window=50, bin=20, context=15, split="windows", seed=5)
    build_dataset(small.genome, [small.peaks], small.path, settings, force=True)
    assert base_rates_drawn(run.folder, tmp_path / "q.svg") == []
    small.path.write_text("damaged")
    assert base_rates_drawn(run.folder, tmp_path / "r.svg") == []
    small.path.unlink()
    assert base_rates_drawn(run.folder, tmp_path / "s.svg") == []


def test_markers_without_positives_are_not_in_the_base_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = small_dataset(tmp_path / "data", "dense")
    facts = read_facts(small.path)
    markers = [replace(marker, marker_class="TFBS") for marker in facts.markers]
    facts = replace(facts, markers=markers, positives=facts.positives * [[0], [1]])
    monkeypatch.setattr("dilannot.report.training.read_facts", lambda _: facts)
    run = write_run(tmp_path / "run", digest=facts.digest, markers=markers)
    assert base_rates_drawn(run.folder, tmp_path / "p.svg") == [facts.rates[1, SPLITS.index("validation")]]


def base_rates_drawn(run: Path, path: Path, count: int = 1) -> list[float]:
    with pytest.MonkeyPatch.context() as patch:
        found: list[float] = []
        inner = Figure.savefig

        def savefig(figure: Figure, *arguments: Any, **options: Any) -> None:
            lines = (line for axes in figure.axes for line in axes.get_lines() if line.get_linestyle() == ":")
            found.extend(float(line.get_ydata()[0]) for line in lines)  # type: ignore[index,arg-type]
            inner(figure, *arguments, **options)

        patch.setattr(Figure, "savefig", savefig)
        plot([run] * count, path)
    return found


def curve(epochs: int, top: float) -> list[float]:
    return [top * (1 - math.exp(-3 * epoch / epochs)) for epoch in range(1, epochs + 1)]


def long(folder: Path, epochs: int, *classes: str) -> Path:
    tops = {name: 0.1 * (index + 1) for index, name in enumerate(classes)}
    return write_run(folder, {name: curve(epochs, top) for name, top in tops.items()}, curve(epochs, 0.2)).folder


HARD: dict[str, Callable[[Path], list[Path]]] = {
    "one epoch": lambda at: [long(at / "run", 1, "TFBS", "histone", "DNase")],
    "many": lambda at: [long(at / ("x" * 120), 300, "TFBS", "a class of my own, with a name", "_x$y_{", "<&\n\x01")],
    "nothing": lambda at: [long(at / "run", 5)],
    "two": lambda at: [long(at / f"{'_p' * 50}{n}", 150 - n, "TFBS", "<own>") for n in range(2)],
    "twelve": lambda at: [long(at / f"run {n} with hidden={n}", n + 1, "TFBS", "DNase", "histone") for n in range(12)],
    "forty": lambda at: [long(at / f"a name that takes its room {n}", 3, "TFBS") for n in range(40)],
}


@pytest.fixture
def texts() -> Iterator[Texts]:
    with texts_drawn() as found:
        yield found


@pytest.mark.parametrize("name", HARD)
def test_no_text_lies_over_another_or_outside(tmp_path: Path, texts: Texts, name: str) -> None:
    plot(HARD[name](tmp_path), tmp_path / "p.png")
    assert len(texts) > 8
    check_texts(texts)


def test_hostile_names_make_valid_svg(tmp_path: Path) -> None:
    from xml.etree import ElementTree

    path = plot(HARD["many"](tmp_path), tmp_path / "p.svg")
    said = {element.text for element in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")}
    assert "<&\\n\\x01 0.380" in said
    assert "_x$y_{ 0.285" in {text.strip() for text in said if text}


def test_drawing_needs_no_torch() -> None:
    code = "import sys, dilannot.report.training; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
