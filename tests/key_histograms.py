"""Histograms of score keys made the plain way, for tests of what is read from them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dilannot.metrics.keys import HIGHEST, KEYS, LOWEST, key_values

Counts = NDArray[np.uint32]
Flags = NDArray[np.bool_]

# Whole numbers, for ties, and any others that half precision has.
halves = st.integers(-8, 8).map(float) | st.integers(LOWEST + 1, HIGHEST - 1).map(lambda key: float(key_values()[key]))
scored = st.lists(st.tuples(halves, st.booleans()), min_size=1, max_size=60)


def key_of(scores: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Ordered keys of scores that are rounded to half precision, from the bits of each number."""
    with np.errstate(over="ignore"):
        bits = scores.astype(np.float16).view(np.uint16).astype(np.int64)
    return np.where(bits >= 0x8000, KEYS - 1 - bits, bits + 0x8000)


def histograms(scores: NDArray[np.floating[Any]], labels: Flags) -> tuple[Counts, Counts]:
    """(T, L) scores and labels -> (T, KEYS) counts of all positions and of the positive ones."""
    counts = np.zeros((2, len(scores), KEYS), np.uint32)
    for marker, (row, positive) in enumerate(zip(key_of(scores), labels, strict=True)):
        counts[0, marker] = np.bincount(row, minlength=KEYS)
        counts[1, marker] = np.bincount(row[positive], minlength=KEYS)
    return counts[0], counts[1]


def coarse(counts: Counts, edges: NDArray[np.int64]) -> Counts:
    """(T, KEYS) counts by key -> (T, COARSE) by coarse bin."""
    return np.stack([counts[:, a:b].sum(axis=1) for a, b in pairwise(edges)], 1).astype(np.uint32)
