"""The 919 markers of DeepSEA as published: their names and order, where their peaks are, and how well DeepSEA did.

`published_markers.tsv` joins, row by row, the predictor names of kipoi/models 06bfe84 (MIT) with the file list and the
supplementary table of Zhou & Troyanskaya 2015 in jakublipinski/build-deepsea-training-dataset 664abaf (Apache-2.0).
"""

# What differs from those files: names that stand more than once (54 do) got .2, .3 from the second on; no-break spaces
# are gone; UCSC's addresses are https; AUCs of column 598 (BRF1), which has no test peaks, are empty.
# There are no checksums: the copies at hand were packed anew in 2014, and UCSC publishes its own in md5sum.txt.

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path

from dilannot.data.markers import Marker, uncompressed
from dilannot.errors import DilannotError, near, shorten

TABLE = "published_markers.tsv"

_FILTERS: dict[str, Callable[[Marker], str]] = {
    "name": lambda marker: marker.name,
    "class": lambda marker: marker.marker_class,
    "cell": lambda marker: marker.cell,
    "target": lambda marker: marker.target,
    "treatment": lambda marker: marker.treatment,
}


@dataclass(frozen=True, slots=True)
class PublishedMarker:
    """One of DeepSEA's outputs: `index` is its column (0-918), the AUCs are DeepSEA's on the test chromosomes."""

    index: int
    marker: Marker
    url: str
    roc_auc: float | None
    pr_auc: float | None


@cache
def published_markers() -> tuple[PublishedMarker, ...]:
    """All 919, in DeepSEA's order: 125 DNase, 690 TFBS, 104 histone."""
    lines = package_files("dilannot.data").joinpath(TABLE).read_text(encoding="utf-8").splitlines()
    return tuple(_read(index, line.split("\t")) for index, line in enumerate(lines[1:]))


def _read(index: int, row: list[str]) -> PublishedMarker:
    name, marker_class, cell, target, treatment, file, url, roc_auc, pr_auc = row
    marker = Marker(name, marker_class, cell, target, treatment, file)
    return PublishedMarker(index, marker, url, float(roc_auc) if roc_auc else None, float(pr_auc) if pr_auc else None)


def recognise(files: Sequence[Path]) -> dict[Path, PublishedMarker]:
    """Which of these peak files are DeepSEA's, by file name; packed (.gz, .bgz) or not is the same."""
    known = {uncompressed(published.marker.file): published for published in published_markers()}
    return {file: known[uncompressed(file.name)] for file in files if uncompressed(file.name) in known}


def select(
    markers: Sequence[Marker],
    *,
    names: Sequence[str] = (),
    classes: Sequence[str] = (),
    cells: Sequence[str] = (),
    targets: Sequence[str] = (),
    treatments: Sequence[str] = (),
) -> list[Marker]:
    """Markers that fit every filter, in their order; a filter fits when one of its values does.

    Values are names or patterns with `*` and `?`, upper and lower case alike.

    Raises
    ------
    DilannotError
        A value fits no marker, or no marker fits all filters.
    """
    chosen = list(markers)
    filters = dict(zip(_FILTERS, (names, classes, cells, targets, treatments), strict=True))
    for field, values in filters.items():
        if values:
            fitting = _fitting(markers, field, values)
            chosen = [marker for marker in chosen if _FILTERS[field](marker) in fitting]
    if not chosen:
        given = ", ".join(f"{field} {' or '.join(map(repr, values))}" for field, values in filters.items() if values)
        raise DilannotError(
            f"no marker fits all of: {shorten(given, 200)}", remedy="list them with dilannot markers; drop a filter"
        )
    return chosen


def _fitting(markers: Sequence[Marker], field: str, values: Sequence[str]) -> set[str]:
    """The entries of `field` that one of the values fits; each value must fit one."""
    known = dict.fromkeys(_FILTERS[field](marker) for marker in markers)
    fitting: set[str] = set()
    for value in values:
        pattern = value.lower()
        found = {entry for entry in known if entry.lower() == pattern or fnmatch.fnmatchcase(entry.lower(), pattern)}
        if not found:
            raise DilannotError(
                f"no marker has this {field}{_near(value, known)}",
                where=shorten(value, 100) or "''",
                remedy="* and ? stand for any text and any character",
            )
        fitting |= found
    return fitting


def _near(value: str, known: dict[str, None]) -> str:
    """Like `near`, upper and lower case alike and without the signs of a pattern."""
    by_lower = {entry.lower(): entry for entry in known if entry}
    hint = near(value.lower().strip("*?"), by_lower)
    for lower, entry in by_lower.items():
        hint = hint.replace(repr(lower), repr(entry))
    return hint
