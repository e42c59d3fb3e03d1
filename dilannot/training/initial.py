"""The start weights of Gupta 2017, Task 2: those usual in TensorFlow, not in torch."""

from __future__ import annotations

import torch
from torch import nn

from dilannot.models.blocks import Embed


@torch.no_grad()
def start_as_published(network: nn.Module) -> None:
    """Weights from a truncated normal of sd 0.1 (2 sd at most), biases 0.1, embeddings uniform in [0, 1).

    LSTMs keep torch's: the thesis says nothing of theirs.
    """
    for module in network.modules():
        if isinstance(module, Embed):
            nn.init.uniform_(module.weight)
        elif isinstance(module, nn.Conv1d | nn.ConvTranspose1d | nn.Linear) and module.weight.requires_grad:
            nn.init.trunc_normal_(module.weight, std=0.1, a=-0.2, b=0.2)
            if module.bias is not None:
                nn.init.constant_(module.bias, 0.1)
