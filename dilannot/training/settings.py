"""How a network is trained: every value that is written to `run/settings.toml`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

BATCH_SIZES = {"dense": 2, "window": 100}


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a training.

    Attributes
    ----------
    epochs
        Passes over the training windows.
    max_steps
        Stop after this many steps, whatever the epoch; 0 is no limit.
    batch_size
        Windows a step; 0 is the task's own: 2 of 25,000 bp (the sources use 8; small datasets learn more from smaller
        steps), 100 of 1,000 bp (as DanQ).
    learning_rate
        Peak of Adam's one-cycle schedule (Smith & Topin 2018): a short warm-up, then cosine down to nothing.
    clip
        Largest norm of the gradient.
    reverse_complement, shift
        How windows are varied: see `data.order.Augmentation`.
    seed
        Of weights, dropout, the order of windows and how they are varied.
    """

    epochs: int = 10
    max_steps: int = 0
    batch_size: int = 0
    learning_rate: float = 2e-3
    clip: float = 1.0
    reverse_complement: bool = False
    shift: int = 0
    seed: int = 0

    def for_task(self, task: str) -> Settings:
        """With what depends on the task decided."""
        return self if self.batch_size else replace(self, batch_size=BATCH_SIZES[task])

    def as_dict(self) -> dict[str, Any]:
        """For `settings.toml`."""
        return asdict(self)
