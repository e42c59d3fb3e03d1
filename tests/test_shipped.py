"""The run that comes with dilannot: what it is worth, and when it annotates."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import EXAMPLES, Cli, make_run, random_sequence, write_fasta

from dilannot.errors import DilannotError
from dilannot.models import count_parameters
from dilannot.run import load_network, read_run
from dilannot.shipped import CARD, FOLDER, run_and_genome

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
    with pytest.raises(DilannotError, match="no such run folder or genome"):
        run_and_genome(Path("hg91.fa"), None)


def test_a_lone_genome_gets_the_run_here(here: Path) -> None:
    Path("run").mkdir()
    assert run_and_genome(FASTA, None) == (FOLDER, FASTA, True), "some other folder of that name"
    Path("run/run.json").touch()
    assert run_and_genome(FASTA, None) == (Path("run"), FASTA, False)
    assert run_and_genome(None, None) == (Path("run"), None, False)


def test_a_run_that_nobody_named_is_named(here: Path, cli: Cli) -> None:
    make_run(Path("run"), write_fasta(FASTA, {"c": random_sequence(900, 1)}), "toy-bases")
    result = cli("annotate", FASTA, "-o", "tracks", "--device", "cpu")
    assert result.code == 0, result.err
    assert "annotating with run\n" in result.err


def test_without_a_run_it_is_the_one_that_comes_with_dilannot(here: Path) -> None:
    assert run_and_genome(FASTA, None) == (FOLDER, FASTA, True)
    with pytest.raises(DilannotError, match="no run in run/ here, and no genome"):
        run_and_genome(None, None)


def test_one_command_gives_a_newcomer_real_tracks(here: Path, cli: Cli) -> None:
    """On a block of the example that it was not trained on: 30.375-31.375 Mb."""
    region, judged = "chr20:30,375,001-30,875,000", ("K562|CTCF|None", "HUVEC|DNase|None", "NHEK|H3K4me3|None")
    given = [word for marker in judged for word in ("--markers", marker)]
    result = cli("annotate", EXAMPLES / "chr20.fa.gz", "-r", region, *given)
    assert result.code == 0, result.err
    assert f"annotating with the network that comes with dilannot, see {CARD}" in result.err
    assert (here / "tracks" / "K562_CTCF_None.bw").stat().st_size > 0
    result = cli("evaluate", "--tracks", "tracks", "--peaks", EXAMPLES / "peaks", *given, "-r", region, "-o", "found")
    assert result.code == 0, result.err
    for row in json.loads(Path("found.json").read_text())["markers"]:
        assert row["pr_auc"] > 8 * row["base_rate"], row


def test_its_own_scores_stay(here: Path, cli: Cli) -> None:
    """Judged anew without a name for the files, it leaves them here."""
    before = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    fasta, peaks = str(EXAMPLES / "chr20.fa.gz"), str(EXAMPLES / "peaks")
    result = cli("build-data", fasta, peaks, "-o", "d.h5", "--markers", "K562|CTCF|None", "-q")
    assert result.code == 0, result.err
    result = cli("evaluate", FOLDER, "d.h5", "--markers", "K562|CTCF|None", "--device", "cpu", "-q")
    assert result.code == 0, result.err
    (row,) = json.loads(Path("evaluation-test-on-d-markers.json").read_text())["markers"]
    assert row["marker"] == "K562|CTCF|None"
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == before


def test_the_card_says_what_is_there() -> None:
    run, found, card = read_run(FOLDER), json.loads((FOLDER / "evaluation-test.json").read_text()), CARD.read_text()
    weights = load_network(run)
    assert (FOLDER / "best.safetensors").stat().st_size < 8_000_000
    assert found["weights_sha256"] == weights.sha256, "the scores are those of these weights"
    assert f"{count_parameters(weights.network):,} parameters" in card
    for kind, row in found["class_means"].items():
        assert f"| {kind} | {row['markers']} | {row['pr_auc']:.3f} ({row['pr_auc_low']:.3f} to" in card
    assert f"--epochs {run.settings['epochs']} --seed {run.settings['seed']}" in card


def test_it_names_no_place_of_the_machine_it_was_trained_on() -> None:
    for name in ("run.json", "evaluation-test.json"):
        assert not re.search(r'"(/|\.\./\.\./\.\.)', (FOLDER / name).read_text()), name
    assert b'"/' not in (FOLDER / "best.safetensors").read_bytes()[:100_000]
