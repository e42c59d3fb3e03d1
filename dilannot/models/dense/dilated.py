"""The dilated network of Gupta & Rush 2017: a strided convolution, four dilated ones, a transposed one, a head.

N batch, L positions, C channels, T markers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dilannot.genome.sequence import ALPHABET
from dilannot.genome.tiles import Context
from dilannot.models.blocks import ConvBlock, context, pad_to_blocks
from dilannot.models.registry import register


@register("dilated")
class Dilated(nn.Module):
    """`dilated` of thesis Task 2 and paper (631,213 parameters at 919 markers; without batch norm 629,825 at 917).

    Parameters
    ----------
    n_outputs
        Markers.
    filters
        Of the first, the widest and all further convolutions.
    dilations
        Of the convolutions between the strided and the transposed one; the first of them is the widest.
    kernel, stride
        Kernel of every convolution, and the stride of the first and the transposed one (kernel = stride there).
    hidden
        Units of the head's hidden layer.
    batch_norm, batch_norm_decay
        Batch norm after every convolution, and how much of the running statistics a step keeps.
    dropout
        After every convolution and the hidden layer.
    embedding
        Numbers a base is embedded in.
    """

    def __init__(
        self,
        n_outputs: int,
        *,
        filters: Sequence[int] = (128, 240, 50),
        dilations: Sequence[int] = (3, 9, 27, 81),
        kernel: int = 10,
        stride: int = 10,
        hidden: int = 125,
        batch_norm: bool = True,
        batch_norm_decay: float = 0.9,
        dropout: float = 0.01,
        embedding: int = 4,
    ) -> None:
        super().__init__()
        first, widest, rest = filters
        norm = {"batch_norm": batch_norm, "batch_norm_decay": batch_norm_decay, "dropout": dropout}
        widths = [widest] + [rest] * (len(dilations) - 1)
        self.stride = stride
        self.embedding = nn.Embedding(len(ALPHABET), embedding)
        trunk = [ConvBlock(embedding, first, stride, stride=stride, **norm)]  # type: ignore[arg-type]
        for channels, width, dilation in zip([first, *widths], widths, dilations, strict=False):
            trunk.append(ConvBlock(channels, width, kernel, dilation=dilation, **norm))  # type: ignore[arg-type]
        self.trunk = nn.Sequential(*trunk)
        self.expand = ConvBlock(widths[-1], rest, stride, stride=stride, transposed=True, **norm)  # type: ignore[arg-type]
        # Convolutions of width 1 keep the markers outermost: that is 2.9x faster than positions x markers, and
        # the order in which tracks, histograms and run lengths are made.
        self.hidden = nn.Sequential(nn.Conv1d(rest, hidden, 1), nn.ReLU(inplace=True), nn.Dropout(dropout))
        self.output = nn.Conv1d(hidden, n_outputs, 1)

    def forward(self, sequence: Tensor, keep: tuple[int, int] | None = None) -> Tensor:
        """Logits, (N, L) -> (N, T, L); with `keep`, of positions [start, end) only."""
        start, end = keep or (0, sequence.shape[1])
        codes = pad_to_blocks(sequence, self.stride)
        features = self.trunk(self.embedding(codes.int()).transpose(1, 2))  # (N, C, L / stride)
        first_block = start // self.stride
        features = features[:, :, first_block : -(-end // self.stride)]
        logits: Tensor = self.output(self.hidden(self.expand(features)))
        origin = first_block * self.stride
        return logits[:, :, start - origin : end - origin]

    @torch.no_grad()
    def start_from(self, base_rates: Tensor) -> None:
        """Let the untrained network predict every marker's base rate, (T,), instead of one half.

        The published start takes thousands of steps to learn that labels are rare.
        """
        assert self.output.bias is not None
        self.output.bias.copy_(torch.logit(base_rates, eps=1e-6))
        self.output.weight.mul_(0.1)

    def context(self) -> Context:
        """5,380 nt to the left and 5,429 to the right of a block's first position, at the defaults."""
        return context([*self.trunk.modules(), *self.expand.modules()])
