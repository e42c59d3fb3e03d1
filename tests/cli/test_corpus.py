"""The given corpus of bad and odd inputs: every FASTA, peak and region case ends as it should."""

from __future__ import annotations

import csv
import os
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pyBigWig
import pytest
from by_rule import saying, track_of
from conftest import SHARED, Cli, make_run

from dilannot.annotate import annotate as annotate_module
from dilannot.data.dataset import Dataset
from dilannot.data.markers import Marker
from dilannot.formats.fasta import read_contigs
from dilannot.formats.indexed_fasta import Genome
from dilannot.info import describe
from dilannot.run import load_network, read_run

CORPUS = SHARED / "bad-inputs"
pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="needs ../shared/bad-inputs")

if CORPUS.exists():
    with open(CORPUS / "EXPECT.tsv", newline="") as table:
        CASES = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
else:
    CASES = []
BUILD = [row for row in CASES if row["command"] == "build-data"]
BEDS = [row for row in CASES if row["path"].startswith("bed/")]
REGIONS = [row for row in CASES if row["path"].startswith("@region=")]

# What the table says in words of its "ok" cases, as figures: peaks read by marker (None: only that it builds).
PEAKS_READ = {
    "adjacent_windows": 3, "bed3": 3, "broadpeak9": 3, "crlf": 3, "gz_two_members": 2, "header_lines": 3,
    "last_line_cut_digit": 4, "nonutf8_name_field": 2, "other_files": 3, "score_over_1000": 2, "some_unknown": 5,
    "summit_outside": 2, "unsorted": 3, "vertical_tab": 2, "bomb_lines": 200_000, "gz_is_text": 3,
}  # fmt: skip
SAME_AS_GOOD = {
    "bgzip_ok.fa.gz", "blank_between.fa", "crlf.fa", "no_trailing_newline.fa", "lowercase.fa", "plain_gzip.fa.gz",
    "empty_fai.fa", "fai_huge.fa", "fai_len_short.fa", "fai_midline.fa", "fai_negative.fa", "stale_fai.fa",
}  # fmt: skip


def pattern(check: str) -> str:
    """The part of the check column that is a pattern for the message."""
    return check.split(" OR ")[0].replace("ok: ", "")


@pytest.mark.parametrize("row", BUILD, ids=lambda row: row["path"])
def test_build_data(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: dict[str, str]) -> None:
    monkeypatch.chdir(tmp_path)
    given = row["path"] if "://" in row["path"] else CORPUS / row["path"]
    genome, peaks = (
        (given, CORPUS / "good/peaks") if not row["path"].startswith("narrowpeak") else (CORPUS / "good/ref.fa", given)
    )
    if row["path"] == "narrowpeak/empty_folder" and not Path(peaks).exists():
        (tmp_path / "in" / "empty_folder").mkdir(parents=True)
        peaks = tmp_path / "in" / "empty_folder"
    before = sorted(os.listdir())
    result = cli("build-data", genome, peaks, "--window", 1000, "--split", "windows")
    assert "Traceback" not in result.err
    assert "\x1b" not in result.err
    if row["outcome"] == "error":
        assert result.code in (1, 3), result.err
    if result.code:
        assert row["outcome"] != "ok", result.err
        [line] = [line for line in result.err.splitlines() if line.startswith("error: ")]
        assert re.search(pattern(row["check"]), line), line
        assert len(line) < 500
        assert sorted(os.listdir()) == before
        return
    look_into(row["path"].split("/")[1], tmp_path / "dataset.h5", Path(genome), result.err)
    assert sorted(os.listdir()) == sorted([*before, "dataset.h5"])


def look_into(case: str, path: Path, genome: Path, err: str) -> None:
    """An accepted case must also be right."""
    with Dataset(path) as data, h5py.File(path) as file:
        counts = file["markers/peaks_read"][:].tolist()
        if case in PEAKS_READ:
            assert counts == [PEAKS_READ[case]]
        if case in SAME_AS_GOOD:
            good = {contig.name: (contig.md5, contig.length) for contig, _ in read_contigs(CORPUS / "good/ref.fa")}
            assert {contig["name"]: (contig["md5"], contig["length"]) for contig in data.contigs} == good
    if case == "some_unknown":
        assert "chrUn_gl000220" in err
        assert "chrM" in err
        assert sum(describe(path)["provenance"]["peaks_on_unknown_contigs"].values()) == 2
    if case == "iupac.fa":
        assert "10 ambiguous" in err
    if case == "other_files":
        assert "README.txt" in err
    if case == "tiny_contigs.fa":
        assert "2 contigs are shorter" in err


@pytest.mark.parametrize("row", BEDS, ids=lambda row: row["path"])
def test_region_files_as_exclusions(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: dict[str, str]
) -> None:
    """With no base of a window allowed in them, regions take every window they touch."""
    monkeypatch.chdir(tmp_path)
    build = ("build-data", CORPUS / "good/ref.fa", CORPUS / "good/peaks", "--split", "windows", "--window", 10)
    result = cli(*build, "--max-n", 1, "--max-excluded", 0, "--exclude", CORPUS / row["path"])
    if row["outcome"] == "error":
        assert result.code == 1
        assert re.search(row["check"], result.err)
        assert not os.listdir()
        return
    assert result.code == 0, result.err
    lengths = {contig.name: contig.length for contig, _ in read_contigs(CORPUS / "good/ref.fa")}
    touched = set()
    for line in (CORPUS / row["path"]).read_text().splitlines():
        fields = line.split("\t")
        if len(fields) > 2 and fields[0] in lengths:
            touched |= {(fields[0], base // 10) for base in range(int(fields[1]), int(fields[2]))}
    whole = {(name, window) for name, window in touched if (window + 1) * 10 <= lengths[name]}
    assert whole
    assert describe(Path("dataset.h5"))["provenance"]["windows_dropped"]["excluded"] == len(whole)


@pytest.mark.parametrize("row", REGIONS, ids=lambda row: row["path"])
def test_regions(cli: Cli, tmp_path: Path, row: dict[str, str]) -> None:
    run = make_run(tmp_path / "run", CORPUS / "good/ref.fa", "toy-blocks")
    result = cli(
        "annotate", run, "-r", row["path"].removeprefix("@region="), "--min-score", 0, "-o", tmp_path / "tracks"
    )
    if row["outcome"] == "error":
        assert result.code == 1
        assert re.search(row["check"], result.err)
        assert not (tmp_path / "tracks").exists()
    else:
        expected = int(re.match(r"\d+", row["check"])[0])  # type: ignore[index]
        assert result.code == 0
        assert {track["bases"] for track in describe(tmp_path / "tracks")["tracks"]} == {expected}
        assert ("clipped" in result.err) == ("clipped" in row["check"])


# Regions that the sound ones among the `bed/` cases ask for, 0-based half-open.
ASKED = {
    "bed12.bed": [("chr1", 0, 1_000)],
    "headers_crlf.bed": [("chr1", 0, 100)],
    "overlap.bed": [("chr1", 0, 1_500)],
    "unsorted.bed": [("chr1", 0, 100), ("chr1", 500, 600), ("chr2", 0, 100)],
    "whole_and_edge.bed": [("chr1", 0, 6_000), ("chr2", 2_999, 3_000)],
}


def assert_full(folder: Path, run: Path, asked: list[tuple[str, int, int]]) -> None:
    """Tracks that hold what the network says of these regions, and nothing else."""
    genome, network = Genome(CORPUS / "good/ref.fa"), load_network(read_run(run)).network
    for marker, row in enumerate(describe(folder)["tracks"]):
        with pyBigWig.open(str(folder / row["bigwig"])) as file:
            assert file.chroms() == genome.lengths
            for name, length in genome.lengths.items():
                wanted = np.zeros(length, bool)
                for contig, start, end in asked:
                    if contig == name:
                        wanted[start:end] = True
                codes = genome.fetch(name, 0, length)
                read, said = track_of(file, name, length), saying(network)(codes)[marker]
                assert (~np.isnan(read) == (wanted & (codes != 0))).all()
                assert np.abs(read - said)[wanted & (codes != 0)].max(initial=0) < 0.00501


@pytest.mark.parametrize("row", BEDS, ids=lambda row: row["path"])
def test_region_files(cli: Cli, tmp_path: Path, row: dict[str, str]) -> None:
    run = make_run(tmp_path / "run", CORPUS / "good/ref.fa", "toy-blocks")
    bed, output = CORPUS / row["path"], tmp_path / "tracks"
    result = cli("annotate", run, "--regions-file", bed, "-o", output, "--min-score", 0, "--tile", 400)
    if row["outcome"] == "error":
        assert result.code == 1
        assert re.search(row["check"], result.err)
        assert not output.exists()
        return
    assert result.code == 0, result.err
    assert_full(output, run, ASKED[bed.name])
    assert {track["bases"] for track in describe(output)["tracks"]} == {
        sum(end - start for _, start, end in ASKED[bed.name])
    }


def bigwig(path: Path, lengths: dict[str, int], rows: int) -> None:
    """A file of pyBigWig's."""
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(lengths.items()))
        name = next(iter(lengths))
        for at in range(rows):
            file.addEntries([name], [at], ends=[at + 1], values=[0.5])


def cut(path: Path) -> None:
    bigwig(path, {"chr1": 6_000, "chr2": 3_000}, 50)
    path.write_bytes(path.read_bytes()[:-100])


def linked(path: Path) -> None:
    (path.parent.parent / "mine.fa").write_text(">mine\nACGT\n")
    path.symlink_to(path.parent.parent / "mine.fa")


def left_over(path: Path) -> None:
    """Of runs that were killed: one had the bigWig under a temporary name, one was at it in its hidden folder."""
    dead = 2**22 + 1  # no process has such a number
    path.with_name(f".{path.name}.tmp-{dead}").write_bytes(b"half")
    (path.parent / ".annotation/files").mkdir(parents=True)
    (path.parent / f".annotation/files/{path.name}.tmp").write_bytes(b"half")


LEFT = {
    "leftover_zero": lambda path: path.write_bytes(b""),
    "leftover_header_only": lambda path: bigwig(path, {"chr1": 6_000, "chr2": 3_000}, 0),
    "leftover_cut": cut,
    "other_assembly": lambda path: bigwig(path, {"1": 5_000}, 20),
    "user_file": lambda path: bigwig(path, {"chr1": 6_000, "chr2": 3_000}, 20),
    "symlink_out": linked,
    "tmp_leftover": left_over,
    "folder_in_the_way": lambda path: (path / "inside").mkdir(parents=True),
}
with_own_formats = pytest.mark.skipif(not (CORPUS / "OWN-FORMATS.tsv").exists(), reason="needs OWN-FORMATS.tsv")


def own_formats() -> dict[str, dict[str, str]]:
    with open(CORPUS / "OWN-FORMATS.tsv", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {row["case"].removeprefix("bigwig/"): row for row in rows if row["case"].startswith("bigwig/")}


@with_own_formats
@pytest.mark.parametrize("case", LEFT)
def test_what_lies_in_the_output_folder(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    run = make_run(tmp_path / "run", CORPUS / "good/ref.fa", "toy-blocks", 1, markers=[Marker("K562_CTCF", "TFBS")])
    path = tmp_path / "tracks" / "K562_CTCF.bw"
    path.parent.mkdir()
    LEFT[case](path)
    before = {each: each.read_bytes() for each in sorted(tmp_path.rglob("*")) if each.is_file()}
    annotate = ("annotate", run, "-o", path.parent, "--min-score", 0)
    if case != "tmp_leftover":
        with monkeypatch.context() as patch:  # not after the last window
            patch.setattr(annotate_module, "stream", None)
            result = cli(*annotate)
        expected = own_formats()[case]
        assert result.code == 1
        assert re.search(expected["message_must_match_or_what_must_hold"].split(" OR ")[0], result.err)
        assert {each: each.read_bytes() for each in sorted(tmp_path.rglob("*")) if each.is_file()} == before
    result = cli(*annotate, "--force")
    if case == "folder_in_the_way":
        assert result.code == 1
        assert (path / "inside").is_dir()
        return
    assert result.code == 0, result.err
    assert_full(path.parent, run, [("chr1", 0, 6_000), ("chr2", 0, 3_000)])
    assert sorted(os.listdir(path.parent)) == ["K562_CTCF.bed", "K562_CTCF.bw", "calls.bed", "tracks.json"]
    if case == "symlink_out":
        assert not path.is_symlink()
        assert (tmp_path / "mine.fa").read_text() == ">mine\nACGT\n"


@with_own_formats
def test_no_given_case_of_left_overs_is_forgotten() -> None:
    assert own_formats().keys() == LEFT.keys()


def test_the_check_can_fail(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound input passes what the cases above go through, and is not refused."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(CORPUS / "good", tmp_path / "good")
    assert cli("build-data", "good/ref.fa", "good/peaks", "--window", 1000, "--split", "windows").code == 0
    with pytest.raises(AssertionError):
        look_into("bed3", tmp_path / "dataset.h5", Path("good/ref.fa"), "")
