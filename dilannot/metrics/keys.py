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
def drawn_edges(space: Space) -> NDArray[np.int64]:
    """(COARSE + 1,) keys at which the bins of drawn distributions begin, and KEYS.

    Logits are cut evenly between -16 and 8, probabilities between 0 and 1; of any other score each bin holds as many
    keys, a quarter of them for negative ones.
    """
    if space == "score":
        below = np.linspace(LOWEST, ZERO - 1, COARSE // 4 + 1)[:-1]
        keys = np.concatenate((below, np.linspace(ZERO - 1, HIGHEST, COARSE - COARSE // 4 + 1)[:-1])).astype(np.int64)
    else:
        low, high = (-16.0, 8.0) if space == "logit" else (0.0, 1.0)
        keys = lowest_keys(np.linspace(low, high, COARSE + 1)[:-1])
    keys[0] = 0
    return np.append(keys, KEYS)


def lowest_keys(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """The lowest key whose number is not less than each score; that of -0.0 for zero."""
    keys = np.searchsorted(key_values()[LOWEST : HIGHEST + 1], scores) + LOWEST
    return np.where(keys == ZERO, ZERO - 1, keys)


_WITHIN, _ABOVE, _BELOW = 160, 63, 31  # coarse bins of logits between those seen, above and below
_FAR = 32.0  # logits beyond those seen that bins still tell apart


def coarse_edges(low: NDArray[np.float64], high: NDArray[np.float64], space: Space) -> NDArray[np.int64]:
    """(T, COARSE + 1) keys at which every marker's coarse bins begin, never falling; the last is KEYS.

    Logits are cut evenly between `low` and `high`, and beyond them ever more widely: others may come. Other scores are
    cut so that each bin between the two holds as many keys.

    Parameters
    ----------
    low, high
        (T,) least and highest score seen, or known of; NaN where nothing is.
    space
        What the scores are.
    """
    unknown = np.isnan(low) | np.isnan(high)
    least, most = (-16.0, 8.0) if space == "logit" else (0.0, 1.0)
    bounds = (np.where(unknown, least, low), np.where(unknown, most, high))
    low, high = (np.clip(each, -65504, 65504)[:, None] for each in bounds)
    if space == "logit":
        above, below = ((np.arange(1, count + 1) / count) ** 2 * _FAR for count in (_ABOVE, _BELOW))
        within = low + (high - low) * np.linspace(0, 1, _WITHIN + 1)
        keys = lowest_keys(np.concatenate((low - below[::-1], within, high + above), axis=1))
    else:
        first, last = lowest_keys(low), lowest_keys(high) + 1
        keys = (first + (last - first) * np.linspace(0, 1, COARSE - 1)).astype(np.int64)
        keys = np.where(keys == ZERO, ZERO - 1, keys)
    ends = np.zeros((len(keys), 1), np.int64)
    return np.concatenate((ends, keys, ends + KEYS), axis=1)
