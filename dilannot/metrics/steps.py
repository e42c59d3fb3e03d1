"""Calls from the highest score down: how many there are at each threshold, and how many of those are positive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dilannot.compiled import compiled
from dilannot.metrics.keys import HIGHEST, KEYS, LOWEST, ZERO, Space, key_values

_BEYOND = 65_520.0  # from there on, half precision rounds to infinity
_ZERO, _LOWEST, _HIGHEST = np.int64(ZERO), np.int64(LOWEST), np.int64(HIGHEST)


@dataclass(frozen=True, slots=True)
class Steps:
    """One marker's thresholds with different calls, highest first; none where scores are no numbers.

    Attributes
    ----------
    keys
        (m,) lowest key that is called; both zeros are one score, with the key of -0.0.
    numbers
        (m,) the scores of those keys.
    called, found
        (m,) positions called from there on, and the positive ones among them.
    """

    keys: NDArray[np.int64]
    numbers: NDArray[np.float64]
    called: NDArray[np.int64]
    found: NDArray[np.int64]

    @property
    def positives(self) -> int:
        """All there are."""
        return int(self.found[-1]) if len(self.found) else 0

    @property
    def negatives(self) -> int:
        """All there are."""
        return int(self.called[-1]) - self.positives if len(self.called) else 0

    def probabilities(self, space: Space) -> NDArray[np.float64]:
        """(m,) what the scores mean; NaN where they are no probabilities."""
        if space == "logit":
            return sigmoid(self.numbers)
        inside = (self.numbers >= 0) & (self.numbers <= 1) & (space == "probability")
        return np.where(inside, self.numbers, np.nan)

    def each(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(m,) positions with just that score, and the positive ones."""
        return np.diff(self.called, prepend=0), np.diff(self.found, prepend=0)


def steps_of(
    everything: NDArray[np.uint32], positive: NDArray[np.uint32], shift: NDArray[np.float64] | None = None
) -> Iterator[Steps]:
    """Those of each marker, from (T, KEYS) histograms of all positions and of the positive ones.

    `shift` (T,) was taken from scores before they were counted.
    """
    everything, positive = (np.ascontiguousarray(counts, np.uint32) for counts in (everything, positive))
    room = tuple(np.empty(KEYS, np.int64) for _ in range(3))
    for marker, (row, hits) in enumerate(zip(everything, positive, strict=True)):
        length = _descend(row, hits, row.view(np.uint64), *room)  # type: ignore[no-untyped-call]
        keys, called, found = (column[:length].copy() for column in room)
        yield Steps(keys, key_values()[keys] + (0 if shift is None else shift[marker]), called, found)


@compiled("int64(uint32[::1], uint32[::1], uint64[::1], int64[::1], int64[::1], int64[::1])")
def _descend(everything, positive, words, keys, called, found):  # type: ignore[no-untyped-def]
    """Fill the columns of `Steps`, and return how many there are. `words` is `everything`, two keys each."""
    steps, all_called, all_found = 0, np.int64(0), np.int64(0)
    for word in range(len(words) - 1, -1, -1):
        if words[word] == 0:
            continue
        for key in range(2 * word + 1, 2 * word - 1, -1):
            if everything[key] == 0:
                continue
            if key > _HIGHEST or key < _LOWEST:
                return 0
            all_called += np.int64(everything[key])
            all_found += np.int64(positive[key])
            if not (key == _ZERO - 1 and steps > 0 and keys[steps - 1] == key):
                keys[steps] = _ZERO - 1 if key == _ZERO else key
                steps += 1
            called[steps - 1], found[steps - 1] = all_called, all_found
    return steps


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probabilities of logits."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits))


def lower_borders(space: Space) -> NDArray[np.float64]:
    """(KEYS,) the threshold from which on each key is called: the least score that counts as it, as a probability."""
    return sigmoid(lower_numbers(space)) if space == "logit" else lower_numbers(space)


def lower_border(key: int, space: Space, shift: float) -> float:
    """The threshold from which on one key is called, of scores that `shift` was taken from."""
    number = np.array([lower_numbers(space)[key] + shift])
    return float(sigmoid(number)[0] if space == "logit" else number[0])


@cache
def lower_numbers(space: Space) -> NDArray[np.float64]:
    """(KEYS,) the least number that counts as each key.

    `number >= border` holds for just those single-precision numbers that round to this half-precision one or a higher
    one. A number midway between two rounds to the even one.
    """
    finite = np.clip(np.nan_to_num(key_values(), nan=0, posinf=np.inf, neginf=-np.inf), -_BEYOND, _BEYOND)
    lower = np.concatenate((finite[:1], (finite[:-1] + finite[1:]) / 2))
    lower[[LOWEST, LOWEST + 1, HIGHEST]] = -np.inf, -_BEYOND, _BEYOND
    lower[ZERO] = lower[ZERO - 1]
    key = np.arange(KEYS)
    odd = np.where(key < ZERO, key % 2 == 0, key % 2 == 1) & (key > LOWEST) & (key <= HIGHEST)
    lower[odd] = np.nextafter(lower[odd].astype(np.float32), np.float32(np.inf))
    if space == "probability":
        lower[ZERO - 1 : ZERO + 1] = 0  # not a little less: nothing is there
    return lower
