"""Disks that are full or broken, processes that are killed, inputs that change: no half file, and it goes on."""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, make_run, write_fasta
from disk_faults import NAMES, DiskFaults
from forked_commands import Commands, command_server, together, until
from small_annotations import CONTIGS, OPTIONS, annotated, contents, hidden_file, small_genome, small_run

from dilannot.annotate import finish
from dilannot.annotate.blocks import Block
from dilannot.annotate.parts import HIDDEN
from dilannot.annotate.plan import Scope
from dilannot.annotate.store import read_records
from dilannot.annotate.stream import Engine, Made
from dilannot.data.markers import Marker
from dilannot.errors import DilannotError
from dilannot.outputs import sweep

CALLS = (*NAMES, "pwrite", "link", "rename", "truncate")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return small_run(folder / "run", small_genome(folder))


@pytest.fixture(scope="module")
def whole(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("whole") / "tracks"
    annotated(run, output)
    return contents(output)


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    with command_server("dilannot.annotate.merge", "toy_models") as process:
        yield process


@pytest.fixture
def commands(server: subprocess.Popen[str], tmp_path: Path) -> Iterator[Commands]:
    made = Commands(server, tmp_path)
    yield made
    made.close()


def check_whole(output: Path, whole: dict[str, bytes]) -> None:
    """What lies under a final name is as it will be; and with the last one, all is there."""
    there = {name: data for name, data in contents(output).items() if not name.startswith(".")}
    assert there == {name: whole[name] for name in there}
    assert "tracks.json" not in there or there == whole


def finish_it(run: Path, output: Path, whole: dict[str, bytes]) -> None:
    """What must always be possible afterwards; what was killed after its last rename counts as done."""
    with suppress(DilannotError):
        annotated(run, output)
    assert contents(output) == whole
    assert sorted(os.listdir(output)) == sorted(whole)


def test_a_disk_that_fails_at_any_call_costs_nothing_that_was_kept(
    cli: Cli, run: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "tracks"
    command = ("annotate", run, "-o", output, *OPTIONS)
    count = DiskFaults(names=CALLS)
    with pytest.MonkeyPatch.context() as patch:
        count.install(patch.setattr)
        assert cli(*command).code == 0
    assert 40 < count.calls < 80
    for number in range(1, count.calls + 1):
        shutil.rmtree(output, ignore_errors=True)
        faults = DiskFaults(number, names=CALLS)
        with pytest.MonkeyPatch.context() as patch:
            faults.install(patch.setattr)
            result = cli(*command)
        [line] = [line for line in result.err.splitlines() if line.startswith("error: ")]
        assert (result.code, "Traceback" in result.err) == (3, False), (number, result.err)
        assert re.search("No space left on device|Input/output error", line)
        assert str(output) in line, (number, faults.failing)
        if output.exists():
            check_whole(output, whole)
        finish_it(run, output, whole)


DISK = """
import sys
from disk_faults import DiskFaults
DiskFaults({number}, killed=True, names={names}).install()
"""


def test_killed_at_any_call_it_goes_on(commands: Commands, run: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    output = tmp_path / "tracks"
    for number in range(1, 200):
        shutil.rmtree(output, ignore_errors=True)
        running = commands.run("annotate", run, *OPTIONS, before=DISK.format(number=number, names=CALLS))
        if running.code == 0:
            break
        assert running.code == -signal.SIGKILL, running.errors
        if output.exists():
            check_whole(output, whole)
        finish_it(run, output, whole)
    assert 40 < number < 80


def test_killed_again_and_again_it_comes_to_an_end(
    commands: Commands, run: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    """Over former tracks, beside a file of the user's; each time at a later call of what is left."""
    output, mine = tmp_path / "tracks", {"mine.txt": b"keep"}
    annotated(run, output, bgzip=True, bigbed=True)
    former = contents(output)
    (output / "mine.txt").write_bytes(b"keep")
    kills = 0
    while "tracks.json" not in contents(output) or (output / "A_1.bed.gz").exists() or (output / HIDDEN).exists():
        given = () if hidden_file(output, "annotation.json").exists() else ("--force",)
        fault = DISK.format(number=3 + 5 * kills, names=CALLS)
        running = commands.run("annotate", run, *OPTIONS, *given, before=fault)
        assert running.code in (0, -signal.SIGKILL), running.errors
        there = {name: data for name, data in contents(output).items() if not name.startswith(".")}
        if "tracks.json" in there:
            assert there in (former | mine, whole | mine)
        assert all(data in (former.get(name), whole.get(name), mine.get(name)) for name, data in there.items())
        kills += 1
    assert kills > 4
    sweep(output)
    assert contents(output) == whole | mine


def test_killed_at_any_time_it_goes_on(commands: Commands, run: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    chance, output = random.Random(0), tmp_path / "tracks"
    codes = []
    for _ in range(12):
        shutil.rmtree(output, ignore_errors=True)
        running = commands.start("annotate", run, *OPTIONS)
        time.sleep(chance.random() * 0.25)
        running.kill(signal.SIGKILL)
        codes.append(running.wait())
        if output.exists():
            check_whole(output, whole)
        finish_it(run, output, whole)
    assert codes.count(-signal.SIGKILL) > 3
    assert set(codes) <= {0, -signal.SIGKILL}


# The `{number}`-th block sends a signal; until then and after it threads are at work.
AT_BLOCK = """
import os, time
from dilannot.annotate.stream import Engine
make, blocks = Engine.make, []

def made(self, block):
    blocks.append(0)
    if len(blocks) == 4:
        time.sleep(0.2)  # those before it are written
        os.kill(os.getpid(), {signal})
    if len(blocks) >= 4:
        {then}
    return make(self, block)

Engine.make = made
"""
# Bars of signals that come while names are given: the third of them.
AT_NAME = """
import os
replace, names = os.replace, []

def replaced(source, target):
    replace(source, target)
    names.extend([0] * (os.path.basename(os.path.dirname(source)) == "files"))
    if len(names) == 3:
        names.append(0)
        os.kill(os.getpid(), {signal})

os.replace = replaced
"""
AT_TRACK = """
import os
from dilannot.annotate import finish
group = finish._finish_group
finish._GROUP = 1

def made(work, reader, tracks):
    if tracks.start == 2:
        os.kill(os.getpid(), {signal})
    return group(work, reader, tracks)

finish._finish_group = made
"""
THEN = "[self._go_on() or time.sleep(0.05) for _ in range(1000)]"  # as a long block does


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", [AT_BLOCK, AT_TRACK, AT_NAME], ids=["block", "track", "name"])
def test_a_signal_ends_it_soon_and_it_goes_on(
    commands: Commands, run: Path, whole: dict[str, bytes], tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    began = time.monotonic()
    running = commands.run("annotate", run, *OPTIONS, before=moment.format(signal=int(number), then=THEN))
    assert time.monotonic() - began < 5
    said = running.said.read_text().splitlines()
    assert running.code == 128 + number, said
    kept = [line for line in said if re.fullmatch(r"0\.\d MB are made and kept: the same command goes on", line)]
    assert len(kept) == 1
    assert [line for line in said[said.index(kept[0]) + 1 :] if line] == ["interrupted"] * (number == signal.SIGINT)
    assert "Traceback" not in "\n".join(said)
    assert not running.errors
    output = tmp_path / "tracks"
    assert [path.name for path in output.glob("*.lock")] == []
    check_whole(output, whole)
    there = {record.block for record in read_records(hidden_file(output))}
    assert len(there) >= 2
    finish_it(run, output, whole)


def test_a_second_ctrl_c_ends_at_once(commands: Commands, run: Path, tmp_path: Path) -> None:
    """Here while threads wait for something that never comes."""
    before = AT_BLOCK.format(signal=int(signal.SIGINT), then="open('waiting', 'w'); time.sleep(100)")
    running = commands.start("annotate", run, *OPTIONS, before=before)
    until((tmp_path / "waiting").exists)
    time.sleep(0.3)
    began = time.monotonic()
    running.kill(signal.SIGINT)
    assert running.wait() == 130
    assert time.monotonic() - began < 5


SLOW = "from dilannot.annotate import annotate; make = annotate._make; annotate._make = lambda *a: time.sleep(1) or make(*a)"


@pytest.mark.parametrize("count", [2, 8])
def test_of_several_at_once_exactly_one_works(
    commands: Commands, run: Path, whole: dict[str, bytes], tmp_path: Path, count: int
) -> None:
    done = together(commands, [("annotate", run, *OPTIONS)] * count, SLOW)
    codes = [code for _, code, _ in done]
    assert sorted(codes) == [0] + [3] * (count - 1), done
    worked = next(pid for pid, code, _ in done if code == 0)
    for _, code, said in done:
        if code == 3:
            assert f"error: tracks: another dilannot is writing here (pid {worked} on " in said
    assert contents(tmp_path / "tracks") == whole


def test_shards_at_once_in_a_new_folder_all_work(
    commands: Commands, run: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "new" / "tracks"
    for _ in range(2):
        shutil.rmtree(output, ignore_errors=True)
        shards = [("annotate", run, "-o", output, *OPTIONS, "--shard", f"{number}/5") for number in range(1, 6)]
        done = together(commands, shards)
        assert [code for _, code, _ in done] == [0] * 5, done
        # All want to merge: one does.
        done = together(commands, [("merge", output)] * 3)
        assert sorted(code for _, code, _ in done)[0] == 0
        assert {code for _, code, _ in done} <= {0, 1, 3}, done
        assert contents(output) == whole


@pytest.fixture
def at_block(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], Any]], None]:
    """Something is done when a block has been made, the n-th time that happens."""

    def install(number: int, act: Callable[[], Any]) -> None:
        make, blocks = Engine.make, list[int]()

        def made(self: Engine, block: Block) -> Made:
            result = make(self, block)
            blocks.append(block.number)
            if len(blocks) == number:
                act()
            return result

        monkeypatch.setattr(Engine, "make", made)

    return install


AtBlock = Callable[[int, Callable[[], Any]], None]


@pytest.mark.parametrize("number", [1, 3, 6])
def test_an_output_that_is_removed_meanwhile(
    cli: Cli, run: Path, whole: dict[str, bytes], tmp_path: Path, at_block: AtBlock, number: int
) -> None:
    output = tmp_path / "tracks"
    at_block(number, lambda: shutil.rmtree(output))
    result = cli("annotate", run, "-o", output, *OPTIONS, "--quiet")
    assert result.code == 3
    [line] = result.err.splitlines()
    # The folder goes file by file: which of them is missed first is not known.
    assert line in {
        f"error: {missing}: No such file or directory" for missing in (hidden_file(output), hidden_file(output).parent)
    }
    annotated(run, output)
    assert contents(output) == whole


def test_an_output_that_is_removed_while_it_is_finished(
    cli: Cli, run: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, group = tmp_path / "tracks", finish._finish_group

    def removed(work: finish.Finish, *given: Any) -> list[finish.Written]:
        shutil.rmtree(output)
        return group(work, *given)

    monkeypatch.setattr(finish, "_finish_group", removed)
    result = cli("annotate", run, "-o", output, *OPTIONS, "--quiet")
    assert result.code == 3
    assert re.fullmatch(rf"error: {output}/\S+: No such file or directory\n", result.err)
    monkeypatch.undo()
    annotated(run, output)
    assert contents(output) == whole


def cut(genome: Path) -> None:
    os.truncate(genome, 700)


def edit(genome: Path) -> None:
    """A base that is read later."""
    text = genome.read_text()
    at = text.index(">e") + 200
    genome.write_text(text[:at] + "A" + text[at + 1 :])


def replace(genome: Path) -> None:
    shutil.copy(genome, genome.with_name("other.fa"))
    os.replace(genome.with_name("other.fa"), genome)


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (cut, 1, "changed while it was being read; "),
        (edit, 1, "changed while it was being read; "),
        (replace, 1, "changed while it was being read; "),
        (Path.unlink, 3, "No such file or directory"),
    ],
)
@pytest.mark.parametrize("number", [1, 3, 6])
def test_a_genome_that_changes_meanwhile(
    cli: Cli, tmp_path: Path, at_block: AtBlock, change: Callable[[Path], None], code: int, message: str, number: int
) -> None:
    """Blocks that may hold other bases are not kept: with the former file again it goes on rightly."""
    genome, output = small_genome(tmp_path), tmp_path / "tracks"
    run, text = small_run(tmp_path / "run", genome), genome.read_text()
    at_block(number, lambda: change(genome))
    result = cli("annotate", run, "-o", output, *OPTIONS, "--quiet", "--threads", 1)
    assert result.code == code, result.err
    [line] = result.err.splitlines()
    assert line.startswith(f"error: {genome}: {message}")
    assert "Traceback" not in result.err
    assert not (output / "tracks.json").exists()
    genome.write_text(text)
    annotated(run, output)
    annotated(run, tmp_path / "new")
    assert contents(output) == contents(tmp_path / "new")


def limited(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize("size", [0, 1000, 5000, 6000])
def test_a_full_disk(commands: Commands, run: Path, whole: dict[str, bytes], tmp_path: Path, size: int) -> None:
    """No file may grow beyond a size: for the system's disk, that is what a full one is."""
    output = tmp_path / "tracks"
    before = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))\n"
    # What is said goes to a file, too.
    before += "import os; read, write = os.pipe(); os.dup2(write, 2)\n"
    before += "import dilannot.cli.console as c; c.fail = lambda m: os.write(1, m.encode())\n"
    running = commands.run("annotate", run, *OPTIONS, before=before)
    assert running.code == 3
    if output.exists():
        check_whole(output, whole)
        assert not (output / "tracks.json").exists()
    finish_it(run, output, whole)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("size", [4, 16, 48])
def test_a_disk_that_is_really_full(cli: Cli, run: Path, whole: dict[str, bytes], tmp_path: Path, size: int) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(place)], check=False)
    if mounted.returncode:
        pytest.skip("this machine mounts nothing")
    try:
        result = cli("annotate", run, "-o", place / "tracks", *OPTIONS, "--quiet")
        assert result.code == 3
        [line] = [line for line in result.err.splitlines() if "are made and kept" not in line]
        assert re.fullmatch(rf"error: {place}/\S+: (No space left on device|.*MB are free; free some .*)", line)
        if (place / "tracks").exists():
            check_whole(place / "tracks", whole)
        subprocess.run(["mount", "-o", "remount,size=4m", str(place)], check=True)
        finish_it(run, place / "tracks", whole)
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("name", ["A_1.bw", "calls.bed", "tracks.json"])
def test_folders_in_the_place_of_files_are_noticed_before_anything_else(
    cli: Cli, run: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "tracks" / name).mkdir(parents=True)
    for more in ((), ("--force",)):
        result = cli("annotate", run, "-o", tmp_path / "tracks", *OPTIONS, *more)
        assert result.code == 1
        assert f"tracks/{name}: is a directory, not a file" in result.err
    assert os.listdir(tmp_path / "tracks") == [name]


def test_a_folder_that_may_not_be_written_to_is_noticed_before_anything_else(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is a parent that is there; root may write everywhere, so the answer is given here."""
    (tmp_path / "place").mkdir()
    monkeypatch.setattr("dilannot.annotate.annotate.prepared", None)
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path / "place")
    for output in ("place", "place/tracks", "place/new/tracks"):
        result = cli("annotate", run, "-o", tmp_path / output, *OPTIONS)
        assert result.code == 3
        assert result.err == f"error: {tmp_path}/place: the folder is not writable; choose another output\n"
    assert not os.listdir(tmp_path / "place")


def test_a_block_that_fails_ends_it(
    cli: Cli, run: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that dies never means fewer windows: here of too little memory, in the last block."""
    make = Engine.make

    def failing(self: Engine, block: Block) -> Made:
        if block.number == len(CONTIGS) - 1:
            raise MemoryError
        return make(self, block)

    output = tmp_path / "tracks"
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "make", failing)
        result = cli("annotate", run, "-o", output, *OPTIONS, "--quiet")
    assert (result.code, result.err.startswith("error: out of memory; use fewer --threads")) == (3, True)
    assert os.listdir(output) == [HIDDEN]
    finish_it(run, output, whole)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    genome = write_fasta(tmp_path / "genome.fa", {"a": CONTIGS["a"]})
    markers = [Marker(f"m{number}", "TFBS") for number in range(919)]
    return make_run(tmp_path / "run", genome, "toy-blocks", 919, markers)


def test_few_files_may_be_open(commands: Commands, many: Path, tmp_path: Path) -> None:
    """As after `ulimit -n 64`, with 919 markers in as many threads as never before."""
    before = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))"
    running = commands.run("annotate", many, *OPTIONS, "--threads", 16, "-o", "few", before=before)
    assert running.code == 0, running.said.read_text()
    annotated(many, tmp_path / "many")
    assert len(contents(tmp_path / "few")) == 2 * 919 + 2
    assert contents(tmp_path / "few") == contents(tmp_path / "many")


def test_open_files_do_not_grow_with_markers(many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most, to_disk = 0, finish.to_disk

    def noted(path: Path) -> None:
        nonlocal most
        most = max(most, len(os.listdir("/dev/fd")))
        to_disk(path)

    class Noting(finish.BigWigWriter):
        def finish(self, *given: Any) -> None:
            nonlocal most
            most = max(most, len(os.listdir("/dev/fd")))
            super().finish(*given)

    monkeypatch.setattr(finish, "BigWigWriter", Noting)
    monkeypatch.setattr(finish, "to_disk", noted)
    counts = []
    for pattern in ("m[0-9]", "m?[0-9]", "m*"):
        most = 0
        annotated(many, tmp_path / str(len(counts)), scope=Scope(markers=[pattern]), threads=1)
        counts.append(most - len(os.listdir("/dev/fd")))
    # Whether a file of another thread is just then open, chance decides.
    assert counts[0] < counts[2] < 30
    assert abs(counts[1] - counts[2]) <= 2
