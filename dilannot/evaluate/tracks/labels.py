"""Peaks become labels of what is judged: stretches of nucleotides, or of bins that lie in peaks mostly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dilannot.errors import DilannotError
from dilannot.evaluate.tracks.places import Places
from dilannot.formats.bed import Records, read_intervals
from dilannot.genome.intervals import Bounds, merge, split_into_windows


def labels_of(path: Path, lengths: Mapping[str, int], places: Places) -> dict[str, Bounds]:
    """Units that a peak file labels on the contigs that are judged.

    Raises
    ------
    DilannotError
        Peaks of another assembly, or under other names of contigs.
    """
    found = read_intervals(path)
    _check_assembly(found, path, lengths)
    order = np.argsort(found.contig, kind="stable")
    first = np.searchsorted(found.contig[order], np.arange(len(found.contigs) + 1))
    labels = {}
    for number, name in enumerate(found.contigs):
        if name in places.contigs:
            rows = order[first[number] : first[number + 1]]
            bounds = merge(found.start[rows], found.end[rows])
            labels[name] = bounds if places.unit == 1 else _bins_in_peaks(bounds, places.unit)
    return labels


def _bins_in_peaks(peaks: Bounds, unit: int) -> Bounds:
    """Bins of which more than half lies in peaks."""
    bins, start, end, _ = split_into_windows(*peaks, unit)
    if not len(bins):
        return peaks
    first = np.flatnonzero(np.diff(bins, prepend=-1))
    positive = bins[first[np.add.reduceat(end - start, first) * 2 > unit]]
    return merge(positive, positive + 1)


def _check_assembly(found: Records, path: Path, lengths: Mapping[str, int]) -> None:
    if found.contigs and not any(name in lengths for name in found.contigs):
        for name in found.contigs:
            for other in other_names(name):
                if other in lengths:
                    raise DilannotError(
                        f"no contig in common with the tracks: the peaks lie on {name!r}, the tracks have {other!r}",
                        where=path,
                        remedy="rename them: " + ("sed 's/^/chr/'" if other.startswith("chr") else "sed 's/^chr//'"),
                    )
    length = np.array([lengths.get(name, 1 << 62) for name in found.contigs], np.int64)[found.contig]
    if (past := np.flatnonzero(found.end > length)).size:
        row = past[0]
        raise DilannotError(
            f"end {found.end[row]} lies beyond the end of {found.contigs[found.contig[row]]} (length {length[row]})",
            where=path,
            line=int(found.line[row]),
            remedy="is this another assembly than the tracks'?",
        )


def other_names(name: str) -> tuple[str, ...]:
    """What else a contig may be called: `1` and `chr1`."""
    return (name.removeprefix("chr"),) if name.startswith("chr") else (f"chr{name}",)
