from __future__ import annotations

from pathlib import Path

import numpy as np
import pyBigWig
import pytest

from dilannot.errors import DilannotError
from dilannot.formats.bigwig import write_bigwig

LENGTHS = {"chr2": 100, "chr1": 50}


def run(*rows: tuple[int, int, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    start, end, value = zip(*rows, strict=True)
    return np.array(start), np.array(end), np.array(value, float)


def test_runs_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.bw"
    bases = write_bigwig(path, LENGTHS, [("chr2", *run((0, 3, 0.5), (3, 10, 0.25))), ("chr1", *run((49, 50, 1.0)))])
    assert bases == 11
    with pyBigWig.open(str(path)) as file:
        assert file.chroms() == LENGTHS
        assert file.intervals("chr2") == ((0, 3, 0.5), (3, 10, 0.25))
        assert file.intervals("chr1") == ((49, 50, 1.0),)


@pytest.mark.parametrize(
    "rows", [[(0, 3, 0.5), (2, 4, 0.5)], [(5, 6, 0.5), (0, 1, 0.5)], [(90, 101, 0.5)], [(3, 3, 0.5)], [(0, 1, np.nan)]]
)
def test_what_pybigwig_would_take_silently_is_refused(tmp_path: Path, rows: list[tuple[int, int, float]]) -> None:
    with pytest.raises(ValueError, match="chr2"):
        write_bigwig(tmp_path / "a.bw", LENGTHS, [("chr2", *run(*rows))])


def test_a_file_that_did_not_get_whole_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pyBigWig.open

    class Cut:
        def __init__(self, path: str) -> None:
            self.path, self.file = path, real(path, "w")

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def close(self) -> None:
            self.file.close()
            data = Path(self.path).read_bytes()
            Path(self.path).write_bytes(data[: len(data) // 2])

    monkeypatch.setattr(pyBigWig, "open", lambda path, mode="r": Cut(path) if mode == "w" else real(path))
    with pytest.raises(DilannotError, match="whole") as error:
        write_bigwig(tmp_path / "a.bw", LENGTHS, [("chr2", *run((0, 3, 0.5)))])
    assert error.value.exit_code == 3


def test_a_missing_folder_is_an_error_and_no_crash(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bigwig(tmp_path / "no" / "a.bw", LENGTHS, [("chr2", *run((0, 3, 0.5)))])
