"""No convolution at all: logistic regression and one hidden layer over all bases of a window, or over its k-mers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dilannot.models.blocks import CHANNELS, OneHot, hidden_layers
from dilannot.models.kmers import KmerCounts
from dilannot.models.network import WindowNetwork
from dilannot.models.registry import Source, register
from dilannot.models.sources import LECTURE, THESIS


@register("logistic", "window", source=Source(THESIS, 919, 3_676_919))
@register("mlp", "window", source=Source(THESIS, 919, 4_551_919), hidden=(925,))
class Linear(WindowNetwork):
    """`logistic` and `mlp` (thesis Task 1: LR and FF).

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
        dense, width = hidden_layers(CHANNELS * length, hidden, dropout=dropout)
        super().__init__([OneHot(), nn.Flatten(), *dense, nn.Linear(width, n_outputs)])


@register("kmer", "window", source=Source(LECTURE))
class Kmer(WindowNetwork):
    """`kmer`: logistic regression on the counts of k-mers (CS273B, lecture 3); sees both strands alike.

    Parameters
    ----------
    n_outputs
        Markers.
    k
        Bases of a word.
    """

    def __init__(self, n_outputs: int, *, k: int = 6) -> None:
        counts = KmerCounts(k)
        super().__init__([counts, nn.Linear(counts.count, n_outputs)])
