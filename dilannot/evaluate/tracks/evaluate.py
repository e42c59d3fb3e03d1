"""Judge bigWig tracks, dilannot's or another tool's, against peaks, at single nucleotides or in bins."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dilannot.data.inputs import Inputs, find_inputs
from dilannot.data.markers import Marker
from dilannot.errors import DilannotError
from dilannot.evaluate.figures import judge
from dilannot.evaluate.protocol import DEFAULTS, Protocol, check_thresholds
from dilannot.evaluate.tracks.counting import Missing
from dilannot.evaluate.tracks.histograms import count_all
from dilannot.evaluate.tracks.judged import choose_places
from dilannot.evaluate.tracks.matching import Pair, find_tracks, match
from dilannot.evaluate.tracks.survey import survey
from dilannot.evaluate.tracks.threads import Each
from dilannot.evaluation import Evaluation
from dilannot.metrics.histograms import ScoreHistograms
from dilannot.metrics.keys import ZERO
from dilannot.predict import cores
from dilannot.progress import Progress, Silent

_MANY = 0.1  # of all scores


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

    Of the protocol, regions, markers, bins, thresholds and resampling are asked for. Log loss is NaN for markers with a
    probability of 0 in their peaks: it would be infinite.
    """
    check_thresholds(protocol.thresholds, probabilities=False)
    progress = progress or Silent()
    counted = count_tracks(
        tracks, peaks, protocol=protocol, genome=genome, missing=missing, threads=threads, progress=progress
    )
    _tell_of_gaps(counted, progress)
    scales = np.array(counted.scales)
    evaluation = judge(
        counted.histograms, counted.markers, {f"{value:g}": value * scales for value in protocol.thresholds},
        subject=counted.subject, protocol=counted.protocol, block_length=counted.block_length,
        replicates=protocol.replicates, seed=protocol.seed,
    ).evaluation  # fmt: skip
    scores = evaluation.scores
    impossible = counted.histograms.positive[:, ZERO - 1 : ZERO + 1].any(axis=1)
    scores = replace(
        scores,
        best_f1_threshold=scores.best_f1_threshold / scales,
        log_loss=np.where(impossible, np.nan, scores.log_loss),
    )
    points = [replace(point, threshold=point.threshold / scales) for point in evaluation.operating]
    return replace(evaluation, scores=scores, operating=points)


def _tell_of_gaps(counted: Counted, progress: Progress) -> None:
    """Positions without a value are ties at 0: what a network thought of them is lost."""
    gaps = counted.histograms.everything[:, ZERO].sum(dtype=np.int64)
    share = gaps / max(counted.histograms.positions * len(counted.markers), 1)
    if share > _MANY:
        progress.warn(
            f"{share:.0%} of all scores are 0 or have no value: they tie, and AUCs are those of the tracks, not of the "
            "network behind them; for that evaluate the run, or annotate with --min-score 0 --precision 0.0001"
        )


def count_tracks(
    tracks: Path,
    peaks: Sequence[Path],
    *,
    protocol: Protocol = DEFAULTS,
    genome: Path | None = None,
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
    protocol
        Its regions are what is judged. Default: what was annotated, and nothing else ever is; for tracks of other tools
        the contigs on which one of them has a value. A bin counts from the start of its contig, and its score is the
        mean of its values.
    genome
        FASTA: unknown bases (N), and bins that hold one, do not count. Without it they count like all others.
    missing
        What a track has no value for scores 0 (`zero`); or (`skip`) positions and bins for which no track has a value
        do not count, and the mean of a bin is that of the values there. Where only some tracks have a value, the
        others score 0 all the same: all markers are judged at the same positions.
    threads
        At most; one per core by default.

    Raises
    ------
    DilannotError
        Tracks and peaks that do not fit each other by name or assembly, damaged files, nothing to judge.
    """
    if protocol.bin_length < 1:
        raise ValueError("a bin has 1 nt or more")
    progress = progress or Silent()
    found, record = find_tracks(tracks)
    matched = match(found, _inputs(peaks), protocol.markers, tracks, progress)
    with ThreadPoolExecutor(threads or cores()) as pool:
        each = Each(pool)
        there = survey(tracks, [pair.track for pair in matched.pairs], record, each)
        places, regions = choose_places(there, protocol, genome, missing, each, progress)
        histograms, scales = count_all(matched.pairs, places, there, missing, each, progress)
    _check_labels(histograms, matched.pairs)
    told = {
        "tracks": str(tracks),
        "peaks": [str(path) for path in peaks],
        "genome": None if genome is None else str(genome),
        "regions": regions,
        "positions": places.units,
        "bin": protocol.bin_length,
        "missing": missing,
        "unmatched": {"tracks": len(matched.tracks), "peaks": len(matched.peaks)},
        "positions_sha256": places.digest(),
    }
    return Counted(str(tracks), [pair.marker for pair in matched.pairs], histograms, scales, places.block_length, told)


def _inputs(peaks: Sequence[Path]) -> Inputs:
    """Peak files with their markers."""
    tables = [path for path in peaks if path.suffix.lower() == ".tsv"]
    return find_inputs([path for path in peaks if path not in tables], list(map(str, tables)))


def _check_labels(histograms: ScoreHistograms, pairs: Sequence[Pair]) -> None:
    if not histograms.positive.any():
        raise DilannotError(
            "no peak lies in what is judged",
            where=pairs[0].peaks,
            remedy="are they on other contigs, or of another assembly?",
        )
