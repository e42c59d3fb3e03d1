"""In which order windows are served, to whom, and how each is turned and shifted: decided by seed and epoch alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How windows vary from epoch to epoch.

    Attributes
    ----------
    reverse_complement
        Give the other strand half the time.
    shift
        Move sequence and labels by up to this many nt to either side; what comes in from outside is N, and does not
        count.
    """

    reverse_complement: bool = False
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """Windows of one epoch, and how each is turned (bool) and shifted (nt to the right); arrays of one length."""

    rows: NDArray[np.intp]
    turned: NDArray[np.bool_]
    shift: NDArray[np.int64]

    @classmethod
    def plain(cls, rows: NDArray[np.intp]) -> Order:
        """As they come."""
        return cls(rows, np.zeros(len(rows), bool), np.zeros(len(rows), np.int64))

    @classmethod
    def shuffled(cls, rows: NDArray[np.intp], seed: tuple[int, int], augmentation: Augmentation) -> Order:
        """At random; `seed` is that of the training, and the epoch."""
        random = np.random.default_rng(seed)
        rows = random.permutation(rows)
        turned = (random.random(len(rows)) < 0.5) & augmentation.reverse_complement
        return cls(rows, turned, random.integers(-augmentation.shift, augmentation.shift + 1, len(rows)))

    def steps(self, batch_size: int, ranks: int = 1) -> int:
        """Batches of an epoch in which every rank has a window."""
        full, rest = divmod(len(self.rows), batch_size)
        return full + (rest >= ranks)

    def part(self, step: int, batch_size: int, rank: int = 0, ranks: int = 1) -> Order:
        """One rank's share of a batch: together the ranks have the batch, whatever their number."""
        here = slice(step * batch_size + rank, min((step + 1) * batch_size, len(self.rows)), ranks)
        return Order(self.rows[here], self.turned[here], self.shift[here])
