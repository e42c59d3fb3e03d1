"""The same command on the same inputs gives the same bytes, wherever and however it runs."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Inputs, make_inputs

from dilannot.data.build import build_dataset
from dilannot.data.settings import BuildSettings, Task

ARGUMENTS = {"dense": ("--window", "500"), "window": ("--task", "window", "--bin", "50", "--context", "75")}
PLACES = {
    "plain": {},
    "another/folder": {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C"},
    "a third one": {"PYTHONHASHSEED": "2", "TZ": "UTC", "LC_ALL": "tr_TR.UTF-8", "PYTHONUTF8": "0"},
}


def files_made_anew(folder: Path, seed: str) -> None:
    """Write the peak files once more in another order, so that the disk lists them in another."""
    files = sorted(folder.iterdir())
    random.Random(seed).shuffle(files)
    for file in files:
        shutil.copy(file, file.with_suffix(".tmp"))
        file.unlink()
        file.with_suffix(".tmp").rename(file)
        os.utime(file, (1e9, 1e9 + len(seed)))


def build(folder: Path, environment: dict[str, str], *arguments: str) -> bytes:
    command = [sys.executable, "-m", "dilannot", "build-data", "genome.fa", "peaks", "-q", *arguments]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, **environment})
    data = (folder / "dataset.h5").read_bytes()
    (folder / "dataset.h5").unlink()
    return data


@pytest.mark.parametrize("task", ARGUMENTS)
def test_a_dataset_has_the_same_bytes_everywhere(tmp_path: Path, task: Task) -> None:
    results = []
    for place, environment in PLACES.items():
        made = make_inputs(tmp_path / place)
        files_made_anew(made.peak_folder, place)
        results.append(build(made.folder, environment, *ARGUMENTS[task]))
    assert len(results) == 3
    assert len(set(results)) == 1


@pytest.mark.parametrize("task", ARGUMENTS)
def test_a_dataset_does_not_depend_on_the_number_of_threads(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: Task
) -> None:
    monkeypatch.chdir(inputs.folder)
    settings = BuildSettings(task=task, window=500, bin=50, context=75)
    results = set()
    for threads in (1, 2, 7):
        output = tmp_path / "dataset.h5"
        build_dataset(inputs.genome, [inputs.peak_folder], output, settings, threads=threads, force=True)
        results.add(output.read_bytes())
    assert len(results) == 1
