"""Convolutions, plain or dilated, pools, and hidden layers over all that is left of a window."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dilannot.errors import DilannotError
from dilannot.models.registry import register
from dilannot.models.window.parts import CHANNELS, OneHot, WindowNetwork, hidden_layers

Pools = Sequence[Sequence[int] | None]


@register("conv3", "window")
@register(
    "deepsea", "window", same=False, pools=((4, 4), (4, 4), None), dropouts=(0.2, 0.2, 0.5), hidden=(925,),
)  # fmt: skip
@register("dilated3", "window", filters=(120, 240, 360), dilations=(1, 3, 9))
@register(
    "dilated6", "window", filters=(120,) * 6, dilations=(1, 2, 4, 8, 16, 32), pools=((4, 2),) * 4 + (None, None),
    dropouts=(0.1,) * 6,
)  # fmt: skip
@register(
    "dilated6-paper", "window", filters=(240, 360, 240, 240, 240, 240), dilations=(1, 2, 4, 8, 16, 32),
    pools=((4, 2),) * 4 + (None, None), dropouts=(0.1,) * 6, hidden=(1500,), batch_norm=True,
)  # fmt: skip
@register(
    "deep-dilated", "window", filters=(32,) * 15, kernels=(3,) * 15, dilations=(1, 2, 4, 8, 16) * 3, same=False,
    pools=((None,) * 4 + ((4, 2),)) * 3, dropouts=(0.0,) * 15, hidden=(),
)  # fmt: skip
@register(
    "basset", "window", filters=(300, 200, 200), kernels=(19, 11, 7), pools=((3, 3), (4, 4), (4, 4)),
    dropouts=(0.0, 0.0, 0.0), hidden=(1000, 1000), hidden_dropout=0.3, batch_norm=True, hidden_batch_norm=True,
)  # fmt: skip
class Convolutional(WindowNetwork):
    """The convolutional networks of thesis Task 1, DeepSEA and Basset.

    Parameters at 919 markers and 1,000 bp: `conv3` 60,472,479, `dilated3` 22,284,639, `dilated6` 8,043,759,
    `deep-dilated` 2,073,943 (thesis); `dilated6-paper` 25,758,079 (Gupta & Rush 2017); `deepsea` 52,843,119 (Zhou &
    Troyanskaya 2015); `basset` after Kelley et al. 2016.

    Parameters
    ----------
    n_outputs
        Markers.
    length
        Bases of a window.
    filters, kernels, dilations, dropouts
        Of each convolution; the kernels of all are 8 and none is dilated without them.
    same
        Keep the length (the odd element of the padding on the right), or lose what the kernel overhangs.
    pools
        Width and stride of the max-pooling after each convolution, None where there is none.
    hidden, hidden_dropout
        Units of each hidden layer, and the dropout after it.
    batch_norm, hidden_batch_norm
        After every convolution, after every hidden layer.
    """

    def __init__(
        self,
        n_outputs: int,
        *,
        length: int = 1000,
        filters: Sequence[int] = (320, 480, 960),
        kernels: Sequence[int] = (),
        dilations: Sequence[int] = (),
        same: bool = True,
        pools: Pools = ((4, 4), (4, 4), None),
        dropouts: Sequence[float] = (0.1, 0.1, 0.1),
        hidden: Sequence[int] = (919,),
        hidden_dropout: float = 0.0,
        batch_norm: bool = False,
        hidden_batch_norm: bool = False,
    ) -> None:
        super().__init__()
        count, channels, left = len(filters), CHANNELS, length
        layers: list[nn.Module] = [OneHot()]
        for width, kernel, dilation, pool, dropout in zip(
            filters, kernels or (8,) * count, dilations or (1,) * count, pools, dropouts, strict=True
        ):
            span = (kernel - 1) * dilation
            if same:
                layers.append(nn.ConstantPad1d((span // 2, span - span // 2), 0.0))
            layers += [nn.Conv1d(channels, width, kernel, dilation=dilation)]
            layers += [nn.BatchNorm1d(width)] if batch_norm else []
            layers += [
                nn.ReLU(),
                *([nn.MaxPool1d(pool[0], pool[1])] if pool else []),
                *([nn.Dropout(dropout)] if dropout else []),
            ]
            channels, left = width, left - (0 if same else span)
            left = (left - pool[0]) // pool[1] + 1 if pool else left
            if left < 1:
                raise DilannotError(f"windows of {length:,} bp are too short for this network", where="--model")
        dense, width = hidden_layers(channels * left, hidden, batch_norm=hidden_batch_norm, dropout=hidden_dropout)
        self.features = nn.Sequential(*layers, nn.Flatten(), *dense)
        self.output = nn.Linear(width, n_outputs)
