"""FASTA + peaks -> `dataset.h5`: windows, their sequence, their labels as intervals, and where all of it came from."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

import dilannot
from dilannot.data import schema
from dilannot.data.labels import MarkerLabels, label_windows
from dilannot.data.markers import FIELDS, Marker, count_by_class, find_peak_files, markers_of_files, read_table
from dilannot.data.markers import TABLE_NAME as MARKER_TABLE
from dilannot.data.splits import BUFFER, SPLITS, Mode, assign, default_mode
from dilannot.errors import DilannotError
from dilannot.formats.bed import read_intervals
from dilannot.formats.compression import check_input
from dilannot.formats.fasta import Contig, read_contigs
from dilannot.genome.intervals import Positions, merge, runs, split_into_windows
from dilannot.genome.sequence import Codes, N, pack
from dilannot.outputs import check_new_file, check_space, locked, replacing
from dilannot.progress import Progress, Silent

WINDOW = 25_000  # bp; thesis section 3.3, paper section 3
MAX_N = 0.1
MAX_EXCLUDED = 0.1
_MAX_WINDOW = 1 << 30


@dataclass(slots=True)
class _Windows:
    """Candidate windows of all contigs, kept ones only, in file order."""

    contig: list[NDArray[np.int32]] = field(default_factory=list)
    start: list[Positions] = field(default_factory=list)
    packed: list[NDArray[np.uint8]] = field(default_factory=list)
    n_window: list[Positions] = field(default_factory=list)
    n_start: list[Positions] = field(default_factory=list)
    n_end: list[Positions] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    kept: int = 0


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
    table = table or next((path / MARKER_TABLE for path in peaks if (path / MARKER_TABLE).is_file()), None)
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
    if not 1 <= window <= _MAX_WINDOW:
        raise DilannotError(f"a window of {window} bp", where="--window", remedy="25000 is the published length")
    check_new_file(output, force=force)
    check_input(genome)
    inputs = find_inputs(peaks, markers)
    _report_inputs(inputs, progress)
    excluded = _read_excluded(exclude)
    with locked(output):
        windows, contigs = _cut_windows(genome, excluded, window, max_n, max_excluded, progress)
        contig, start = np.concatenate(windows.contig), np.concatenate(windows.start)
        names = [record.name for record in contigs]
        mode = split or default_mode([names[i] for i in np.unique(contig)])
        splits = assign(mode, contig, start, window, names, seed)
        windows.counts["border"] = int((splits == BUFFER).sum())
        kept = np.flatnonzero(splits != BUFFER)
        table = _WindowTable(contig[kept], start[kept], splits[kept])
        labels = _label(inputs, contigs, table, window, progress)
        summary = _summary(inputs, contigs, windows.counts, table, labels)
        settings = {"window": window, "max_n": max_n, "max_excluded": max_excluded, "split": mode, "seed": seed}
        record = {
            "dilannot": dilannot.__version__,
            "command": command,
            "genome": _portable(genome, output.parent),
            "exclude": [_portable(path, output.parent) for path in exclude],
            "settings": settings,
            **summary,
        }
        arrays = {
            **_genome_arrays(contigs, table),
            **_sequence_arrays(windows, kept, window),
            **_label_arrays(labels, inputs, table, window),
        }
        _write(output, arrays, record, window)
    return record


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


def _read_excluded(paths: Sequence[Path]) -> dict[str, tuple[Positions, Positions]]:
    """Merged excluded intervals by contig."""
    found: dict[str, list[tuple[Positions, Positions]]] = {}
    for path in paths:
        regions = read_intervals(path)
        for index, name in enumerate(regions.contigs):
            here = regions.contig == index
            found.setdefault(name, []).append((regions.start[here], regions.end[here]))
    return {
        name: merge(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))
        for name, parts in found.items()
    }


def _cut_windows(
    genome: Path,
    excluded: dict[str, tuple[Positions, Positions]],
    window: int,
    max_n: float,
    max_excluded: float,
    progress: Progress,
) -> tuple[_Windows, list[Contig]]:
    windows = _Windows()
    contigs: list[Contig] = []
    with progress.task(f"reading {genome.name}", None) as task:
        for contig, codes in read_contigs(genome):
            _cut_contig(windows, len(contigs), codes, excluded.get(contig.name), window, max_n, max_excluded)
            contigs.append(contig)
            task.advance(contig.length, f"{contig.name}, {windows.kept:,} windows")
    unknown = set(excluded).difference(contig.name for contig in contigs)
    if excluded and len(unknown) == len(excluded):
        raise DilannotError("no contig in common with the genome", where="--exclude", remedy="use one assembly")
    if not windows.kept:
        raise DilannotError(
            f"no window of {window:,} bp is left ({_dropped(windows.counts)})",
            where=genome,
            remedy="use a smaller --window",
        )
    return windows, contigs


def _cut_contig(
    windows: _Windows,
    contig: int,
    codes: Codes,
    excluded: tuple[Positions, Positions] | None,
    window: int,
    max_n: float,
    max_excluded: float,
) -> None:
    """Cut one contig into windows and keep the good ones."""
    count = len(codes) // window
    windows.counts["short_contigs"] += count == 0
    windows.counts["tail_bases"] += len(codes) - count * window
    rows = codes[: count * window].reshape(count, window)
    too_many_n = np.count_nonzero(rows == N, axis=1) > max_n * window
    too_excluded = _excluded_bases(excluded, count, window) > max_excluded * window
    keep = ~too_many_n & ~too_excluded
    windows.counts["n"] += int(too_many_n.sum())
    windows.counts["excluded"] += int((too_excluded & ~too_many_n).sum())
    index = np.flatnonzero(keep)
    windows.contig.append(np.full(len(index), contig, np.int32))
    windows.start.append(index.astype(np.int64) * window)
    windows.packed.append(pack(rows[index]))
    piece, begin, end, _ = split_into_windows(*runs(codes[: count * window] == N), window)
    row = np.where(keep, np.cumsum(keep) - 1, -1)[piece] if count else piece
    inside = row >= 0
    windows.n_window.append(row[inside] + windows.kept)
    windows.n_start.append(begin[inside])
    windows.n_end.append(end[inside])
    windows.kept += len(index)


def _excluded_bases(excluded: tuple[Positions, Positions] | None, count: int, window: int) -> Positions:
    if excluded is None or not count:
        return np.zeros(count, np.int64)
    index, start, end, _ = split_into_windows(*excluded, window)
    inside = index < count
    return np.bincount(index[inside], (end - start)[inside], minlength=count).astype(np.int64)


def _dropped(counts: Counter[str]) -> str:
    return (
        f"{counts['n']} dropped for N, {counts['excluded']} for excluded regions, "
        f"{counts['short_contigs']} contigs shorter than a window"
    )


@dataclass(frozen=True, slots=True)
class _WindowTable:
    contig: NDArray[np.int32]
    start: Positions
    split: NDArray[np.uint8]


def _label(
    inputs: Inputs, contigs: list[Contig], table: _WindowTable, window: int, progress: Progress
) -> list[tuple[MarkerLabels, str]]:
    """The labels of each marker and the digest of its file."""
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
            labels.append((label_windows(peaks, file, lengths, rows, window), peaks.sha256))
            task.advance(1, file.name)
    return labels


def _summary(
    inputs: Inputs,
    contigs: list[Contig],
    counts: Counter[str],
    table: _WindowTable,
    labels: list[tuple[MarkerLabels, str]],
) -> dict[str, Any]:
    unknown: Counter[str] = Counter()
    for marker, _ in labels:
        unknown.update(marker.unknown)
    return {
        "windows": {name: int((table.split == i).sum()) for i, name in enumerate(SPLITS)},
        "windows_dropped": {key: counts[key] for key in ("n", "excluded", "border", "short_contigs", "tail_bases")},
        "bases": sum(contig.length for contig in contigs),
        "ambiguous_bases": sum(contig.ambiguous for contig in contigs),
        "intervals": sum(len(marker.window) for marker, _ in labels),
        "peaks_on_unknown_contigs": dict(sorted(unknown.items())),
        "files_left_out": sorted(path.name for path in inputs.ignored),
    }


def _genome_arrays(contigs: list[Contig], table: _WindowTable) -> dict[str, NDArray[Any]]:
    return {
        "contigs/name": schema.as_bytes([contig.name for contig in contigs]),
        "contigs/length": np.array([contig.length for contig in contigs], np.int64),
        "contigs/md5": schema.as_bytes([contig.md5 for contig in contigs]),
        "windows/contig": table.contig,
        "windows/start": table.start,
        "windows/split": table.split,
    }


def _sequence_arrays(windows: _Windows, kept: NDArray[np.intp], window: int) -> dict[str, NDArray[Any]]:
    new_row = np.full(windows.kept, -1, np.int64)
    new_row[kept] = np.arange(len(kept))
    row = new_row[np.concatenate(windows.n_window)]
    inside = row >= 0
    return {
        "sequence/packed": np.concatenate(windows.packed)[kept],
        "sequence/n_offsets": _offsets(row[inside], len(kept)),
        "sequence/n_start": np.concatenate(windows.n_start)[inside].astype(_position_type(window)),
        "sequence/n_end": np.concatenate(windows.n_end)[inside].astype(_position_type(window)),
    }


def _label_arrays(
    labels: list[tuple[MarkerLabels, str]], inputs: Inputs, table: _WindowTable, window: int
) -> dict[str, NDArray[Any]]:
    row = np.concatenate([marker.window for marker, _ in labels])
    column = np.repeat(np.arange(len(labels)), [len(marker.window) for marker, _ in labels])
    start = np.concatenate([marker.start for marker, _ in labels])
    end = np.concatenate([marker.end for marker, _ in labels])
    positives = np.zeros((len(labels), len(SPLITS)), np.int64)
    np.add.at(positives, (column, table.split[row]), end - start)
    # Markers come one after the other, each sorted: a stable sort by window leaves (window, marker, start).
    order = np.argsort(row, kind="stable")
    position = _position_type(window)
    named = zip(FIELDS, zip(*(marker.row() for marker in inputs.markers), strict=True), strict=True)
    return {
        "labels/offsets": _offsets(row, len(table.start)),
        "labels/marker": column[order].astype(np.uint16),
        "labels/start": start[order].astype(position),
        "labels/end": end[order].astype(position),
        **{f"markers/{field}": schema.as_bytes(list(values)) for field, values in named},
        "markers/sha256": schema.as_bytes([digest for _, digest in labels]),
        **{
            f"markers/{count}": np.array([getattr(marker, count) for marker, _ in labels], np.int64)
            for count in ("peaks_read", "peaks_merged", "peaks_used", "bases_covered")
        },
        "markers/positives": positives,
    }


def _position_type(window: int) -> type[np.unsignedinteger[Any]]:
    """Two bytes where they hold a window's end."""
    return np.uint16 if window < 1 << 16 else np.uint32


def _offsets(row: NDArray[Any], count: int) -> NDArray[np.int64]:
    """CSR offsets of rows that are grouped or not: how many entries come before each row."""
    return np.concatenate(([0], np.cumsum(np.bincount(row, minlength=count)))).astype(np.int64)


def _write(output: Path, arrays: dict[str, NDArray[Any]], record: dict[str, Any], window: int) -> None:
    # HDF5 crashes at exit when the disk fills up under it: ask first.
    check_space(output.parent, int(1.1 * sum(array.nbytes for array in arrays.values())) + (1 << 20), output.name)
    with replacing(output) as temporary:
        with h5py.File(temporary, "w") as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array, **_storage(name, array))
            file.attrs["format"] = schema.FORMAT
            file.attrs["format_version"] = schema.FORMAT_VERSION
            file.attrs["task"] = "dense"
            file.attrs["window"] = window
            file.attrs["provenance"] = json.dumps(record, ensure_ascii=False)
            file.flush()
            file.attrs["complete"] = 1
        with schema.open_dataset(temporary):
            pass


def _storage(name: str, array: NDArray[Any]) -> dict[str, Any]:
    """Checksummed chunks of about 16 KB; packed sequence does not compress further."""
    if not array.size:
        return {}
    rows = max(1, min(len(array), (1 << 14) // (array.nbytes // len(array))))
    storage = {"chunks": (rows, *array.shape[1:]), "fletcher32": True}
    return (
        storage
        if name == "sequence/packed"
        else storage | {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    )
