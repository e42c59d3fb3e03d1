"""Windows from published arrays, gathered into the arrays of a dataset: each is a stretch of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dilannot.data import schema
from dilannot.data.arrays import Arrays, checked_sequence, field_arrays
from dilannot.data.labels import position_type
from dilannot.data.markers import MOST, Marker
from dilannot.data.splits import SPLITS
from dilannot.errors import DilannotError
from dilannot.formats.sparse_pickle import MarkerRuns
from dilannot.genome.intervals import Positions, runs
from dilannot.genome.sequence import ALPHABET, Codes, N, pack, unpack

_LETTERS = np.frombuffer(ALPHABET.encode(), np.uint8)


@dataclass(frozen=True, slots=True)
class _Block:
    """Windows packed, each from a whole byte; runs of N counted from the first; labels sorted by window and marker."""

    packed: NDArray[np.uint8]
    n_start: Positions
    n_end: Positions
    counts: NDArray[np.int64]
    marker: NDArray[np.uint16]
    start: NDArray[np.unsignedinteger[Any]]
    end: NDArray[np.unsignedinteger[Any]]

    def letters(self, length: int) -> bytes:
        """The windows' bases, end to end."""
        codes = unpack(self.packed).reshape(-1)
        for first, last in zip(self.n_start.tolist(), self.n_end.tolist(), strict=True):
            codes[first:last] = N
        letters: NDArray[np.uint8] = _LETTERS[codes.reshape(len(self.packed), -1)[:, :length]]
        return letters.tobytes()


@dataclass(frozen=True, slots=True)
class Part:
    """The windows of one split of one source: a pseudo contig on which they lie end to end.

    Attributes
    ----------
    name, split
        Of the contig; one of `SPLITS`.
    length
        Bases of a window.
    """

    name: str
    split: str
    length: int
    blocks: list[_Block] = field(default_factory=list)

    def add_bins(self, codes: Codes, labels: NDArray[np.bool_]) -> None:
        """More windows, shape (n, length), with one label a marker, shape (n, markers)."""
        _, marker = np.nonzero(labels)
        none = np.zeros(0, np.uint16)
        self._add(codes, labels.sum(axis=1, dtype=np.int64), marker.astype(np.uint16), none, none)

    def add_windows(self, codes: Codes, labels: Sequence[MarkerRuns]) -> None:
        """More windows with labels for every nucleotide."""
        place = position_type(self.length)
        counts = np.array([len(window.marker) for window in labels], np.int64)
        marker, start, end = (
            np.concatenate([getattr(window, part) for window in labels]) for part in ("marker", "start", "end")
        )
        self._add(codes, counts, marker.astype(np.uint16), start.astype(place), end.astype(place))

    def _add(self, codes: Codes, counts: NDArray[np.int64], marker: Any, start: Any, end: Any) -> None:
        packed = pack(codes)
        padded = np.ones((len(codes), 4 * packed.shape[1]), np.uint8)
        padded[:, : self.length] = codes
        self.blocks.append(_Block(packed, *runs(padded.reshape(-1) == N), counts, marker, start, end))

    @property
    def windows(self) -> int:
        """How many there are."""
        return sum(len(block.packed) for block in self.blocks)

    def md5(self) -> str:
        """MD5 of the bases end to end, as `samtools dict` has it of a contig."""
        digest = hashlib.md5(usedforsecurity=False)
        for block in self.blocks:
            digest.update(block.letters(self.length))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that some sources hold: parts, the number of label columns, and what to record of each (by its name)."""

    parts: list[Part]
    markers: int
    record: dict[str, dict[str, Any]]


def check_marker_count(markers: int, path: Path) -> None:
    """Refuse more label columns than a dataset can number.

    Raises
    ------
    DilannotError
        Naming the file they are in.
    """
    if markers > MOST:
        raise DilannotError(f"has {markers:,} label columns; a dataset holds {MOST:,}", where=path)


def gathered_arrays(parts: Sequence[Part], markers: Sequence[Marker], *, unit: int, dense: bool) -> Arrays:
    """Every array of the dataset; the parts' blocks are given up on the way.

    Parameters
    ----------
    unit
        Labelled bases in the middle of a window.
    dense
        Labels have places.
    """
    length = parts[0].length
    counts = [part.windows for part in parts]
    reach = (length - unit) // 2
    contigs = {
        "contigs/name": schema.as_bytes([part.name for part in parts]),
        "contigs/length": np.array(counts, np.int64) * length,
        "contigs/md5": schema.as_bytes([part.md5() for part in parts]),
        "windows/contig": np.repeat(np.arange(len(parts), dtype=np.int32), counts),
        "windows/start": np.concatenate([np.arange(count, dtype=np.int64) * length + reach for count in counts]),
        "windows/split": np.repeat(np.array([SPLITS.index(part.split) for part in parts], np.uint8), counts),
    }
    blocks = [block for part in parts for block in part.blocks]
    labels = _labels(blocks, contigs["windows/split"], len(markers), dense)
    for part in parts:
        part.blocks.clear()
    return {**contigs, **_markers(markers), **labels, **_sequence(blocks)}


def _sequence(blocks: list[_Block]) -> Arrays:
    """Packed bases end to end; `blocks` is emptied."""
    stride = 4 * blocks[0].packed.shape[1]
    rows = np.array([len(block.packed) for block in blocks])
    first = (np.cumsum(rows) - rows) * stride
    places = [
        np.concatenate([getattr(block, part) + at for block, at in zip(blocks, first.tolist(), strict=True)])
        for part in ("n_start", "n_end")
    ]
    packed = np.zeros(int(rows.sum()) * stride // 4 + 1, np.uint8)
    at = 0
    while blocks:
        block = blocks.pop(0)
        packed[at : at + block.packed.size] = block.packed.reshape(-1)
        at += block.packed.size
    return {
        "windows/offset": np.arange(rows.sum(), dtype=np.int64) * stride,
        **checked_sequence(packed),
        "sequence/n_start": places[0],
        "sequence/n_end": places[1],
    }


def _labels(blocks: list[_Block], split: NDArray[np.uint8], markers: int, dense: bool) -> Arrays:
    counts = np.concatenate([block.counts for block in blocks])
    arrays: Arrays = {
        "labels/offsets": np.concatenate(([0], np.cumsum(counts))),
        "labels/marker": np.concatenate([block.marker for block in blocks]),
    }
    if dense:
        arrays |= {f"labels/{part}": np.concatenate([getattr(block, part) for block in blocks]) for part in _PLACES}
    positives, row = np.zeros((markers, len(SPLITS)), np.int64), 0
    for block in blocks:
        column = np.repeat(split[row : row + len(block.counts)], block.counts)
        width = block.end.astype(np.int64) - block.start if dense else 1
        np.add.at(positives, (block.marker, column), width)
        row += len(block.counts)
    return {**arrays, "markers/positives": positives}


_PLACES = ("start", "end")


def _markers(markers: Sequence[Marker]) -> Arrays:
    """The marker table; nothing is known of peaks."""
    none = np.zeros(len(markers), np.int64)
    return {
        **field_arrays(markers),
        "markers/sha256": schema.as_bytes([""] * len(markers)),
        **{f"markers/{count}": none for count in ("peaks_read", "peaks_merged", "peaks_used", "bases_covered")},
    }
