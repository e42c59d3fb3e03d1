"""Which track is judged by which peak file: they are known by the marker's name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dilannot.data.inputs import Inputs
from dilannot.data.markers import Marker, stem, uncompressed
from dilannot.errors import DilannotError
from dilannot.formats.compression import check_input
from dilannot.names import safe_names
from dilannot.progress import Progress
from dilannot.scope import select_markers
from dilannot.tracks import HIDDEN, MANIFEST, read_manifest

_ENDINGS = (".bw", ".bigwig")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Found:
    """A track: its name, the marker's where dilannot made it; its class and peak file where known; its file."""

    name: str
    marker_class: str
    peaks: str
    path: Path


@dataclass(frozen=True, slots=True)
class Pair:
    """A track and the peaks that judge it."""

    marker: Marker
    track: Path
    peaks: Path


@dataclass(frozen=True, slots=True)
class Matched:
    """What is judged, and the names of tracks without peaks and of markers whose peaks have no track."""

    pairs: list[Pair]
    tracks: list[str]
    peaks: list[str]


def find_tracks(tracks: Path) -> tuple[list[Found], dict[str, Any] | None]:
    """The tracks of a folder, or a bigWig file alone, and the manifest where dilannot made them.

    Raises
    ------
    DilannotError
        There are none, or the annotation was never finished.
    """
    if not tracks.is_dir():
        check_input(tracks)
        return [Found(_name(tracks), "", "", tracks)], None
    if (tracks / MANIFEST).is_file():
        record = read_manifest(tracks)
        rows = record["tracks"]
        return [_made(row, tracks) for row in rows], record
    if (tracks / HIDDEN).exists():
        raise DilannotError(
            "is an annotation that is not finished", where=tracks, remedy="run the same dilannot annotate again"
        )
    files = [file for file in sorted(tracks.iterdir()) if file.suffix.lower() in _ENDINGS and file.name[0] != "."]
    if not files:
        raise DilannotError(
            "holds no bigWig file (.bw, .bigWig)", where=tracks, remedy="give the folder that dilannot annotate wrote"
        )
    return [Found(_name(file), "", "", file) for file in files], None


def _made(row: dict[str, Any], tracks: Path) -> Found:
    """A track of a manifest; nothing in it leads out of the folder."""
    name, peaks = str(row.get("marker", "")), str(row.get("peaks", ""))
    return Found(name, str(row["class"]), peaks, tracks / Path(str(row["bigwig"])).name)


def _name(path: Path) -> str:
    """`K562_CTCF.bed.bw` -> `K562_CTCF`."""
    return stem(path.stem if path.suffix.lower() in _ENDINGS else path.name)


def match(found: Sequence[Found], inputs: Inputs, asked: Sequence[str], tracks: Path, progress: Progress) -> Matched:
    """Tracks with their peaks, in the order of the tracks, those asked for; what has no counterpart is warned of.

    One track and one peak file belong together whatever they are called.

    Raises
    ------
    DilannotError
        No track has a peak file, or none that is asked for.
    """
    partner = _partners(found, inputs)
    if not partner and len(found) == len(inputs.markers) == 1:
        partner = {0: 0}
        track, judge = repr(found[0].path.name), repr(inputs.files[0].name)
        progress.warn(f"judging {track} by {judge}: their names differ")
    if not partner:
        there, wanted = ([each.name for each in side] for side in (found, inputs.markers))
        raise DilannotError(
            f"no track has the name of a marker with peaks: tracks are called {some_names(there)}, "
            f"markers {some_names(wanted)}",
            where=tracks,
            remedy="rename the files, or name the markers in a markers.tsv beside the peaks",
        )
    judging = set(partner.values())
    alone = [each.name for i, each in enumerate(found) if i not in partner]
    idle = [each.name for i, each in enumerate(inputs.markers) if i not in judging]
    if not asked:
        _warn(alone, "track", "peaks", progress)
        _warn(idle, "marker", "track", progress)
    pairs = [
        Pair(_marker(found[i], inputs.markers[j]), found[i].path, inputs.files[j]) for i, j in sorted(partner.items())
    ]
    try:
        chosen = select_markers([pair.marker for pair in pairs], asked)
    except DilannotError as error:
        error.remedy = f"judged can be {some_names([pair.marker.name for pair in pairs])}"
        raise
    return Matched([pairs[i] for i in chosen], alone, idle)


def _marker(track: Found, marker: Marker) -> Marker:
    """A class that was only guessed from a file name gives way to that of the manifest."""
    return replace(marker, name=track.name, marker_class=track.marker_class) if track.marker_class else marker


def _partners(found: Sequence[Found], inputs: Inputs) -> dict[int, int]:
    """Peak file by track. The file it learnt from wins, then the marker's name, then its file's, then other case."""
    names = [marker.name for marker in inputs.markers]
    stems = [stem(file.name) for file in inputs.files]
    own = [(track.name, _name(track.path)) for track in found]
    learnt = [(uncompressed(track.peaks),) if track.peaks else () for track in found]
    ways: list[tuple[Sequence[tuple[str, ...]], Sequence[str]]]
    ways = [(learnt, [uncompressed(file.name) for file in inputs.files])]
    ways += [(own, way) for way in (names, stems, safe_names(names), safe_names(stems))]
    alone = ([safe_names([name])[0] for name in way] for way in (names, stems))  # together, two alike get digests
    lower = [(one.lower(), other.lower()) for one, other in own]
    ways += [(lower, [name.lower() for name in way]) for way in (names, stems, *alone)]
    partner: dict[int, int] = {}
    for keys, way in ways:
        tracks, columns = defaultdict(set), defaultdict(set)
        for i in set(range(len(found))) - partner.keys():
            for name in keys[i]:
                tracks[name].add(i)
        for j in set(range(len(way))) - set(partner.values()):
            columns[way[j]].add(j)
        # Where a name may mean two, it means none.
        pairs = {(*tracks[name], *columns[name]) for name in tracks.keys() & columns.keys()
                 if len(tracks[name]) == len(columns[name]) == 1}  # fmt: skip
        for i, j in sorted(pairs):
            if i not in partner and j not in partner.values():
                partner[i] = j
    return partner


def _warn(names: Sequence[str], what: str, lacking: str, progress: Progress) -> None:
    if names:
        who = f"1 {what} has" if len(names) == 1 else f"{len(names):,} {what}s have"
        be = "is" if len(names) == 1 else "are"
        progress.warn(f"{who} no {lacking} and {be} not judged: {some_names(names)}")


def some_names(names: Sequence[str]) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name[:80]) for name in names[:_SHOWN]) + more
