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
_OFF, _OFF_SHARE = 0.01, 0.2  # by which a coarse figure may differ from the exact one


@dataclass(frozen=True, slots=True)
class Resampled:
    """How far figures are off when blocks are drawn again.

    Attributes
    ----------
    roc_auc, pr_auc
        (replicates, T) deviations, NaN where a figure is not defined.
    coarse_roc_auc, coarse_pr_auc
        (T,) what they deviate from: the figures of all blocks, of coarse bins.
    positive_blocks
        (T,) blocks that hold positives.
    """

    roc_auc: Floats
    pr_auc: Floats
    coarse_roc_auc: Floats
    coarse_pr_auc: Floats
    positive_blocks: NDArray[np.int64]

    def sure(self, figure: Figure, exact: Floats) -> NDArray[np.bool_]:
        """(T,) markers whose deviations say something: positives in several blocks, and bins that are fine enough."""
        coarse: Floats = getattr(self, f"coarse_{figure}")
        with np.errstate(invalid="ignore"):
            close = np.abs(coarse - exact) <= np.maximum(_OFF, _OFF_SHARE * exact)
        return close & (self.positive_blocks >= LEAST_BLOCKS)

    def of(self, figure: Figure) -> Floats:
        """(replicates, T) of one figure."""
        deviations: Floats = getattr(self, figure)
        return deviations


def resampled(
    coarse_everything: NDArray[np.uint32],
    coarse_positive: NDArray[np.uint32],
    *,
    replicates: int,
    seed: int,
    distinct: NDArray[np.int64] | None = None,
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
    distinct
        (T, COARSE) how many scores there are in a bin: one is a tie, of many each has a precision of its own. Many
        without it.

    Returns
    -------
    Resampled
        Figures of each replicate less those of all blocks together.
    """
    blocks, markers, bins = coarse_everything.shape
    weights = np.ones((replicates + 1, blocks))  # the last replicate has every block once
    weights[:-1] = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=replicates)
    areas = np.empty((2, markers, replicates + 1))
    ends = np.full((markers, bins), 0.5) if distinct is None else (distinct + 1) / (2 * np.maximum(distinct, 1))
    for marker in range(markers):
        all_counts = coarse_everything[:, marker]
        occupied = all_counts.any(axis=0)
        counts, hits = (
            # Counts are whole numbers, so that the order of a sum does not matter.
            weights @ np.ascontiguousarray(each[:, occupied], np.float64)
            for each in (all_counts, coarse_positive[:, marker])
        )
        _areas(  # type: ignore[no-untyped-call]
            counts, hits, np.ascontiguousarray(ends[marker, occupied]), areas[0, marker], areas[1, marker]
        )
    deviations = areas[..., :-1] - areas[..., -1:]
    there = coarse_positive.any(axis=2).sum(axis=0)
    return Resampled(deviations[0].T, deviations[1].T, areas[0, :, -1], areas[1, :, -1], there)


@compiled("void(float64[:,::1], float64[:,::1], float64[::1], float64[::1], float64[::1])")
def _areas(everything, positive, ends, roc_auc, pr_auc):  # type: ignore[no-untyped-def]
    """ROC AUC and average precision of each row of a (replicates, bins) pair of histograms.

    Positives of a bin get the precision at its end where they are ties, `ends` 1, and in its middle, 0.5, where their
    scores differ: at the end it would be some percent too low.
    """
    replicates, bins = everything.shape
    for r in range(replicates):
        roc, average, called, found = 0.0, 0.0, 0.0, 0.0
        for i in range(bins - 1, -1, -1):
            hits, new = positive[r, i], everything[r, i]
            roc += (new - hits) * (found + hits / 2)
            if hits > 0:
                average += hits * (found + ends[i] * hits) / (called + ends[i] * new)
            called += new
            found += hits
        negatives = called - found
        defined = found > 0 and negatives > 0
        roc_auc[r] = roc / (found * negatives) if defined else np.nan
        pr_auc[r] = average / found if defined else np.nan
