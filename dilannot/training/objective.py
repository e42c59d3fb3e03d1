"""What training makes small: the loss of a network on a batch, with its last layer inside the loss where it can be."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from dilannot.data.batch import Batch
from dilannot.errors import DilannotError
from dilannot.models.layers import Logits
from dilannot.training.head import head_cross_entropy
from dilannot.training.losses import interval_cross_entropy_sum


class Objective(nn.Module):
    """Sum of the cross-entropy over unmasked positions x markers of a batch; a module, so that processes can share it.

    Parameters
    ----------
    network
        Of any kind; one whose last layer is `Logits` never makes all logits at once.
    inputs
        What of a batch it takes.
    positive_weight, l1
        See `Settings`.
    """

    def __init__(
        self, network: nn.Module, inputs: Sequence[str], positive_weight: float = 1.0, l1: float = 0.0
    ) -> None:
        super().__init__()
        self.network, self.inputs, self.positive_weight, self.l1 = network, tuple(inputs), positive_weight, l1
        self.markers = 0
        last = getattr(network, "output", None)
        self._last = (last,) if isinstance(last, nn.Module) else ()  # a tuple, so that it is not registered twice
        self._hidden: list[Tensor] = []
        if l1:
            if not self._last:
                raise DilannotError("this network does not say which layer is its last", where="l1")
            self._last[0].register_forward_pre_hook(lambda _, given: self._hidden.append(given[0]))

    def forward(self, batch: Batch) -> Tensor:
        self._hidden.clear()
        last = self._last[0] if self._last and isinstance(self._last[0], Logits) else None
        with last.deferred() if last else nullcontext():
            outputs = self.network(**batch.select(self.inputs))
        each = outputs if isinstance(outputs, tuple) else (outputs,)
        # The blocks of an ID-CNN count alike.
        losses = [self._fused(made, last, batch) if last else self._plain(made, batch) for made in each]
        return torch.stack(losses).mean() + self._penalty()

    def _fused(self, features: Tensor, last: Logits, batch: Batch) -> Tensor:
        assert last.bias is not None
        self.markers = len(last.bias)
        return head_cross_entropy(
            features, last.weight[:, :, 0], last.bias, batch.targets, batch.mask, self.positive_weight
        )

    def _plain(self, logits: Tensor, batch: Batch) -> Tensor:
        self.markers = logits.shape[1]
        return interval_cross_entropy_sum(logits.float(), batch.targets, batch.mask, self.positive_weight)

    def _penalty(self) -> Tensor | float:
        """So weighted that it is, for the mean loss, `l1` times the mean over positions of the sum over features."""
        return self.l1 * self.markers * sum(hidden.abs().sum() for hidden in self._hidden) if self.l1 else 0.0
