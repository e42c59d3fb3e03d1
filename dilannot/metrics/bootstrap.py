"""How far figures could be off: blocks of the genome are drawn again and again, with replacement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dilannot.compiled import compiled
from dilannot.metrics.scores import Floats

Figure = Literal["roc_auc", "pr_auc"]
FIGURES: tuple[Figure, ...] = ("roc_auc", "pr_auc")  # those with intervals

LEAST_BLOCKS = 10  # with fewer an interval says little


@dataclass(frozen=True, slots=True)
class Resampled:
    """How far figures are off when blocks are drawn again: (replicates, T), NaN where one is not defined."""

    roc_auc: Floats
    pr_auc: Floats

    def of(self, figure: Figure) -> Floats:
        """(replicates, T) of one figure."""
        deviations: Floats = getattr(self, figure)
        return deviations


def resampled(
    coarse_everything: NDArray[np.uint32], coarse_positive: NDArray[np.uint32], *, replicates: int, seed: int
) -> Resampled:
    """Draw as many blocks as there are, with replacement, again and again, and see what becomes of the figures.

    Positions that lie near each other are alike, so that whole blocks are drawn. The same seed draws the same of as
    many blocks: two runs that were judged by the same ones can be compared replicate by replicate. Both the figures of
    replicates and those of all blocks, which are taken from them, come from coarse histograms.

    Parameters
    ----------
    coarse_everything, coarse_positive
        (blocks, T, COARSE) histograms of all positions and of the positive ones.
    replicates
        How often to draw.
    seed
        Of the random numbers.

    Returns
    -------
    Resampled
        Figures of each replicate less those of all blocks together.
    """
    blocks, markers, _ = coarse_everything.shape
    weights = np.ones((replicates + 1, blocks))  # the last replicate has every block once
    weights[:-1] = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=replicates)
    areas = np.empty((2, markers, replicates + 1))
    for marker in range(markers):
        all_counts = coarse_everything[:, marker]
        occupied = all_counts.any(axis=0)
        counts, hits = (
            # Counts are whole numbers, so that the order of a sum does not matter.
            weights @ np.ascontiguousarray(each[:, occupied], np.float64)
            for each in (all_counts, coarse_positive[:, marker])
        )
        _areas(counts, hits, areas[0, marker], areas[1, marker])  # type: ignore[no-untyped-call]
    deviations = areas[..., :-1] - areas[..., -1:]
    return Resampled(deviations[0].T, deviations[1].T)


@compiled("void(float64[:,::1], float64[:,::1], float64[::1], float64[::1])")
def _areas(everything, positive, roc_auc, pr_auc):  # type: ignore[no-untyped-def]
    """ROC AUC and average precision of each row of a (replicates, bins) pair of histograms.

    Scores within a bin are hardly ever the same: its positives get the precision in its middle, not at its end, which
    would be some percent too low.
    """
    replicates, bins = everything.shape
    for r in range(replicates):
        roc, average, called, found = 0.0, 0.0, 0.0, 0.0
        for i in range(bins - 1, -1, -1):
            hits, new = positive[r, i], everything[r, i]
            roc += (new - hits) * (found + hits / 2)
            if hits > 0:
                average += hits * (found + hits / 2) / (called + new / 2)
            called += new
            found += hits
        negatives = called - found
        defined = found > 0 and negatives > 0
        roc_auc[r] = roc / (found * negatives) if defined else np.nan
        pr_auc[r] = average / found if defined else np.nan
