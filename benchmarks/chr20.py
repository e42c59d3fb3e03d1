"""The whole way on a whole chromosome: build-data, one epoch of train, annotate it all; time, memory, size.

    python benchmarks/chr20.py FOLDER [--model hybrid] [--device cpu] [--write docs/reference/performance.md]

FOLDER holds chr20.fa.gz, peaks/ and markers.tsv (264 markers). Every command is a process of its own, timed from its
start to its end, its memory summed over itself and its children ten times a second. The tracks are read back at 1,000
random positions and compared with a forward pass of the network over the sequence around each. Goals: build-data in
60 s and 1.5 GB, a dataset of 60 MB, annotate in 2.5 GB, no value that differs by more than half a step. Exits 1 when
one is missed. Takes some ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyBigWig
import torch
from measured import measure
from page import put

from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Interval
from dilannot.genome.sequence import N
from dilannot.genome.tiles import cover
from dilannot.info import describe
from dilannot.models import context_of
from dilannot.run import load_network, read_run
from dilannot.tracks import read_manifest

POSITIONS = 1_000
MARK = "<!-- made by benchmarks/chr20.py -->"


def processor() -> str:
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return f"{len(os.sched_getaffinity(0))} cores of {names[0] if names else platform.machine()}"


def furthest(folder: Path, tracks: Path) -> float:
    """Largest difference of the tracks from the network's probabilities, at random positions with a base.

    A gap stands for all that lies below the least score; there, what the network says beyond it counts.
    """
    run, manifest = read_run(folder), read_manifest(tracks)
    network, genome = load_network(run).network.eval(), Genome(run.recorded_file("genome", "annotate"))
    context, (contig, length) = context_of(network), next(iter(genome.lengths.items()))
    known = np.flatnonzero(genome.fetch(contig, 0, length) != N)
    places = np.sort(np.random.default_rng(0).choice(known, POSITIONS, replace=False)).tolist()
    said = np.empty((len(manifest["tracks"]), POSITIONS))
    for of_marker, row in zip(said, manifest["tracks"], strict=True):
        with pyBigWig.open(str(tracks / row["bigwig"])) as file:
            of_marker[:] = [file.values(contig, place, place + 1)[0] for place in places]
    found = np.empty_like(said)
    with torch.inference_mode():
        for column, place in enumerate(places):
            (tile,) = cover(Interval(contig, place, place + 1), context.stride, context, length)
            codes = torch.from_numpy(genome.fetch(contig, tile.read_start, tile.read_end))[None]
            keep = place - tile.read_start, place - tile.read_start + 1
            found[:, column] = network(codes, keep=keep).sigmoid()[0, :, 0].numpy()
    least = np.array([row["min_score"] for row in manifest["tracks"]])[:, None]
    difference = np.where(np.isnan(said), np.maximum(found - (least - manifest["precision"]), 0), np.abs(found - said))
    return float(difference.max())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="hybrid")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    options = parser.parse_args()
    data, page = options.folder.resolve(), options.write and options.write.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        built = measure("build-data", data / "chr20.fa.gz", data / "peaks", "--markers", data / "markers.tsv")
        record = describe(Path("dataset.h5"))
        bases = record["provenance"]["bases"]
        trained = measure("train", "--model", options.model, "--epochs", 1, "--device", options.device)
        nucleotides = record["windows"]["train"] * record["window"]
        annotated = measure("annotate", "--device", options.device)
        tracks = describe(Path("tracks"))
        worst = furthest(Path("run"), Path("tracks"))
        os.chdir(data)
    where = processor() if options.device == "cpu" else torch.cuda.get_device_name(options.device)
    rows = [
        ("build-data", f"{bases:,} bp", built, f"{bases / built.seconds:,.0f} bp/s"),
        ("train, one epoch", f"{nucleotides:,} nt", trained, f"{nucleotides / trained.seconds:,.0f} nt/s"),
        ("annotate", f"{bases:,} nt", annotated, f"{bases / annotated.seconds:,.0f} nt/s"),
    ]
    lines = [
        f"`{options.model}`, {record['markers']} markers, {where}, torch {torch.__version__}. "
        f"Dataset {record['bytes'] / 1e6:.1f} MB; "
        f"tracks {tracks['bytes'] / 1e6:,.0f} MB; at {POSITIONS:,} random positions x {record['markers']} markers "
        f"the largest difference from a forward pass is {worst:.4f}.",
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
        put(page, MARK, lines)
    goals = [
        ("build-data seconds", built.seconds, 60.0),
        ("build-data GB", built.memory, 1.5),
        ("dataset MB", record["bytes"] / 1e6, 60.0),
        ("annotate GB", annotated.memory, 2.5),
        ("difference", worst, 0.00501),
    ]
    for name, figure, goal in goals:
        print(f"{name}: {figure:.2f} (goal {goal:g})")
    return int(any(figure > goal for _, figure, goal in goals))


if __name__ == "__main__":
    sys.exit(main())
