"""`dilannot models`: the list, one network, one of the user's own; and what train --dry-run says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import EXAMPLES, Cli

from dilannot.models import names

OWN = f"{EXAMPLES / 'add_a_model.py'}:MyNet"
HEADER = "name\ttask\tlayers\toutputs\tparameters\treceptive field\tstride\tmult-adds/nt\tsource"
KEYS = {
    "name", "task", "inputs", "source", "arguments", "outputs", "length", "parameters", "published_parameters",
    "receptive_field", "no_receptive_field", "stride", "multiply_adds_per_nt", "layers",
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers, and the toys of other tests, stay out of it."""
    from dilannot.models import registry

    ours = {name: each for name, each in registry._NETWORKS.items() if each.network.__module__.startswith("dilannot.")}
    monkeypatch.setattr(registry, "_NETWORKS", ours)


def rows(out: str) -> dict[str, dict[str, str]]:
    """The list, by name."""
    header, *lines = (line.split("\t") for line in out.splitlines())
    found = [dict(zip(header, line, strict=True)) for line in lines]
    assert len({row["name"] for row in found}) == len(found)
    return {row["name"]: row for row in found}


def listed(cli: Cli, *options: object) -> dict[str, dict[str, str]]:
    result = cli("models", *options)
    assert (result.code, result.err) == (0, "")
    return rows(result.out)


def record(cli: Cli, *options: object) -> dict[str, Any]:
    result = cli("models", "--json", *options)
    assert (result.code, result.err) == (0, "")
    return json.loads(result.out)  # type: ignore[no-any-return]


def test_every_network_is_listed_once(cli: Cli) -> None:
    assert cli("models").out.splitlines()[0] == HEADER
    assert list(listed(cli)) == names()
    assert len(names()) > 30


def test_a_row(cli: Cli) -> None:
    assert listed(cli)["dilated"] == {
        "name": "dilated", "task": "dense", "layers": "8", "outputs": "919", "parameters": "631,213",
        "receptive field": "10,810 (3,610 matter)", "stride": "10", "mult-adds/nt": "171,857",
        "source": "Gupta & Rush 2017",
    }  # fmt: skip
    assert listed(cli)["bilstm"]["receptive field"] == "unbounded (BidirectionalLSTM)"


@pytest.mark.parametrize("task", ["dense", "window"])
def test_one_kind(cli: Cli, task: str) -> None:
    found = listed(cli, "--task", task)
    assert list(found) == names(task)
    assert {row["task"] for row in found.values()} == {task}


def test_parameters_follow_the_number_of_outputs(cli: Cli) -> None:
    few, many = (listed(cli, "--task", "dense", "--outputs", count) for count in (40, 41))
    assert {row["outputs"] for row in few.values()} == {"40"}
    grown = {name: number(many[name]["parameters"]) - number(few[name]["parameters"]) for name in few}
    assert grown == {name: {"bilstm": 201, "hybrid": 65}.get(name, 126) for name in few}  # hidden units, and a bias


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_parameters_follow_the_length_of_a_window(cli: Cli) -> None:
    assert listed(cli, "--task", "window", "--length", 1_000) == listed(cli, "--task", "window")
    assert record(cli, "logistic", "--length", 600)["parameters"] == 600 * 4 * 919 + 919
    assert record(cli, "logistic", "--length", 600)["arguments"]["length"] == 600


def test_networks_that_a_length_is_too_short_for_are_left_out_and_named(cli: Cli) -> None:
    result = cli("models", "--task", "window", "--length", 20)
    assert result.code == 0
    assert list(rows(result.out)) == ["conv3", "logistic", "mlp", "kmer", "pssm"]
    assert result.err.startswith("left out, not for inputs of 20 nt: deepsea, ")
    alone = cli("models", "deepsea", "--length", 20)
    assert alone.code == 1
    assert "windows of 20 bp are too short" in alone.err


def test_json_of_the_list(cli: Cli) -> None:
    found = record(cli)
    assert set(found) == {"models_version", "models"}
    assert found["models_version"] == 1
    assert [each["name"] for each in found["models"]] == names()
    assert all(set(each) == KEYS for each in found["models"])
    assert [each["name"] for each in record(cli, "--task", "dense")["models"]] == names("dense")


def test_json_of_one(cli: Cli) -> None:
    found = record(cli, "dilated")
    assert set(found) == {"models_version", *KEYS}
    assert (found["models_version"], found["name"], found["task"]) == (1, "dilated", "dense")
    assert found["inputs"] == ["sequence"]
    assert found["parameters"] == found["published_parameters"] == 631_213
    assert found["receptive_field"] == {"span": 10_810, "first": -5_380, "last": 5_429, "positions": 3_610}
    assert set(found["layers"][0]) == {"layer", "depth", "settings", "shape", "parameters", "multiply_adds"}
    assert sum(layer["parameters"] or 0 for layer in found["layers"]) == 631_213
    assert record(cli, "bilstm")["receptive_field"] is None


def test_one_network(cli: Cli) -> None:
    result = cli("models", "conv1")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[:7] == [
        "conv1: dense network, Gupta & Rush 2017",
        "  parameters: 137,187 for 919 markers; published: 137,187",
        "  receptive field: 10: 4 nt before a block's first and 5 after it",
        "  stride: blocks of 1 nt",
        "  multiply-adds: 135,995 per annotated nt",
        "  arguments: 'filters=[128]' 'dilations=[1]' kernel=10 stride=1 pools=null deconvolution=0 hidden=125"
        " batch_norm=false batch_norm_decay=0.9 dropout=0.01 embedding=4",
        "layer\tsettings\toutput\tparameters\tmultiply-adds",
    ]
    assert "Conv1d\tk10 f128\t128 x 25,000\t5,248\t128,000,000" in result.out.splitlines()


def test_arguments_change_it(cli: Cli) -> None:
    usual, wide = record(cli, "dilated"), record(cli, "dilated", "--set", "hidden=200", "--set", "batch-norm=false")
    assert usual["arguments"] | {"hidden": 200, "batch_norm": False} == wide["arguments"]
    assert wide["parameters"] == usual["parameters"] + 75 * (50 + 1 + 919) - 2 * (128 + 240 + 4 * 50)
    assert wide["published_parameters"] is None
    assert "published" not in cli("models", "dilated", "--set", "hidden=200").out


def test_one_of_the_users_own(cli: Cli) -> None:
    lines = cli("models", OWN, "--outputs", 40, "--set", "filters=32").out.splitlines()
    assert lines[0] == "my-net: dense network"
    assert "  stride: blocks of 20 nt" in lines
    assert "Conv1d\tk19 f32\t32 x 25,000\t2,464\t60,800,000" in lines
    assert lines[-1].startswith("Logits\tk1 f40\t40 x 25,000\t")
    assert record(cli, OWN)["name"] == "my-net"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dilatde"], "no model called 'dilatde' (did you mean 'dilated'"),
        (["none.py:Net"], "none.py: not found"),
        ([OWN + "s"], "registers no 'MyNets' (did you mean 'MyNet'"),
        (["dilated", "--set", "hiden=3"], "takes no argument 'hiden' (did you mean 'hidden'?)"),
        (["dilated", "--set", "hidden"], "--set: 'hidden' has no '='"),
        (["dilated", "--set", "hidden=many"], "hidden=many is not a whole number"),
    ],
    ids=lambda value: " ".join(value[-2:]).rsplit("/")[-1] if isinstance(value, list) else "",
)
def test_what_does_not_exist_ends_with_1(cli: Cli, arguments: list[str], message: str) -> None:
    result = cli("models", *arguments)
    assert (result.code, result.out) == (1, "")
    assert len(result.err.splitlines()) == 1
    assert message in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--task", "scalar"],
        ["--outputs", "0"],
        ["--length", "-5"],
        ["--set", "hidden=3"],
        ["dilated", "conv1"],
        ["dilated", "--task", "dense"],
        ["--motifs", "m"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(cli: Cli, arguments: list[str]) -> None:
    result = cli("models", *arguments)
    assert (result.code, result.out) == (2, "")
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("model", "typed"),
    [("dilated", []), ("dilated", ["hidden=9", "filters=8,8,8,8,8"]), ("conv1", ["embedding=2"]), (OWN, ["filters=7"])],
    ids=["preset", "several", "another", "own"],
)
def test_a_dry_run_counts_parameters_as_models_does(
    cli: Cli, dataset: Path, tmp_path: Path, model: str, typed: list[str]
) -> None:
    options = [word for text in typed for word in ("--set", text)]
    found = record(cli, model, "--outputs", 3, *options)
    result = cli("train", dataset, "-o", tmp_path / "run", "--dry-run", "--model", model, *options)
    assert result.code == 0, result.err
    assert result.out.startswith(f"{found['name']}, {found['parameters']:,} parameters, ")
    assert not (tmp_path / "run").exists()
