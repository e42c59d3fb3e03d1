"""An annotation that was stopped anywhere and goes on leaves the same bytes as one that never was."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from small_annotations import CONTIGS, OPTIONS, SETTINGS, annotated, contents, hidden_file, small_genome, small_run

from dilannot.annotate import finish, publish
from dilannot.annotate.annotate import survey
from dilannot.annotate.blocks import Block
from dilannot.annotate.parts import HIDDEN
from dilannot.annotate.plan import Scope
from dilannot.annotate.shards import Shard
from dilannot.annotate.store import Appender, read_records
from dilannot.annotate.stream import Engine, Made
from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.outputs import locked
from dilannot.progress import Silent

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


class Stop(BaseException):
    """Nothing catches it."""


def stopped_at_block(monkeypatch: pytest.MonkeyPatch, number: int, *given: Any, **more: Any) -> None:
    """An annotation that ends when it would write its `number`-th block, from 1 on."""
    append, appended = Appender.append, list[bytes]()

    def counted(self: Appender, record: bytes) -> None:
        appended.append(record)
        if len(appended) == number:
            raise Stop
        append(self, record)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Appender, "append", counted)
        annotated(*given, **more)


def blocks_there(output: Path) -> set[int]:
    return {record.block for record in read_records(hidden_file(output))}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of all blocks that are made from here on."""
    make, numbers = Engine.make, list[int]()

    def noted(self: Engine, block: Block) -> Made:
        numbers.append(block.number)
        return make(self, block)

    monkeypatch.setattr(Engine, "make", noted)
    return numbers


@pytest.fixture
def begun(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output with three blocks of six."""
    stopped_at_block(monkeypatch, 4, run, tmp_path / "tracks")
    assert len(blocks_there(tmp_path / "tracks")) == 3
    return tmp_path / "tracks"


@pytest.mark.parametrize("number", range(2, BLOCKS + 1))
def test_it_goes_on_with_the_blocks_that_are_not_there(
    run: Path,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: list[int],
    number: int,
) -> None:
    output = tmp_path / "tracks"
    stopped_at_block(monkeypatch, number, run, output)
    assert set(os.listdir(output)) == {HIDDEN}
    there = blocks_there(output)
    assert len(there) == number - 1
    made.clear()
    annotated(run, output)
    assert sorted(made) == sorted(set(range(BLOCKS)) - there)
    assert contents(output) == whole


def test_stopped_before_the_first_block_it_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at_block(monkeypatch, 1, run, tmp_path / "tracks")
    assert not (tmp_path / "tracks").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tile": 200}, r"with another --tile \(100, not 200\)"),
        ({"precision": 0.1}, r"with another --precision \(0\.01, not 0\.1\)"),
        ({"min_score": 0.2}, r"with another --min-score \(the default, not 0\.2\)"),
        ({"bin_length": 20}, r"with another --bin \(1, not 20\)"),
        ({"both_strands": True}, "without --rc"),
        ({"threshold": 0.3}, r"with another --threshold \(the default, not 0\.3\)"),
        ({"merge_gap": 0}, r"with another --merge-gap \(5, not 0\)"),
        ({"min_length": 1}, r"with another --min-length \(5, not 1\)"),
        ({"bgzip": True}, "without --bgzip"),
        ({"bigbed": True}, "without --bigbed"),
        ({"scope": Scope(markers=["G C"])}, "with other markers"),
        ({"scope": Scope(regions=["a"])}, "with other regions"),
        ({"shard": Shard(1, 2)}, r"with another number of shards \(1, not 2\)"),
        ({"weights": "last"}, r"with other weights \(\w{12}…, not \w{12}…\)"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_annotation_than_was_begun_is_refused(
    run: Path, whole: dict[str, bytes], begun: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    before = contents(begun)
    force = f"remove {begun}/.annotation" if "shard" in changes else "use --force"
    remedy = f"; go on with its settings, give another -o, or {force} to begin again"
    with pytest.raises(DilannotError, match=f"an annotation that is not finished lies here, {message}") as error:
        annotated(run, begun, **changes)
    assert (error.value.where, error.value.exit_code) == (begun, 1)
    assert str(error.value).endswith(remedy)
    assert contents(begun) == before
    if "shard" not in changes:
        annotated(run, begun, force=True, **changes)
        annotated(run, tmp_path / "new", **changes)
        assert contents(begun) == contents(tmp_path / "new") != whole


def test_the_same_weights_in_another_network_are_refused(run: Path, begun: Path, tmp_path: Path) -> None:
    """As a dilation, which no weight shows."""
    other = tmp_path / "other"
    shutil.copytree(run, other)
    record = json.loads((other / "run.json").read_text())
    record["window"] += record["window"]
    (other / "run.json").write_text(json.dumps(record))
    with pytest.raises(DilannotError, match="lies here, with another network"):
        annotated(other, begun)


def test_force_does_not_take_away_what_a_shard_is_making(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "tracks"
    annotated(run, output, shard=Shard(1, 2))
    before = contents(output)
    with locked(hidden_file(output, "part-1-of-2.blocks")), pytest.raises(DilannotError, match="is writing") as error:
        annotated(run, output, force=True)
    assert error.value.exit_code == ENVIRONMENT
    assert contents(output) == before


def test_a_survey_refuses_what_cannot_go_on(run: Path, begun: Path) -> None:
    before = contents(begun)
    for shard in (None, Shard(1, 2)):
        with pytest.raises(DilannotError, match="an annotation that is not finished lies here"):
            survey(run, output=begun, settings=replace(SETTINGS, precision=0.1), shard=shard)
    lines = survey(run, output=begun, settings=SETTINGS)
    assert lines[0].startswith(f"{sum(map(len, CONTIGS.values())):,} nt of ")
    assert contents(begun) == before


def test_a_first_block_of_one_base_does_not_mislead_the_estimate(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fixed costs of that base, times all others, were hours and gigabytes."""
    said: list[str] = []
    contig = max(CONTIGS, key=lambda name: len(CONTIGS[name]))
    monkeypatch.setattr("dilannot.annotate.blocks.LENGTH", 200)
    progress = Silent()
    monkeypatch.setattr(progress, "say", said.append)
    annotated(run, tmp_path / "t", scope=Scope([f"{contig}:200-"]), progress=progress)
    (guess,) = (line for line in said if line.startswith("about "))
    number, unit = re.search(r"([\d.,]+) (KB|MB|GB) of tracks", guess).groups()
    assert unit == "KB"
    assert float(number.replace(",", "")) < 200


def test_the_same_annotation_with_force_goes_on(
    run: Path, whole: dict[str, bytes], begun: Path, made: list[int]
) -> None:
    there = blocks_there(begun)
    annotated(run, begun, force=True)
    assert sorted(made) == sorted(set(range(BLOCKS)) - there)
    assert contents(begun) == whole


def test_a_genome_that_was_edited_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One base; it has the same size and the same time."""
    genome, output = small_genome(tmp_path), tmp_path / "tracks"
    run = small_run(tmp_path / "run", genome)
    stopped_at_block(monkeypatch, 4, run, output)
    text, status = genome.read_text(), genome.stat()
    genome.write_text(text[:40] + ("C" if text[40] in "Aa" else "A") + text[41:])
    os.utime(genome, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (genome.stat().st_size, genome.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    with pytest.raises(DilannotError, match=r"a is not what the run was trained on \(MD5 \w+ against \w+\)"):
        annotated(run, output)
    with pytest.raises(DilannotError, match="lies here, with another genome;"):
        annotated(run, output, genome=genome)
    genome.write_text(text)
    annotated(run, output)
    annotated(run, tmp_path / "new")
    assert contents(output) == contents(tmp_path / "new")


DAMAGES: dict[str, Callable[[bytearray, int, int], None]] = {
    "flipped bit": lambda data, begin, end: data.__setitem__((begin + end) // 2, data[(begin + end) // 2] ^ 4),
    "flipped bit in its head": lambda data, begin, end: data.__setitem__(begin + 13, data[begin + 13] ^ 1),
    "other length": lambda data, begin, end: data.__setitem__(begin + 30, 255),
    "cut": lambda data, begin, end: data.__delitem__(slice(end - 7, None)),
    "cut in its head": lambda data, begin, end: data.__delitem__(slice(begin + 20, None)),
    "zeros": lambda data, begin, end: data.__setitem__(slice(begin, end), bytes(end - begin)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_block_is_made_again(
    run: Path, whole: dict[str, bytes], begun: Path, made: list[int], damage: str
) -> None:
    part = hidden_file(begun)
    first, second, third = read_records(part)
    data = bytearray(part.read_bytes())
    DAMAGES[damage](data, second.offset, second.end)
    part.write_bytes(data)
    # Where the head still says how long it is, only that one is lost.
    left = [first, third] if damage.startswith("flipped") else [first]
    assert list(read_records(part)) == left
    annotated(run, begun)
    assert set(made) == set(range(BLOCKS)) - {record.block for record in left}
    assert contents(begun) == whole


def no_json(path: Path) -> None:
    path.write_text("{")


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff" + path.read_bytes()[1:])


def no_object(path: Path) -> None:
    path.write_text("[1]")


def empty(path: Path) -> None:
    path.write_text("")


def one_digit(path: Path) -> None:
    """Still JSON, and what the blocks were made with is another."""
    text = path.read_text()
    assert text.count('"merge_gap": 5') == 1
    path.write_text(text.replace('"merge_gap": 5', '"merge_gap": 7'))


@pytest.mark.parametrize("damage", [no_json, no_text, no_object, empty, one_digit])
def test_a_damaged_record_of_what_was_begun_is_one_clear_line(
    cli: Cli, run: Path, whole: dict[str, bytes], begun: Path, damage: Callable[[Path], None]
) -> None:
    damage(hidden_file(begun, "annotation.json"))
    for command in (("annotate", run, "-o", begun, *OPTIONS), ("merge", begun)):
        result = cli(*command)
        assert result.code == 1
        assert result.err.splitlines()[-1] == (
            f"error: {begun}/.annotation/annotation.json: is damaged; begin again with --force"
        )
    assert cli("annotate", run, "-o", begun, *OPTIONS, "--force").code == 0
    assert contents(begun) == whole


def stopped_while_finishing(monkeypatch: pytest.MonkeyPatch, run: Path, output: Path, tracks: int, **more: Any) -> None:
    """After so many of the tracks, each of which is finished by itself."""
    append, appended = finish._append_to_journal, list[str]()

    def stopping(path: Path, written: list[finish.Written]) -> None:
        append(path, written)
        appended.extend(each.name for each in written)
        if len(appended) == tracks:
            raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(finish, "_GROUP", 1)
        patch.setattr(finish, "_append_to_journal", stopping)
        annotated(run, output, threads=1, **more)


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of all tracks that are finished from here on."""
    group, numbers = finish._finish_group, list[int]()

    def noted(work: finish.Finish, reader: Any, tracks: slice) -> list[finish.Written]:
        numbers.extend(range(tracks.start, tracks.stop))
        return group(work, reader, tracks)

    monkeypatch.setattr(finish, "_finish_group", noted)
    return numbers


def test_tracks_that_are_finished_stay(
    run: Path,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: list[int],
    finished: list[int],
) -> None:
    output = tmp_path / "tracks"
    stopped_while_finishing(monkeypatch, run, output, 2)
    assert os.listdir(output) == [HIDDEN]
    made.clear()
    finished.clear()
    annotated(run, output)
    assert (made, finished) == ([], [2])
    assert contents(output) == whole


def cut_journal(files: Path) -> None:
    journal = files / "finished.jsonl"
    journal.write_bytes(journal.read_bytes()[:-5])


def other_journal(files: Path) -> None:
    journal = files / "finished.jsonl"
    text = journal.read_text()
    assert text.count('"bases": ') == 2
    journal.write_text(text[::-1].replace('"bases": '[::-1], '"bases": 1'[::-1], 1)[::-1])


def no_bed(files: Path) -> None:
    next(files.glob("a_1-*.bed")).unlink()


def no_bigwig(files: Path) -> None:
    next(files.glob("a_1-*.bw")).unlink()


@pytest.mark.parametrize("damage", [cut_journal, other_journal, no_bed, no_bigwig])
def test_a_track_that_is_not_there_any_more_is_finished_again(
    run: Path,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    finished: list[int],
    damage: Callable[[Path], None],
) -> None:
    output = tmp_path / "tracks"
    stopped_while_finishing(monkeypatch, run, output, 2)
    damage(hidden_file(output, "files"))
    finished.clear()
    annotated(run, output)
    assert finished == [1, 2]
    assert contents(output) == whole


def stopped_while_publishing(monkeypatch: pytest.MonkeyPatch, run: Path, output: Path, files: int, **more: Any) -> None:
    """After so many files have their names."""
    replace, replaced = os.replace, list[str]()

    def stopping(source: Path, target: Path) -> None:
        if Path(target).parent == output and Path(source).parent.name == "files":
            if len(replaced) == files:
                raise Stop
            replaced.append(Path(target).name)
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr("os.replace", stopping)
        annotated(run, output, **more)
    assert not (output / "tracks.json").exists()


@pytest.mark.parametrize("files", [0, 1, 4])
@pytest.mark.parametrize("now", ["the same", "the same with force", "another"])
def test_stopped_while_files_get_their_names_over_former_tracks(
    run: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int, now: str
) -> None:
    """The former ones go with the next annotation, even if it is another; what the user put there never does."""
    output, some = tmp_path / "tracks", {"scope": Scope(markers=["G C"])}
    annotated(run, output, bgzip=True, bigbed=True)
    (output / "mine.txt").write_text("keep")
    stopped_while_publishing(monkeypatch, run, output, files, force=True)
    if now == "another":
        expected = tmp_path / "some"
        annotated(run, output, force=True, **some)
        annotated(run, expected, **some)
        whole = contents(expected)
    else:
        annotated(run, output, force=now != "the same")
    assert contents(output) == whole | {"mine.txt": b"keep"}


def test_a_bigbed_of_former_calls_does_not_stay(run: Path, tmp_path: Path) -> None:
    """Where there are no calls any more, there is none."""
    output = tmp_path / "tracks"
    annotated(run, output, bigbed=True)
    assert (output / "calls.bb").exists()
    annotated(run, output, bigbed=True, threshold=1.0, force=True)
    assert not (output / "calls.bb").exists()
    assert "calls.bb" not in json.loads((output / "tracks.json").read_text())["files"]


def test_what_is_finished_is_refused_without_force_and_replaced_with_it(
    cli: Cli, run: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "tracks"
    annotated(run, output)
    (output / ".tracks.json.tmp-4194305").touch()  # what is left where somebody kills it in its last moment
    (output / ".annotation.tmp-4194305").mkdir()
    (output / "mine.txt").write_text("keep")
    result = cli("annotate", run, "-o", output, *OPTIONS)
    assert result.code == 1
    assert f"{output}/tracks.json: exists already; use --force to overwrite, or another -o" in result.err
    assert contents(output) == whole | {"mine.txt": b"keep"}
    assert not (output / ".annotation.tmp-4194305").exists()
    assert cli("annotate", run, "-o", output, *OPTIONS, "--markers", "G C", "--force").code == 0
    assert set(contents(output)) == {"G_C.bw", "G_C.bed", "calls.bed", "mine.txt", "tracks.json"}


def test_a_folder_of_somebody_else_is_never_begun_in(run: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "peaks.bed").write_text("mine")
    for force in (False, True):
        with pytest.raises(DilannotError, match=r"is a folder with other things in it \(peaks\.bed\)"):
            annotated(run, tmp_path / "data", force=force)
    assert contents(tmp_path / "data") == {"peaks.bed": b"mine"}


def test_blocks_do_not_outlive_their_record(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: Path
) -> None:
    """Killed while it forgets another annotation: the next one does not take those blocks for its own."""

    def killed(path: Path) -> None:
        raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr("shutil.rmtree", killed)
        annotated(run, begun, force=True, both_strands=True)
    annotated(run, begun, both_strands=True)
    annotated(run, tmp_path / "new", both_strands=True)
    assert contents(begun) == contents(tmp_path / "new")


def test_nothing_is_published_before_all_is_there(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is given before every file is on the disk."""
    events, to_disk, replace = list[str](), finish.to_disk, os.replace
    output = tmp_path / "tracks"

    def noted_to_disk(path: Path) -> None:
        events.append("file")
        to_disk(path)

    def noted_replace(source: Path, target: Path) -> None:
        if Path(target).parent == output and Path(target).name != publish.MANIFEST:
            events.append("name")
        elif Path(target) == output / publish.MANIFEST:
            events.append("manifest")
        replace(source, target)

    monkeypatch.setattr(finish, "to_disk", noted_to_disk)
    monkeypatch.setattr("os.replace", noted_replace)
    annotated(run, output)
    assert events == ["file"] * 7 + ["name"] * 7 + ["manifest"]
