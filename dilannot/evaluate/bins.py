"""Nucleotides as bins: which bins are labelled, which count, and what score a bin gets."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dilannot.data.batch import LabelIntervals
from dilannot.genome.intervals import split_into_windows


def binned_labels(labels: LabelIntervals, markers: int, length: int, bin_length: int) -> LabelIntervals:
    """Bins of which more than half is labelled, as DeepSEA's; what is shorter than a bin at a window's end is left out.

    Parameters
    ----------
    labels
        Of windows of `length` nt: disjoint within a window and marker.
    markers
        T.
    """
    bins = length // bin_length
    row = (labels.window * markers + labels.marker).numpy()
    start, end = labels.start.numpy(), np.minimum(labels.end.numpy(), bins * bin_length)
    order = np.lexsort((start, row))[(start < end)[np.lexsort((start, row))]]
    # All windows and markers end to end, so that one call cuts them.
    origin = row[order] * bins * bin_length
    place, begin, stop, _ = split_into_windows(origin + start[order], origin + end[order], bin_length)
    found, inverse = np.unique(place, return_inverse=True)
    covered = np.bincount(inverse, weights=stop - begin, minlength=len(found))
    found = found[2 * covered > bin_length].astype(np.int64)
    row, at = found // bins, found % bins
    return LabelIntervals(*map(torch.from_numpy, (row // markers, row % markers, at, at + 1)))


def binned_mask(mask: Tensor, bin_length: int) -> Tensor:
    """(N, L) -> (N, bins): bins of which every position counts."""
    bins = mask.shape[1] // bin_length
    return mask[:, : bins * bin_length].reshape(len(mask), bins, bin_length).all(dim=2)


def binned_means(probabilities: Tensor, bin_length: int) -> Tensor:
    """(N, T, L) -> (N, T, bins)."""
    size, markers, length = probabilities.shape
    bins = length // bin_length
    return probabilities[:, :, : bins * bin_length].reshape(size, markers, bins, bin_length).mean(dim=3)
