"""The smallest trainings: some milliseconds a step, one thread, and everything in them that a checkpoint must keep."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dilannot.data.settings import Task
from dilannot.progress import Silent
from dilannot.run import TIMING
from dilannot.training.settings import Settings
from dilannot.training.step import Stepper
from dilannot.training.train import train

THIN = {
    "filters": [4, 6, 4], "dilations": [1, 1, 3], "deconvolution": 4, "hidden": 5, "kernel": 5, "stride": 5,
    "dropout": 0.2,
}  # fmt: skip
HYBRID = {
    "motifs": 6, "motif_width": 5, "projection": 3, "filters": 4, "width": 4, "hidden": 5,
    "dilations": [1, 3], "coarse_dilations": [1], "last_dilations": [1],
}  # fmt: skip
# Three steps an epoch of the small dense dataset, which has 17 windows.
SHORT = Settings(epochs=2, batch_size=6, learning_rate=1e-2)


@dataclass(frozen=True)
class Training:
    """What is trained, and how."""

    settings: Settings = SHORT
    model: str | None = "dilated"
    arguments: dict[str, Any] = field(default_factory=lambda: THIN)
    task: Task = "dense"
    workers: int = 0

    def run(self, dataset: Path | None, output: Path, **more: Any) -> None:
        options = {"model": self.model, "arguments": self.arguments, "settings": self.settings} | more
        train(dataset, output, workers=self.workers, **options)


def contents(run: Path) -> dict[str, bytes]:
    """All files of a run but its times, by name."""
    return {path.name: path.read_bytes() for path in run.iterdir() if path.name != TIMING}


@contextmanager
def signal_in_step(number: signal.Signals, step: int) -> Iterator[None]:
    """A signal comes while the weights change, the `step`-th time they do."""
    apply, done = Stepper.apply, 0

    def signalled(self: Stepper, rate: float, count: int) -> None:
        nonlocal done
        done += 1
        if done == step:
            signal.raise_signal(number)
        apply(self, rate, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stepper, "apply", signalled)
        yield


class Recorder(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)

    def warn(self, message: str) -> None:
        self.lines.append(f"warning: {message}")
