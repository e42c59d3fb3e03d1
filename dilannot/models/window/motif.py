"""Known motifs as features: log-odds matrices scanned over both strands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from dilannot.formats.motifs import Motif
from dilannot.models.blocks import OneHot
from dilannot.models.network import WindowNetwork
from dilannot.models.registry import Source, register
from dilannot.models.scan import MotifScan
from dilannot.models.sources import LECTURE


@register("pssm", "window", source=Source(LECTURE), needs_motifs=True)
class Pssm(WindowNetwork):
    """`pssm`: the best match of every motif in a window, where it is better than chance, into a logistic regression.

    After CS273B, lecture 3. `--motifs` says which motifs, and decides how many there are and how wide; without it, the
    numbers are those of the 879 vertebrate matrices of JASPAR 2024.

    Parameters
    ----------
    n_outputs
        Markers.
    motifs, motif_width
        How many motifs, and positions of the widest.
    trainable
        Whether training changes the matrices too.
    """

    def __init__(self, n_outputs: int, *, motifs: int = 879, motif_width: int = 33, trainable: bool = False) -> None:
        scan = MotifScan(motifs, motif_width, trainable=trainable)
        super().__init__([OneHot(), scan, nn.ReLU(inplace=True), nn.Linear(motifs, n_outputs)])

    @staticmethod
    def sized_for(motifs: Sequence[Motif]) -> dict[str, Any]:
        """The constructor arguments that these motifs ask for."""
        return {"motifs": len(motifs), "motif_width": max(motif.width for motif in motifs)}
