"""What of the genome tracks are judged on: regions asked for, annotated, with known bases, perhaps with a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dilannot.compiled import compiled
from dilannot.errors import DilannotError
from dilannot.evaluate.protocol import Protocol
from dilannot.evaluate.tracks.counting import Missing, Track
from dilannot.evaluate.tracks.places import Places, cut_into_blocks, in_units, known_bases, meeting
from dilannot.evaluate.tracks.survey import Surveyed
from dilannot.evaluate.tracks.threads import Each
from dilannot.formats.bigwig_reader import BigWig
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Bounds, Interval, by_contig, merge, runs
from dilannot.progress import Progress
from dilannot.scope import scope

_SHOWN = 20
_LAID_OUT = 1 << 24  # units


def choose_places(
    tracks: Surveyed, protocol: Protocol, genome: Path | None, missing: Missing, each: Each, progress: Progress
) -> tuple[Places, list[str]]:
    """All that is judged, and its regions as they are told; see `count_tracks`.

    Raises
    ------
    DilannotError
        Bad regions, another genome than that of the tracks, or nothing to judge.
    """
    chosen = scope(tracks.lengths, protocol.regions, protocol.regions_file, protocol.exclude, progress=progress)
    asked = by_contig(chosen)
    if tracks.record is not None:
        asked = _or_refuse(meeting(asked, _annotated(tracks)), "nothing of these regions was annotated", tracks)
    elif not (protocol.regions or protocol.regions_file):
        there = _contigs_with_values(tracks, each)
        found = {name: bounds for name, bounds in asked.items() if name in there}
        asked = _or_refuse(found, "the tracks have no value on these contigs", tracks)
    known = asked if genome is None else _known(asked, genome, tracks, progress)
    judged = in_units(known, protocol.bin_length)
    if missing == "skip":
        judged = meeting(judged, _with_a_value(tracks.files, judged, protocol.bin_length, each))
    elif genome is None:
        _warn_of_unknown(tracks, progress)
    return cut_into_blocks(judged, protocol.bin_length), _shown(asked)


def _or_refuse(found: dict[str, Bounds], lacking: str, tracks: Surveyed) -> dict[str, Bounds]:
    if not found:
        raise DilannotError(lacking, where=tracks.path, remedy="judge other regions")
    return found


def _contigs_with_values(tracks: Surveyed, each: Each) -> set[str]:
    """Those on which some of the tracks has one."""

    def contigs_of(path: Path) -> list[str]:
        with BigWig(path) as file:
            return file.contigs_with_values()

    return {name for names in each(contigs_of, tracks.files) for name in names}


def _annotated(tracks: Surveyed) -> dict[str, Bounds]:
    """The regions of a manifest. They are read strictly: a contig may be called like a region of another one."""
    intervals = []
    for text in (tracks.record or {}).get("regions", ()):
        name, first, last = _parts(text)
        most = tracks.lengths.get(name, 0)
        if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= most):
            problem = f"the manifest names a region that the tracks do not have: {text!r}"
            raise DilannotError(problem, where=tracks.path)
        intervals.append(Interval(name, int(first) - 1, int(last)))
    found = by_contig(intervals)
    return {name: found[name] for name in tracks.lengths if name in found}


def _parts(region: object) -> tuple[str, str, str]:
    """Contig, first and last position as they are written."""
    name, _, bounds = str(region).rpartition(":")
    first, _, last = bounds.replace(",", "").partition("-")
    return name, first, last


def _known(asked: Mapping[str, Bounds], genome: Path, tracks: Surveyed, progress: Progress) -> dict[str, Bounds]:
    """Regions without what is N."""
    opened = Genome(genome, progress)
    digests = {name: digest for name, _, digest in (tracks.record or {}).get("contigs", ())}
    for name in asked:
        contig, problem = opened.contigs.get(name), ""
        if contig is None:
            problem = f"has no contig {name!r}"
        elif contig.length != tracks.lengths[name]:
            problem = f"{name} has {contig.length:,} bp, in the tracks {tracks.lengths[name]:,}"
        elif digests.get(name, contig.md5) != contig.md5:
            problem = f"{name} is not what was annotated (MD5 {contig.md5} against {digests[name]})"
        if problem:
            raise DilannotError(problem, where=genome, remedy="give the genome that the tracks were made for")
    return known_bases(asked, opened)


def _warn_of_unknown(tracks: Surveyed, progress: Progress) -> None:
    """Unless the manifest says that every base was known."""
    if tracks.record is not None:
        annotated = sum(int(last) - int(first) + 1 for _, first, last in map(_parts, tracks.record["regions"]))
        if tracks.record.get("nucleotides") == annotated:
            return
    progress.warn("unknown bases (N) count as positions with the score 0; with the genome (--genome) they do not")


def _with_a_value(files: Sequence[Path], judged: Mapping[str, Bounds], unit: int, each: Each) -> dict[str, Bounds]:
    """Units at which some of the files has a value."""
    found = {}
    for contig, (starts, ends) in judged.items():
        parts = []
        for at in range(int(starts[0]), int(ends[-1]), _LAID_OUT):
            if np.searchsorted(ends, at, "right") == np.searchsorted(starts, at + _LAID_OUT, "left"):
                continue  # nothing here is judged
            there = np.zeros(min(_LAID_OUT, int(ends[-1]) - at), bool)

            def fill(path: Path, at: int = at, there: np.ndarray = there, contig: str = contig) -> None:
                with BigWig(path) as file:
                    for first, last, _ in Track(file, unit, "skip").runs(contig, at, at + len(there)):
                        lay_down(first - at, last - at, there)  # type: ignore[no-untyped-call]

            for _ in each(fill, files):
                pass
            parts.append(np.stack(runs(there)) + at)
        found[contig] = merge(*np.concatenate(parts, axis=1))
    return found


@compiled("void(int64[::1], int64[::1], boolean[::1])")
def lay_down(start, end, there):  # type: ignore[no-untyped-def]
    """Set what lies in runs."""
    for i in range(len(start)):
        there[start[i] : end[i]] = True


def _shown(asked: Mapping[str, Bounds]) -> list[str]:
    """As region strings, the first of them."""
    count = sum(len(starts) for starts, _ in asked.values())
    shown = [
        str(Interval(name, *bounds))
        for name, (starts, ends) in asked.items()
        for bounds in zip(starts[:_SHOWN].tolist(), ends[:_SHOWN].tolist(), strict=True)
    ][:_SHOWN]
    return shown + ([f"and {count - _SHOWN:,} more"] if count > _SHOWN else [])
