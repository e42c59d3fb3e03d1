"""What the headers of tracks say: their contigs, which must be of one assembly, and how far their values go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dilannot.errors import DilannotError
from dilannot.evaluate.tracks.counting import Range
from dilannot.evaluate.tracks.labels import other_names
from dilannot.evaluate.tracks.threads import Each
from dilannot.formats.bigwig_reader import BigWig


@dataclass(frozen=True, slots=True)
class Surveyed:
    """Tracks that are judged together.

    Attributes
    ----------
    path
        Their folder, or the file.
    files
        One a track.
    record
        The manifest where dilannot made them.
    lengths
        Of the contigs that any of them knows, bp.
    ranges
        Least and highest value of each track, None where its header does not say.
    """

    path: Path
    files: Sequence[Path]
    record: Mapping[str, Any] | None
    lengths: Mapping[str, int]
    ranges: Sequence[Range | None]


def survey(path: Path, files: Sequence[Path], record: Mapping[str, Any] | None, each: Each) -> Surveyed:
    """Read the headers of tracks.

    Raises
    ------
    DilannotError
        Tracks of different assemblies, or a damaged file.
    """

    def look(path: Path) -> tuple[dict[str, int], Range | None]:
        with BigWig(path) as file:
            return file.lengths, file.range

    lengths: dict[str, int] = {}
    owner: dict[str, Path] = {}
    ranges = []
    for file, (contigs, found) in zip(files, each(look, files), strict=True):
        ranges.append(found)
        _check_assembly(file, contigs, lengths, owner)
        for name, length in contigs.items():
            lengths.setdefault(name, length)
            owner.setdefault(name, file)
    return Surveyed(path, files, record, lengths, ranges)


def _check_assembly(
    file: Path, contigs: Mapping[str, int], lengths: Mapping[str, int], owner: Mapping[str, Path]
) -> None:
    """Compare the contigs of a track with those of the ones before, and the track that had each first."""
    for name, length in contigs.items():
        if lengths.get(name, length) != length:
            raise DilannotError(
                f"{name} has {length:,} bp here and {lengths[name]:,} in {owner[name]}",
                where=file,
                remedy="judge tracks of one assembly",
            )
    if any(name in contigs for name in lengths):
        return
    other = next((twin for name in contigs for twin in other_names(name) if twin in lengths), None)
    if other:
        raise DilannotError(
            f"has no contig in common with {owner[other]}, which calls them {other!r} and the like",
            where=file,
            remedy="judge tracks of one assembly, with its names",
        )
