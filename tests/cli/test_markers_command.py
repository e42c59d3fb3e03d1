"""`dilannot markers`: what it prints for whom, and that its table goes into build-data."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import MARKERS, Cli, Inputs

HEADER = "index\tname\tclass\tcell\ttarget\ttreatment\tfile"


def test_all_of_them(cli: Cli) -> None:
    result = cli("markers")
    lines = result.out.splitlines()
    assert lines[0] == HEADER
    assert lines[1].startswith("0\t8988T|DNase|None\tDNase\t8988T\tDNase\tNone\twgEncodeAwgDnaseDuke8988tUniPk")
    assert len(lines) == 920
    assert result.err == "919 markers: 690 TFBS, 104 histone, 125 DNase\n"


def test_filters(cli: Cli) -> None:
    result = cli("markers", "--cell", "k562", "--cell", "gm12878", "--target", "ctcf", "--name", "*None")
    assert [line.split("\t")[:2] for line in result.out.splitlines()[1:]] == [
        ["127", "GM12878|CTCF|None"],
        ["149", "K562|CTCF|None"],
    ]
    assert result.err == "2 of 919 markers: 2 TFBS\n"
    wrong = cli("markers", "--class", "hystone")
    assert (wrong.code, wrong.out) == (1, "")
    assert "did you mean 'histone'?" in wrong.err


def test_addresses(cli: Cli) -> None:
    result = cli("markers", "--urls", "--class", "histone", "-q")
    lines = result.out.splitlines()
    assert len(lines) == 104
    assert all(line.startswith("https://egg2.wustl.edu/") for line in lines)
    assert result.err == ""
    assert cli("markers", "--urls", "peaks/").code == 2


def test_json(cli: Cli) -> None:
    record = json.loads(cli("markers", "--json", "--name", "K562|BRF1|None").out)
    assert (record["markers_version"], record["source"]) == (1, "DeepSEA")
    (marker,) = record["markers"]
    assert (marker["index"], marker["cell"], marker["roc_auc"], marker["pr_auc"]) == (598, "K562", None, None)
    assert marker["url"].endswith(marker["file"])


def test_of_a_folder_a_table_and_a_dataset(cli: Cli, inputs: Inputs, dataset: Path, tmp_path: Path) -> None:
    folder = cli("markers", inputs.peak_folder)
    assert [line.split("\t")[1] for line in folder.out.splitlines()[1:]] == sorted(MARKERS)
    table = tmp_path / "markers.tsv"
    table.write_text(folder.out)
    assert cli("markers", table).out == folder.out
    assert cli("markers", dataset).out == folder.out
    assert len(json.loads(cli("markers", dataset, "--json", "--class", "tfbs").out)["markers"]) == 1


def test_what_is_no_source(cli: Cli, tmp_path: Path) -> None:
    for name, text in {
        "a.tsv": "x\ty\n",
        "b.tsv": "",
        "c.tsv": "file\n",
        "d.tsv": "name\tfile\na\tx.bed\na\ty.bed\n",
    }.items():
        (tmp_path / name).write_text(text)
        result = cli("markers", tmp_path / name)
        assert result.code == 1, name
        assert name in result.err
    assert cli("markers", tmp_path / "none").code == 1


def test_the_table_goes_into_build_data(cli: Cli, inputs: Inputs, tmp_path: Path) -> None:
    """Published files under their published names, in published order."""
    (tmp_path / "peaks").mkdir()
    rows = cli("markers", "--cell", "Osteoblasts", "--target", "H3K4me*", "--class", "histone").out
    files = [line.split("\t")[-1].removesuffix(".gz") for line in rows.splitlines()[1:]]
    for file, source in zip(files, sorted(inputs.peak_folder.iterdir()), strict=True):
        (tmp_path / "peaks" / file).write_bytes(source.read_bytes())
    (tmp_path / "markers.tsv").write_text(rows)
    output = tmp_path / "d.h5"
    built = cli(
        "build-data", inputs.genome, tmp_path / "peaks", "--markers", tmp_path / "markers.tsv", "-o", output,
        "--window", 500,
    )  # fmt: skip
    assert built.code == 0, built.err
    listed = [line.split("\t")[1:6] for line in cli("markers", output).out.splitlines()[1:]]
    assert listed == [line.split("\t")[1:6] for line in rows.splitlines()[1:]]
