"""A convolution that finds motifs, and an LSTM over the whole window that reads them in both directions."""

from __future__ import annotations

from torch import nn

from dilannot.models.registry import register
from dilannot.models.window.parts import CHANNELS, BidirectionalLSTM, OneHot, WindowNetwork, hidden_layers


@register("danq", "window")
class Recurrent(WindowNetwork):
    """`danq`: DanQ (Quang & Xie 2016), the LSTM of thesis Task 1; 46,926,479 parameters at 919 markers and 1,000 bp.

    Parameters
    ----------
    n_outputs
        Markers.
    length
        Bases of a window.
    filters, kernel, pool
        Of the convolution (nothing is padded) and the max-pooling after it.
    state
        Units of the LSTM in each direction.
    hidden
        Units of the hidden layer.
    dropouts
        After the pooling and after the LSTM.
    """

    def __init__(
        self,
        n_outputs: int,
        *,
        length: int = 1000,
        filters: int = 320,
        kernel: int = 26,
        pool: int = 13,
        state: int = 320,
        hidden: int = 925,
        dropouts: tuple[float, float] = (0.2, 0.5),
    ) -> None:
        super().__init__()
        after_pool, after_lstm = dropouts
        left = (length - kernel + 1) // pool
        dense, width = hidden_layers(left * 2 * state, [hidden])
        self.features = nn.Sequential(
            OneHot(),
            nn.Conv1d(CHANNELS, filters, kernel),
            nn.ReLU(),
            nn.MaxPool1d(pool),
            nn.Dropout(after_pool),
            BidirectionalLSTM(filters, state),
            nn.Dropout(after_lstm),
            nn.Flatten(),
            *dense,
        )
        self.output = nn.Linear(width, n_outputs)
