from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from torch import nn

from dilannot.errors import DilannotError
from dilannot.models import build
from dilannot.training.initial import start_as_published
from dilannot.training.muon import Muon
from dilannot.training.optimizing import Average, learning_rate, limit_norms, make_optimizer
from dilannot.training.recipes import RECIPES, parse_settings, resolve_settings
from dilannot.training.settings import Settings

# What the sources say, typed from their text.
PUBLISHED: dict[str, dict[str, Any]] = {
    "gupta": {"optimizer": "adam", "learning_rate": 1e-3, "batch_size": 8, "schedule": "constant", "clip": 0.0, "initial": "published"},
    "crnn": {"optimizer": "adam", "learning_rate": 3e-4, "batch_size": 256, "epochs": 35, "schedule": "plateau", "plateau_factor": 0.2, "plateau_patience": 2, "patience": 5, "watch": "loss"},
    "danq": {"optimizer": "rmsprop", "learning_rate": 1e-3, "batch_size": 100},
    "deepsea": {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-6, "max_norm": 0.9, "l1": 1e-8},
    "waka": {"optimizer": "adam", "learning_rate": 5e-4, "batch_size": 100, "epochs": 10},
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipes_are_as_published(name: str) -> None:
    settings = resolve_settings(name).as_dict()
    assert {key: settings[key] for key in PUBLISHED[name]} == PUBLISHED[name]
    assert settings["recipe"] == name
    assert settings["warmup"] == 0


def test_every_recipe_is_known_here() -> None:
    assert set(RECIPES) == {"modern", *PUBLISHED}


def test_a_file_overrides_the_recipe_and_what_is_given_overrides_the_file(tmp_path: Path) -> None:
    path = tmp_path / "how.toml"
    path.write_text('recipe = "gupta"\nepochs = 3\nlearning_rate = 1\n')
    settings = resolve_settings(None, path, {"epochs": 4, "batch_size": 5})
    assert (settings.recipe, settings.epochs, settings.learning_rate, settings.batch_size) == ("gupta", 4, 1.0, 5)
    assert isinstance(settings.learning_rate, float)
    assert settings.optimizer == "adam"
    assert resolve_settings("danq", path).optimizer == "rmsprop", "and a recipe that is named wins over the file's"


def test_the_settings_of_a_run_are_a_config_that_repeats_it(tmp_path: Path) -> None:
    settings = resolve_settings("crnn", None, {"shift": 3, "reverse_complement": True, "ema": 0.99})
    (tmp_path / "settings.toml").write_text(tomli_w.dumps(settings.as_dict()))
    assert resolve_settings(None, tmp_path / "settings.toml") == settings


def test_texts_are_read_as_numbers_where_they_are_numbers() -> None:
    values = parse_settings(["optimizer=sgd", "momentum=0.5", "max-norm = 2", "reverse_complement=true"])
    settings = resolve_settings(None, None, values)
    assert (settings.optimizer, settings.momentum, settings.max_norm) == ("sgd", 0.5, 2.0)
    assert settings.reverse_complement is True


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epocs": 3}, "did you mean 'epochs'"),
        ({"epochs": 0}, "epochs: is 1 or more"),
        ({"epochs": 2.5}, "epochs: is a whole number"),
        ({"epochs": True}, "epochs: is a whole number"),
        ({"learning_rate": -0.1}, "learning_rate: is "),
        ({"learning_rate": 0.0}, "learning_rate: is above 0"),
        ({"learning_rate": math.nan}, "learning_rate: is "),
        ({"learning_rate": "fast"}, "learning_rate: is a number"),
        ({"optimizer": "adma"}, "optimizer: is one of auto, muon, adamw, adam, rmsprop, sgd"),
        ({"warmup": 1.5}, "warmup: is between 0 and 1"),
        ({"reverse_complement": 1}, "reverse_complement: is true or false"),
        ({"seed": 2**63}, "seed: is "),
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DilannotError, match=message):
        resolve_settings(None, None, given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = ", r"how\.toml: is not TOML"),
        ("epocs = 3", r"how\.toml: no setting 'epocs'"),
        ("epochs = 0", r"how\.toml: epochs is 1 or more"),
        ('recipe = "slow"', "no recipe 'slow'"),
    ],
)
def test_files_that_are_no_settings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "how.toml").write_text(text)
    with pytest.raises(DilannotError, match=message):
        resolve_settings(None, tmp_path / "how.toml")
    with pytest.raises(DilannotError, match="not found"):
        resolve_settings(None, tmp_path / "other.toml")


def test_a_text_without_an_equals_sign_is_refused() -> None:
    with pytest.raises(DilannotError, match="not NAME=VALUE"):
        parse_settings(["sgd"])


def test_the_rate_rises_then_falls_to_nothing() -> None:
    settings = Settings(learning_rate=1.0, warmup=0.1)
    rates = [learning_rate(settings, step, 100, 1.0) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 11 for i in range(10)])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 1e-3
    assert learning_rate(settings, 55, 100, 0.2) == pytest.approx(0.1)


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_other_schedules_stay_where_they_are(schedule: Any) -> None:
    settings = Settings(learning_rate=0.5, warmup=0.0, schedule=schedule)
    assert {learning_rate(settings, step, 10, 0.2) for step in range(10)} == {0.1}


def test_only_matrices_and_filters_decay() -> None:
    network = nn.Sequential(nn.Conv1d(2, 3, 4), nn.BatchNorm1d(3), nn.Linear(3, 2))
    network[2].bias.requires_grad_(False)
    decaying, others = make_optimizer(network, Settings(weight_decay=0.5).for_task("window")).param_groups
    assert [tuple(each.shape) for each in decaying["params"]] == [(3, 2, 4), (2, 3)]
    assert [tuple(each.shape) for each in others["params"]] == [(3,)] * 3
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("name", "expected"), [("adamw", torch.optim.AdamW), ("muon", Muon), ("adam", torch.optim.Adam), ("rmsprop", torch.optim.RMSprop), ("sgd", torch.optim.SGD)]
)  # fmt: skip
def test_the_optimizer_is_the_one_asked_for(name: Any, expected: type) -> None:
    optimizer = make_optimizer(nn.Linear(2, 2), Settings(optimizer=name).for_task("window"))
    assert type(optimizer) is expected
    assert all(group["lr"] > 0 for group in optimizer.param_groups)


def test_norms_of_filters_and_units_are_limited() -> None:
    network = nn.Sequential(nn.Conv1d(2, 3, 4), nn.Linear(3, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        for each in network.parameters():
            each.fill_(1.0)
        network[1].weight[0] = 0.1
    limit_norms(network, 0.9)
    torch.testing.assert_close(network[0].weight.flatten(1).norm(dim=1), torch.full((3,), 0.9))
    torch.testing.assert_close(network[1].weight[0], torch.full((3,), 0.1), msg="what is small enough stays")
    assert torch.equal(network[2].weight, torch.ones(2))


def test_averages_follow_the_weights_and_take_their_place() -> None:
    network = nn.Linear(1, 1)
    nn.init.zeros_(network.weight)
    average, seen = Average(network, 0.9), []
    for step in range(1, 60):
        with torch.no_grad():
            network.weight.fill_(float(step))
        average.update(step)
        seen.append(float(average.weights["weight"]))
    assert seen[0] == 0.5, "early averages are short"
    assert seen[-1] == pytest.approx(59 - 9, abs=0.1), "it lags 1 / (1 - decay) - 1 steps behind"
    average.swap()
    assert float(network.weight.detach()) == seen[-1]
    average.swap()
    assert float(network.weight.detach()) == 59


def test_the_published_start() -> None:
    torch.manual_seed(0)
    network = build("dilated", 50)
    start_as_published(network)
    weights = {name: each.detach() for name, each in network.named_parameters()}
    convolution = weights["trunk.2.convolution.1.weight"]
    # A normal cut off at 2 sd has 0.88 of its sd.
    assert float(convolution.std()) == pytest.approx(0.088, rel=0.02)
    assert float(convolution.abs().max()) <= 0.2
    biases = [each for name, each in weights.items() if name.endswith("bias") and "norms" not in name]
    assert all(torch.equal(each, torch.full_like(each, 0.1)) for each in biases)
    embedding = weights["trunk.0.weight"]
    assert 0 <= float(embedding.min()) < float(embedding.max()) < 1
    assert float(weights["trunk.1.norms.0.weight"].min()) == 1
