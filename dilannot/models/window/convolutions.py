"""The convolutions that networks for windows begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from torch import nn

from dilannot.models.blocks import CHANNELS, Centre, ConvBlock, OneHot, Pools, check_pools, max_pool
from dilannot.models.dependence import chain_of, walk_back

_Value = TypeVar("_Value")

PerLayer = Sequence[int] | int


def convolutions(
    length: int,
    centre: int,
    filters: Sequence[int],
    kernels: PerLayer,
    dilations: PerLayer,
    pools: Pools,
    dropouts: Sequence[float] | float,
    *,
    projection: int = 0,
    **options: Any,
) -> tuple[list[nn.Module], int, int]:
    """One-hot bases, the window's centre, and one `ConvBlock` per number of filters.

    Parameters
    ----------
    length, centre
        Bases of a window, and those in its middle that are looked at (0: all).
    filters, kernels, dilations, pools, dropouts
        Of each convolution; one number is meant for all.
    projection
        Channels after the first convolution; 0 is none.
    options
        For every `ConvBlock`.

    Returns
    -------
    layers, channels, length
        And what they leave of a window: (N, channels, length).
    """
    layers: list[nn.Module] = [OneHot(), *([Centre(length, centre)] if centre else [])]
    count, channels = len(filters), CHANNELS
    if not count or len(pools) != count:
        raise ValueError(f"pools has {len(pools)} entries, and there are {count} convolutions")
    check_pools(pools, "stride")
    for i in range(count):
        pool = pools[i]
        block = ConvBlock(
            channels,
            filters[i],
            _each(kernels, count, "kernels")[i],
            dilation=_each(dilations, count, "dilations")[i],
            pool=[max_pool(*pool)] if pool else [],
            projection=0 if i else projection,
            dropout=_each(dropouts, count, "dropouts")[i],
            **options,
        )
        layers.append(block)
        channels = projection if projection and not i else filters[i]
    return layers, channels, _length_left(layers, length)


def _length_left(layers: Sequence[nn.Module], length: int) -> int:
    """Positions after all layers; refuses windows of which nothing is left, or of which nothing is seen."""
    chain, left = chain_of(layers, length)
    if left < 1:
        raise ValueError(f"windows of {length:,} bp are too short for it")
    if not len(walk_back(np.arange(left), chain)):
        # The thesis' dilations 1, 3, 9, 27, 81, 243 on `dilated6`: the last one spans its 60 positions many times.
        raise ValueError(f"in windows of {length:,} bp, a dilated convolution sees nothing but padding")
    return left


def _each(values: Sequence[_Value] | _Value, count: int, name: str) -> Sequence[_Value]:
    """One value per convolution, from as many or from one for all."""
    if not isinstance(values, list | tuple):
        return [values] * count  # type: ignore[list-item]
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} entries, and there are {count} convolutions")
    return values
