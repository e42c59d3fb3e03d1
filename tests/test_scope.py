from __future__ import annotations

import gzip
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st

from dilannot.data.markers import Marker
from dilannot.errors import DilannotError
from dilannot.genome.intervals import Interval
from dilannot.progress import Silent, Task
from dilannot.scope import scope, select_markers

LENGTHS = {"chr20": 100, "chr1": 60, "chrUn_1": 30, "chrUn_2": 20, "HLA-A*01:01": 10}
EVERYTHING = [f"{name}:1-{length}" for name, length in LENGTHS.items()]


class Heard(Silent):
    """Keeps warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def task(self, title: str, total: float | None) -> AbstractContextManager[Task]:
        raise AssertionError


def found(*regions: str, file: Path | None = None, exclude: tuple[str, ...] = ()) -> list[str]:
    """Where nothing is worth a warning."""
    heard = Heard()
    result = scope(LENGTHS, regions, file, exclude, progress=heard)
    assert heard.warnings == []
    return [str(interval) for interval in result]


def bed(folder: Path, text: str, name: str = "regions.bed") -> Path:
    path = folder / name
    data = text.replace(" ", "\t").encode()
    path.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
    return path


def test_everything_when_nothing_is_asked_for() -> None:
    assert found() == EVERYTHING


def test_regions_come_in_genome_order_and_once() -> None:
    assert found("chr1:5-10", "chr20:50-60", "chr1:1-4", "chr20:55-70", "chr20:1-2") == [
        "chr20:1-2",
        "chr20:50-70",
        "chr1:1-10",
    ]


def test_patterns_mean_contigs() -> None:
    assert found("chrUn_?", "chr1") == ["chr1:1-60", "chrUn_1:1-30", "chrUn_2:1-20"]
    assert found("HLA-A*01:01") == ["HLA-A*01:01:1-10"]
    assert found(exclude=("chrUn_*", "HLA*", "chr20:11-90")) == ["chr20:1-10", "chr20:91-100", "chr1:1-60"]


@pytest.mark.parametrize("name", ["regions.bed", "regions.bed.gz", "regions.txt"])
def test_a_file_and_typed_regions_are_taken_together(tmp_path: Path, name: str) -> None:
    file = bed(tmp_path, "# header\nchr1 50 60\nchr20 0 10 name 5\r\nchr20 10 20\n", name)
    assert found(file=file) == ["chr20:1-20", "chr1:51-60"]
    assert found("chr20:15-30", file=file) == ["chr20:1-30", "chr1:51-60"]
    assert found("chr20:15-30", file=file, exclude=(str(file),)) == ["chr20:21-30"]


def test_a_clipped_region_is_said() -> None:
    heard = Heard()
    assert scope(LENGTHS, ["chr1:51-1000"], progress=heard) == [Interval("chr1", 50, 60)]
    assert len(heard.warnings) == 1
    assert "clipped" in heard.warnings[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr20 0 10\n20 0 10\n", r"regions.bed:2: contig: no '20' in the genome \(did you mean 'chr20'\?\)"),
        ("chr20 0 10\n\nchr1 50 61\n", r"regions.bed:3: end 61 lies beyond the end of chr1 \(length 60\); .*assembly"),
        ("chr20 10 10\n", r"regions.bed:1: end: the interval is empty"),
        ("chr20 10\n", r"regions.bed:1: fewer than 3"),
        ("chr20 -1 10\n", r"regions.bed:1: start is negative"),
        ("", r"regions.bed: empty"),
    ],
)
def test_a_bad_regions_file_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DilannotError) as error:
        found(file=bed(tmp_path, text))
    assert error.match(message)


@pytest.mark.parametrize(
    ("regions", "exclude", "message"),
    [
        (("20",), (), "no contig '20' in the genome (did you mean 'chr20'?)"),
        (("chr9*",), (), "no contig 'chr9*'"),
        (("chr1:0-5",), (), "the start is below 1"),
        ((), ("20",), "no contig '20' in the genome (did you mean 'chr20'?), and no file '20'"),
        ((), ("20:1-5",), "no contig '20'"),
        ((), ("blacklist",), "no contig 'blacklist' in the genome, and no file 'blacklist'"),
        ((), ("blacklist.bed",), "blacklist.bed: file not found"),
        ((), ("chr1:9-5",), "the end lies before the start"),
        ((), ("*",), "--exclude: nothing is left of what is asked for"),
        (("chr1:1-5", "chr20"), ("chr1:1-9", "chr20"), "nothing is left"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, regions: tuple[str, ...], exclude: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DilannotError) as error:
        found(*regions, exclude=exclude)
    assert message in str(error.value)


def test_a_contig_wins_over_a_file_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bed(tmp_path, "chr20 0 100\n", "chr1")
    bed(tmp_path, "chr20 0 100\n", "plain")
    assert found("chr1", "chr20", exclude=("chr1",)) == ["chr20:1-100"]
    assert found("chr1", "chr20", exclude=("plain",)) == ["chr1:1-60"]


def test_exclusions_of_a_fuller_genome_are_used_as_far_as_they_go(tmp_path: Path) -> None:
    heard = Heard()
    file = bed(tmp_path, "chrM 0 10\nchr20 0 90\nchr1 50 70\nchr1 80 90\n")
    assert scope(LENGTHS, ["chr1", "chr20"], None, [str(file)], progress=heard) == [
        Interval("chr20", 90, 100),
        Interval("chr1", 0, 50),
    ]
    assert len(heard.warnings) == 2
    assert "on 1 contigs the genome lacks are not used: chrM" in heard.warnings[0]
    assert "2 excluded regions reach past" in heard.warnings[1]
    with pytest.raises(DilannotError, match="no contig in common with the genome \\(1, 20\\) .*chr1"):
        found(exclude=(str(bed(tmp_path, "20 0 10\n1 0 10\n", "other.bed")),))


def test_an_archive_of_no_regions_leaves_nothing(tmp_path: Path) -> None:
    file = bed(tmp_path, "", "none.bed.gz")
    with pytest.raises(DilannotError, match=r"none.bed.gz: nothing is left"):
        found(file=file)
    assert found("chr1", exclude=(str(file),)) == ["chr1:1-60"]


@pytest.mark.skipif(not (SHARED / "bad-inputs").exists(), reason="needs ../shared/bad-inputs")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bed12", ["chr1:1-1,000"]),
        ("headers_crlf", ["chr1:1-100"]),
        ("overlap", ["chr1:1-1,500"]),
        ("unsorted", ["chr1:1-100", "chr1:501-600", "chr2:1-100"]),
        ("whole_and_edge", ["chr1:1-6,000", "chr2:3,000-3,000"]),
        ("start_ge_end", r"start_ge_end\.bed:2: "),
        ("two_columns", r"two_columns\.bed:1: .*column"),
    ],
)
def test_the_region_files_of_the_corpus(name: str, expected: list[str] | str) -> None:
    lengths, file = {"chr1": 6000, "chr2": 3000}, SHARED / "bad-inputs" / "bed" / f"{name}.bed"
    if isinstance(expected, str):
        with pytest.raises(DilannotError, match=expected):
            scope(lengths, [], file, progress=Silent())
    else:
        assert [str(interval) for interval in scope(lengths, [], file, progress=Silent())] == expected


PIECES = st.lists(
    st.sampled_from(["chr20", "chr1"]).flatmap(
        lambda name: st.tuples(st.just(name), st.integers(0, LENGTHS[name] - 1), st.integers(1, 30))
    ),
    max_size=8,
)


@settings(deadline=None)
@given(typed=PIECES, filed=PIECES, excluded=PIECES, excluded_file=PIECES)
def test_the_scope_is_set_arithmetic(
    tmp_path_factory: pytest.TempPathFactory,
    typed: list[tuple[str, int, int]],
    filed: list[tuple[str, int, int]],
    excluded: list[tuple[str, int, int]],
    excluded_file: list[tuple[str, int, int]],
) -> None:
    folder = tmp_path_factory.mktemp("scope")
    masks = {name: np.zeros(length, bool) for name, length in LENGTHS.items()}

    def paint(pieces: list[tuple[str, int, int]], value: bool) -> list[tuple[str, int, int]]:
        clipped = [(name, start, min(start + width, LENGTHS[name])) for name, start, width in pieces]
        for name, start, end in clipped:
            masks[name][start:end] = value
        return clipped

    def write(pieces: list[tuple[str, int, int]], name: str) -> Path:
        return bed(folder, "".join(f"{name} {start} {end}\n" for name, start, end in pieces), name)

    if not typed and not filed:
        for mask in masks.values():
            mask[:] = True
    regions = [f"{name}:{start + 1}-{end}" for name, start, end in paint(typed, True)]
    file = write(paint(filed, True), "a.bed") if filed else None
    exclude = [f"{name}:{start + 1}-{end}" for name, start, end in paint(excluded, False)]
    if excluded_file:
        exclude.append(str(write(paint(excluded_file, False), "b.bed")))
    if not any(mask.any() for mask in masks.values()):
        with pytest.raises(DilannotError, match="nothing is left"):
            scope(LENGTHS, regions, file, exclude, progress=Silent())
        return
    result = scope(LENGTHS, regions, file, exclude, progress=Silent())
    order = list(LENGTHS)
    keys = [(order.index(each.contig), each.start) for each in result]
    assert keys == sorted(keys)
    again = {name: np.zeros(length, bool) for name, length in LENGTHS.items()}
    for each, after in zip(result, [*result[1:], None], strict=True):
        again[each.contig][each.start : each.end] = True
        assert after is None or after.contig != each.contig or after.start > each.end
    assert all((again[name] == masks[name]).all() for name in LENGTHS)


MARKERS = [
    Marker("K562|CTCF|None", "TFBS", "K562", "CTCF", "None"),
    Marker("K562|H3K4me1|None", "histone", "K562", "H3K4me1", "None"),
    Marker("GM12878|H3K4me3|None", "histone", "GM12878", "H3K4me3", "None"),
    Marker("GM12878|DNase|None", "DNase", "GM12878", "DNase", "None"),
    Marker("A549|GR|DEX_100nM", "TFBS", "A549", "GR", "DEX_100nM"),
    Marker("odd, one", "unknown"),
    Marker("gr", "TFBS"),
    Marker("twin", "TFBS"),
    Marker("TWIN", "TFBS"),
    Marker("cell=K562", "other"),
]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([], list(range(10))),
        (["K562|CTCF|None"], [0]),
        (["k562|ctcf|none"], [0]),
        (["gm12878|*", "K562|CTCF|None"], [0, 2, 3]),
        (["*|H3K4me?|*"], [1, 2]),
        (["class=histone"], [1, 2]),
        (["Class=HISTONE"], [1, 2]),
        (["histone"], [1, 2]),
        (["histone,DNase"], [1, 2, 3]),
        (["GM12878 , CTCF"], [0, 2, 3]),
        (["H3K4me*"], [1, 2]),
        (["target=h3k4me*", "treatment=DEX*"], [1, 2, 4]),
        (["GR"], [6]),
        (["target=GR"], [4]),
        (["odd, one"], [5]),
        (["twin"], [7]),
        (["TWIN"], [8]),
        (["twin*"], [7, 8]),
        (["cell=K562"], [9]),
        (["cell=k562"], [0, 1]),
    ],
)
def test_markers_are_found_as_people_call_them(asked: list[str], expected: list[int]) -> None:
    assert select_markers(MARKERS, asked) == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("h3k4me9", "--markers 'h3k4me9': no marker has this name, class, cell or target (did you mean 'H3K4me"),
        ("class=histones", "--markers 'class=histones': no marker has this class (did you mean 'histone'?)"),
        ("cell=K563", "no marker has this cell (did you mean 'K562'?)"),
        ("CTCF,,histone", "--markers ''"),
        ("class=", "no marker has this class"),
        ("colour=red", "no marker has this name"),
        ("Twin", "'Twin' may mean 'TWIN' or 'twin'"),
    ],
)
def test_a_marker_that_is_not_there_is_named(asked: str, message: str) -> None:
    with pytest.raises(DilannotError) as error:
        select_markers(MARKERS, [asked])
    assert message in str(error.value)
