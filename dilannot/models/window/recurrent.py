"""Convolutions that find motifs, and an LSTM over the whole window that reads them in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from dilannot.models.blocks import Pools, hidden_layers
from dilannot.models.layers import Dropout
from dilannot.models.lstm import BidirectionalLSTM
from dilannot.models.network import WindowNetwork
from dilannot.models.registry import Source, register
from dilannot.models.sources import DANQ, PROJECTION
from dilannot.models.window.convolutions import PerLayer, convolutions

_CRNN: dict[str, Any] = {
    "kernels": (30, 11), "pools": ((7, 7), (2, 2)), "dropouts": (0.15, 0.0), "state": 300, "recurrent_dropout": 0.2,
    "lstm_dropout": 0.0, "mean": True, "hidden": (919,), "negative_slope": 0.01,
}  # fmt: skip
_DANQ_500: dict[str, Any] = {"centre": 500, "filters": (1000,), "state": 100, "negative_slope": 0.01}


@register("danq", "window", source=Source(DANQ, 919, 46_926_479))
@register(
    "danq-jaspar", "window", source=Source(DANQ, 919, 67_892_175), needs_motifs=True,
    filters=(1024,), kernels=30, pools=((15, 15),), state=512,
)  # fmt: skip
@register("danq-500", "window", source=Source(PROJECTION), **_DANQ_500)
@register("danq-500-projection", "window", source=Source(PROJECTION), **_DANQ_500, projection=64)
@register("crnn-320", "window", source=Source(PROJECTION, 919, 2_727_335), **_CRNN, filters=(320, 96))
@register(
    "crnn-320-projection", "window", source=Source(PROJECTION, 919, 2_477_479), **_CRNN, filters=(320, 96),
    projection=64,
)  # fmt: skip
@register("crnn-700", "window", source=Source(PROJECTION, 919, 3_174_595), **_CRNN, filters=(700, 96))
@register(
    "crnn-700-projection", "window", source=Source(PROJECTION, 919, 2_547_779), **_CRNN, filters=(700, 96),
    projection=64,
)  # fmt: skip
class WindowRecurrent(WindowNetwork):
    """DanQ (the LSTM of thesis Task 1), and the CRNNs of the projection paper.

    The text of that paper gives the second convolution of the CRNNs 128 filters; its counts need 96.

    Parameters
    ----------
    n_outputs
        Markers.
    length
        Bases of a window.
    centre
        Bases in its middle that are looked at; 0 is all.
    filters
        Of each convolution; nothing is padded.
    kernels, dropouts
        Of each convolution, or one for all; the dropout follows the pooling.
    pools
        Width and stride of the max-pooling after each convolution, None where there is none.
    projection
        Channels of a linear map after the first convolution's pooling; 0 is none.
    state, recurrent_dropout, lstm_dropout
        Units of the LSTM in each direction, the dropout of its state, and the dropout after it.
    mean
        Whether the head reads the mean over positions, or all of them.
    hidden
        Units of each hidden layer.
    negative_slope
        Of leaky ReLUs; 0 for plain ones.
    """

    def __init__(
        self,
        n_outputs: int,
        *,
        length: int = 1000,
        centre: int = 0,
        filters: Sequence[int] = (320,),
        kernels: PerLayer = 26,
        pools: Pools = ((13, 13),),
        projection: int = 0,
        dropouts: Sequence[float] | float = 0.2,
        state: int = 320,
        recurrent_dropout: float = 0.0,
        lstm_dropout: float = 0.5,
        mean: bool = False,
        hidden: Sequence[int] = (925,),
        negative_slope: float = 0.0,
    ) -> None:
        layers, channels, left = convolutions(
            length, centre, filters, kernels, 1, pools, dropouts,
            same=False, pool_first=True, projection=projection, negative_slope=negative_slope,
        )  # fmt: skip
        layers += [BidirectionalLSTM(channels, state, recurrent_dropout)]
        layers += [Dropout(lstm_dropout)] if lstm_dropout else []
        layers += [nn.AdaptiveAvgPool1d(1)] if mean else []
        dense, width = hidden_layers(2 * state * (1 if mean else left), hidden, negative_slope=negative_slope)
        super().__init__([*layers, nn.Flatten(), *dense, nn.Linear(width, n_outputs)])
