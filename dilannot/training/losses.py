"""Binary cross-entropy of logits and label intervals: no dense labels are ever made."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from dilannot.data.batch import LabelIntervals


class _IntervalCrossEntropy(torch.autograd.Function):
    """Sum over unmasked elements of softplus(logit) - label x logit, gradient by hand.

    Autograd would keep three arrays of the size of the logits; this keeps the logits.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, positives: Tensor, mask: Tensor, positive_weight: float) -> Tensor:
        ctx.save_for_backward(logits, positives, mask)
        ctx.positive_weight = positive_weight
        each = softplus(logits)
        if not mask.all():
            each.mul_(mask[:, None])
        # Row sums first: float32 keeps its digits over 10^8 terms.
        total = each.sum(-1).double().sum()
        length = logits.shape[2]
        counted = mask.reshape(-1)[_window(positives, logits) * length + positives % length]
        hits = logits.reshape(-1)[positives].double()
        terms = (positive_weight - 1) * softplus(hits) - positive_weight * hits
        return (total + (terms * counted).sum()).float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        logits, positives, mask = ctx.saved_tensors
        gradient = torch.sigmoid(logits)
        flat = gradient.view(-1)
        flat[positives] = (flat[positives] - 1) * ctx.positive_weight
        if not mask.all():
            gradient.mul_(mask[:, None])
        return gradient.mul_(gradients[0]), None, None, None


def _window(positives: Tensor, logits: Tensor) -> Tensor:
    return torch.div(positives, logits.shape[1] * logits.shape[2], rounding_mode="floor")


def interval_cross_entropy_sum(
    logits: Tensor, targets: LabelIntervals, mask: Tensor, positive_weight: float = 1.0
) -> Tensor:
    """Sum of binary cross-entropy over unmasked positions x markers, in nats (thesis section 3.4).

    Parameters
    ----------
    logits
        (N, T, L) float.
    targets
        Label intervals of the N windows.
    mask
        (N, L) bool, positions that count.
    positive_weight
        How often a positive label counts.

    Returns
    -------
    loss
        Scalar; equals the sum of `binary_cross_entropy_with_logits` on dense labels.
    """
    index = targets.flat_index(*logits.shape[1:])
    total: Tensor = _IntervalCrossEntropy.apply(logits.contiguous(), index, mask, positive_weight)  # type: ignore[no-untyped-call]
    return total


def interval_cross_entropy(logits: Tensor, targets: LabelIntervals, mask: Tensor) -> Tensor:
    """The mean of what `interval_cross_entropy_sum` adds up."""
    counted = mask.sum() * logits.shape[1]
    return interval_cross_entropy_sum(logits, targets, mask) / counted.clamp(min=1)
