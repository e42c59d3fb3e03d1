"""What is read from bigWig files is what pyBigWig and pybigtools wrote, and damaged ones are refused by name."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pybigtools
import pyBigWig
import pytest
from conftest import SHARED
from isal import isal_zlib

from dilannot.errors import DilannotError
from dilannot.formats.bigwig_index import PLACE
from dilannot.formats.bigwig_reader import BigWig
from dilannot.formats.bigwig_runs import write_bigwig

LENGTHS = {"chr2": 5_000, "chr10": 90_000, "chr1": 7}


def dense(path: Path, contig: str, start: int = 0, end: int | None = None) -> np.ndarray:
    """(end - start,) values, NaN where there is none."""
    with BigWig(path) as file:
        end = file.lengths[contig] if end is None else end
        values = np.full(end - start, np.nan, np.float32)
        for begin, stop, value in file.runs(contig, start, end):
            for first, last, each in zip(begin, stop, value, strict=True):
                assert start <= first < last <= end
                assert np.isnan(values[first - start : last - start]).all(), "runs are disjoint"
                values[first - start : last - start] = each
    return values


def random_runs(length: int, seed: int, mean: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, ends and values of disjoint runs, with gaps and without between them."""
    random = np.random.default_rng(seed)
    edges = np.unique(random.integers(0, length + 1, length // mean))
    keep = random.random(len(edges) - 1) < 0.8
    return edges[:-1][keep], edges[1:][keep], random.normal(0, 100, keep.sum()).astype(np.float32).astype(float)


def write_all_kinds(path: Path) -> Path:
    """By pyBigWig: bedGraph, variable and fixed steps, in more sections than one node of the index holds."""
    starts, ends, values = random_runs(80_000, 1)
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(LENGTHS.items()), maxZooms=2)
        file.addEntries("chr2", [3, 10, 40], values=[1.5, -2.0, 3.25], span=5)
        file.addEntries("chr2", 1_000, values=np.linspace(0, 1, 1_500), span=2, step=2)
        file.addEntries(["chr10"] * len(starts), starts, ends=ends, values=values)
        file.addEntries("chr10", 85_000, values=[7.0, 8.0], span=3, step=100)
    return path


def test_every_kind_of_section_reads_as_pybigwig_reads_it(tmp_path: Path) -> None:
    path = write_all_kinds(tmp_path / "a.bw")
    with pyBigWig.open(str(path)) as file, BigWig(path) as ours:
        assert ours.lengths == file.chroms() == LENGTHS
        assert set(ours.contigs_with_values()) == {"chr2", "chr10"}
        for contig, length in LENGTHS.items():
            expected = file.values(contig, 0, length, numpy=True)
            np.testing.assert_array_equal(dense(path, contig), expected)
            for start, end in ((0, 1), (3, 8), (1_001, 1_003), (4_321, 79_999), (length - 1, length)):
                if end <= length:
                    np.testing.assert_array_equal(dense(path, contig, start, end), expected[start:end])


@pytest.mark.parametrize("compressed", [True, False])
def test_what_pybigtools_writes_is_read(tmp_path: Path, compressed: bool) -> None:
    starts, ends, values = random_runs(90_000, 2, mean=4)
    rows = [("chr10", int(a), int(b), float(v)) for a, b, v in zip(starts, ends, values, strict=True)]
    writer = pybigtools.open(str(tmp_path / "a.bw"), "w")
    writer.write(LENGTHS, rows)
    writer.close()
    path = tmp_path / "a.bw"
    if not compressed:
        path = uncompressed(path)
    found = dense(path, "chr10")
    expected = np.full(90_000, np.nan, np.float32)
    for _, start, end, value in rows:
        expected[start:end] = value
    np.testing.assert_array_equal(found, expected)
    with BigWig(path) as file:
        assert file.range == (values.min(), values.max())


def uncompressed(path: Path) -> Path:
    """The same file without compression: its sections unpacked behind its end, and its index led there."""
    data = bytearray(path.read_bytes())
    index = struct.unpack_from("<Q", data, 24)[0] + 48
    nodes = [index]
    while nodes:
        at = nodes.pop()
        leaf, _, count = struct.unpack_from("<BBH", data, at)
        for i in range(count):
            if not leaf:
                nodes.append(struct.unpack_from("<Q", data, at + 4 + 24 * i + 16)[0])
                continue
            place = at + 4 + PLACE.itemsize * i + 16
            offset, size = struct.unpack_from("<QQ", data, place)
            section = isal_zlib.decompress(bytes(data[offset : offset + size]))
            struct.pack_into("<QQ", data, place, len(data), len(section))
            data += section
    struct.pack_into("<I", data, 52, 0)
    other = path.with_suffix(".plain.bw")
    other.write_bytes(data)
    return other


def test_what_we_write_is_read(tmp_path: Path) -> None:
    starts, ends, values = random_runs(90_000, 3)
    write_bigwig(tmp_path / "a.bw", LENGTHS, [("chr10", starts, ends, values)])
    with BigWig(tmp_path / "a.bw") as file:
        assert list(file.lengths) == list(LENGTHS)
        assert file.range == (values.min(), values.max())
        assert file.contigs_with_values() == ["chr10"]
        found = [np.concatenate(column) for column in zip(*file.runs("chr10", 0, 90_000), strict=True)]
        for column, expected in zip(found, (starts, ends, values), strict=True):
            np.testing.assert_array_equal(column, expected)


def test_nothing_and_no_numbers_are_told_as_they_are(tmp_path: Path) -> None:
    write_bigwig(tmp_path / "empty.bw", LENGTHS, [])
    with BigWig(tmp_path / "empty.bw") as file:
        assert (file.range, file.contigs_with_values(), list(file.runs("chr2", 0, 5_000))) == (None, [], [])
    with pyBigWig.open(str(tmp_path / "odd.bw"), "w") as file:
        file.addHeader([("c", 9)])
        file.addEntries("c", 0, values=[1.0, np.nan, np.inf, -np.inf], span=1, step=1)
    np.testing.assert_array_equal(dense(tmp_path / "odd.bw", "c", 0, 4), [1, np.nan, np.inf, -np.inf])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty or unfinished"),
        (bytes(500), "empty or unfinished"),
        (b"chr1\t1\t2\n", "no bigWig file"),
        (b"\x1f\x8b\x08\0", "a gzip file, not bigWig; convert it"),
        (b"\xeb\xf2\x89\x87", "a bigBed file, not bigWig"),
        (b"\x88\x8f\xfc\x26", "big-endian"),
        (b"\x26\xfc\x8f\x88", "truncated"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "a.bw").write_bytes(content)
    with pytest.raises(DilannotError, match=what) as error:
        BigWig(tmp_path / "a.bw")
    assert str(error.value).startswith(str(tmp_path / "a.bw"))
    with pytest.raises(DilannotError, match="is a directory"):
        BigWig(tmp_path)


def small(path: Path) -> Path:
    starts, ends, values = random_runs(6_000, 4, mean=20)
    write_bigwig(path, {"chr1": 6_000, "chr2": 50}, [("chr1", starts, ends, values)])
    return path


def test_a_file_cut_anywhere_is_refused_or_read_whole(tmp_path: Path) -> None:
    """What a cut leaves may be all values: zooms lie behind them. Nothing ever is less than all."""
    data = small(tmp_path / "a.bw").read_bytes()
    expected, refused = dense(tmp_path / "a.bw", "chr1"), 0
    named, cut = 0, tmp_path / "cut.bw"
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        try:
            found = dense(cut, "chr1")
        except DilannotError as error:
            named += str(cut) in str(error)
            refused += 1
        else:
            np.testing.assert_array_equal(found, expected)
    assert refused == named > len(data) // 2


def test_flipped_bits_end_in_an_error_or_in_values(tmp_path: Path) -> None:
    """Compressed sections have a checksum, so that no other values are read."""
    data = small(tmp_path / "a.bw").read_bytes()
    expected, random, other = dense(tmp_path / "a.bw", "chr1"), np.random.default_rng(0), 0
    for place in random.integers(0, len(data) * 8, 600).tolist():
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        (tmp_path / "b.bw").write_bytes(flipped)
        try:
            found = dense(tmp_path / "b.bw", "chr1")
        except (DilannotError, KeyError):  # KeyError: here the contig is asked for by a name it has no more
            continue
        there = ~np.isnan(found)
        same = min(len(found), len(expected))
        assert not there[same:].any()
        np.testing.assert_array_equal(found[:same][there[:same]], expected[:same][there[:same]])
        other += not np.array_equal(there[:same], ~np.isnan(expected[:same]))
    assert other <= 6, "an index that lost its way is not noticed always, but hardly ever"


def test_overlapping_runs_are_refused(tmp_path: Path) -> None:
    path = uncompressed(small(tmp_path / "a.bw"))
    data = bytearray(path.read_bytes())
    at = struct.unpack_from("<Q", data, struct.unpack_from("<Q", data, 24)[0] + 48 + 4 + 16)[0]
    first = struct.unpack_from("<I", data, at + 24)[0]
    struct.pack_into("<I", data, at + 36, first)
    path.write_bytes(data)
    with pytest.raises(DilannotError, match="overlap"):
        dense(path, "chr1")


def test_an_index_that_leads_in_a_circle_ends(tmp_path: Path) -> None:
    path = write_all_kinds(tmp_path / "a.bw")
    data = bytearray(path.read_bytes())
    root = struct.unpack_from("<Q", data, 24)[0] + 48
    data[root] = 0  # no leaf
    struct.pack_into("<IIIIQ", data, root + 4, 0, 0, 1 << 31, 1 << 31, root)
    path.write_bytes(data)
    with pytest.raises(DilannotError, match="circle|truncated"):
        dense(path, "chr10")


def test_files_are_closed(tmp_path: Path) -> None:
    (tmp_path / "bad.bw").write_bytes(small(tmp_path / "a.bw").read_bytes()[:100])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        dense(tmp_path / "a.bw", "chr1")
        with pytest.raises(DilannotError):
            BigWig(tmp_path / "bad.bw")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(not SHARED.exists(), reason="no shared data")
def test_real_files(tmp_path: Path) -> None:
    folder = SHARED / "data/signal"
    path = next(folder.glob("*Rad21*.bw"))
    with pyBigWig.open(str(path)) as file:
        expected = file.values("chr21", 9_000_000, 12_000_000, numpy=True)
    np.testing.assert_array_equal(dense(path, "chr21", 9_000_000, 12_000_000), expected)
    with pytest.raises(DilannotError, match="bigBed"):
        BigWig(folder / "really_a_bigBed.bigWig")
