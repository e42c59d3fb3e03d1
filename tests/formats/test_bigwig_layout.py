"""The bytes of our bigWig files, read by a parser that shares nothing with the writer."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pybigtools
import pyBigWig
import pytest

from dilannot.formats import bigwig_sections
from dilannot.formats.bigwig_runs import write_bigwig

Run = tuple[int, int, int, float]  # contig, start, end, value


@dataclass
class Level:
    reduction: int
    records: list[tuple[Any, ...]]
    sections: list[tuple[int, ...]]


@dataclass
class Parsed:
    contigs: dict[str, tuple[int, int]]
    names: list[str]  # in the tree's order
    summary: tuple[Any, ...]
    runs: list[Run]
    sections: list[tuple[int, ...]]
    levels: list[Level] = field(default_factory=list)


def contigs(data: bytes, at: int) -> Iterator[tuple[str, int, int]]:
    magic, _children, key, value, _count, _ = struct.unpack_from("<IIIIQQ", data, at)
    assert (magic, value) == (0x78CA8C91, 8)

    def node(at: int) -> Iterator[tuple[str, int, int]]:
        leaf, _, count = struct.unpack_from("<BBH", data, at)
        for place in range(at + 4, at + 4 + count * (key + 8), key + 8):
            if leaf:
                name, number, length = struct.unpack_from(f"<{key}sII", data, place)
                yield name.rstrip(b"\0").decode(), number, length
            else:
                yield from node(struct.unpack_from(f"<{key}sQ", data, place)[1])

    return node(at + 32)


def sections(data: bytes, at: int) -> list[tuple[int, ...]]:
    """(contig, start, contig, end, offset, size), checked against what the nodes above say."""
    magic, children, count, *bounds, end, _items, _ = struct.unpack_from("<IIQIIIIQII", data, at)
    assert (magic, children, end) == (0x2468ACE0, 256, at)

    def node(at: int, low: tuple[int, int], high: tuple[int, int]) -> Iterator[tuple[int, ...]]:
        leaf, _, count = struct.unpack_from("<BBH", data, at)
        assert count <= children
        for child in range(count):
            first, start, last, stop, place = struct.unpack_from("<IIIIQ", data, at + 4 + child * (32 if leaf else 24))
            assert low <= (first, start) < (last, stop) <= high
            if leaf:
                yield first, start, last, stop, place, *struct.unpack_from("<Q", data, at + 28 + child * 32)
            else:
                yield from node(place, (first, start), (last, stop))

    found = list(node(at + 48, tuple(bounds[:2]), tuple(bounds[2:])))
    assert len(found) == count
    assert all(one[2] < two[0] or (one[2] == two[0] and one[3] <= two[1]) for one, two in pairwise(found))
    # One behind the other, up to the tree.
    ends = [place + size for *_, place, size in found]
    assert [place for *_, place, _ in found[1:]] + [at] == ends or not found
    return found


def runs_of(raw: bytes, section: tuple[int, ...]) -> list[Run]:
    contig, start, end, step, span, kind, _, count = struct.unpack_from("<IIIIIBBH", raw)
    assert (contig, start, contig, end) == section[:4]
    assert (step, span, kind, len(raw)) == (0, 0, 1, 24 + 12 * count)
    runs = [(contig, *item) for item in struct.iter_unpack("<IIf", raw[24:])]
    assert (runs[0][1], runs[-1][2]) == (start, end)
    return runs


def parse(path: Path) -> Parsed:
    data = path.read_bytes()
    magic, version, zooms, tree, values, index, fields, defined, sql, summary, largest, extension = struct.unpack_from(
        "<IHHQQQHHQQIQ", data
    )
    assert (magic, version, fields, defined, sql, extension) == (0x888FFC26, 4, 0, 0, 0, 0)
    assert data[-4:] == data[:4]
    found = list(contigs(data, tree))
    made = Parsed({name: (number, length) for name, number, length in found}, [name for name, *_ in found], (), [], [])
    made.summary = struct.unpack_from("<Qdddd", data, summary)
    made.sections = sections(data, index)
    assert struct.unpack_from("<Q", data, values) == (len(made.sections),)
    assert not made.sections or made.sections[0][4] == values + 8
    raw = [zlib.decompress(data[place : place + size]) for *_, place, size in made.sections]
    for one, section in zip(raw, made.sections, strict=True):
        made.runs += runs_of(one, section)
    for zoom in range(zooms):
        reduction, _, place, tree = struct.unpack_from("<IIQQ", data, 64 + 24 * zoom)
        level = Level(reduction, [], sections(data, tree))
        parts = [zlib.decompress(data[at : at + size]) for *_, at, size in level.sections]
        for part, section in zip(parts, level.sections, strict=True):
            records = list(struct.iter_unpack("<IIIIffff", part))
            assert (records[0][0], records[0][1], records[-1][0], records[-1][2]) == section[:4]
            level.records += records
        assert struct.unpack_from("<I", data, place) == (len(level.records),)
        made.levels.append(level)
        raw += parts
    assert max(map(len, raw), default=0) == largest
    assert all(one.reduction < two.reduction for one, two in pairwise(made.levels))
    return made


def test_every_field_of_a_small_file(tmp_path: Path) -> None:
    lengths = {"chr2": 9_000, "chr10": 1_200, "chr1": 300}
    start, end, value = np.array([0, 990, 1_500, 8_999]), np.array([4, 1_010, 1_501, 9_000]), np.array([0.5, 1, 2, 4])
    write_bigwig(tmp_path / "a.bw", lengths, [("chr2", start, end, value), ("chr1", start[:1], end[:1], value[:1])])
    found = parse(tmp_path / "a.bw")
    assert found.contigs == {"chr2": (0, 9_000), "chr10": (1, 1_200), "chr1": (2, 300)}
    assert found.names == ["chr1", "chr10", "chr2"]
    assert found.runs == [
        *((0, *row) for row in zip(start.tolist(), end.tolist(), value.tolist(), strict=True)),
        (2, 0, 4, 0.5),
    ]
    assert found.summary == (30, 0.5, 4.0, 2 + 20 + 2 + 4 + 2, 1 + 20 + 4 + 16 + 1)
    assert [level.reduction for level in found.levels] == [1_000, 25_000]  # 5,000 would have three records
    assert found.levels[0].records == [
        (0, 0, 1_000, 14, 0.5, 1.0, 12.0, 11.0),
        (0, 1_000, 1_501, 11, 1.0, 2.0, 12.0, 14.0),
        (0, 8_999, 9_000, 1, 4.0, 4.0, 4.0, 16.0),
        (2, 0, 4, 4, 0.5, 0.5, 2.0, 1.0),
    ]
    assert found.levels[1].records == [
        (0, 0, 9_000, 26, 0.5, 4.0, 28.0, 41.0),
        (2, 0, 4, 4, 0.5, 0.5, 2.0, 1.0),
    ]


@pytest.mark.parametrize("count", [255, 256, 257, 65_536, 65_537])
def test_trees_of_many_sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(bigwig_sections, "ITEMS", 1)
    start = np.arange(count) * 1_000
    runs = [("b", start, start + 7, start % 97 / 8.0), ("a", start[:3], start[:3] + 1, start[:3] + 1.0)]
    lengths = {"b": int(start[-1]) + 7, "a": 5_000}
    write_bigwig(tmp_path / "a.bw", lengths, runs)
    found = parse(tmp_path / "a.bw")
    assert len(found.sections) == len(found.levels[0].sections) == count + 3
    wanted = [(at, at + 7, at % 97 / 8) for at in start.tolist()]
    with pyBigWig.open(str(tmp_path / "a.bw")) as file:
        assert file.intervals("b") == tuple(wanted)
        assert file.intervals("a") == ((0, 1, 1.0), (1_000, 1_001, 1_001.0), (2_000, 2_001, 2_001.0))
        for at in (0, count // 2, count - 1):
            assert file.intervals("b", int(start[at]), int(start[at]) + 3) == (wanted[at],)
    assert list(pybigtools.open(str(tmp_path / "a.bw")).records("b")) == wanted


def test_levels_that_hardly_shorten_are_left_out(tmp_path: Path) -> None:
    start = np.arange(400) * 30_000  # alone in their 25,000 nt, but for a few
    write_bigwig(tmp_path / "a.bw", {"c": 12_000_000}, [("c", start, start + 1, np.ones(400))])
    levels = [level.reduction for level in parse(tmp_path / "a.bw").levels]
    assert levels == [1_000, 125_000, 625_000, 3_125_000, 15_625_000]


def test_contigs_in_a_tree_of_several_levels(tmp_path: Path) -> None:
    lengths = {f"c{number}": 10 for number in range(66_000)}
    write_bigwig(tmp_path / "a.bw", lengths, [("c65999", np.array([9]), np.array([10]), np.ones(1))])
    found = parse(tmp_path / "a.bw")
    assert found.names == sorted(lengths)
    assert found.contigs == {name: (number, 10) for number, name in enumerate(lengths)}
    assert found.runs == [(65_999, 9, 10, 1.0)]
    assert list(pybigtools.open(str(tmp_path / "a.bw")).records("c65999")) == [(9, 10, 1.0)]
