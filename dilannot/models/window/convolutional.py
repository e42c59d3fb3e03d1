"""Convolutions, plain or dilated, pools, and hidden layers over all that is left of a window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from dilannot.models.blocks import Pools, hidden_layers
from dilannot.models.network import WindowNetwork
from dilannot.models.registry import Source, register
from dilannot.models.sources import BASSET, DEEPSEA, PAPER, PROJECTION, THESIS
from dilannot.models.window.convolutions import PerLayer, convolutions

_POOLS6 = ((4, 2), (4, 2), (4, 2), (4, 2), None, None)
_CNN_500: dict[str, Any] = {
    "centre": 500, "filters": (1000, 128, 256), "kernels": (19, 11, 7), "same": False,
    "pools": ((6, 6), (2, 2), (2, 2)), "pool_first": True, "dropouts": (0.2, 0.0, 0.0), "hidden": (2048,),
    "hidden_dropout": 0.5, "negative_slope": 0.01,
}  # fmt: skip


@register("conv3", "window", source=Source(THESIS, 919, 60_472_479))
@register(
    "deepsea", "window", source=Source(DEEPSEA, 919, 52_843_119),
    same=False, dropouts=(0.2, 0.2, 0.5), pool_first=True, hidden=(925,), hidden_dropout=0.0,
)  # fmt: skip
@register(
    "dilated3", "window", source=Source(THESIS, 919, 22_284_639),
    filters=(120, 240, 360), dilations=(1, 3, 9),
)  # fmt: skip
@register(
    "dilated6", "window", source=Source(THESIS, 919, 8_043_759),
    filters=(120,) * 6, dilations=(1, 2, 4, 8, 16, 32), pools=_POOLS6,
)  # fmt: skip
@register(
    "dilated6-paper", "window", source=Source(PAPER, 919, 25_758_079),
    filters=(240, 360, 240, 240, 240, 240), dilations=(1, 2, 4, 8, 16, 32), pools=_POOLS6, hidden=(1500,),
    batch_norm=True,
)  # fmt: skip
@register(
    "deep-dilated", "window", source=Source(THESIS, 919, 2_073_943),
    filters=(32,) * 15, kernels=3, dilations=(1, 2, 4, 8, 16) * 3, same=False, pools=((None,) * 4 + ((4, 2),)) * 3,
    hidden=(),
)  # fmt: skip
@register("cnn-500", "window", source=Source(PROJECTION, 919, 10_939_871), **_CNN_500)
@register("cnn-500-projection", "window", source=Source(PROJECTION, 919, 9_685_983), **_CNN_500, projection=64)
@register(
    "basset", "window", source=Source(BASSET),
    filters=(300, 200, 200), kernels=(19, 11, 7), same=False, pools=((3, 3), (4, 4), (4, 4)), dropouts=0.0,
    hidden=(1000, 1000), hidden_dropout=0.3, batch_norm=True, hidden_batch_norm=True,
)  # fmt: skip
class WindowConvolutional(WindowNetwork):
    """The convolutional networks of thesis Task 1, DeepSEA, Basset, and the reduced study of the projection paper.

    Parameters
    ----------
    n_outputs
        Markers.
    length
        Bases of a window.
    centre
        Bases in its middle that are looked at; 0 is all.
    filters
        Of each convolution.
    kernels, dilations, dropouts
        Of each convolution, or one for all.
    pool_first
        Pools before dropouts, and not after them.
    same
        Keep the length (the odd element of the padding on the right), or lose what the kernel overhangs.
    pools
        Width and stride of the max-pooling after each convolution, None where there is none.
    projection
        Channels of a linear map after the first convolution's pooling; 0 is none.
    hidden, hidden_dropout
        Units of each hidden layer, and the dropout after it.
    batch_norm, hidden_batch_norm, batch_norm_decay
        After every convolution, after every hidden layer, and how much of the running statistics a step keeps.
    negative_slope
        Of leaky ReLUs; 0 for plain ones.
    """

    def __init__(
        self,
        n_outputs: int,
        *,
        length: int = 1000,
        centre: int = 0,
        filters: Sequence[int] = (320, 480, 960),
        kernels: PerLayer = 8,
        dilations: PerLayer = 1,
        same: bool = True,
        pools: Pools = ((4, 4), (4, 4), None),
        projection: int = 0,
        dropouts: Sequence[float] | float = 0.1,
        pool_first: bool = False,
        hidden: Sequence[int] = (919,),
        hidden_dropout: float = 0.1,
        batch_norm: bool = False,
        hidden_batch_norm: bool = False,
        batch_norm_decay: float = 0.9,
        negative_slope: float = 0.0,
    ) -> None:
        layers, channels, left = convolutions(
            length, centre, filters, kernels, dilations, pools, dropouts,
            same=same, projection=projection, pool_first=pool_first,
            negative_slope=negative_slope, batch_norm=batch_norm, batch_norm_decay=batch_norm_decay,
        )  # fmt: skip
        dense, width = hidden_layers(
            channels * left, hidden,
            batch_norm=hidden_batch_norm, batch_norm_decay=batch_norm_decay, negative_slope=negative_slope,
            dropout=hidden_dropout,
        )  # fmt: skip
        super().__init__([*layers, nn.Flatten(), *dense, nn.Linear(width, n_outputs)])
