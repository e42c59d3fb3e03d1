from __future__ import annotations

from pathlib import Path

import pytest
from conftest import EXAMPLES, SHARED

from dilannot.data.inputs import find_inputs
from dilannot.data.markers import find_peak_files, guess_class, stem
from dilannot.errors import DilannotError

PUBLISHED = SHARED / "data/features/deepsea_919_metadata.tsv"


@pytest.mark.parametrize(
    ("file", "name", "marker_class"),
    [
        ("E127-H2A.Z.narrowPeak.gz", "E127-H2A.Z", "histone"),
        ("E003-H4K8ac.narrowPeak", "E003-H4K8ac", "histone"),
        ("E117-DNase.macs2.narrowPeak.gz", "E117-DNase.macs2", "DNase"),
        ("wgEncodeAwgDnaseUwdukeK562UniPk.narrowPeak.gz", "wgEncodeAwgDnaseUwdukeK562UniPk", "DNase"),
        ("wgEncodeAwgTfbsSydhK562MazUniPk.narrowPeak.gz", "wgEncodeAwgTfbsSydhK562MazUniPk", "TFBS"),
        (
            "wgEncodeBroadHistoneGm12878H3k04me1StdPkV2.broadPeak.gz",
            "wgEncodeBroadHistoneGm12878H3k04me1StdPkV2",
            "histone",
        ),
        ("K562_CTCF.bed", "K562_CTCF", "TFBS"),
        ("something.bed.gz", "something", "unknown"),
    ],
)
def test_names_and_classes_from_file_names(file: str, name: str, marker_class: str) -> None:
    assert (stem(file), guess_class(file)) == (name, marker_class)


@pytest.mark.skipif(not PUBLISHED.exists(), reason=f"needs {PUBLISHED}")
def test_classes_of_all_published_files_are_guessed_right() -> None:
    rows = PUBLISHED.read_text().splitlines()[1:]
    assert len(rows) == 919
    for index, row in enumerate(rows):
        published = "DNase" if index < 125 else "TFBS" if index < 815 else "histone"
        assert guess_class(row.split("\t")[3]) == published


def make(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("chr1\t1\t2\n")
    return folder


def test_folders_are_searched_and_other_files_named(tmp_path: Path) -> None:
    folder = make(tmp_path / "p", "b.narrowPeak", "sub/a.BED.GZ", "README.txt", ".hidden.bed", "md5sum.txt")
    files, ignored = find_peak_files([folder])
    assert [file.name for file in files] == ["a.BED.GZ", "b.narrowPeak"]
    assert [file.name for file in ignored] == ["README.txt", "md5sum.txt"]


def test_a_table_orders_and_names(tmp_path: Path) -> None:
    folder = make(tmp_path / "p", "a.bed", "b.narrowPeak", "c.bed")
    (folder / "markers.tsv").write_text("file\tname\tclass\nb\tB|ctcf|None\ttfbs\na.bed\t\tChIP\n")
    found = find_inputs([folder])
    assert [marker.row() for marker in found.markers] == [
        ("B|ctcf|None", "TFBS", "B", "ctcf", "None", "b.narrowPeak"),
        ("a", "ChIP", "", "", "", "a.bed"),
    ]
    assert [file.name for file in found.ignored] == ["c.bed"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name\tclass\nx\ty\n", ":1: the first line names no column 'file'"),
        ("file\na.bedd\n", r":2: file: no peak file 'a.bedd' was given \(did you mean 'a.bed'"),
        ("file\tname\na.bed\tX\nb.bed\tX\n", ":3: marker name 'X' stands twice"),
        ("file\tname\na.bed\n", ":2: 1 columns where the header has 2"),
        ("file\tname\na.bed\t../x\n", ":2: marker name '../x' holds a slash"),
        ("file\tcell\na.bed\tK\u2028562\n", ":2: marker cell .* holds control characters"),
        ("file\tname\tname\na.bed\tx\ty\n", ":1: two columns are called 'name'"),
        ("file\nc\n", ":2: file: 'c' may mean c.bed and c.broadPeak; write it in full"),
        ("file\n", "no marker in this table"),
    ],
)
def test_a_bad_table_is_named_with_its_line(tmp_path: Path, table: str, message: str) -> None:
    folder = make(tmp_path / "p", "a.bed", "b.bed", "c.bed", "c.broadPeak")
    (tmp_path / "t.tsv").write_text(table)
    with pytest.raises(DilannotError, match=message):
        find_inputs([folder], [str(tmp_path / "t.tsv")])


def test_a_table_that_is_no_text_is_named_with_its_line(tmp_path: Path) -> None:
    folder = make(tmp_path / "p", "a.bed")
    (tmp_path / "t.tsv").write_bytes(b"\xef\xbb\xbffile\tcell\na.bed\tK\xff\n")
    with pytest.raises(DilannotError, match=":2: is not UTF-8 text"):
        find_inputs([folder], [str(tmp_path / "t.tsv")])


def test_two_files_of_one_name_need_a_table(tmp_path: Path) -> None:
    folder = make(tmp_path / "p", "one/a.bed", "two/a.narrowPeak")
    with pytest.raises(DilannotError, match="stands twice"):
        find_inputs([folder])


def test_the_example_has_all_three_classes() -> None:
    markers = find_inputs([EXAMPLES / "peaks"]).markers
    assert len(markers) == 40
    assert {marker.marker_class for marker in markers} == {"TFBS", "histone", "DNase"}
    assert markers[0].row()[:5] == ("GM12878|DNase|None", "DNase", "GM12878", "DNase", "None")


def test_linked_folders_are_searched_and_loops_end(tmp_path: Path) -> None:
    make(tmp_path / "far", "b.bed")
    folder = make(tmp_path / "p", "a.bed")
    (folder / "more").symlink_to(tmp_path / "far")
    (folder / "loop").symlink_to(folder)
    files, _ = find_peak_files([folder])
    assert [file.name for file in files] == ["a.bed", "b.bed"]


def test_two_tables_need_a_choice(tmp_path: Path) -> None:
    folders = [make(tmp_path / name, f"{name}.bed") for name in "pq"]
    for folder in folders:
        (folder / "markers.tsv").write_text(f"file\n{folder.name}.bed\n")
    with pytest.raises(DilannotError, match="two marker tables"):
        find_inputs(folders)
