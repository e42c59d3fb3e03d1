"""Two processes (gloo, on this machine) train as one does, stop together, and end together."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from rank_cases import LONG, SAME, SHAPES, histograms, norm_case, normed
from safetensors.torch import load_file
from small_datasets import small_dataset
from small_trainings import THIN, contents

from dilannot.errors import DilannotError
from dilannot.ranks import _own_device, _who, first_node

pytestmark = pytest.mark.usefixtures("one_thread")

CASES = REPOSITORY / "tests" / "rank_cases.py"
LIMIT = 90.0  # seconds that processes may take on a busy machine
FILES = ("metrics.csv", "best.safetensors", "last.safetensors")
OPTIONS = (
    "--epochs=12", "--batch-size=6", "--learning-rate=0.01", "--ema=0.9", "--reverse-complement", "--seed=3",
    "--threads=1", "--device=cpu", "--model=dilated",
    *(f"--set={name}={str(value).replace(' ', '')}" for name, value in THIN.items()),
)  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("host", "host"),
        ("a,b", "a"),
        ("gpu[01-03,07]", "gpu01"),
        ("gpu[01-03,07],login2", "gpu01"),
        ("gpu[7],login2", "gpu7"),
        ("n[1,3]-ib", "n1-ib"),
        ("n[1-3]-ib,m", "n1-ib"),
        ("rack[2-3]node[05-16]", "rack2node05"),
        ("node-1,node-2", "node-1"),
        ("10.0.0.[12-13]", "10.0.0.12"),
        ("cn01.cluster.example,cn02.cluster.example", "cn01.cluster.example"),
    ],
)
def test_the_first_of_slurms_machines(nodes: str, first: str) -> None:
    assert first_node(nodes) == first


SLURM = {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1", "SLURM_JOB_ID": "123456"}
TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}


@pytest.mark.parametrize(
    ("environment", "who"),
    [
        ({}, (0, 1, 0)),
        (TORCHRUN, (3, 4, 1)),
        ({"RANK": "0", "WORLD_SIZE": "1"}, (0, 1, 0)),
        (SLURM, (5, 8, 1)),
        # torchrun within a task of srun; a shell in an allocation, a batch script, a single task.
        (SLURM | TORCHRUN, (3, 4, 1)),
        ({"SLURM_NTASKS": "8", "SLURM_JOB_ID": "7"}, (0, 1, 0)),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_JOB_NODELIST": "a,b"}, (0, 1, 0)),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, (0, 1, 0)),
    ],
)
def test_who_a_process_is(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], who: tuple[int, int, int]
) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert _who(environment) == who


def test_where_slurms_processes_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = set()
    for step in range(3):
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.delenv(name, raising=False)
        _who(
            SLURM
            | {"SLURM_STEP_NODELIST": "gpu[03,07]", "SLURM_JOB_NODELIST": "gpu[01-07]", "SLURM_STEP_ID": f"{step}"}
        )
        assert os.environ["MASTER_ADDR"] == "gpu03"
        ports.add(int(os.environ["MASTER_PORT"]))
    assert len(ports) == 3
    assert all(10_000 <= port < 30_000 for port in ports)
    monkeypatch.setenv("MASTER_ADDR", "chosen")
    _who(SLURM)
    assert os.environ["MASTER_ADDR"] == "chosen"


@pytest.mark.parametrize(
    ("device", "local", "seen", "wanted"),
    [
        ("cpu", 1, 0, "cpu"),
        ("auto", 1, 4, "cuda:1"),
        ("cuda", 3, 4, "cuda:3"),
        ("cuda:2", 1, 4, "cuda:2"),
        # Every task of SLURM's --gpus-per-task=1 sees one GPU, its own.
        ("auto", 3, 1, "cuda:0"),
    ],
)
def test_every_process_has_its_own_gpu(
    monkeypatch: pytest.MonkeyPatch, device: str, local: int, seen: int, wanted: str
) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert _own_device(device, local) == torch.device(wanted)
    assert chosen == ([] if device == "cpu" else [torch.device(wanted)])


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(DilannotError, match="no device 'cuda:2' here"):
        _own_device("auto", 2)


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


Start = Callable[..., list[subprocess.Popen[str]]]


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    named = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_", "SLURM_", "TORCHELASTIC_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(named)}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **more}


@pytest.fixture
def start() -> Iterator[Start]:
    """Start processes, and leave none behind."""
    started: list[subprocess.Popen[str]] = []

    def run(command: list[object], *environments: Mapping[str, str]) -> list[subprocess.Popen[str]]:
        for each in environments:
            started.append(
                subprocess.Popen(
                    [sys.executable, *map(str, command)],
                    env=_environment(each),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        return started[-len(environments) :]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def srun(start: Start, *arguments: object) -> list[subprocess.Popen[str]]:
    """Two tasks of a step, as `srun` starts them."""
    shared = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "localhost", "MASTER_PORT": free_port()}
    tasks = [{"SLURM_PROCID": f"{rank}", "SLURM_LOCALID": f"{rank}", **shared} for rank in range(2)]
    return start(["-m", "dilannot", "train", *arguments], *tasks)


def until(process: subprocess.Popen[str], text: str) -> None:
    """Wait for a line on stderr."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"ended without saying {text!r}")


def ended(processes: list[subprocess.Popen[str]]) -> tuple[list[int], list[str]]:
    """Exit codes and what stood on stderr; nothing does on stdout."""
    told = [process.communicate(timeout=LIMIT) for process in processes]
    assert all(not out for out, _ in told)
    return [process.returncode for process in processes], [err for _, err in told]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The folder of what two processes have made, and what each of them has found."""
    folder = tmp_path_factory.mktemp("ranks")
    for task in ("dense", "window"):
        small_dataset(folder / task, task).path.rename(folder / f"{task}.h5")  # type: ignore[arg-type]
    ports = [free_port() for _ in range(len(SAME) + 7)]
    names = ("RANK", "LOCAL_RANK")
    processes = [
        subprocess.Popen(
            [sys.executable, str(CASES), str(folder), *ports],
            env=_environment({"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", **dict.fromkeys(names, f"{rank}")}),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=LIMIT)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return folder, [torch.load(folder / f"found-{rank}.pt", weights_only=False) for rank in range(2)]


def rows(run: Path) -> list[dict[str, float]]:
    with open(run / "metrics.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", SAME)
def test_two_processes_train_as_one_does(cases: tuple[Path, Any], tmp_path: Path, name: str) -> None:
    folder, _ = cases
    SAME[name].run(folder / f"{SAME[name].task}.h5", tmp_path / "run")
    one, two = rows(tmp_path / "run"), rows(folder / name)
    assert len(one) == len(two)
    for left, right in zip(one, two, strict=True):
        assert left == pytest.approx(right, rel=1e-4, abs=1e-5, nan_ok=True)
    assert len({row["train_loss"] for row in two}) == len(two)
    for which in ("best", "last"):
        weights = [load_file(run / f"{which}.safetensors") for run in (tmp_path / "run", folder / name)]
        for key, value in weights[0].items():
            torch.testing.assert_close(weights[1][key], value, rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm_is_that_of_the_whole_batch(cases: tuple[Path, Any], shape: tuple[int, ...], affine: bool) -> None:
    norm, features, gradient = norm_case(shape, affine)
    whole = normed(norm.double(), features.double(), gradient.double())
    parts = [found["norms"][shape, affine] for found in cases[1]]
    for name, wanted in whole.items():
        for rank, part in enumerate(parts):
            made = part[name]
            if name in ("output", "input"):
                wanted_here = wanted[rank::2]
            else:
                wanted_here = wanted
                # Gradients of weights add up, as all gradients of a step do; statistics are known to all.
                made = sum(each[name] for each in parts) if name in ("weight", "bias") else made
            torch.testing.assert_close(made.to(wanted.dtype), wanted_here, rtol=1e-5, atol=2e-4)


def test_histograms_of_processes_add_up_to_those_of_one(cases: tuple[Path, Any]) -> None:
    folder, found = cases
    everything, positive, loss = histograms(folder / "dense.h5")
    assert everything.sum() > positive.sum() > 0
    for each in found:
        assert np.array_equal(each["histograms"][0], everything)
        assert np.array_equal(each["histograms"][1], positive)
        assert each["histograms"][2] == pytest.approx(loss, rel=1e-6)


def test_what_the_first_decides_all_do(cases: tuple[Path, Any]) -> None:
    for each in cases[1]:
        assert each["first"] == pytest.approx([1.0, np.nan], nan_ok=True)


def test_only_the_first_process_speaks(cases: tuple[Path, Any]) -> None:
    first, second = (found["lines"] for found in cases[1])
    for name, lines in first.items():
        assert lines[0].endswith("on cpu (1 thread), 2 processes"), name
        assert sum(line.startswith("epoch 1/") for line in lines) == 1
        assert second[name] == []


def test_no_thread_outlives_a_training(cases: tuple[Path, Any]) -> None:
    for each in cases[1]:
        assert not [name for name in each["threads"] if "gloo" in name]


def test_a_signal_to_one_process_stops_both_and_they_go_on_bit_for_bit(cases: tuple[Path, Any]) -> None:
    folder, found = cases
    # Who got the signal leaves with its code.
    assert found[0]["codes"] == [143, 143]
    assert found[1]["codes"] == [138, 143]
    assert contents(folder / "stopped") == contents(folder / "long")


def test_an_error_that_all_meet_is_told_by_one(cases: tuple[Path, Any]) -> None:
    folder, found = cases
    told = sorted(each["small batch"] for each in found)
    assert "a step of 1 windows (of 17) has none for some of 2 processes" in told[0]
    assert told[1] == "left with 1"
    assert not (folder / "refused").exists()


def test_an_error_of_the_first_ends_all(cases: tuple[Path, Any]) -> None:
    folder, (first, second) = cases
    assert first["existing run"].startswith(f"{folder / 'long'}: holds a run already")
    assert second["existing run"] == "left with 1"


def test_stopped_under_srun_it_goes_on_under_torchrun(cases: tuple[Path, Any], tmp_path: Path, start: Start) -> None:
    folder, run = cases[0], tmp_path / "run"
    tasks = srun(start, folder / "dense.h5", "-o", run, *OPTIONS)
    until(tasks[0], "epoch 2/")
    for task in tasks:
        task.send_signal(signal.SIGUSR1)
    codes, (first, second) = ended(tasks)
    assert codes == [138, 138]
    assert "stopped after step" in first
    assert second == ""
    assert (run / ".checkpoint.safetensors").exists()
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "dilannot", "train"]
    (torchrun,) = start([*command, "-o", run, "--resume"], {})
    (code,), (told,) = ended([torchrun])
    assert code == 0, told
    lines = told.splitlines()
    assert lines[0].endswith("on cpu (1 thread), 2 processes")
    assert lines[1].startswith("going on after step")
    assert lines[-1].endswith(f"next: dilannot evaluate {run}")
    assert [line.split(":")[0] for line in lines[2:-1]][-1] == f"epoch {LONG.settings.epochs}/{LONG.settings.epochs}"
    assert len(set(lines)) == len(lines)
    assert "arning" not in told
    for name in FILES:
        assert (run / name).read_bytes() == (folder / "long" / name).read_bytes(), name


def test_the_death_of_one_process_ends_the_other(cases: tuple[Path, Any], tmp_path: Path, start: Start) -> None:
    tasks = srun(start, cases[0] / "dense.h5", "-o", tmp_path / "run", *OPTIONS)
    until(tasks[0], "epoch 1/")
    tasks[1].kill()
    began = time.monotonic()
    codes, (first, _) = ended(tasks)
    assert codes == [3, -signal.SIGKILL]
    assert first.splitlines()[-1].startswith("error: lost another process of this training")
    assert "Traceback" not in first
    assert time.monotonic() - began < 30
