"""Decide everything about an annotation before work begins: regions, genome, names, memory and disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dilannot.annotate.names import safe_names
from dilannot.annotate.store import RUN_BYTES
from dilannot.errors import DilannotError
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Interval, merge, parse_region
from dilannot.progress import Progress
from dilannot.run import Run

# Runs of a marker in 1,000 nt: 12 from a network that has seen chr20 once, 93 from one that has learnt the example for
# ten epochs; with bins of 200 nt, of which there are 5, 0.02 after one epoch of the example and 1.1 after five.
_VALUES_A_RUN = 100  # at most
_NT_A_RUN = 10  # at least, or a bin
TRACK_BYTES = 4  # of a run in a bigWig with its zoom levels: 3.7


@dataclass(frozen=True, slots=True)
class Plan:
    """What an annotation is going to do; values change at most every `bin_length` nt."""

    genome: Genome
    regions: list[Interval]
    names: list[str]
    bin_length: int = 1

    @property
    def nucleotides(self) -> int:
        """Positions to predict, N included."""
        return sum(map(len, self.regions))

    @property
    def disk(self) -> tuple[int, int]:
        """Bytes it takes while it runs: at least about this, hardly more than that."""
        few = self.nucleotides // (_VALUES_A_RUN * self.bin_length)
        many = self.nucleotides // max(_NT_A_RUN, self.bin_length)
        run_bytes = len(self.names) * (RUN_BYTES + TRACK_BYTES)
        return few * run_bytes, many * run_bytes


def make_plan(run: Run, genome: Path | None, regions: Sequence[str], progress: Progress) -> Plan:
    """Open the genome, check it against the run's, resolve regions.

    Raises
    ------
    DilannotError
        No genome where the run says it is, a recorded genome that changed, or a region that is not in it.
    """
    opened = Genome(genome or run.recorded_file("genome", "annotate"), progress)
    _compare_genome(run, opened, recorded=genome is None, progress=progress)
    names = safe_names([marker.name for marker in run.markers])
    bin_length = run.window if run.output == "window" else 1
    return Plan(opened, resolve(regions, opened.lengths, progress), names, bin_length)


def _compare_genome(run: Run, genome: Genome, *, recorded: bool, progress: Progress) -> None:
    trained = {contig["name"]: contig["md5"] for contig in run.contigs}
    changed = [name for name, contig in genome.contigs.items() if trained.get(name, contig.md5) != contig.md5]
    if changed and recorded:
        raise DilannotError(
            f"{changed[0]} is not what the run was trained on "
            f"(MD5 {genome.contigs[changed[0]].md5} against {trained[changed[0]]})",
            where=genome.path,
            remedy="restore the FASTA, or name it as GENOME if the change is meant",
        )
    if changed or (trained and not trained.keys() & genome.contigs.keys()):
        progress.warn(f"{genome.path} is not the genome this run was trained on; annotating it anyway")


def resolve(regions: Sequence[str], lengths: dict[str, int], progress: Progress) -> list[Interval]:
    """Regions as typed to disjoint intervals in genome order; everything when there are none."""
    if not regions:
        return [Interval(name, 0, length) for name, length in lengths.items()]
    typed = []
    for text in regions:
        interval, warning = parse_region(text, lengths)
        typed.append(interval)
        if warning:
            progress.warn(warning)
    result = []
    for name in lengths:
        here = [interval for interval in typed if interval.contig == name]
        bounds = np.array([(interval.start, interval.end) for interval in here], np.int64).reshape(-1, 2)
        result += [Interval(name, *pair) for pair in zip(*(part.tolist() for part in merge(*bounds.T)), strict=True)]
    return result
