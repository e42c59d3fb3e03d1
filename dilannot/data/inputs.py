"""What a build would read: peak files, and the marker that each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dilannot.data.markers import (
    MOST,
    TABLE_NAME,
    Marker,
    count_by_class,
    find_peak_files,
    markers_of_files,
    read_table,
)
from dilannot.data.names import matches
from dilannot.data.published import recognise
from dilannot.errors import DilannotError, near
from dilannot.formats.compression import check_input
from dilannot.progress import Progress

_TABLES = (".tsv", ".txt", ".csv")

Named = Literal["table", "published", "guessed"]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Markers in column order and the peak file of each.

    `ignored` are the files that lie there and are no peak file or not in the table; `unselected` counts markers that
    no `--markers` glob chose; `named` says where names and classes come from.
    """

    markers: list[Marker]
    files: list[Path]
    ignored: list[Path]
    table: Path | None
    named: Named
    unselected: int = 0

    def read(self, *more: Path | Sequence[Path]) -> list[Path]:
        """All files that are read: these and `more`."""
        others = [path for each in more for path in ([each] if isinstance(each, Path) else each)]
        return [*self.files, *([self.table] if self.table else []), *others]


def find_inputs(peaks: Sequence[Path], selection: Sequence[str] = ()) -> Inputs:
    """Find peak files and their markers.

    Parameters
    ----------
    peaks
        Files and folders that hold some. A `markers.tsv` that lies in a folder is used as the table.
    selection
        A marker table (a file, or what is called .tsv), names and globs of markers or files (upper and lower case are
        alike), or both.

    Raises
    ------
    DilannotError
        No peak files, a bad table, a marker name twice, a glob that chooses nothing.
    """
    files, ignored = find_peak_files(peaks)
    tables = [Path(text) for text in selection if Path(text).is_file() or text.lower().endswith(_TABLES)]
    globs = [text for text in selection if Path(text) not in tables]
    given = bool(tables)
    tables = tables or [path / TABLE_NAME for path in peaks if (path / TABLE_NAME).is_file()]
    if len(tables) > 1:
        raise DilannotError(f"two marker tables: here and {tables[1]}", where=tables[0], remedy="join them")
    if given:
        check_input(tables[0])
    inputs = _with_table(tables[0], files, ignored) if tables else _without_table(files, ignored)
    inputs = _choose(inputs, globs) if globs else inputs
    if len(inputs.markers) > MOST:
        raise DilannotError(f"{len(inputs.markers):,} markers; a dataset holds {MOST:,}", where=str(peaks[0]))
    return inputs


def _with_table(table: Path, files: list[Path], ignored: list[Path]) -> Inputs:
    markers, chosen = read_table(table, files)
    left = set(files) - set(chosen)
    return Inputs(markers, chosen, ignored + [file for file in files if file in left], table, "table")


def _without_table(files: list[Path], ignored: list[Path]) -> Inputs:
    """Published markers first, in their order and under their names; the others follow, named after their files."""
    known = recognise(files)
    published = sorted(known, key=lambda file: known[file].index)
    others = [file for file in files if file not in known]
    ordered = published + others
    markers = markers_of_files(ordered, [replace(known[file].marker, file=file.name) for file in published])
    return Inputs(markers, ordered, ignored, None, "published" if published else "guessed")


def _choose(inputs: Inputs, globs: list[str]) -> Inputs:
    names = [
        (marker.name.lower(), file.name.lower()) for marker, file in zip(inputs.markers, inputs.files, strict=True)
    ]
    for glob in globs:
        if not any(matches(name, [glob.lower()]) for pair in names for name in pair):
            known = [marker.name for marker in inputs.markers]
            raise DilannotError(
                f"no marker or peak file is called {glob!r}{near(glob.strip('*?'), known)}",
                where="--markers",
                remedy=f"names look like {known[0]!r}",
            )
    lower = [glob.lower() for glob in globs]
    chosen = [i for i, pair in enumerate(names) if any(matches(name, lower) for name in pair)]
    return replace(
        inputs,
        markers=[inputs.markers[i] for i in chosen],
        files=[inputs.files[i] for i in chosen],
        unselected=len(names) - len(chosen),
    )


def report_inputs(inputs: Inputs, progress: Progress) -> None:
    """Say which markers were found and which files left out."""
    classes = count_by_class(marker.marker_class for marker in inputs.markers)
    source = {
        "table": f" as {inputs.table} says",
        "published": "; published ones known by file name, other classes guessed",
        "guessed": "; classes guessed from file names",
    }[inputs.named]
    chosen = f" (of {len(inputs.markers) + inputs.unselected})" if inputs.unselected else ""
    count = len(inputs.markers)
    progress.say(f"{count} {'marker' if count == 1 else 'markers'}{chosen}: {classes}{source}")
    if inputs.ignored:
        names = ", ".join(path.name for path in inputs.ignored[:5])
        more = f" and {len(inputs.ignored) - 5} more" if len(inputs.ignored) > 5 else ""
        progress.warn(
            f"left out {len(inputs.ignored)} file(s) that are no peak file or not in the table: {names}{more}"
        )
