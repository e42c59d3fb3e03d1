"""Windows found again by their sequence: 64-bit keys of bases and of labels, and pairs of equal ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dilannot.data.imported.deepsea import PublishedSplit, windows_of
from dilannot.genome.intervals import Positions
from dilannot.genome.sequence import Codes, N, reverse_complement

if TYPE_CHECKING:
    from dilannot.data.dataset import Dataset

Keys = NDArray[np.uint64]

_BLOCK = 8_192  # windows


@dataclass(slots=True)
class Windows:
    """Windows of one split without their sequence.

    Attributes
    ----------
    row
        In the published arrays, or in the dataset.
    forward, turned
        Keys of the bases as they are, and of their reverse complement.
    unknown
        N among them.
    offsets, marker
        Labels of window w are `marker[offsets[w] : offsets[w + 1]]`, sorted.
    """

    row: Positions
    forward: Keys
    turned: Keys
    unknown: Positions
    offsets: Positions
    marker: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def owner(self) -> Positions:
        """The window of every label."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def under(self, columns: Positions) -> Windows:
        """The same windows with their labels under other numbers; those with a negative one are left out."""
        marker, owner = columns.astype(np.int32)[self.marker], self.owner
        kept = marker >= 0
        order = np.lexsort((marker[kept], owner[kept]))
        counts = np.bincount(owner[kept], minlength=len(self))
        offsets = np.concatenate(([0], np.cumsum(counts)))
        return Windows(self.row, self.forward, self.turned, self.unknown, offsets, marker[kept][order])

    def label_keys(self, markers: int) -> Keys:
        """(windows,) one number for the set of labels: a sum of random numbers, one a marker."""
        weight = np.random.default_rng(0).integers(1, 1 << 63, max(markers, 1), dtype=np.uint64)
        total = np.zeros(len(self.marker) + 1, np.uint64)
        np.cumsum(weight[self.marker], out=total[1:])
        keys: Keys = total[self.offsets[1:]] - total[self.offsets[:-1]]
        return keys


@dataclass(slots=True)
class _Blocks:
    """Windows while they are read."""

    row: list[Positions] = field(default_factory=lambda: [np.zeros(0, np.int64)])
    forward: list[Keys] = field(default_factory=lambda: [np.zeros(0, np.uint64)])
    turned: list[Keys] = field(default_factory=lambda: [np.zeros(0, np.uint64)])
    unknown: list[Positions] = field(default_factory=lambda: [np.zeros(0, np.int64)])
    counts: list[Positions] = field(default_factory=lambda: [np.zeros(0, np.int64)])
    marker: list[NDArray[np.int32]] = field(default_factory=lambda: [np.zeros(0, np.int32)])

    def add(self, row: Positions, codes: Codes, counts: Positions, marker: Positions) -> None:
        """Some more."""
        self.row.append(row)
        self.forward.append(sequence_keys(codes))
        self.turned.append(sequence_keys(reverse_complement(codes)))
        self.unknown.append((codes == N).sum(axis=1))
        self.counts.append(counts)
        self.marker.append(marker.astype(np.int32))  # some 40 million of them in the whole bundle

    def finish(self) -> Windows:
        """Sorted by row; labels come along."""
        offsets = np.concatenate(([0], np.cumsum(np.concatenate(self.counts))))
        row = np.concatenate(self.row)
        forward, turned = np.concatenate(self.forward), np.concatenate(self.turned)
        windows = Windows(row, forward, turned, np.concatenate(self.unknown), offsets, np.concatenate(self.marker))
        return windows if (np.diff(row) >= 0).all() else _sorted(windows)


def _sorted(windows: Windows) -> Windows:
    order = np.argsort(windows.row, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    counts = np.diff(windows.offsets)[order]
    marker = windows.marker[np.argsort(place[windows.owner], kind="stable")]
    offsets = np.concatenate(([0], np.cumsum(counts)))
    return Windows(
        windows.row[order], windows.forward[order], windows.turned[order], windows.unknown[order], offsets, marker
    )


def read_published(split: PublishedSplit) -> Windows:
    """The windows of a published split; those that are another's other strand are left out."""
    blocks = _Blocks()
    for row, rows in windows_of(split):
        blocks.add(row, rows.codes, rows.labels.sum(axis=1), np.nonzero(rows.labels)[1])
    return blocks.finish()


def read_rebuilt(dataset: Dataset, split: str) -> Windows:
    """The windows of a split of a dataset."""
    blocks = _Blocks()
    rows = dataset.rows(split)
    for first in range(0, len(rows), _BLOCK):
        here = rows[first : first + _BLOCK]
        labels = dataset.labels(here)
        counts = np.bincount(labels.window.numpy(), minlength=len(here))
        blocks.add(here, dataset.sequence(here), counts, labels.marker.numpy())
    return blocks.finish()


def sequence_keys(codes: Codes) -> Keys:
    """(windows,) of their bases: BLAKE2, of which 64 bits are enough for millions of windows."""
    rows = np.ascontiguousarray(codes)
    digests = b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, np.uint64)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which published window is which rebuilt one: -1 where none is. `turned`: by its other strand."""

    partner: Positions
    turned: NDArray[np.bool_]
    equal: NDArray[np.bool_]


def pair_windows(published: Windows, rebuilt: Windows, markers: int) -> Pairs:
    """Pair windows of the same bases; of several, those with the same labels first, then in order."""
    partner = np.full(len(published), -1, np.int64)
    turned, equal = np.zeros(len(published), bool), np.zeros(len(published), bool)
    free = np.ones(len(rebuilt), bool)
    ours, theirs = published.label_keys(markers), rebuilt.label_keys(markers)
    for same_labels, other in ((True, False), (True, True), (False, False), (False, True)):
        left, right = np.flatnonzero(partner < 0), np.flatnonzero(free)
        bases = published.turned if other else published.forward
        keys = bases[left], rebuilt.forward[right]
        if same_labels:
            keys = keys[0] * np.uint64(3) + ours[left], keys[1] * np.uint64(3) + theirs[right]
        i, j = pair_keys(*keys)
        partner[left[i]], turned[left[i]], equal[left[i]] = right[j], other, same_labels
        free[right[j]] = False
    return Pairs(partner, turned, equal)


def pair_keys(ours: Keys, theirs: Keys) -> tuple[Positions, Positions]:
    """Places of equal keys; the second of several goes with the second."""
    _, number = np.unique(np.concatenate((ours, theirs)), return_inverse=True)
    left, right = _with_rank(number[: len(ours)]), _with_rank(number[len(ours) :])
    _, i, j = np.intersect1d(left, right, assume_unique=True, return_indices=True)
    order = np.argsort(i)
    return i[order], j[order]


def _with_rank(number: Positions) -> Positions:
    """Numbers made different: how many the same came before counts in."""
    order = np.argsort(number, kind="stable")
    first = np.flatnonzero(np.diff(number[order], prepend=-1))
    rank = np.empty(len(number), np.int64)
    rank[order] = np.arange(len(number)) - np.repeat(first, np.diff(np.append(first, len(number))))
    return number * np.int64(1 << 31) + rank


def found_in(keys: Keys, others: Sequence[Keys]) -> NDArray[np.bool_]:
    """(n,) whether each key stands in any of the others."""
    return np.isin(keys, np.concatenate([*others, np.zeros(0, np.uint64)]))
