"""Annotate a genome with a run: one bigWig of probabilities and one BED of calls per marker."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import dilannot
from dilannot.annotate.calls import MERGE_GAP, MIN_LENGTH, CallRule, usable_thresholds
from dilannot.annotate.compress import LEVELS, run_lengths
from dilannot.annotate.plan import TRACK_BYTES, Plan, make_plan
from dilannot.annotate.store import Stage
from dilannot.annotate.stream import Stretch, stream
from dilannot.annotate.walk import walk_of
from dilannot.annotate.write import Track, Written, write_tracks
from dilannot.errors import DilannotError
from dilannot.outputs import check_space, locked, make_folder, publish, removed_if_empty, working_folder, write_json
from dilannot.predict import choose_device, predicting
from dilannot.progress import Progress, Silent
from dilannot.run import Run, Weights, Which, load_network, read_run
from dilannot.tracks import FORMAT, FORMAT_VERSION, MANIFEST, SUFFIXES, files_of, read_manifest

_STAGE = "runs.tmp"


@dataclass(frozen=True, slots=True)
class Annotation:
    """What was written where; `nucleotides` were predicted, N left out."""

    folder: Path
    nucleotides: int
    tracks: list[dict[str, Any]]


def annotate(
    run: Path,
    genome: Path | None = None,
    *,
    output: Path,
    regions: Sequence[str] = (),
    weights: Which = "best",
    threshold: float | None = None,
    merge_gap: int = MERGE_GAP,
    min_length: int = MIN_LENGTH,
    tile: int | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    processes: int | None = None,
    force: bool = False,
    trust_code: bool = False,
    progress: Progress | None = None,
) -> Annotation:
    """Stream regions of a genome through a run and write its tracks.

    Every position gets the probability that one pass over its whole contig would give it; from a network without a
    finite context (LSTM), that of the window in whose middle half it lies; from a network for windows, that of its bin.
    Unknown bases (N) get none.

    Parameters
    ----------
    run
        Run folder.
    genome
        FASTA; by default the one the run was trained on.
    output
        Folder for `MARKER.bw`, `MARKER.bed` and `tracks.json`.
    regions
        `chr1`, `chr1:1,000-2,000`, ... (1-based, inclusive); everything by default.
    weights
        Those of the best or the last epoch.
    threshold
        Probability from which positions are called, for all markers; by default each marker's own, at which calls
        cover as much of the validation split as its peaks do.
    merge_gap, min_length
        Calls this close, nt, are one; shorter ones are dropped.
    tile
        Kept nt of a tile; about 25,000 without it.
    batch_size
        Tiles predicted together; 1 on a CPU, 8 on a GPU by default.
    device
        auto, cpu, cuda or cuda:N.
    processes
        Writers at work at the same time; one per core by default.
    force
        Overwrite tracks that lie there.
    trust_code
        See `load_network`.

    Raises
    ------
    DilannotError
        Bad input, an output that is taken, or a disk that cannot hold it.
    """
    progress = progress or Silent()
    record, where = read_run(run), choose_device(device)
    plan = make_plan(record, genome, regions, progress)
    stale = _check_output(output, plan, force)
    loaded = load_network(record, weights, trust_code=trust_code)
    walk = walk_of(loaded.network, record, tile)
    if threshold is not None and not 0 < threshold <= 1:
        raise DilannotError(f"a threshold of {threshold}", where="--threshold", remedy="give a probability above 0")
    thresholds = usable_thresholds(np.full(len(plan.names), threshold) if threshold else loaded.thresholds).tolist()
    _warn_of_coarse_tracks(thresholds, progress)
    make_folder(output)
    rules = [CallRule(each, merge_gap, min_length) for each in thresholds]
    tracks = [Track(i, name, rule) for i, (name, rule) in enumerate(zip(plan.names, rules, strict=True))]
    with removed_if_empty(output), locked(output), working_folder(output) as work:
        check_space(output, plan.disk[0], f"annotating {plan.nucleotides:,} nt for {len(plan.names)} markers")
        with open(work / _STAGE, "wb") as handle:
            stage = Stage(handle, len(tracks), lambda runs: _check_tracks_fit(output, runs))
            with predicting(loaded.network.to(where)):
                stretches = stream(
                    walk,
                    plan.genome,
                    plan.regions,
                    thresholds=torch.tensor(thresholds, device=where),
                    batch_size=batch_size or _batch_size(where),
                    device=where,
                )
                nucleotides = _fill(stage, stretches, plan, progress)
        if not nucleotides:
            raise DilannotError("nothing but N in the regions asked for", where=plan.genome.path)
        written = _write(work, tracks, stage, plan.genome.lengths, processes or _cores(), progress)
        rows = [_row(record, track, written[track.marker]) for track in tracks]
        _finish(work, output, stale, _manifest(record, loaded, plan, nucleotides, rows))
    return Annotation(output, nucleotides, rows)


def _warn_of_coarse_tracks(thresholds: list[float], progress: Progress) -> None:
    low = sum(threshold < 1 / LEVELS for threshold in thresholds)
    if low:
        progress.warn(
            f"{low} of {len(thresholds)} markers are called below {1 / LEVELS}, the smallest step of a track: "
            "their bigWigs show little; their BEDs are right"
        )


def _check_tracks_fit(output: Path, runs: int) -> None:
    check_space(output, runs * TRACK_BYTES, f"the tracks so far ({runs:,} runs)")


def _finish(work: Path, output: Path, stale: list[Path], manifest: dict[str, Any]) -> None:
    # Without a manifest the folder counts as unfinished, whatever happens between here and the last line.
    (output / MANIFEST).unlink(missing_ok=True)
    publish(work, output, files_of(manifest))
    for path in stale:
        path.unlink(missing_ok=True)
    write_json(output / MANIFEST, manifest)


def _batch_size(device: torch.device) -> int:
    return 1 if device.type == "cpu" else 8


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_output(output: Path, plan: Plan, force: bool) -> list[Path]:
    """Refuse a folder in which anything would be overwritten; with `force`, the tracks there that go."""
    if not os.path.lexists(output):
        return []
    if not output.is_dir():
        raise DilannotError("exists and is not a directory", where=output, remedy="give another output folder")
    wanted = {name + suffix for name in plan.names for suffix in SUFFIXES}
    for name in sorted(wanted | {MANIFEST}):
        if (output / name).is_dir():
            raise DilannotError("is a directory, not a file", where=output / name, remedy="give another output folder")
        if os.path.lexists(output / name) and not force:
            raise DilannotError("exists already", where=output / name, remedy="use --force to overwrite, or another -o")
    if not (output / MANIFEST).exists():
        others = [name for name in os.listdir(output) if name not in wanted and not name.startswith(".")]
        if others:
            raise DilannotError(
                f"is a folder with other things in it ({others[0]})", where=output, remedy="give another -o"
            )
        return []
    return [output / name for name in sorted(set(files_of(read_manifest(output))) - wanted)]


def _fill(stage: Stage, stretches: Iterable[Stretch], plan: Plan, progress: Progress) -> int:
    """Stage everything; how many positions got a value."""
    nucleotides, began = 0, time.monotonic()
    with progress.task("annotating", plan.nucleotides) as task:
        for stretch in stretches:
            if stretch.codes is not None:
                stage.append(stretch.contig, run_lengths(stretch.codes, stretch.known, stretch.start))
                nucleotides += int(stretch.known.sum())
            task.advance(len(stretch), f"{nucleotides / (time.monotonic() - began):,.0f} nt/s")
    stage.flush()
    return nucleotides


def _write(
    work: Path, tracks: list[Track], stage: Stage, lengths: dict[str, int], processes: int, progress: Progress
) -> dict[int, Written]:
    written = {}
    with progress.task("writing tracks", len(tracks)) as task:
        for result in write_tracks(work, work / _STAGE, tracks, stage.pieces, lengths, processes):
            written[result.marker] = result
            task.advance(1)
    return written


def _row(run: Run, track: Track, written: Written) -> dict[str, Any]:
    marker = run.markers[track.marker]
    return {
        "marker": marker.name,
        "class": marker.marker_class,
        "bigwig": f"{track.name}.bw",
        "bed": f"{track.name}.bed",
        "threshold": track.rule.threshold,
        "bases": written.bases,
        "calls": written.calls,
        "called_bases": written.called_bases,
    }


def _manifest(run: Run, loaded: Weights, plan: Plan, nucleotides: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    contigs = {interval.contig: plan.genome.contigs[interval.contig] for interval in plan.regions}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "dilannot": dilannot.__version__,
        "model": run.model,
        "weights_sha256": loaded.sha256,
        "epoch": loaded.epoch,
        "genome": plan.genome.path.name,
        "contigs": {name: contig.md5 for name, contig in contigs.items()},
        "regions": [str(interval) for interval in plan.regions],
        "nucleotides": nucleotides,
        "step": 1 / LEVELS,
        "tracks": rows,
    }
