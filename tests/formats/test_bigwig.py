from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pybigtools
import pyBigWig
import pytest

from dilannot.errors import DilannotError
from dilannot.formats.bigwig import BigWigWriter
from dilannot.formats.bigwig_runs import write_bigwig
from dilannot.formats.bigwig_sections import SUMMARY, ZOOM, pack

LENGTHS = {"chr2": 100, "chr1": 50}
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def run(*rows: tuple[int, int, float]) -> Rows:
    start, end, value = zip(*rows, strict=True)
    return np.array(start), np.array(end), np.array(value, float)


def many(length: int, seed: int) -> Rows:
    """About ten runs per 1,000 nt, in clusters."""
    rng = np.random.default_rng(seed)
    size = length // 100
    gaps = np.where(rng.random(size) < 1 / 40, rng.geometric(1 / 3_500, size), 0)
    widths = rng.geometric(0.3, size)
    ends = np.cumsum(gaps + widths)
    kept = ends <= length
    return (ends - widths)[kept], ends[kept], (rng.integers(5, 100, size) / 100)[kept]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[object, object]]:
    """Our file and pyBigWig's, of the same runs on contigs of a million bp."""
    folder = tmp_path_factory.mktemp("both")
    lengths = {"b": 1_000_000, "a": 1_000_000}
    runs = [(name, *many(length, seed)) for seed, (name, length) in enumerate(lengths.items())]
    write_bigwig(folder / "ours.bw", lengths, runs)
    with pyBigWig.open(str(folder / "theirs.bw"), "w") as file:
        file.addHeader(list(lengths.items()), maxZooms=10)
        for name, start, end, value in runs:
            file.addEntries([name] * len(start), start, ends=end, values=value)
    with pyBigWig.open(str(folder / "ours.bw")) as ours, pyBigWig.open(str(folder / "theirs.bw")) as theirs:
        yield ours, theirs


def test_runs_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.bw"
    bases = write_bigwig(path, LENGTHS, [("chr2", *run((0, 3, 0.5), (3, 10, 0.25))), ("chr1", *run((49, 50, 1.0)))])
    assert bases == 11
    with pyBigWig.open(str(path)) as file:
        assert list(file.chroms().items()) == list(LENGTHS.items())
        assert file.intervals("chr2") == ((0, 3, 0.5), (3, 10, 0.25))
        assert file.intervals("chr1") == ((49, 50, 1.0),)
    other = pybigtools.open(str(path))
    assert list(other.records("chr2")) == [(0, 3, 0.5), (3, 10, 0.25)]


@pytest.mark.parametrize(
    "rows",
    [[(0, 3, 0.5), (2, 4, 0.5)], [(5, 6, 0.5), (0, 1, 0.5)], [(90, 101, 0.5)], [(-1, 3, 0.5)], [(3, 3, 0.5)]]
    + [[(0, 1, value)] for value in (np.nan, np.inf, 1e39)],
)
def test_what_is_no_track_is_refused(tmp_path: Path, rows: list[tuple[int, int, float]]) -> None:
    with pytest.raises(ValueError, match="chr2"):
        write_bigwig(tmp_path / "a.bw", LENGTHS, [("chr2", *run(*rows))])


def test_contigs_out_of_order_are_refused(tmp_path: Path) -> None:
    rows = run((0, 1, 1.0))
    for names in (("chr1", "chr2"), ("chr1", "chr1")):
        with pytest.raises(ValueError, match="order"):
            write_bigwig(tmp_path / "a.bw", LENGTHS, [(name, *rows) for name in names])


def test_a_track_without_values_is_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "empty.bw"
    assert write_bigwig(path, LENGTHS, [("chr2", *(np.zeros(0, kind) for kind in (int, int, float)))]) == 0
    with pyBigWig.open(str(path)) as file:
        assert file.isBigWig()
        assert file.chroms() == LENGTHS
        assert file.header()["nBasesCovered"] == 0
        assert file.intervals("chr2") is None
        assert file.stats("chr1", nBins=2) == [None, None]
        assert file.stats("chr1", exact=True) == [None]
        assert np.isnan(file.values("chr1", 0, 50)).all()
    other = pybigtools.open(str(path))
    assert list(other.records("chr2")) == []
    assert other.chroms() == LENGTHS
    assert other.zooms() == [1_000]


def test_many_contigs_whose_names_are_in_another_order(tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).permutation(600)
    lengths = {f"contig{number}" + "x" * (number % 7): 10 + int(number) for number in numbers}
    runs = [(name, *run((length - 2, length, length / 64))) for name, length in lengths.items() if length % 3]
    write_bigwig(tmp_path / "a.bw", lengths, runs)
    other = pybigtools.open(str(tmp_path / "a.bw"))
    assert other.chroms() == lengths
    with pyBigWig.open(str(tmp_path / "a.bw")) as file:
        assert list(file.chroms().items()) == list(lengths.items())
        for name, length in lengths.items():
            wanted = ((length - 2, length, length / 64),) if length % 3 else None
            assert file.intervals(name) == wanted
            assert tuple(other.records(name)) == (wanted or ())


@pytest.mark.parametrize("kind", ["mean", "min", "max", "coverage", "std"])
@pytest.mark.parametrize("bins", [1, 8, 40])
def test_statistics_are_those_of_pybigwigs_file(both: tuple[object, object], kind: str, bins: int) -> None:
    """Bins that begin and end where records do: zooms are as good as the values."""
    ours, theirs = both
    for name in ("a", "b"):
        exact = np.array(theirs.stats(name, type=kind, nBins=bins, exact=True), float)
        for way in (True, False):
            found = np.array(ours.stats(name, type=kind, nBins=bins, exact=way), float)
            np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)


def test_zoomed_statistics_across_records_are_near(both: tuple[object, object]) -> None:
    ours, theirs = both

    def bins(kind: str, file: object, *, exact: bool = False) -> np.ndarray:
        return np.array(file.stats("a", type=kind, nBins=13, exact=exact), float)

    for kind, off in (("mean", 0.06), ("std", 0.06), ("coverage", 0.01)):
        np.testing.assert_allclose(bins(kind, ours), bins(kind, theirs), atol=off)
    # A record is counted whole by readers that look for extremes.
    has = np.isfinite(bins("min", theirs))
    assert (bins("min", ours)[has] <= bins("min", theirs, exact=True)[has]).all()
    assert (bins("max", ours)[has] >= bins("max", theirs, exact=True)[has]).all()


def test_header_and_intervals_are_those_of_pybigwigs_file(both: tuple[object, object]) -> None:
    ours, theirs = both
    assert {**ours.header(), "nLevels": 0} == {**theirs.header(), "nLevels": 0}
    for name in ("a", "b"):
        assert ours.intervals(name) == theirs.intervals(name)


def test_files_of_many_tracks_packed_at_once_are_the_same(tmp_path: Path) -> None:
    length, tracks = 60_000, 919
    rows = [many(length * (track % 4), track) for track in range(tracks)]
    counts = np.array([len(row[0]) for row in rows])
    packed = pack(0, counts, *(np.concatenate([row[part] for row in rows]) for part in range(3)))
    ends = {kind: np.cumsum(getattr(packed, kind).counts) for kind in ("values", "zooms")}
    places = {kind: np.cumsum(getattr(packed, kind).sizes) for kind in ("values", "zooms")}
    coarse = np.cumsum(packed.coarse_counts)
    for track in (0, 1, 2, 458, 918):
        with BigWigWriter(tmp_path / "a.bw", {"c": 3 * length}) as writer:
            for kind, add in (("values", writer.add_values), ("zooms", writer.add_zooms)):
                all_of, last, end = getattr(packed, kind), ends[kind][track], places[kind][track]
                first, begin = last - all_of.counts[track], end - all_of.sizes[track]
                add(0, all_of.table[first:last], memoryview(all_of.data)[begin:end])
            part = slice(coarse[track] - packed.coarse_counts[track], coarse[track])
            writer.finish(packed.coarse[part], packed.summary[track])
        write_bigwig(tmp_path / "b.bw", {"c": 3 * length}, [("c", *rows[track])])
        assert (tmp_path / "a.bw").read_bytes() == (tmp_path / "b.bw").read_bytes()


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_an_error_and_leaves_no_bigwig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dilannot.formats.bigwig._BUFFER", 512)
    lengths, rows = {"c": 400_000}, many(400_000, 3)
    write_bigwig(tmp_path / "whole.bw", lengths, [("c", *rows)])
    size = (tmp_path / "whole.bw").stat().st_size
    path = tmp_path / "part.bw"
    for limit in [*range(0, size, size // 60), size - 1]:
        with no_file_larger_than(limit), pytest.raises(DilannotError, match=r"part\.bw.*whole") as error:
            write_bigwig(path, lengths, [("c", *rows)])
        assert error.value.exit_code == 3
        assert not any(path.read_bytes()[:4])
    with no_file_larger_than(size):
        write_bigwig(path, lengths, [("c", *rows)])
    assert path.read_bytes() == (tmp_path / "whole.bw").read_bytes()


def test_the_writers_own_error_names_the_file(tmp_path: Path) -> None:
    with (
        no_file_larger_than(100),
        pytest.raises(OSError, match=r"a\.bw"),
        BigWigWriter(tmp_path / "a.bw", LENGTHS) as w,
    ):
        w.finish(np.zeros(0, ZOOM), np.zeros(0, SUMMARY))


def test_an_error_of_whoever_gives_the_runs_is_theirs(tmp_path: Path) -> None:
    def runs() -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
        yield ("chr2", *run((0, 1, 1.0)))
        raise FileNotFoundError(2, "gone", "stage")

    with pytest.raises(FileNotFoundError, match="stage"):
        write_bigwig(tmp_path / "a.bw", LENGTHS, runs())


def test_a_file_that_did_not_get_whole_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, path = BigWigWriter._write_header, tmp_path / "a.bw"

    def cut(self: BigWigWriter, *arguments: object) -> None:
        real(self, *arguments)  # type: ignore[arg-type]
        self._file.flush()
        os.truncate(path, 300)

    monkeypatch.setattr(BigWigWriter, "_write_header", cut)
    with pytest.raises(DilannotError, match="whole") as error:
        write_bigwig(path, LENGTHS, [("chr2", *run((0, 3, 0.5)))])
    assert error.value.exit_code == 3


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bigwig(tmp_path / "no" / "a.bw", LENGTHS, [("chr2", *run((0, 3, 0.5)))])


@pytest.mark.parametrize("lengths", [{"x" * 256: 5}, {"": 5}, {"c": 1 << 32}, {"c": 0}])
def test_contigs_that_no_bigwig_holds_are_refused(tmp_path: Path, lengths: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="bigWig"):
        BigWigWriter(tmp_path / "a.bw", lengths)
    assert not (tmp_path / "a.bw").exists()


def test_sections_that_make_no_file_are_refused(tmp_path: Path) -> None:
    def packed(contig: int, *rows: tuple[int, int, float]) -> tuple[int, np.ndarray, bytes]:
        sections = pack(contig, np.array([len(rows)]), *run(*rows)).values
        return contig, sections.table, sections.data

    good, late, long = packed(1, (0, 3, 1.0)), packed(0, (2, 3, 1.0)), packed(0, (99, 101, 1.0))
    for sections, reason in (
        ([good, late], "order"),
        ([good, good], "order"),
        ([long], "leaves"),
        ([packed(7, (0, 3, 1.0))], "leaves"),
        ([(*good[:2], good[2][1:])], "sizes"),
        ([good], "missing"),
    ):
        with pytest.raises(ValueError, match=reason), BigWigWriter(tmp_path / "a.bw", LENGTHS) as writer:
            for each in sections:
                writer.add_values(*each)
            writer.finish(np.zeros(0, ZOOM), np.zeros(0, SUMMARY))
        assert not any((tmp_path / "a.bw").read_bytes()[:4])
    with BigWigWriter(tmp_path / "a.bw", LENGTHS) as writer:
        writer.add_zooms(*good)
        with pytest.raises(ValueError, match="before"):
            writer.add_values(*good)
