"""Which letters numbers stand for, judged by the sequence itself: N comes in long runs, CG is rare in vertebrates."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dilannot.genome.sequence import ALPHABET, Codes
from dilannot.progress import Progress

_PAIRS_NEEDED = 200_000
_RARE = 0.6  # observed / expected CG; hg19 has 0.24, bins with TF events more
_RUN = 0.9  # of the Ns are followed by another one

Pairs = NDArray[np.int64]  # (5, 5): how often one base code follows another


def no_pairs() -> Pairs:
    """Nothing counted."""
    return np.zeros((len(ALPHABET), len(ALPHABET)), np.int64)


def count_pairs(codes: Codes) -> Pairs:
    """Neighbouring bases in windows, shape (n, length)."""
    size = len(ALPHABET)
    pairs = codes[:, :-1] * np.uint8(size) + codes[:, 1:]
    return np.bincount(pairs.reshape(-1), minlength=size * size).reshape(size, size)


def suggestion(pairs: Pairs, alphabet: str) -> str | None:
    """An alphabet that fits the sequence of a vertebrate better than the one it was read with; None if none does.

    A and T are told apart by TA, which is rarer than AT; N by its runs.
    """
    total = int(pairs.sum())
    if total < _PAIRS_NEEDED:
        return None
    frequency = np.where(pairs.sum(axis=1) > 0, pairs.sum(axis=1), 1) / total
    ratio = pairs / total / np.outer(frequency, frequency)
    stays = np.diag(pairs) / np.maximum(pairs.sum(axis=1), 1)
    unknown = int(np.argmax(stays)) if stays.max() > _RUN else 0
    bases = [code for code in range(len(ALPHABET)) if code != unknown]
    c, g = min(permutations(bases, 2), key=lambda pair: ratio[pair])
    if ratio[c, g] > _RARE:
        return None
    t, a = min(permutations([code for code in bases if code not in (c, g)], 2), key=lambda pair: ratio[pair])
    seems = dict(zip((ALPHABET[code] for code in (unknown, a, c, g, t)), "NACGT", strict=True))
    fitting = "".join(seems[letter] for letter in alphabet)
    return fitting if fitting != alphabet else None


def warn_of_alphabet(pairs: Pairs, alphabet: str, path: Path, what: str, progress: Progress) -> None:
    """Say so when another alphabet fits better."""
    if better := suggestion(pairs, alphabet):
        progress.warn(
            f"{path.name}: read as {alphabet}, its {what} do not look like a vertebrate's sequence (N in long runs, CG "
            f"rare); {better} would: compare some with the genome, and use --alphabet {better} if that is right"
        )
