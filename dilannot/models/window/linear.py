"""No convolution at all: logistic regression and one hidden layer over all bases of a window."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dilannot.models.registry import register
from dilannot.models.window.parts import CHANNELS, OneHot, WindowNetwork, hidden_layers


@register("logistic", "window", hidden=())
@register("mlp", "window", hidden=(925,))
class Linear(WindowNetwork):
    """`logistic` (thesis LR, 3,676,919 parameters) and `mlp` (thesis FF, 4,551,919), both at 919 markers and 1,000 bp.

    Parameters
    ----------
    n_outputs
        Markers.
    length
        Bases of a window.
    hidden
        Units of each hidden layer.
    dropout
        After every hidden layer.
    """

    def __init__(self, n_outputs: int, *, length: int = 1000, hidden: Sequence[int] = (), dropout: float = 0.1) -> None:
        super().__init__()
        layers, width = hidden_layers(CHANNELS * length, hidden, dropout=dropout)
        self.features = nn.Sequential(OneHot(), nn.Flatten(), *layers)
        self.output = nn.Linear(width, n_outputs)
