"""How much of a bin a marker's peaks cover, looked up in the peak files one bin at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dilannot.data.grid import covered
from dilannot.data.markers import Marker
from dilannot.errors import DilannotError
from dilannot.formats.bed import read_intervals
from dilannot.genome.intervals import Positions, merge

Overlap = Callable[[int, str, int], float]  # marker (column of the dataset), contig, start of the bin -> fraction

MOST_CHECKED = 10_000  # bins of a kind that are looked up in the peaks
_EXACT = 1e-9


def on_edge(fraction: float, min_overlap: float) -> bool:
    """Whether exactly the part of a bin that the rule turns on is covered."""
    return abs(fraction - min_overlap) < _EXACT


def files_of(markers: Sequence[Marker], files: Sequence[Path]) -> list[Path]:
    """The peak file of every marker among `files`, by the name that the dataset has recorded.

    Raises
    ------
    DilannotError
        A marker's file is not there, or two have its name.
    """
    known: dict[str, list[Path]] = {}
    for file in files:
        known.setdefault(file.name, []).append(file)
    for marker in markers:
        found = known.get(marker.file, [])
        if len(found) != 1:
            problem = f"two files are called {marker.file!r}" if found else f"no peak file {marker.file!r} there"
            raise DilannotError(f"{problem} for marker {marker.name}", where="--peaks")
    return [known[marker.file][0] for marker in markers]


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
