"""`tune`: every trial once, whoever does it and whatever stops it; the best run kept; hopeless trials given up."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
import toy_models  # noqa: F401 (registers)
from conftest import Cli, Inputs
from forked_commands import Commands, command_server, until
from small_trainings import HYBRID, THIN, contents

from dilannot.data.build import build_dataset
from dilannot.data.settings import BuildSettings
from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.evaluate.evaluate import evaluate
from dilannot.evaluate.protocol import Protocol
from dilannot.history import read_history
from dilannot.progress import Silent
from dilannot.run import read_run
from dilannot.training import tune as tuning
from dilannot.training.asked import ask
from dilannot.training.loop import Loop
from dilannot.training.pruning import GRACE, LEAST, may_be_pruned
from dilannot.training.settings import Settings
from dilannot.training.train import train
from dilannot.training.tune import tune
from dilannot.trials import Search, Trial, read_trials

pytestmark = pytest.mark.usefixtures("one_thread")

GRID = """
[arguments]
hidden = [5, 7]
[settings]
learning_rate = [1e-3, 1e-2, 1e-1]
"""
SHORT = Settings(epochs=2, batch_size=30, learning_rate=1e-2)
WITHOUT_HIDDEN = {name: value for name, value in THIN.items() if name != "hidden"}
SLOW = """
import time
from dilannot.training.step import Stepper
apply = Stepper.apply
Stepper.apply = lambda *given: (time.sleep(0.03), apply(*given))[1]
"""
# The first trial waits for somebody to take the second.
TOGETHER = """
import time
import dilannot.training.tune as tuning
train, until = tuning.train, time.monotonic() + 60
def waits(dataset, output, **more):
    while not (output.parent / "0002.json").exists() and time.monotonic() < until:
        time.sleep(0.01)
    return train(dataset, output, **more)
tuning.train = waits
"""


@pytest.fixture
def grid(tmp_path: Path) -> str:
    return written(tmp_path, GRID)


def written(folder: Path, text: str) -> str:
    (folder / "grid.toml").write_text(text)
    return str(folder / "grid.toml")


def search(dataset: Path, output: Path, **given: Any) -> Search:
    settings = replace(SHORT, **given.pop("settings", {}))
    usual: dict[str, Any] = {"model": "dilated", "arguments": WITHOUT_HIDDEN, "settings": settings, "device": "cpu"}
    return tune(dataset, output, **usual | given)


def table(output: Path) -> list[dict[str, str]]:
    with open(output / "trials.tsv", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_grid_is_tried_point_by_point_and_the_best_run_is_kept(dataset: Path, grid: str, tmp_path: Path) -> None:
    found = search(dataset, tmp_path / "tune", grid=grid, prune=False)
    rows = table(tmp_path / "tune")
    assert [row["trial"] for row in rows] == [f"{number}" for number in range(1, 7)]
    assert {row["state"] for row in rows} == {"finished"}
    tried = {(row["hidden"], row["learning_rate"]) for row in rows}
    assert tried == {(hidden, rate) for hidden in ("5", "7") for rate in ("0.001", "0.01", "0.1")}
    for trial, row in zip(found.trials, rows, strict=True):
        history = read_history(read_run(trial.folder(tmp_path / "tune")))
        assert float(row["pr_auc"]) == pytest.approx(history.mean_pr_auc.max(), rel=1e-5)
        classes = [float(row[f"pr_auc_{name}"]) for name in ("TFBS", "histone", "DNase")]
        assert float(row["pr_auc"]) == pytest.approx(sum(classes) / 3, rel=1e-5)
        assert row["best_epoch"] == f"{history.best_epoch}"
        assert row["parameters"] == f"{trial.parameters}"
    assert found.best is not None
    assert found.best.value == max(trial.value for trial in found.trials)
    best = contents(tmp_path / "tune" / "best")
    kept = contents(found.best.folder(tmp_path / "tune"))
    assert json.loads(best.pop("trial.json"))["number"] == found.best.number
    best.pop("run.json"), kept.pop("run.json")  # where the dataset is, seen from there
    assert best == kept
    assert evaluate(tmp_path / "tune" / "best", protocol=Protocol("validation")).scores.positions > 0
    for trial in found.trials:
        weights = list(trial.folder(tmp_path / "tune").glob("*.safetensors"))
        assert len(weights) == (2 if trial == found.best else 0)
    assert {path.name for path in (tmp_path / "tune").iterdir()} == {"tune.json", "trials", "trials.tsv", "best"}


def test_all_weights_stay_where_that_is_asked_for(dataset: Path, grid: str, tmp_path: Path) -> None:
    search(dataset, tmp_path / "tune", grid=grid, trials=3, keep="all")
    assert len(list((tmp_path / "tune" / "trials").glob("*/best.safetensors"))) == 3


def test_the_command_it_names_trains_the_best_run_again(cli: Cli, dataset: Path, grid: str, tmp_path: Path) -> None:
    found = search(
        dataset, tmp_path / "tune", grid=grid, trials=4, settings={"shift": 3, "optimizer": "sgd", "seed": 5}
    )
    words = shlex.split(found.command)
    assert words[:3] == ["dilannot", "train", str(dataset)]
    assert cli(*words[1:], "-o", tmp_path / "run", "--device", "cpu").code == 0
    again, best = contents(tmp_path / "run"), contents(tmp_path / "tune" / "best")
    assert [again[name] for name in ("metrics.csv", "settings.toml")] == [
        best[name] for name in ("metrics.csv", "settings.toml")
    ]


def test_some_points_are_drawn_and_more_can_follow(dataset: Path, grid: str, tmp_path: Path) -> None:
    three = search(dataset, tmp_path / "a", grid=grid, trials=3)
    assert len({json.dumps(trial.values) for trial in three.trials}) == 3
    before = contents(three.trials[0].folder(tmp_path / "a"))
    more = search(dataset, tmp_path / "a", grid=grid, trials=5)
    assert more.trials[:3] == three.trials
    assert contents(more.trials[0].folder(tmp_path / "a")).items() <= before.items()
    five = search(dataset, tmp_path / "b", grid=grid, trials=5)
    assert five.trials == more.trials
    assert (tmp_path / "a" / "trials.tsv").read_bytes() == (tmp_path / "b" / "trials.tsv").read_bytes()
    other = search(dataset, tmp_path / "c", grid=grid, trials=3, settings={"seed": 1})
    assert [trial.values for trial in other.trials] != [trial.values for trial in three.trials]


def test_an_ended_search_trains_nothing(
    dataset: Path, grid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = search(dataset, tmp_path / "tune", grid=grid, trials=2)
    (tmp_path / "tune" / "trials.tsv").unlink()
    shutil.rmtree(tmp_path / "tune" / "best")
    monkeypatch.setattr(tuning, "train", None)
    assert search(dataset, tmp_path / "tune", grid=grid, trials=2) == first
    assert len(table(tmp_path / "tune")) == 2
    assert evaluate(tmp_path / "tune" / "best", protocol=Protocol("validation")).scores.positions > 0


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({"settings": {"epochs": 3}}, "began with epochs = 2, not 3"),
        ({"settings": {"seed": 1}}, "began with seed = 0, not 1"),
        ({"arguments": THIN | {"hidden": 5}}, r"began with hidden = 125, not 5"),
        ({"arguments": WITHOUT_HIDDEN | {"dropout": 0.3}}, "began with dropout = 0.2, not 0.3"),
        ({"model": "dilated-thesis"}, 'began with model = "dilated", not "dilated-thesis"'),
        ({"prune": False}, "began with prune = true, not false"),
        ({"grid": "thesis-task2"}, "this search began with"),
        ({"grid": None, "trials": 2}, 'this search began with by = "grid", not "optuna"'),
    ],
)
def test_another_search_does_not_mix_with_it(
    dataset: Path, grid: str, tmp_path: Path, change: dict[str, Any], pattern: str
) -> None:
    search(dataset, tmp_path / "tune", grid=grid, trials=1)
    before = (tmp_path / "tune" / "trials.tsv").read_bytes()
    with pytest.raises(DilannotError, match=f"{pattern}.*; use the same options, or another -o"):
        search(dataset, tmp_path / "tune", **{"grid": grid, "trials": 2} | change)
    assert (tmp_path / "tune" / "trials.tsv").read_bytes() == before


def test_another_dataset_or_folder_is_refused(inputs: Inputs, dataset: Path, grid: str, tmp_path: Path) -> None:
    search(dataset, tmp_path / "tune", grid=grid, trials=1)
    other = tmp_path / "other.h5"
    settings = BuildSettings(window=500, seed=5)
    build_dataset(inputs.genome, [inputs.peak_folder], other, settings)
    with pytest.raises(DilannotError, match="began with other windows of the dataset"):
        search(other, tmp_path / "tune", grid=grid, trials=2)
    moved = tmp_path / "moved.h5"
    shutil.copy(dataset, moved)
    assert len(search(moved, tmp_path / "tune", grid=grid, trials=2).ended) == 2
    with pytest.raises(DilannotError, match="other things in it; give another with -o"):
        search(dataset, tmp_path, grid=grid, trials=1)
    (tmp_path / "tune" / "trials" / "0001.json").write_text("[")
    with pytest.raises(DilannotError, match="0001.json: is damaged: .*; remove it, and the trial is made again"):
        search(dataset, tmp_path / "tune", grid=grid, trials=2)


def test_changed_code_of_a_network_is_another_search(dataset: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    code = """
from dilannot.models import register
from toy_models import ToyBlocks
@register("own-blocks")
class Own(ToyBlocks):
    pass
"""
    grid = written(tmp_path, "[settings]\nlearning_rate = [1e-3, 1e-2]")
    given = {"grid": grid, "model": f"{own}:Own", "arguments": {}}
    own.write_text(code)
    assert len(search(dataset, tmp_path / "tune", **given).ended) == 2
    assert (tmp_path / "tune" / "best" / "network.py").read_text() == code
    own.write_text(code + "# another\n")
    with pytest.raises(DilannotError, match="this search began with other code of the network"):
        search(dataset, tmp_path / "tune", **given)


def test_nothing_to_search_by_is_refused(dataset: Path, grid: str, tmp_path: Path) -> None:
    for given in ({}, {"grid": grid, "space": Path(grid), "trials": 1}):
        with pytest.raises(DilannotError, match="nothing says what is tried|a grid is searched, or a space"):
            search(dataset, tmp_path / "tune", **given)
    with pytest.raises(DilannotError, match="no grid 'thesis-task3', and no such file"):
        search(dataset, tmp_path / "tune", grid="thesis-task3")
    with pytest.raises(DilannotError, match="grid 'thesis-task1' is not for model 'dilated'"):
        search(dataset, tmp_path / "tune", grid="thesis-task1")
    assert not (tmp_path / "tune").exists()


def test_where_no_network_is_named_a_published_grid_searches_dilated(dataset: Path, grid: str, tmp_path: Path) -> None:
    """And any other what `train` trains."""
    once = replace(SHORT, epochs=1, max_steps=1)
    for given, arguments, model in (("thesis-task2", {}, "dilated"), (grid, HYBRID, "hybrid")):
        found = tune(dataset, tmp_path / model, grid=given, arguments=arguments, trials=1, settings=once, device="cpu")
        assert found.model == model
        assert read_run(tmp_path / model / "best").model == model


def test_every_optimizer_of_a_search_has_its_own_rate(dataset: Path, tmp_path: Path) -> None:
    """Unless one is given."""
    grid = written(tmp_path, '[settings]\noptimizer = ["muon", "adamw", "sgd"]\n')
    for given, rates in (
        ({"learning_rate": 0.0}, {"muon": 0.006, "adamw": 0.002, "sgd": 0.1}),
        ({"learning_rate": 0.01}, {"muon": 0.01, "adamw": 0.01, "sgd": 0.01}),
    ):
        asked = ask(dataset, model="dilated", arguments=THIN, grid=grid, settings=replace(SHORT, **given))
        found = [asked.settings_of(asked.space.point(asked.space.values(at)).settings) for at in range(3)]
        assert {each.optimizer: each.learning_rate for each in found} == rates


def test_a_dataset_without_positives_to_rank_is_refused(
    inputs: Inputs, dataset: Path, grid: str, tmp_path: Path
) -> None:
    (tmp_path / "a.bed").write_text("chr1\t1000\t1020\n")
    build_dataset(inputs.genome, [tmp_path / "a.bed"], tmp_path / "d.h5", BuildSettings(window=500))
    with pytest.raises(DilannotError, match="no marker has positives in the validation split"):
        search(tmp_path / "d.h5", tmp_path / "tune", grid=grid)


# Values made up: the learning rate times 1, 2, 3, ... in the epochs of a trial.
RATES = [0.0071, 0.0032, 0.0094, 0.0015, 0.0083, 0.0026, 0.0047, 0.0068]
EPOCHS = 5


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    validate = Loop._validate

    def made_up(self: Loop) -> tuple[dict[str, Any], Any]:
        row, thresholds = validate(self)
        value = self.settings.learning_rate * self.place.epoch
        return row | {"pr_auc_TFBS": value - 1e-4, "pr_auc_histone": value, "pr_auc_DNase": value + 1e-4}, thresholds

    monkeypatch.setattr(Loop, "_validate", made_up)


def expected(rates: Sequence[float]) -> list[tuple[str, int]]:
    """States and epochs of trials with these rates, one after the other."""
    reached: list[list[float]] = []
    found = []
    for rate in rates:
        values = []
        state = "finished"
        for epoch in range(1, EPOCHS + 1):
            values.append(rate * epoch)
            others = [other[epoch - 1] for other in reached if len(other) >= epoch]
            late = GRACE < epoch / EPOCHS < 1
            if late and len(others) >= LEAST and values[-1] < median(others):
                state = "pruned"
                break
        reached.append(values)
        found.append((state, len(values)))
    return found


@pytest.mark.usefixtures("made_up")
def test_trials_behind_the_median_are_given_up(dataset: Path, tmp_path: Path) -> None:
    grid = written(tmp_path, f"[settings]\nlearning_rate = {RATES}")
    found = search(dataset, tmp_path / "tune", grid=grid, arguments=THIN, settings={"epochs": EPOCHS})
    order = [trial.values["learning_rate"] for trial in found.trials]
    assert [(trial.state, trial.epochs) for trial in found.trials] == expected(order)
    states = [trial.state for trial in found.trials]
    assert states[:LEAST] == ["finished"] * LEAST
    assert {"pruned", "finished"} == set(states[LEAST:])
    assert found.best is not None
    assert found.best.values == {"learning_rate": 0.0094}
    assert found.best.value == pytest.approx(0.0094 * EPOCHS, rel=1e-5)
    for trial in found.trials:
        run = trial.folder(tmp_path / "tune")
        assert len(read_history(read_run(run)).epochs) == trial.epochs
        assert not (run / ".checkpoint.safetensors").exists()
    whole = search(dataset, tmp_path / "whole", grid=grid, arguments=THIN, settings={"epochs": 2}, prune=False)
    assert {(trial.state, trial.epochs) for trial in whole.trials} == {("finished", 2)}


@pytest.mark.parametrize(
    ("epochs", "max_steps", "allowed"),
    [(10, 0, range(3, 10)), (5, 0, range(2, 5)), (4, 0, range(1, 4)), (2, 0, [1]), (1, 0, []), (10, 50, range(2, 5))],
)
def test_neither_beginnings_nor_ends_are_pruned(epochs: int, max_steps: int, allowed: Sequence[int]) -> None:
    """Ten steps an epoch, and the first fifth is spared."""
    settings = Settings(epochs=epochs, max_steps=max_steps)
    found = [at for at in range(1, epochs + 1) if may_be_pruned({"epoch": at, "step": 10 * at}, settings)]
    assert found == list(allowed)


def test_the_kept_epoch_gives_the_value_where_the_loss_is_watched(dataset: Path, grid: str, tmp_path: Path) -> None:
    found = search(dataset, tmp_path / "tune", grid=grid, trials=2, settings={"watch": "loss", "epochs": 4})
    for trial in found.trials:
        history = read_history(read_run(trial.folder(tmp_path / "tune")))
        assert trial.best_epoch == history.epochs[history.validation_loss.argmin()]
        assert trial.value == pytest.approx(history.mean_pr_auc[history.validation_loss.argmin()])


class Words:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.warned.append(message)

    def task(self, title: str, total: float | None) -> Any:
        return Silent().task(title, total)


def test_trials_that_fail_are_recorded_and_the_search_goes_on(dataset: Path, tmp_path: Path) -> None:
    grid = written(tmp_path, "[arguments]\nhidden = [5, 0]\n[settings]\nlearning_rate = [1e-2, 1e30]")
    words = Words()
    found = search(dataset, tmp_path / "tune", grid=grid, progress=words)
    states = {(row["hidden"], row["learning_rate"]): (row["state"], row["problem"]) for row in table(tmp_path / "tune")}
    assert states["5", "0.01"] == ("finished", "")
    assert states["5", "1e+30"][0] == "failed"
    assert "is nan at step" in states["5", "1e+30"][1] or "is inf at step" in states["5", "1e+30"][1]
    assert states["0", "0.01"][0] == states["0", "1e+30"][0] == "failed"
    assert "cannot be built" in states["0", "0.01"][1]
    assert len(words.warned) == 3
    assert sum("cannot be built" in warning for warning in words.warned) == 2
    assert found.best is not None
    assert found.best.values == {"hidden": 5, "learning_rate": 0.01}
    assert not list((tmp_path / "tune" / "trials").glob("*/.checkpoint*"))


def test_a_search_without_a_result_says_why(dataset: Path, tmp_path: Path) -> None:
    grid = written(tmp_path, "[arguments]\nhidden = [0, -1]")
    with pytest.raises(DilannotError, match=r"tune: none of 2 trials has a value; the first: .*cannot be built"):
        search(dataset, tmp_path / "tune", grid=grid)


@pytest.mark.parametrize("what", ["the disk is full", "file not found"])
def test_what_is_no_trials_fault_ends_the_search(
    dataset: Path, grid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    whole = search(dataset, tmp_path / "whole", grid=grid, trials=3)

    def full(*given: Any, **more: Any) -> None:
        full = what == "the disk is full"
        raise DilannotError(what, where=None if full else dataset, exit_code=ENVIRONMENT if full else 1)

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "train", full)
        with pytest.raises(DilannotError, match=what):
            search(dataset, tmp_path / "tune", grid=grid, trials=3)
    assert [trial.state for trial in read_trials(tmp_path / "tune")] == ["running"]
    assert search(dataset, tmp_path / "tune", grid=grid, trials=3).trials == whole.trials


def test_a_network_too_large_for_the_gpu_is_a_point_that_fails(
    dataset: Path, grid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def large(*given: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        try:
            if calls < 3:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried\nto allocate")
        except torch.OutOfMemoryError:
            if calls == 1:
                raise
            raise DilannotError("out of memory on cuda", exit_code=ENVIRONMENT) from None
        return train(*given, **more)

    monkeypatch.setattr(tuning, "train", large)
    found = search(dataset, tmp_path / "tune", grid=grid, trials=3)
    assert [trial.problem for trial in found.trials] == [
        "out of memory: CUDA out of memory. Tried",
        "out of memory on cuda",
        "",
    ]


def test_a_trial_whose_end_was_not_written_down_is_not_trained_again(dataset: Path, grid: str, tmp_path: Path) -> None:
    """Its process died between the last epoch and the record."""
    found = search(dataset, tmp_path / "tune", grid=grid, trials=3, keep="all")
    before = (tmp_path / "tune" / "trials.tsv").read_bytes()
    times = (found.trials[1].folder(tmp_path / "tune") / "timing.log").read_bytes()
    bare = found.trials[1]
    Trial(bare.number, bare.values, bare.arguments, bare.settings).save(tmp_path / "tune")
    assert search(dataset, tmp_path / "tune", grid=grid, trials=3).trials == found.trials
    assert (tmp_path / "tune" / "trials.tsv").read_bytes() == before
    assert (found.trials[1].folder(tmp_path / "tune") / "timing.log").read_bytes() == times


def test_the_best_run_knows_where_its_dataset_is(
    dataset: Path, grid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(dataset.parent, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    search(Path("data/dataset.h5"), Path("tune"), grid=grid, trials=1)
    run = read_run(Path("tune/best"))
    assert run.dataset == "../../data/dataset.h5"
    assert read_run(Path("tune/trials/0001")).dataset == "../../../data/dataset.h5"
    assert evaluate(Path("tune/best"), protocol=Protocol("validation")).scores.positions > 0


def test_processes_that_srun_starts_do_not_train_together(
    dataset: Path, grid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        "SLURM_PROCID": "1",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_LOCALID": "1",
        "RANK": "1",
        "WORLD_SIZE": "2",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with tuning._on_its_own("auto") as device:
        assert device == "cuda:1"
    with tuning._on_its_own("cuda:3") as device:
        assert device == "cuda:3"
    assert len(search(dataset, tmp_path / "tune", grid=grid, trials=1).ended) == 1
    assert environment.items() <= os.environ.items()


# Processes.


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Any]]:
    with command_server() as one, command_server() as other:
        yield [one, other]


def typed(dataset: Path, output: Path, grid: str, *more: object) -> list[object]:
    """The command that does what `search` does, with a checkpoint after every step."""
    words: list[object] = ["tune", dataset, "-o", output, "--grid", grid, "-@", 1, "--device", "cpu"]
    words += ["--model", "dilated"]
    for name, value in WITHOUT_HIDDEN.items():
        words += ["--set", f"{name}={json.dumps(value)}"]
    for name, value in {"epochs": SHORT.epochs, "batch_size": SHORT.batch_size, "checkpoint_minutes": 0}.items():
        words += ["--setting", f"{name}={value}"]
    return [*words, *more]


def test_two_processes_share_the_trials(servers: list[Any], dataset: Path, grid: str, tmp_path: Path) -> None:
    words = typed(dataset, tmp_path / "tune", grid, "--no-prune")
    both = []
    for name, server in zip("ab", servers, strict=True):
        (tmp_path / name).mkdir()
        both.append(Commands(server, tmp_path / name).start(*words, before=TOGETHER))
    assert [running.wait() for running in both] == [0, 0], [running.said.read_text() for running in both]
    done = [
        [int(line.split("/")[0].removeprefix("trial ")) for line in running.said.read_text().splitlines()
         if line.startswith("trial ")] for running in both
    ]  # fmt: skip
    assert sorted(done[0] + done[1]) == [1, 2, 3, 4, 5, 6], "each once"
    assert all(done), "both had some"
    alone = search(dataset, tmp_path / "alone", grid=grid, prune=False, settings={"checkpoint_minutes": 0.0})
    assert (tmp_path / "tune" / "trials.tsv").read_bytes() == (tmp_path / "alone" / "trials.tsv").read_bytes()
    assert read_trials(tmp_path / "tune") == alone.trials
    assert (tmp_path / "tune" / "tune.png").is_file()


def test_a_search_goes_on_wherever_it_was_stopped(servers: list[Any], dataset: Path, grid: str, tmp_path: Path) -> None:
    alone = search(dataset, tmp_path / "alone", grid=grid, settings={"checkpoint_minutes": 0.0})
    output = tmp_path / "tune"
    commands = Commands(servers[0], tmp_path)
    words = typed(dataset, output, grid)
    for number, signal_sent, code in (
        (1, signal.SIGKILL, -9),
        (2, signal.SIGINT, 130),
        (4, signal.SIGKILL, -9),
    ):
        running = commands.start(*words, before=SLOW)
        until((output / "trials" / f"{number:04d}" / ".checkpoint.safetensors").is_file)
        running.kill(signal_sent)
        assert running.wait() == code, running.said.read_text()
        said = running.said.read_text()
        if code > 0:
            assert re.search(r"^warning: stopped with [1-5] of 6 trials done; the same command goes on$", said, re.M)
            assert "--resume" not in said
    assert commands.run(*words).code == 0
    assert (output / "trials.tsv").read_bytes() == (tmp_path / "alone" / "trials.tsv").read_bytes()
    assert read_trials(output) == alone.trials
    ours, theirs = contents(output / "best"), contents(tmp_path / "alone" / "best")
    assert ours["best.safetensors"] == theirs["best.safetensors"]
    assert ours["metrics.csv"] == theirs["metrics.csv"]
    assert {path.name for path in output.iterdir()} == {"tune.json", "trials", "trials.tsv", "best", "tune.png"}


# Optuna.

SPACE = """
[arguments]
hidden = {low = 3, high = 9}
filters = [[4, 6, 4], [2, 3, 2]]
[settings]
learning_rate = {low = 1e-4, high = 1e-1, log = true}
optimizer = ["adamw", "sgd"]
"""


def with_optuna(dataset: Path, output: Path, trials: int, **more: Any) -> Search:
    arguments = {name: value for name, value in THIN.items() if name not in ("hidden", "filters")}
    space = Path(written(output.parent, SPACE))
    settings = {"epochs": 1, "max_steps": 1} | more.pop("settings", {})
    return search(dataset, output, space=space, trials=trials, arguments=arguments, settings=settings, **more)


def test_optuna_goes_on_from_the_records_alone(dataset: Path, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    pytest.importorskip("optuna")
    whole = with_optuna(dataset, tmp_path / "a" / "tune", 13)
    for count in (3, 11, 13):
        parts = with_optuna(dataset, tmp_path / "b" / "tune", count)
    assert parts.trials == whole.trials
    assert len({json.dumps(trial.values) for trial in whole.trials}) == 13
    for trial in whole.trials:
        assert trial.values["hidden"] in range(3, 10)
        assert trial.values["filters"] in ([4, 6, 4], [2, 3, 2])
        assert 1e-4 <= trial.values["learning_rate"] <= 1e-1
        assert f"{trial.values['learning_rate']:.3g}" == f"{trial.values['learning_rate']:g}"
    other = with_optuna(dataset, tmp_path / "a" / "other", 3, settings={"seed": 1})
    assert [trial.values for trial in other.trials] != [trial.values for trial in whole.trials[:3]]


def test_optunas_own_tools_can_read_the_trials(dataset: Path, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    found = with_optuna(dataset, tmp_path / "tune", 3)
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "tune" / "optuna.log"))
    )
    study = optuna.load_study(study_name=None, storage=storage)
    assert [trial.value for trial in study.trials] == [trial.value for trial in found.trials]
    assert found.best is not None
    assert study.best_trial.params["learning_rate"] == found.best.values["learning_rate"]


@pytest.mark.usefixtures("made_up")
def test_optuna_learns_from_the_trials(dataset: Path, tmp_path: Path) -> None:
    """The made-up value is the learning rate: later trials have higher ones than those at random."""
    pytest.importorskip("optuna")
    (tmp_path / "space.toml").write_text("[settings]\nlearning_rate = {low = 1e-4, high = 1e-1, log = true}")
    found = search(
        dataset, tmp_path / "tune", space=tmp_path / "space.toml", trials=16, arguments=THIN,
        settings={"epochs": 1, "max_steps": 1},
    )  # fmt: skip
    rates = [trial.values["learning_rate"] for trial in found.trials]
    assert median(rates[10:]) > 3 * median(rates[:10])


def test_the_usual_space_needs_no_file(dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    wide = {"dilations": [1, 1, 3, 1, 1]}
    found = search(dataset, tmp_path / "a", trials=2, arguments=wide, settings={"max_steps": 1})
    assert list(found.axes) == ["learning_rate", "dropout", "filters", "hidden"]
    found = search(dataset, tmp_path / "b", trials=2, arguments=THIN, settings={"max_steps": 1})
    assert list(found.axes) == ["learning_rate"], "what is given is not searched"


def test_without_optuna_it_says_how_to_get_it(
    cli: Cli, dataset: Path, grid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = cli("tune", dataset, "-o", tmp_path / "tune", "--trials", 3)
    assert result.code == 3
    assert result.err == "error: Optuna is not installed; pip install 'dilannot[tune]', or search a grid with --grid\n"
    assert not (tmp_path / "tune").exists()
    assert cli(*typed(dataset, tmp_path / "tune", grid, "--trials", 1)).code == 0


# The command.


def test_the_command_prints_a_table_and_what_comes_next(cli: Cli, dataset: Path, grid: str, tmp_path: Path) -> None:
    words = typed(dataset, tmp_path / "tune", grid, "--no-prune")
    result = cli(*words, "--dry-run")
    assert result.out.splitlines() == [
        "dilated, grid.toml: 6 trials, 4 steps each, over 50 windows of 500 nt and 3 markers, recipe modern",
        "  hidden: 5 | 7",
        "  learning_rate: 0.001 | 0.01 | 0.1",
    ]
    assert not (tmp_path / "tune").exists()
    result = cli(*words)
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert len(lines) == 7
    header = lines[0].split("\t")
    assert header[:6] == ["trial", "state", "hidden", "learning_rate", "epochs", "best_epoch"]
    values = [float(line.split("\t")[header.index("pr_auc")]) for line in lines[1:]]
    assert values == sorted(values, reverse=True)
    assert (tmp_path / "tune" / "tune.png").read_bytes().startswith(b"\x89PNG")
    said = result.err.splitlines()
    assert said[-1].startswith(f"to train with these values: dilannot train {dataset} --model dilated --set ")
    assert f"its best run is {tmp_path / 'tune' / 'best'}" in said[-2]
    again = cli(*words, "--json", "-q")
    assert again.err == ""
    record = json.loads(again.out)
    assert record["best"] == int(lines[1].split("\t")[0])
    assert len(record["trials"]) == 6
    assert said[-1].endswith(record["command"])


@pytest.mark.parametrize(
    "more", [["--epochs", "3"], ["--trials", "0"], ["--grid", "a", "--space", "b"], ["--keep", "none"]]
)
def test_usage_errors(cli: Cli, dataset: Path, more: list[str]) -> None:
    result = cli("tune", dataset, *more)
    assert result.code == 2
    assert "Traceback" not in result.err
