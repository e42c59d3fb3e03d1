"""What a network is: a chain of layers, from base codes to logits.

Legend: N batch, L positions, C channels, T markers. Everything that is said of a network (receptive field, halo, cost,
layer table) is computed from its chain.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn


class Network(nn.Module, ABC):
    """A network that says which layers it applies, one after the other."""

    @abstractmethod
    def layers(self) -> list[nn.Module]:
        """All layers in the order they are applied; one that is applied twice stands there twice."""

    @property
    def output(self) -> nn.Module:
        """The layer that gives the logits."""
        return list(leaves(self.layers()))[-1]

    @torch.no_grad()
    def start_from(self, base_rates: Tensor) -> None:
        """Let the untrained network predict every marker's base rate, (T,), instead of one half.

        The published start takes thousands of steps to learn that labels are rare. Without a bias there is no such
        start.
        """
        output = self.output
        if isinstance(output, nn.Linear | nn.Conv1d) and output.bias is not None:
            output.bias.copy_(torch.logit(base_rates, eps=1e-6))
            output.weight.mul_(0.1)


class WindowNetwork(Network):
    """One output per window and marker, (N, L) codes -> (N, T, 1) logits.

    Parameters
    ----------
    layers
        A chain from (N, L) codes to (N, T).
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.chain = nn.Sequential(*layers)

    def layers(self) -> list[nn.Module]:
        return list(self.chain)

    def forward(self, sequence: Tensor) -> Tensor:
        logits: Tensor = self.chain(sequence)
        return logits[:, :, None]


class DenseNetwork(Network):
    """One output per nucleotide and marker, (N, L) codes -> (N, T, L) logits.

    `build` refuses a trunk and a head that do not fit (`receptive_field.check_blocks`).

    Parameters
    ----------
    trunk
        A chain from (N, L) codes to (N, C, places L / stride): everything that looks beyond its own block.
    head
        A chain from there to (N, T, L), in which block b decides on its own `stride` nucleotides only.
    stride
        Nucleotides of a block.
    places
        Positions that the trunk makes of a block; more than one where it has a way back of its own.
    """

    def __init__(self, trunk: Sequence[nn.Module], head: Sequence[nn.Module], stride: int = 1, places: int = 1) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*trunk)
        self.head = nn.Sequential(*head)
        self.stride, self.places = stride, places

    def layers(self) -> list[nn.Module]:
        return [*self.trunk, *self.head]

    def forward(self, sequence: Tensor, keep: tuple[int, int] | None = None) -> Tensor:
        """Logits, (N, L) -> (N, T, L); with `keep`, of positions [start, end) only: the head runs on no others."""
        return self._decide(self.trunk(self.pad(sequence)), keep or (0, sequence.shape[1]))

    def pad(self, sequence: Tensor) -> Tensor:
        """Append unknown bases until L is a multiple of the stride: (N, L) -> (N, L')."""
        short = -sequence.shape[1] % self.stride
        return nn.functional.pad(sequence, (0, short)) if short else sequence

    def _decide(self, features: Tensor, keep: tuple[int, int]) -> Tensor:
        """The head on positions [start, end): (N, C, places L / stride) -> (N, T, end - start)."""
        start, end = keep
        first_block, end_block = start // self.stride, -(-end // self.stride)
        logits: Tensor = self.head(features[:, :, first_block * self.places : end_block * self.places])
        origin = first_block * self.stride
        return logits[:, :, start - origin : end - origin]


class Sum(nn.Module):
    """Chains of layers that read the same features, and whose results are added up: residual and skip connections.

    Parameters
    ----------
    branches
        Chains of layers; an empty one gives the features as they are.

    Raises
    ------
    ValueError
        A chain begins with a layer that works in place: the others would read what it wrote.
    """

    def __init__(self, *branches: Sequence[nn.Module]) -> None:
        super().__init__()
        if any(_begins_in_place(branch) for branch in branches):
            raise ValueError("a chain of a sum begins in place: the others would read what it wrote")
        self.branches = nn.ModuleList(nn.Sequential(*branch) for branch in branches)

    def forward(self, features: Tensor) -> Tensor:
        first, *others = self.branches
        total: Tensor = first(features)
        for branch in others:
            total = total + branch(features)
        return total


class BothStrands(nn.Module):
    """A chain that reads a sequence and its reverse complement; what it makes of the two is added up place by place.

    (N, 4, L) with channels A, C, G, T -> (N, C, L'); L must be a multiple of what the chain makes one position of.

    Parameters
    ----------
    layers
        The chain.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.chain = nn.Sequential(*layers)

    def forward(self, sequence: Tensor) -> Tensor:
        made: Tensor = self.chain(torch.cat([sequence, sequence.flip(1, 2)]))
        here, there = made.chunk(2)
        return here + there.flip(2)


def _begins_in_place(layers: Sequence[nn.Module]) -> bool:
    """Dropout, which gives its input itself in prediction, counts as nothing."""
    working = (layer for layer in leaves(layers) if not isinstance(layer, nn.Dropout | nn.Identity))
    return bool(getattr(next(working, None), "inplace", False))


def leaves(layers: Sequence[nn.Module]) -> Iterator[nn.Module]:
    """The single layers of a chain; blocks are taken apart, unless they do something else than apply their layers."""
    for layer in layers:
        if isinstance(layer, nn.Sequential) and type(layer).forward is nn.Sequential.forward:
            yield from leaves(list(layer))
        elif isinstance(layer, Block) and type(layer).forward is Block.forward:
            yield from leaves(layer.layers())
        else:
            yield layer


def inner_leaves(layers: Sequence[nn.Module]) -> Iterator[nn.Module]:
    """The single layers of a chain and of the chains inside them, in the order they are applied."""
    for layer in leaves(layers):
        inside = layer.branches if isinstance(layer, Sum) else [layer.chain] if isinstance(layer, BothStrands) else []
        for chain in inside:
            yield from inner_leaves([chain])
        yield layer


class Block(nn.Module, ABC):
    """Several layers that belong together, applied one after the other."""

    @abstractmethod
    def layers(self) -> list[nn.Module]:
        """In the order they are applied."""

    def forward(self, features: Tensor) -> Tensor:
        for layer in self.layers():
            features = layer(features)
        return features
