"""What the networks for windows share: one-hot bases, the head, an LSTM with one bias a gate.

Legend: N batch, C channels, L positions, T markers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CHANNELS = 4  # A, C, G, T

_ONE_HOT = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float32)


class OneHot(nn.Module):
    """Base codes to channels: (N, L) -> (N, 4, L); N is zero in all four."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", _ONE_HOT.clone(), persistent=False)

    def forward(self, sequence: Tensor) -> Tensor:
        channels: Tensor = self.table[sequence.int()].transpose(1, 2)
        return channels


class WindowNetwork(nn.Module):
    """Something that ends in a linear layer, `output`, over everything before it: (N, L) codes -> (N, T, 1) logits."""

    features: nn.Module
    output: nn.Linear

    def forward(self, sequence: Tensor) -> Tensor:
        logits: Tensor = self.output(self.features(sequence))
        return logits[:, :, None]

    @torch.no_grad()
    def start_from(self, base_rates: Tensor) -> None:
        """Let the untrained network predict every marker's base rate, (T,)."""
        self.output.bias.copy_(torch.logit(base_rates, eps=1e-6))
        self.output.weight.mul_(0.1)


def hidden_layers(
    inputs: int, hidden: Sequence[int], *, batch_norm: bool = False, dropout: float = 0.0
) -> tuple[list[nn.Module], int]:
    """Linear, batch norm (optional), ReLU, dropout for each width; and the last width."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(inputs, width), *([nn.BatchNorm1d(width)] if batch_norm else []), nn.ReLU()]
        layers += [nn.Dropout(dropout)] if dropout else []
        inputs = width
    return layers, inputs


class BidirectionalLSTM(nn.Module):
    """(N, C, L) -> (N, L, 2 x state), with one bias a gate as in Keras and TensorFlow: torch's second stays zero."""

    def __init__(self, channels: int, state: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, state, batch_first=True, bidirectional=True)
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("bias_hh"):
                nn.init.zeros_(parameter)
                parameter.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        states: Tensor = self.lstm(features.transpose(1, 2))[0]
        return states
