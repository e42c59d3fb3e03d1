"""Published arrays -> `dataset.h5`: DeepSEA's .mat files and the thesis's .npz archives."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

import dilannot
from dilannot.data.imported.deepsea import LENGTH, MARKERS, ORDER, published_files
from dilannot.data.imported.gather import gathered_arrays
from dilannot.data.imported.gather_deepsea import gather_deepsea
from dilannot.data.imported.gather_thesis import gather_thesis
from dilannot.data.imported.thesis import ALPHABET_GUESS, archive_files
from dilannot.data.listing import markers_of
from dilannot.data.markers import UNKNOWN, Marker, check_markers
from dilannot.data.published import published_markers
from dilannot.data.settings import BIN
from dilannot.data.splits import SPLITS
from dilannot.data.write import portable, write_dataset
from dilannot.errors import USAGE, DilannotError
from dilannot.outputs import check_distinct, check_new_file, locked
from dilannot.progress import Progress, Silent

Kind = Literal["deepsea", "thesis"]


def import_dataset(
    sources: Sequence[Path],
    output: Path,
    *,
    markers: Path | None = None,
    alphabet: str | None = None,
    bin: int | None = None,
    force: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Import published arrays as a dataset.

    Parameters
    ----------
    sources
        DeepSEA's .mat files or the thesis's .npz archives, or folders that hold them.
    output
        The dataset to write. Its windows lie on pseudo contigs: the archives name no place on a genome.
    markers
        Table of the label columns; without one the 919 published markers, or numbers where there are not 919.
    alphabet
        The bases that one-hot columns (AGCT without it) or numbers from 0 (NACTG) stand for.
    bin
        Labelled bases in the middle of a DeepSEA window; 200 without it.
    force
        Overwrite `output`.
    command
        Command line to record.

    Returns
    -------
    summary
        What was imported, as recorded in the dataset.

    Raises
    ------
    DilannotError
        Any source that cannot be used, before anything is left under `output`.
    """
    progress = progress or Silent()
    check_new_file(output, force=force)
    kind, files = recognise_sources(sources)
    check_distinct(output, [*files, *([markers] if markers else [])])
    if bin is not None and bin < 1:
        raise DilannotError(f"a bin of {bin} bp", where="--bin", remedy="200 is the published length", exit_code=USAGE)
    letters = check_alphabet(alphabet, kind)
    with locked(output):
        gather = gather_deepsea if kind == "deepsea" else gather_thesis
        found = gather(files, letters, progress)
        length = found.parts[0].length
        unit = length if kind == "thesis" else _unit(length, bin)
        columns = _columns(found.markers, markers)
        digests = {portable(path, output.parent): _digest(path, progress) for path in files}
        arrays = gathered_arrays(found.parts, columns, unit=unit, dense=kind == "thesis")
        record = _record(kind, arrays, found.record, digests, command, unit, length)
        task: Literal["dense", "window"] = "dense" if kind == "thesis" else "window"
        write_dataset(output, arrays, record, task=task, window=unit, context=(length - unit) // 2)
    return record


def recognise_sources(sources: Sequence[Path]) -> tuple[Kind, list[Path]]:
    """What the sources are, and their files.

    Raises
    ------
    DilannotError
        Neither kind of file, or both.
    """
    kinds, files = [], []
    for source in sources:
        names = [path.name.lower() for path in source.iterdir()] if source.is_dir() else [source.name.lower()]
        archives = any(name.endswith(".npz") for name in names)
        if archives and any(name.endswith(".mat") for name in names):
            raise DilannotError("holds both .mat and .npz files", where=source, remedy="name the files of one kind")
        kind: Kind = "thesis" if archives else "deepsea"
        files += archive_files(source) if archives else published_files(source)
        kinds.append(kind)
    if len(set(kinds)) > 1:
        raise DilannotError("DeepSEA's .mat files and .npz archives cannot make one dataset", where=sources[0])
    if len(set(files)) < len(files):
        raise DilannotError("a file is named twice", where=next(path for path in files if files.count(path) > 1))
    return kinds[0], files


def check_alphabet(alphabet: str | None, kind: Kind) -> str:
    """The letters in upper case.

    Raises
    ------
    DilannotError
        They are not A, C, G and T (and N for numbers), each once.
    """
    letters = (alphabet or (ORDER if kind == "deepsea" else ALPHABET_GUESS)).upper()
    allowed = ("ACGT",) if kind == "deepsea" else ("ACGT", "ACGNT")
    if "".join(sorted(letters)) not in allowed:
        what = "the four one-hot columns" if kind == "deepsea" else "the numbers from 0"
        raise DilannotError(
            f"{alphabet!r} does not name {what}",
            where="--alphabet",
            remedy=f"give each base once, like {ORDER if kind == 'deepsea' else ALPHABET_GUESS}",
        )
    return letters


def _unit(length: int, bin: int | None) -> int:
    unit = BIN if bin is None else bin
    if not 0 < unit <= length or (length - unit) % 2:
        raise DilannotError(
            f"a bin of {unit} bp does not lie in the middle of windows of {length} bp",
            where="--bin",
            remedy=f"DeepSEA's is {BIN} bp in {LENGTH:,}",
        )
    return unit


def _columns(count: int, table: Path | None) -> list[Marker]:
    """The marker of every label column."""
    if table is not None:
        found = markers_of(table)
        check_markers(found, table)
        if len(found) != count:
            raise DilannotError(f"names {len(found)} markers; there are {count} label columns", where=table)
        return found
    if count == MARKERS:
        return [published.marker for published in published_markers()]
    digits = max(4, len(str(count)))
    return [Marker(f"marker{index:0{digits}}", UNKNOWN) for index in range(1, count + 1)]


def _digest(path: Path, progress: Progress) -> dict[str, Any]:
    with open(path, "rb") as file, progress.task(f"checksum of {path.name}", None):
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _record(
    kind: Kind,
    arrays: dict[str, Any],
    contigs: dict[str, dict[str, Any]],
    files: dict[str, dict[str, Any]],
    command: str,
    unit: int,
    length: int,
) -> dict[str, Any]:
    """The provenance, with the fields that a build has too."""
    split = arrays["windows/split"]
    sizes = {"task": "dense", "window": unit} if kind == "thesis" else {"task": "window", "bin": unit}
    reach = {} if kind == "thesis" else {"context": (length - unit) // 2}
    return {
        "dilannot": dilannot.__version__,
        "command": command,
        "genome": None,
        "exclude": [],
        "settings": {**sizes, **reach, "split": "published"},
        "windows": {name: int(np.count_nonzero(split == i)) for i, name in enumerate(SPLITS)},
        "windows_dropped": {},
        "bases": len(split) * length,
        "ambiguous_bases": 0,
        "peaks_on_unknown_contigs": {},
        "files_left_out": [],
        "excluded_contigs_unknown": [],
        "markers_left_out": {},
        "intervals": len(arrays["labels/marker"]),
        "imported": {"from": kind, "files": files, "contigs": contigs},
    }


def summary_lines(record: dict[str, Any]) -> list[str]:
    """What was imported, in sentences."""
    windows = record["windows"]
    other = sum(row.get("other_strand", 0) for row in record["imported"]["contigs"].values())
    lines = [
        f"{sum(windows.values()):,} windows: "
        + ", ".join(f"{count:,} {name}" for name, count in windows.items() if count)
        + f"; {record['intervals']:,} labels"
    ]
    if other:
        lines.append(f"{other:,} reverse complements left out: where training shows the other strand, it makes them")
    return lines
