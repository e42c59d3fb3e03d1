"""K-mer counts: a window as a bag of short words. Legend: N batch, L positions, K words."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_LONGEST = 10  # 4^10 words: more do not fit a window anyway


class KmerCounts(nn.Module):
    """How often each word of `k` bases, or its reverse complement, occurs: (N, L) codes -> (N, K) counts.

    A word and its reverse complement are one. Words with an N are not counted.
    """

    words: Tensor
    place: Tensor

    def __init__(self, k: int) -> None:
        super().__init__()
        if not 1 <= k <= _LONGEST:
            raise ValueError(f"k-mers of {k} bases; use 1 to {_LONGEST}")
        self.k = k
        words = np.arange(4**k)
        kept, column = np.unique(np.minimum(words, _reverse_complements(words, k)), return_inverse=True)
        self.count = len(kept)
        columns = np.append(column, self.count)  # the last one is for words with an N
        # From NumPy: not saved with the weights, so they must be there when a network is built on "meta".
        self.register_buffer("words", torch.from_numpy(columns), persistent=False)
        self.register_buffer("place", torch.from_numpy(4.0 ** np.arange(k)[::-1]).float(), persistent=False)

    def forward(self, sequence: Tensor) -> Tensor:
        windows = sequence.unfold(1, self.k, 1)  # (N, L - k + 1, k)
        word = ((windows.to(self.place.dtype) - 1) * self.place).sum(2).long()
        column = self.words[torch.where((windows == 0).any(2), len(self.words) - 1, word)]
        counts = self.place.new_zeros(len(sequence), self.count + 1)
        ones = torch.ones_like(column, dtype=counts.dtype)
        return counts.scatter_add_(1, column, ones)[:, : self.count]


def _reverse_complements(words: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    result = np.zeros_like(words)
    for _ in range(k):
        result = result * 4 + (3 - words % 4)
        words = words // 4
    return result
