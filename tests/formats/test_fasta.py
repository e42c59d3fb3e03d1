from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pysam
import pytest
from conftest import SHARED, random_sequence, write_fasta

from dilannot.errors import DilannotError
from dilannot.formats import indexed_fasta
from dilannot.formats.fasta import read_contigs
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.sequence import encode

CHR20 = SHARED / "data/hg19-chr20/chr20.fa.gz"
CONTIGS = {"chr1": random_sequence(1234, 1), "chr2": random_sequence(60, 2), "chr3": random_sequence(61, 3)}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "genome.fa", CONTIGS)


def packed(plain: Path, kind: str) -> Path:
    if kind == "plain":
        return plain
    path = plain.with_suffix(f".{kind}.gz")
    if kind == "bgzip":
        pysam.tabix_compress(str(plain), str(path))
    else:
        path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


@pytest.mark.parametrize("kind", ["plain", "bgzip", "gzip"])
def test_a_genome_reads_the_same_in_every_packing(plain: Path, kind: str) -> None:
    path = packed(plain, kind)
    found = {contig.name: (contig, codes) for contig, codes in read_contigs(path)}
    genome = Genome(path)
    assert genome.lengths == {name: len(sequence) for name, sequence in CONTIGS.items()}
    for name, sequence in CONTIGS.items():
        contig, codes = found[name]
        assert (codes == encode(sequence.encode())[0]).all()
        assert contig.md5 == hashlib.md5(sequence.upper().encode()).hexdigest()
        for start, end in ((0, len(sequence)), (0, 1), (len(sequence) - 1, len(sequence)), (59, 60), (7, 58)):
            assert (genome.fetch(name, start, end) == codes[start:end]).all()
    assert sorted(os.listdir(plain.parent)) == sorted({plain.name, path.name}), "something was left beside the input"


def test_a_foreign_index_is_not_believed(plain: Path) -> None:
    index = plain.with_name("genome.fa.fai")
    index.write_text("chr1\t500\t6\t60\t61\n")
    os.utime(index, (2e9, 2e9))
    assert Genome(plain).lengths["chr1"] == 1234


def test_a_changed_file_is_read_again(plain: Path) -> None:
    before = Genome(plain).contigs["chr1"].md5
    status = plain.stat()
    text = plain.read_bytes()
    at = text.index(b"\n") + 1
    plain.write_bytes(text[:at] + (b"C" if text[at] in b"Aa" else b"A") + text[at + 1 :])
    os.utime(plain, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert Genome(plain).contigs["chr1"].md5 != before


def test_records_longer_than_a_read_are_put_together(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [(contig, codes.tolist()) for contig, codes in read_contigs(plain)]
    for chunk in (1, 7, 61, 62, 100):
        monkeypatch.setattr("dilannot.formats.fasta._CHUNK", chunk)
        assert [(contig, codes.tolist()) for contig, codes in read_contigs(plain)] == expected


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "empty"),
        ("\n\n", None, "empty"),
        ("ACGT\n", 1, "does not start with '>'"),
        (">\nACGT\n", 1, "without a contig name"),
        (">a\n>b\nACGT\n", 1, "no bases"),
        (">a\nACGT\n>a\nACGT\n", 3, "duplicate contig name 'a'"),
        (">a\nACGT\nAC\nACGT\n", 3, "a line of 2"),
        (">a\nAC\nACGT\n>b\nAC\n", 3, "a line of 4"),
        (">a\nACGT\n\nACGT\n", 3, "a blank line"),
        (">a\nACGT\r\nACGT\nACGT\n", 3, "line ends are mixed"),
        (">a\r\nACGT\r\nACGTA\r\n>b\r\nAC\r\n", 3, "a line of 5 where the record's lines have 4"),
        (">a\nACGT\nA\rGT\nACGT\n", 3, "a stray carriage return"),
        ("\n>a\nACGT\n", 1, "does not start with '>'"),
        (">a\0\nACGT\n", 1, "a NUL character in the contig name"),
        (">a\nACGT\nACXT\n", 3, "'X'"),
        (">a\nACGU\n", 2, "RNA"),
        (">a\nAC GT\n", 2, "' '"),
    ],
)
def test_faults_are_named_with_their_line(tmp_path: Path, text: str, line: int | None, message: str) -> None:
    path = tmp_path / "bad.fa"
    path.write_bytes(text.encode())
    with pytest.raises(DilannotError, match=message) as error:
        list(read_contigs(path))
    assert error.value.line == line
    assert "bad.fa" in str(error.value)


@pytest.mark.parametrize("text", [">a\nACGT\nAC\n\n\n", ">a\r\nACGT\r\nAC\r\n", ">a\nACGT\nAC", ">a b c\nACGTAC\n"])
def test_harmless_oddities_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.fa"
    path.write_bytes(text.encode())
    [(contig, codes)] = read_contigs(path)
    assert (contig.name, codes.tolist()) == ("a", [1, 2, 3, 4, 1, 2])
    assert Genome(path).fetch("a", 1, 6).tolist() == [2, 3, 4, 1, 2]


@pytest.mark.parametrize("kind", ["bgzip", "gzip"])
def test_every_truncation_of_an_archive_is_refused(plain: Path, kind: str) -> None:
    path = packed(plain, kind)
    data = path.read_bytes()
    for length in range(20, len(data), 13):
        path.write_bytes(data[:length])
        with pytest.raises(DilannotError, match="truncated|corrupt"):
            list(read_contigs(path))


@pytest.mark.skipif(not CHR20.exists(), reason=f"needs {CHR20}")
def test_chr20_is_the_public_one() -> None:
    [(contig, codes)] = read_contigs(CHR20)
    assert (contig.name, contig.length, contig.md5) == ("chr20", 63025520, "0dec9660ec1efaaf33281c0d5ea2560f")
    assert np.bincount(codes).tolist() == [3520000, 16523053, 13107828, 13149412, 16725227]


@pytest.mark.parametrize("name", ["plain.fa.gz", "plain.fa.zip"])
def test_compression_is_judged_by_content(plain: Path, name: str) -> None:
    path = plain.rename(plain.with_name(name))
    assert (Genome(path).fetch("chr2", 3, 9) == encode(CONTIGS["chr2"].encode())[0][3:9]).all()


def test_a_gzip_genome_is_read_once_when_contigs_come_in_order(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genome = Genome(packed(plain, "gzip"))
    passes = 0
    read = indexed_fasta.read_contigs

    def counted(path: Path, **options: bool) -> object:
        nonlocal passes
        passes += 1
        return read(path)

    monkeypatch.setattr(indexed_fasta, "read_contigs", counted)
    for name in ("chr1", "chr2", "chr2", "chr3"):
        genome.fetch(name, 0, 10)
    assert passes == 1
    assert (genome.fetch("chr1", 5, 9) == encode(CONTIGS["chr1"].encode())[0][5:9]).all()
    assert passes == 2


def test_what_samtools_cannot_index_is_explained(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.fa"
    path.write_bytes(b">a\nAC\nGT\r\n")
    assert Genome(path).fetch("a", 2, 4).tolist() == [3, 4]
    with pytest.raises(DilannotError, match=r"odd\.bgzip\.gz: samtools cannot index it"):
        Genome(packed(path, "bgzip"))
    assert capfd.readouterr().err == ""


def test_an_index_that_can_be_kept_nowhere_is_explained(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(indexed_fasta.tempfile, "mkdtemp", full)
    with pytest.raises(DilannotError, match="DILANNOT_CACHE") as error:
        Genome(plain)
    assert error.value.exit_code == 3
