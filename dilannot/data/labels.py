"""Peaks become labels of grid units: merged within a marker, cut at the units' borders, never rasterised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dilannot.data.grid import Grid
from dilannot.data.settings import BuildSettings, exact
from dilannot.errors import DilannotError
from dilannot.formats.bed import Records
from dilannot.genome.intervals import Positions, merge, split_into_windows


@dataclass(frozen=True, slots=True)
class MarkerLabels:
    """What one peak file labels on the whole genome, windows kept or not, and what became of its peaks.

    Attributes
    ----------
    unit
        (n,) grid unit, sorted.
    start, end
        (n,) place in the unit, bp (task `dense`; empty otherwise: the whole bin has the label).
    peak, peak_unit
        (m,) merged peaks and the labelled units that each lies in.
    peaks_read, peaks_merged
        Peaks in the file, and after merging (on the genome's contigs).
    bases_covered
        Bases under the merged peaks.
    unknown
        Peaks on contigs that the genome lacks, by contig.
    sha256
        Digest of the peak file.
    """

    unit: NDArray[np.int32]
    start: NDArray[np.unsignedinteger[Any]]
    end: NDArray[np.unsignedinteger[Any]]
    peak: NDArray[np.int32]
    peak_unit: NDArray[np.int32]
    peaks_read: int
    peaks_merged: int
    bases_covered: int
    unknown: dict[str, int]
    sha256: str


def label_units(peaks: Records, path: Path, grid: Grid, settings: BuildSettings) -> MarkerLabels:
    """Label grid units with one file's peaks.

    Raises
    ------
    DilannotError
        The contigs are the genome's under other names (`1` for `chr1`), or a peak lies beyond a contig's end.
    """
    contig = np.array([grid.index.get(name, -1) for name in peaks.contigs], np.int64)[peaks.contig]
    unknown = _unknown(peaks, path, grid.index)
    known = contig >= 0
    if not known.all():
        contig, start, end, line = contig[known], peaks.start[known], peaks.end[known], peaks.line[known]
    else:
        start, end, line = peaks.start, peaks.end, peaks.line
    _check_ends(contig, end, line, path, grid)
    starts, ends = merge(grid.linear(contig, start), grid.linear(contig, end))
    unit, begin, stop, source = split_into_windows(starts, ends, grid.unit)
    labelled = peak_unit = unit.astype(np.int32)
    if settings.task == "window":
        positive = _in_positive_bins(peak_unit, stop - begin, settings)
        peak_unit, source, begin, stop = peak_unit[positive], source[positive], begin[:0], stop[:0]
        labelled = peak_unit[np.diff(peak_unit, prepend=np.int32(-1)) != 0]
    position = position_type(grid.unit)
    return MarkerLabels(
        unit=labelled,
        start=begin.astype(position),
        end=stop.astype(position),
        peak=source.astype(np.int32),
        peak_unit=peak_unit,
        peaks_read=len(peaks.start),
        peaks_merged=len(starts),
        bases_covered=int((ends - starts).sum()),
        unknown=unknown,
        sha256=peaks.sha256,
    )


def position_type(window: int) -> type[np.unsignedinteger[Any]]:
    """Two bytes where they hold a window's end."""
    return np.uint16 if window < 1 << 16 else np.uint32


def _in_positive_bins(unit: NDArray[np.int32], width: Positions, settings: BuildSettings) -> NDArray[np.bool_]:
    """Which pieces of peaks, sorted by bin, lie in bins that lie in peaks far enough."""
    if not len(unit):
        return np.zeros(0, bool)
    first = np.flatnonzero(np.diff(unit, prepend=-1))
    bases = np.add.reduceat(width, first)
    needed = exact(settings.min_overlap) * settings.bin
    positive = bases > floor(needed) if settings.overlap == "more" else bases >= ceil(needed)
    return np.repeat(positive, np.diff(np.append(first, len(unit))))


def _unknown(peaks: Records, path: Path, names: Mapping[str, int]) -> dict[str, int]:
    """Peaks on contigs that the genome lacks, by contig; refused when those are the genome's under other names."""
    counts = np.bincount(peaks.contig, minlength=len(peaks.contigs))
    unknown = {name: int(counts[i]) for i, name in enumerate(peaks.contigs) if name not in names}
    same = [other for name in unknown for other in (f"chr{name}", name.removeprefix("chr")) if other in names]
    if same and len(unknown) == len(peaks.contigs):
        shown = ", ".join(map(repr, list(unknown)[:3]))
        raise DilannotError(
            f"no contig in common with the genome: the peaks lie on {shown}, the genome has {same[0]!r}",
            where=path,
            remedy="rename them: " + ("sed 's/^/chr/'" if same[0].startswith("chr") else "sed 's/^chr//'"),
        )
    return unknown


def _check_ends(contig: Positions, end: Positions, line: Positions, path: Path, grid: Grid) -> None:
    if (bad := np.flatnonzero(end > grid.lengths[contig])).size:
        row = bad[0]
        found = grid.contigs[contig[row]]
        raise DilannotError(
            f"end {end[row]} lies beyond the end of {found.name} (length {found.length})",
            where=path,
            line=int(line[row]),
            remedy="is this another assembly?",
        )
