"""Decide everything about an annotation before work begins, and write down all that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import dilannot
from dilannot.annotate.blocks import Block, blocks_of
from dilannot.annotate.calls import MERGE_GAP, MIN_LENGTH, usable_thresholds
from dilannot.annotate.encode import Rules
from dilannot.annotate.finish import COMBINED
from dilannot.data.markers import Marker
from dilannot.errors import DilannotError
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Interval
from dilannot.metrics.thresholds import Rule
from dilannot.names import safe_names
from dilannot.progress import Progress
from dilannot.run import Run, Weights
from dilannot.scope import scope, select_markers

FINEST = 10_000  # steps of a probability
MIN_SCORE = 0.05


@dataclass(frozen=True, slots=True)
class Scope:
    """What is annotated.

    Attributes
    ----------
    regions
        `chr1`, `chr1:1,000-2,000`, `chr*` ... (1-based, inclusive); everything without any.
    regions_file
        BED of more.
    exclude
        Regions or BED files to leave out.
    markers
        Names, patterns, `class=...`; all without any.
    """

    regions: Sequence[str] = ()
    regions_file: Path | None = None
    exclude: Sequence[str] = ()
    markers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """How it is annotated.

    Attributes
    ----------
    precision
        Step of the probabilities in the tracks, 1/N.
    min_score
        Lower probabilities are left as gaps; None is `MIN_SCORE`, or half a marker's threshold where that is less.
    bin_length
        Tracks hold means over so many nt.
    both_strands
        Average over both strands.
    training_windows
        Independent windows as in training instead of exact tiles.
    tile
        Kept nt of a tile.
    threshold
        Probability from which positions are called, for all markers; None is each marker's own.
    call_at
        Which of its own: see `metrics.thresholds`. At `break-even` calls cover as much of the validation split as the
        peaks do.
    merge_gap, min_length
        Calls this close, nt, are one; shorter ones are dropped.
    bgzip, bigbed
        BEDs as bgzip with a tabix index; a bigBed of all calls.
    """

    precision: float = 0.01
    min_score: float | None = None
    bin_length: int = 1
    both_strands: bool = False
    training_windows: bool = False
    tile: int | None = None
    threshold: float | None = None
    call_at: Rule = "break-even"
    merge_gap: int = MERGE_GAP
    min_length: int = MIN_LENGTH
    bgzip: bool = False
    bigbed: bool = False

    def steps(self) -> int:
        """Levels of a probability above zero.

        Raises
        ------
        DilannotError
            The precision is no whole part of 1, or finer than `1 / FINEST`.
        """
        steps = round(1 / self.precision) if 0 < self.precision <= 1 else 0
        if not 1 <= steps <= FINEST or abs(1 / self.precision - steps) > 1e-6 * steps:
            raise DilannotError(
                f"a precision of {self.precision:g}", where="--precision", remedy=f"give 1/N, N up to {FINEST:,}: 0.01"
            )
        return steps

    def check(self) -> None:
        """Refuse what is out of range; NaN is."""
        self.steps()
        for name, least in (("bin_length", 1), ("merge_gap", 0), ("min_length", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {least} or more")
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise DilannotError(f"a score of {self.min_score:g}", where="--min-score", remedy="give 0 to 1")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise DilannotError(
                f"a threshold of {self.threshold:g}", where="--threshold", remedy="give a probability above 0"
            )


EVERYTHING, DEFAULTS = Scope(), Settings()


@dataclass(frozen=True, slots=True)
class Target:
    """What is annotated, resolved.

    Attributes
    ----------
    genome, regions
        Disjoint, in the genome's order.
    chosen
        Of the run's markers, by number.
    markers, names
        Those, and their file names.
    """

    genome: Genome
    regions: list[Interval]
    chosen: list[int]
    markers: list[Marker]
    names: list[str]


def find_target(run: Run, genome: Path | None, asked: Scope, progress: Progress) -> Target:
    """Open the genome, check it against the run's, resolve regions and markers.

    Raises
    ------
    DilannotError
        No genome where the run says it is, a recorded genome that changed, or a region or marker that is not there.
    """
    opened = Genome(genome or run.recorded_file("genome", "annotate"), progress)
    _compare_genome(run, opened, recorded=genome is None, progress=progress)
    chosen = select_markers(run.markers, asked.markers)
    regions = scope(opened.lengths, asked.regions, asked.regions_file, asked.exclude, progress=progress)
    # Of all markers: a name does not depend on which others are asked for.
    names = safe_names([marker.name for marker in run.markers], taken=(COMBINED,))
    return Target(opened, regions, chosen, [run.markers[i] for i in chosen], [names[i] for i in chosen])


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
    if changed:
        progress.warn(
            f"{genome.path} is not the genome this run was trained on: {changed[0]} differs (another assembly, or "
            "parts are masked); annotating it anyway"
        )
    elif trained and not trained.keys() & genome.contigs.keys():
        progress.warn(
            f"{genome.path} has no {next(iter(trained))}: whether it is the genome this run was trained on cannot be "
            "told; annotating it"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the result depends on, in numbers; `record` is what is kept of it.

    Attributes
    ----------
    target, settings
        As asked for.
    rules
        What is kept of probabilities.
    blocks
        In genome order.
    record
        Compared when an annotation goes on, and part of the manifest.
    """

    target: Target
    settings: Settings
    rules: Rules
    blocks: list[Block]
    record: dict[str, Any] = field(repr=False)


def make_plan(
    run: Run, target: Target, settings: Settings, loaded: Weights, tile: int, batch_size: int, device: str, shards: int
) -> Plan:
    """Put numbers to what was asked for.

    Parameters
    ----------
    run, loaded
        The run and its weights, with the thresholds of all markers.
    target, settings
        What was asked for.
    tile
        Tiles start on multiples of it, nt.
    batch_size
        Tiles predicted together: it can change last digits.
    device
        cpu or cuda: so can that.
    shards
        In how many parts it is made.
    """
    steps = settings.steps()
    if settings.threshold is not None:
        thresholds = np.full(len(target.chosen), settings.threshold)
    else:
        thresholds = usable_thresholds(loaded.thresholds, settings.call_at)[target.chosen]
    lowest = np.minimum(MIN_SCORE, thresholds / 2) if settings.min_score is None else settings.min_score
    least = np.maximum(np.ceil(lowest * steps - 1e-9), settings.min_score is None).astype(np.int64)
    least = np.broadcast_to(least, len(thresholds)).copy()
    rules = Rules(steps, least, thresholds.astype(np.float32), settings.merge_gap, settings.bin_length)
    blocks = blocks_of(target.regions, list(target.genome.contigs), tile)
    record = _record(run, loaded, target, settings, rules, tile) | {
        "batch_size": batch_size,
        "device": device,
        "shards": shards,
    }
    return Plan(target, settings, rules, blocks, record)


def _digest(run: Run) -> str:
    """Of what makes the same weights another network."""
    parts = run.output, run.arguments, run.code and run.code["sha256"], run.window, run.length
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _record(run: Run, loaded: Weights, target: Target, settings: Settings, rules: Rules, tile: int) -> dict[str, Any]:
    """In the order in which differences are told."""
    contigs = [[contig.name, contig.length, contig.md5] for contig in target.genome.contigs.values()]
    columns = zip(target.markers, target.names, rules.thresholds.tolist(), rules.least.tolist(), strict=True)
    return {
        "dilannot": dilannot.__version__,
        "model": run.model,
        "network_sha256": _digest(run),
        "weights_sha256": loaded.sha256,
        "epoch": loaded.epoch,
        "genome": target.genome.path.name,
        "contigs": contigs,
        "regions": [str(interval) for interval in target.regions],
        "precision": 1 / rules.steps,
        "min_score": settings.min_score,
        "bin": rules.bin_length,
        "rc": settings.both_strands,
        "window_mode": settings.training_windows,
        "tile": tile,
        "threshold": settings.threshold,
        "call_at": settings.call_at if settings.threshold is None else None,
        "merge_gap": settings.merge_gap,
        "min_length": settings.min_length,
        "bgzip": settings.bgzip,
        "bigbed": settings.bigbed,
        "markers": [
            {"marker": marker.name, "class": marker.marker_class, "file": name, "peaks": marker.file,
             "threshold": float(f"{threshold:.6g}") if np.isfinite(threshold) else None,
             "min_score": least / rules.steps}
            for marker, name, threshold, least in columns
        ],
    }  # fmt: skip
