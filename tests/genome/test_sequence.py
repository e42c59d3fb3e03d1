from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dilannot.genome.sequence import INVALID, encode, pack, reverse_complement, unpack

CODES = st.lists(st.integers(0, 4), max_size=41).map(lambda codes: np.array(codes, np.uint8))


def test_letters_and_their_codes() -> None:
    codes, ambiguous = encode(b"NACGTnacgtRYK")
    assert codes.tolist() == [0, 1, 2, 3, 4] * 2 + [0, 0, 0]
    assert ambiguous == 3


def test_everything_else_is_invalid() -> None:
    letters = set(b"NACGTRYSWKMBDHVnacgtryswkmbdhv")
    codes, _ = encode(bytes(range(256)))
    assert [byte for byte in range(256) if codes[byte] != INVALID] == sorted(letters)


def test_reverse_complement_by_hand() -> None:
    codes, _ = encode(b"AACGTN")
    assert (reverse_complement(codes) == encode(b"NACGTT")[0]).all()


@given(CODES)
def test_reverse_complement_twice_is_nothing(codes: np.ndarray) -> None:
    assert (reverse_complement(reverse_complement(codes)) == codes).all()


@given(CODES)
def test_packing_keeps_every_base_but_n(codes: np.ndarray) -> None:
    assert (unpack(pack(codes))[: len(codes)] == np.where(codes == 0, 4, codes)).all()
    assert pack(codes).nbytes == -(-len(codes) // 4)
