from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dilannot.errors import DilannotError, near, printable
from dilannot.outputs import check_new_file, check_space, locked, make_folder, replacing, working_folder


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    with replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]
    assert target.read_text() == "new"


def test_a_link_is_replaced_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("precious")
    (tmp_path / "a").symlink_to(tmp_path / "other")
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "other").read_text() == "precious"
    assert not (tmp_path / "a").is_symlink()


def test_taken_and_impossible_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(DilannotError, match="is a directory"):
        check_new_file(tmp_path / "folder", force=True)
    with pytest.raises(DilannotError, match="exists already"):
        check_new_file(tmp_path / "file", force=False)
    check_new_file(tmp_path / "file", force=True)
    with pytest.raises(DilannotError, match="mkdir -p") as error:
        check_new_file(tmp_path / "none" / "file", force=False)
    assert error.value.exit_code == 3
    with pytest.raises(DilannotError, match="not a directory"):
        make_folder(tmp_path / "file")


def test_the_second_writer_is_told_of_the_first(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from dilannot.outputs import locked\n"
        "with locked(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        first.stdout.readline()
        with pytest.raises(DilannotError, match=f"pid {first.pid} on") as error, locked(tmp_path):
            pass
        assert error.value.exit_code == 3
        first.kill()
    # A lock dies with its process.
    with locked(tmp_path):
        assert os.listdir(tmp_path) == [".dilannot.lock"]
    assert os.listdir(tmp_path) == []


def test_leftovers_of_dead_runs_go_and_those_of_live_ones_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".a.bw.tmp-{dead.pid}").write_text("x")
    (tmp_path / f".work.tmp-{dead.pid}").mkdir()
    (tmp_path / f".b.bw.tmp-{os.getppid()}").write_text("x")
    (tmp_path / ".mine.tmp").write_text("x")
    with locked(tmp_path), working_folder(tmp_path):
        pass
    assert sorted(os.listdir(tmp_path)) == sorted([f".b.bw.tmp-{os.getppid()}", ".mine.tmp"])


def test_no_space_is_an_environment_error(tmp_path: Path) -> None:
    check_space(tmp_path, 1, "a byte")
    with pytest.raises(DilannotError, match="a universe needs about") as error:
        check_space(tmp_path, 1 << 70, "a universe")
    assert error.value.exit_code == 3


def test_messages_are_one_short_printable_line() -> None:
    error = DilannotError("bad \x1b[2J\nname " + "x" * 900, where="f" * 400, line=3, remedy="do this")
    text = str(error)
    assert len(text) < 500
    assert "\n" not in text
    assert "\x1b" not in text
    assert text.endswith("do this")
    assert printable("\ud800") == "\\ud800"


def test_near_names() -> None:
    assert near("20", ["chr1", "chr20"]) == " (did you mean 'chr20'?)"
    assert near("chr20", ["1", "20"]) == " (did you mean '20'?)"
    assert near("zzz", ["chr1"]) == ""
