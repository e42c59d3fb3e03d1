"""Networks by name: a class registers under one, its keyword arguments are its configuration."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor

from dilannot.errors import DilannotError, near
from dilannot.genome.tiles import Context

Task = Literal["dense", "window"]


class Network(Protocol):
    """What the rest of dilannot asks of a network: an output per nucleotide and marker, or per window and marker.

    Legend: N batch, L positions, T markers. Networks for windows give (N, T, 1) and ignore `keep`.
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


_NETWORKS: dict[str, type[torch.nn.Module]] = {}
_TASKS: dict[str, Task] = {}


def register(name: str, task: Task = "dense") -> Callable[[type[torch.nn.Module]], type[torch.nn.Module]]:
    """Class decorator: make a network buildable as `name`, for datasets of `task`."""

    def add(network: type[torch.nn.Module]) -> type[torch.nn.Module]:
        _NETWORKS[name], _TASKS[name] = network, task
        return network

    return add


def task_of(name: str) -> Task:
    """Which datasets a registered network is for."""
    return _TASKS[name]


def build(name: str, n_outputs: int, **arguments: Any) -> torch.nn.Module:
    """Build a registered network with random weights.

    Raises
    ------
    DilannotError
        Unknown name or argument; near matches are named.
    """
    if name not in _NETWORKS:
        raise DilannotError(f"no model called {name!r}{near(name, _NETWORKS)}")
    known = inspect.signature(_NETWORKS[name]).parameters
    for argument in arguments:
        if argument not in known:
            raise DilannotError(f"model {name!r} takes no argument {argument!r}{near(argument, known)}")
    return _NETWORKS[name](n_outputs=n_outputs, **arguments)


def full_arguments(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The constructor's keyword arguments with defaults filled in: a run must not change when a default does."""
    parameters = inspect.signature(_NETWORKS[name]).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    return json.loads(json.dumps(defaults | arguments))  # type: ignore[no-any-return]


def context_of(network: torch.nn.Module) -> Context:
    """The context of a network built here."""
    return cast(Network, network).context()


def count_parameters(network: torch.nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
