"""Networks by name: a class registers under one or several, its keyword arguments are its configuration."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor

from dilannot.errors import DilannotError, near
from dilannot.genome.tiles import Context

Task = Literal["dense", "window"]


class Network(Protocol):
    """What the rest of dilannot asks of a network: an output per nucleotide and marker, or per window and marker.

    Legend: N batch, L positions, T markers. Networks for windows give (N, T, 1), and have neither `keep` nor a context.
    """

    def __call__(self, sequence: Tensor, keep: tuple[int, int] | None = None) -> Tensor:
        """Logits, (N, L) base codes -> (N, T, L); with `keep`, only positions [start, end) of L."""
        ...

    def context(self) -> Context:
        """What one output block can see."""
        ...

    def start_from(self, base_rates: Tensor) -> None:
        """Before training: let the network predict every marker's base rate, (T,)."""
        ...


@dataclass(frozen=True, slots=True)
class _Entry:
    network: type[torch.nn.Module]
    task: Task
    preset: dict[str, Any]


_NETWORKS: dict[str, _Entry] = {}


def register(
    name: str, task: Task = "dense", **preset: Any
) -> Callable[[type[torch.nn.Module]], type[torch.nn.Module]]:
    """Class decorator: make a network buildable as `name`, for datasets of `task`.

    A class may stand under several names, each with its own `preset` of constructor arguments.
    """

    def add(network: type[torch.nn.Module]) -> type[torch.nn.Module]:
        _NETWORKS[name] = _Entry(network, task, preset)
        return network

    return add


def names(task: str | None = None) -> list[str]:
    """Registered networks, those of one task or all."""
    return [name for name, entry in _NETWORKS.items() if task in (None, entry.task)]


def task_of(name: str) -> Task:
    """Which datasets a registered network is for."""
    return _entry(name).task


def takes(name: str, argument: str) -> bool:
    """Whether a network has a constructor argument."""
    return argument in inspect.signature(_entry(name).network).parameters


def build(name: str, n_outputs: int, **arguments: Any) -> torch.nn.Module:
    """Build a registered network with random weights.

    Raises
    ------
    DilannotError
        Unknown name or argument; near matches are named.
    """
    entry = _entry(name)
    known = inspect.signature(entry.network).parameters
    for argument in arguments:
        if argument not in known:
            raise DilannotError(f"model {name!r} takes no argument {argument!r}{near(argument, known)}")
    return entry.network(n_outputs=n_outputs, **{**entry.preset, **arguments})


def full_arguments(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The constructor's keyword arguments with defaults filled in: a run must not change when a default does."""
    entry = _entry(name)
    parameters = inspect.signature(entry.network).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    return json.loads(json.dumps(defaults | entry.preset | arguments))  # type: ignore[no-any-return]


def context_of(network: torch.nn.Module) -> Context:
    """The context of a network built here."""
    return cast(Network, network).context()


def count_parameters(network: torch.nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def _entry(name: str) -> _Entry:
    if name not in _NETWORKS:
        raise DilannotError(f"no model called {name!r}{near(name, _NETWORKS)}", where="--model")
    return _NETWORKS[name]
