"""build-data at the scale of hg19, 3.1 Gbp and 919 peak files of 30,000 peaks: time, memory, size of both datasets.

    python benchmarks/hg19_scale.py [--work FOLDER] [--threads 2]

Makes a random genome with hg19's contig lengths and peak files with ENCODE's columns (FOLDER keeps them, some 4 GB).
Goals: dense in 180 s and 3 GB of memory, at most 1.2 GB and 7 bytes an interval; windows in 300 s. Exits 1 when one is
missed.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import numpy as np
from measured import measure, report

from dilannot.data.published import published_markers

# hg19's assembled chromosomes, bp; they hold 99.6 % of its 3,137,161,264.
LENGTHS = {
    "chr1": 249_250_621, "chr2": 243_199_373, "chr3": 198_022_430, "chr4": 191_154_276, "chr5": 180_915_260,
    "chr6": 171_115_067, "chr7": 159_138_663, "chrX": 155_270_560, "chr8": 146_364_022, "chr9": 141_213_431,
    "chr10": 135_534_747, "chr11": 135_006_516, "chr12": 133_851_895, "chr13": 115_169_878, "chr14": 107_349_540,
    "chr15": 102_531_392, "chr16": 90_354_753, "chr17": 81_195_210, "chr18": 78_077_248, "chr20": 63_025_520,
    "chrY": 59_373_566, "chr19": 59_128_983, "chr22": 51_304_566, "chr21": 48_129_895, "chrM": 16_571,
}  # fmt: skip
PEAKS = 30_000
WIDTH = 50


def write_genome(path: Path) -> None:
    """Random bases in both cases, in lines of 50 as UCSC writes them; telomeres, a centromere and gaps of N."""
    random = np.random.default_rng(0)
    with open(path, "wb") as file:
        for name, length in LENGTHS.items():
            letters = np.frombuffer(b"ACGTacgt", np.uint8)[random.integers(0, 8, length, np.uint8)]
            for begin, size in (
                (0, 10_000),
                (length * 2 // 5, length // 16),
                *((length // 9 * i, 50_000) for i in range(9)),
            ):
                letters[begin : begin + size] = ord("N")
            rows = length // WIDTH
            lines = np.full((rows, WIDTH + 1), ord("\n"), np.uint8)
            lines[:, :WIDTH] = letters[: rows * WIDTH].reshape(rows, WIDTH)
            file.write(f">{name}\n".encode() + lines.tobytes())
            if tail := letters[rows * WIDTH :].tobytes():
                file.write(tail + b"\n")


def write_peaks(path: Path, seed: int) -> None:
    """One narrowPeak file, its lines in no order."""
    random = np.random.default_rng((1, seed))
    lengths = np.array(list(LENGTHS.values()))
    names = list(LENGTHS)
    contig = random.choice(len(names) - 1, PEAKS, p=lengths[:-1] / lengths[:-1].sum())
    width = np.clip(random.lognormal(5.8, 0.7, PEAKS), 50, 20_000).astype(int)
    start = (random.random(PEAKS) * (lengths[contig] - width)).astype(int)
    rows = zip(contig.tolist(), start.tolist(), (start + width).tolist(), (start % 1000).tolist(), strict=True)
    text = "".join(
        f"{names[c]}\t{begin}\t{end}\t.\t{score}\t.\t{score * 0.3137846:.13f}\t-1\t4.7523187649\t{(end - begin) // 2}\n"
        for c, begin, end, score in rows
    )
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 6, raw, 0) as file:
        file.write(text.encode())


def prepare(folder: Path) -> None:
    if not (folder / "hg19.fa").exists():
        write_genome(folder / "hg19.tmp")
        (folder / "hg19.tmp").rename(folder / "hg19.fa")
    (folder / "peaks").mkdir(exist_ok=True)
    paths = [folder / "peaks" / published.marker.file for published in published_markers()]
    missing = [(path, seed) for seed, path in enumerate(paths) if not path.exists()]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write_peaks, *zip(*missing, strict=True), chunksize=8) if missing else [])


def run(folder: Path, threads: int) -> list[tuple[str, float, str, float]]:
    """Figures with the goal that each must not exceed."""
    rows = []
    for task, seconds in (("dense", 180), ("window", 300)):
        output = folder / f"{task}.h5"
        output.unlink(missing_ok=True)
        took = measure(
            "build-data", folder / "hg19.fa", folder / "peaks", "-o", output, "--task", task, "--threads", threads, "-q"
        )
        rows += [
            (f"{task}: seconds", took.seconds, "s", seconds),
            (f"{task}: memory", took.memory, "GB", 3),
            (f"{task}: file", output.stat().st_size / 1e9, "GB", 1.2),
        ]
        with h5py.File(output) as file:
            stored = sum(item.id.get_storage_size() for item in file["labels"].values())
            count = len(file["labels/marker"])
        rows.append((f"{task}: labels, {count:,}", stored / count, "bytes each", 7))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.work or Path(temporary)
        folder.mkdir(exist_ok=True)
        began = time.monotonic()
        prepare(folder)
        print(f"inputs made in {time.monotonic() - began:.0f} s", flush=True)
        sys.exit(report("hg19 scale", run(folder, given.threads)))


if __name__ == "__main__":
    main()
