"""The workflows in examples/ make the tracks that one process makes, byte for byte."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import EXAMPLES, Inputs, make_run

from dilannot.annotate.annotate import annotate
from dilannot.annotate.plan import Scope, Settings

WORKFLOWS = EXAMPLES / "workflows"
FOUND = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
THIN = {"filters": (6, 8, 4), "hidden": 5, "dilations": (1, 1, 3), "deconvolution": 4, "kernel": 5}
SNAKEMAKE = shutil.which("snakemake", path=FOUND)

# Runs what it is given at once: the tasks of an array, last one first, or the command that waits for them.
SBATCH = """#!/bin/bash
while true; do
  case $1 in
    --array=1-*) tasks=${1#--array=1-} ;;
    --dependency=*) [ "$1" = --dependency=afterok:7 ] || exit 9 ;;
    --wrap) exec bash -c "$2" ;;
    --*) ;;
    *) break ;;
  esac
  shift
done
for task in $(seq "$tasks" -1 1); do
  SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=$tasks SLURM_ARRAY_TASK_COUNT=$tasks \\
    bash "$@" >&2 || exit 9
done
echo "7;cluster"
"""


@pytest.fixture(scope="module")
def run_folder(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run", inputs.genome, "dilated", **THIN)


def contents(folder: Path) -> dict[str, bytes]:
    """All files, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def launched(*command: object, **variables: str) -> str:
    """What a command printed that has to succeed, without the variables of whatever started the tests."""
    foreign = ("SLURM_", "RANK", "WORLD_SIZE", "LOCAL_RANK")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment = {**environment, "PATH": FOUND, **variables}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_task_of_an_array_by_hand_and_then_all_of_them(run_folder: Path, inputs: Inputs, tmp_path: Path) -> None:
    (sbatch := tmp_path / "bin" / "sbatch").parent.mkdir()
    sbatch.write_text(SBATCH)
    sbatch.chmod(0o755)
    tracks = tmp_path / "my tracks"
    command = ("bash", WORKFLOWS / "slurm-array.sh", 2, run_folder, inputs.genome, tracks, "--rc")
    by_hand = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "2"}
    assert "shard 2/2 is done" in launched(*command, **by_hand)
    printed = launched(*command, PATH=f"{sbatch.parent}{os.pathsep}{FOUND}")
    assert f"into {tracks}" in printed  # the plan comes first
    assert "going on: 2 of 2 blocks are there" in printed  # what was done stays
    annotate(run_folder, inputs.genome, output=tmp_path / "whole", settings=Settings(both_strands=True))
    assert contents(tracks) == contents(tmp_path / "whole")


@pytest.mark.skipif(SNAKEMAKE is None, reason="needs snakemake (extra workflows)")
def test_snakemake(run_folder: Path, inputs: Inputs, tmp_path: Path) -> None:
    tracks, whole = tmp_path / "my tracks", tmp_path / "whole"
    config = [
        f"run={run_folder}", f"genome={inputs.genome}", f"output={tracks}", "shards=3", "threads=1",
        "regions=chr1:1,001-20,000 chr2", "options=--markers 'A|1,G C' --bgzip",
    ]  # fmt: skip
    command = [SNAKEMAKE, "--snakefile", WORKFLOWS / "Snakefile", "--directory", tmp_path, "--cores", 1]
    cache = str(tmp_path / "cache")
    launched(*command, "--config", *config, XDG_CACHE_HOME=cache)
    scope = Scope(regions=("chr1:1,001-20,000", "chr2"), markers=("A|1", "G C"))
    annotate(run_folder, inputs.genome, output=whole, scope=scope, settings=Settings(bgzip=True))
    assert contents(tracks) == contents(whole)
    assert "Nothing to be done" in launched(*command, "--config", *config, XDG_CACHE_HOME=cache)
