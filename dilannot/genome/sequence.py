"""Bases as small integers: N=0, A=1, C=2, G=3, T=4; lower case is the same base, other IUPAC codes are N."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]

N = 0
ALPHABET = "NACGT"
AMBIGUOUS = "RYSWKMBDHV"
INVALID = 255
_AMBIGUOUS_CODE = 254


def _table() -> bytes:
    table = bytearray([INVALID]) * 256
    for letter in AMBIGUOUS:
        table[ord(letter)] = table[ord(letter.lower())] = _AMBIGUOUS_CODE
    for code, letter in enumerate(ALPHABET):
        table[ord(letter)] = table[ord(letter.lower())] = code
    return bytes(table)


_TABLE = _table()


def encode(letters: bytes) -> tuple[Codes, int]:
    """Codes of a line-free sequence, and how many ambiguous IUPAC letters became N.

    Anything that is no nucleotide letter becomes `INVALID`.
    """
    codes = np.frombuffer(bytearray(letters.translate(_TABLE)), np.uint8)
    if codes.max(initial=0) < _AMBIGUOUS_CODE:
        return codes, 0
    ambiguous = codes == _AMBIGUOUS_CODE
    codes[ambiguous] = N
    return codes, int(ambiguous.sum())


def reverse_complement(codes: Codes) -> Codes:
    """The other strand, read from its own start."""
    return np.where(codes[..., ::-1] == N, N, 5 - codes[..., ::-1]).astype(np.uint8)


def pack(codes: Codes) -> NDArray[np.uint8]:
    """Four bases a byte along the last axis, first base in the lowest bits; N is packed as T.

    Shape (..., L) -> (..., ceil(L / 4)).
    """
    length = codes.shape[-1]
    bits = np.zeros((*codes.shape[:-1], -(-length // 4) * 4), np.uint8)
    np.bitwise_and(codes - np.uint8(1), 3, out=bits[..., :length])
    # Neighbours as one number, the second shifted to the first: pairs of bases, then pairs of pairs.
    pairs = bits.view("<u2")
    fours = (pairs | pairs >> np.uint16(6)).astype(np.uint8).view("<u2")
    packed: NDArray[np.uint8] = (fours | fours >> np.uint16(4)).astype(np.uint8)
    return packed


_FOUR = np.array([[(byte >> shift & 3) + 1 for shift in (0, 2, 4, 6)] for byte in range(256)], np.uint8).view(np.uint32)


def unpack(packed: NDArray[np.uint8]) -> Codes:
    """Undo `pack`; what was N comes back as T. Shape (..., bytes) -> (..., 4 x bytes)."""
    codes: Codes = _FOUR[:, 0].take(packed).view(np.uint8)
    return codes
