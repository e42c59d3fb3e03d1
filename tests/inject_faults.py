# ruff: noqa: T201
"""Kill, starve and interrupt a real `dilannot train --resume` at every call that writes; minutes to hours, so no test.

    python tests/inject_faults.py [--points 60] [kill eio fsize tmpfs term int time]

Needs ../shared/tools/fault.py and Debian's strace; tmpfs needs root. Each kind prints how many points failed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from small_datasets import small_dataset

TOOL = Path(__file__).parents[2] / "shared/tools/fault.py"
KINDS = ("kill", "eio", "fsize", "tmpfs", "term", "int", "time")

# Imports are most of the time of so small a training, and taking them down again is the rest.
FAST = """
import gc, sys
gc.disable()
import dilannot.cli.console, dilannot.training.train
try:
    import torch._dynamo
except FileNotFoundError:  # no room for temporary files
    pass
gc.freeze()
gc.enable()
sys.argv[0] = "dilannot"
dilannot.cli.main()
"""
OPTIONS = (
    "--set filters=4,6,4 --set dilations=1,1,3 --set deconvolution=4 --set hidden=5 --set kernel=5 --set stride=5 "
    "--set dropout=0.2 --batch-size 6 --reverse-complement --shift 9 --ema 0.9 --threads 1 --quiet"
)
# A checkpoint after every step; and only those with which an epoch ends.
PLANS = {"steps": "--epochs 1 --checkpoint-minutes 0", "epochs": "--epochs 2"}


def inject(kind: str, plan: str, points: int, folder: Path) -> int:
    dataset, place = folder / "dense/dense.h5", folder / f"{kind}-{plan}"
    place.mkdir()
    train = ["train", str(dataset), "-o", str(place / "run"), "--resume", *OPTIONS.split(), *PLANS[plan].split()]
    tool = [sys.executable, str(TOOL), "--out", str(place / "run"), "--kind", kind, "--points", str(points)]
    print(f"{plan}: ", end="", flush=True)
    return subprocess.run(
        [*tool, "--ignore", "*.log", "--", sys.executable, "-c", FAST, *train], check=False
    ).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=60)
    parser.add_argument("kinds", nargs="*", metavar="KIND", default=KINDS)
    given = parser.parse_args()
    for needed, there in ((str(TOOL), TOOL.is_file()), ("strace", shutil.which("strace"))):
        if not there:
            print(f"skipped: needs {needed}")
            return 0
    with tempfile.TemporaryDirectory() as folder:
        small_dataset(Path(folder) / "dense", "dense")
        return max(inject(kind, plan, given.points, Path(folder)) for kind in given.kinds for plan in PLANS)


if __name__ == "__main__":
    sys.exit(main())
