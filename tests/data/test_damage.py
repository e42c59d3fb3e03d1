"""Datasets that are damaged, foreign, lying or malicious: refused by name, or read as if nothing had happened."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import REPOSITORY, SHARED, Cli, random_sequence, write_fasta
from small_datasets import CONTIGS, Small, everything, small_dataset

from dilannot.data import schema
from dilannot.data.dataset import Dataset
from dilannot.data.settings import Task
from dilannot.errors import DilannotError

TABLE = SHARED / "bad-inputs/OWN-FORMATS.tsv"
TASKS: tuple[Task, ...] = ("dense", "window")

Editor = Callable[[Path], None]
Change = Callable[[h5py.File], None]


@pytest.fixture(scope="module")
def smalls(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Small]:
    return {task: small_dataset(tmp_path_factory.mktemp(task), task) for task in TASKS}


@pytest.fixture
def dense(smalls: dict[Task, Small]) -> Small:
    return smalls["dense"]


def inside(change: Change) -> Editor:
    """Change the HDF5 file and leave it as well-formed as HDF5 makes it."""

    def edit(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return edit


def attribute(name: str, value: object) -> Editor:
    return inside(lambda file: file.attrs.__setitem__(name, value))


def without(name: str) -> Editor:
    return inside(lambda file: file.__delitem__(name))


def without_attribute(name: str) -> Editor:
    return inside(lambda file: file.attrs.__delitem__(name))


def replaced(name: str, make: Callable[[np.ndarray], object]) -> Editor:
    """Put another array, link or group where a field was."""

    def change(file: h5py.File) -> None:
        old = file[name][:] if isinstance(file[name], h5py.Dataset) else np.zeros(0)
        del file[name]
        file[name] = make(old)

    return inside(change)


def put(name: str, row: int, value: object) -> Editor:
    return inside(lambda file: file[name].__setitem__(row, value))


def marker_named(name: str) -> Editor:
    return replaced("markers/name", lambda old: np.array([name.encode(), *old.tolist()[1:]]))


def to_a_group(file: h5py.File) -> None:
    del file["sequence/packed"]
    file.create_group("sequence/packed")


def to_no_windows(file: h5py.File) -> None:
    for name in [*(f"windows/{part}" for part in file["windows"]), "labels/marker", "labels/start", "labels/end"]:
        dtype = file[name].dtype
        del file[name]
        file[name] = np.zeros(0, dtype)
    del file["labels/offsets"]
    file["labels/offsets"] = np.zeros(1, np.int64)


def to_no_labels(file: h5py.File) -> None:
    rows = len(file["windows/start"])
    for name, array in {
        "labels/offsets": np.zeros(rows + 1, np.int64),
        "labels/marker": np.zeros(0, np.uint16),
        "labels/start": np.zeros(0, np.uint16),
        "labels/end": np.zeros(0, np.uint16),
        "markers/positives": np.zeros((2, 3), np.int64),
    }.items():
        del file[name]
        file[name] = array


def to_huge(file: h5py.File) -> None:
    del file["labels/marker"]
    file.create_dataset("labels/marker", (1 << 50,), np.uint16, chunks=(1 << 16,))


def to_external_storage(file: h5py.File) -> None:
    shape = file["windows/split"].shape
    del file["windows/split"]
    file.create_dataset("windows/split", shape, np.uint8, external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def to_virtual(file: h5py.File) -> None:
    shape = file["windows/split"].shape
    layout = h5py.VirtualLayout(shape, np.uint8)
    layout[:] = h5py.VirtualSource("not there.h5", "split", shape)
    del file["windows/split"]
    file.create_virtual_dataset("windows/split", layout)


def to_variable_length(file: h5py.File) -> None:
    del file["sequence/packed"]
    file.create_dataset("sequence/packed", (3,), h5py.vlen_dtype(np.uint8))


def to_dates(file: h5py.File) -> None:
    del file["windows/start"]
    space = h5py.h5s.create_simple((21,))
    h5py.h5d.create(file["windows"].id, b"start", h5py.h5t.UNIX_D32LE, space)


def to_filter(number: int) -> Change:
    """Chunks that only a plug-in can unpack (32015: Zstandard), or one that h5py brings along (32000: LZF)."""

    def change(file: h5py.File) -> None:
        split = file["windows/split"][:]
        del file["windows/split"]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk(split.shape)
        plan.set_filter(number, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple(split.shape)
        made = h5py.h5d.create(file["windows"].id, b"split", h5py.h5t.STD_U8LE, space, plan)
        made.write_direct_chunk((0,), split.tobytes(), 0)

    return change


def to_unsigned_offsets(file: h5py.File) -> None:
    """Offsets that go down, in a type whose differences never do."""
    offsets = file["labels/offsets"][:].astype(np.uint64)
    offsets[3] = offsets[-1]
    del file["labels/offsets"]
    file["labels/offsets"] = offsets


def to_linked_fields(file: h5py.File) -> None:
    """The link leads to the same field of a sound dataset beside this one."""
    shutil.copy(file.filename, Path(file.filename).with_name("sound.h5"))
    del file["sequence/packed"]
    file["sequence/packed"] = h5py.ExternalLink("sound.h5", "/sequence/packed")


def to_linked_group(file: h5py.File) -> None:
    shutil.copy(file.filename, Path(file.filename).with_name("sound.h5"))
    del file["sequence"]
    file["sequence"] = h5py.ExternalLink("sound.h5", "/sequence")


def with_bytes(change: Callable[[bytes], bytes]) -> Editor:
    return lambda path: path.write_bytes(change(path.read_bytes())) and None


def flip_a_label(path: Path) -> None:
    with h5py.File(path) as file:
        at = file["labels/start"].id.get_chunk_info(0).byte_offset + 5
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def other_hdf5(path: Path) -> None:
    path.unlink()
    with h5py.File(path, "w") as file:
        file["trainxdata"] = np.zeros((3, 4, 1000), np.uint8)


# Case of OWN-FORMATS.tsv -> how it is made here, and what the message says besides the file's name.
GIVEN: dict[str, tuple[Editor, str]] = {
    "empty": (with_bytes(lambda _: b""), "is empty"),
    "text": (with_bytes(lambda _: b"no such thing\n" * 99), "is not an HDF5 file"),
    "truncated": (with_bytes(lambda data: data[: len(data) // 2]), "truncated"),
    "truncated_1byte": (with_bytes(lambda data: data[:-1]), "truncated"),
    "bitflip": (flip_a_label, "corrupt"),
    "not_complete": (attribute("complete", 0), "incomplete: its build was interrupted"),
    "no_complete_attr": (without_attribute("complete"), "incomplete"),
    "other_hdf5": (other_hdf5, "no dilannot dataset"),
    "future_version": (attribute("format_version", 99), "format version 99; this dilannot reads version 2"),
    "no_labels": (without("labels"), "labels/offsets is missing"),
    "no_markers": (without("markers"), "markers/name is missing"),
    "rows_differ": (replaced("labels/offsets", lambda old: old[:-1]), "labels/offsets has 21 rows .* shapes differ"),
    "markers_differ": (
        replaced("markers/name", lambda _: np.array([b"x", b"y", b"z"])),
        "markers/class has 2 rows where markers has 3",
    ),
    "float_seq": (replaced("sequence/packed", lambda old: old.astype(np.float32)), "sequence/packed has dtype float32"),
    "object_seq": (inside(to_variable_length), "sequence/packed has dtype object"),
    "code_out_of_range": (put("sequence/n_end", -1, 1 << 40), "sequence/n: a run of N is out of range"),
    "label_7": (put("labels/marker", 0, 7), "labels/marker: a label of no marker"),
    "label_nan": (replaced("labels/start", lambda old: old * np.nan), "labels/start has dtype float64"),
    "all_zero_labels": (inside(to_no_labels), ""),  # read: see the test of evaluate
    "duplicate_markers": (marker_named("y_dnase"), "marker name 'y_dnase' stands twice"),
    "zero_rows": (inside(to_no_windows), "is empty: no windows"),
    "huge_shape": (inside(to_huge), "labels/marker declares 2,251,799,813,685,248 bytes and stores 0"),
    "external_link": (inside(to_linked_fields), "sequence/packed is an external or soft link"),
    "external_link_middle": (inside(to_linked_group), "sequence/packed is an external or soft link"),
    "external_storage": (inside(to_external_storage), "windows/split is virtual or external storage"),
    "virtual": (inside(to_virtual), "windows/split is virtual or external storage"),
    "soft_loop": (
        replaced("sequence/packed", lambda _: h5py.SoftLink("/sequence/packed")),
        "sequence/packed is an external or soft link",
    ),
    "seq_is_group": (inside(to_a_group), "sequence/packed is a group"),
    "marker_traversal": (marker_named("../../x"), "marker name '../../x' holds a slash"),
    "marker_absolute": (marker_named("/etc/x"), "marker name '/etc/x' holds a slash"),
    "marker_newline": (marker_named("x\ny"), "marker name .* holds control characters"),
    "marker_long": (marker_named("x" * 2000), "marker name of 2000 characters"),
    "unknown_filter": (inside(to_filter(32015)), "windows/split is compressed with a filter that dilannot never uses"),
    "split_bad": (put("windows/split", 0, 9), "windows/split holds an unknown split code"),
    "other_fasta": (lambda _: None, ""),  # the dataset is sound: see the test of annotate
}

# What that table does not think of.
FURTHER: dict[str, tuple[Editor, str]] = {
    "task_unknown": (attribute("task", "sparse"), "has the task 'sparse'"),
    "task_of_the_other_kind": (attribute("task", "window"), "labels/start does not belong to its task"),
    "task_is_a_list": (attribute("task", ["dense", "dense"]), "corrupt|task"),
    "format_is_a_number": (attribute("format", 7), "no dilannot dataset"),
    "version_is_text": (attribute("format_version", "2"), "format version 2"),
    "no_window": (without_attribute("window"), "attribute window is None, no number of bases"),
    "window_zero": (attribute("window", 0), "attribute window is .*0"),
    "window_negative": (attribute("window", -50), "attribute window is .*-50"),
    "window_longer_than_its_contig": (attribute("window", 600), "a window lies outside the sequence"),
    "window_beyond_64_bits": (attribute("window", np.uint64(2**64 - 1)), "attribute window is .*18446744073709551615"),
    "window_is_a_list": (attribute("window", [50, 50]), r"attribute window is array\(\[50, 50\]\)"),
    "window_is_text": (attribute("window", "fifty"), "attribute window is 'fifty', no number of bases"),
    "window_is_nan": (attribute("window", np.nan), "attribute window is .*nan"),
    "context_negative": (attribute("context", -10), "attribute context is .*-10"),
    "context_too_long": (attribute("context", 10_000), "a window lies outside the sequence"),
    "marker_empty": (marker_named(""), "marker name '' is empty"),
    "marker_not_utf8": (replaced("markers/name", lambda _: np.array([b"\xff", b"y"])), "corrupt.*utf-8"),
    "starts_are_dates": (inside(to_dates), "windows/start"),
    "starts_have_two_dimensions": (
        replaced("windows/start", lambda old: np.stack([old, old], 1)),
        "windows/start has shape",
    ),
    "starts_are_negative": (put("windows/start", 0, -50), "windows/start"),
    "offsets_go_down": (put("labels/offsets", 3, 10_000), "labels: the offsets do not fit the intervals"),
    "offsets_go_down_unsigned": (inside(to_unsigned_offsets), "labels/offsets has dtype uint64|the offsets do not fit"),
    "offsets_start_late": (put("labels/offsets", 0, 1), "labels: the offsets do not fit the intervals"),
    "label_ends_outside": (put("labels/end", 5, 51), "labels: an interval leaves its window"),
    "label_is_empty": (put("labels/start", 5, 50), "labels: an interval leaves its window"),
    "packed_is_16_bits_wide": (
        replaced("sequence/packed", lambda old: old.astype(np.uint16)),
        "sequence/packed has dtype uint16|checksum",
    ),
    "packed_in_chunks": (
        inside(lambda file: repacked(file, chunks=(100,))),
        "sequence/packed is not stored in one piece",
    ),
    "too_many_checks": (
        replaced("sequence/checks", lambda old: np.append(old, old)),
        "sequence/checks has 2 rows",
    ),
    "n_is_empty": (put("sequence/n_end", 0, 0), "sequence/n: runs of N overlap"),
    "n_before_the_start": (put("sequence/n_start", 0, -5), "sequence/n: a run of N is out of range"),
    "window_beyond_the_sequence": (put("windows/offset", 3, 1 << 40), "windows/offset: a window lies outside"),
    "window_before_the_sequence": (put("windows/offset", 3, -4), "windows/offset: a window lies outside"),
    "window_near_the_end_of_integers": (put("windows/offset", 3, 2**63 - 1), "windows/offset: a window lies outside"),
    "window_on_no_contig": (put("windows/contig", 0, 9), "windows/contig: a window on no contig"),
    "windows_linked": (replaced("windows/split", lambda _: h5py.SoftLink("/sequence/packed")), "external or soft link"),
    "filter_of_h5py": (inside(to_filter(32000)), "windows/split is compressed with a filter"),
    "provenance_is_no_json": (replaced("provenance", lambda _: np.array([b"{"])), "corrupt"),
    "provenance_is_a_list": (replaced("provenance", lambda _: np.array([b"[1, 2]"])), "provenance"),
    "provenance_names_no_genome": (replaced("provenance", lambda _: np.array([b"{}"])), "provenance"),
    "provenance_is_nested": (replaced("provenance", lambda _: np.array([b"[" * 100_000])), "corrupt"),
    "provenance_is_huge": (
        inside(lambda file: huge_text(file)),
        "provenance declares",
    ),
}


def repacked(file: h5py.File, **storage: object) -> None:
    packed = file["sequence/packed"][:]
    del file["sequence/packed"]
    file.create_dataset("sequence/packed", data=packed, **storage)


def huge_text(file: h5py.File) -> None:
    del file["provenance"]
    file.create_dataset("provenance", (1,), "S2000000000", chunks=(1,))


def given_patterns() -> dict[str, str]:
    """Pattern of the message for each case of the given table that must fail."""
    if not TABLE.exists():
        return {}
    with open(TABLE, newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {
        row["case"].removeprefix("hdf5/"): row["message_must_match_or_what_must_hold"].split(" OR ")[0]
        for row in rows
        if row["case"].startswith("hdf5/")
    }


PATTERNS = given_patterns()


@pytest.mark.parametrize("case", [case for case in (GIVEN | FURTHER) if case not in ("all_zero_labels", "other_fasta")])
def test_a_bad_dataset_is_refused_in_one_line(
    cli: Cli, dense: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    edit, message = (GIVEN | FURTHER)[case]
    path = tmp_path / f"{case}.h5"
    shutil.copy(dense.path, path)
    edit(path)
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir())
    result = cli("train", path, "--max-steps", 1)
    assert "Traceback" not in result.err
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert (result.code, len(errors)) == (1, 1), result.err
    assert re.search(rf"{case}\.h5: .*({message})", errors[0]), errors[0]
    if case in PATTERNS:
        assert re.search(PATTERNS[case], errors[0]), errors[0]
    assert len(errors[0]) < 500
    assert sorted(os.listdir()) == before, "something was left behind"


@pytest.mark.parametrize("case", GIVEN | FURTHER)
def test_info_tells_or_refuses_what_a_bad_dataset_holds(cli: Cli, dense: Small, tmp_path: Path, case: str) -> None:
    path = tmp_path / f"{case}.h5"
    shutil.copy(dense.path, path)
    (GIVEN | FURTHER)[case][0](path)
    result = cli("info", path)
    assert "Traceback" not in result.err
    assert result.code in (0, 1)
    assert result.code == 0 or re.search(rf"^error: .*{case}\.h5: ", result.err, re.M), result.err


def test_an_untouched_copy_is_not_refused(
    cli: Cli, dense: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(dense.path, tmp_path / "copy.h5")
    inside(lambda file: repacked(file))(tmp_path / "copy.h5")
    assert everything(tmp_path / "copy.h5") == everything(dense.path)
    result = cli("train", "copy.h5", "--max-steps", 1)
    assert result.code == 0, result.err
    assert "run" in os.listdir()


@pytest.mark.skipif(not PATTERNS, reason=f"needs {TABLE}")
def test_no_given_case_is_forgotten() -> None:
    assert PATTERNS.keys() == GIVEN.keys()


@pytest.fixture
def trained(cli: Cli, dense: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `genome.fa`, `dataset.h5` and a `run` of one step, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    for path in (dense.genome, dense.peaks):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, path.name)
    built = cli("build-data", "genome.fa", "peaks", "--window", 50, "--split", "windows", "-q")
    assert built.code == 0, built.err
    assert cli("train", "--max-steps", 1, "-q").code == 0
    return tmp_path


def test_scores_of_a_dataset_without_labels_are_undefined_and_not_zero(cli: Cli, trained: Path) -> None:
    inside(to_no_labels)(trained / "dataset.h5")
    result = cli("evaluate", "--json")
    assert result.code == 0, result.err
    record = json.loads(result.out)
    assert record["without_positives"] == ["x_ctcf", "y_dnase"]
    assert {marker["roc_auc"] for marker in record["markers"]} == {None}


def test_a_genome_that_changed_is_refused_where_it_is_read_and_not_needed_elsewhere(cli: Cli, trained: Path) -> None:
    evaluated = cli("evaluate", "-o", "before")
    assert evaluated.code == 0, evaluated.err
    write_fasta(Path("genome.fa"), CONTIGS | {"b": random_sequence(430, 3)})
    before = sorted(os.listdir())
    result = cli("annotate", "-r", "a", "-o", "tracks")
    assert result.code == 1
    [line] = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert re.search(r"genome\.fa.*MD5", line), line
    assert sorted(os.listdir()) == before
    assert cli("evaluate", "-o", "after").code == 0
    assert Path("before.tsv").read_text() == Path("after.tsv").read_text()


@pytest.mark.parametrize("task", TASKS)
def test_a_dataset_cut_at_any_byte_is_refused(smalls: dict[Task, Small], tmp_path: Path, task: Task) -> None:
    bad = tmp_path / "bad.h5"
    shutil.copy(smalls[task].path, bad)
    for length in reversed(range(bad.stat().st_size)):
        os.truncate(bad, length)
        with pytest.raises(DilannotError, match="truncated|is empty") as error, schema.open_dataset(bad):
            pass
        assert error.value.where == bad


Damage = tuple[str, int, int]


def answers(small: Small, bad: Path, damages: list[Damage]) -> list[str]:
    """What a process of its own makes of each damage; it must get over all of them."""
    program = [sys.executable, str(REPOSITORY / "tests/read_damaged.py"), str(small.path), str(bad)]
    result = subprocess.run(program, input=json.dumps(damages), capture_output=True, text=True, timeout=120)
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0, f"ended with {result.returncode} at {damages[len(found)]}: {result.stderr}"
    assert len(found) == len(damages)
    return found


@pytest.mark.parametrize("task", TASKS)
def test_flipped_bits_lost_sectors_and_cuts_are_refused_or_change_nothing(
    smalls: dict[Task, Small], tmp_path: Path, task: Task
) -> None:
    small = smalls[task]
    size, chance = small.path.stat().st_size, random.Random(task)
    flips: list[Damage] = [("flip", chance.randrange(size), chance.randrange(8)) for _ in range(1000)]
    sectors: list[Damage] = [("zero", at, 512) for at in range(0, size, 512)]
    cuts: list[Damage] = [("cut", at, 0) for at in range(size // 13, size, size // 13)]
    damages = flips + sectors + cuts
    found = answers(small, tmp_path / "bad.h5", damages)
    wrong = [(damage, text) for damage, text in zip(damages, found, strict=True) if text not in ("same", "refused")]
    assert not wrong
    assert found.count("refused") > 500, "the damage is not looked for"
    assert set(found[-len(cuts) :]) == {"refused"}


def test_the_reader_of_damage_can_tell_a_difference(smalls: dict[Task, Small], tmp_path: Path) -> None:
    """Negative control: a sequence that was changed together with its checksum is another dataset."""
    bad = tmp_path / "bad.h5"
    shutil.copy(smalls["dense"].path, bad)

    def change(file: h5py.File) -> None:
        packed = file["sequence/packed"][:]
        packed[3] ^= 1
        file["sequence/packed"][:] = packed
        file["sequence/checks"][0] = schema.checksum(packed.tobytes())

    inside(change)(bad)
    good, other = everything(smalls["dense"].path), everything(bad)
    assert [name for name in good if good[name] != other[name]] == ["sequence"]


def test_damage_that_a_worker_meets_is_told_as_if_there_were_none(dense: Small, tmp_path: Path) -> None:
    bad = tmp_path / "bad.h5"
    shutil.copy(dense.path, bad)
    put("sequence/checks", 0, 1)(bad)
    said = []
    for workers in (0, 2):
        with Dataset(bad) as data, pytest.raises(DilannotError) as error:
            list(data.batches("train", 4, workers=workers))
        said.append((str(error.value), error.value.where, error.value.exit_code))
    assert said[0] == said[1]


def test_a_dataset_that_shrinks_while_it_is_open_is_refused(dense: Small, tmp_path: Path) -> None:
    path = tmp_path / "shrinking.h5"
    shutil.copy(dense.path, path)
    with Dataset(path) as data:
        os.truncate(path, 100)
        with pytest.raises(DilannotError, match=r"shrinking\.h5: corrupt"):
            data.sequence(data.rows("train"))
