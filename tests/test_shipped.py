"""Which run annotates where none, or only a genome, is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from dilannot.errors import DilannotError
from dilannot.shipped import FOLDER, run_and_genome

FASTA, RUN = Path("g.fa"), Path("some-run")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    FASTA.write_text(">c\nACGT\n")
    return tmp_path


def test_what_is_named_is_taken(here: Path) -> None:
    RUN.mkdir()
    assert run_and_genome(RUN, None) == (RUN, None, False)
    assert run_and_genome(RUN, FASTA) == (RUN, FASTA, False)
    assert run_and_genome(Path("none"), FASTA) == (Path("none"), FASTA, False), "what is not there is an error later"


def test_a_lone_genome_gets_the_run_here(here: Path) -> None:
    Path("run").mkdir()
    assert run_and_genome(FASTA, None) == (Path("run"), FASTA, False)
    assert run_and_genome(None, None) == (Path("run"), None, False)


def test_without_a_run_it_is_the_one_that_comes_with_dilannot(here: Path) -> None:
    assert run_and_genome(FASTA, None) == (FOLDER, FASTA, True)
    with pytest.raises(DilannotError, match="no run/ here, and no genome"):
        run_and_genome(None, None)
