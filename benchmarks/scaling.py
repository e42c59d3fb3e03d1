"""Training by two processes on two cores, beside one process on one core: nt/s, and how many times as fast.

    python benchmarks/scaling.py [--markers 919] [--windows 24] [--batch 2] [--epochs 3] [--repeats 3] [--write PAGE]

`dilated` on a random genome with random peaks, made here. One process has one thread and is kept on one core; two are
started by torchrun, with one thread each, and share the same steps: batches, loss and weights are those of the one.
They take turns. Speeds are those that the runs tell (`timing.log`: training, without validation), medians over epochs
(but the first) and turns. Exits 1 when two are less than 1.7 times as fast. Takes some five minutes.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from chr20 import processor
from page import put

from dilannot.data.build import build_dataset
from dilannot.data.settings import WINDOW, BuildSettings

GOAL = 1.7
MARK = "<!-- made by benchmarks/scaling.py -->"
PEAK = 300  # bp; those of a marker cover 2 % of the genome


def make_dataset(folder: Path, markers: int, windows: int) -> Path:
    """A dataset of random bases and peaks: `windows` to learn from, and two for each of the other splits."""
    random = np.random.default_rng(0)
    contigs = {"learn": windows * WINDOW, "validation": 2 * WINDOW, "test": 2 * WINDOW}
    with open(folder / "genome.fa", "w") as file:
        for name, length in contigs.items():
            file.write(f">{name}\n{''.join(random.choice(list('ACGT'), length))}\n")
    (folder / "peaks").mkdir()
    for marker in range(markers):
        with open(folder / "peaks" / f"cell{marker:03d}_CTCF.bed", "w") as file:
            for name, length in contigs.items():
                starts = random.integers(0, length - PEAK, length // PEAK // 50)
                file.writelines(f"{name}\t{start}\t{start + PEAK}\n" for start in starts)
    settings = BuildSettings(split="chromosomes", validation_chroms=("validation",), test_chroms=("test",))
    build_dataset(folder / "genome.fa", [folder / "peaks"], folder / "dataset.h5", settings)
    return folder / "dataset.h5"


def train(dataset: Path, processes: int, batch: int, epochs: int) -> list[float]:
    """nt/s of every epoch but the first."""
    run = dataset.with_name("run")
    start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *start, "-m", "dilannot", "train", str(dataset), "-o", str(run), "--force", "--quiet"]
    command += ["--model=dilated", f"--batch-size={batch}", f"--epochs={epochs}", "--threads=1", "--device=cpu"]
    cores = sorted(os.sched_getaffinity(0))[:processes]
    subprocess.run(
        command,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    with open(run / "timing.log", newline="") as file:
        return [float(row["nt_per_s"]) for row in csv.DictReader(file)][1:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markers", type=int, default=919)
    parser.add_argument("--windows", type=int, default=24, help="of 25,000 bp in an epoch")
    parser.add_argument("--batch", type=int, default=2, help="windows a step, over all processes")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    options = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("this needs two cores")
    speeds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as scratch:
        dataset = make_dataset(Path(scratch), options.markers, options.windows)
        for _ in range(options.repeats):
            for processes, made in speeds.items():
                made += train(dataset, processes, options.batch, options.epochs)
                print(f"{processes}: {made[-1]:,.0f} nt/s", flush=True)
    medians = {processes: statistics.median(made) for processes, made in speeds.items()}
    lines = [
        f"`dilated`, {options.markers} markers, {options.batch} windows of {WINDOW:,} bp a step, gloo; two of "
        f"{processor()}, torch {torch.__version__}.",
        "",
        "| processes | threads of each | nt/s | lowest to highest | times as fast |",
        "|---:|---:|---:|---:|---:|",
        *(
            f"| {processes} | 1 | {medians[processes]:,.0f} | {min(made):,.0f} to {max(made):,.0f} "
            f"| {medians[processes] / medians[1]:.2f} |"
            for processes, made in speeds.items()
        ),
    ]
    print("\n".join(["", *lines, ""]))
    if options.write:
        put(options.write, MARK, lines)
    scaling = medians[2] / medians[1]
    print(f"scaling of 2 processes: {scaling:.2f}x (goal {GOAL}x)")
    return int(scaling < GOAL)


if __name__ == "__main__":
    sys.exit(main())
