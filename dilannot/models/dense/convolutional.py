"""Convolutions between a strided one and a transposed one: plain, dilated, with pools. N batch, L positions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import nn

from dilannot.models.blocks import ConvBlock, Embed, Pools, check_pools, dense_head, same_max_pool
from dilannot.models.network import DenseNetwork
from dilannot.models.registry import Source, register
from dilannot.models.sources import PAPER, THESIS

_CONV1: dict[str, Any] = {"filters": (128,), "dilations": (1,), "deconvolution": 0, "stride": 1}
_CONV7: dict[str, Any] = {"filters": (128, 240, 50, 50, 50, 50), "dilations": (1,) * 6}
_POOLS: dict[str, Any] = {"pools": ((5, 1), (5, 1), None, (5, 1), None)}
_DILATED_POOLS: dict[str, Any] = {"pools": (None, None, None, (5, 27), (5, 81))}
_PLAIN: dict[str, Any] = {"batch_norm": False}


@register("conv1", source=Source(PAPER, 919, 137_187), **_CONV1, **_PLAIN)
@register("conv1-thesis", source=Source(THESIS, 917, 136_935), **_CONV1, **_PLAIN)
@register("conv3-dense", source=Source(PAPER, 919, 341_803), filters=(128, 120), dilations=(1, 1))
@register("conv3-dense-thesis", source=Source(THESIS, 917, 554_675), filters=(128, 240), dilations=(1, 1), **_PLAIN)
@register("conv7", source=Source(PAPER, 919, 656_363), **_CONV7)
@register("conv7-thesis", source=Source(THESIS, 917, 654_875), **_CONV7, **_PLAIN)
@register("dilated", source=Source(PAPER, 919, 631_213))  # published: 631,263, of which no layer uses 50
@register("dilated-thesis", source=Source(THESIS, 917, 629_825), **_PLAIN)
@register("dilated-pool", source=Source(PAPER, 919, 631_213), **_POOLS)
@register("dilated-pool-thesis", source=Source(THESIS, 917, 629_825), **_POOLS, **_PLAIN)
@register("dilated-dilated-pool", source=Source(PAPER, 919, 631_213), **_DILATED_POOLS)
@register("dilated-dilated-pool-thesis", source=Source(THESIS, 917, 629_825), **_DILATED_POOLS, **_PLAIN)
class DenseConvolutional(DenseNetwork):
    """The convolutional networks of thesis Task 2 and the paper, without suffix as in the paper.

    Parameters
    ----------
    n_outputs
        Markers.
    filters, dilations
        Of each convolution.
    kernel
        Of all of them but a strided one.
    stride
        Nucleotides the first convolution makes one of (kernel = stride), and the transposed one makes of one; with 1
        nothing is strided, and a plain convolution takes the place of the transposed one.
    pools
        Width and dilation of the max-pooling after each convolution, None where there is none.
    deconvolution
        Filters of the transposed convolution; 0 is none.
    hidden
        Units of the head's hidden layer.
    batch_norm, batch_norm_decay
        After every convolution, and how much of the running statistics a step keeps.
    dropout
        After every convolution and the hidden layer.
    embedding
        Numbers a base is embedded in.
    """

    def __init__(
        self,
        n_outputs: int,
        *,
        filters: Sequence[int] = (128, 240, 50, 50, 50),
        dilations: Sequence[int] = (1, 3, 9, 27, 81),
        kernel: int = 10,
        stride: int = 10,
        pools: Pools | None = None,
        deconvolution: int = 50,
        hidden: int = 125,
        batch_norm: bool = True,
        batch_norm_decay: float = 0.9,
        dropout: float = 0.01,
        embedding: int = 4,
    ) -> None:
        if not filters:
            raise ValueError("filters is empty: there is one convolution or more")
        if not len(filters) == len(dilations) == len(pools or filters):
            raise ValueError(
                f"filters has {len(filters)} entries, dilations {len(dilations)}"
                + (f", pools {len(pools)}" if pools else "")
                + ": there is one of each per convolution"
            )
        if stride > 1 and dilations[0] > 1:
            raise ValueError("the strided convolution is not dilated: the first of dilations is 1")
        check_pools(pools or (), "dilation")
        block = partial(ConvBlock, batch_norm=batch_norm, batch_norm_decay=batch_norm_decay, dropout=dropout)
        trunk: list[nn.Module] = [Embed(embedding)]
        head: list[nn.Module] = []
        channels = embedding
        for i, (width, dilation) in enumerate(zip(filters, dilations, strict=True)):
            pool = pools[i] if pools else None
            first = stride if i == 0 else 1
            trunk.append(
                block(
                    channels, width, first if first > 1 else kernel,
                    stride=first, dilation=dilation, pool=same_max_pool(*pool) if pool else [],
                )
            )  # fmt: skip
            channels = width
        if deconvolution and stride > 1:
            head = [block(channels, deconvolution, stride, stride=stride, transposed=True)]
        elif deconvolution:
            trunk.append(block(channels, deconvolution, kernel))
        super().__init__(trunk, [*head, *dense_head(deconvolution or channels, hidden, n_outputs, dropout)], stride)
