from __future__ import annotations

import gzip
import random
import re
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, SHARED
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_mutations import bgzip, mutated, packed

from dilannot.errors import DilannotError
from dilannot.formats.motifs import Motif, read_motifs

MUTATIONS = 4000
MOTIFS = SHARED / "data" / "motifs"

MINIMAL = """MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

MOTIF MA0001.1 AGL3
letter-probability matrix: alength= 4 w= 3 nsites= 158 E= 0
0.5 0.5 0.0 0.0
  0.25\t 0.25  0.25 0.25 \t
0 0 0 1

MOTIF second
letter-probability matrix: w=1
1e0 .0 0. +0
URL http://example.org/2
"""

# Cut to what matters from what MEME 5 writes; numbers stand in many places that are no probabilities.
FULL = """********************************************************************************
MEME - Motif discovery tool
********************************************************************************
MEME version 5.4.1 (Release date: Sat Aug 21 19:23:23 2021 -0700)
********************************************************************************
TRAINING SET
********************************************************************************
PRIMARY SEQUENCES= crp0.fna
ALPHABET= ACGT
Sequence name            Weight Length  Sequence name            Weight Length
-------------            ------ ------  -------------            ------ ------
ce1cg                    1.0000    105  ara                      1.0000    105

Letter frequencies in dataset:
A 0.304 C 0.196 G 0.196 T 0.304
********************************************************************************
MOTIF GTG MEME-1\twidth =   3  sites =  17  llr = 184  E-value = 2.5e-002
********************************************************************************
\tMotif GTG MEME-1 Description
Simplified        A  ::8
pos.-specific     C  :1:
--------------------------------------------------------------------------------
\tMotif GTG MEME-1 position-specific scoring matrix
--------------------------------------------------------------------------------
log-odds matrix: alength= 4 w= 3 n= 1500 bayes= 6.40 E= 2.5e-002
 -1010    227  -1010  -1010
 -1010  -1010  -1010    164
   253  -1010  -1010  -1010
--------------------------------------------------------------------------------
\tMotif GTG MEME-1 position-specific probability matrix
--------------------------------------------------------------------------------
letter-probability matrix: alength= 4 w= 3 nsites= 17 E= 2.5e-002
 0.000000  0.000000  1.000000  0.000000
 0.058824  0.117647  0.000000  0.823529
 0.000000  0.000000  1.000000  0.000000
--------------------------------------------------------------------------------
\tMotif GTG MEME-1 regular expression
--------------------------------------------------------------------------------
GTG
--------------------------------------------------------------------------------

Time  0.54 secs.

********************************************************************************
MOTIF  2\twidth =    1  sites =  5  llr = 40  E-value = 1
********************************************************************************
letter-probability matrix: alength= 4 w= 1 nsites= 5 E= 1
 0.200000  0.200000  0.200000  0.400000

Time  1.23 secs.
"""

BLOCK = """ALPHABET "D = ~ N A" {like}
A "Adenine" CC0000 ~ T "Thymine" 008000
C "Cytosine" 0000CC ~ G "Guanine" FFB300
# no symbol
N "Any base" = ACGT
U = T
END ALPHABET"""

JASPAR = """# from JASPAR
>MA0001.1 AGL3
A  [ 0  3 79 ]
C  [94 75  4 ]

# in between
G  [ 1  0  3 ]
T  [ 2  3  1 ]
>second\tits name  here
t [ 1 0.5 ]
G [0 0]
c [ 3 .5 ]
A [0 1]
"""

RAW = """>MA0001.1 AGL3
0  3 79
94\t75\t4
1 0 3
2 3 1
"""


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(tmp_path: Path, text: str | bytes) -> list[Motif]:
    return read_motifs(write(tmp_path / "motifs", text))


def facts(motifs: list[Motif]) -> list[tuple[str, str, float, list[list[float]]]]:
    return [(m.identifier, m.name, m.sites, m.probabilities.round(6).tolist()) for m in motifs]


# ---------------------------------------------------------------- known answers


def test_minimal_meme(tmp_path: Path) -> None:
    assert facts(read(tmp_path, MINIMAL)) == [
        ("MA0001.1", "AGL3", 158, [[0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25], [0, 0, 0, 1]]),
        ("second", "second", 20, [[1, 0, 0, 0]]),
    ]


def test_full_output_of_meme(tmp_path: Path) -> None:
    rows = [[0, 0, 1, 0], [0.058824, 0.117647, 0, 0.823529], [0, 0, 1, 0]]
    expected = [("GTG", "MEME-1", 17, rows), ("2", "2", 5, [[0.2, 0.2, 0.2, 0.4]])]
    assert facts(read(tmp_path, FULL)) == expected


@pytest.mark.parametrize(
    "header",
    [
        "letter-probability matrix:",
        "letter-probability matrix: nsites=20 alength=4",
        "letter-probability matrix: E= 4.1e-009 nsites= 20.0 w= 3 alength= 4",
        "letter-probability matrix: w = 3 nsites= 0 S= 1.1e-010",
    ],
)
def test_fields_of_a_matrix_are_optional_and_in_any_order(tmp_path: Path, header: str) -> None:
    text = MINIMAL.replace("letter-probability matrix: alength= 4 w= 3 nsites= 158 E= 0", header + "\n")
    first, second = read(tmp_path, text)
    assert (first.width, first.sites, second.width) == (3, 20, 1)


def test_blank_lines_may_stand_anywhere(tmp_path: Path) -> None:
    assert facts(read(tmp_path, "\n" + MINIMAL.replace("\n", "\n \t\n"))) == facts(read(tmp_path, MINIMAL))
    assert facts(read(tmp_path, "\n" + JASPAR.replace("\n", "\n \t\n"))) == facts(read(tmp_path, JASPAR))


@pytest.mark.parametrize(
    "alphabet",
    ["ALPHABET=ACGU", "ALPHABET = acgt", "", BLOCK.format(like="DNA-LIKE"), BLOCK.format(like="")],
)
def test_alphabets(tmp_path: Path, alphabet: str) -> None:
    expected = facts(read(tmp_path, MINIMAL))
    assert facts(read(tmp_path, MINIMAL.replace("ALPHABET= ACGT", alphabet))) == expected


def test_an_rna_alphabet_may_be_defined(tmp_path: Path) -> None:
    block = "ALPHABET RNA-LIKE\nA\nC\nG\nU\nEND ALPHABET"
    assert len(read(tmp_path, MINIMAL.replace("ALPHABET= ACGT", block))) == 2


def test_rounded_rows_are_renormalised(tmp_path: Path) -> None:
    (motif,) = read(tmp_path, "MEME version 4\nMOTIF m\nletter-probability matrix:\n0.98 0 0 0\n0.51 0.51 0 0\n")
    np.testing.assert_array_equal(motif.probabilities, [[1, 0, 0, 0], [0.5, 0.5, 0, 0]])


def test_jaspar(tmp_path: Path) -> None:
    first, second = read(tmp_path, JASPAR)
    counts = np.array([[0, 94, 1, 2], [3, 75, 0, 3], [79, 4, 3, 1]])
    np.testing.assert_array_equal(first.probabilities, counts / counts.sum(axis=1, keepdims=True))
    assert (first.identifier, first.name, first.sites) == ("MA0001.1", "AGL3", (97 + 81 + 87) / 3)
    assert facts([second]) == [("second", "its name here", 3, [[0, 0.75, 0, 0.25], [0.5, 0.25, 0, 0.25]])]


@pytest.mark.parametrize("change", ["[]", "T>U", "case", "order", "raw"])
def test_one_matrix_in_the_ways_jaspar_is_written(tmp_path: Path, change: str) -> None:
    header, *rows = [line for line in JASPAR.splitlines()[1:8] if line[:1] not in ("", "#")]
    texts = {
        "[]": [row.translate({ord("["): None, ord("]"): None}) for row in rows],
        "T>U": [row.replace("T", "U") for row in rows],
        "case": [row.lower() for row in rows],
        "order": rows[::-1],
        "raw": RAW.splitlines()[1:],
    }
    expected = facts(read(tmp_path, JASPAR))[:1]
    assert facts(read(tmp_path, "\n".join([header, *texts[change]]))) == expected


@pytest.mark.parametrize("text", [MINIMAL, FULL, JASPAR, RAW])
def test_line_ends_byte_order_mark_and_compression(tmp_path: Path, text: str) -> None:
    expected, data = facts(read(tmp_path, text)), text.encode()
    windows = b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")
    for content in (windows, data.rstrip(), gzip.compress(data), bgzip(data), gzip.compress(windows)):
        assert facts(read(tmp_path, content)) == expected


def test_scores_of_a_matrix_known_by_hand() -> None:
    motif = Motif("m", "m", np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4]), 3.0)
    np.testing.assert_array_equal(motif.information(), [2, 1, 0])
    scores = motif.log_odds()
    np.testing.assert_allclose(scores[0], np.log2([13 / 4, 1 / 4, 1 / 4, 1 / 4]))
    np.testing.assert_allclose(scores[2], 0, atol=1e-12)
    np.testing.assert_array_equal(motif.log_odds(0)[0], [2, -np.inf, -np.inf, -np.inf])
    assert abs(motif.log_odds(1e9)).max() < 1e-6


def test_reverse_complement_known_by_hand() -> None:
    motif = Motif("m", "name", np.array([[1, 0, 0, 0], [0, 0.25, 0.75, 0]]), 7.0)
    other = motif.reverse_complement()
    np.testing.assert_array_equal(other.probabilities, [[0, 0.75, 0.25, 0], [0, 0, 0, 1]])
    assert (other.identifier, other.name, other.sites, other.width) == ("m", "name", 7, 2)
    assert other.probabilities.flags.c_contiguous


# ---------------------------------------------------------------- errors

NOT_A_NUMBER = ["nan", "inf", "-inf", "1e999", "-0.1", "x", "1_0", "0x1", "٣", "0,5", "1e", "."]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        *[("0.5 0.5 0.0", f"0.5 {number} 0.0", 12, "probability: is not a number") for number in NOT_A_NUMBER],
        ("0.5 0.5 0.0 0.0", "nan nan nan nan", 12, "probability: is not a number"),
        ("0.5 0.5 0.0 0.0", "0.5 0.5 0.0", 12, "4 probabilities"),
        ("0.5 0.5 0.0 0.0", "0.5 0.5 0.0 0.0 0.0", 12, "4 probabilities"),
        ("0.5 0.5 0.0 0.0", "0.5 0.5 0.1 0.0", 12, "sum to 1.1"),
        ("0.5 0.5 0.0 0.0", "0.479 0.5 0 0", 12, "sum to 0.979"),
        ("0.5 0.5 0.0 0.0", "79 94 1 2", 12, "sum to 176"),
        ("0.5 0.5 0.0 0.0", "", 11, "has 2 rows where its header says w= 3"),
        ("w= 3", "w= 2", 11, "has 3 rows where its header says w= 2"),
        ("w= 3", "w= 0", 11, "has 3 rows where its header says w= 0"),
        ("w= 3", "w= three", 11, "w: is not a number"),
        ("w= 3", "w=", 11, "w: is not a number"),
        ("alength= 4", "alength= 20", 11, "a protein motif"),
        ("alength= 4", "alength= 5", 11, "alength: 5 letters"),
        ("nsites= 158", "nsites= -1", 11, "nsites: is not a number"),
        ("nsites= 158", "nsites= nan", 11, "nsites: is not a number"),
        ("letter-probability matrix: alength= 4 w= 3", "matrix: w= 3", 10, "'MA0001.1' has no letter-probability"),
        ("MOTIF second", "second", 17, "without a MOTIF line"),
        ("MOTIF second", "MOTIF", 17, "without a MOTIF line"),
        ("MOTIF second", "MOTIF MA0001.1 again", 16, "'MA0001.1' is there twice"),
        ("MOTIF second", "MOTIF a\x07b", 16, "control character"),
        ("MOTIF second", "MOTIF " + 300 * "x", 16, "more than 255 bytes"),
        ("MOTIF second", "MOTIF  width = 3", 16, "no identifier"),
        ("ALPHABET= ACGT", "ALPHABET= ACDEFGHIKLMNPQRSTVWY", 3, "ALPHABET: is of proteins"),
        ("ALPHABET= ACGT", "ALPHABET= TGCA", 3, "ALPHABET: is 'TGCA'"),
        ("ALPHABET= ACGT", "ALPHABET=", 3, "ALPHABET: is ''"),
        ("ALPHABET= ACGT", 'ALPHABET "x"\nA\nC\nG\nT\nm "5mC"\nEND ALPHABET', 9, "ALPHABET: is 'ACGMT'"),
        ("ALPHABET= ACGT", 'ALPHABET "x"\nA\nC\nG\nT\n', 3, "no END ALPHABET"),
        ("MEME version 4", "version 4", 1, "is no motif file"),
    ],
)  # fmt: skip
def test_a_fault_in_meme_text_is_named(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in MINIMAL
    refused(tmp_path, MINIMAL.replace(old, new, 1), message, line)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        *[("94 75", f"94 {number}", 4, "count: is not a number") for number in NOT_A_NUMBER],
        ("94 75", "94 75 3", 4, "4 counts where the first row of 'MA0001.1' has 3"),
        ("G  [ 1  0  3 ]", "", 2, "has 3 of 4 rows"),
        ("G  [ 1  0  3 ]", "G [ 1 0 3", 7, "brackets"),
        ("G  [ 1  0  3 ]", "G  1 0 3 ]", 7, "brackets"),
        ("G  [ 1  0  3 ]", "G [ 1 [0] 3 ]", 7, "brackets"),
        ("G  [ 1  0  3 ]", "G [ ]", 7, "a row without counts"),
        ("G  [ 1  0  3 ]", "G", 7, "a row without counts"),
        ("G  [ 1  0  3 ]", "G1 0 3", 7, "count: is not a number"),
        ("G  [ 1  0  3 ]", "A  [ 1  0  3 ]", 2, "rows for 'ACAT'"),
        ("G  [ 1  0  3 ]", "1 0 3", 2, "rows for 'ACT'"),
        ("T  [ 2  3  1 ]", "T [2 3 1]\nG [1 0 3]", 9, "a '>' header belongs here"),
        ("A [0 1]", "A [0 1]\n0 1", 14, "a '>' header belongs here"),
        ("t [ 1 0.5 ]\nG [0 0]\nc [ 3 .5 ]\nA [0 1]", "t [1 0]\nG [0 0]\nc [3 0]\nA [0 0]", 9, "column 2 of motif 'second' has no counts"),
        (">second\tits", ">", 9, "'name' has 0 of 4 rows"),
        (">second\tits name  here", ">", 9, "no identifier"),
        (">second", ">MA0001.1", 9, "'MA0001.1' is there twice"),
        (">MA0001.1 AGL3", ">MA0001.1 A\x1bGL3", 2, "control character"),
        (">MA0001.1 AGL3", "MA0001.1 AGL3", 2, "is no motif file"),
        ("A  [ 0  3 79 ]", "ACGTTGACA", 3, "a FASTA file"),
    ],
)  # fmt: skip
def test_a_fault_in_jaspar_is_named(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in JASPAR
    text = JASPAR.replace(old, new, 1)
    if new == ">":
        text = text.replace("t [ 1", ">x\nt [ 1") if "'name'" in message else text
    refused(tmp_path, text, message, line)


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"", None, "empty"),
        (b" \r\n\n", None, "empty"),
        (gzip.compress(b"", mtime=0), None, "empty"),
        (b"# nothing\n", 1, "is no motif file"),
        (b"MEME version 4\n\nALPHABET= ACGT\n", None, "no motif in it"),
        (b">chr1 a genome\nACGTNNNN\nACGT\n", 2, "a FASTA file"),
        (b"chr1\t1\t2\nchr1\t3\t4\n", 1, "is no motif file"),
        (b"\n<!DOCTYPE html>\n<html>MEME version 5</html>", None, "HTML or XML"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", None, "HTML or XML"),
        (MINIMAL.encode("utf-16"), None, "binary or UTF-16"),
        (b"\x89HDF\r\n\x1a\n\0\0", None, "binary"),
        (bytes(range(256)) * 5, None, "binary"),
        (b"MEME version 4\nMOTIF \xff\nletter", 2, "not UTF-8"),
        (b">\xff x\n1\n1\n1\n1\n", 1, "not UTF-8"),
        (b">x\n1 \xff\n1\n1\n1\n", 2, "count: is not a number"),
    ],
)
def test_another_kind_of_file_is_refused(tmp_path: Path, data: bytes, line: int | None, message: str) -> None:
    refused(tmp_path, data, message, line)


def refused(tmp_path: Path, text: str | bytes, message: str, line: int | None) -> None:
    with pytest.raises(DilannotError, match=re.escape(message)) as error:
        read(tmp_path, text)
    check_error(error.value, tmp_path / "motifs")
    assert error.value.line == line, error.value


def check_error(error: DilannotError, path: Path) -> None:
    assert error.where == path
    assert error.exit_code == 1
    assert str(error).isprintable()
    assert len(str(error)) < 500


def test_every_error_has_a_place_that_exists(tmp_path: Path) -> None:
    with pytest.raises(DilannotError, match="file not found"):
        read_motifs(tmp_path / "none.meme")
    with pytest.raises(DilannotError, match="is a directory"):
        read_motifs(tmp_path)


def test_nothing_is_used_of_a_damaged_archive(tmp_path: Path) -> None:
    data = gzip.compress(JASPAR.encode(), mtime=0)
    for cut in range(1, len(data)):
        with pytest.raises(DilannotError):
            read(tmp_path, data[:cut])
    refused(tmp_path, data[:-9], "truncated gzip", None)
    refused(tmp_path, data[:-6] + bytes([data[-6] ^ 1]) + data[-5:], "corrupt gzip", None)
    refused(tmp_path, bgzip(JASPAR.encode())[:-28], "truncated bgzip", None)


@pytest.mark.parametrize(
    "data",
    [
        b">x\nA " + b" " * 1_000_000 + b"[[",
        b">x\n" + b"1" * 1_000_000 + b"x",
        b">x\n" + b"1." + b"1" * 1_000_000 + b"x\n",
        b">x\nA [" + b"1 " * 300_000,
        b">" + b"x" * 1_000_000,
        b"MEME version 4\nMOTIF x\nletter-probability matrix: " + b"w " * 300_000 + b" " * 300_000 + b"w",
        b"MEME version 4\nMOTIF x\nletter-probability matrix: " + b"w" * 1_000_000,
        b"MEME version 4\nMOTIF x" + b" width  " * 100_000,
        b'MEME version 4\nALPHABET "\n' + b'"\\' * 500_000,
        b"x\n" * 1_000_000,
    ],
)
def test_a_long_line_is_refused_quickly(tmp_path: Path, data: bytes) -> None:
    begin = time.monotonic()
    with pytest.raises(DilannotError):
        read(tmp_path, data)
    assert time.monotonic() - begin < 5  # quadratic time would be minutes


def test_a_genome_is_not_read_to_its_end(tmp_path: Path) -> None:
    refused(tmp_path, gzip.compress(b">chr1\n" + b"ACGTACG\n" * 5_000_000, 1), "larger than 32 MB", None)


# ---------------------------------------------------------------- properties

NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=12)
COUNTS = st.lists(
    st.lists(st.integers(0, 10**6), min_size=4, max_size=4).filter(any), min_size=1, max_size=12
).map(lambda rows: np.array(rows, float))  # fmt: skip
TABLES = st.lists(st.tuples(NAMES, NAMES, COUNTS), min_size=1, max_size=5, unique_by=lambda motif: motif[0])
Table = list[tuple[str, str, NDArray[np.float64]]]


def meme_text(motifs: Table) -> str:
    lines = ["MEME version 5", "", "ALPHABET= ACGT", ""]
    for identifier, name, counts in motifs:
        shares = counts / counts.sum(axis=1, keepdims=True)
        lines += [f"MOTIF {identifier} {name}", ""]
        lines += [
            f"letter-probability matrix: alength= 4 w= {len(counts)} nsites= {float(counts.sum()) / len(counts)!r} E= 0"
        ]
        lines += [" ".join(map(repr, row)) for row in shares.tolist()]
        lines += [""]
    return "\n".join(lines)


def jaspar_text(motifs: Table) -> str:
    lines = []
    for identifier, name, counts in motifs:
        lines += [f">{identifier}\t{name}"]
        lines += [f"{base} [ {' '.join(map(repr, row))} ]" for base, row in zip("ACGT", counts.T.tolist(), strict=True)]
    return "\n".join(lines) + "\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(motifs=TABLES, jaspar=st.booleans())
def test_what_is_written_is_read(tmp_path: Path, motifs: Table, jaspar: bool) -> None:
    found = read(tmp_path, (jaspar_text if jaspar else meme_text)(motifs))
    assert [(motif.identifier, motif.name) for motif in found] == [(identifier, name) for identifier, name, _ in motifs]
    for motif, (_, _, counts) in zip(found, motifs, strict=True):
        np.testing.assert_allclose(motif.probabilities, counts / counts.sum(axis=1, keepdims=True), atol=1e-12)
        assert motif.sites == pytest.approx(counts.sum(axis=1).mean())
        check_motif(motif)


@given(counts=COUNTS)
def test_reverse_complement_twice_is_the_motif(counts: NDArray[np.float64]) -> None:
    motif = Motif("m", "n", counts / counts.sum(axis=1, keepdims=True), 20.0)
    once = motif.reverse_complement()
    np.testing.assert_array_equal(once.reverse_complement().probabilities, motif.probabilities)
    np.testing.assert_array_equal(once.log_odds(), motif.log_odds()[::-1, ::-1])
    np.testing.assert_allclose(once.information(), motif.information()[::-1], atol=1e-12)


def check_motif(motif: Motif) -> None:
    """All that must hold of a motif whatever the file was."""
    assert motif.probabilities.shape == (motif.width, 4)
    assert motif.probabilities.dtype == np.float64
    assert motif.width > 0
    assert motif.probabilities.min() >= 0
    np.testing.assert_allclose(motif.probabilities.sum(axis=1), 1, atol=1e-12)
    assert 0 < motif.sites < np.inf
    assert motif.identifier.isprintable()
    assert motif.name.isprintable()
    assert motif.identifier
    assert motif.name
    assert np.isfinite(motif.log_odds()).all()
    assert motif.information().shape == (motif.width,)


@pytest.mark.parametrize("seed", [MINIMAL, FULL, JASPAR, RAW], ids=["minimal", "full", "jaspar", "raw"])
def test_a_mutated_file_is_read_well_or_refused(tmp_path: Path, seed: str) -> None:
    chance = random.Random(seed)
    outcomes = {"read": 0, "refused": 0}
    for number in range(MUTATIONS // 4):
        data = mutated(seed.encode(), chance)
        data = packed(data, chance) if number % 6 == 0 else data
        try:
            motifs = read(tmp_path, data)
        except DilannotError as error:
            check_error(error, tmp_path / "motifs")
            assert number % 6 == 0 or 1 <= (error.line or 1) <= data.count(b"\n") + 1  # noqa: PT017
            outcomes["refused"] += 1
            continue
        assert motifs
        assert len({motif.identifier for motif in motifs}) == len(motifs)
        for motif in motifs:
            check_motif(motif)
        outcomes["read"] += 1
    assert min(outcomes.values()) > MUTATIONS / 4 / 20, f"mutations are all of one kind: {outcomes}"


# ---------------------------------------------------------------- real files


def by_identifier(path: Path) -> dict[str, Motif]:
    """Read by `read_motifs` and held against the lines of the file."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode()
    motifs = read_motifs(path)
    told = re.findall(r"^MOTIF (\S+)\s(\S+)\s+letter-.* w= (\d+) nsites= (\d+) ", text, re.MULTILINE)
    assert len(told) == sum(line.startswith("MOTIF") for line in text.splitlines()) == len(motifs)
    assert [(m.identifier, m.name, m.width, m.sites) for m in motifs] == [
        (identifier, name, int(width), int(sites)) for identifier, name, width, sites in told
    ]
    for motif in motifs:
        check_motif(motif)
    return {motif.identifier: motif for motif in motifs}


@pytest.mark.skipif(not MOTIFS.exists(), reason="needs ../shared/data/motifs")
@pytest.mark.parametrize(
    ("name", "count", "widest"),
    [
        ("HOCOMOCOv9.meme.gz", 428, ("BRAC_si", 25)),
        ("JASPAR2024_CORE_Scerevisiae.meme", 169, ("MA0290.1", 19)),
        ("JASPAR2024_CORE_vertebrates.meme.gz", 879, ("MA1930.2", 33)),
    ],
)
def test_published_collections(name: str, count: int, widest: tuple[str, int]) -> None:
    motifs = by_identifier(MOTIFS / name)
    assert len(motifs) == count
    first = max(motifs.values(), key=lambda motif: motif.width)
    assert (first.identifier, first.width) == widest
    if "vertebrates" in name:
        (ctcf,) = [motif for motif in motifs.values() if motif.identifier.startswith("MA0139")]
        assert (ctcf.name, ctcf.width, ctcf.sites) == ("CTCF", 15, 913)


def test_motifs_of_the_example() -> None:
    motifs = by_identifier(EXAMPLES / "motifs.meme")
    assert len(motifs) == 20
    ctcf = motifs["MA0139.2"]
    assert (ctcf.name, ctcf.width) == ("CTCF", 15)
    assert "".join("ACGT"[base] for base in ctcf.probabilities.argmax(axis=1)) == "GCCACCAGGGGGCGC"


@pytest.mark.skipif(not MOTIFS.exists(), reason="needs ../shared/data/motifs")
def test_motifs_of_the_example_are_those_of_jaspar() -> None:
    every = gzip.decompress((MOTIFS / "JASPAR2024_CORE_vertebrates.meme.gz").read_bytes()).decode()
    header, *chosen = re.split(r"^(?=MOTIF )", (EXAMPLES / "motifs.meme").read_text(), flags=re.MULTILINE)
    assert every.startswith(header)
    assert all(motif in every for motif in chosen)
