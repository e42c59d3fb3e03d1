"""What passes between data and networks: windows, their label intervals, and which positions count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LabelIntervals:
    """Where the labels of a batch are 1: int64 tensors of shape (K,), disjoint, grouped by window.

    `window` counts within the batch; `start` and `end` are 0-based half-open in the window's L label positions (one for
    a bin, else one a nucleotide).
    """

    window: Tensor
    marker: Tensor
    start: Tensor
    end: Tensor

    def flat_index(self, markers: int, length: int) -> Tensor:
        """Indices of every positive in a flattened (N, T, L) array, shape (positives,)."""
        width = self.end - self.start
        first = (self.window * markers + self.marker) * length + self.start
        shift = first - (width.cumsum(0) - width)
        return torch.repeat_interleave(shift, width) + torch.arange(int(width.sum()), device=width.device)


@dataclass(frozen=True, slots=True)
class Batch:
    """What passes between data and models.

    Attributes
    ----------
    inputs
        Named tensors for the network: `sequence`, (N, bases) uint8 base codes.
    targets
        Label intervals.
    mask
        (N, L) bool: label positions that count. Unknown bases (N) of dense windows do not.
    """

    inputs: dict[str, Tensor]
    targets: LabelIntervals
    mask: Tensor

    def select(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Some of the inputs: those a network takes."""
        return {name: self.inputs[name] for name in names}

    def parts(self, count: int) -> list[Batch]:
        """The batch in `count` pieces of as many windows, give or take one."""
        if count <= 1:
            return [self]
        size, more = divmod(len(self.mask), count)
        ends = [(i + 1) * size + min(i + 1, more) for i in range(count)]
        return [self._windows(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]

    def _windows(self, begin: int, end: int) -> Batch:
        here = (self.targets.window >= begin) & (self.targets.window < end)
        columns = {field.name: getattr(self.targets, field.name)[here] for field in fields(self.targets)}
        columns["window"] = columns["window"] - begin
        inputs = {name: value[begin:end] for name, value in self.inputs.items()}
        return Batch(inputs, LabelIntervals(**columns), self.mask[begin:end])

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        targets = LabelIntervals(*(moved(getattr(self.targets, field.name)) for field in fields(self.targets)))
        return Batch({name: moved(value) for name, value in self.inputs.items()}, targets, moved(self.mask))
