"""Run folders that are damaged, foreign, lying or malicious: the `checkpoint/*` of OWN-FORMATS.tsv, in our format."""

from __future__ import annotations

import csv
import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SHARED, Cli, make_run, write_fasta
from safetensors.torch import save_file
from small_datasets import CONTIGS, small_dataset

from dilannot.errors import DilannotError
from dilannot.info import describe
from dilannot.run import load_network, read_run
from dilannot.tensors import read_tensors, write_tensors

TABLE = SHARED / "bad-inputs/OWN-FORMATS.tsv"
THIN = {"filters": [4, 5, 6], "hidden": 7, "dilations": [1, 1, 3], "kernel": 5, "stride": 5}
BEST = "best.safetensors"
BIAS = "head.2.bias"

Editor = Callable[[Path], object]


class Evil:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch PWNED",)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `genome.fa` and `run`."""
    folder = tmp_path_factory.mktemp("good")
    write_fasta(folder / "genome.fa", CONTIGS)
    make_run(folder / "run", folder / "genome.fa", "dilated", **THIN)
    return folder


def saved(content: object, **how: Any) -> Editor:
    return lambda run: torch.save(content, run / BEST, **how)


def written(change: Callable[[bytes], bytes]) -> Editor:
    return lambda run: (run / BEST).write_bytes(change((run / BEST).read_bytes()))


def resealed(change: Callable[[dict[str, torch.Tensor]], object]) -> Editor:
    """Other tensors with a digest that fits them."""

    def edit(run: Path) -> None:
        tensors, record, _ = read_tensors(run / BEST, lambda *_: None)
        change(tensors)
        write_tensors(run / BEST, tensors, record)

    return edit


def recorded(**changes: object) -> Editor:
    def edit(run: Path) -> None:
        path = run / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def named(*names: str) -> Editor:
    """Markers of other names, in table and weights."""

    def edit(run: Path) -> None:
        head, *rows = (run / "markers.tsv").read_text().splitlines()
        cells = [row.split("\t")[1:] for row in rows]
        lines = ["\t".join([name, *row]) for name, row in zip(names, [*cells, cells[0]], strict=False)]
        (run / "markers.tsv").write_text("\n".join([head, *lines]) + "\n")
        for path in run.glob("*.safetensors"):
            tensors, record, _ = read_tensors(path, lambda *_: None)
            write_tensors(path, tensors, record | {"markers": list(names)})

    return edit


def without_last_marker(run: Path) -> None:
    lines = (run / "markers.tsv").read_text().splitlines()
    (run / "markers.tsv").write_text("\n".join(lines[:-1]) + "\n")


def expanded(run: Path) -> None:
    """A file of some bytes whose tensor claims 40 GB."""
    header = json.dumps({BIAS: {"dtype": "F32", "shape": [10**10], "data_offsets": [0, 4]}}).encode()
    (run / BEST).write_bytes(len(header).to_bytes(8, "little") + header + b"1234")


def to_zip_bomb(run: Path) -> None:
    with zipfile.ZipFile(run / BEST, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data/0", bytes(18_000_000))


def to_a_folder(run: Path) -> None:
    (run / BEST).unlink()
    (run / BEST).mkdir()


def flipped(data: bytes) -> bytes:
    return data[:-50] + bytes([data[-50] ^ 1]) + data[-49:]


GIVEN: dict[str, tuple[Editor, str]] = {
    "evil_zip": (saved({"model": Evil()}), "is not a dilannot weights file"),
    "evil_state_dict": (saved({"state_dict": {"x": Evil()}}), "is not a dilannot weights file"),
    "evil_raw_pickle": (written(lambda _: pickle.dumps(Evil())), "is not a dilannot weights file"),
    "evil_env": (saved({"model": Evil()}), "is not a dilannot weights file"),
    "legacy_format": (saved({"x": torch.zeros(3)}, _use_new_zipfile_serialization=False), "is not a dilannot weights"),
    "whole_module": (saved(torch.nn.Linear(2, 2)), "is not a dilannot weights file"),
    "empty": (written(lambda _: b""), "is not a dilannot weights file, or a truncated one"),
    "text": (written(lambda _: b"no such thing\n" * 99), "is not a dilannot weights file"),
    "truncated": (written(lambda data: data[: len(data) // 2]), "or a truncated one"),
    "truncated_1byte": (written(lambda data: data[:-1]), "or a truncated one"),
    "bitflip": (written(flipped), "corrupt: the weights do not match their checksum"),
    "wrong_size": (resealed(lambda all_: all_.update({BIAS: torch.zeros(9)})), r"has shape \(9,\), not \(3,\)"),
    "missing_key": (resealed(lambda all_: all_.pop(BIAS)), "tensor 'head.2.bias' is missing"),
    "extra_key": (resealed(lambda all_: all_.update(lstm=torch.zeros(1))), "tensor 'lstm' is unexpected"),
    "nan_weights": (resealed(lambda all_: all_[BIAS].fill_(torch.nan)), "NaN or infinite"),
    "int_weights": (resealed(lambda all_: all_.update({BIAS: torch.zeros(3, dtype=torch.int64)})), "has dtype I64"),
    "complex_weights": (resealed(lambda all_: all_.update({BIAS: torch.zeros(3, dtype=torch.cfloat)})), "dtype C64"),
    "expanded_view": (expanded, "shape"),
    "zip_bomb": (to_zip_bomb, "header too large"),
    "config_bomb": (recorded(arguments=THIN | {"hidden": 10**9}), r"has shape \(7,\), not \(1000000000,\)"),
    "config_negative": (recorded(arguments=THIN | {"kernel": -5}), "describes no network: .*kernel"),
    "config_unknown_arch": (recorded(model="os.system"), "describes no network: no model called 'os.system'"),
    "markers_differ": (without_last_marker, "its markers are not those of markers.tsv"),
    "marker_traversal": (named("../../x", "b", "c"), "marker name '../../x' holds a slash"),
    "marker_absolute": (named("/etc/x", "b", "c"), "marker name '/etc/x' holds a slash"),
    "marker_newline": (named("x\ty", "b", "c"), "marker"),
    "marker_html": (named("<script>alert(1)<", "b", "c"), ""),  # written, and escaped
    "marker_duplicate": (named("a", "a", "c"), "marker name 'a' stands twice"),
    "marker_collide": (named("a b", "a_b", "A_B"), ""),  # written, each to a file of its own
    "future_version": (recorded(format_version=99), "has format version 99; this dilannot reads version 4"),
    "other_format": (lambda run: save_file({"conv1.weight": torch.zeros(3)}, run / BEST), "is not a dilannot weights file: its header"),
    "list_not_dict": (saved([1, 2, 3]), "is not a dilannot weights file"),
    "safetensors": (lambda run: save_file({BIAS: torch.zeros(3)}, run / BEST), "is not a dilannot weights file: its header"),
    "is_a_folder": (to_a_folder, "best.safetensors: is not a file"),
    "dataset_model_differ": (lambda _: None, ""),  # the run is sound: see the test of evaluate
}  # fmt: skip


# What the given table calls otherwise: our configuration is run.json, our architectures are models.
OTHER_WORDS = {"config_bomb": "weights of another network", "config_unknown_arch": "config_unknown_arch.*model"}


def given_patterns() -> dict[str, tuple[str, str]]:
    """Outcome and message of every case of the given table."""
    if not TABLE.exists():
        return {}
    with open(TABLE, newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {
        row["case"].removeprefix("checkpoint/"): (row["outcome"], row["message_must_match_or_what_must_hold"])
        for row in rows
        if row["case"].startswith("checkpoint/")
    }


PATTERNS = given_patterns()


@pytest.mark.parametrize("case", [case for case in GIVEN if GIVEN[case][1]])
def test_a_bad_run_is_refused_in_one_line(
    cli: Cli, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    edit, message = GIVEN[case]
    monkeypatch.chdir(tmp_path)
    if case == "evil_env":
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    shutil.copytree(good / "run", case)
    edit(Path(case))
    before = sorted(os.listdir())
    result = cli("annotate", case, "-r", "a", "-o", "tracks")
    assert "Traceback" not in result.err
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert (result.code, len(errors)) == (1, 1), result.err
    assert re.search(message, errors[0]), errors[0]
    outcome, pattern = PATTERNS.get(case, ("error", ""))
    assert outcome in ("error", "either")
    assert re.search(OTHER_WORDS.get(case, pattern.split(" OR ")[0]), errors[0]), errors[0]
    assert len(errors[0]) < 500
    assert sorted(os.listdir()) == before, "something was left behind, or ran"


# What that table does not think of.
ARGUMENTS = {
    "words": {"kernel": "wide"},
    "no list": {"filters": 5},
    "lists": {"hidden": [7]},
    "huge": {"hidden": 10**18},
    "more than huge": {"hidden": 10**30},
    "unknown": {"colour": 1},
    "nothing": {"filters": []},
    "none": {"stride": None},
    "half": {"stride": 2.5},
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments_that_make_no_network_are_refused(good: Path, tmp_path: Path, case: str) -> None:
    shutil.copytree(good / "run", tmp_path / "run")
    recorded(arguments=THIN | ARGUMENTS[case])(tmp_path / "run")
    with pytest.raises(DilannotError) as error:
        load_network(read_run(tmp_path / "run"))
    assert error.value.where in (tmp_path / "run/run.json", tmp_path / "run/best.safetensors")
    assert "\n" not in str(error.value)


RECORDS: dict[str, Callable[[Path], object]] = {
    "deep json": lambda run: (run / "run.json").write_text("[" * 100_000),
    "a list": lambda run: (run / "run.json").write_text("[]"),
    "no json": lambda run: (run / "run.json").write_text('{"format"'),
    "not utf-8": lambda run: (run / "run.json").write_bytes(b"\xff"),
    "arguments in a list": recorded(arguments=[1]),
    "no model": recorded(model=None),
    "code in words": recorded(code="network.py"),
    "window in words": recorded(window="x"),
    "contigs in words": recorded(contigs="chr1"),
    "deep settings": lambda run: (run / "settings.toml").write_text("a = " + "[" * 100_000),
    "settings from a pipe": lambda run: ((run / "settings.toml").unlink(), os.mkfifo(run / "settings.toml")),
    "markers from a pipe": lambda run: ((run / "markers.tsv").unlink(), os.mkfifo(run / "markers.tsv")),
    "markers of one column": lambda run: (run / "markers.tsv").write_text("name\na\n"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_record_that_is_none_is_refused(cli: Cli, good: Path, tmp_path: Path, case: str) -> None:
    shutil.copytree(good / "run", tmp_path / "run")
    RECORDS[case](tmp_path / "run")
    for command in ("info", "evaluate"):
        result = cli(command, tmp_path / "run")
        assert (result.code, "Traceback" in result.err) == (1, False), result.err
        assert str(tmp_path / "run") in result.err


@pytest.mark.parametrize(
    "changes",
    [{"thresholds": {"break-even": [10**400, 0, 0]}}, {"thresholds": 5}, {"thresholds": {"break-even": ["x"] * 3}}, {"epoch": "x"}, {"epoch": None},
     {"thresholds": {"break-even": [0.5] * 2}}, {"markers": None}],
)  # fmt: skip
def test_headers_that_lie_are_refused(good: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    shutil.copytree(good / "run", tmp_path / "run")
    path = tmp_path / "run" / BEST
    tensors, record, _ = read_tensors(path, lambda *_: None)
    write_tensors(path, tensors, record | changes)
    with pytest.raises(DilannotError) as error:
        load_network(read_run(tmp_path / "run"))
    assert error.value.where == path


@pytest.mark.parametrize(
    ("case", "names"), [("marker_html", ["<script>alert(1)<", "b", "c"]), ("marker_collide", ["a b", "a_b", "A_B"])]
)
def test_odd_names_are_written(
    cli: Cli, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(good / "run", case)
    GIVEN[case][0](Path(case))
    result = cli("annotate", case, "-r", "a", "-o", "tracks")
    assert result.code == 0, result.err
    tracks = describe(Path("tracks"))["tracks"]
    assert [track["marker"] for track in tracks] == names
    assert len({path.name.lower() for path in Path("tracks").rglob("*.bw")}) == len(names)
    for page in Path("tracks").rglob("*.html"):
        assert "<script>alert" not in page.read_text()


def test_a_dataset_of_other_markers_is_refused(cli: Cli, good: Path, tmp_path: Path) -> None:
    small = small_dataset(tmp_path / "dataset_model_differ", "dense")
    result = cli("evaluate", good / "run", small.path)
    assert result.code == 1
    assert re.search(PATTERNS.get("dataset_model_differ", ("", "marker"))[1], result.err)
    assert "its markers are not those of" in result.err


@pytest.mark.skipif(not PATTERNS, reason=f"needs {TABLE}")
def test_no_given_case_is_forgotten() -> None:
    assert PATTERNS.keys() == GIVEN.keys()
