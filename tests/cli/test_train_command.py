"""`dilannot train`: recipes, files and options become the settings of a run; going on with one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from conftest import Cli

THIN = (
    *("--model", "dilated"),
    *("--set", "filters=8,12,6", "--set", "dilations=1,1,3", "--set", "hidden=7", "--set", "kernel=5"),
)
QUICK = (*THIN, "--max-steps", 2, "--epochs", 2, "-@", 1)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(run: Path) -> dict[str, object]:
    return tomllib.loads((run / "settings.toml").read_text())


def test_options_go_over_the_file_and_the_file_over_the_recipe(cli: Cli, dataset: Path, place: Path) -> None:
    (place / "how.toml").write_text("batch_size = 16\nlearning_rate = 0.01\n")
    options = ("--recipe", "gupta", "--config", "how.toml", "--learning-rate", 0.02, "--setting", "clip=2")
    assert cli("train", dataset, *QUICK, *options, "--reverse-complement").code == 0
    found = settings(place / "run")
    wanted = {
        "recipe": "gupta", "optimizer": "adam", "batch_size": 16, "learning_rate": 0.02, "clip": 2.0,
        "reverse_complement": True, "epochs": 2, "max_steps": 2, "seed": 0,
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    again = cli("train", dataset, *THIN, "-@", 1, "--config", "run/settings.toml", "-o", "again")
    assert again.code == 0
    assert settings(place / "again") == found
    assert (place / "again" / "best.safetensors").read_bytes() == (place / "run" / "best.safetensors").read_bytes()


def test_a_dry_run_names_the_recipe_and_its_network(cli: Cli, dataset: Path, place: Path) -> None:
    result = cli("train", dataset, "--dry-run", "--recipe", "crnn")
    assert result.out.startswith("hybrid, ")
    assert "35 epochs of recipe crnn" in result.out
    assert cli("train", dataset, "--dry-run", "--recipe", "gupta").out.startswith("dilated, ")
    bare = ("--recipe", "gupta", "--model", "hybrid", "--set", "known_motifs=false")
    assert cli("train", dataset, "--dry-run", *bare).out.startswith("hybrid, ")
    assert not (place / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--recipe", "gupta", "--model", "hybrid"), "model 'hybrid' starts from known motifs, not as published"),
        (("--recipe", "gutpa"), "no recipe 'gutpa' (did you mean 'gupta'?)"),
        (("--setting", "optimiser=sgd"), "no setting 'optimiser' (did you mean 'optimizer'?)"),
        (("--setting", "optimizer=lion"), "optimizer: is one of auto, muon, adamw, adam, rmsprop, sgd (got 'lion')"),
        (("--setting", "sgd"), "'sgd' is not NAME=VALUE"),
        (("--epochs", 0), "epochs: is 1 or more (got 0)"),
        (("--learning-rate", "nan"), "learning_rate: is "),
        (("--config", "none.toml"), "none.toml: file not found"),
        (("--shift", 500), "--shift: windows of 500 bp cannot be shifted by 500"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(
    cli: Cli, dataset: Path, place: Path, options: tuple[object, ...], message: str
) -> None:
    result = cli("train", dataset, *options)
    assert result.code == 1
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not (place / "run").exists()


def test_resume_begins_goes_on_and_has_ended(cli: Cli, dataset: Path, place: Path) -> None:
    begun = cli("train", dataset, *QUICK, "--resume")
    assert begun.code == 0
    files = {path.name: path.read_bytes() for path in (place / "run").iterdir()}
    ended = cli("train", "--resume")
    assert ended.code == 0
    assert "has ended; nothing is left to do" in ended.err
    other = cli("train", "--resume", "--epochs", 3)
    assert other.code == 1
    assert "began with epochs = 2, not 3" in other.err
    assert {path.name: path.read_bytes() for path in (place / "run").iterdir()} == files
    refused = cli("train", dataset, *QUICK)
    assert refused.code == 1
    assert "holds a run already" in refused.err


def test_resume_without_a_checkpoint_begins_again_what_was_begun(cli: Cli, dataset: Path, place: Path) -> None:
    """Not what the defaults are: a kill in the first minutes leaves only the record."""
    assert cli("train", dataset, *QUICK, "--learning-rate", 0.01).code == 0
    files = {path.name: path.read_bytes() for path in (place / "run").iterdir() if path.name != "timing.log"}
    for name in ("best.safetensors", "last.safetensors", "metrics.csv"):
        (place / "run" / name).unlink()
    dry = cli("train", "--resume", "--dry-run")
    assert "2 steps" in dry.out
    again = cli("train", "--resume", "-@", 1)
    assert "no checkpoint yet; beginning" in again.err
    assert {path.name: path.read_bytes() for path in (place / "run").iterdir() if path.name != "timing.log"} == files


def test_a_dry_run_says_what_the_run_would_refuse(cli: Cli, dataset: Path, place: Path) -> None:
    assert cli("train", dataset, *QUICK).code == 0
    assert "holds a run already" in cli("train", dataset, *QUICK, "--dry-run").err
    assert "2 epochs of recipe modern" in cli("train", dataset, *QUICK, "--dry-run", "--force").out
    assert "has ended" in cli("train", "--resume", "--dry-run").out


def test_what_differs_is_named_as_it_was_typed(cli: Cli, dataset: Path, place: Path) -> None:
    assert cli("train", dataset, *QUICK).code == 0
    for name in ("best.safetensors", "last.safetensors", "metrics.csv"):
        (place / "run" / name).unlink()
    assert "began with hidden = 7, not 9" in cli("train", "--resume", "--set", "hidden=9").err
    assert "began with max_steps = 2, not 5" in cli("train", "--resume", "--max-steps", 5).err
