"""Networks by name: a class registers under one or several, its keyword arguments are its configuration."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import nn

from dilannot.errors import DilannotError, near
from dilannot.models.network import DenseNetwork
from dilannot.models.receptive_field import check_blocks

Output = Literal["dense", "window", "scalar"]

_Class = TypeVar("_Class", bound=type[nn.Module])


@dataclass(frozen=True, slots=True)
class Source:
    """Where a network was published.

    Attributes
    ----------
    text
        Authors and year.
    outputs, parameters
        The published number of trainable parameters, and the outputs it was counted with; None where there is none.
    """

    text: str
    outputs: int = 919
    parameters: int | None = None


@dataclass(frozen=True, slots=True)
class OwnCode:
    """A user's file: where it was, and what was in it when it was run."""

    path: Path
    source: bytes

    @property
    def sha256(self) -> str:
        """Digest of the file's bytes."""
        return hashlib.sha256(self.source).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered network.

    Attributes
    ----------
    network, preset
        The class, and the constructor arguments that make it this network.
    output
        One label vector a nucleotide (dense) or a window, or one number.
    inputs
        Names of the tensors it takes from a `Batch`.
    source
        Where it was published.
    needs_motifs
        It starts from a file of motifs.
    code
        The user's file it came from; None for our own.
    """

    network: type[nn.Module]
    preset: dict[str, Any]
    output: Output
    inputs: tuple[str, ...]
    source: Source
    needs_motifs: bool
    code: OwnCode | None = None


_NETWORKS: dict[str, Entry] = {}
_reading: list[OwnCode] = []  # the user's file that registers now


@contextmanager
def reading(code: OwnCode) -> Iterator[None]:
    """What is registered inside comes from a user's file."""
    _reading.append(code)
    try:
        yield
    finally:
        _reading.pop()


def register(
    name: str,
    output: Output = "dense",
    inputs: Sequence[str] | str = ("sequence",),
    *,
    source: Source = Source(""),
    needs_motifs: bool = False,
    **preset: Any,
) -> Callable[[_Class], _Class]:
    """Class decorator: make a network buildable as `name`.

    A class may stand under several names, each with its own `preset` of constructor arguments. See `Entry`.
    """
    code = _reading[-1] if _reading else None

    def add(network: _Class) -> _Class:
        taken, where = _NETWORKS.get(name), code.path if code else None
        if output not in get_args(Output):
            known = ", ".join(get_args(Output))
            raise DilannotError(f"{name!r} has output {output!r}", where=where, remedy=f"use one of {known}")
        if taken is not None and (taken.code is None or taken.code is code):
            raise DilannotError(f"{name!r} is the name of another network", where=where, remedy="choose another name")
        names = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        _NETWORKS[name] = Entry(network, preset, output, names, source, needs_motifs, code)
        return network

    return add


def names(output: str | None = None) -> list[str]:
    """Registered networks, those of one kind of output or all, class by class and as they stand in the code."""
    groups: dict[type[nn.Module], list[str]] = {}
    for name, each in _NETWORKS.items():
        if output in (None, each.output):
            groups.setdefault(each.network, []).insert(0, name)  # decorators are applied from the last one up
    return [name for group in groups.values() for name in group]


def entry(name: str) -> Entry:
    """A registered network.

    Raises
    ------
    DilannotError
        Unknown name; near matches are named.
    """
    if name not in _NETWORKS:
        raise DilannotError(
            f"no model called {name!r}{near(name, _NETWORKS)}",
            remedy="dilannot models lists them; a network of your own is FILE.py:CLASS",
        )
    return _NETWORKS[name]


def parameters_of(name: str) -> dict[str, inspect.Parameter]:
    """Constructor arguments of a registered network, without the number of outputs."""
    found = dict(inspect.signature(entry(name).network).parameters)
    found.pop("n_outputs", None)
    return found


def check_arguments(name: str, arguments: dict[str, Any]) -> None:
    """Refuse arguments that the network's constructor does not take.

    Raises
    ------
    DilannotError
        Unknown argument; near matches are named.
    """
    known = parameters_of(name)
    for argument in arguments:
        if argument not in known:
            raise DilannotError(
                f"model {name!r} takes no argument {argument!r}{near(argument, known)}",
                remedy=f"it takes {', '.join(known)}" if known else "it takes none",
            )


def build(name: str, n_outputs: int, **arguments: Any) -> nn.Module:
    """Build a registered network with random weights.

    Raises
    ------
    DilannotError
        Unknown name or argument, or values that make no network.
    """
    check_arguments(name, arguments)
    chosen = entry(name)
    try:
        network = chosen.network(n_outputs=n_outputs, **{**chosen.preset, **arguments})
        if isinstance(network, DenseNetwork):
            check_blocks(network)
        return network
    except ValueError as error:
        where, remedy = (chosen.code.path, "change it") if chosen.code else (None, "change --set, or the dataset")
        raise DilannotError(f"model {name!r} cannot be built: {error}", where=where, remedy=remedy) from None


def build_without_memory(name: str, n_outputs: int, **arguments: Any) -> nn.Module:
    """Build a network to look at, or to load weights into.

    Ours are built on torch's "meta" device, where weights have shapes and no values; all but weights is there. Of a
    user's own nobody knows what it has besides weights.
    """
    with nullcontext() if entry(name).code else torch.device("meta"):
        return build(name, n_outputs, **arguments)


def full_arguments(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The constructor's keyword arguments with defaults filled in: a run must not change when a default does."""
    parameters = parameters_of(name).values()
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    return json.loads(json.dumps(defaults | entry(name).preset | arguments))  # type: ignore[no-any-return]


def count_parameters(network: nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
