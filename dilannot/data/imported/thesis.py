"""The archives of the thesis's Task 2 (`chr*_batched_nomultimap.npz`; Gupta & Rush 2017), read block by block."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dilannot.data.imported.deepsea import PREFIXES
from dilannot.errors import DilannotError
from dilannot.formats.compression import check_input
from dilannot.formats.npz import Header, array_names, open_array, read_blocks, read_header
from dilannot.formats.sparse_pickle import MarkerRuns, RefusedPickleError, read_matrices, runs_of
from dilannot.genome.sequence import ALPHABET, Codes

ALPHABET_GUESS = "NACTG"  # what 0, 1, 2, 3, 4 stand for: the order in which the thesis names the letters


@dataclass(frozen=True, slots=True)
class ArchiveSplit:
    """Inputs and outputs of one split of one archive.

    Attributes
    ----------
    path, prefix
        The archive, and how the names of its arrays begin: train, valid or test.
    inputs, outputs
        What the two arrays are.
    """

    path: Path
    prefix: str
    inputs: Header
    outputs: Header

    @property
    def split(self) -> str:
        """train, validation or test."""
        return PREFIXES[self.prefix]

    @property
    def rows(self) -> int:
        """Windows."""
        return self.inputs.shape[0]

    @property
    def length(self) -> int:
        """Bases of a window."""
        return self.inputs.shape[1]

    def codes(self, alphabet: str) -> Iterator[Codes]:
        """Base codes, blocks of (n, bases).

        Raises
        ------
        DilannotError
            The archive is damaged, or holds a number that `alphabet` has no letter for.
        """
        letters = np.array([ALPHABET.index(letter) for letter in alphabet], np.uint8)
        row = 0
        for block in read_blocks(self.path, f"{self.prefix}_inputs"):
            bad = (block < 0) | (block >= len(letters))
            if bad.any():
                first = tuple(np.argwhere(bad)[0].tolist())
                raise DilannotError(
                    f"{self.prefix}_inputs holds {block[first]} in row {row + first[0]}; "
                    f"the alphabet {alphabet} has letters for 0 to {len(alphabet) - 1}",
                    where=self.path,
                    remedy="give another --alphabet",
                )
            row += len(block)
            yield letters[block.astype(np.intp)]

    def labels(self) -> Iterator[tuple[MarkerRuns, int]]:
        """Runs of labels of every window, and how many markers there are.

        Raises
        ------
        DilannotError
            The archive is damaged, asks to run something, or its matrices do not fit its windows.
        """
        name = f"{self.prefix}_outputs"
        if not self.outputs.type.hasobject:
            yield from self._dense_labels(name)
            return
        with open_array(self.path, name) as (_, stream):
            try:
                found = read_matrices(stream, self.length)
            except RefusedPickleError as error:
                raise DilannotError(
                    f"{name} {error}", where=self.path, remedy="do not trust this file, or copy it again"
                ) from None
        if len(found) != self.rows:
            raise DilannotError(f"{name} has {len(found)} rows, {self.prefix}_inputs {self.rows}", where=self.path)
        yield from found

    def _dense_labels(self, name: str) -> Iterator[tuple[MarkerRuns, int]]:
        for block in read_blocks(self.path, name):
            for window in block:
                window = window if len(window) == self.length else window.T
                position, marker = np.nonzero(window)
                yield runs_of(position, marker, self.length), window.shape[1]


def contig_of(path: Path) -> str:
    """The chromosome that an archive is named after."""
    return re.sub(r"(_batched|_nomultimap)+$", "", path.stem)


def archive_files(source: Path) -> list[Path]:
    """The archives of a folder, chr2 before chr10; a file itself.

    Raises
    ------
    DilannotError
        The folder holds none.
    """
    if not source.is_dir():
        check_input(source)
        return [source]
    files = [path for path in source.iterdir() if path.name.lower().endswith(".npz") and not path.name.startswith(".")]
    if not files:
        raise DilannotError("holds no .npz archive", where=source)
    for path in files:
        check_input(path)
    return sorted(files, key=lambda path: _natural(path.name))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def open_archive(path: Path) -> list[ArchiveSplit]:
    """The splits of an archive; only headers are read.

    Raises
    ------
    DilannotError
        It is no archive of NumPy's, lacks arrays, or its arrays do not fit together.
    """
    names = array_names(path)
    splits = []
    for prefix in PREFIXES:
        pair = (f"{prefix}_inputs", f"{prefix}_outputs")
        missing = [name for name in pair if name not in names]
        if len(missing) == 1:
            raise DilannotError(f"has no array {missing[0]}", where=path, remedy="copy it again")
        if not missing:
            splits.append(_check(ArchiveSplit(path, prefix, *(read_header(path, name) for name in pair))))
    if not splits:
        shown = ", ".join(sorted(names)[:5]) or "none"
        raise DilannotError(f"has no train_inputs, valid_inputs or test_inputs (arrays: {shown})", where=path)
    return [split for split in splits if split.rows]


def _check(split: ArchiveSplit) -> ArchiveSplit:
    inputs, outputs = split.inputs, split.outputs
    shapes = f"{split.prefix}_inputs {inputs.shape} and {split.prefix}_outputs {outputs.shape}"
    if len(inputs.shape) == 1 and inputs.shape[0] == 0:
        return ArchiveSplit(split.path, split.prefix, Header((0, 0), False, inputs.type), outputs)
    if len(inputs.shape) != 2 or inputs.type.kind not in "iu":
        raise DilannotError(f"{shapes}: inputs are not (windows, bases) integers", where=split.path)
    if not outputs.shape or inputs.shape[0] != outputs.shape[0]:
        raise DilannotError(f"{shapes} have different numbers of rows", where=split.path)
    dense = len(outputs.shape) == 3 and outputs.type.kind in "biuf" and split.length in outputs.shape[1:]
    sparse = len(outputs.shape) == 1 and outputs.type.hasobject
    if not dense and not sparse:
        raise DilannotError(
            f"{shapes}: outputs are neither sparse matrices nor (windows, bases, markers)", where=split.path
        )
    return split
