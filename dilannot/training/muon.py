"""Muon (Jordan et al. 2024): steps of matrices that go equally far in all directions, those of rare markers too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Newton-Schulz steps towards the nearest orthogonal matrix, with the coefficients of Jordan et al.: singular values
# end between 0.7 and 1.2, which is near enough.
_STEPS, _COEFFICIENTS = 5, (3.4445, -4.7750, 2.0315)
_AS_ADAM = 0.2  # root mean square of a step, so that rates and weight decay of AdamW fit (Liu et al. 2025)


class Muon(torch.optim.Optimizer):
    """Muon for the groups of parameters with `orthogonal`, AdamW for the others.

    Parameters
    ----------
    groups
        Dicts of `params`, `weight_decay` and `orthogonal`.
    lr
        Of both.
    momentum, betas, eps
        Of Muon, and of AdamW.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps})

    @staticmethod
    def kept(group: dict[str, Any]) -> tuple[str, ...]:
        """What is remembered of each parameter of a group."""
        return ("step", "exp_avg") if group["orthogonal"] else ("step", "exp_avg", "exp_avg_sq")

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Change every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state |= {name: torch.zeros_like(parameter) for name in self.kept(group)}
                    state["step"] = torch.zeros(())
                state["step"] += 1
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                change = (
                    _orthogonal_step(parameter.grad, state, group)
                    if group["orthogonal"]
                    else _adam_step(parameter.grad, state, group)
                )
                parameter.sub_(change, alpha=group["lr"])


def _orthogonal_step(gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> Tensor:
    average = state["exp_avg"].lerp_(gradient, 1 - group["momentum"])
    ahead = gradient.lerp(average, group["momentum"])
    made = orthogonal(ahead.flatten(1))
    change: Tensor = made.view_as(gradient) * (_AS_ADAM * max(made.shape) ** 0.5)
    return change


def _adam_step(gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> Tensor:
    first, second = group["betas"]
    step = float(state["step"])
    average = state["exp_avg"].lerp_(gradient, 1 - first) / (1 - first**step)
    squares = state["exp_avg_sq"].lerp_(gradient.square(), 1 - second) / (1 - second**step)
    change: Tensor = average / (squares.sqrt() + group["eps"])
    return change


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix with orthogonal rows (or columns), (R, C) -> (R, C)."""
    a, b, c = _COEFFICIENTS
    turned = matrix.shape[0] > matrix.shape[1]
    made = matrix.T if turned else matrix
    made = made / (made.norm() + 1e-20)
    for _ in range(_STEPS):
        square = made @ made.T
        made = a * made + (b * square + c * square @ square) @ made
    result: Tensor = made.T if turned else made
    return result
