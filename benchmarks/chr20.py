"""The whole way on a whole chromosome: build-data, one epoch of train, annotate 5 Mb; time, memory, size.

    python benchmarks/chr20.py FOLDER [--device cpu] [--write docs/reference/performance.md]

FOLDER holds chr20.fa.gz, peaks/ and markers.tsv (264 markers). Every command is a process of its own, timed from its
start to its end, its memory summed over itself and its children ten times a second. Goals: build-data in 60 s and
1.5 GB, a dataset of 60 MB, annotate in 3 GB. Exits 1 when one is missed. Takes some ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

import torch
from measured import measure

from dilannot.info import describe

REGION, REGION_NT = "chr20:20,000,000-25,000,000", 5_000_001
MARK = "<!-- made by benchmarks/chr20.py -->"


def processor() -> str:
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return f"{len(os.sched_getaffinity(0))} cores of {names[0] if names else platform.machine()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    options = parser.parse_args()
    data, page = options.folder.resolve(), options.write and options.write.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        built = measure("build-data", data / "chr20.fa.gz", data / "peaks", "--markers", data / "markers.tsv")
        record = describe(Path("dataset.h5"))
        bases = record["provenance"]["bases"]
        trained = measure("train", "--epochs", 1, "--device", options.device)
        nucleotides = record["windows"]["train"] * record["window"]
        tiles = {
            tile: measure("annotate", "-r", REGION, "-o", f"tracks-{tile}", "--tile", tile, "--device", options.device)
            for tile in (25_000, 100_000)
        }
        tracks = describe(Path("tracks-25000"))["bytes"] / 1e6
        os.chdir(data)
    where = processor() if options.device == "cpu" else torch.cuda.get_device_name(options.device)
    rows = [
        ("build-data", f"{bases:,} bp", built, f"{bases / built.seconds:,.0f} bp/s"),
        ("train, one epoch", f"{nucleotides:,} nt", trained, f"{nucleotides / trained.seconds:,.0f} nt/s"),
        *(
            (f"annotate, {tile // 1000}-kb tiles", f"{REGION_NT:,} nt", one, f"{REGION_NT / one.seconds:,.0f} nt/s")
            for tile, one in tiles.items()
        ),
    ]
    lines = [
        f"{record['markers']} markers, {where}, torch {torch.__version__}. Dataset {record['bytes'] / 1e6:.1f} MB; "
        f"tracks of 5 Mb {tracks:,.0f} MB.",
        "",
        "| command | amount | wall time | speed | peak memory |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {what} | {one.seconds:.1f} s | {speed} | {one.memory:.2f} GB |"
            for name, what, one, speed in rows
        ),
    ]
    print("\n".join(["", *lines, ""]))
    if page:
        before, _, rest = page.read_text().partition(MARK)
        _, _, after = rest.partition(MARK)
        page.write_text(f"{before}{MARK}\n" + "\n".join(lines) + f"\n{MARK}{after}")
    memory = max(one.memory for one in tiles.values())
    goals = [
        ("build-data seconds", built.seconds, 60.0),
        ("build-data GB", built.memory, 1.5),
        ("dataset MB", record["bytes"] / 1e6, 60.0),
        ("annotate GB", memory, 3.0),
    ]
    for name, figure, goal in goals:
        print(f"{name}: {figure:.2f} (goal {goal:g})")
    return int(any(figure > goal for _, figure, goal in goals))


if __name__ == "__main__":
    sys.exit(main())
