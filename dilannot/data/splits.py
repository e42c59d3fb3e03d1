"""Which windows train, validate and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dilannot.data.names import matches
from dilannot.data.settings import BuildSettings, Mode
from dilannot.errors import DilannotError
from dilannot.formats.fasta import Contig
from dilannot.genome.intervals import Positions

SPLITS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
BUFFER = 3  # between blocks of different splits: kept out of the dataset
OTHER = 4  # on contigs that a split leaves out

Codes = NDArray[np.uint8]

# DeepSEA's held-out chromosomes (Zhou & Troyanskaya 2015; thesis section 3.2).
TEST_CHROMOSOMES = ("chr8", "chr9", "8", "9")
VALIDATION_CHROMOSOMES = ("chr7", "7")
# Its validation region on chr7, 1-based inclusive in the paper, and how many bins of it were used.
DEEPSEA_VALIDATION = (30_508_750, 35_296_850)
DEEPSEA_VALIDATION_BINS = 4_000
_HG19_CHR7 = 159_138_663  # bp: on another assembly the region means nothing
_AUTOSOMES = {f"{prefix}{number}" for prefix in ("chr", "") for number in range(1, 23)}

_FRACTION = 0.1  # of the windows, for validation and for test each
_BLOCK = 1_000_000  # bp of kept windows
_BLOCKS_AT_LEAST = 20
_TRIES = 100  # among few blocks, the border between validation and test may swallow one of them


@dataclass(frozen=True, slots=True)
class Candidates:
    """Windows that wait for a split, in genome order: contig as an index into `contigs`, start in bp."""

    contig: NDArray[np.int32]
    start: Positions
    contigs: Sequence[Contig]


def default_mode(candidates: Candidates, settings: BuildSettings) -> Mode:
    """DeepSEA's chromosomes where all three are there beside others, else blocks; for bins of hg19 its exact region."""
    if settings.validation_chroms or settings.test_chroms:
        return "chromosomes"
    found = {candidates.contigs[i].name: candidates.contigs[i].length for i in np.unique(candidates.contig)}
    for prefix in ("chr", ""):
        if len(found) > 3 and {f"{prefix}7", f"{prefix}8", f"{prefix}9"} <= found.keys():
            hg19 = found[f"{prefix}7"] == _HG19_CHR7
            return "deepsea" if settings.task == "window" and hg19 else "chromosomes"
    return "blocks"


def assign(mode: Mode, candidates: Candidates, settings: BuildSettings) -> Codes:
    """The split of every window.

    Parameters
    ----------
    mode
        `windows`: 80/10/10 at random within each contig (Gupta & Rush 2017). `chromosomes`: whole contigs, those of
        the settings or chr8 and chr9 to test, chr7 to validate. `deepsea`: chr8 and chr9 test, the first 4,000 bins
        of chr7:30,508,751-35,296,850 validate, the other autosomes train. `blocks`: 80/10/10 of contiguous blocks
        at random; where blocks of different splits touch, windows are dropped until no window touches or overlaps
        one of another split.
    candidates
        Sorted.

    Returns
    -------
    split
        (n,) index into `SPLITS`, `BUFFER` or `OTHER`.

    Raises
    ------
    DilannotError
        A split would be empty.
    """
    random = np.random.default_rng(settings.seed)
    if mode == "chromosomes":
        split = _by_chromosome(candidates, settings)
    elif mode == "deepsea":
        split = _as_deepsea(candidates, settings)
    elif mode == "windows":
        split = _by_window(candidates.contig, random)
    else:
        split = _by_block(candidates, settings, random)
    for index, name in enumerate(SPLITS):
        if not (split == index).any():
            raise DilannotError(
                f"no window left for {name} among {len(split)}",
                where=f"--split {mode}",
                remedy="name contigs with --test-chroms and --validation-chroms"
                if mode in ("chromosomes", "deepsea")
                else "use another --split, smaller windows or a larger genome",
            )
    return split


def _by_chromosome(candidates: Candidates, settings: BuildSettings) -> Codes:
    own = bool(settings.validation_chroms or settings.test_chroms)
    test = settings.test_chroms if own else TEST_CHROMOSOMES
    validation = settings.validation_chroms if own else VALIDATION_CHROMOSOMES
    names = [contig.name for contig in candidates.contigs]
    both = [name for name in names if matches(name, test) and matches(name, validation)]
    if both:
        raise DilannotError(f"contig {both[0]!r} cannot both validate and test", where="--test-chroms")
    of_contig = [TEST if matches(name, test) else VALIDATION if matches(name, validation) else TRAIN for name in names]
    split: Codes = np.take(np.array(of_contig, np.uint8), candidates.contig)
    return split


def _as_deepsea(candidates: Candidates, settings: BuildSettings) -> Codes:
    names = [contig.name for contig in candidates.contigs]
    of_contig = [TEST if name in TEST_CHROMOSOMES else TRAIN if name in _AUTOSOMES else OTHER for name in names]
    split: Codes = np.take(np.array(of_contig, np.uint8), candidates.contig)
    on_seven = np.isin(candidates.contig, [i for i, name in enumerate(names) if name in VALIDATION_CHROMOSOMES])
    begin, end = DEEPSEA_VALIDATION
    region = on_seven & (candidates.start >= begin) & (candidates.start + settings.unit <= end)
    split[region] = BUFFER
    split[np.flatnonzero(region)[:DEEPSEA_VALIDATION_BINS]] = VALIDATION
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
    borders = np.concatenate(([0], np.flatnonzero(np.diff(contig)) + 1, [len(contig)])).tolist()
    for first, last in pairwise(borders):
        split[first:last] = _shuffled(last - first, random)
    return split


def _by_block(candidates: Candidates, settings: BuildSettings, random: np.random.Generator) -> Codes:
    contig, start = candidates.contig, candidates.start
    # Windows closer than this touch, or their inputs overlap; a block is no shorter.
    near = settings.unit + 2 * settings.reach
    size = max(-(-near // settings.unit), min(len(contig) // _BLOCKS_AT_LEAST, _BLOCK // settings.unit))
    rank = np.arange(len(contig)) - np.searchsorted(contig, contig)
    block = np.unique(contig.astype(np.int64) << 32 | rank // size, return_inverse=True)[1].reshape(-1)
    touching = (contig[1:] == contig[:-1]) & (start[1:] - start[:-1] <= near)
    for _ in range(_TRIES):
        blocks = _shuffled(int(block[-1]) + 1, random)
        split: Codes = np.take(blocks, block)
        for left in np.flatnonzero(touching & (split[1:] != split[:-1])).tolist():
            # Training has windows to spare: drop from it where it is one of the two.
            if blocks[block[left + 1]] == TRAIN:
                after = start[left + 1 : np.searchsorted(block, block[left + 1], "right")]
                split[left + 1 : left + 1 + np.searchsorted(after, start[left] + near, "right")] = BUFFER
            else:
                first = np.searchsorted(block, block[left])
                before = start[first : left + 1]
                split[first + np.searchsorted(before, start[left + 1] - near) : left + 1] = BUFFER
        if len(np.unique(split[split != BUFFER])) == len(SPLITS):
            break
    return split
