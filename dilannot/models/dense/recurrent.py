"""An LSTM over blocks of nucleotides, read in both directions. N batch, L positions."""

from __future__ import annotations

from functools import partial

from dilannot.models.blocks import ConvBlock, Embed, dense_head
from dilannot.models.lstm import BidirectionalLSTM
from dilannot.models.network import DenseNetwork
from dilannot.models.registry import Source, register
from dilannot.models.sources import PAPER, THESIS


@register("bilstm", source=Source(PAPER, 919, 764_395))
@register(
    "bilstm-thesis", source=Source(THESIS, 917, 397_155), stride=100, state=20, deconvolution=50, hidden=125,
)  # fmt: skip
class DenseRecurrent(DenseNetwork):
    """The LSTM of thesis Task 2 and the paper. It has no finite context: every output depends on the whole sequence.

    Parameters
    ----------
    n_outputs
        Markers.
    filters
        Of the strided convolution.
    stride
        Nucleotides the first convolution makes one of (kernel = stride), and the transposed one makes of one.
    state
        Units of the LSTM in each direction.
    deconvolution
        Filters of the transposed convolution.
    hidden
        Units of the head's hidden layer.
    batch_norm, batch_norm_decay
        After both convolutions, and how much of the running statistics a step keeps.
    dropout
        After both convolutions and the hidden layer.
    embedding
        Numbers a base is embedded in.
    """

    def __init__(
        self,
        n_outputs: int,
        *,
        filters: int = 128,
        stride: int = 20,
        state: int = 80,
        deconvolution: int = 128,
        hidden: int = 200,
        batch_norm: bool = False,
        batch_norm_decay: float = 0.9,
        dropout: float = 0.01,
        embedding: int = 4,
    ) -> None:
        block = partial(ConvBlock, batch_norm=batch_norm, batch_norm_decay=batch_norm_decay, dropout=dropout)
        trunk = [Embed(embedding), block(embedding, filters, stride, stride=stride), BidirectionalLSTM(filters, state)]
        expand = block(2 * state, deconvolution, stride, stride=stride, transposed=True)
        super().__init__(trunk, [expand, *dense_head(deconvolution, hidden, n_outputs, dropout)], stride)
