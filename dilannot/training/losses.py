"""Binary cross-entropy from label intervals: no dense labels are ever made."""

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
    def forward(ctx: Any, logits: Tensor, positives: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(logits, positives, mask)
        each = softplus(logits)
        if not mask.all():
            each.mul_(mask[:, None])
        # Row sums first: float32 keeps its digits over 10^8 terms.
        total = each.sum(-1).double().sum()
        length = logits.shape[2]
        counted = mask.reshape(-1)[_window(positives, logits) * length + positives % length]
        hits = (logits.reshape(-1)[positives].double() * counted).sum()
        return (total - hits).float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        logits, positives, mask = ctx.saved_tensors
        gradient = torch.sigmoid(logits)
        gradient.view(-1)[positives] -= 1
        if not mask.all():
            gradient.mul_(mask[:, None])
        return gradient.mul_(gradients[0]), None, None


def _window(positives: Tensor, logits: Tensor) -> Tensor:
    return torch.div(positives, logits.shape[1] * logits.shape[2], rounding_mode="floor")


def training_loss(outputs: Tensor | tuple[Tensor, ...], targets: LabelIntervals, mask: Tensor) -> Tensor:
    """Mean of `interval_cross_entropy` over all logits that a network gives: the blocks of an ID-CNN count alike."""
    each = outputs if isinstance(outputs, tuple) else (outputs,)
    return torch.stack([interval_cross_entropy(logits, targets, mask) for logits in each]).mean()


def interval_cross_entropy(logits: Tensor, targets: LabelIntervals, mask: Tensor) -> Tensor:
    """Mean binary cross-entropy over unmasked positions x markers, in nats (thesis section 3.4).

    Parameters
    ----------
    logits
        (N, T, L) float.
    targets
        Label intervals of the N windows.
    mask
        (N, L) bool, positions that count.

    Returns
    -------
    loss
        Scalar; equals `binary_cross_entropy_with_logits` on dense labels.
    """
    _, markers, length = logits.shape
    counted = mask.sum() * markers
    total: Tensor = _IntervalCrossEntropy.apply(logits.contiguous(), targets.flat_index(markers, length), mask)  # type: ignore[no-untyped-call]
    return total / counted.clamp(min=1)
