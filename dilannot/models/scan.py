"""Scanning both strands for motifs. Legend: N batch, L positions, M motifs, K widest motif."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad


class MotifScan(nn.Module):
    """Best log-odds score of each motif on either strand: (N, 4, L) one-hot bases -> (N, M) bits.

    A motif lies within the window; a base that is N adds nothing to its score.

    Parameters
    ----------
    motifs, width
        M and K. `matrices`, (M, 4, K), are zero, and `widths`, (M,), all K until motifs are written into them: a
        narrower motif starts at its row's first column.
    trainable
        Whether training changes the matrices.
    """

    widths: Tensor

    def __init__(self, motifs: int, width: int, *, trainable: bool = False) -> None:
        super().__init__()
        if min(motifs, width) < 1:
            raise ValueError("a scan needs a motif of a position or more")
        self.matrices = nn.Parameter(torch.zeros(motifs, 4, width), requires_grad=trainable)
        self.register_buffer("widths", torch.full((motifs,), width))

    def forward(self, bases: Tensor) -> Tensor:
        length, margin = bases.shape[2], self.matrices.shape[2] - 1
        start = torch.arange(-margin, length, device=bases.device)  # of the matrix; a motif fills its first columns
        outside = (start < 0) | (start + self.widths[:, None] > length)  # (M, placements)
        bases = pad(bases, (margin, margin))
        # Bases are in the order A, C, G, T: turning both axes gives the reverse complement, with the motif in the
        # last columns.
        right = conv1d(bases, self.matrices).masked_fill_(outside, -torch.inf).amax(2)
        left = conv1d(bases, self.matrices.flip(1, 2)).masked_fill_(outside.flip(1), -torch.inf).amax(2)
        return torch.maximum(right, left)

    def multiply_adds(self, length: int) -> int:
        """Of one window of `length` bases."""
        return 2 * self.matrices.numel() * (length + self.matrices.shape[2] - 1)
