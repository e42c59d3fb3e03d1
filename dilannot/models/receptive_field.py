"""What an output of a network can see: sets of positions, walked from the output back through its layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from dilannot.genome.tiles import Context
from dilannot.models.dependence import Positions, UnboundedError, chain_of, unbounded, walk_back
from dilannot.models.network import DenseNetwork, Network


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Input positions that the outputs of one block, or of a window, depend on.

    Attributes
    ----------
    first, last
        The outermost ones, counted from the block's (or window's) first position.
    positions
        How many there are between them: fewer than the span where dilations leave gaps.
    """

    first: int
    last: int
    positions: int

    @property
    def span(self) -> int:
        """From the first to the last, nt."""
        return self.last - self.first + 1


def context_of(network: nn.Module) -> Context | None:
    """What tiles must read around what they keep; None where no finite context is known.

    A network that is no chain of known layers may say it itself, with a method `context()`; it must be able to `keep`
    a part of its output then, as `DenseNetwork.forward` does.
    """
    if callable(getattr(type(network), "context", None)):
        context: Context = network.context()  # type: ignore[operator]
        return context
    if not isinstance(network, DenseNetwork) or not is_its_chain(network):
        return None
    try:
        field = dense_field(network)
    except UnboundedError:
        return None
    return Context(-field.first, field.last, network.stride)


def is_its_chain(network: DenseNetwork) -> bool:
    """A forward of its own may do what the chain of layers does not say, unless it says another chain too."""
    own = type(network)
    return own.forward is DenseNetwork.forward or own.layers is not DenseNetwork.layers


def dense_field(network: DenseNetwork) -> ReceptiveField:
    """What one block of `stride` nucleotides sees, far from the ends of its sequence.

    Raises
    ------
    UnboundedError
        Everything (LSTM), or a layer that has no rule.
    """
    return _field(walk_back(_block(network), unbounded(network.layers())))


def window_field(network: Network, length: int) -> ReceptiveField:
    """What the output for a window of `length` bases sees.

    Raises
    ------
    UnboundedError
        A layer has no rule.
    """
    chain, left = chain_of(network.layers(), length)
    return _field(walk_back(np.arange(left, dtype=np.int64), chain))


def check_blocks(network: DenseNetwork) -> None:
    """Refuse a trunk and a head that do not fit: with `keep`, a network is cut between them.

    Raises
    ------
    ValueError
        The head looks beyond its own block, or may; or blocks are not what the stride says.
    """
    if type(network).forward is not DenseNetwork.forward:
        return  # it cuts in its own way
    stride, places, blocks = network.stride, network.places, 1_000
    try:
        seen = walk_back(_block(network), unbounded([network.head]))
        _, made = chain_of([network.head], blocks * places)
    except UnboundedError as error:
        raise ValueError(f"the head has a {error}, which may look beyond a block; put it into the trunk") from None
    if made != stride * blocks:
        raise ValueError(f"the head makes {made / blocks:g} nt of a block, and the stride is {stride}")
    if not 0 <= seen[0] <= seen[-1] < places:
        raise ValueError(f"the head does not make {stride} nt of every block by itself; put the rest into the trunk")
    try:
        _, made = chain_of([network.trunk], stride * blocks)
        field, next_field = (walk_back(_block(network, i), unbounded([network.trunk, network.head])) for i in (0, 1))
    except UnboundedError:
        return  # and no context is derived from it
    if made != blocks * places:
        raise ValueError(
            f"the trunk makes {made:,} positions of {stride * blocks:,} nt, not {places} for a stride of {stride}"
        )
    if not np.array_equal(field + stride, next_field):
        raise ValueError(f"blocks of {stride} nt do not all see alike; give the product of all strides as the stride")


def _block(network: DenseNetwork, number: int = 0) -> Positions:
    return np.arange(network.stride, dtype=np.int64) + number * network.stride


def _field(seen: Positions) -> ReceptiveField:
    return ReceptiveField(int(seen[0]), int(seen[-1]), len(seen))
