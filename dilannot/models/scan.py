"""Scanning both strands for motifs. Legend: N batch, L positions, M motifs, K widest motif."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad


class MotifScan(nn.Module):
    """Best log-odds score of each motif on either strand: (N, 4, L) one-hot bases -> (N, M) bits.

    A base that is N, or lies outside the window, adds nothing to a score.

    Parameters
    ----------
    motifs, width
        M and K; `matrices`, (M, 4, K), are zero until motifs are written into them.
    trainable
        Whether training changes the matrices.
    """

    def __init__(self, motifs: int, width: int, *, trainable: bool = False) -> None:
        super().__init__()
        if min(motifs, width) < 1:
            raise ValueError("a scan needs a motif of a position or more")
        self.matrices = nn.Parameter(torch.zeros(motifs, 4, width), requires_grad=trainable)

    def forward(self, bases: Tensor) -> Tensor:
        width = self.matrices.shape[2]
        bases = pad(bases, (width - 1, width - 1))
        # Bases are in the order A, C, G, T: turning both axes gives the reverse complement.
        both = (conv1d(bases, strand).amax(2) for strand in (self.matrices, self.matrices.flip(1, 2)))
        return torch.maximum(*both)

    def multiply_adds(self, length: int) -> int:
        """Of one window of `length` bases."""
        return 2 * self.matrices.numel() * (length + self.matrices.shape[2] - 1)
