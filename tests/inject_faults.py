# ruff: noqa: T201
"""Kill, starve and interrupt real commands at every call that writes; minutes to hours, so no test.

    python tests/inject_faults.py [--points 60] [--command annotate] [kill eio fsize tmpfs term int time]

Needs ../shared/tools/fault.py and Debian's strace; tmpfs needs root. Each kind prints how many points failed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import random_sequence, write_fasta
from small_annotations import OPTIONS, small_run
from small_datasets import small_dataset

TOOL = Path(__file__).parents[2] / "shared/tools/fault.py"
KINDS = ("kill", "eio", "fsize", "tmpfs", "term", "int", "time")

# Imports are most of the time of so small a command, and taking them down again is the rest.
FAST = """
import gc, sys
gc.disable()
sys.path.insert(0, {tests!r})
import dilannot.cli.console, {modules}
try:
    import torch._dynamo
except FileNotFoundError:  # no room for temporary files
    pass
gc.freeze()
gc.enable()
sys.argv[0] = "dilannot"
dilannot.cli.main()
"""
MODULES = {"train": "dilannot.training.train", "annotate": "dilannot.annotate.annotate, toy_models"}
TRAIN = (
    "--model dilated "
    "--set filters=4,6,4 --set dilations=1,1,3 --set deconvolution=4 --set hidden=5 --set kernel=5 --set stride=5 "
    "--set dropout=0.2 --batch-size 6 --reverse-complement --shift 9 --ema 0.9 --threads 1 --quiet --resume"
)
# A checkpoint after every step; and only those with which an epoch ends. With --force, also a rerun of an annotation
# that was killed in the moment after its last file was there ends well.
PLANS = {
    "train": {"steps": "--epochs 1 --checkpoint-minutes 0", "epochs": "--epochs 2"},
    "annotate": {"plain": "--quiet --force", "packed": "--quiet --force --bgzip --bigbed"},
}
# The tool knows hidden files by their own names, not by that of their folder.
HIDDEN = (
    *("--ignore", "*.log,.annotation/files/*"),
    *("--tmp", "*.tmp*,.*,annotation.json,published.json,part-*.blocks,finished.jsonl"),
)


def arguments(command: str, folder: Path) -> list[str]:
    if command == "train":
        return ["train", str(folder / "dense/dense.h5"), *TRAIN.split()]
    return ["annotate", str(folder / "run"), *map(str, OPTIONS)]


def inject(command: str, kind: str, plan: str, points: int, folder: Path) -> int:
    place = folder / f"{command}-{kind}-{plan}"
    place.mkdir()
    tool = [sys.executable, str(TOOL), "--out", str(place / "out"), "--kind", kind, "--points", str(points)]
    fast = FAST.format(tests=str(Path(__file__).parent), modules=MODULES[command])
    given = [*arguments(command, folder), "-o", str(place / "out"), *PLANS[command][plan].split()]
    print(f"{command} {plan}: ", end="", flush=True)
    return subprocess.run([*tool, *HIDDEN, "--", sys.executable, "-c", fast, *given], check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=60)
    parser.add_argument("--command", choices=PLANS, help="only this one")
    parser.add_argument("kinds", nargs="*", metavar="KIND", default=KINDS)
    given = parser.parse_args()
    for needed, there in ((str(TOOL), TOOL.is_file()), ("strace", shutil.which("strace"))):
        if not there:
            print(f"skipped: needs {needed}")
            return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small_dataset(folder / "dense", "dense")
        contigs = {"a": random_sequence(30_000, 1), "b": random_sequence(20_000, 2)}
        small_run(folder / "run", write_fasta(folder / "genome.fa", contigs), 2)
        return max(
            inject(command, kind, plan, given.points, folder)
            for kind in given.kinds
            for command in ([given.command] if given.command else PLANS)
            for plan in PLANS[command]
        )


if __name__ == "__main__":
    sys.exit(main())
