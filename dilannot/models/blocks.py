"""Layers and blocks of layers that the networks are made of. Legend: N batch, L positions, C channels, T markers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dilannot.genome.sequence import ALPHABET
from dilannot.models.layers import BatchNorm, Dropout, Logits, Pointwise, is_shared
from dilannot.models.network import Block

CHANNELS = 4  # A, C, G, T

Pools = Sequence[Sequence[int] | None]  # width and stride, or dilation, after each convolution; None: no pool

_ONE_HOT = torch.eye(len(ALPHABET))[:, 1:]


class OneHot(nn.Module):
    """Base codes to channels: (N, L) -> (N, 4, L); N is zero in all four."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Not saved with the weights, so it must be there when a network is built without memory, on "meta".
        self.register_buffer("table", _ONE_HOT.clone(), persistent=False)

    def forward(self, sequence: Tensor) -> Tensor:
        channels: Tensor = self.table[sequence.int()].transpose(1, 2)
        return channels


class Embed(nn.Embedding):
    """Base codes to learned numbers: (N, L) -> (N, C, L); N is a base like any other."""

    def __init__(self, channels: int) -> None:
        if channels < 1:
            raise ValueError("bases are embedded in 1 number or more")
        super().__init__(len(ALPHABET), channels)

    def forward(self, sequence: Tensor) -> Tensor:
        return super().forward(sequence.int()).transpose(1, 2)


class Centre(nn.Module):
    """The middle `width` positions: (..., L) -> (..., width)."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        if width > length:
            raise ValueError(f"windows of {length:,} bp have no central {width:,} bp")
        self.start, self.width = (length - width) // 2, width

    def forward(self, features: Tensor) -> Tensor:
        return features[..., self.start : self.start + self.width]


class ConvBlock(Block):
    """Convolution, batch norm, ReLU, dropout, max-pooling, projection: (N, C, L) -> (N, C', L').

    Parameters
    ----------
    channels, filters, kernel, dilation
        Of the convolution.
    stride
        Above 1, kernel = stride and nothing is padded.
    same
        Keep the length, the odd element of the padding on the right; else lose what the kernel overhangs (VALID).
    transposed
        The way back from a strided convolution: every position becomes `stride` of them.
    batch_norm, batch_norm_decay
        Batch norm before the ReLU, and how much of the running statistics a step keeps.
    negative_slope
        Of a leaky ReLU.
    dropout, pool
        After the ReLU, in this order; the other way round with `pool_first`.
    projection
        Channels of a linear map (no bias, no activation) after the pooling; 0 is none.
    applications
        How often the block is applied: the weights are shared, every application has its own batch norm.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        same: bool = True,
        transposed: bool = False,
        batch_norm: bool = False,
        batch_norm_decay: float = 0.9,
        negative_slope: float = 0.0,
        dropout: float = 0.0,
        pool: Sequence[nn.Module] = (),
        pool_first: bool = False,
        projection: int = 0,
        applications: int = 1,
    ) -> None:
        super().__init__()
        if min(filters, kernel, stride, dilation) < 1 or projection < 0:
            raise ValueError("filters, kernel, stride and dilation are 1 or more, a projection 0 or more")
        if not 0 <= batch_norm_decay <= 1:
            raise ValueError(f"a batch norm decay of {batch_norm_decay} is not between 0 and 1")
        pad, convolution = [], nn.Conv1d(channels, filters, kernel, stride=stride, dilation=dilation)
        if kernel == stride == 1:
            convolution = Pointwise(channels, filters)
        if transposed:
            convolution = nn.ConvTranspose1d(channels, filters, kernel, stride=stride)  # type: ignore[assignment]
        elif stride == 1 and same and kernel > 1:
            pad = [same_padding(kernel, dilation)]
        self.convolution = nn.Sequential(*pad, convolution)
        norms = applications if batch_norm else 0
        self.norms = nn.ModuleList(BatchNorm(filters, momentum=1 - batch_norm_decay) for _ in range(norms))
        drop = [Dropout(dropout)] if dropout else []
        self.after = nn.Sequential(
            activation(negative_slope),
            *([] if pool_first else drop),
            *pool,
            *([nn.Conv1d(filters, projection, 1, bias=False)] if projection else []),
            *(drop if pool_first else []),
        )

    def layers(self, application: int = 0) -> list[nn.Module]:
        return [*self.convolution, *self.norms[application : application + 1], *self.after]


def activation(negative_slope: float = 0.0) -> nn.Module:
    """ReLU, or a leaky one; in place, because what stands before it needs its own output no more."""
    return nn.LeakyReLU(negative_slope, inplace=True) if negative_slope else nn.ReLU(inplace=True)


def same_padding(kernel: int, dilation: int = 1, value: float = 0.0) -> nn.ConstantPad1d:
    """What keeps the length under a kernel, the odd element on the right.

    Explicit, because `padding="same"` with an even kernel warns, and copies too.
    """
    span = (kernel - 1) * dilation
    return nn.ConstantPad1d((span // 2, span - span // 2), value)


def check_pools(pools: Pools, second: str) -> None:
    """Refuse pools that are not pairs."""
    if any(pool is not None and len(pool) != 2 for pool in pools):
        raise ValueError(f"a pool is a width and a {second}, as in [[4,2],null]")


def max_pool(width: int, stride: int) -> nn.MaxPool1d:
    """Max-pooling of whole strides: what is left over at the end is dropped."""
    if min(width, stride) < 1:
        raise ValueError("a pool's width and stride are 1 or more")
    return nn.MaxPool1d(width, stride)


def same_max_pool(width: int, dilation: int = 1) -> list[nn.Module]:
    """Max-pooling that keeps the length; what lies outside is never the largest."""
    if min(width, dilation) < 1:
        raise ValueError("a pool's width and dilation are 1 or more")
    return [same_padding(width, dilation, -torch.inf), nn.MaxPool1d(width, stride=1, dilation=dilation)]


class HiddenBatchNorm(BatchNorm):
    """Batch norm of (N, C) features; a batch of one window, which has no variance, gets the running statistics."""

    def forward(self, features: Tensor) -> Tensor:
        if self.training and len(features) == 1 and not is_shared():
            return nn.functional.batch_norm(features, self.running_mean, self.running_var, self.weight, self.bias)
        return super().forward(features)


def hidden_layers(
    inputs: int,
    hidden: Sequence[int],
    *,
    batch_norm: bool = False,
    batch_norm_decay: float = 0.9,
    negative_slope: float = 0.0,
    dropout: float = 0.0,
) -> tuple[list[nn.Module], int]:
    """Linear, batch norm (optional), ReLU, dropout for each width; and the last width. (N, C) -> (N, C')."""
    layers: list[nn.Module] = []
    for width in hidden:
        if width < 1:
            raise ValueError("a hidden layer has 1 unit or more")
        norm = [HiddenBatchNorm(width, momentum=1 - batch_norm_decay)] if batch_norm else []
        layers += [nn.Linear(inputs, width), *norm]
        layers += [activation(negative_slope), *([Dropout(dropout)] if dropout else [])]
        inputs = width
    return layers, inputs


def dense_head(channels: int, hidden: int, n_outputs: int, dropout: float) -> list[nn.Module]:
    """At every nucleotide: hidden layer, ReLU, dropout, logits. (N, C, L) -> (N, T, L).

    Convolutions of width 1 keep the markers outermost: that is 2.9x faster than positions x markers, and the order in
    which tracks, histograms and run lengths are made.
    """
    return [ConvBlock(channels, hidden, 1, dropout=dropout), Logits(hidden, n_outputs)]
