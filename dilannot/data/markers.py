"""Markers: which peak files there are, and the name, class, cell, target and treatment of each."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dilannot.errors import DilannotError, near
from dilannot.formats.compression import check_input, open_bytes

CLASSES = ("TFBS", "histone", "DNase")
UNKNOWN = "unknown"
FIELDS = ("name", "class", "cell", "target", "treatment", "file")
TABLE_NAME = "markers.tsv"
MAX_NAME = 1000  # characters
MOST = 1 << 16  # markers of a dataset: they are numbered with two bytes

_SUFFIXES = (".narrowpeak", ".broadpeak", ".gappedpeak", ".bed")
_COMPRESSED = (".gz", ".bgz")

# ENCODE and Roadmap file names, most specific first.
_CLASS_PATTERNS = (
    (re.compile(r"dnase|(?<![a-z])atac", re.I), "DNase"),
    (re.compile(r"histone|(?<![a-z0-9])h[234](?:[ab]?f?k\d+|a\.?z)(?:ac|me\d|ub\d?)?", re.I), "histone"),
    (re.compile(r"tfbs|(?<![a-z])ctcf", re.I), "TFBS"),
)


@dataclass(frozen=True, slots=True)
class Marker:
    """One output column. `file` is the peak file's name, without its folder."""

    name: str
    marker_class: str
    cell: str = ""
    target: str = ""
    treatment: str = ""
    file: str = ""

    def row(self) -> tuple[str, ...]:
        """Values in the order of `FIELDS`."""
        return self.name, self.marker_class, self.cell, self.target, self.treatment, self.file


def find_peak_files(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Peak files in folders (recursive) and lists, sorted, and the visible files that were passed over.

    A file given by name is taken whatever its extension; in folders only narrowPeak, broadPeak, gappedPeak and BED
    files, compressed or not, are.

    Raises
    ------
    DilannotError
        A path does not exist, or there is no peak file at all.
    """
    files: list[Path] = []
    ignored: list[Path] = []
    for path in paths:
        if not path.is_dir():
            check_input(path)
            files.append(path)
            continue
        entered: set[str] = set()
        for folder, folders, names in os.walk(path, followlinks=True, onerror=_raise):
            # A link may lead back up.
            entered.add(os.path.realpath(folder))
            inner = (name for name in folders if os.path.realpath(os.path.join(folder, name)) not in entered)
            folders[:] = sorted(name for name in inner if not name.startswith("."))
            for name in [*folders, *names]:
                if Path(name).name.startswith("."):
                    continue
                found = Path(folder, name)
                if _is_peak_name(name):
                    check_input(found)
                    files.append(found)
                elif name in names and name != TABLE_NAME:
                    ignored.append(found)
    if not files:
        raise DilannotError(
            "no peak files found",
            where=", ".join(map(str, paths)),
            remedy="give narrowPeak, broadPeak or BED files, or a folder that holds some",
        )
    return sorted(dict.fromkeys(files), key=lambda file: (file.name, str(file))), sorted(ignored)


def _raise(error: OSError) -> None:
    raise error


def _is_peak_name(name: str) -> bool:
    return uncompressed(name).lower().endswith(_SUFFIXES)


def uncompressed(name: str) -> str:
    """A file name without the extension of compression."""
    for suffix in _COMPRESSED:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def stem(name: str) -> str:
    """A file name without the extensions of peak files and compression: `E127-H2A.Z.narrowPeak.gz` -> `E127-H2A.Z`."""
    short = uncompressed(name)
    while short.lower().endswith(_SUFFIXES):
        short = short[: short.rindex(".")]
    return short


def guess_class(name: str) -> str:
    """TFBS, histone or DNase from an ENCODE or Roadmap file name, else `unknown`."""
    for pattern, marker_class in _CLASS_PATTERNS:
        if pattern.search(name):
            return marker_class
    # UCSC's histone files run the mark into the cell name: wgEncode...Gm12878H3k04me1...
    return "histone" if re.search(r"H[234][ab]?k\d+(ac|me)|H2a\.?z", name) else UNKNOWN


def markers_of_files(files: Sequence[Path], known: Sequence[Marker] = ()) -> list[Marker]:
    """One marker a file: `known` ones for the first files, the others named after theirs, with their class guessed."""
    named = [Marker(stem(file.name), guess_class(file.name), file=file.name) for file in files[len(known) :]]
    return _checked([*known, *named], files)


def read_table(table: Path, files: Sequence[Path]) -> tuple[list[Marker], list[Path]]:
    """Markers in the order of a tab-separated table, and the peak file of each.

    The first line names the columns: `file` is needed; `name`, `class`, `cell`, `target` and `treatment` are used
    where they stand, others ignored.

    Raises
    ------
    DilannotError
        With file and line: no `file` column, a file that is not among `files`, a name twice.
    """
    known: dict[str, Path] = {}
    for file in files:
        if file.name in known:
            raise DilannotError(
                f"two peak files are called {file.name!r} ({known[file.name]} and {file})",
                where=table,
                remedy="rename one",
            )
        known[file.name] = file
    by_stem: dict[str, list[Path]] = {}
    for name, file in known.items():
        by_stem.setdefault(stem(name), []).append(file)
    markers, lines, missing = [], [], []
    chosen: dict[Path, None] = {}  # in order
    rows = _table_rows(table)
    for line, row in rows:
        name = row["file"].strip()
        fitting = [known[name]] if name in known else by_stem.get(stem(name), [])
        if len(fitting) > 1:
            names = " and ".join(file.name for file in fitting[:2])
            raise DilannotError(f"file: {name!r} may mean {names}", where=table, line=line, remedy="write it in full")
        found = fitting[0] if fitting else None
        if found is None:
            missing.append((line, name))
            continue
        if found in chosen:
            raise DilannotError(f"file: {name!r} stands twice", where=table, line=line)
        markers.append(_marker(row, found))
        chosen[found] = None
        lines.append(line)
    if missing:
        line, name = missing[0]
        many = f" ({len(missing)} of {len(rows)} rows name files that are not there)" if len(missing) > 1 else ""
        raise DilannotError(
            f"file: no peak file {name!r} was given{many or near(name, known)}",
            where=table,
            line=line,
            remedy="drop those rows; published files need no table" if many else None,
        )
    if not markers:
        raise DilannotError("no marker in this table", where=table)
    return _checked(markers, [table] * len(markers), lines), list(chosen)


def _table_rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    with open_bytes(table) as stream:
        data = stream.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DilannotError("is not UTF-8 text", where=table, line=line, remedy="save it as UTF-8") from None
    rows = [line.rstrip("\r").split("\t") for line in text.split("\n")]
    header = [name.strip().lower() for name in rows[0]]
    header[0] = header[0].lstrip("#")
    if "file" not in header:
        hint = f"columns are {', '.join(FIELDS)}, separated by tabs"
        if len(header) == 1 and any(mark in header[0] for mark in ",;"):
            hint = "it looks separated by commas: save it as tab-separated text"
        elif any(name.startswith('"') for name in header):
            hint = "save it without quotes around the cells"
        raise DilannotError("the first line names no column 'file'", where=table, line=1, remedy=hint)
    if twice := [name for name in ("file", *FIELDS) if header.count(name) > 1]:
        raise DilannotError(f"two columns are called {twice[0]!r}", where=table, line=1, remedy="remove one")
    found = []
    for line, row in enumerate(rows[1:], start=2):
        if not any(field.strip() for field in row) or row[0].startswith("#"):
            continue
        if len(row) != len(header):
            raise DilannotError(f"{len(row)} columns where the header has {len(header)}", where=table, line=line)
        found.append((line, dict(zip(header, row, strict=False))))
    return found


def _marker(row: dict[str, str], file: Path) -> Marker:
    name = row.get("name", "").strip() or stem(file.name)
    given = row.get("class", "").strip()
    marker_class = {known.lower(): known for known in CLASSES}.get(given.lower(), given) or guess_class(file.name)
    parts = name.split("|") if name.count("|") == 2 else ["", "", ""]
    cell, target, treatment = (row.get(key, "").strip() or part for key, part in zip(FIELDS[2:5], parts, strict=True))
    return Marker(name, marker_class, cell, target, treatment, file.name)


def check_markers(markers: Sequence[Marker], where: Path) -> None:
    """Refuse a marker table, read back from `where`, that is empty, names a marker twice or badly.

    Raises
    ------
    DilannotError
        Naming the marker.
    """
    problem = next(filter(None, map(_problem, markers)), None)
    repeated = [name for name, count in Counter(marker.name for marker in markers).items() if count > 1]
    if repeated:
        problem = f"marker name {repeated[0]!r} stands twice"
    if problem or not markers:
        raise DilannotError(problem or "holds no marker", where=where)


def _checked(markers: list[Marker], files: Sequence[Path], lines: Sequence[int] | None = None) -> list[Marker]:
    seen: dict[str, int] = {}
    for index, marker in enumerate(markers):
        line = lines[index] if lines else None
        problem = _problem(marker)
        if marker.name in seen:
            problem = f"marker name {marker.name!r} stands twice"
            if not lines:
                problem += f" (also {files[seen[marker.name]]})"
        if problem:
            remedy = "change the name there" if lines else "name the markers in a table (--markers)"
            raise DilannotError(problem, where=files[index], line=line, remedy=remedy)
        seen[marker.name] = index
    return markers


def _problem(marker: Marker) -> str | None:
    """Why a marker may not be described so: names go into tables, track lines and file names."""
    name = marker.name
    if not name.strip() or name in (".", ".."):
        return f"marker name {name!r} is empty"
    for field, value in zip(FIELDS, marker.row(), strict=True):
        if not value.isprintable():
            return f"marker {field} {value!r} holds control characters"
    if "/" in name or "\\" in name:
        return f"marker name {name!r} holds a slash"
    if len(name) > MAX_NAME:
        return f"marker name of {len(name)} characters; at most {MAX_NAME}"
    return None


def class_order(classes: Iterable[str]) -> list[str]:
    """The classes that occur: TFBS, histone, DNase first, others by name."""
    found = set(classes)
    return [name for name in CLASSES if name in found] + sorted(found.difference(CLASSES))


def count_by_class(classes: Iterable[str]) -> str:
    """How many markers of which class: '12 TFBS, 3 histone'."""
    counts = Counter(classes)
    return ", ".join(f"{counts[name]} {name}" for name in class_order(counts))
