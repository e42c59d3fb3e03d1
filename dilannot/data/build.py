"""FASTA + peaks -> `dataset.h5`: windows, their sequence, their labels as intervals, and where all of it came from."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dilannot
from dilannot.data.labels import MarkerLabels, label_windows
from dilannot.data.markers import TABLE_NAME, Marker, count_by_class, find_peak_files, markers_of_files, read_table
from dilannot.data.splits import BUFFER, SPLITS, Mode, assign, default_mode
from dilannot.data.windows import MAX_EXCLUDED, MAX_N, WINDOW, WindowRule, Windows, cut_genome
from dilannot.data.write import WindowTable, genome_arrays, label_arrays, sequence_arrays, write_dataset
from dilannot.errors import DilannotError
from dilannot.formats.bed import read_intervals
from dilannot.formats.compression import check_input
from dilannot.formats.fasta import Contig
from dilannot.outputs import check_new_file, locked
from dilannot.progress import Progress, Silent


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build would read: markers in column order and the peak file of each."""

    markers: list[Marker]
    files: list[Path]
    ignored: list[Path]
    table: Path | None


def find_inputs(peaks: Sequence[Path], table: Path | None = None) -> Inputs:
    """Find peak files and their markers; a `markers.tsv` that lies in a peaks folder is used like `table`.

    Raises
    ------
    DilannotError
        No peak files, a bad table, a marker name twice.
    """
    files, ignored = find_peak_files(peaks)
    if table is None:
        found = [path / TABLE_NAME for path in peaks if (path / TABLE_NAME).is_file()]
        if len(found) > 1:
            raise DilannotError(
                f"two marker tables: here and {found[1]}", where=found[0], remedy="join them; use --markers"
            )
        table = found[0] if found else None
    if table is None:
        return Inputs(markers_of_files(files), files, ignored, None)
    markers, chosen = read_table(table, files)
    return Inputs(markers, chosen, ignored + [file for file in files if file not in chosen], table)


def build_dataset(
    genome: Path,
    peaks: Sequence[Path],
    output: Path,
    *,
    markers: Path | None = None,
    exclude: Sequence[Path] = (),
    window: int = WINDOW,
    max_n: float = MAX_N,
    max_excluded: float = MAX_EXCLUDED,
    split: Mode | None = None,
    seed: int = 0,
    force: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build a dense dataset (thesis Task 2): non-overlapping windows, a label for every nucleotide and marker.

    Parameters
    ----------
    genome
        FASTA, plain, bgzip or gzip.
    peaks
        Peak files and folders that hold some; one marker a file.
    output
        The dataset to write.
    markers
        Marker table; without it markers are named after their files.
    exclude
        BED files of regions to avoid.
    window
        Length in bp.
    max_n, max_excluded
        A window stays if at most this fraction of it is N, or excluded.
    split
        See `splits.assign`; default blocks, or chromosomes where DeepSEA's are there.
    seed
        Of the split.
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
    progress = progress or Silent()
    rule = WindowRule(window, max_n, max_excluded)
    check_new_file(output, force=force)
    check_input(genome)
    inputs = find_inputs(peaks, markers)
    _report_inputs(inputs, progress)
    with locked(output):
        windows = cut_genome(genome, exclude, rule, progress)
        mode, kept, table = _split(windows, split, seed)
        labels = _label(inputs, windows.contigs, table, window, progress)
        record = {
            "dilannot": dilannot.__version__,
            "command": command,
            "genome": _portable(genome, output.parent),
            "exclude": [_portable(path, output.parent) for path in exclude],
            "settings": {"window": window, "max_n": max_n, "max_excluded": max_excluded, "split": mode, "seed": seed},
            **_summary(inputs, windows, table, labels),
        }
        arrays = {
            **genome_arrays(windows.contigs, table),
            **sequence_arrays(windows, kept),
            **label_arrays(labels, inputs.markers, table, window),
        }
        write_dataset(output, arrays, record, window)
    return record


def _split(windows: Windows, mode: Mode | None, seed: int) -> tuple[Mode, NDArray[np.intp], WindowTable]:
    """The mode, the windows that get a split, and their table."""
    contig, start = np.concatenate(windows.contig), np.concatenate(windows.start)
    names = [record.name for record in windows.contigs]
    mode = mode or default_mode([names[i] for i in np.unique(contig)])
    splits = assign(mode, contig, start, windows.rule.length, names, seed)
    windows.counts["border"] = int((splits == BUFFER).sum())
    kept = np.flatnonzero(splits != BUFFER)
    return mode, kept, WindowTable(contig[kept], start[kept], splits[kept])


def summary_lines(record: dict[str, Any]) -> list[str]:
    """What a build kept and dropped, in sentences."""
    windows, dropped, unknown = record["windows"], record["windows_dropped"], record["peaks_on_unknown_contigs"]
    lines = [
        f"{record['bases']:,} bp, {sum(windows.values()):,} windows kept: "
        + ", ".join(f"{count:,} {name}" for name, count in windows.items())
        + f" (split by {record['settings']['split']})",
        f"windows dropped: {dropped['n']:,} for N, {dropped['excluded']:,} in excluded regions, {dropped['border']:,} "
        f"between splits; {dropped['short_contigs']:,} contigs are shorter than a window",
        f"{record['intervals']:,} label intervals",
    ]
    if unknown:
        names = ", ".join(f"{name} ({count:,})" for name, count in list(unknown.items())[:5])
        more = f" and {len(unknown) - 5} more contigs" if len(unknown) > 5 else ""
        lines.append(f"left out {sum(unknown.values()):,} peaks on contigs the genome lacks: {names}{more}")
    if record["ambiguous_bases"]:
        lines.append(f"{record['ambiguous_bases']:,} ambiguous IUPAC letters read as N")
    return lines


def _portable(path: Path, folder: Path) -> str:
    """A path given relative stays relative, now to the folder of the dataset: both can move together."""
    return str(path) if path.is_absolute() else os.path.relpath(path, folder)


def _report_inputs(inputs: Inputs, progress: Progress) -> None:
    classes = count_by_class(marker.marker_class for marker in inputs.markers)
    source = f" as {inputs.table} says" if inputs.table else "; classes guessed from file names"
    progress.say(f"{len(inputs.markers)} markers: {classes}{source}")
    if inputs.ignored:
        names = ", ".join(path.name for path in inputs.ignored[:5])
        more = f" and {len(inputs.ignored) - 5} more" if len(inputs.ignored) > 5 else ""
        progress.warn(
            f"left out {len(inputs.ignored)} file(s) that are no peak file or not in the table: {names}{more}"
        )


def _label(
    inputs: Inputs, contigs: list[Contig], table: WindowTable, window: int, progress: Progress
) -> list[MarkerLabels]:
    lengths = {contig.name: contig.length for contig in contigs}
    rows = {}
    for index, contig in enumerate(contigs):
        rows[contig.name] = np.full(contig.length // window, -1, np.int32)
        here = np.flatnonzero(table.contig == index)
        rows[contig.name][table.start[here] // window] = here
    labels = []
    with progress.task("reading peaks", len(inputs.files)) as task:
        for file in inputs.files:
            peaks = read_intervals(file)
            if not len(peaks.start):
                progress.warn(f"{file.name} holds no peaks: its marker has no positives")
            labels.append(label_windows(peaks, file, lengths, rows, window))
            task.advance(1, file.name)
            if len(peaks.start) and not len(labels[-1].window):
                progress.warn(f"none of the {len(peaks.start):,} peaks in {file.name} lies in a window that is kept")
    if not any(len(marker.window) for marker in labels):
        raise DilannotError(
            "no peak of any marker lies in a window that is kept",
            where=", ".join(map(str, inputs.files[:2])),
            remedy="use peaks and genome with the same contig names and assembly",
        )
    return labels


def _summary(inputs: Inputs, windows: Windows, table: WindowTable, labels: list[MarkerLabels]) -> dict[str, Any]:
    unknown: Counter[str] = Counter()
    for marker in labels:
        unknown.update(marker.unknown)
    dropped = ("n", "excluded", "border", "short_contigs", "tail_bases")
    return {
        "windows": {name: int((table.split == i).sum()) for i, name in enumerate(SPLITS)},
        "windows_dropped": {key: windows.counts[key] for key in dropped},
        "bases": sum(contig.length for contig in windows.contigs),
        "ambiguous_bases": sum(contig.ambiguous for contig in windows.contigs),
        "intervals": sum(len(marker.window) for marker in labels),
        "peaks_on_unknown_contigs": dict(sorted(unknown.items())),
        "excluded_contigs_unknown": windows.excluded_elsewhere,
        "files_left_out": sorted(path.name for path in inputs.ignored),
    }
