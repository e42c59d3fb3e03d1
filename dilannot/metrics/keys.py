"""Scores as 16-bit keys: half-precision numbers in their order, so that a histogram of them loses nothing."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

KEYS = 1 << 16
ZERO = 1 << 15  # key of 0.0; -0.0 has the one before and means the same
LOWEST, HIGHEST = 0x03FF, 0xFC00  # keys of -inf and inf; those beyond are no numbers

COARSE = 256  # bins of the histograms that are kept of every block

Space = Literal["logit", "probability", "score"]


@cache
def key_values() -> NDArray[np.float64]:
    """(KEYS,) the number each key stands for; NaN for those beyond infinity."""
    key = np.arange(KEYS)
    bits = np.where(key < ZERO, KEYS - 1 - key, key - ZERO).astype(np.uint16)
    with np.errstate(invalid="ignore"):  # some of those beyond infinity are NaNs that signal
        return bits.view(np.float16).astype(np.float64)


@cache
def probabilities(space: Space) -> NDArray[np.float64]:
    """(KEYS,) the probability each key stands for; NaN where its number is none."""
    values = key_values()
    if space == "logit":
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-values))
    return np.where((values >= 0) & (values <= 1), values, np.nan)


@cache
def coarse_edges(space: Space) -> NDArray[np.int64]:
    """(COARSE + 1,) keys at which the coarse bins begin, and KEYS.

    Logits are cut evenly between -16 and 8, probabilities between 0 and 1; of any other score each bin holds as many
    keys, a quarter of them for negative ones.
    """
    if space == "score":
        below = np.linspace(LOWEST, ZERO - 1, COARSE // 4 + 1)[:-1]
        keys = np.concatenate((below, np.linspace(ZERO - 1, HIGHEST, COARSE - COARSE // 4 + 1)[:-1])).astype(np.int64)
    else:
        low, high = (-16.0, 8.0) if space == "logit" else (0.0, 1.0)
        keys = np.searchsorted(key_values()[LOWEST : HIGHEST + 1], np.linspace(low, high, COARSE + 1)[:-1]) + LOWEST
        keys = np.where(keys == ZERO, ZERO - 1, keys)  # -0.0 is 0.0
    keys[0] = 0
    return np.append(keys, KEYS)


@cache
def coarse_bins(space: Space) -> NDArray[np.uint8]:
    """(KEYS,) the coarse bin of each key."""
    return (np.searchsorted(coarse_edges(space), np.arange(KEYS), "right") - 1).astype(np.uint8)
