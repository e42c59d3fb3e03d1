"""BigBed out: the combined calls for genome browsers, written by pybigtools."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pysam

from dilannot.errors import ENVIRONMENT, USAGE, DilannotError
from dilannot.formats.calls import Part
from dilannot.formats.compression import compression
from dilannot.outputs import signals_deferred

# https://genome.ucsc.edu/goldenPath/help/bigBed.html; browsers show the names and comments.
_AUTOSQL = """table calls
"Stretches of a genome where the predicted probability of a marker reaches its threshold"
    (
    string chrom;       "Contig"
    uint   chromStart;  "Start, 0-based"
    uint   chromEnd;    "End, not included"
    string name;        "Marker"
    uint   score;       "Highest probability x 1000"
    char[1] strand;     "Always ."
    float  maxProbability; "Highest probability"
    float  threshold;   "Threshold of the marker"
    uint   summit;      "Where the highest probability lies, from chromStart on"
    )
"""
_BED_COLUMNS = 6
_BED_COLUMNS_AT = 34  # bytes into the file: definedFieldCount


def check_can_write() -> None:
    """Refuse to begin work that would end without pybigtools.

    Raises
    ------
    DilannotError
        It is not installed (exit code 2).
    """
    _library()


def write_bigbed(path: Path, combined: Path, parts: Mapping[str, Part], lengths: Mapping[str, int]) -> int:
    """Make a bigBed of a combined BED, plain or bgzip, and read it back; returns how many rows it has.

    Contigs go by name, as browsers search for them. Without a single call nothing is written: pybigtools makes no
    empty bigBed.

    Parameters
    ----------
    path
        Written as it stands: a temporary name is the caller's.
    combined, parts
        The file, and what `write_combined` said of it.
    lengths
        Of the genome's contigs, bp.

    Raises
    ------
    DilannotError
        pybigtools is missing (exit code 2), or what it wrote is not what it was given (3).
    """
    library = _library()
    if not parts:
        return 0
    order = sorted(parts, key=str.encode)
    working = path.with_name(f"{path.name}.bb")  # the ending tells pybigtools what to write
    try:
        _write(library, working, _rows(combined, parts, order), {name: lengths[name] for name in order})
        _say_how_many_columns_are_bed(working)
        _compare(library, working, _rows(combined, parts, order), order)
        os.replace(working, path)
    finally:
        with suppress(FileNotFoundError):
            working.unlink()
    return sum(part.rows for part in parts.values())


def _library() -> Any:
    try:
        return importlib.import_module("pybigtools")
    except ImportError:
        raise DilannotError("bigBed needs pybigtools", remedy="pip install 'dilannot[fast]'", exit_code=USAGE) from None


def _rows(combined: Path, parts: Mapping[str, Part], order: Sequence[str]) -> Iterator[list[str]]:
    """Contig, start, end and the rest of each row, contig after contig."""
    packed = compression(combined) == "bgzip"
    with closing(pysam.BGZFile(os.fspath(combined), "r", None) if packed else open(combined, "rb")) as lines:
        for name in order:
            lines.seek(parts[name].offset)
            for line in islice(lines, parts[name].rows):
                yield line.decode().rstrip("\n").split("\t", 3)


def _write(library: Any, path: Path, rows: Iterator[list[str]], lengths: dict[str, int]) -> None:
    """Pybigtools swallows what goes wrong while it asks for rows, and a Ctrl-C with it."""
    problems: list[Exception] = []

    def given() -> Iterator[tuple[str, int, int, str]]:
        try:
            for contig, start, end, rest in rows:
                if came:
                    return
                yield contig, int(start), int(end), rest
        except Exception as error:
            problems.append(error)
            raise

    with signals_deferred() as came:
        try:
            library.open(os.fspath(path), "w").write(lengths, given(), _AUTOSQL)
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of Rust: a disk that is full
                raise
            raise DilannotError(f"cannot write the bigBed ({error})", where=path, exit_code=ENVIRONMENT) from None
    if problems:
        raise problems[0]


def _say_how_many_columns_are_bed(path: Path) -> None:
    """Pybigtools calls all nine columns BED's own, and browsers then read colours and thick ends from the last ones."""
    with open(path, "r+b") as handle:
        handle.seek(_BED_COLUMNS_AT)
        handle.write(_BED_COLUMNS.to_bytes(2, "little"))


def _compare(library: Any, path: Path, rows: Iterator[list[str]], order: Sequence[str]) -> None:
    """Pybigtools prints errors and returns normally: only what reads back has been written."""
    damaged = DilannotError(
        "what pybigtools wrote does not read back (is the disk full?)", where=path, exit_code=ENVIRONMENT
    )
    try:
        reader = library.open(os.fspath(path))
    except (library.BBIReadError, ValueError) as error:
        raise damaged from error
    with closing(reader):
        found = ((name, *record) for name in order for record in reader.records(name))
        try:
            for (contig, start, end, rest), record in zip(rows, found, strict=True):
                # Its reader parts fields at blanks, too; in the file they are parted by tabs.
                if record != (contig, int(start), int(end), *rest.split()):
                    raise damaged
        except (library.BBIReadError, KeyError, ValueError) as error:
            raise damaged from error
