"""Which windows train, validate and test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError

SPLITS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
BUFFER = 3  # between blocks of different splits: kept out of the dataset

Mode = Literal["blocks", "windows", "chromosomes"]
Codes = NDArray[np.uint8]

# DeepSEA's held-out chromosomes (Zhou & Troyanskaya 2015; thesis section 3.2).
TEST_CHROMOSOMES = ("chr8", "chr9", "8", "9")
VALIDATION_CHROMOSOMES = ("chr7", "7")

_FRACTION = 0.1  # of the windows, for validation and for test each
_BLOCK = 40  # windows: 1 Mb of 25-kb windows
_BLOCKS_AT_LEAST = 20
_TRIES = 100  # among few blocks, the border between validation and test may swallow one of them


def default_mode(contigs: Sequence[str]) -> Mode:
    """Whole chromosomes where DeepSEA's three are there beside others, blocks where they are not."""
    found = set(contigs)
    held_out = found.intersection(TEST_CHROMOSOMES), found.intersection(VALIDATION_CHROMOSOMES)
    return "chromosomes" if all(held_out) and len(found) > 3 else "blocks"


def assign(
    mode: Mode, contig: NDArray[np.int32], start: NDArray[np.int64], window: int, names: Sequence[str], seed: int
) -> Codes:
    """The split of every window.

    Parameters
    ----------
    mode
        `windows`: 80/10/10 at random within each contig (Gupta & Rush 2017). `chromosomes`: chr8 and chr9 test,
        chr7 validates (DeepSEA). `blocks`: 80/10/10 of contiguous blocks at random; where two blocks of different
        splits touch, one window between them is dropped, so that no window has a neighbour in another split.
    contig, start
        (n,) index into `names` and start in bp, sorted.
    window
        Length in bp.
    seed
        Of the random assignment.

    Returns
    -------
    split
        (n,) index into `SPLITS`, or `BUFFER`.

    Raises
    ------
    DilannotError
        A split would be empty.
    """
    if mode == "chromosomes":
        split = _by_chromosome(contig, names)
    elif mode == "windows":
        split = _by_window(contig, np.random.default_rng(seed))
    else:
        split = _by_block(contig, start, window, np.random.default_rng(seed))
    for index, name in enumerate(SPLITS):
        if not (split == index).any():
            raise DilannotError(
                f"no window left for {name} among {len(split)}",
                where=f"--split {mode}",
                remedy="use another --split, a smaller --window or a larger genome",
            )
    return split


def _by_chromosome(contig: NDArray[np.int32], names: Sequence[str]) -> Codes:
    of_contig = [
        TEST if name in TEST_CHROMOSOMES else VALIDATION if name in VALIDATION_CHROMOSOMES else TRAIN for name in names
    ]
    split: Codes = np.take(np.array(of_contig, np.uint8), contig)
    return split


def _shuffled(count: int, random: np.random.Generator) -> Codes:
    """Split codes for `count` things, 80/10/10 in random order; each split gets one where there are three."""
    held_out = max(round(count * _FRACTION), 1 if count >= 3 else 0)
    codes = np.full(count, TRAIN, np.uint8)
    order = random.permutation(count)
    codes[order[:held_out]] = TEST
    codes[order[held_out : 2 * held_out]] = VALIDATION
    return codes


def _by_window(contig: NDArray[np.int32], random: np.random.Generator) -> Codes:
    split = np.empty(len(contig), np.uint8)
    for index in np.unique(contig):
        rows = np.flatnonzero(contig == index)
        split[rows] = _shuffled(len(rows), random)
    return split


def _by_block(contig: NDArray[np.int32], start: NDArray[np.int64], window: int, random: np.random.Generator) -> Codes:
    size = int(np.clip(len(contig) // _BLOCKS_AT_LEAST, 1, _BLOCK))
    first_of_contig = np.searchsorted(contig, contig)
    rank = np.arange(len(contig)) - first_of_contig
    block = np.unique(contig.astype(np.int64) << 32 | rank // size, return_inverse=True)[1].reshape(-1)
    touching = (contig[1:] == contig[:-1]) & (start[1:] - start[:-1] == window)
    for _ in range(_TRIES):
        split: Codes = np.take(_shuffled(int(block[-1]) + 1, random), block)
        border = np.flatnonzero(touching & (split[1:] != split[:-1]))
        # Training has windows to spare: drop from it where it is one of the two.
        split[np.where(split[border + 1] == TRAIN, border + 1, border)] = BUFFER
        if len(np.unique(split[split != BUFFER])) == len(SPLITS):
            break
    return split
