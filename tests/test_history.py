from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from small_runs import write_run

from dilannot.data.markers import Marker
from dilannot.errors import DilannotError
from dilannot.history import History, differences, median_speed, read_history
from dilannot.run import TIMING, read_run

NAN = math.nan


def history(folder: Path, pr_auc: dict[str, list[float]], loss: list[float], **settings: object) -> History:
    write_run(folder, pr_auc, loss, **settings)
    return read_history(read_run(folder))


def test_a_history_is_what_the_epochs_left(tmp_path: Path) -> None:
    found = history(tmp_path / "run", {"TFBS": [0.1, 0.3], "my, own": [NAN, 0.5]}, [0.5, 0.25], epochs=10)
    assert found.epochs.tolist() == [1, 2]
    assert found.validation_loss.tolist() == [0.5, 0.25]
    assert found.train_loss.tolist() == [0.4, 0.15]
    assert found.learning_rate.tolist() == [0.002, 0.002]
    assert list(found.pr_auc) == ["TFBS", "my, own"]
    np.testing.assert_equal(found.pr_auc["my, own"], [NAN, 0.5])


@pytest.mark.parametrize(
    ("pr_auc", "loss", "settings", "best"),
    [
        ({"TFBS": [0.1, 0.3, 0.2], "DNase": [0.2, 0.2, 0.4]}, [3, 1, 2], {}, 3),
        ({"TFBS": [0.1, 0.3, 0.2], "DNase": [0.2, 0.2, 0.4]}, [3, 1, 2], {"watch": "pr_auc"}, 3),
        ({"TFBS": [0.1, 0.3, 0.2], "DNase": [0.2, 0.2, 0.4]}, [3, 1, 2], {"watch": "loss"}, 2),
        ({"TFBS": [0.3, 0.1, 0.2], "DNase": [NAN, NAN, NAN]}, [3, 1, 2], {}, 1),
        ({"TFBS": [NAN, NAN, NAN]}, [3, 1, 2], {}, 2),
        ({}, [3, 2, 1], {}, 3),
        ({"TFBS": [0.1, 0.1, 0.1]}, [3, 1, 2], {}, 1),
        ({"TFBS": [0.5, 0.5, 0.5]}, [NAN, 1, 1], {"watch": "loss"}, 2),
        ({"TFBS": [0.25]}, [NAN], {"watch": "loss"}, 1),
    ],
)
def test_the_best_epoch(
    tmp_path: Path, pr_auc: dict[str, list[float]], loss: list[float], settings: dict[str, object], best: int
) -> None:
    assert history(tmp_path / "run", pr_auc, loss, **settings).best_epoch == best


def test_a_training_that_goes_on_has_fewer_rows(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", epochs=100)
    for rows in (3, 2, 1):
        lines = (run.folder / "metrics.csv").read_text().splitlines(keepends=True)
        (run.folder / "metrics.csv").write_text("".join(lines[: 1 + rows]))
        assert len(read_history(run).epochs) == rows


@pytest.mark.parametrize("text", [None, "", "epoch,step,learning_rate,train_loss,validation_loss,pr_auc_TFBS\n"])
def test_no_finished_epoch_is_an_error(tmp_path: Path, text: str | None) -> None:
    run = write_run(tmp_path / "run")
    (run.folder / "metrics.csv").unlink()
    if text is not None:
        (run.folder / "metrics.csv").write_text(text)
    with pytest.raises(DilannotError, match="run: has not finished an epoch; wait for its first one"):
        read_history(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("train_loss", "loss"), "no column of figures called train_loss"),
        (lambda text: text.replace("0.3,0.4,0.4", "0.3,x,0.4"), "called pr_auc_histone"),
        (lambda text: text.replace("0.3,0.4,0.4", "0.3"), r"metrics\.csv:3: has not one figure for every column"),
        (lambda text: text[:-3], "cut short"),
        (lambda text: text.replace("\n2,", "\n2.5,"), "called epoch"),
        (lambda text: text.replace("\n2,", "\nnan,"), "called epoch"),
        (lambda text: text.replace("TFBS", "\udcff"), "is no table of figures"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: object, message: str) -> None:
    run = write_run(tmp_path / "run")
    path = run.folder / "metrics.csv"
    path.write_text(change(path.read_text()), errors="surrogateescape")  # type: ignore[operator]
    with pytest.raises(DilannotError, match=message) as error:
        read_history(run)
    assert "metrics.csv" in str(error.value)


def test_the_speed_is_the_median_over_epochs(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert median_speed(run) == 2000
    path = run.folder / TIMING
    path.write_text(path.read_text() + "4,1,1,9000,nan\n5,1,0,nan,nan\n")
    assert median_speed(run) == 2500
    for text in ("", "epoch,nt,seconds,nt_per_s,memory_gb\n"):
        path.write_text(text)
        assert math.isnan(median_speed(run))
    path.write_text("epoch\n1\n")
    with pytest.raises(DilannotError, match=r"timing\..*: is damaged: it has no column of figures called nt_per_s"):
        median_speed(run)
    path.unlink()
    assert math.isnan(median_speed(run))


def test_runs_that_do_not_compare_are_named(tmp_path: Path) -> None:
    same = [write_run(tmp_path / name) for name in "ab"]
    assert differences(same) == differences(same[:1]) == []
    others = [write_run(tmp_path / f"windows-{number}", digest="e") for number in range(5)]
    [windows] = differences([*same, *others])
    assert "windows-0" in windows
    assert "and 2 more learnt from other windows or splits than" in windows
    one = write_run(tmp_path / "one", markers=[Marker("a", "TFBS")])
    sorted_otherwise = write_run(tmp_path / "class", markers=[*same[0].markers[:2], Marker("c", "histone")])
    [markers] = differences([*same, one, sorted_otherwise])
    assert (
        markers
        == f"{one.folder}, {sorted_otherwise.folder} learnt other markers than {same[0].folder}: figures are not comparable"
    )
    assert len(differences([*same, one, *others])) == 2
