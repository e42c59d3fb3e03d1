"""Networks whose answers are known by hand. Importing this file registers them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dilannot.genome.tiles import Context
from dilannot.models.registry import register


@register("toy-bases")
class ToyBases(nn.Module):
    """Marker t has logit +2 where the base has code t + 1, and -2 elsewhere. It sees one position."""

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.n_outputs = n_outputs

    def forward(self, sequence: Tensor, keep: tuple[int, int] | None = None) -> Tensor:
        start, end = keep or (0, sequence.shape[1])
        codes = torch.arange(1, self.n_outputs + 1)[None, :, None]
        return torch.where(sequence[:, None, start:end] == codes, self.scale, -self.scale)

    def context(self) -> Context:
        return Context(0, 0, 1)


@register("toy-blocks")
class ToyBlocks(nn.Module):
    """Blocks of 4 nt; a block's logit is a weighted sum of G+C counts over blocks -3..+2 around it, zero outside.

    Lopsided and strided, so that wrong halos and wrong phases show.
    """

    STRIDE, BEFORE, AFTER = 4, 3, 2

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        weights = torch.tensor([[0.9, -0.4, 0.3, -0.2, 0.15, -0.7]]) * torch.arange(1, n_outputs + 1)[:, None]
        self.weights = nn.Parameter(weights[:, None])

    def forward(self, sequence: Tensor, keep: tuple[int, int] | None = None) -> Tensor:
        start, end = keep or (0, sequence.shape[1])
        padded = nn.functional.pad(sequence, (0, -sequence.shape[1] % self.STRIDE))
        gc = ((padded == 2) | (padded == 3)).float()
        blocks = gc.reshape(len(sequence), 1, -1, self.STRIDE).sum(-1)
        logits = nn.functional.conv1d(nn.functional.pad(blocks, (self.BEFORE, self.AFTER)), self.weights)
        return logits.repeat_interleave(self.STRIDE, dim=2)[:, :, start:end]

    def context(self) -> Context:
        return Context(self.BEFORE * self.STRIDE, self.AFTER * self.STRIDE + self.STRIDE - 1, self.STRIDE)


@register("toy-around")
class ToyAround(nn.Module):
    """A block of `stride` nt has as logit a weighted sum of all bases from `before` to `after` its first one.

    Any context: it need not reach the block's own end. Left is not right, and A is not T; N and what lies outside
    count for nothing. Sums are exact in float32, so that no bit depends on what is computed together.
    """

    def __init__(self, n_outputs: int, *, before: int = 3, after: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.before, self.after, self.stride = before, after, stride
        places = torch.arange(before + after + 1) + 1.7
        weights = torch.stack([torch.sin((marker + 1.3) * places) for marker in range(n_outputs)])
        self.weights = nn.Parameter((weights[:, None] * 256 / len(places) ** 0.5).round() / 64)
        self.register_buffer("values", torch.tensor([0, 0.5, -0.25, 1, -1.25]))

    def forward(self, sequence: Tensor, keep: tuple[int, int] | None = None) -> Tensor:
        start, end = keep or (0, sequence.shape[1])
        values = self.values[sequence.int()][:, None]
        reach = max(0, self.after - self.stride + 1)
        padded = nn.functional.pad(values, (self.before, -sequence.shape[1] % self.stride + reach))
        logits = nn.functional.conv1d(padded, self.weights, stride=self.stride)
        return logits.repeat_interleave(self.stride, dim=2)[:, :, start:end]

    def context(self) -> Context:
        return Context(self.before, self.after, self.stride)


@register("toy-bin", output="window")
class ToyBin(nn.Module):
    """One logit a marker from the base composition of the whole window."""

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(5, n_outputs)

    def forward(self, sequence: Tensor) -> Tensor:
        composition = torch.stack([(sequence == code).float().mean(1) for code in range(5)], dim=1)
        logits: Tensor = self.linear(composition)
        return logits[:, :, None]

    def start_from(self, base_rates: Tensor) -> None:
        with torch.no_grad():
            self.linear.bias.copy_(torch.logit(base_rates, eps=1e-6))


@register("toy-places", output="window")
class ToyPlaces(nn.Module):
    """A bin's logit is a sum of base codes less 2.5, weighted by their places: one base aside it is another."""

    def __init__(self, n_outputs: int, *, length: int = 500) -> None:
        super().__init__()
        places = torch.arange(length, dtype=torch.float64) ** 1.5
        weights = [torch.sin((marker + 1.3) * places + 1) * length**-0.5 for marker in range(n_outputs)]
        self.weights = nn.Parameter(torch.stack(weights).float())

    def forward(self, sequence: Tensor) -> Tensor:
        return nn.functional.linear(sequence.float() - 2.5, self.weights)[:, :, None]


@register("toy-mean")
class ToyMean(nn.Module):
    """No finite context: a logit is the mean code of all it is given, and that of its own block of `stride` nt.

    Blocks are counted from the first base given, and end with the last one.
    """

    def __init__(self, n_outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.arange(1.0, n_outputs + 1))
        self.stride = stride

    def forward(self, sequence: Tensor) -> Tensor:
        codes = sequence.float()
        blocks = [block.mean(1, keepdim=True).expand_as(block) for block in codes.split(self.stride, dim=1)]
        logits = 4 * (codes.mean(1, keepdim=True) - 2.2) + torch.cat(blocks, dim=1) - 2.2
        return self.scale[:, None] * logits[:, None]
