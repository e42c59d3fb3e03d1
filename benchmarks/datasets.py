"""The parts of building and reading a dataset beside what people write instead, interleaved in one process.

    python benchmarks/datasets.py CHR20 PEAKS

CHR20 holds chr20.fa.gz, peaks/ and markers.tsv (264 markers); PEAKS is a folder of genome-wide peak files. Baselines:
gzip + str.split, tabix + Python, pyfaidx per window, a dict of lists and dense bits gzipped row by row, and plain
PyTorch training steps. Ratios of medians; goals are the least ratios (for bytes the most). Exits 1 when one is missed.
Takes some two minutes.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyfaidx
import pysam
import torch
from measured import report

from dilannot.data.build import build_dataset
from dilannot.data.dataset import Dataset
from dilannot.data.genome import read_genome
from dilannot.data.settings import BuildSettings
from dilannot.formats.bed import read_intervals
from dilannot.formats.fasta import read_blocks
from dilannot.models import build
from dilannot.progress import Silent
from dilannot.training.losses import interval_cross_entropy

WINDOW = 25_000
CODE = np.zeros(256, np.uint8)
for _code, _letter in enumerate("NACGT"):
    CODE[[ord(_letter), ord(_letter.lower())]] = _code


def interleaved(repeats: int, *functions: Callable[[], object]) -> list[float]:
    """Median seconds of each, taken in turns."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for own, function in zip(times, functions, strict=True):
            began = time.perf_counter()
            function()
            own.append(time.perf_counter() - began)
    return [statistics.median(own) for own in times]


def split_lines(path: Path) -> list[tuple[str, int, int]]:
    rows = []
    with gzip.open(path, "rt") as file:
        for line in file:
            if line.startswith(("#", "track", "browser")):
                continue
            fields = line.rstrip("\n").split("\t")
            rows.append((fields[0], int(fields[1]), int(fields[2])))
    return rows


def parsing(files: list[Path]) -> tuple[str, float, str, float]:
    theirs, ours = interleaved(
        3, lambda: [split_lines(file) for file in files], lambda: [read_intervals(file) for file in files]
    )
    count = sum(len(read_intervals(file).start) for file in files)
    print(
        f"parsing {count:,} peaks of {len(files)} files: gzip + split {theirs:.2f} s, dilannot {ours:.2f} s", flush=True
    )
    return "peak parsing", theirs / ours, "x", 4


def encoding(fasta: Path, length: int) -> list[tuple[str, float, str, float]]:
    """Codes of all windows of a chromosome: theirs as they come, ours checked, then also packed and digested (MD5)."""

    def windows(size: int, step: int, limit: int) -> None:
        genome = pyfaidx.Fasta(str(fasta), as_raw=True)
        for start in range(0, limit - size, step):
            CODE[np.frombuffer(genome["chr20"][start : start + size].encode(), np.uint8)]

    windows(WINDOW, WINDOW, length)  # makes the index
    part = length // 20
    dense, bins, codes, ours = interleaved(
        5,
        lambda: windows(WINDOW, WINDOW, length),
        lambda: windows(1000, 200, part),
        lambda: deque(read_blocks(fasta, digest=False), maxlen=0),
        lambda: read_genome(fasta, Silent()),
    )
    bins *= length / part
    print(
        f"encoding {length:,} bp: pyfaidx per 1,000 bp of every bin {bins:.2f} s (from a twentieth), per 25,000 bp "
        f"{dense:.3f} s; dilannot, checked, {codes:.3f} s, packed and digested too {ours:.3f} s"
    )
    return [
        ("FASTA encoding, windows of 25,000 bp", dense / codes, "x", 2.5),
        ("FASTA encoding, packing and MD5, 1,000 bp", bins / ours, "x", 2.5),
    ]


def look_up(
    dataset: Dataset, peaks: dict[str, list[tuple[str, int, int]]], folder: Path
) -> tuple[str, float, str, float]:
    """All markers in one sorted, bgzipped BED with a tabix index, asked for one window after the other."""
    columns = {name: column for column, name in enumerate(peaks)}
    rows = sorted((c, s, e, name) for name, own in peaks.items() for c, s, e in own)
    bed = folder / "all.bed"
    bed.write_text("".join(f"{c}\t{s}\t{e}\t{name}\n" for c, s, e, name in rows))
    tabix = pysam.TabixFile(pysam.tabix_index(str(bed), preset="bed", force=True))
    chosen = np.random.default_rng(0).permutation(len(dataset.start))[:1000]

    def ask_tabix() -> None:
        for row in chosen.tolist():
            begin = int(dataset.start[row])
            found = []
            for line in tabix.fetch("chr20", begin, begin + WINDOW):
                _, start, end, name = line.split("\t")
                found.append((columns[name], max(int(start) - begin, 0), min(int(end) - begin, WINDOW)))

    theirs, ours = interleaved(
        3, ask_tabix, lambda: [dataset.labels(chosen[at : at + 64]) for at in range(0, 1000, 64)]
    )
    print(f"labels of 1,000 windows: tabix + Python {theirs:.3f} s, dilannot, 64 at a time, {ours:.4f} s")
    return "window label look-up", theirs / ours, "x", 100


def straightforward(fasta: Path, files: list[Path], output: Path) -> None:
    """The script everybody writes: a dict of lists, pyfaidx per window, dense bits gzipped row by row."""
    genome = pyfaidx.Fasta(str(fasta), as_raw=True)
    length = len(genome["chr20"])
    labels: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for column, file in enumerate(files):
        for _, start, end in split_lines(file):
            for window in range(start // WINDOW, (end - 1) // WINDOW + 1):
                begin = window * WINDOW
                labels[window].append((column, max(start - begin, 0), min(end - begin, WINDOW)))
    with h5py.File(output, "w") as file:
        shape = (length // WINDOW, WINDOW)
        sequence = file.create_dataset("sequence", shape, "u1", chunks=(1, WINDOW), compression="gzip")
        bits = file.create_dataset(
            "labels",
            (shape[0], len(files), WINDOW // 8),
            "u1",
            chunks=(1, len(files), WINDOW // 8),
            compression="gzip",
        )
        row = 0
        for window in range(shape[0]):
            letters = genome["chr20"][window * WINDOW : (window + 1) * WINDOW]
            codes = CODE[np.frombuffer(letters.encode(), np.uint8)]
            if (codes == 0).sum() > 0.1 * WINDOW:
                continue
            dense = np.zeros((len(files), WINDOW), bool)
            for column, start, end in labels[window]:
                dense[column, start:end] = True
            sequence[row], bits[row] = codes, np.packbits(dense, axis=1)
            row += 1


def building(fasta: Path, folder: Path, files: list[Path], work: Path) -> tuple[str, float, str, float]:
    theirs, ours = interleaved(
        3,
        lambda: straightforward(fasta, files, work / "plain.h5"),
        lambda: build_dataset(
            fasta, [folder / "peaks"], work / "ours.h5", markers=[str(folder / "markers.tsv")], force=True
        ),
    )
    print(f"chr20, {len(files)} markers: straightforward script {theirs:.1f} s, build-data {ours:.2f} s")
    return "whole build of one contig", theirs / ours, "x", 6


def training_speed(step: Callable[[], int], seconds: float = 8) -> float:
    """nt/s of a training step."""
    step()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += step()
    return done / (time.perf_counter() - began)


def serving_speed(dataset: Dataset, batch_size: int) -> float:
    speeds = []
    for epoch in range(5):
        began = time.perf_counter()
        count = sum(b.inputs["sequence"].numel() for b in dataset.batches("train", batch_size, shuffle_seed=(0, epoch)))
        speeds.append(count / (time.perf_counter() - began))
    return statistics.median(speeds)


def serving(path: Path, batch_size: int) -> tuple[str, float, str, float]:
    """Against the dilated network on dense windows, logistic regression (the lightest there is) on bins."""
    with Dataset(path) as dataset:
        markers = len(dataset.markers)
        batch = next(dataset.batches("train", batch_size, shuffle_seed=(0, 0)))
        dense = dataset.task == "dense"
        network = build("dilated", markers) if dense else torch.nn.Linear(4 * dataset.length, markers)
        optimizer = torch.optim.SGD(network.parameters(), 0.1)

        def step() -> int:
            codes = batch.inputs["sequence"]
            if dense:
                logits = network(codes)
            else:
                one_hot = torch.eye(5)[:, 1:][codes.int()].flatten(1)
                logits = network(one_hot)[:, :, None]
            optimizer.zero_grad()
            interval_cross_entropy(logits, batch.targets, batch.mask).backward()
            optimizer.step()
            return codes.numel()

        training, reading = training_speed(step), serving_speed(dataset, batch_size)
    name = "dilated" if dense else "logistic regression"
    print(
        f"{dataset.task}, {markers} markers: {name} trains at {training:,.0f} nt/s, batches are read at "
        f"{reading:,.0f} nt/s"
    )
    return f"serving {dataset.task} batches / training", reading / training, "x", 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chr20", type=Path)
    parser.add_argument("peaks", type=Path)
    given = parser.parse_args()
    files = sorted((given.chr20 / "peaks").glob("*.gz"))
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        fasta = work / "chr20.fa"
        fasta.write_bytes(gzip.decompress((given.chr20 / "chr20.fa.gz").read_bytes()))
        rows = [building(fasta, given.chr20, files, work)]
        rows.append(parsing(sorted(given.peaks.glob("*Peak.gz"))))
        with Dataset(work / "ours.h5") as dataset:
            by_file = {marker.file: marker.name for marker in dataset.markers}
            peaks = {by_file[file.name]: split_lines(file) for file in files}
            rows.append(look_up(dataset, peaks, work))
            rows += encoding(fasta, dataset.contigs[0]["length"])
        bins = BuildSettings(task="window")
        build_dataset(
            fasta, [given.chr20 / "peaks"], work / "bins.h5", bins, markers=[str(given.chr20 / "markers.tsv")]
        )
        rows += [serving(work / "ours.h5", 8), serving(work / "bins.h5", 64)]
        with h5py.File(work / "ours.h5") as file:
            stored = sum(item.id.get_storage_size() for item in file["labels"].values()) / len(file["labels/marker"])
    print()
    missed = report("build-data against a straightforward script", rows, at_least=True)
    print(f"label interval: {stored:.2f} bytes (goal 7)")
    return int(missed or stored > 7)


if __name__ == "__main__":
    sys.exit(main())
