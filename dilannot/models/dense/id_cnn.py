"""Iterated dilated convolutions: one block applied again and again. N batch, L positions, T markers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from dilannot.models.blocks import ConvBlock, Embed, dense_head
from dilannot.models.network import DenseNetwork
from dilannot.models.registry import Source, register
from dilannot.models.sources import PAPER, THESIS


@register("id-cnn", source=Source(PAPER, 919, 635_739))
@register("id-cnn-thesis", source=Source(THESIS, 917, 632_487), batch_norm=False)
class IteratedDilated(DenseNetwork):
    """ID-CNN of thesis Task 2 and the paper, after Strubell et al. 2017: the head reads every application's output.

    In training it gives the logits of all applications, whose losses are averaged; otherwise those of the last.

    Parameters
    ----------
    n_outputs
        Markers.
    applications
        How often the block is applied; the weights are shared, batch norm is not.
    channels
        Filters of the first convolution, and of what a block gives to the next.
    filters, dilations
        Of each convolution of the block.
    kernel
        Of the block's convolutions but the strided one.
    first_kernel
        Of the first convolution, which has no batch norm.
    stride
        Nucleotides the block's first convolution makes one of (kernel = stride), and its transposed one makes of one.
    hidden
        Units of the head's hidden layer.
    batch_norm, batch_norm_decay
        After every convolution of the block, and how much of the running statistics a step keeps.
    dropout
        After every convolution and the hidden layer.
    embedding
        Numbers a base is embedded in.
    """

    def __init__(
        self,
        n_outputs: int,
        *,
        applications: int = 3,
        channels: int = 50,
        filters: Sequence[int] = (50, 240, 80, 80),
        dilations: Sequence[int] = (1, 3, 9, 27),
        kernel: int = 10,
        first_kernel: int = 20,
        stride: int = 20,
        hidden: int = 125,
        batch_norm: bool = True,
        batch_norm_decay: float = 0.9,
        dropout: float = 0.01,
        embedding: int = 4,
    ) -> None:
        if not 1 <= applications <= 100 or not filters or len(filters) != len(dilations):
            raise ValueError("1 to 100 applications of one convolution or more, with a dilation each")
        if dilations[0] != 1:
            raise ValueError("the strided convolution is not dilated: the first of dilations is 1")
        block = partial(
            ConvBlock,
            batch_norm=batch_norm, batch_norm_decay=batch_norm_decay, dropout=dropout, applications=applications,
        )  # fmt: skip
        super().__init__(
            [Embed(embedding), ConvBlock(embedding, channels, first_kernel, dropout=dropout)],
            dense_head(channels, hidden, n_outputs, dropout),
            stride,
        )
        inputs = [channels, *filters]
        self.applications = applications
        self.down = block(channels, filters[0], stride, stride=stride, dilation=dilations[0])
        self.between = nn.ModuleList(
            block(inputs[i], filters[i], kernel, dilation=dilations[i]) for i in range(1, len(filters))
        )
        self.up = block(filters[-1], channels, stride, stride=stride, transposed=True)

    def layers(self) -> list[nn.Module]:
        blocks = [layer for i in range(self.applications) for block in self._block() for layer in block.layers(i)]
        return [*self.trunk, *blocks, *self.head]

    def _block(self) -> list[ConvBlock]:
        return [self.down, *self.between, self.up]

    def forward(self, sequence: Tensor, keep: tuple[int, int] | None = None) -> Tensor | tuple[Tensor, ...]:  # type: ignore[override]
        """Logits, (N, L) -> (N, T, L), in training one per application; with `keep`, of positions [start, end) only."""
        start, end = keep or (0, sequence.shape[1])
        features = self.trunk(self.pad(sequence))  # (N, C, L)
        outputs = []
        for i in range(self.applications):
            for block in self._block():
                for layer in block.layers(i):
                    features = layer(features)
            if self.training or i == self.applications - 1:
                outputs.append(self.head(features[:, :, start:end]))
        return tuple(outputs) if self.training else outputs[0]
