"""From gradients to weights: optimisers, the learning rate of a step, limits of norms, averages of weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from dilannot.training.muon import Muon
from dilannot.training.settings import Settings


def make_optimizer(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """The optimiser of the settings; its rate is set before every step. Only matrices and filters decay.

    Raises
    ------
    ValueError
        Settings that were made for no task (`Settings.for_task`).
    """
    if settings.optimizer == "auto":
        raise ValueError("settings of no task yet")
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in learning if each.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [each for each in learning if each.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "muon":
        return Muon(_by_kind(network, groups), settings.learning_rate)
    rate = settings.learning_rate
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, rate, fused=True)
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, rate, fused=True)
    if settings.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, rate, alpha=0.9)
    return torch.optim.SGD(groups, rate, momentum=settings.momentum)


def _by_kind(network: nn.Module, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Matrices and filters between features apart from all else: biases, norms, embeddings and the last layer."""
    apart = {id(each.weight) for each in network.modules() if isinstance(each, nn.Embedding)}
    output = getattr(network, "output", None)
    apart |= {id(each) for each in output.parameters()} if isinstance(output, nn.Module) else set()
    split = []
    for group in groups:
        for orthogonal in (True, False):
            chosen = [each for each in group["params"] if (each.dim() > 1 and id(each) not in apart) == orthogonal]
            split += [group | {"params": chosen, "orthogonal": orthogonal}] if chosen else []
    return split


def learning_rate(settings: Settings, step: int, steps: int, scale: float) -> float:
    """The rate of step number `step` of `steps`, from 0; `scale` is what plateaus made of it."""
    warm = round(settings.warmup * steps)
    if step < warm:
        return settings.learning_rate * scale * (step + 1) / (warm + 1)
    if settings.schedule != "cosine":
        return settings.learning_rate * scale
    return settings.learning_rate * scale * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))


@torch.no_grad()
def limit_norms(network: nn.Module, largest: float) -> None:
    """Shrink every filter's and unit's weights to a norm of at most `largest` (Zhou & Troyanskaya 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Linear) and module.weight.requires_grad:
            module.weight.copy_(torch.renorm(module.weight, 2, 0, largest))


class Average:
    """Moving averages of a network's weights, to take their place while they are validated and kept."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._network = network
        self.weights = {name: each.detach().clone() for name, each in network.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After step number `step`, from 1: early averages are short, so that the start weights are forgotten."""
        share = max(1 - self._decay, 1 / (step + 1))
        now: list[Tensor] = [each.detach() for each in self._network.parameters()]
        torch._foreach_lerp_(list(self.weights.values()), now, share)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange weights and averages; a second time puts them back."""
        for name, each in self._network.named_parameters():
            kept = self.weights[name].clone()
            self.weights[name].copy_(each)
            each.copy_(kept)
