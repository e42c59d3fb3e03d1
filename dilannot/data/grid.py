"""All contigs laid end to end and cut into units, so that a whole genome's intervals are handled in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import USAGE, DilannotError
from dilannot.formats.fasta import Contig
from dilannot.genome.intervals import Positions

_FAR = 1 << 62  # right of everything


@dataclass(frozen=True, slots=True)
class Grid:
    """Units of `unit` bp from the start of every contig.

    Attributes
    ----------
    unit
        Length in bp.
    contigs
        In genome order.
    first
        (contigs + 1,) index of each contig's first unit. A contig's tail, shorter than a unit, is a unit too, and
        one empty unit follows: intervals of two contigs never touch.
    lengths
        (contigs,) bp.
    index
        Place of each contig by name.
    """

    unit: int
    contigs: Sequence[Contig]
    first: Positions
    lengths: Positions
    index: Mapping[str, int]

    @classmethod
    def over(cls, contigs: Sequence[Contig], unit: int) -> Grid:
        """Lay a grid over `contigs`.

        Raises
        ------
        DilannotError
            The units are so small that they cannot be numbered with 32 bits.
        """
        lengths = np.array([contig.length for contig in contigs], np.int64)
        first = np.concatenate(([0], np.cumsum(-(-lengths // unit) + 1))).astype(np.int64)
        if first[-1] > np.iinfo(np.int32).max:
            raise DilannotError(
                f"{first[-1]:,} windows or bins of {unit} bp are too many",
                where="--window, --bin",
                remedy="use longer ones",
                exit_code=USAGE,
            )
        index = {contig.name: place for place, contig in enumerate(contigs)}
        return cls(unit, contigs, first, lengths, index)

    @property
    def size(self) -> int:
        """Units, tails and separators included."""
        return int(self.first[-1])

    def whole(self) -> NDArray[np.bool_]:
        """(size,) units that lie inside their contig altogether."""
        inside = np.zeros(self.size, bool)
        for first, length in zip(self.first[:-1].tolist(), self.lengths.tolist(), strict=True):
            inside[first : first + length // self.unit] = True
        return inside

    def contig_of(self, units: NDArray[np.integer]) -> NDArray[np.int32]:
        """Contig of each unit, as an index."""
        return (np.searchsorted(self.first, units, "right") - 1).astype(np.int32)

    def linear(self, contig: NDArray[np.integer], position: Positions) -> Positions:
        """Positions on contigs as positions on the line of units, bp."""
        line: Positions = self.first[contig] * self.unit + position
        return line


def covered(starts: Positions, ends: Positions, begin: Positions, end: Positions) -> Positions:
    """How many bases of each `[begin, end)` lie in intervals.

    Parameters
    ----------
    starts, ends
        Sorted, disjoint intervals.
    begin, end
        (n,) any stretches.
    """
    before = np.concatenate(([0], np.cumsum(ends - starts)))
    starts, last = np.append(starts, _FAR), np.append(ends, _FAR)

    def up_to(position: Positions) -> Positions:
        """Covered bases left of each position."""
        index = np.searchsorted(last, position, "right")
        bases: Positions = before[index] + np.maximum(position - starts[index], 0)
        return bases

    return up_to(end) - up_to(begin)
