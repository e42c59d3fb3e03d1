"""DeepSEA's published training files (`train.mat`, `valid.mat`, `test.mat`), read block by block.

Source: the bundle deepsea_train of Zhou & Troyanskaya 2015, and copies of it that others have made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError
from dilannot.formats.compression import check_input
from dilannot.formats.matlab import MatlabArray, open_matlab
from dilannot.genome.intervals import Positions
from dilannot.genome.sequence import ALPHABET, Codes, reverse_complement

ORDER = "AGCT"  # of the one-hot columns; without any 1 a base is N
LENGTH, MARKERS = 1_000, 919
PREFIXES = {"train": "train", "valid": "validation", "test": "test"}  # of the arrays' names -> split
BLOCK = 8_192  # rows; 40 MB of sequence and labels
_LARGEST_BLOCK = 65_536

Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rows:
    """Some windows as published: codes (n, bases), labels (n, markers)."""

    codes: Codes
    labels: Labels

    def only(self, chosen: NDArray[np.bool_]) -> Rows:
        """Those that are chosen."""
        return Rows(self.codes[chosen], self.labels[chosen])


@dataclass(frozen=True, slots=True)
class Axes:
    """Which axis of an array is which."""

    row: int
    column: int
    base: int
    label_row: int


@dataclass(frozen=True, slots=True)
class PublishedSplit:
    """The two arrays of one split.

    Attributes
    ----------
    path, prefix
        The file, and how the names of its arrays begin: train, valid or test.
    sequence, labels
        One-hot bases and 0/1, in any order of axes; read when they are sliced.
    axes
        That order.
    order
        The base that each one-hot column stands for.
    """

    path: Path
    prefix: str
    sequence: MatlabArray
    labels: MatlabArray
    axes: Axes
    order: str = ORDER

    @property
    def split(self) -> str:
        """train, validation or test."""
        return PREFIXES[self.prefix]

    @property
    def rows(self) -> int:
        """Windows, both strands."""
        return int(self.sequence.shape[self.axes.row])

    @property
    def length(self) -> int:
        """Bases of a window."""
        return int(self.sequence.shape[self.axes.base])

    @property
    def markers(self) -> int:
        """Label columns."""
        return int(self.labels.shape[1 - self.axes.label_row])

    def ordered(self, order: str) -> PublishedSplit:
        """The same arrays under another order of one-hot columns."""
        return replace(self, order=order)

    def read(self, first: int, last: int) -> Rows:
        """The rows from `first` to before `last`.

        Raises
        ------
        DilannotError
            The file is damaged, or holds something else than 0 and 1.
        """
        return Rows(self.codes(first, last), self._labels(first, last))

    def codes(self, first: int, last: int) -> Codes:
        """Base codes alone, shape (n, bases)."""
        of_column = np.array([0, *(ALPHABET.index(letter) for letter in self.order)], np.uint8)
        return of_column[self.columns(first, last)]

    def columns(self, first: int, last: int) -> NDArray[np.uint8]:
        """Which one-hot column is 1, counted from 1; 0 where none is (N). Shape (n, bases)."""
        part = self.sequence.cut(self.axes.row, first, last)
        part = np.moveaxis(part, (self.axes.row, self.axes.column, self.axes.base), (0, 1, 2))
        self._check_binary(part, "xdata", first)
        part = part.astype(np.uint8, copy=False)
        ones = part[:, 0] + part[:, 1] + part[:, 2] + part[:, 3]
        if (ones > 1).any():
            row, base = np.argwhere(ones > 1)[0].tolist()
            raise DilannotError(
                f"{self.prefix}xdata is not one-hot: row {first + row}, base {base} has {ones[row, base]} ones",
                where=self.path,
            )
        column: NDArray[np.uint8] = part[:, 0] + 2 * part[:, 1] + 3 * part[:, 2] + 4 * part[:, 3]
        return np.ascontiguousarray(column)

    def _labels(self, first: int, last: int) -> Labels:
        part = self.labels.cut(self.axes.label_row, first, last)
        part = part.T if self.axes.label_row else part
        self._check_binary(part, "data", first)
        return np.ascontiguousarray(part.astype(bool, copy=False))

    def _check_binary(self, part: NDArray[Any], name: str, first: int) -> None:
        # In numbers of one byte a comparison with 1 is enough, and this is most of the time that reading takes.
        bad = part > 1 if part.dtype.kind in "ub" else (part != 0) & (part != 1)
        if bad.any():
            place = tuple(np.argwhere(bad)[0].tolist())
            raise DilannotError(
                f"{self.prefix}{name} holds {part[place]} in row {first + place[0]}; 0 and 1 are expected",
                where=self.path,
            )

    def block(self) -> int:
        """How many rows to read at a time: whole HDF5 chunks, so that none is unpacked twice."""
        rows = self.sequence.chunks[self.axes.row] if self.sequence.chunks else 1
        return min(max(-(-BLOCK // rows) * rows, 1), _LARGEST_BLOCK)

    def slow(self) -> int | None:
        """Rows of an HDF5 chunk where they are more than a block, and each chunk is unpacked again and again."""
        rows = self.sequence.chunks[self.axes.row] if self.sequence.chunks else 0
        return rows if self.rows > rows / 2 > _LARGEST_BLOCK else None


def other_strand(forward: Rows, backward: Rows) -> NDArray[np.bool_]:
    """(n,) whether the second's windows are the first's reverse complements, with the same labels."""
    same_labels = (forward.labels == backward.labels).all(axis=1)
    result: NDArray[np.bool_] = same_labels & (reverse_complement(forward.codes) == backward.codes).all(axis=1)
    return result


def windows_of(split: PublishedSplit) -> Iterator[tuple[Positions, Rows]]:
    """All windows of a split, block by block, but those of the second half that are the first half's other strand.

    Yields row numbers and rows; of either half they come in order.
    """
    paired = split.rows % 2 == 0
    half, step = split.rows // 2 if paired else split.rows, split.block()
    for first in range(0, half, step):
        last = min(first + step, half)
        here = split.read(first, last)
        yield np.arange(first, last), here
        if paired:
            there = split.read(half + first, half + last)
            own = ~other_strand(here, there)
            if own.any():
                yield half + first + np.flatnonzero(own), there.only(own)


def published_files(source: Path) -> list[Path]:
    """`train.mat`, `valid.mat` and `test.mat` of a folder, those that are there; a file itself.

    Raises
    ------
    DilannotError
        The folder holds none of them.
    """
    if not source.is_dir():
        check_input(source)
        return [source]
    found = {path.name.lower(): path for path in sorted(source.iterdir())}
    files = [found[f"{name}.mat"] for name in PREFIXES if f"{name}.mat" in found]
    if not files:
        raise DilannotError(
            "holds no train.mat, valid.mat or test.mat", where=source, remedy="give the folder of the DeepSEA bundle"
        )
    for path in files:
        check_input(path)
    return files


@contextmanager
def open_published(files: Sequence[Path]) -> Iterator[list[PublishedSplit]]:
    """Open published files: train, valid, test, those that are there.

    Raises
    ------
    DilannotError
        Not a MATLAB file, arrays that are missing, twice there or do not fit together, or axes that could be
        either of two.
    """
    with ExitStack() as stack:
        found: dict[str, PublishedSplit] = {}
        for path in files:
            for split in _splits(path, stack.enter_context(open_matlab(path))):
                if split.prefix in found:
                    raise DilannotError(
                        f"holds {split.prefix}xdata, and so does {found[split.prefix].path}",
                        where=path,
                        remedy="give one of them",
                    )
                found[split.prefix] = split
        splits = [found[prefix] for prefix in PREFIXES if prefix in found]
        _check_alike(splits)
        yield splits


def _check_alike(splits: list[PublishedSplit]) -> None:
    for split in splits[1:]:
        for name in ("length", "markers"):
            ours, theirs = getattr(split, name), getattr(splits[0], name)
            if ours != theirs:
                what = "bases a window" if name == "length" else "label columns"
                raise DilannotError(f"has {ours} {what} where {splits[0].path} has {theirs}", where=split.path)


def _splits(path: Path, arrays: Mapping[str, MatlabArray]) -> list[PublishedSplit]:
    found = []
    for prefix in PREFIXES:
        names = (f"{prefix}xdata", f"{prefix}data")
        missing = [name for name in names if name not in arrays]
        if len(missing) == 1:
            raise DilannotError(f"has no array {missing[0]}", where=path, remedy="copy or download it again")
        if not missing:
            sequence, labels = (arrays[name] for name in names)
            if len(sequence.shape) != 3 or len(labels.shape) != 2 or 0 in (*sequence.shape, *labels.shape):
                raise DilannotError(
                    f"{_shapes(prefix, sequence.shape, labels.shape)}: not DeepSEA's layout", where=path
                )
            axes = find_axes(prefix, sequence.shape, labels.shape, path)
            found.append(PublishedSplit(path, prefix, sequence, labels, axes))
    if not found:
        shown = ", ".join(sorted(arrays)[:5]) or "none"
        raise DilannotError(f"has no trainxdata, validxdata or testxdata (arrays: {shown})", where=path)
    return found


def _shapes(prefix: str, sequence: Sequence[int], labels: Sequence[int]) -> str:
    return f"{prefix}xdata {tuple(sequence)} and {prefix}data {tuple(labels)}"


def find_axes(prefix: str, sequence: Sequence[int], labels: Sequence[int], path: Path) -> Axes:
    """Which axis is which, from the sizes alone: 4 columns, as many rows in both arrays.

    Converted copies are transposed in every way, so the file's version says nothing.

    Raises
    ------
    DilannotError
        No way to read them fits, or more than one.
    """
    fitting = [
        Axes(row, column, base, label_row)
        for row, column, base in permutations(range(3))
        for label_row in range(2)
        if sequence[column] == 4 and sequence[row] == labels[label_row]
    ]
    published = [axes for axes in fitting if sequence[axes.base] == LENGTH and labels[1 - axes.label_row] == MARKERS]
    chosen = published or fitting
    shapes = _shapes(prefix, sequence, labels)
    if not chosen:
        raise DilannotError(
            f"{shapes} do not fit together: one axis of 4 and the same number of rows are expected", where=path
        )
    if len(chosen) > 1:
        raise DilannotError(
            f"{shapes} can be read in {len(chosen)} ways: which axis counts the rows?",
            where=path,
            remedy="take one row off, so that sizes differ",
        )
    return chosen[0]
