"""Peaks become label intervals per window: merged within a marker, cut at window borders, never rasterised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError
from dilannot.formats.bed import Records
from dilannot.genome.intervals import merge, split_into_windows


@dataclass(frozen=True, slots=True)
class MarkerLabels:
    """The labels of one marker and what became of its peaks.

    Attributes
    ----------
    window, start, end
        (n,) row in the window table and place in the window, sorted.
    peaks_read, peaks_merged, peaks_used
        Peaks in the file, after merging (on the genome's contigs), and those with a base in a kept window.
    bases_covered
        Bases under the merged peaks, kept windows or not.
    unknown
        Peaks on contigs that the genome lacks, by contig.
    sha256
        Digest of the peak file's text.
    """

    window: NDArray[np.int32]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    peaks_read: int
    peaks_merged: int
    peaks_used: int
    bases_covered: int
    unknown: dict[str, int]
    sha256: str


def label_windows(
    peaks: Records, path: Path, lengths: dict[str, int], rows: dict[str, NDArray[np.int32]], window: int
) -> MarkerLabels:
    """Label the kept windows with one file's peaks.

    Parameters
    ----------
    peaks
        As read from `path`.
    lengths
        Contig lengths in bp.
    rows
        For each contig the window-table row of its i-th window, -1 where that window was not kept.
    window
        Length in bp.

    Raises
    ------
    DilannotError
        The contigs are the genome's under other names (`1` for `chr1`), or a peak lies beyond a contig's end.
    """
    unknown = _unknown(peaks, path, lengths)
    _check_ends(peaks, path, lengths)
    parts, merged, used, covered = [np.zeros((3, 0), np.int32)], 0, 0, 0
    for index, name in enumerate(peaks.contigs):
        if name not in lengths:
            continue
        here = peaks.contig == index
        starts, ends = merge(peaks.start[here], peaks.end[here])
        piece, begin, end, source = split_into_windows(starts, ends, window)
        row = _lookup(rows[name], piece)
        kept = row >= 0
        merged += len(starts)
        covered += int((ends - starts).sum())
        used += len(np.unique(source[kept]))
        parts.append(np.stack([row[kept], begin[kept], end[kept]]).astype(np.int32))
    table = np.concatenate(parts, axis=1)
    table = table[:, np.argsort(table[0], kind="stable")]
    return MarkerLabels(table[0], table[1], table[2], len(peaks.start), merged, used, covered, unknown, peaks.sha256)


def _lookup(rows: NDArray[np.int32], index: NDArray[np.int64]) -> NDArray[np.int32]:
    """Rows of windows; the contig's tail, shorter than a window, has none."""
    return np.append(rows, np.int32(-1))[np.minimum(index, len(rows))]


def _unknown(peaks: Records, path: Path, lengths: dict[str, int]) -> dict[str, int]:
    counts = np.bincount(peaks.contig, minlength=len(peaks.contigs))
    unknown = {name: int(counts[i]) for i, name in enumerate(peaks.contigs) if name not in lengths}
    same = [other for name in unknown for other in (f"chr{name}", name.removeprefix("chr")) if other in lengths]
    if same and len(unknown) == len(peaks.contigs):
        names = ", ".join(map(repr, list(unknown)[:3]))
        raise DilannotError(
            f"no contig in common with the genome: the peaks lie on {names}, the genome has {same[0]!r}",
            where=path,
            remedy="use peaks and genome with the same contig names",
        )
    return unknown


def _check_ends(peaks: Records, path: Path, lengths: dict[str, int]) -> None:
    limit = np.array([lengths.get(name, np.iinfo(np.int64).max) for name in peaks.contigs], np.int64)[peaks.contig]
    if (bad := np.flatnonzero(peaks.end > limit)).size:
        row = bad[0]
        name = peaks.contigs[peaks.contig[row]]
        raise DilannotError(
            f"end {peaks.end[row]} lies beyond the end of {name} (length {lengths[name]})",
            where=path,
            line=int(peaks.line[row]),
            remedy="is this another assembly?",
        )
