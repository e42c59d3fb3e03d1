"""Judge bigWig tracks, dilannot's or another tool's, against peaks, at single nucleotides or in bins."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dilannot.data.inputs import find_inputs
from dilannot.data.markers import Marker
from dilannot.errors import DilannotError
from dilannot.evaluate.figures import judge
from dilannot.evaluate.protocol import DEFAULTS, Protocol
from dilannot.evaluate.track_counting import Missing, Range, count_track, scale_for, with_a_value
from dilannot.evaluate.track_labels import labels_of, other_names
from dilannot.evaluate.track_matching import Pair, find_tracks, match, some_names
from dilannot.evaluate.track_places import Bounds, Places, by_contig, cut_into_blocks, in_units, known_bases, meeting
from dilannot.evaluation import Evaluation
from dilannot.formats.bigwig_reader import BigWig
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Interval
from dilannot.metrics.histograms import ScoreHistograms
from dilannot.metrics.keys import Space
from dilannot.progress import Progress, Silent, Task
from dilannot.scope import scope

_T = TypeVar("_T")
_R = TypeVar("_R")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Counted:
    """The scores of tracks.

    Attributes
    ----------
    subject
        The folder or file.
    markers
        One a track.
    histograms
        Counts of their scores.
    scales
        What the scores of each track were multiplied by before they were counted, a power of two, mostly 1.
    block_length
        nt of the blocks that are resampled.
    protocol
        What was judged and how.
    """

    subject: str
    markers: list[Marker]
    histograms: ScoreHistograms
    scales: list[float]
    block_length: int
    protocol: dict[str, Any]


def evaluate_tracks(
    tracks: Path,
    peaks: Sequence[Path],
    *,
    protocol: Protocol = DEFAULTS,
    genome: Path | None = None,
    missing: Missing = "zero",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Judge each track by the peaks of its marker; see `count_tracks`.

    Of the protocol, regions, markers, bins, thresholds and resampling are asked for.
    """
    counted = count_tracks(
        tracks, peaks, genome=genome, regions=protocol.regions, regions_file=protocol.regions_file,
        exclude=protocol.exclude, markers=protocol.markers, bin_length=protocol.bin_length, missing=missing,
        threads=threads, progress=progress,
    )  # fmt: skip
    scales = np.array(counted.scales)
    evaluation = judge(
        counted.histograms, counted.markers, {f"{value:g}": value * scales for value in protocol.thresholds},
        subject=counted.subject, protocol=counted.protocol, block_length=counted.block_length,
        replicates=protocol.replicates, seed=protocol.seed,
    ).evaluation  # fmt: skip
    scores = replace(evaluation.scores, best_f1_threshold=evaluation.scores.best_f1_threshold / scales)
    points = [replace(point, threshold=point.threshold / scales) for point in evaluation.operating]
    return replace(evaluation, scores=scores, operating=points)


def count_tracks(
    tracks: Path,
    peaks: Sequence[Path],
    *,
    genome: Path | None = None,
    regions: Sequence[str] = (),
    regions_file: Path | None = None,
    exclude: Sequence[str] = (),
    markers: Sequence[str] = (),
    bin_length: int = 1,
    missing: Missing = "zero",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Counted:
    """Count the scores of each track, and those in the peaks of its marker.

    Parameters
    ----------
    tracks
        A tracks folder, any folder of bigWig files, or one bigWig file.
    peaks
        Peak files and folders that hold some, and the table of their markers (.tsv) where it does not lie in one.
    genome
        FASTA: unknown bases (N), and bins that hold one, do not count. Without it they count like all others.
    regions, regions_file, exclude
        What is judged, as `dilannot annotate` takes it. Default: what was annotated, and nothing else ever is; for
        tracks of other tools the contigs on which one of them has a value.
    markers
        Names, patterns, `class=...`; all without any.
    bin_length
        nt; above 1 the score of a bin, counted from the start of its contig, is the mean of its values, and it is
        positive where more than half of it lies in peaks (DeepSEA).
    missing
        What a track has no value for scores 0 (`zero`); or (`skip`) positions and bins for which no track has a value
        do not count, and the mean of a bin is that of the values there. Where only some tracks have a value, the
        others score 0 all the same: all markers are judged at the same positions.
    threads
        At most; as many as there are processors without.

    Raises
    ------
    DilannotError
        Tracks and peaks that do not fit each other by name or assembly, damaged files, nothing to judge.
    """
    if bin_length < 1:
        raise ValueError("a bin has 1 nt or more")
    progress = progress or Silent()
    found, record = find_tracks(tracks)
    tables = [path for path in peaks if path.suffix.lower() == ".tsv"]
    inputs = find_inputs([path for path in peaks if path not in tables], list(map(str, tables)))
    matched = match(found, inputs, markers, tracks, progress)
    pairs, files = matched.pairs, [pair.track for pair in matched.pairs]
    workers = threads or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        each = partial(_each, pool)
        lengths, ranges = _survey(files, each)
        chosen = scope(lengths, regions, regions_file, exclude, progress=progress)
        asked = by_contig(chosen)
        if record is not None or not (regions or regions_file):
            asked = _of_the_tracks(asked, files, record, tracks, lengths, each)
        known = asked if genome is None else _known(asked, genome, lengths, record, progress)
        judged = in_units(known, bin_length)
        if missing == "skip":
            judged = meeting(judged, with_a_value(files, judged, bin_length, each))
        elif genome is None:
            _warn_of_unknown(record, progress)
        places = cut_into_blocks(judged, bin_length)
        histograms, scales = _count(pairs, places, lengths, missing, ranges, each, progress)
    if not histograms.positive.any():
        raise DilannotError(
            "no peak lies in what is judged",
            where=pairs[0].peaks,
            remedy="are they on other contigs, or of another assembly?",
        )
    protocol = {
        "tracks": str(tracks),
        "peaks": [str(path) for path in peaks],
        "genome": None if genome is None else str(genome),
        "regions": _shown(asked),
        "positions": places.units,
        "bin": bin_length,
        "missing": missing,
        "unmatched": {"tracks": len(matched.tracks), "peaks": len(matched.peaks)},
        "positions_sha256": places.digest(),
    }
    return Counted(str(tracks), [pair.marker for pair in pairs], histograms, scales, places.block_length, protocol)


def _each(pool: ThreadPoolExecutor, function: Callable[[_T], _R], things: Iterable[_T]) -> Iterator[_R]:
    """Map over threads, in order; what has not begun when one fails is never done."""
    waiting = [pool.submit(function, thing) for thing in things]
    try:
        for future in waiting:
            yield future.result()
    finally:
        for future in waiting:
            future.cancel()


_Each = Callable[..., Iterator[Any]]


def _survey(files: Sequence[Path], each: _Each) -> tuple[dict[str, int], list[Range | None]]:
    """Contigs of all tracks and their lengths, and what each track's header says of its values."""

    def look(path: Path) -> tuple[dict[str, int], Range | None]:
        with BigWig(path) as file:
            return file.lengths, file.range

    lengths: dict[str, int] = {}
    owner: dict[str, Path] = {}
    ranges = []
    for path, (contigs, found) in zip(files, each(look, files), strict=True):
        ranges.append(found)
        for name, length in contigs.items():
            if lengths.setdefault(name, length) != length:
                raise DilannotError(
                    f"{name} has {length:,} bp here and {lengths[name]:,} in {owner[name]}",
                    where=path,
                    remedy="judge tracks of one assembly",
                )
            owner.setdefault(name, path)
        other = next((twin for name in contigs for twin in other_names(name) if twin in lengths), None)
        if other and owner[other] != path and not any(name in contigs for name in lengths if owner[name] != path):
            raise DilannotError(
                f"has no contig in common with {owner[other]}, which calls them {other!r} and the like",
                where=path,
                remedy="judge tracks of one assembly, with its names",
            )
    return lengths, ranges


def _of_the_tracks(
    asked: Mapping[str, Bounds],
    files: Sequence[Path],
    record: Mapping[str, Any] | None,
    tracks: Path,
    lengths: Mapping[str, int],
    each: _Each,
) -> dict[str, Bounds]:
    """Of what is asked for that which was annotated, or the contigs on which a track of another tool has a value."""
    if record is not None:
        found = meeting(asked, _annotated(record, tracks, lengths))
        lacking = "nothing of these regions was annotated"
    else:

        def contigs_of(path: Path) -> list[str]:
            with BigWig(path) as file:
                return file.contigs_with_values()

        there = {name for names in each(contigs_of, files) for name in names}
        found = {name: bounds for name, bounds in asked.items() if name in there}
        lacking = "the tracks have no value on these contigs"
    if not found:
        raise DilannotError(lacking, where=tracks, remedy="judge other regions")
    return found


def _annotated(record: Mapping[str, Any], tracks: Path, lengths: Mapping[str, int]) -> dict[str, Bounds]:
    """The regions of a manifest. They are read strictly: a contig may be called like a region of another one."""
    intervals = []
    for text in record.get("regions", ()):
        name, first, last = _parts(text)
        if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= lengths.get(name, 0)):
            raise DilannotError(f"the manifest names a region that the tracks do not have: {text!r}", where=tracks)
        intervals.append(Interval(name, int(first) - 1, int(last)))
    found = by_contig(intervals)
    return {name: found[name] for name in lengths if name in found}


def _parts(region: object) -> tuple[str, str, str]:
    """Contig, first and last position as they are written."""
    name, _, bounds = str(region).rpartition(":")
    first, _, last = bounds.replace(",", "").partition("-")
    return name, first, last


def _known(
    asked: Mapping[str, Bounds], genome: Path, lengths: Mapping[str, int], record: Mapping[str, Any] | None,
    progress: Progress,
) -> dict[str, Bounds]:  # fmt: skip
    """Regions without what is N."""
    opened = Genome(genome, progress)
    digests = {name: digest for name, _, digest in (record or {}).get("contigs", ())}
    for name in asked:
        contig, problem = opened.contigs.get(name), ""
        if contig is None:
            problem = f"has no contig {name!r}"
        elif contig.length != lengths[name]:
            problem = f"{name} has {contig.length:,} bp, in the tracks {lengths[name]:,}"
        elif digests.get(name, contig.md5) != contig.md5:
            problem = f"{name} is not what was annotated (MD5 {contig.md5} against {digests[name]})"
        if problem:
            raise DilannotError(problem, where=genome, remedy="give the genome that the tracks were made for")
    return known_bases(asked, opened)


def _warn_of_unknown(record: Mapping[str, Any] | None, progress: Progress) -> None:
    """Unless the manifest says that every base was known."""
    if record is not None:
        annotated = sum(int(last) - int(first) + 1 for _, first, last in map(_parts, record["regions"]))
        if record.get("nucleotides") == annotated:
            return
    progress.warn("unknown bases (N) count as positions with the score 0; with the genome (--genome) they do not")


def _count(
    pairs: Sequence[Pair],
    places: Places,
    lengths: Mapping[str, int],
    missing: Missing,
    ranges: Sequence[Range | None],
    each: _Each,
    progress: Progress,
) -> tuple[ScoreHistograms, list[float]]:
    """Count all tracks; once more where a header was wrong about its values."""
    known = [found or (0.0, 1.0) for found in ranges]
    while True:
        space: Space = "probability" if all(low >= 0 and high <= 1 for low, high in known) else "score"
        scales = [scale_for(found, space) for found in known]
        histograms = ScoreHistograms(len(pairs), space=space, blocks=places.blocks)
        histograms.positions = places.units

        def count(row: int, histograms: ScoreHistograms = histograms, scales: Sequence[float] = scales) -> Range:
            peaks = labels_of(pairs[row].peaks, lengths, places)
            return count_track(pairs[row].track, peaks, places, missing, histograms, row, scales[row])

        with progress.task("judging", len(pairs)) as task:
            seen = list(_told(each(count, range(len(pairs))), task))
        known = [(min(low, least), max(high, most)) for (low, high), (least, most) in zip(known, seen, strict=True)]
        same = space == "score" or all(low >= 0 and high <= 1 for low, high in known)
        if same and scales == [scale_for(found, space) for found in known]:
            blank = [pair.track.name for pair, (low, high) in zip(pairs, seen, strict=True) if low > high]
            if blank:
                progress.warn(f"no value where it is judged has {some_names(blank)}")
            return histograms, scales


def _told(results: Iterable[_R], task: Task) -> Iterator[_R]:
    for result in results:
        task.advance(1)
        yield result


def _shown(asked: Mapping[str, Bounds]) -> list[str]:
    """As region strings, the first of them."""
    count = sum(len(starts) for starts, _ in asked.values())
    shown = [
        str(Interval(name, *bounds))
        for name, (starts, ends) in asked.items()
        for bounds in zip(starts[:_SHOWN].tolist(), ends[:_SHOWN].tolist(), strict=True)
    ][:_SHOWN]
    return shown + ([f"and {count - _SHOWN:,} more"] if count > _SHOWN else [])
