from __future__ import annotations

import gzip
import os
import signal
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pybigtools
import pyBigWig
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dilannot.errors import ENVIRONMENT, USAGE, DilannotError
from dilannot.formats import bigbed
from dilannot.formats.bed import read_intervals
from dilannot.formats.bgzip import index_bed, index_suffix
from dilannot.formats.bigbed import check_can_write, write_bigbed
from dilannot.formats.calls import CALL, COLUMNS, HEADER, Calls, Part, merged, write_calls, write_combined

LENGTHS = {"chr2": 100_000, "chr10": 90_000, "odd%s|name": 80_000, "none": 10}
NAMES = ["K562|CTCF|None", "100% sure", "dritte β"]
THRESHOLDS = [0.5, 0.123456789, 1e-6]


def made(*rows: tuple[int, int, float, int]) -> Calls:
    return np.array(list(rows), CALL)


def some_calls(count: int, seed: int, *, gap: int = 200) -> Calls:
    random = np.random.default_rng(seed)
    edges = np.cumsum(random.integers(1, gap, 2 * count))
    calls = np.empty(count, CALL)
    calls["start"], calls["end"] = edges[::2], edges[1::2]
    calls["max"] = random.random(count, np.float32)
    calls["summit"] = random.integers(calls["start"], calls["end"])
    return calls


def rows_of(path: Path) -> list[list[str]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    header, *lines = text.split("\n")
    assert header + "\n" == HEADER
    assert lines.pop() == ""
    return [line.split("\t") for line in lines]


def test_rows_are_what_genomics_tools_expect(tmp_path: Path) -> None:
    chr2 = made((10, 90, 0.75, 30), (200, 201, 1, 200))
    contigs = [("chr2", chr2), ("chr10", made()), ("odd%s|name", made((0, 80_000, 0.0004, 79_999)))]
    assert write_calls(tmp_path / "a", contigs, name="100%_CTCF", threshold=0.123456789, lengths=LENGTHS) == 3
    assert (tmp_path / "a").read_text() == (
        "#contig\tstart\tend\tname\tscore\tstrand\tmax\tthreshold\tsummit\n"
        "chr2\t10\t90\t100%_CTCF_1\t750\t.\t0.75\t0.12346\t20\n"
        "chr2\t200\t201\t100%_CTCF_2\t1000\t.\t1\t0.12346\t0\n"
        "odd%s|name\t0\t80000\t100%_CTCF_3\t0\t.\t0.0004\t0.12346\t79999\n"
    )


@settings(deadline=None)
@given(count=st.integers(0, 40), seed=st.integers(0, 2**32 - 1), bgzip=st.booleans())
def test_what_is_written_reads_back(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int, bgzip: bool
) -> None:
    path = tmp_path_factory.mktemp("calls") / "x.tmp"
    calls = some_calls(count, seed)
    write_calls(path, [("chr2", calls), ("chr10", calls)], name="A", threshold=0.5, lengths=LENGTHS, bgzip=bgzip)
    rows = rows_of(path)
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert [row[3] for row in rows] == [f"A_{i}" for i in range(1, 2 * count + 1)]
    for row, call in zip(rows, [*calls, *calls], strict=True):
        assert (int(row[1]), int(row[2]), int(row[1]) + int(row[8])) == (call["start"], call["end"], call["summit"])
        assert float(row[6]) == pytest.approx(float(call["max"]), rel=6e-5)
        assert int(row[4]) == round(1000 * float(call["max"]))
    if count:
        found = read_intervals(path)
        assert [found.contigs[i] for i in found.contig] == ["chr2"] * count + ["chr10"] * count
        assert found.end.tolist() == [*calls["end"], *calls["end"]]


def test_many_rows_are_numbered_through(tmp_path: Path) -> None:
    calls = some_calls(70_000, 1, gap=3)
    lengths = {"chr1": 1_000_000}
    for bgzip in (False, True):
        write_calls(tmp_path / "a", [("chr1", calls)], name="A", threshold=0.5, lengths=lengths, bgzip=bgzip)
        rows = rows_of(tmp_path / "a")
        assert [int(row[1]) for row in rows] == calls["start"].tolist()
        assert [row[3] for row in rows[65_534:65_538]] == ["A_65535", "A_65536", "A_65537", "A_65538"]


@pytest.mark.parametrize(
    "calls",
    [
        made((10, 10, 0.5, 10)),
        made((10, 100_001, 0.5, 10)),
        made((10, 20, 0.5, 20)),
        made((10, 20, 0.5, 9)),
        made((10, 20, np.nan, 10)),
        made((10, 20, 1.1, 10)),
        made((30, 40, 0.5, 30), (10, 20, 0.5, 10)),
    ],
)
def test_no_file_holds_what_no_reader_survives(tmp_path: Path, calls: Calls) -> None:
    with pytest.raises(ValueError, match="calls on chr2"):
        write_calls(tmp_path / "a", [("chr2", calls)], name="A", threshold=0.5, lengths=LENGTHS)
    if len(calls) == 1:
        with pytest.raises(ValueError, match="calls on chr2"):
            write_combined(tmp_path / "a", [("chr2", [[calls]])], names=["A"], thresholds=[0.5], lengths=LENGTHS)


@pytest.mark.parametrize(("length", "suffix"), [(1 << 29, ".tbi"), ((1 << 29) + 1, ".csi")])
def test_tabix_finds_what_lies_in_a_region(tmp_path: Path, length: int, suffix: str) -> None:
    lengths = {"chr2": length, "chr10": 100_000, "empty": 5}
    assert index_suffix(lengths) == suffix
    path, index = tmp_path / "A.bed.gz.tmp", tmp_path / f"A.bed.gz{suffix}.tmp"
    last = made((length - 5, length, 0.5, length - 2))
    contigs = [("chr2", np.concatenate((some_calls(5000, 1), last))), ("chr10", some_calls(300, 2)), ("empty", made())]
    write_calls(path, contigs, name="A", threshold=0.5, lengths=lengths, bgzip=True)
    index_bed(path, index, lengths)
    with pysam.TabixFile(str(path), index=str(index)) as file:
        assert file.contigs == ["chr2", "chr10"]
        assert file.header == [HEADER.rstrip()]
        for contig, start, end in [
            ("chr2", 0, 100),
            ("chr2", 5000, 90_000),
            ("chr2", length - 1, length),
            ("chr10", 77, 7777),
        ]:
            expected = [row for row in rows_of(path) if row[0] == contig and int(row[1]) < end and int(row[2]) > start]
            assert expected
            assert [line.split("\t") for line in file.fetch(contig, start, end)] == expected


def test_no_calls_are_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "a.tmp"
    assert write_calls(path, [], name="A", threshold=0.5, lengths=LENGTHS, bgzip=True) == 0
    index_bed(path, tmp_path / "a.tbi", LENGTHS)
    with pysam.TabixFile(str(path), index=str(tmp_path / "a.tbi")) as file:
        assert list(file.fetch()) == []


def test_an_index_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.tmp"
    write_calls(path, [("chr2", some_calls(9, 1))], name="A", threshold=0.5, lengths=LENGTHS, bgzip=True)
    with pytest.raises(DilannotError, match="cannot write the index") as error:
        index_bed(path, tmp_path / "missing" / "a.tbi", LENGTHS)
    assert error.value.exit_code == ENVIRONMENT


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(0, 12), max_size=5),
    seed=st.integers(0, 2**32 - 1),
    cut=st.integers(1, 7),
    at_once=st.integers(1, 30),
)
def test_merging_equals_sorting_everything(counts: list[int], seed: int, cut: int, at_once: int) -> None:
    # Short gaps, so that markers often share starts and ends.
    markers = [some_calls(count, seed + i, gap=4) for i, count in enumerate(counts)]
    everything = sorted((call["start"], call["end"], i) for i, calls in enumerate(markers) for call in calls)
    sources = [[calls[i : i + cut] for i in range(0, len(calls) + 1, cut)] for calls in markers]
    found = list(merged(sources, at_once))
    rows = [(call["start"], call["end"], i) for which, calls in found for i, call in zip(which, calls, strict=True)]
    assert rows == everything
    assert max((len(calls) for _, calls in found), default=0) <= max(at_once, len(counts))


def combined(path: Path, *, bgzip: bool = False) -> dict[str, Part]:
    contigs = [
        (name, [[some_calls(150, 10 * i + j)] for j in range(3)]) for i, name in enumerate(LENGTHS) if name != "none"
    ]
    none: list[tuple[str, list[list[Calls]]]] = [("none", [[], [], []])]
    return write_combined(path, contigs + none, names=NAMES, thresholds=THRESHOLDS, lengths=LENGTHS, bgzip=bgzip)


@pytest.mark.parametrize("bgzip", [False, True])
def test_all_markers_go_into_one_sorted_file(tmp_path: Path, bgzip: bool) -> None:
    parts = combined(tmp_path / "all.tmp", bgzip=bgzip)
    rows = rows_of(tmp_path / "all.tmp")
    order = list(LENGTHS)
    keys = [(order.index(row[0]), int(row[1]), int(row[2]), NAMES.index(row[3])) for row in rows]
    assert keys == sorted(keys)
    assert len(rows) == 3 * 3 * 150
    assert {name: part.rows for name, part in parts.items()} == dict.fromkeys(order[:3], 450)
    assert {(row[3], row[7]) for row in rows} == set(zip(NAMES, ["0.5", "0.12346", "1e-06"], strict=True))
    one = tmp_path / "one"
    write_calls(one, [("chr10", some_calls(150, 12))], name="x", threshold=1e-6, lengths=LENGTHS)
    mine = [row for row in rows if row[0] == "chr10" and row[3] == NAMES[2]]
    assert [row[:3] + row[4:] for row in mine] == [row[:3] + row[4:] for row in rows_of(one)]


@pytest.mark.parametrize("bgzip", [False, True])
def test_a_bigbed_holds_the_same_rows(tmp_path: Path, bgzip: bool) -> None:
    parts = combined(tmp_path / "all.tmp", bgzip=bgzip)
    path = tmp_path / "all.bb.tmp"
    assert write_bigbed(path, tmp_path / "all.tmp", parts, LENGTHS) == 1350
    assert sorted(os.listdir(tmp_path)) == ["all.bb.tmp", "all.tmp"]
    rows = rows_of(tmp_path / "all.tmp")
    file = pyBigWig.open(str(path))
    assert file.isBigBed()
    assert list(file.chroms()) == ["chr10", "chr2", "odd%s|name"]  # by name, which UCSC's tree of contigs needs
    for contig, length in file.chroms().items():
        assert length == LENGTHS[contig]
        found = [
            [contig, str(start), str(end), *rest.split("\t")] for start, end, rest in file.entries(contig, 0, length)
        ]
        assert found == [row for row in rows if row[0] == contig]
    some = file.entries("chr2", 5000, 6000)
    assert [list(map(str, row[:2])) for row in some] == [
        row[1:3] for row in rows if row[0] == "chr2" and int(row[1]) < 6000 and int(row[2]) > 5000
    ]
    assert b"threshold" in file.SQL()
    file.close()
    assert struct.unpack_from("<HH", path.read_bytes(), 32) == (9, 6)  # columns, and those of them that are BED's own


def test_there_is_no_bigbed_of_nothing(tmp_path: Path) -> None:
    parts = write_combined(tmp_path / "all", [], names=[], thresholds=[], lengths=LENGTHS)
    assert write_bigbed(tmp_path / "all.bb", tmp_path / "all", parts, LENGTHS) == 0
    assert os.listdir(tmp_path) == ["all"]


def test_without_pybigtools_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_can_write()
    monkeypatch.setitem(sys.modules, "pybigtools", None)
    with pytest.raises(DilannotError, match=r"pip install 'dilannot\[fast\]'") as error:
        check_can_write()
    assert error.value.exit_code == USAGE


class PanicException(BaseException):
    """As Rust's looks from here."""


@pytest.mark.parametrize("fault", ["nothing", "cut", "shorter", "panic"])
def test_what_pybigtools_swallows_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """It prints errors and returns."""

    def opened(path: str, mode: str = "r") -> object:
        if mode == "r":
            return pybigtools.open(path)

        def write(lengths: dict[str, int], rows: object, autosql: str) -> None:
            if fault == "panic":
                raise PanicException("No space left on device")
            given = list(rows)  # type: ignore[call-overload]
            pybigtools.open(path, "w").write(lengths, given[: -1 if fault == "shorter" else None], autosql)
            size = {"nothing": 0, "cut": os.path.getsize(path) // 2}.get(fault)
            if size is not None:
                os.truncate(path, size)

        return SimpleNamespace(write=write)

    parts = combined(tmp_path / "all.tmp")
    library = SimpleNamespace(open=opened, BBIReadError=pybigtools.BBIReadError)
    monkeypatch.setattr(bigbed, "_library", lambda: library)
    with pytest.raises(DilannotError) as error:
        write_bigbed(tmp_path / "all.bb", tmp_path / "all.tmp", parts, LENGTHS)
    assert error.value.exit_code == ENVIRONMENT
    assert os.listdir(tmp_path) == ["all.tmp"]


def test_a_signal_while_pybigtools_asks_for_rows_is_not_lost(tmp_path: Path) -> None:
    parts = combined(tmp_path / "all.tmp")

    rows = bigbed._rows

    def interrupted(*arguments: object):  # type: ignore[no-untyped-def]
        for number, row in enumerate(rows(*arguments)):  # type: ignore[arg-type]
            if number == 7:
                os.kill(os.getpid(), signal.SIGINT)
            yield row

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in the background
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bigbed, "_rows", interrupted)
            with pytest.raises(KeyboardInterrupt):
                write_bigbed(tmp_path / "all.bb", tmp_path / "all.tmp", parts, LENGTHS)
            assert os.listdir(tmp_path) == ["all.tmp"]
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            write_bigbed(tmp_path / "all.bb", tmp_path / "all.tmp", parts, LENGTHS)
    finally:
        signal.signal(signal.SIGINT, before)
    assert sorted(os.listdir(tmp_path)) == ["all.bb", "all.tmp"]


def test_a_combined_file_that_lost_its_end_is_noticed(tmp_path: Path) -> None:
    parts = combined(tmp_path / "all.tmp")
    os.truncate(tmp_path / "all.tmp", os.path.getsize(tmp_path / "all.tmp") // 2)
    with pytest.raises((DilannotError, ValueError)):
        write_bigbed(tmp_path / "all.bb", tmp_path / "all.tmp", parts, LENGTHS)
    assert os.listdir(tmp_path) == ["all.tmp"]
