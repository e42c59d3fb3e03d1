"""A network of your own: a class in a file. Copy this one, change it, and name it with --model.

In a folder with a copy of this file and of chr20.fa.gz, peaks/ and motifs.meme from examples/:

    dilannot build-data chr20.fa.gz peaks/
    dilannot models add_a_model.py:MyNet
    dilannot train --model add_a_model.py:MyNet --set filters=64 --motifs motifs.meme --epochs 2
    dilannot evaluate
    dilannot annotate --region chr20:32,750,001-33,025,000

Two epochs take less than a minute on two cores. The run folder keeps a copy of this file.
N batch, L positions, C channels, T markers.
"""

from collections.abc import Sequence

from torch import nn

from dilannot.models import register
from dilannot.models.blocks import ConvBlock, OneHot, dense_head
from dilannot.models.network import DenseNetwork, WindowNetwork


@register("my-net")
class MyNet(DenseNetwork):
    """Motifs at every nucleotide, the best of each in every 20, and dilated convolutions over these blocks."""

    def __init__(
        self,
        n_outputs: int,
        *,
        filters: int = 48,
        width: int = 19,
        stride: int = 20,
        dilations: Sequence[int] = (1, 3, 9, 27),
        hidden: int = 48,
        dropout: float = 0.05,
    ) -> None:
        motifs = ConvBlock(4, filters, width, batch_norm=True, pool=[nn.MaxPool1d(stride)])
        context = [ConvBlock(filters, filters, 5, dilation=each, batch_norm=True) for each in dilations]
        expand = ConvBlock(filters, filters, stride, stride=stride, transposed=True, batch_norm=True)
        trunk = [OneHot(), motifs, *context]  # (N, L) -> (N, C, L / stride): all that looks beyond its own block
        head = [expand, *dense_head(filters, hidden, n_outputs, dropout)]  # -> (N, T, L): each block by itself
        super().__init__(trunk, head, stride)


@register("my-window-net", "window")
class MyWindowNet(WindowNetwork):
    """The best match of every motif anywhere in a window: for datasets made with build-data --task window."""

    def __init__(self, n_outputs: int, *, filters: int = 200, width: int = 19) -> None:
        motifs = ConvBlock(4, filters, width, batch_norm=True, pool=[nn.AdaptiveMaxPool1d(1)])
        super().__init__([OneHot(), motifs, nn.Flatten(), nn.Linear(filters, n_outputs)])
