"""A bidirectional LSTM as in Keras and TensorFlow: one bias a gate, and dropout of the recurrent state.

Legend: N batch, C channels, L positions, S units of a direction.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BidirectionalLSTM(nn.Module):
    """(N, C, L) -> (N, 2 S, L), the states that read to the right first.

    Parameters
    ----------
    channels
        C.
    state
        S.
    recurrent_dropout
        Part of the state that is hidden from the gates: one mask a sequence and direction, the same at every step
        (Gal & Ghahramani 2016, Keras' `recurrent_dropout`).
    """

    def __init__(self, channels: int, state: int, recurrent_dropout: float = 0.0) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, state, batch_first=True, bidirectional=True)
        self.recurrent_dropout = nn.Dropout(recurrent_dropout)
        # torch has two biases a gate: the second stays zero, and out of the count.
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("bias_hh"):
                nn.init.zeros_(parameter)
                parameter.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        if self.training and self.recurrent_dropout.p:
            return self._steps(features)
        states: Tensor = self.lstm(features.transpose(1, 2))[0]
        return states.transpose(1, 2)

    def _steps(self, features: Tensor) -> Tensor:
        """What torch's LSTM does, with the mask it does not know: both directions at once, step by step."""
        weights = dict(self.lstm.named_parameters())
        ends = ("l0", "l0_reverse")
        forward = features.permute(2, 0, 1)  # (L, N, C)
        gates = torch.stack(
            [
                nn.functional.linear(read, weights[f"weight_ih_{end}"], weights[f"bias_ih_{end}"])
                for read, end in zip((forward, forward.flip(0)), ends, strict=True)
            ],
            dim=1,
        )  # (L, 2, N, 4 S)
        recurrent = torch.stack([weights[f"weight_hh_{end}"].T for end in ends])  # (2, S, 4 S)
        hidden = cell = gates.new_zeros(2, features.shape[0], self.lstm.hidden_size)
        mask = self.recurrent_dropout(torch.ones_like(hidden))
        states = []
        for step in gates:
            into, forget, new, out = torch.baddbmm(step, hidden * mask, recurrent).chunk(4, dim=2)
            cell = forget.sigmoid() * cell + into.sigmoid() * new.tanh()
            hidden = out.sigmoid() * cell.tanh()
            states.append(hidden)
        right, left = torch.stack(states, dim=3).unbind(0)  # (N, S, L) each
        return torch.cat([right, left.flip(2)], dim=1)
