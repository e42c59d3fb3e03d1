"""Disks that are full or broken, processes that are killed: what a training leaves is always whole, and goes on."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import REPOSITORY, Cli
from disk_faults import DiskFaults
from forked_commands import Commands, command_server, is_alive, until
from small_datasets import small_dataset
from small_trainings import SHORT, THIN, Training, contents, signal_in_step

import dilannot.training.train
from dilannot.errors import DilannotError
from dilannot.outputs import locked
from dilannot.run import read_run
from dilannot.tensors import read_tensors
from dilannot.training.train import train

pytestmark = pytest.mark.usefixtures("one_thread")

STATE = ".checkpoint.safetensors"
SETTINGS = replace(SHORT, reverse_complement=True, shift=9, ema=0.9)
ALL = Training(SETTINGS)
# The same on the command line.
OPTIONS = (
    *("--model", "dilated"),
    *(text for name, value in THIN.items() for text in ("--set", f"{name}={value}".replace("[", "").replace("]", ""))),
    *("--epochs", 2, "--batch-size", 6, "--learning-rate", 0.01, "--reverse-complement", "--shift", 9, "--ema", 0.9),
    *("--threads", 1),
)


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("dense"), "dense").path


@pytest.fixture(scope="module")
def wholes(dense: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, bytes]]:
    """What undisturbed trainings leave, by the size of their batches."""
    folder, threads = tmp_path_factory.mktemp("wholes"), torch.get_num_threads()
    torch.set_num_threads(1)
    for size in (6, 1):
        Training(replace(SETTINGS, batch_size=size)).run(dense, folder / str(size))
    torch.set_num_threads(threads)
    return {size: contents(folder / str(size)) for size in (6, 1)}


@pytest.fixture
def whole(wholes: dict[int, dict[str, bytes]]) -> dict[str, bytes]:
    return wholes[6]


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    with command_server() as process:
        yield process


@pytest.fixture
def commands(server: subprocess.Popen[str], tmp_path: Path) -> Iterator[Commands]:
    made = Commands(server, tmp_path)
    yield made
    made.close()


def check_whole(run: Path) -> None:
    """What lies under a final name can be read."""
    for path in run.glob("*.safetensors"):
        if ".tmp" not in path.name:
            read_tensors(path, lambda *_: None)
    if (run / "run.json").exists():
        read_run(run)


@pytest.mark.parametrize("first", [1, 4, 7])
def test_a_disk_that_fails_at_any_call_costs_nothing_that_was_kept(
    cli: Cli, dense: Path, whole: dict[str, bytes], tmp_path: Path, first: int
) -> None:
    """A third of the calls; each of three tests takes every ninth, so that they can be told apart."""
    run = tmp_path / "run"
    command = ("train", dense, "-o", run, "--resume", *OPTIONS)
    count = DiskFaults()
    with pytest.MonkeyPatch.context() as patch:
        count.install(patch.setattr)
        assert cli(*command).code == 0
    assert 60 < count.calls < 100
    for number in range(first, count.calls + 1, 9):
        shutil.rmtree(run)
        faults = DiskFaults(number)
        with pytest.MonkeyPatch.context() as patch:
            faults.install(patch.setattr)
            result = cli(*command)
        [line] = [line for line in result.err.splitlines() if line.startswith("error: ")]
        assert (result.code, "Traceback" in result.err) == (3, False), (number, result.err)
        assert re.search("No space left on device|Input/output error", line)
        assert str(run) in line
        check_whole(run)
        again = cli(*command)
        assert again.code == 0, again.err
        assert contents(run) == whole, f"call {number}: {line}"


def test_a_full_disk_is_noticed_before_the_checkpoint_is_written(
    cli: Cli, dense: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second checkpoint, with which the first epoch ends; the one before it stays."""
    run, usage = tmp_path / "run", shutil.disk_usage
    command = ("train", dense, "-o", run, "--resume", *OPTIONS)
    free = iter([10**9, 100])
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(path)._replace(free=next(free)))
    result = cli(*command)
    assert result.code == 3
    assert re.search(r"error: .*run: the checkpoint needs about 0\.0 MB and 0\.0 MB are free; free some", result.err)
    check_whole(run)
    monkeypatch.undo()
    train(None, run, resume=True)
    assert contents(run) == whole


DISK = """
import sys
sys.path.insert(0, {tests!r})
from disk_faults import DiskFaults
DiskFaults({number}, killed=True).install()
"""


def test_killed_at_any_call_it_goes_on(
    commands: Commands, dense: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    """At the 2nd call that changes the disk, then at the 9th, the 16th ... of what is left."""
    kills = 0
    for number in range(2, 200, 7):
        fault = DISK.format(tests=str(REPOSITORY / "tests"), number=number)
        running = commands.run("train", dense, "--resume", *OPTIONS, before=fault)
        if running.code == 0:
            break
        assert running.code == -signal.SIGKILL, running.errors
        check_whole(tmp_path / "run")
        kills += 1
    assert kills > 4
    assert contents(tmp_path / "run") == whole


def test_killed_at_any_time_it_goes_on(
    commands: Commands, dense: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    chance, run = random.Random(0), tmp_path / "run"
    for _ in range(3):
        running = commands.start("train", dense, "--resume", *OPTIONS)
        time.sleep(chance.random() * 0.4)
        running.kill(signal.SIGKILL)
        assert running.wait() in (0, -signal.SIGKILL)
        if run.is_dir():
            check_whole(run)
    last = commands.run("train", dense, "--resume", *OPTIONS)
    assert last.code == 0, last.errors
    assert contents(run) == whole


# Runs `{action}` while the weights change for the third time, then gives other processes some time.
THIRD_STEP = """
import os, signal, time
from dilannot.training.step import Stepper

apply, steps = Stepper.apply, []

def act(self, *given):
    steps.append(0)
    apply(self, *given)
    if len(steps) == 3:
        children = open(f"/proc/{{os.getpid()}}/task/{{os.getpid()}}/children").read().split()
        {action}
        time.sleep(0.3)

Stepper.apply = act
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_signal_to_all_processes_of_a_job_leaves_a_checkpoint(
    commands: Commands,
    dense: Path,
    wholes: dict[int, dict[str, bytes]],
    tmp_path: Path,
    number: signal.Signals,
    workers: int,
) -> None:
    """Those that read ahead die of it, before they have read all: that is no error."""
    action = f"open('children', 'w').write(' '.join(children)); os.killpg(0, {int(number)})"
    command = ("train", dense, "--resume", "--workers", workers, *OPTIONS, "--batch-size", 1)
    running = commands.run(*command, before=THIRD_STEP.format(action=action))
    said = running.said.read_text()
    assert running.code == 128 + number, said
    assert "stopped after step 3 (epoch 1); go on with: dilannot train --resume -o run" in said
    assert "Traceback" not in said
    assert not running.errors
    readers = [int(child) for child in (tmp_path / "children").read_text().split()]
    assert len(readers) == workers
    until(lambda: not any(map(is_alive, readers)), seconds=5)
    assert set(contents(tmp_path / "run")) == {STATE, "markers.tsv", "run.json", "settings.toml"}
    assert commands.run("train", "--resume").code == 0
    assert contents(tmp_path / "run") == wholes[1]


def test_a_killed_reader_ends_the_training_and_costs_no_checkpoint(
    commands: Commands, dense: Path, wholes: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    action = "[os.kill(int(child), signal.SIGKILL) for child in children[:1]]"
    command = ("train", dense, "--resume", *OPTIONS, "--batch-size", 1)
    assert commands.run(*command, before=THIRD_STEP.format(action="os.kill(os.getpid(), signal.SIGTERM)")).code == 143
    began = time.monotonic()
    running = commands.run(*command, "--workers", 2, before=THIRD_STEP.format(action=action))
    assert time.monotonic() - began < 30
    assert running.code == 3
    [line] = running.errors
    assert f"{dense}: a process that reads the dataset has died (killed? out of memory?); use fewer --workers" in line
    assert commands.run("train", "--resume").code == 0
    assert contents(tmp_path / "run") == wholes[1]


def test_a_second_signal_ends_at_once(commands: Commands, dense: Path, tmp_path: Path) -> None:
    """Here while the checkpoint of the first is being written, to a disk that does not answer."""
    slow = """
import dilannot.training.loop, time
from pathlib import Path
dilannot.training.loop.save_state = lambda *_: (Path("saving").touch(), time.sleep(100))
"""
    running = commands.start(
        "train", dense, *OPTIONS, before=slow + THIRD_STEP.format(action="os.kill(os.getpid(), 15)")
    )
    until((tmp_path / "saving").exists)
    running.kill(signal.SIGTERM)
    began = time.monotonic()
    assert running.wait() == 143
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("resume", [False, True])
def test_a_training_that_is_slower_to_begin_leaves_the_other_alone(
    dense: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    """The other begins and ends between the first look at the folder and the lock."""
    network = dilannot.training.train._network

    def other_first(*given: Any, **named: Any) -> torch.nn.Module:
        monkeypatch.undo()
        ALL.run(dense, tmp_path / "run")
        return network(*given, **named)

    monkeypatch.setattr("dilannot.training.train._network", other_first)
    with pytest.raises(DilannotError, match="holds a run already"):
        ALL.run(dense, tmp_path / "run", resume=resume)
    assert contents(tmp_path / "run") == whole


def test_only_one_training_goes_on(commands: Commands, dense: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    run = tmp_path / "run"
    with signal_in_step(signal.SIGTERM, 2), pytest.raises(SystemExit):
        ALL.run(dense, run)
    before = contents(run)
    with locked(run):
        refused = commands.run("train", "--resume")
    assert refused.code == 3
    assert f"error: run: another dilannot is writing here (pid {os.getpid()} on " in refused.errors[0]
    assert contents(run) == before
    assert commands.run("train", "--resume").code == 0
    assert contents(run) == whole
