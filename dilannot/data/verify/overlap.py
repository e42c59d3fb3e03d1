"""How much of a bin a marker's peaks cover, looked up in the peak files one bin at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dilannot.data.grid import covered
from dilannot.formats.bed import read_intervals
from dilannot.genome.intervals import Positions, merge


class PeakOverlap:
    """A function of marker (its column), contig and start of a bin, bp; a peak file is read when first asked for.

    Parameters
    ----------
    files
        The peak file of every marker.
    bin
        Length of a bin, bp.
    """

    def __init__(self, files: Sequence[Path], bin: int) -> None:
        self._files, self._bin = files, bin
        self._peaks: dict[int, dict[str, tuple[Positions, Positions]]] = {}

    def __call__(self, marker: int, contig: str, start: int) -> float:
        """The fraction of the bin that lies in peaks."""
        if marker not in self._peaks:
            self._peaks[marker] = self._read(self._files[marker])
        none = np.zeros(0, np.int64)
        starts, ends = self._peaks[marker].get(contig, (none, none))
        begin = np.array([start], np.int64)
        return float(covered(starts, ends, begin, begin + self._bin)[0]) / self._bin

    @staticmethod
    def _read(path: Path) -> dict[str, tuple[Positions, Positions]]:
        records = read_intervals(path)
        chosen = [records.contig == index for index in range(len(records.contigs))]
        return {
            name: merge(records.start[here], records.end[here])
            for name, here in zip(records.contigs, chosen, strict=True)
        }
