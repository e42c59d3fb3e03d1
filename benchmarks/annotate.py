"""End to end: `annotate` against the way of the peers, for 919 markers; CPU time, bytes, two threads, memory.

    python benchmarks/annotate.py RUN GENOME [--region chr20:20,000,001-21,000,000] [--repeats 3] [--write PAGE]

RUN is a trained `dilated`; its last layer is repeated up to 919 markers, so that what it says is what a trained network
says. The peers' way: plain PyTorch modules on 25-kb tiles with their context, float32 probabilities of a contig
collected in memory, `pyBigWig.addEntries` (fixed step, numpy values, 10 zoom levels). Both on one thread, in turns, in
one process; CPU time, medians. Then `annotate` with 1 and 2 threads in turns (wall time), and the memory of `annotate`
as a process of its own on this region and one four times as long. Exits 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyBigWig
import torch
from measured import measure, report
from numpy.typing import NDArray
from page import put
from training_step import Plain
from wide import widened

from dilannot.annotate.annotate import annotate
from dilannot.annotate.plan import Scope
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Interval, parse_region
from dilannot.genome.tiles import cover
from dilannot.models import context_of
from dilannot.run import Run, load_network, read_run
from dilannot.tracks import read_manifest

MARK = "<!-- made by benchmarks/annotate.py -->"
TILE = 25_000
WARM_UP = "chr20:100,001-200,000"  # compiles what is compiled


class Peer:
    """The way of the peers."""

    def __init__(self, run: Run, genome: Genome) -> None:
        network = load_network(run).network
        self.context, self.genome = context_of(network), genome
        self.plain = Plain(len(run.markers), 0.0)
        self.plain.load_state_dict(dict(zip(self.plain.state_dict(), network.state_dict().values(), strict=True)))
        self.plain.eval()

    def annotate(self, region: Interval, folder: Path) -> NDArray[np.float32]:
        """Bigwigs of float32 probabilities; those of the contig."""
        length = self.genome.contigs[region.contig].length
        collected = []
        with torch.inference_mode():
            for tile in cover(region, TILE, self.context, length):
                codes = self.genome.fetch(tile.contig, tile.read_start, tile.read_end)
                whole = torch.sigmoid(self.plain(torch.from_numpy(codes)[None]))[0].numpy()
                collected.append(whole[:, tile.keep_start - tile.read_start : tile.keep_end - tile.read_start])
        contig = np.concatenate(collected, axis=1)
        folder.mkdir()
        for marker, values in enumerate(contig):
            file = pyBigWig.open(str(folder / f"{marker}.bw"), "w")
            file.addHeader(list(self.genome.lengths.items()), maxZooms=10)
            file.addEntries(region.contig, region.start, values=values, span=1, step=1)
            file.close()
        return contig


def size_of(folder: Path, ending: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(f"*{ending}"))


def side_by_side(run: Run, genome: Path, region: str, repeats: int, scratch: Path) -> dict[str, float]:
    opened = Genome(genome)
    interval, _ = parse_region(region, opened.lengths)
    peer, seconds, sizes = Peer(run, opened), {"peer": [], "ours": []}, {}
    for _ in range(repeats):
        for name in seconds:
            # A new folder, and nothing deleted: ext4 is slow to make files for five seconds after that.
            folder = Path(tempfile.mkdtemp(dir=scratch)) / name
            began = time.process_time()
            if name == "peer":
                values = peer.annotate(interval, folder)
            else:
                annotate(run.folder, genome, output=folder, scope=Scope([region]), threads=1)
            seconds[name].append(time.process_time() - began)
            sizes[name] = size_of(folder, ".bw")
    worst = furthest(values, folder, interval)
    assert worst <= 0.005 + 1e-5, f"tracks differ from probabilities by {worst}"
    taken = {name: statistics.median(times) for name, times in seconds.items()}
    for name in taken:
        per_nt = taken[name] / len(interval) * 1e6
        print(f"{name:5s} {taken[name]:8.2f} s CPU, {per_nt:6.2f} us/nt, {sizes[name] / 1e6:9.2f} MB of bigWig")
    return {"cpu": taken["peer"] / taken["ours"], "bytes": sizes["peer"] / sizes["ours"], "seconds": taken["ours"]}


def furthest(values: NDArray[np.float32], folder: Path, interval: Interval) -> float:
    """Largest difference between probabilities and what the tracks of some markers say where they say something."""
    rows = read_manifest(folder)["tracks"]
    worst = 0.0
    for marker in range(0, len(rows), 97):
        with pyBigWig.open(str(folder / rows[marker]["bigwig"])) as file:
            said = np.array(file.values(interval.contig, interval.start, interval.end), np.float64)
        worst = max(worst, float(np.nanmax(np.abs(said - values[marker]), initial=0.0)))
    return worst


def threads_ratio(run: Run, genome: Path, region: str, repeats: int, scratch: Path) -> float:
    walls: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeats):
        for threads, times in walls.items():
            folder = Path(tempfile.mkdtemp(dir=scratch)) / "threads"
            began = time.perf_counter()
            annotate(run.folder, genome, output=folder, scope=Scope([region]), threads=threads)
            times.append(time.perf_counter() - began)
    one, two = (statistics.median(times) for times in walls.values())
    print(f"1 thread {one:.2f} s, 2 threads {two:.2f} s")
    return one / two


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("genome", type=Path)
    parser.add_argument("--region", default="chr20:20,000,001-21,000,000")
    parser.add_argument("--markers", type=int, default=919)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    options = parser.parse_args()
    torch.set_num_threads(1)
    genome = options.genome.resolve()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        annotate(options.run, genome, output=scratch / "warm", scope=Scope([WARM_UP]))
        run = widened(read_run(options.run), scratch / "run", options.markers)
        interval, _ = parse_region(options.region, Genome(genome).lengths)
        part = f"{interval.contig}:{interval.start + 1}-{interval.start + 100_000}"
        long = f"{interval.contig}:{interval.start + 1}-{interval.start + 4 * len(interval)}"
        rows, lines = [], []
        # The long one once: the peers take five minutes for it.
        for title, region, repeats in (
            (f"{len(interval):,} nt", options.region, 1),
            ("100,000 nt", part, options.repeats),
        ):
            print(f"-- {title}, {options.markers} markers")
            found = side_by_side(run, genome, region, repeats, scratch)
            rows += [(f"CPU time, {title}", found["cpu"], "x", 12), (f"bytes, {title}", found["bytes"], "x", 15)]
        many = f"{interval.contig}:{interval.start + 1}-{interval.start + 12 * len(interval)}"
        ratio = threads_ratio(run, genome, many, options.repeats, scratch)
        rows.append((f"2 threads, {12 * len(interval):,} nt", ratio, "x", 1.7))
        peaks = [
            measure("annotate", run.folder, genome, "-r", region, "-o", scratch / f"m{i}", "-q").memory
            for i, region in enumerate((options.region, long))
        ]
        print(f"memory: {peaks[0]:.2f} GB, of a region four times as long {peaks[1]:.2f} GB")
        rows.append(("2.5 GB over memory", 2.5 / max(peaks), "x", 1))
    lines = [f"| {name} | {figure:.1f}x | {goal:g}x |" for name, figure, _, goal in rows]
    if options.write:
        put(options.write, MARK, ["| | dilannot | at least |", "|---|---:|---:|", *lines])
    return report("annotate, CPU time against the peers' way", rows, at_least=True)


if __name__ == "__main__":
    sys.exit(main())
