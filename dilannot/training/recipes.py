"""The recipes of the sources, and how a recipe, a file and the command line together make settings."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dilannot.errors import DilannotError, near
from dilannot.training.settings import TYPES, Settings

_PLAIN: dict[str, Any] = {"schedule": "constant", "warmup": 0.0, "weight_decay": 0.0, "clip": 0.0, "initial": "default"}

# What the sources say of training; where they say nothing (epochs of most), the default stays.
RECIPES: dict[str, dict[str, Any]] = {
    "modern": {},
    # Gupta 2017, Gupta & Rush 2017, Task 2.
    "gupta": _PLAIN | {"optimizer": "adam", "learning_rate": 1e-3, "batch_size": 8, "initial": "published"},
    # Hawkins-Hooker et al. 2018.
    "crnn": _PLAIN
    | {
        "optimizer": "adam", "learning_rate": 3e-4, "batch_size": 256, "epochs": 35, "schedule": "plateau",
        "plateau_patience": 2, "plateau_factor": 0.2, "patience": 5, "watch": "loss",
    },
    # Quang & Xie 2016.
    "danq": _PLAIN | {"optimizer": "rmsprop", "learning_rate": 1e-3, "batch_size": 100, "watch": "loss"},
    # Zhou & Troyanskaya 2015; its rate is for a loss that is a sum over markers, ours is a mean.
    "deepsea": _PLAIN
    | {
        "optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.1, "batch_size": 100, "weight_decay": 1e-6,
        "max_norm": 0.9, "l1": 1e-8, "watch": "loss",
    },
    # WakaWaka report (expression from histone marks and DNA).
    "waka": _PLAIN | {"optimizer": "adam", "learning_rate": 5e-4, "batch_size": 100, "epochs": 10, "watch": "loss"},
}  # fmt: skip


def recipe(name: str) -> Settings:
    """The settings of a recipe.

    Raises
    ------
    DilannotError
        No such recipe.
    """
    if name not in RECIPES:
        raise DilannotError(
            f"no recipe {name!r}{near(name, RECIPES)}", where="--recipe", remedy=f"choose from {', '.join(RECIPES)}"
        )
    return Settings(recipe=name, **RECIPES[name])


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, such as a run's `settings.toml`.

    Raises
    ------
    DilannotError
        No such file, no TOML, or a name that is no setting.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DilannotError("file not found", where=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DilannotError(f"is not TOML: {error}", where=path) from None
    for name in values:
        if name not in TYPES:
            raise DilannotError(f"no setting {name!r}{near(name, TYPES)}", where=path)
    return values


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE texts as values; what is no setting is found by `Settings.changed`.

    Raises
    ------
    DilannotError
        A text without an equals sign.
    """
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise DilannotError(f"{text!r} is not NAME=VALUE", where="--setting")
        values[name.strip().replace("-", "_")] = _read(value.strip())
    return values


def _read(text: str) -> Any:
    """A number or true or false as JSON writes them; else a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def resolve_settings(
    name: str | None = None, config: Path | None = None, given: Mapping[str, Any] | None = None
) -> Settings:
    """Settings from a recipe, a config file's values over it, and given values over those."""
    values = {} if config is None else read_config(config)
    base = recipe(name or values.get("recipe", "modern"))
    values.pop("recipe", None)
    try:
        base = base.changed(values)
    except DilannotError as error:
        raise DilannotError(f"{error.where} {error.problem}", where=config) from None
    return base.changed(given or {})
