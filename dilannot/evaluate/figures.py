"""All figures of what was counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dilannot.data.markers import Marker
from dilannot.evaluate.confidence import intervals
from dilannot.evaluation import Evaluation
from dilannot.metrics.bootstrap import LEAST_BLOCKS, Resampled, resampled
from dilannot.metrics.histograms import ScoreHistograms
from dilannot.metrics.scores import Floats, scores_of
from dilannot.metrics.shapes import shapes_of
from dilannot.metrics.thresholds import operating_point


@dataclass(frozen=True, slots=True)
class Judged:
    """An evaluation, and how far its figures are off when blocks of the genome are drawn again."""

    evaluation: Evaluation
    resampled: Resampled | None


def judge(
    histograms: ScoreHistograms,
    markers: Sequence[Marker],
    thresholds: Mapping[str, Floats],
    *,
    subject: str,
    protocol: Mapping[str, Any],
    block_length: int,
    replicates: int,
    seed: int,
) -> Judged:
    """All figures of what was counted.

    Parameters
    ----------
    histograms
        Finished.
    markers
        (T,) what was judged.
    thresholds
        Where they come from -> (T,) thresholds.
    subject, protocol
        What was judged and how, in words.
    block_length, replicates, seed
        Of the resampling.
    """
    everything, positive, space = histograms.everything, histograms.positive, histograms.space
    shift = histograms.shift
    scores = scores_of(everything, positive, space, shift)
    drawn = around = None
    if replicates and histograms.blocks >= LEAST_BLOCKS:
        drawn = resampled(
            histograms.coarse_everything, histograms.coarse_positive, replicates=replicates, seed=seed,
            distinct=histograms.distinct(),
        )  # fmt: skip
        around = intervals(
            drawn, scores, markers, blocks=histograms.blocks, block_length=block_length, replicates=replicates,
            seed=seed,
        )  # fmt: skip
    points = [operating_point(name, values, everything, positive, space, shift) for name, values in thresholds.items()]
    shapes = shapes_of(everything, positive, space, shift)
    told = {**protocol, "positions": scores.positions}
    return Judged(Evaluation(subject, space, told, list(markers), scores, shapes, around, points), drawn)
