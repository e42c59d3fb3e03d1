"""Histograms of all tracks: how each is scaled, which coarse bins it gets, and again where its header was wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dilannot.evaluate.tracks.counting import Missing, Range, count_track, keys_of, scale_for
from dilannot.evaluate.tracks.labels import labels_of
from dilannot.evaluate.tracks.matching import Pair, some_names
from dilannot.evaluate.tracks.places import Places
from dilannot.evaluate.tracks.survey import Surveyed
from dilannot.evaluate.tracks.threads import Each
from dilannot.metrics.histograms import ScoreHistograms
from dilannot.metrics.keys import Space, coarse_edges, key_values
from dilannot.progress import Progress, Task

_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Scaling:
    """How scores become keys and these coarse bins.

    Attributes
    ----------
    space
        Probabilities where all values of all tracks may be some.
    scales
        (T,) what scores are multiplied by.
    edges
        (T, COARSE + 1) keys at which coarse bins begin.
    """

    space: Space
    scales: list[float]
    edges: NDArray[np.int64]

    @classmethod
    def of(cls, known: Sequence[Range]) -> Scaling:
        """For least and highest values of tracks. The zeros of gaps, if they lie beyond, get a bin of their own."""
        space: Space = "probability" if all(low >= 0 and high <= 1 for low, high in known) else "score"
        scales = [scale_for(found, space) for found in known]
        # As they are counted: the least score must not get the bin of what lies below.
        low, high = key_values()[keys_of(np.array(known), np.array(scales)[:, None])].T
        return cls(space, scales, coarse_edges(low, high, space))

    def same(self, other: Scaling) -> bool:
        """Whether scores counted so need not be counted again."""
        alike = self.space == other.space and self.scales == other.scales
        return alike and np.array_equal(self.edges, other.edges)


def count_all(
    pairs: Sequence[Pair], places: Places, tracks: Surveyed, missing: Missing, each: Each, progress: Progress
) -> tuple[ScoreHistograms, list[float]]:
    """Count the scores of all tracks, those in their peaks too; and what they were multiplied by before.

    Raises
    ------
    DilannotError
        A damaged file, an infinite value, or peaks of another assembly.
    """
    known = [found or (0.0, 1.0) for found in tracks.ranges]
    while True:
        scaling = Scaling.of(known)
        histograms = ScoreHistograms(len(pairs), space=scaling.space, blocks=places.blocks, edges=scaling.edges)
        histograms.positions = places.units

        def count(row: int, histograms: ScoreHistograms = histograms, scaling: Scaling = scaling) -> Range:
            peaks = labels_of(pairs[row].peaks, tracks.lengths, places)
            return count_track(pairs[row].track, peaks, places, missing, histograms, row, scaling.scales[row])

        with progress.task("judging", len(pairs)) as task:
            seen = list(_told(each(count, range(len(pairs))), task))
        known = [(min(low, least), max(high, most)) for (low, high), (least, most) in zip(known, seen, strict=True)]
        if scaling.same(Scaling.of(known)):
            blank = [pair.track.name for pair, (low, high) in zip(pairs, seen, strict=True) if low > high]
            if blank:
                progress.warn(f"{len(blank):,} of the tracks have no value here: {some_names(blank)}")
            return histograms, scaling.scales


def _told(results: Iterable[_R], task: Task) -> Iterator[_R]:
    for result in results:
        task.advance(1)
        yield result
