"""The arrays of a dataset: the window table, its stretches of sequence, its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dilannot.data import schema
from dilannot.data.genome import PackedContig
from dilannot.data.labels import MarkerLabels, position_type
from dilannot.data.markers import FIELDS, Marker
from dilannot.data.settings import BuildSettings
from dilannot.data.splits import SPLITS
from dilannot.formats.fasta import Contig
from dilannot.genome.intervals import Positions

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class WindowTable:
    """Windows that go into the dataset, in genome order: contig, start of the labelled bases in bp, split."""

    contig: NDArray[np.int32]
    start: Positions
    split: NDArray[np.uint8]


def genome_arrays(contigs: Sequence[Contig], table: WindowTable) -> Arrays:
    """Contigs and the window table."""
    return {
        "contigs/name": schema.as_bytes([contig.name for contig in contigs]),
        "contigs/length": np.array([contig.length for contig in contigs], np.int64),
        "contigs/md5": schema.as_bytes([contig.md5 for contig in contigs]),
        "windows/contig": table.contig,
        "windows/start": table.start,
        "windows/split": table.split,
    }


def sequence_arrays(genome: list[PackedContig], table: WindowTable, settings: BuildSettings) -> Arrays:
    """The stretches of the genome that windows lie in, end to end; `genome` is emptied on the way."""
    begin = table.start - settings.reach
    rows = np.searchsorted(table.contig, np.arange(len(genome) + 1))
    offsets, n_runs, total = np.empty(len(begin), np.int64), [np.zeros((2, 0), np.int64)], 0
    cuts: list[tuple[list[int], list[int]]] = []
    for part, first, last in zip(genome, rows[:-1], rows[1:], strict=True):
        here = begin[first:last]
        starts, ends = _stretches(here, here + settings.unit + 2 * settings.reach)
        first_byte, last_byte = starts // 4, -(-ends // 4)
        cuts.append((first_byte.tolist(), last_byte.tolist()))
        size = (last_byte - first_byte) * 4
        shift = total + np.cumsum(size) - size - starts
        offsets[first:last] = here + shift[np.searchsorted(starts, here, "right") - 1]
        n_runs.append(_inside(part.n_start, part.n_end, starts, ends, shift))
        total += int(size.sum())
    packed = np.zeros(total // 4 + 1, np.uint8)
    at = 0
    for index, (left, right) in enumerate(cuts):
        part, genome[index] = genome[index], None  # type: ignore[call-overload]
        for start, end in zip(left, right, strict=True):
            packed[at : at + end - start] = part.packed[start:end]
            at += end - start
    n_start, n_end = np.concatenate(n_runs, axis=1)
    return {
        "windows/offset": offsets,
        **checked_sequence(packed),
        "sequence/n_start": n_start,
        "sequence/n_end": n_end,
    }


def checked_sequence(packed: NDArray[np.uint8]) -> Arrays:
    """Packed bases, with a byte of padding at their end (windows are read by whole bytes), and checksums of blocks."""
    view = packed.data
    blocks = range(0, len(packed), schema.CHECKED_BLOCK)
    checks = [schema.checksum(view[first : first + schema.CHECKED_BLOCK]) for first in blocks]
    return {"sequence/packed": packed, "sequence/checks": np.array(checks, np.uint32)}


def _stretches(begin: Positions, end: Positions) -> tuple[Positions, Positions]:
    """Sorted inputs that touch or overlap, joined; each starts at a whole byte of packed bases."""
    if not len(begin):
        return begin, end
    first = np.flatnonzero(np.concatenate(([True], begin[1:] > end[:-1])))
    return begin[first] // 4 * 4, end[np.append(first[1:], len(end)) - 1]


def _inside(
    n_start: Positions, n_end: Positions, starts: Positions, ends: Positions, shift: Positions
) -> NDArray[np.int64]:
    """Runs of N cut to stretches and moved along with them, shape (2, runs)."""
    left, right = np.searchsorted(n_end, starts, "right"), np.searchsorted(n_start, ends)
    count = right - left
    stretch = np.repeat(np.arange(len(starts)), count)
    run = np.arange(count.sum()) + np.repeat(left - (np.cumsum(count) - count), count)
    begin = np.maximum(n_start[run], starts[stretch]) + shift[stretch]
    return np.stack([begin, np.minimum(n_end[run], ends[stretch]) + shift[stretch]])


def label_arrays(labels: list[MarkerLabels], row_of: NDArray[np.int32], table: WindowTable, unit: int) -> Arrays:
    """Labels of the kept windows, sorted by (window, marker, start), and what each marker got of them.

    Parameters
    ----------
    labels
        One a marker; emptied on the way.
    row_of
        For each grid unit its row in `table`, -1 where it was not kept.
    unit
        Length of a window's labelled bases, bp.
    """
    rows = len(table.start)
    dense = any(len(marker.start) for marker in labels)
    counts = np.zeros(rows + 1, np.int64)  # the last counts what is not kept
    for marker in labels:
        row, first, size = _grouped(row_of[marker.unit])
        counts[row[first]] += size
    counts = counts[:-1]
    offsets = np.concatenate(([0], np.cumsum(counts)))
    column = np.empty(offsets[-1], np.uint16)
    places = [np.empty(offsets[-1] if dense else 0, position_type(unit)) for _ in range(2)]
    positives, used = np.zeros((len(labels), len(SPLITS)), np.int64), np.zeros(len(labels), np.int64)
    free = offsets[:-1].copy()  # where each window's next label goes
    for index in range(len(labels)):
        marker, labels[index] = labels[index], None  # type: ignore[call-overload]
        row = row_of[marker.unit]
        kept = np.flatnonzero(row >= 0)
        row, first, size = _grouped(row[kept])
        at = free[row] + np.arange(len(row)) - np.repeat(first, size)
        free[row[first]] += size
        column[at] = index
        width: Any = 1
        if dense:
            places[0][at], places[1][at] = marker.start[kept], marker.end[kept]
            width = (marker.end[kept] - marker.start[kept]).astype(np.int64)
        positives[index] = np.bincount(table.split[row], np.broadcast_to(width, len(row)), len(SPLITS))
        used[index] = len(np.unique(marker.peak[row_of[marker.peak_unit] >= 0]))
    placed = {"labels/start": places[0], "labels/end": places[1]} if dense else {}
    return {
        "labels/offsets": offsets,
        "labels/marker": column,
        **placed,
        "markers/peaks_used": used,
        "markers/positives": positives,
    }


def _grouped(row: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.intp], NDArray[np.intp]]:
    """Rows, where each run of one row begins, and how long it is."""
    first = np.flatnonzero(np.diff(row, prepend=np.int32(-2)))
    return row, first, np.diff(np.append(first, len(row)))


def field_arrays(markers: Sequence[Marker]) -> Arrays:
    """The columns of the marker table that `FIELDS` names."""
    named = zip(FIELDS, zip(*(marker.row() for marker in markers), strict=True), strict=True)
    return {f"markers/{field}": schema.as_bytes(list(values)) for field, values in named}


def marker_arrays(labels: list[MarkerLabels], markers: list[Marker]) -> Arrays:
    """The marker table and what was read for each."""
    return {
        **field_arrays(markers),
        "markers/sha256": schema.as_bytes([marker.sha256 for marker in labels]),
        **{
            f"markers/{count}": np.array([getattr(marker, count) for marker in labels], np.int64)
            for count in ("peaks_read", "peaks_merged", "bases_covered")
        },
    }
