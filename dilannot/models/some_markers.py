"""Networks that decide on some of their markers only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dilannot.models.network import Network


def for_markers(network: nn.Module, chosen: Sequence[int], markers: int) -> nn.Module:
    """A network that decides on some markers only, in the order given; the network itself where that is all of them.

    Parameters
    ----------
    network
        Of ours, the last layer is cut; of one nobody knows the inside of, the outputs are.
    chosen
        Numbers of its outputs.
    markers
        How many it has.
    """
    if list(chosen) == list(range(markers)):
        return network
    rows = torch.tensor(list(chosen))
    output = network.output if isinstance(network, Network) else None
    if not isinstance(output, nn.Linear | nn.Conv1d) or len(output.weight) != markers:
        return _Chosen(network, rows)
    output.weight = nn.Parameter(output.weight.detach()[rows], requires_grad=False)
    if output.bias is not None:
        output.bias = nn.Parameter(output.bias.detach()[rows], requires_grad=False)
    return network


class _Chosen(nn.Module):
    """Some outputs of a network nobody knows the inside of: (N, L) -> (N, chosen, L)."""

    chosen: Tensor

    def __init__(self, network: nn.Module, chosen: Tensor) -> None:
        super().__init__()
        self.network = network
        self.stride = getattr(network, "stride", 1)
        self.register_buffer("chosen", chosen, persistent=False)

    def forward(self, sequence: Tensor) -> Tensor:
        logits: Tensor = self.network(sequence)
        return logits[:, self.chosen]
