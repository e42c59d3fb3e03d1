"""FASTA + peaks -> `dataset.h5`: windows, their sequence, their labels as intervals, and where all of it came from."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dilannot
from dilannot.data.arrays import Arrays, WindowTable, genome_arrays, label_arrays, marker_arrays, sequence_arrays
from dilannot.data.genome import PackedContig, read_genome
from dilannot.data.grid import Grid
from dilannot.data.inputs import Inputs, find_inputs, report_inputs
from dilannot.data.labels import MarkerLabels, label_units
from dilannot.data.settings import BuildSettings, Mode
from dilannot.data.splits import OTHER, SPLITS, Candidates, assign, default_mode
from dilannot.data.windows import check_contigs, good_units, read_excluded
from dilannot.data.write import portable, write_dataset
from dilannot.errors import DilannotError
from dilannot.formats.bed import read_intervals
from dilannot.formats.compression import check_input
from dilannot.outputs import check_distinct, check_new_file, locked
from dilannot.progress import Progress, Silent

_DROPPED = ("n", "excluded", "edge", "no_tfbs", "border", "other_contigs", "short_contigs", "tail_bases")


def build_dataset(
    genome: Path,
    peaks: Sequence[Path],
    output: Path,
    settings: BuildSettings | None = None,
    *,
    markers: Sequence[str] = (),
    exclude: Sequence[Path] = (),
    threads: int | None = None,
    force: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build a dense (thesis Task 2) or a window dataset (DeepSEA, thesis Task 1).

    Parameters
    ----------
    genome
        FASTA, plain, bgzip or gzip.
    peaks
        Peak files and folders that hold some; one marker a file.
    output
        The dataset to write.
    settings
        Task, windows, labels, splits.
    markers
        Marker table, globs on marker names, or both; without a table markers are named after their files.
    exclude
        BED files of regions to avoid.
    threads
        Peak files read at the same time; one per core without it. The dataset does not depend on it.
    force
        Overwrite `output`.
    command
        Command line to record.

    Returns
    -------
    summary
        What was kept and dropped, as recorded in the dataset.

    Raises
    ------
    DilannotError
        Any input that cannot be used, before anything is left under `output`.
    """
    progress, settings = progress or Silent(), settings or BuildSettings()
    check_new_file(output, force=force)
    if genome.is_dir():
        raise DilannotError(
            "is a directory, not a file", where=genome, remedy="the genome comes first: GENOME PEAKS..."
        )
    check_input(genome)
    inputs = find_inputs(peaks, markers)
    check_distinct(output, inputs.read(genome, exclude))
    report_inputs(inputs, progress)
    with locked(output):
        check_new_file(output, force=force)  # another build may have finished just before
        bases = read_genome(genome, progress)
        grid = Grid.over([part.contig for part in bases], settings.unit)
        check_contigs(list(grid.index), settings)
        excluded, elsewhere = read_excluded(exclude, list(grid.index), progress)
        dropped: Counter[str] = Counter()
        keep = good_units(bases, genome, grid, excluded, settings, dropped)
        labels = _read_labels(inputs, grid, settings, threads or os.cpu_count() or 1, progress)
        record = {
            "dilannot": dilannot.__version__,
            "command": command,
            "genome": portable(genome, output.parent),
            "exclude": [portable(path, output.parent) for path in exclude],
            "excluded_contigs_unknown": elsewhere,
        }
        arrays = _assemble(_Read(bases, grid, inputs, labels, keep, dropped), settings, record, progress)
        write_dataset(output, arrays, record, task=settings.task, window=settings.unit, context=settings.reach)
    return record


@dataclass(slots=True)
class _Read:
    """Everything that was read: the genome, its grid, the labels of every marker, and which units can be windows."""

    bases: list[PackedContig]
    grid: Grid
    inputs: Inputs
    labels: list[MarkerLabels]
    keep: NDArray[np.bool_]
    dropped: Counter[str]


def _assemble(read: _Read, settings: BuildSettings, record: dict[str, Any], progress: Progress) -> Arrays:
    """Choose windows and markers; the dataset's arrays. `record` is completed, `read` emptied."""
    inputs, labels, too_few = _with_enough_peaks(read.inputs, read.labels, settings.min_peaks, progress)
    if settings.task == "window" and not settings.all_bins:
        _keep_tfbs_bins(read.keep, inputs, labels, read.dropped)
    mode, row_of, table = _split(read.grid, read.keep, settings, read.dropped)
    _check_labelled(inputs, labels, row_of, progress)
    record |= {"settings": settings.as_record(mode), **_summary(inputs, read.bases, labels, table, read.dropped)}
    arrays = {
        **genome_arrays(read.grid.contigs, table),
        **marker_arrays(labels, inputs.markers),
        **label_arrays(labels, row_of, table, settings.unit),
        **sequence_arrays(read.bases, table, settings),
    }
    record |= {"intervals": len(arrays["labels/marker"]), "markers_left_out": too_few}
    return arrays


def _read_labels(
    inputs: Inputs, grid: Grid, settings: BuildSettings, threads: int, progress: Progress
) -> list[MarkerLabels]:
    """The labels of every marker, in order, whatever thread came first."""

    def read(file: Path) -> MarkerLabels:
        return label_units(read_intervals(file), file, grid, settings)

    labels = []
    pool = ThreadPoolExecutor(threads)
    try:
        with progress.task("reading peaks", len(inputs.files)) as task:
            waiting = [pool.submit(read, file) for file in inputs.files]
            for file, future in zip(inputs.files, waiting, strict=True):
                labels.append(future.result())
                task.advance(1, file.name)
    finally:
        # After an error or Ctrl-C nobody waits for files that are half read.
        pool.shutdown(wait=len(labels) == len(inputs.files), cancel_futures=True)
    return labels


def _with_enough_peaks(
    inputs: Inputs, labels: list[MarkerLabels], least: int, progress: Progress
) -> tuple[Inputs, list[MarkerLabels], dict[str, int]]:
    """Leave out markers with fewer than `least` merged peaks on the genome."""
    enough = [marker.peaks_merged >= least for marker in labels]
    chosen = [i for i, good in enumerate(enough) if good]
    left_out = {inputs.markers[i].name: labels[i].peaks_merged for i, good in enumerate(enough) if not good}
    if not left_out:
        return inputs, labels, {}
    if not chosen:
        raise DilannotError(
            f"no marker has {least:,} peaks; the most is {max(left_out.values()):,}",
            where="--min-peaks",
            remedy="use a smaller number",
        )
    names = ", ".join(list(left_out)[:5]) + (" ..." if len(left_out) > 5 else "")
    progress.warn(f"left out {len(left_out)} marker(s) with fewer than {least:,} peaks: {names}")
    markers, files = [inputs.markers[i] for i in chosen], [inputs.files[i] for i in chosen]
    return replace(inputs, markers=markers, files=files), [labels[i] for i in chosen], left_out


def _keep_tfbs_bins(keep: NDArray[np.bool_], inputs: Inputs, labels: list[MarkerLabels], dropped: Counter[str]) -> None:
    """Strike the bins without any TFBS label, as DeepSEA did."""
    bound = np.zeros(len(keep), bool)
    for marker, found in zip(inputs.markers, labels, strict=True):
        if marker.marker_class == "TFBS":
            bound[found.unit] = True
    dropped["no_tfbs"] += int((keep & ~bound).sum())
    keep &= bound
    if not any(marker.marker_class == "TFBS" for marker in inputs.markers):
        raise DilannotError(
            f"none of the {len(inputs.markers)} markers is of class TFBS, whose bins are kept",
            where="--task window",
            remedy="use --all-bins to keep all bins, or a marker table that says which are TFBS",
        )
    if not keep.any():
        raise DilannotError("no bin has a TFBS label", where="--task window", remedy="use --all-bins to keep all bins")


def _split(
    grid: Grid, keep: NDArray[np.bool_], settings: BuildSettings, dropped: Counter[str]
) -> tuple[Mode, NDArray[np.int32], WindowTable]:
    """The mode, the row of every unit (-1: not kept), and the window table."""
    units = np.flatnonzero(keep)
    contig = grid.contig_of(units)
    candidates = Candidates(contig, (units - grid.first[contig]) * grid.unit, grid.contigs)
    mode = settings.split or default_mode(candidates, settings)
    splits = assign(mode, candidates, settings)
    kept = np.flatnonzero(splits < len(SPLITS))
    dropped["other_contigs"] += int((splits == OTHER).sum())
    dropped["border"] += len(units) - len(kept) - int((splits == OTHER).sum())
    row_of = np.full(grid.size, -1, np.int32)
    row_of[units[kept]] = np.arange(len(kept))
    return mode, row_of, WindowTable(contig[kept], candidates.start[kept], splits[kept])


def _check_labelled(inputs: Inputs, labels: list[MarkerLabels], row_of: NDArray[np.int32], progress: Progress) -> None:
    nothing = [not (row_of[marker.unit] >= 0).any() for marker in labels]
    if all(nothing):
        elsewhere = sorted({name for marker in labels for name in marker.unknown})
        where = f"; the peaks lie on {', '.join(elsewhere[:3])}" if elsewhere else ""
        raise DilannotError(
            f"no peak of any marker lies in a window that is kept{where}",
            where=", ".join(map(str, inputs.files[:2])),
            remedy="use peaks and genome with the same contig names and assembly",
        )
    empty = [file.name for file, marker in zip(inputs.files, labels, strict=True) if not marker.peaks_read]
    useless = [file.name for file, none in zip(inputs.files, nothing, strict=True) if none and file.name not in empty]
    for names, problem in ((empty, "without peaks"), (useless, "with no peak in a window that is kept")):
        if names:
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            progress.warn(f"{len(names)} peak file(s) {problem}, their markers have no positives: {shown}")
    _warn_of_unknown(labels, progress)


def _warn_of_unknown(labels: list[MarkerLabels], progress: Progress) -> None:
    unknown: Counter[str] = Counter()
    for marker in labels:
        unknown.update(marker.unknown)
    if unknown:
        left, read = sum(unknown.values()), sum(marker.peaks_read for marker in labels)
        names = ", ".join(f"{name} ({count:,})" for name, count in sorted(unknown.items())[:5])
        more = f" and {len(unknown) - 5} more contigs" if len(unknown) > 5 else ""
        progress.warn(
            f"left out {left:,} of {read:,} peaks ({left / read:.1%}) on contigs the genome lacks: {names}{more}"
        )


def _summary(
    inputs: Inputs,
    genome: list[PackedContig],
    labels: list[MarkerLabels],
    table: WindowTable,
    dropped: Counter[str],
) -> dict[str, Any]:
    unknown: Counter[str] = Counter()
    for marker in labels:
        unknown.update(marker.unknown)
    return {
        "markers": len(labels),
        "windows": {name: int((table.split == i).sum()) for i, name in enumerate(SPLITS)},
        "windows_dropped": {key: dropped[key] for key in _DROPPED},
        "bases": sum(part.contig.length for part in genome),
        "ambiguous_bases": sum(part.contig.ambiguous for part in genome),
        "peaks_on_unknown_contigs": dict(sorted(unknown.items())),
        "files_left_out": sorted(path.name for path in inputs.ignored),
    }


def summary_lines(record: dict[str, Any]) -> list[str]:
    """What a build kept and dropped, in sentences."""
    windows, dropped = record["windows"], record["windows_dropped"]
    reasons = {
        "n": "for N", "excluded": "in excluded regions", "edge": "at contig ends", "no_tfbs": "without a TFBS label",
        "border": "between splits", "other_contigs": "on contigs left out",
    }  # fmt: skip
    why = ", ".join(f"{dropped[key]:,} {reason}" for key, reason in reasons.items() if dropped[key])
    lines = [
        f"{record['bases']:,} bp, {sum(windows.values()):,} windows kept: "
        + ", ".join(f"{count:,} {name}" for name, count in windows.items())
        + f" (split by {record['settings']['split']})",
        f"windows dropped: {why or 'none'}{_short_contigs(dropped['short_contigs'])}",
        f"{record['intervals']:,} {'label intervals' if record['settings']['task'] == 'dense' else 'labels'} of "
        f"{record['markers']:,} {'marker' if record['markers'] == 1 else 'markers'}",
    ]
    if record["ambiguous_bases"]:
        lines.append(f"{record['ambiguous_bases']:,} ambiguous IUPAC letters read as N")
    return lines


def _short_contigs(count: int) -> str:
    return "" if not count else f"; {count:,} {'contig is' if count == 1 else 'contigs are'} shorter than a window"
