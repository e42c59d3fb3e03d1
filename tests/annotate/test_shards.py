"""Shards, in any number, order and folder, and their merge: the bytes of an annotation that was made whole."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import resource
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import toy_models  # noqa: F401 (registers)
from conftest import Cli
from disk_faults import NAMES, DiskFaults
from small_annotations import CONTIGS, OPTIONS, annotated, contents, hidden_file, small_genome, small_run

from dilannot.annotate.merge import merge
from dilannot.annotate.parts import HIDDEN
from dilannot.annotate.plan import Scope
from dilannot.annotate.shards import Shard, shard_asked
from dilannot.annotate.store import read_records
from dilannot.errors import DilannotError
from dilannot.outputs import locked, sweep
from dilannot.tracks import read_manifest

BLOCKS = len(CONTIGS)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return small_run(folder / "run", small_genome(folder))


@pytest.fixture(scope="module")
def whole(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("whole") / "tracks"
    annotated(run, output)
    return contents(output)


def make_shards(run: Path, output: Path, numbers: Sequence[int], count: int) -> None:
    for number in numbers:
        annotated(run, output, shard=Shard(number, count))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, BLOCKS + 3])
def test_shards_in_any_order_merge_to_the_same_bytes(
    run: Path, whole: dict[str, bytes], tmp_path: Path, count: int
) -> None:
    output, numbers = tmp_path / "tracks", list(range(1, count + 1))
    random.Random(count).shuffle(numbers)
    make_shards(run, output, numbers, count)
    assert os.listdir(output) == [HIDDEN]
    made = [record.block for path in sorted(output.glob(f"{HIDDEN}/part-*")) for record in read_records(path)]
    assert sorted(made) == list(range(BLOCKS))  # each once
    merge(output)
    assert contents(output) == whole


def test_a_part_of_a_shard_is_made_once(run: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """A shard that is done and started again does nothing; one that lost its file makes it again."""
    output = tmp_path / "tracks"
    make_shards(run, output, (1, 2), 2)
    before = hidden_file(output, "part-1-of-2.blocks").stat().st_mtime_ns
    make_shards(run, output, (1,), 2)
    assert hidden_file(output, "part-1-of-2.blocks").stat().st_mtime_ns == before
    hidden_file(output, "part-2-of-2.blocks").unlink()
    make_shards(run, output, (2,), 2)
    merge(output)
    assert contents(output) == whole


def test_shards_of_an_older_dilannot_are_merged(run: Path, tmp_path: Path) -> None:
    """They do not name the peaks that markers learnt from."""
    output = tmp_path / "tracks"
    make_shards(run, output, (1, 2), 2)
    path = hidden_file(output, "annotation.json")
    record = json.loads(path.read_text())
    del record["sha256"], record["call_at"]
    for marker in record["markers"]:
        del marker["peaks"]
    record["sha256"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(record))
    merge(output)
    assert [row["peaks"] for row in read_manifest(output)["tracks"]] == [""] * 3


@pytest.mark.parametrize("into", ["one of them", "a new one", "one and itself"])
def test_shards_of_several_folders_are_merged(run: Path, whole: dict[str, bytes], tmp_path: Path, into: str) -> None:
    folders = [tmp_path / f"node{number}" for number in (1, 2, 3)]
    for number, folder in enumerate(folders, 1):
        make_shards(run, folder, (number,), 3)
    output = tmp_path / "new" if into == "a new one" else folders[0]
    others = folders if into != "one of them" else folders[1:]
    kept = contents(folders[1])
    merge(output, others)
    assert contents(output) == whole
    assert contents(folders[1]) == kept


def test_a_block_that_lies_in_two_folders_is_taken_once(run: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    make_shards(run, tmp_path / "one", (1, 2), 2)
    make_shards(run, tmp_path / "two", (2,), 2)
    merge(tmp_path / "one", [tmp_path / "two"])
    assert contents(tmp_path / "one") == whole


def test_a_missing_shard_is_named_and_nothing_is_published(run: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    output = tmp_path / "tracks"
    make_shards(run, output, (3, 1), 3)
    message = "tracks/.annotation: 1 of 3 shards are not complete: 2; run them .again., then merge"
    with pytest.raises(DilannotError, match=message):
        merge(output)
    with pytest.raises(DilannotError, match="1 of 3 shards are not complete: 2"):
        merge(tmp_path / "new", [output])
    assert not (tmp_path / "new").exists()
    assert os.listdir(output) == [HIDDEN]
    make_shards(run, output, (2,), 3)
    merge(output)
    assert contents(output) == whole


def test_a_damaged_shard_is_found_and_made_again(run: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    output = tmp_path / "tracks"
    make_shards(run, output, (1, 2), 2)
    part = hidden_file(output, "part-2-of-2.blocks")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    with pytest.raises(DilannotError, match=r"1 of \d shards are not complete: \d"):
        merge(output)
    make_shards(run, output, (2,), 2)
    merge(output)
    assert contents(output) == whole


def test_a_shard_that_is_still_written_is_not_merged(run: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    output = tmp_path / "tracks"
    make_shards(run, output, (1, 2), 2)
    message = rf"part-2-of-2.blocks: another dilannot is writing here \(pid {os.getpid()} on "
    with locked(hidden_file(output, "part-2-of-2.blocks")), pytest.raises(DilannotError, match=message) as error:
        merge(output)
    assert error.value.exit_code == 3
    merge(output)
    assert contents(output) == whole


def test_the_same_shard_twice_at_the_same_time_is_refused(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "tracks"
    make_shards(run, output, (1,), 2)
    with (
        locked(hidden_file(output, "part-1-of-2.blocks")),
        pytest.raises(DilannotError, match=r"part-1-of-2.blocks: another dilannot is writing here"),
    ):
        make_shards(run, output, (1,), 2)


def test_merging_twice_and_merging_nothing_are_refused(
    cli: Cli, run: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "tracks"
    make_shards(run, output, (1,), 1)
    assert cli("merge", output).code == 0
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    finished = cli("merge", output)
    assert (finished.code, finished.err) == (1, f"error: {output}: is finished: there is nothing to merge\n")
    for folder in (tmp_path / "empty", tmp_path / "nowhere", tmp_path / "file"):
        result = cli("merge", folder)
        assert (result.code, result.err) == (1, f"error: {folder}: no annotation was begun here\n")
    assert contents(output) == whole
    assert not (tmp_path / "nowhere").exists()


def test_more_shards_than_files_may_be_open(
    run: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the system really does not allow it."""
    output, before = tmp_path / "tracks", resource.getrlimit(resource.RLIMIT_NOFILE)
    make_shards(run, output, range(1, 71), 70)
    allowed = len(os.listdir("/dev/fd")) + 50
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, before[1]))
        with monkeypatch.context() as patch, pytest.raises(OSError, match="Too many open files"):
            patch.setattr("dilannot.annotate.parts._allow_open_files", lambda _: None)
            merge(output)
        merge(output)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert contents(output) == whole


def test_a_merge_that_fails_at_any_call_goes_on(cli: Cli, run: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """With shards in two folders; what is not its output stays as it is."""
    output, other, calls = tmp_path / "tracks", tmp_path / "other", (*NAMES, "pwrite", "link", "rename")
    make_shards(run, tmp_path / "first", (1, 2), 3)
    make_shards(run, other, (3,), 3)
    kept = contents(other)
    for number in range(1, 200, 4):
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(tmp_path / "first", output)
        with pytest.MonkeyPatch.context() as patch:
            DiskFaults(number, names=calls).install(patch.setattr)
            result = cli("merge", output, other, "--quiet")
        if result.code == 0:
            break
        assert result.code == 3
        assert re.fullmatch(r"error: \S+: (Input/output error|No space left on device)\n", result.err)
        again = cli("merge", output, other)
        assert again.code == 0 or "exists already" in again.err  # the last call failed, and all is there
        sweep(output)
        assert contents(output) == whole
        assert contents(other).items() >= kept.items()  # a lock that could not be removed may lie there, too
    assert number > 30


def test_a_merge_does_not_overwrite(run: Path, tmp_path: Path) -> None:
    make_shards(run, tmp_path / "shards", (1,), 1)
    annotated(run, tmp_path / "tracks", scope=Scope(regions=["f"]))
    before = contents(tmp_path / "tracks")
    with pytest.raises(DilannotError, match="exists already"):
        merge(tmp_path / "tracks", [tmp_path / "shards"])
    assert contents(tmp_path / "tracks") == before


def test_shards_of_another_annotation_are_refused(run: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    make_shards(run, one, (1,), 2)
    annotated(run, other, shard=Shard(2, 2), threshold=0.3)
    with pytest.raises(DilannotError, match=f"holds shards of another annotation than {one}") as error:
        merge(one, [other])
    assert error.value.where == other
    with pytest.raises(DilannotError, match=r"with another number of shards \(2, not 3\)"):
        make_shards(run, one, (3,), 3)
    with pytest.raises(DilannotError, match=r"with another number of shards \(2, not 1\)"):
        annotated(run, one)


def test_shards_of_nothing_but_n_have_no_tracks(run: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        annotated(run, tmp_path / "tracks", shard=Shard(number, 2), scope=Scope(regions=["c"]))
    with pytest.raises(DilannotError, match="nothing but N in the regions asked for"):
        merge(tmp_path / "tracks")
    assert not (tmp_path / "tracks" / HIDDEN).exists()


def test_a_shard_of_finished_tracks_is_refused(run: Path, tmp_path: Path) -> None:
    annotated(run, tmp_path / "tracks")
    before = contents(tmp_path / "tracks")
    with pytest.raises(DilannotError, match="exists already"):
        make_shards(run, tmp_path / "tracks", (1,), 2)
    assert contents(tmp_path / "tracks") == before


def test_force_and_shard_do_not_go_together(cli: Cli, run: Path, tmp_path: Path) -> None:
    result = cli("annotate", run, "-o", tmp_path / "tracks", "--shard", "1/2", "--force")
    assert result.code == 2
    assert "--force and --shard do not go together" in result.err
    assert not (tmp_path / "tracks").exists()


TORCHRUN = {"RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0"}
SRUN = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "3", "SLURM_LOCALID": "0"}
ALONE = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1", "SLURM_LOCALID": "0"}


def array(here: int, first: int, last: int, step: int = 1, count: int | None = None) -> dict[str, str]:
    found = {"ID": here, "MIN": first, "MAX": last, "STEP": step, "COUNT": count or (last - first) // step + 1}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in found.items()}


@pytest.mark.parametrize(
    ("asked", "environment", "expected"),
    [
        (None, {}, None),
        ("1/1", {}, Shard(1, 1)),
        ("3/7", TORCHRUN, Shard(3, 7)),
        (None, TORCHRUN, Shard(3, 4, 0)),
        ("auto", TORCHRUN, Shard(3, 4, 0)),
        (None, SRUN, Shard(1, 3, 0)),
        (None, ALONE, None),
        (None, array(2, 1, 4), None),
        ("auto", array(2, 1, 4), Shard(2, 4)),
        ("auto", array(0, 0, 3), Shard(1, 4)),
        ("auto", array(3, 0, 3), Shard(4, 4)),
        ("auto", array(10, 0, 25, 5), Shard(3, 6)),
        ("auto", array(7, 1, 8, 3), Shard(3, 3)),
        ("auto", array(2, 1, 4) | ALONE, Shard(2, 4)),
        ("auto", array(5, 5, 5), Shard(1, 1)),
    ],
)
def test_which_shard_is_meant(asked: str | None, environment: Mapping[str, str], expected: Shard | None) -> None:
    assert shard_asked(asked, environment) == expected


@pytest.mark.parametrize(
    ("asked", "environment", "message"),
    [
        ("auto", {}, "neither torchrun, srun nor a SLURM array started this: give I/N"),
        ("auto", array(3, 1, 7, 1, count=3), "not evenly spaced: give I/N"),  # --array=1,3,7
        ("0/3", {}, "I from 1 to N"),
        ("4/3", {}, "I from 1 to N"),
        ("1/0", {}, "I from 1 to N"),
        ("1", {}, "I from 1 to N"),
        ("", {}, "I from 1 to N"),
        ("-1/3", {}, "I from 1 to N"),
        ("１/３", {}, "I from 1 to N"),
        ("1/3\n", {}, "I from 1 to N"),
        (None, TORCHRUN | {"RANK": "x"}, "RANK"),
        (None, TORCHRUN | {"RANK": "4"}, "RANK"),
        ("auto", array(9, 1, 4), "SLURM_ARRAY_TASK_ID"),
        ("auto", array(1, 1, 4) | {"SLURM_ARRAY_TASK_MAX": ""}, "SLURM_ARRAY_TASK_MAX"),
        ("auto", array(1, 1, 4) | {"SLURM_ARRAY_TASK_STEP": "-1"}, "SLURM_ARRAY_TASK_STEP"),
    ],
)
def test_shards_that_cannot_be(asked: str, environment: Mapping[str, str], message: str) -> None:
    with pytest.raises(DilannotError, match=message) as error:
        shard_asked(asked, environment)
    assert error.value.exit_code == 2


def test_array_jobs_are_told_by_their_launcher(
    cli: Cli, run: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "tracks"
    for number in (4, 0, 2):
        for name, value in array(number, 0, 4, 2).items():
            monkeypatch.setenv(name, value)
        result = cli("annotate", run, "-o", output, *OPTIONS, "--shard", "auto")
        assert result.code == 0, result.err
        assert f"shard {number // 2 + 1}/3 is done; when all are: dilannot merge {output}" in result.err
    assert cli("merge", output).code == 0
    assert contents(output) == whole


def test_shards_of_another_version_are_refused(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_shards(run, tmp_path / "t", (1, 2), 2)
    monkeypatch.setattr("dilannot.__version__", "9.9")
    with pytest.raises(DilannotError, match=r"its shards are of dilannot .*, this is 9\.9"):
        merge(tmp_path / "t")


def test_a_folder_named_twice_is_one(run: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    make_shards(run, tmp_path / "one", (1, 2), 2)
    merge(tmp_path / "new", [tmp_path / "one", tmp_path / "one" / ".." / "one"])
    assert contents(tmp_path / "new") == whole
