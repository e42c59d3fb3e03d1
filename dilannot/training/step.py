"""One step: gradients of a batch, in as many pieces as memory asks for, and the weights that they make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from dilannot.data.batch import Batch
from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.models.layers import norm_over_all
from dilannot.progress import Progress
from dilannot.ranks import Ranks
from dilannot.training.objective import Objective
from dilannot.training.optimizing import Average, limit_norms, make_optimizer
from dilannot.training.settings import Settings


class Stepper:
    """A network that is being trained, with its optimiser.

    Attributes
    ----------
    network, optimizer, average
        `average` is None without `Settings.ema`.
    micro_batch
        Windows that this process computes at a time; less once memory was too small.
    """

    def __init__(self, objective: Objective, settings: Settings, ranks: Ranks, progress: Progress) -> None:
        self.network = objective.network
        if ranks.count > 1:
            norm_over_all(self.network)
        ranks.share(self.network)
        self.optimizer = make_optimizer(self.network, settings)
        self.average = Average(self.network, settings.ema) if settings.ema else None
        self.micro_batch = settings.micro_batch or settings.batch_size
        self._objective = objective
        self._settings, self._ranks, self._progress = settings, ranks, progress
        self._reduced = _reduced(settings, ranks.device)

    def gradients(self, batch: Batch, positions: float, windows: float) -> tuple[float, float]:
        """Mean loss of the batch of all processes, and the norm of its gradient, which stands ready for `apply`.

        Parameters
        ----------
        batch
            What this process has of it.
        positions, windows
            Unmasked positions and windows that all processes have of it.

        Raises
        ------
        DilannotError
            Not even one window fits into the device's memory.
        """
        while True:
            before = _Before(self.network, self._ranks.device)
            self.optimizer.zero_grad(set_to_none=True)
            try:
                summed = self._add_up(batch, int(windows) // self._ranks.count)
                break
            except torch.OutOfMemoryError as error:
                self._halve(len(batch.mask), error)
            before.restore()
            torch.cuda.empty_cache()
        count = max(positions, 1.0) * self._objective.markers
        torch._foreach_mul_(self._ranks.sum_gradients(self.network), 1 / count)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._settings.clip or torch.inf)
        (total,) = self._ranks.sum(float(summed))
        return total / count, float(norm)

    @contextmanager
    def undone_if_stopped(self) -> Iterator[None]:
        """Who stops the block finds what a step changes besides gradients (random numbers, batch norm) as before it."""
        before = _Before(self.network, self._ranks.device)
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            before.restore()
            raise

    def apply(self, rate: float, step: int) -> None:
        """Change the weights at this learning rate; `step` counts from 1."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        if self._settings.max_norm:
            limit_norms(self.network, self._settings.max_norm)
        if self.average:
            self.average.update(step)

    def averaged(self) -> AbstractContextManager[None]:
        """Within it, the network has its averaged weights, where there are any."""
        return _Swapped(self.average) if self.average else nullcontext()

    def _add_up(self, batch: Batch, fewest: int) -> Tensor:
        """The summed loss; `fewest` windows are any process's share: all cut theirs into as many pieces."""
        total = torch.zeros((), device=batch.mask.device)
        for part in batch.parts(-(-fewest // self.micro_batch)):
            with torch.autocast(part.mask.device.type, self._reduced) if self._reduced else nullcontext():
                loss: Tensor = self._objective(part)
                loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def _halve(self, windows: int, error: Exception) -> None:
        now = min(self.micro_batch, windows)
        if now == 1 or self._ranks.count > 1:
            raise DilannotError(
                f"out of memory on {self._ranks.device} with {now} windows at a time: {str(error).splitlines()[0]}",
                remedy="use a smaller network" if now == 1 else f"use --setting micro_batch={now // 2}",
                exit_code=ENVIRONMENT,
            ) from None
        self.micro_batch = now // 2
        self._progress.warn(
            f"out of memory with {now} windows at a time; going on with {self.micro_batch}, whose gradients add up to "
            "the same step (batch norm then sees fewer windows at a time)"
        )


def _reduced(settings: Settings, device: torch.device) -> torch.dtype | None:
    """The type of products on a GPU, where it is not float32; CPUs are slower with any other."""
    if device.type != "cuda" or settings.precision == "float32":
        return None
    return torch.bfloat16 if settings.precision == "bfloat16" or torch.cuda.is_bf16_supported() else None


class _Before:
    """What a step that is given up must leave as it was."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
        self._random = torch.get_rng_state()
        self._device = device if device.type == "cuda" else None
        self._device_random = torch.cuda.get_rng_state(device) if self._device else None

    @torch.no_grad()
    def restore(self) -> None:
        for buffer, value in self._buffers:
            buffer.copy_(value)
        torch.set_rng_state(self._random)
        if self._device_random is not None:
            torch.cuda.set_rng_state(self._device_random, self._device or "cuda")


class _Swapped:
    def __init__(self, average: Average) -> None:
        self._average = average

    def __enter__(self) -> None:
        self._average.swap()

    def __exit__(self, *_: object) -> None:
        self._average.swap()
