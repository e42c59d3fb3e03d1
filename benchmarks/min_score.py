"""What a track costs: runs per 1,000 nt and bytes, by the least score that is kept, the bin and the precision.

    python benchmarks/min_score.py RUN GENOME [--write PAGE]

Annotates 20 stretches of 50,000 nt, evenly spread over the longest contig, with a trained run; of each class, the means
over its markers. The last columns say what the least score loses: how much of the bases in called peaks is still in the
track, in the worst marker.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyBigWig
from page import put

from dilannot.annotate.annotate import annotate
from dilannot.annotate.plan import Scope, Settings
from dilannot.formats.indexed_fasta import Genome
from dilannot.tracks import read_manifest

MARK = "<!-- made by benchmarks/min_score.py -->"
CASES = [
    ("everything", Settings(min_score=0)),
    ("from 0.01", Settings(min_score=0.01)),
    ("from 0.02", Settings(min_score=0.02)),
    ("the default", Settings()),
    ("from 0.05", Settings(min_score=0.05)),
    ("from 0.10", Settings(min_score=0.10)),
    ("the default, precision 0.001", Settings(precision=0.001)),
    ("the default, bins of 10", Settings(bin_length=10)),
    ("the default, bins of 25", Settings(bin_length=25)),
]


def stretches(genome: Path) -> list[str]:
    contig = max(Genome(genome).contigs.values(), key=lambda each: each.length)
    starts = np.linspace(contig.length * 0.02, contig.length * 0.95, 20).astype(int)
    return [f"{contig.name}:{start + 1}-{start + 50_000}" for start in starts]


def figures(folder: Path) -> dict[str, tuple[float, float, float]]:
    """Runs per 1,000 nt, bytes per 1,000 nt and part of the called bases that have a value, by class."""
    manifest = read_manifest(folder)
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for row in manifest["tracks"]:
        path, seen = folder / row["bigwig"], 0
        with pyBigWig.open(str(path)) as file:
            runs = sum(len(file.intervals(name) or ()) for name in file.chroms())
            for line in (folder / row["bed"]).read_text().splitlines()[1:]:
                contig, start, end = line.split("\t")[:3]
                seen += int(np.isfinite(np.array(file.values(contig, int(start), int(end)))).sum())
        per = manifest["nucleotides"] / 1000
        shown = seen / row["called_bases"] if row["called_bases"] else np.nan
        rows.setdefault(row["class"], []).append((runs / per, path.stat().st_size / per, shown))
    return {
        name: (*np.mean(np.array(of)[:, :2], axis=0), float(np.nanmean(np.array(of)[:, 2])))
        for name, of in rows.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("genome", type=Path)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    options = parser.parse_args()
    regions, lines = stretches(options.genome), []
    with tempfile.TemporaryDirectory() as scratch:
        for number, (title, settings) in enumerate(CASES):
            folder = Path(scratch) / str(number)
            annotate(
                options.run,
                options.genome,
                output=folder,
                scope=Scope(regions),
                settings=replace(settings, tile=50_000),
            )
            found = figures(folder)
            if not lines:
                lines = [f"| kept | {' | '.join(found)} | called bases shown |", "|---|" + "---:|" * (len(found) + 1)]
            cells = [f"{runs:.2f} ({size:.0f} B)" for runs, size, _ in found.values()]
            shown = ", ".join(f"{part:.0%}" for _, _, part in found.values())
            lines.append(f"| {title} | {' | '.join(cells)} | {shown} |")
            print(lines[-1], flush=True)
    print("\n".join(lines))
    if options.write:
        put(options.write, MARK, lines)
    print(
        f"min-score: {lines[5].split('|')[2].split('(')[0].strip()} runs per 1,000 nt of a marker by default (no goal)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
