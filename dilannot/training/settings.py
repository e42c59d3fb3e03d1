"""How a network is trained: every value that is written to `run/settings.toml`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args, get_type_hints

from dilannot.errors import DilannotError, near

Optimizer = Literal["auto", "muon", "adamw", "adam", "rmsprop", "sgd"]

BATCH_SIZES = {"dense": 2, "window": 100}
# Muon's products cost a dense network's filters nothing, and a bin network's layer of 50,000 inputs an age.
OPTIMIZERS: dict[str, Optimizer] = {"dense": "muon", "window": "adamw"}
LEARNING_RATES = {"muon": 6e-3, "adamw": 2e-3, "adam": 1e-3, "rmsprop": 1e-3, "sgd": 0.1}

Schedule = Literal["cosine", "plateau", "constant"]
Watch = Literal["pr_auc", "loss"]
Initial = Literal["base-rates", "published", "default"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a training; the values here are the recipe `modern`.

    Attributes
    ----------
    recipe
        Which of `RECIPES` the others started from.
    epochs, max_steps
        Passes over the training windows; a limit of steps, whatever the epoch (0: none).
    batch_size
        Windows a step, over all processes; 0 is the task's own: 2 of 25,000 bp (the sources use 8; small datasets learn
        more from smaller steps), 100 of 1,000 bp (as DanQ).
    micro_batch
        Windows a process computes at a time: gradients of a batch add up over its micro-batches. 0 is all at once.
    optimizer, momentum, weight_decay
        `auto` is Muon for dense datasets, which learns rare markers sooner, and AdamW for bins. Momentum is of sgd;
        weight decay leaves biases and norms alone.
    learning_rate, schedule, warmup
        Peak rate (0: the optimiser's own of `LEARNING_RATES`); cosine to nothing, lower on a plateau, or constant;
        after a linear warm-up over this part of the steps.
    plateau_patience, plateau_factor
        After so many epochs without a better one the rate is multiplied by the factor.
    patience
        Training ends after so many epochs without a better one; 0 is never.
    watch
        What makes an epoch a better one: the mean validation PR AUC over classes, or the validation loss.
    clip, max_norm
        Largest norm of the gradient, and of the weights of a filter or unit; 0 is none.
    l1
        Penalty on the sum of the last hidden layer's outputs.
    positive_weight
        How often a positive label counts.
    ema
        Weights that are validated and kept are averages over about 1 / (1 - ema) steps; 0 is none.
    initial
        Start weights: torch's, with a last layer that predicts base rates (`base-rates`) or not (`default`); or those
        of the thesis (`published`): truncated normal of sd 0.1, biases 0.1, embedding uniform in [0, 1).
    precision
        Of the products on a GPU; `auto` is bfloat16 where it is native. CPUs always use float32.
    reverse_complement, shift
        How windows are varied: see `data.order.Augmentation`.
    checkpoint_minutes
        How much work a kill can cost; 0 writes a checkpoint after every step.
    seed
        Of weights, dropout, the order of windows and how they are varied.
    """

    recipe: str = "modern"
    epochs: int = 10
    max_steps: int = 0
    batch_size: int = 0
    micro_batch: int = 0
    optimizer: Optimizer = "auto"
    learning_rate: float = 0.0
    schedule: Schedule = "cosine"
    warmup: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.01
    plateau_patience: int = 2
    plateau_factor: float = 0.2
    patience: int = 0
    watch: Watch = "pr_auc"
    clip: float = 1.0
    max_norm: float = 0.0
    l1: float = 0.0
    positive_weight: float = 1.0
    ema: float = 0.0
    initial: Initial = "base-rates"
    precision: Precision = "auto"
    reverse_complement: bool = False
    shift: int = 0
    checkpoint_minutes: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            _check(name, value)

    def for_task(self, task: str) -> Settings:
        """With what depends on the task decided."""
        optimizer = OPTIMIZERS[task] if self.optimizer == "auto" else self.optimizer
        return replace(
            self,
            batch_size=self.batch_size or BATCH_SIZES[task],
            optimizer=optimizer,
            learning_rate=self.learning_rate or LEARNING_RATES[optimizer],
        )

    def changed(self, values: Mapping[str, Any]) -> Settings:
        """With some values changed.

        Raises
        ------
        DilannotError
            No such setting, or a value it cannot have.
        """
        for name in values:
            if name not in TYPES:
                raise DilannotError(f"no setting {name!r}{near(name, TYPES)}", where="--setting")
        if values.get("learning_rate") == 0:
            raise DilannotError("is above 0; leave it out for the optimiser's own", where="learning_rate")
        return replace(self, **{name: _typed(name, value) for name, value in values.items()})

    def as_dict(self) -> dict[str, Any]:
        """For `settings.toml`."""
        return asdict(self)


TYPES = get_type_hints(Settings)
_LEAST = {"epochs": 1, "plateau_factor": 1e-9, "positive_weight": 1e-9}
_MOST = {"warmup": 1.0, "plateau_factor": 1.0, "momentum": 1.0, "ema": 0.999999, "seed": 2**63 - 1}


def _typed(name: str, value: Any) -> Any:
    """An integer is a float too where one is wanted; nothing else is another type."""
    return float(value) if TYPES[name] is float and type(value) is int else value


def _check(name: str, value: Any) -> None:
    kind = TYPES[name]
    if choices := get_args(kind):
        if value not in choices:
            raise DilannotError(f"is one of {', '.join(choices)} (got {value!r})", where=name)
    elif type(value) is not kind:
        raise DilannotError(f"is {_WORDS[kind]} (got {value!r})", where=name)
    elif kind in (int, float):
        least, most = _LEAST.get(name, 0), _MOST.get(name, math.inf)
        if not (math.isfinite(value) and least <= value <= most):
            bound = f"{least:g} or more" if most == math.inf else f"between {least:g} and {most:g}"
            raise DilannotError(f"is {bound} (got {value!r})", where=name)


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
