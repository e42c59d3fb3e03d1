"""Peak files with names that do not travel well, and things that are no files: the `narrowpeak/*` of OWN-FORMATS.tsv."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SHARED, Cli, Inputs

TABLE = SHARED / "bad-inputs/OWN-FORMATS.tsv"


def named(name: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(b"chr1\t2000\t3000\n")

    return make


def unreadable(folder: Path) -> None:
    (folder / "bad.narrowPeak").write_text("chr1\t2000\t3000\n")
    (folder / "bad.narrowPeak").chmod(0)


# Case -> how it is made, exit code, pattern of the message.
CASES: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "name_newline": (named(b"two\nlines.narrowPeak"), 1, r"two\\nlines.*marker name .* holds control characters"),
    "name_nonutf8": (named(b"caf\xe9.narrowPeak"), 1, r"caf\\udce9.*marker name .* holds control characters"),
    "dangling_link": (
        lambda folder: (folder / "bad.narrowPeak").symlink_to("nowhere"),
        1,
        r"bad\.narrowPeak: file not found \(a dangling link\)",
    ),
    "fifo": (lambda folder: os.mkfifo(folder / "bad.narrowPeak"), 1, r"bad\.narrowPeak: is not a regular file"),
    "unreadable": (unreadable, 3, r"bad\.narrowPeak: is not readable: permission denied"),
}


@pytest.mark.timeout(10)  # a pipe would be waited for for ever
@pytest.mark.parametrize("case", CASES)
def test_an_odd_peak_file_is_refused_in_one_line(
    cli: Cli, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    if case == "unreadable" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    make, code, message = CASES[case]
    (tmp_path / "peaks").mkdir()
    make(tmp_path / "peaks")
    monkeypatch.chdir(tmp_path)
    result = cli("build-data", inputs.genome, "peaks", "--window", 500)
    assert result.code == code, result.err
    [line] = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert re.search(message, line), line
    assert os.listdir() == ["peaks"]


@pytest.mark.skipif(not TABLE.exists(), reason=f"needs {TABLE}")
def test_no_given_case_is_forgotten() -> None:
    with open(TABLE, newline="") as table:
        cases = [row["case"] for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE)]
    assert {case.removeprefix("narrowpeak/") for case in cases if case.startswith("narrowpeak/")} == CASES.keys()
