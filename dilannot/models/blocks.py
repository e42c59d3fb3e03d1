"""Pieces of networks. Legend: N batch, L positions, C channels."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from dilannot.genome.tiles import Context


class ConvBlock(nn.Sequential):
    """Convolution, batch norm (optional), ReLU, dropout: (N, C, L) -> (N, C', L').

    A strided convolution has kernel = stride and no padding; the others keep the length (SAME: the odd element of
    the padding on the right).
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        transposed: bool = False,
        batch_norm: bool = True,
        batch_norm_decay: float = 0.9,
        dropout: float = 0.0,
    ) -> None:
        layers: list[nn.Module] = []
        if transposed:
            layers.append(nn.ConvTranspose1d(channels, filters, kernel, stride=stride))
        elif stride > 1:
            layers.append(nn.Conv1d(channels, filters, kernel, stride=stride))
        else:
            # Explicit: padding="same" with an even kernel warns, and copies too.
            span = (kernel - 1) * dilation
            layers.append(nn.ConstantPad1d((span // 2, span - span // 2), 0.0))
            layers.append(nn.Conv1d(channels, filters, kernel, dilation=dilation))
        if batch_norm:
            layers.append(nn.BatchNorm1d(filters, momentum=1 - batch_norm_decay))
        layers += [nn.ReLU(inplace=True), nn.Dropout(dropout)]
        super().__init__(*layers)


def context(layers: Iterable[nn.Module]) -> Context:
    """What one output block sees, from the paddings and convolutions among `layers` in the order they are applied.

    Counted in input positions from the block's first one. Kernel equals stride wherever a layer strides.
    """
    left = right = 0
    jump = largest = 1
    for layer in layers:
        if isinstance(layer, nn.ConstantPad1d):
            left += layer.padding[0] * jump
            right -= layer.padding[0] * jump
        elif isinstance(layer, nn.ConvTranspose1d):
            jump //= layer.stride[0]
        elif isinstance(layer, nn.Conv1d):
            right += (layer.kernel_size[0] - 1) * layer.dilation[0] * jump
            jump *= layer.stride[0]
            largest = max(largest, jump)
    return Context(left, right, largest)


def pad_to_blocks(codes: Tensor, stride: int) -> Tensor:
    """Append unknown bases until L is a multiple of `stride`: (N, L) -> (N, L')."""
    short = -codes.shape[1] % stride
    return torch.nn.functional.pad(codes, (0, short)) if short else codes
