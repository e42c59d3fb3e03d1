"""torch's layers where we need more of them: quick dropout, batch norm over processes, logits that can wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn

from dilannot.models.products import is_onednn, product

_PLAIN_BATCHES = 50  # of batch renorm; after five times as many it is what it is
SPARSE = 0.1  # up to this rate, drawing the hidden elements is cheaper than drawing one number for every element


class Dropout(nn.Dropout):
    """torch's dropout; on a CPU a low rate draws the gaps between hidden elements, not a number for every element."""

    def forward(self, features: Tensor) -> Tensor:
        if not self.training or not 0 < self.p <= SPARSE or features.device.type != "cpu":
            return super().forward(features)
        result: Tensor = _SparseDropout.apply(features, self.p)  # type: ignore[no-untyped-call]
        return result


class _SparseDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, rate: float) -> Tensor:
        hidden = _hidden(features.numel(), rate)
        ctx.save_for_backward(hidden)
        ctx.scale = 1 / (1 - rate)
        return _hide(features, hidden, ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (hidden,) = ctx.saved_tensors
        return _hide(gradients[0], hidden, ctx.scale), None


def _hide(values: Tensor, hidden: Tensor, scale: float) -> Tensor:
    result = (values * scale).contiguous()
    result.view(-1).index_fill_(0, hidden, 0)
    return result


def _hidden(count: int, rate: float) -> Tensor:
    """Which of `count` elements are hidden, in order: gaps between them are geometrically distributed."""
    expected = count * rate
    draws = int(expected + 6 * expected**0.5) + 10  # all but once in 10^9 times these reach the end
    last, parts = -1, []
    while last < count:
        places = torch.empty(draws, dtype=torch.int64).geometric_(rate).cumsum(0) + last
        parts.append(places)
        last = int(places[-1])
    places = torch.cat(parts)
    return places[: int(torch.searchsorted(places, count))]


class Pointwise(nn.Conv1d):
    """A convolution of width 1 as what it is, a matrix product: on a CPU four times as fast as torch's convolution."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__(channels, filters, 1)

    def forward(self, features: Tensor) -> Tensor:
        assert self.bias is not None
        if is_onednn(features):
            made: Tensor = _Products.apply(self.weight[:, :, 0], self.bias, features)  # type: ignore[no-untyped-call]
            return made
        return torch.baddbmm(self.bias[:, None], self.weight[:, :, 0].expand(len(features), -1, -1), features)


class _Products(torch.autograd.Function):
    """(C', C), (C',) and (N, C, L) -> (N, C', L)."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, features: Tensor) -> Tensor:
        ctx.save_for_backward(weight, features)
        made = features.new_empty(len(features), len(weight), features.shape[2])
        for window, out in zip(features, made, strict=True):
            torch.add(product(weight, window), bias[:, None], out=out)
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, features = ctx.saved_tensors
        of_weight, of_features = torch.zeros_like(weight), torch.empty_like(features)
        for window, gradient, out in zip(features, gradients[0], of_features, strict=True):
            of_weight += product(gradient, window.T)
            product(weight.T, gradient, out)
        return of_weight, gradients[0].sum((0, 2)), of_features


class Logits(Pointwise):
    """The last layer of a dense network, (N, C, L) -> (N, T, L); `deferred`, it hands its input on for the loss."""

    _deferred = False

    def forward(self, features: Tensor) -> Tensor:
        return features if self._deferred else super().forward(features)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within the block, the network gives what logits are made of: the loss makes them, a piece at a time."""
        before, self._deferred = self._deferred, True
        try:
            yield
        finally:
            self._deferred = before


class BatchNorm(nn.BatchNorm1d):
    """torch's batch norm; where several processes train one network, over the batch of all of them.

    torch's own `SyncBatchNorm` knows no CPUs.
    """

    def forward(self, features: Tensor) -> Tensor:
        if self.training and is_shared():
            return self._over_all(features)
        return super().forward(features)

    def _over_all(self, features: Tensor) -> Tensor:
        weight = features.new_ones(self.num_features) if self.weight is None else self.weight
        bias = features.new_zeros(self.num_features) if self.bias is None else self.bias
        statistics = mean, variance, total = _statistics(features)
        self._remember(mean, variance * (total / (total - 1).clamp(min=1)))
        return _norm_over_ranks(features, statistics, weight, bias, self.eps)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


class BatchRenorm(BatchNorm):
    """Batch norm that learns with the statistics it will predict with (Ioffe 2017).

    A batch of two windows has hardly ever the mean of the genome: GC content, repeats and activity come in stretches.
    Plain batch norm takes that away in training and not in prediction. Here the running statistics count in both, and
    the batch's own in gradients only; for the first batches, whose running statistics say nothing yet, it is plain
    batch norm.
    """

    def forward(self, features: Tensor) -> Tensor:
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(features)
        with torch.no_grad():
            statistics = mean, variance, total = _statistics(features)
            mean, variance = mean.to(self.running_mean.dtype), variance.to(self.running_mean.dtype)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
            seen = int(self.num_batches_tracked or 1)
            share = max(self.momentum or 0.0, 1 / seen)
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * (total / (total - 1).clamp(min=1)).to(variance.dtype), share)
            trust = min(max((seen - _PLAIN_BATCHES) / _PLAIN_BATCHES / 4, 0.0), 1.0)
            spread = torch.sqrt(self.running_var + self.eps)
            scale = (torch.sqrt(variance + self.eps) / spread).clamp(1 / (1 + 2 * trust), 1 + 2 * trust)
            shift = ((mean - self.running_mean) / spread).clamp(-5 * trust, 5 * trust)
        weight, bias = self.weight * scale, self.bias + self.weight * shift
        if is_shared():
            return _norm_over_ranks(features, statistics, weight, bias, self.eps)
        return nn.functional.batch_norm(features, None, None, weight, bias, True, 0.0, self.eps)


def is_shared() -> bool:
    """Whether several processes train one network here."""
    return distributed.is_available() and distributed.is_initialized()


def norm_over_all(network: nn.Module) -> None:
    """Make torch's batch norms, as a user's own network has them, norms over all processes."""
    for layer in network.modules():
        if type(layer) is nn.BatchNorm1d:
            layer.__class__ = BatchNorm


Statistics = tuple[Tensor, Tensor, Tensor]


@torch.no_grad()
def _statistics(features: Tensor) -> Statistics:
    """Mean, variance and number of positions of each channel, (C,) doubles, over the batches of all processes."""
    mean, variance = (each.double() for each in torch.batch_norm_update_stats(features, None, None, 0.0))
    # Merged in double precision: a float32 would lose a variance that is small beside the mean.
    parts = torch.stack([mean, variance + mean.square(), torch.ones_like(mean)])
    parts.mul_(features.numel() // features.shape[1])
    if is_shared():
        distributed.all_reduce(parts)
    total = parts[2]
    mean = parts[0] / total
    return mean, (parts[1] / total - mean.square()).clamp_(min=0), total


def _norm_over_ranks(features: Tensor, statistics: Statistics, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    normed: Tensor = _BatchNormOverRanks.apply(features, *statistics, weight, bias, eps)  # type: ignore[no-untyped-call]
    return normed


class _BatchNormOverRanks(torch.autograd.Function):
    """(N, C, L) or (N, C), with torch's own kernels: each process goes over its part, and C sums are exchanged.

    Twice as quick, on a CPU, as what autograd makes of the formula. Gradients are those of the summed loss.
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, mean: Tensor, variance: Tensor, total: Tensor, weight: Tensor, bias: Tensor,
        eps: float,
    ) -> Tensor:  # fmt: skip
        as_float, inverse = mean.to(weight.dtype), torch.rsqrt(variance + eps).to(weight.dtype)
        ctx.save_for_backward(features, weight, as_float, inverse, total)
        ctx.eps = eps
        spread = variance.to(weight.dtype)
        return torch.batch_norm(features, weight, bias, as_float, spread, False, 0.0, eps, False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, mean, inverse, total = ctx.saved_tensors
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, features, weight, None, None, mean, inverse, True, ctx.eps, [False, True, True]
        )
        sums = torch.stack([of_weight, of_bias]).double()
        distributed.all_reduce(sums)
        # scale * (gradient - its mean - normed * mean of gradient * normed), as a * gradient + b * features + c
        from_weight, from_bias = sums / total
        scale = weight.double() * inverse.double()
        slope = -scale * inverse.double() * from_weight
        offset = -scale * from_bias - slope * mean.double()
        shape = (-1,) + (1,) * (features.dim() - 2)
        a, b, c = (each.to(weight.dtype).view(shape) for each in (scale, slope, offset))
        of_features = torch.addcmul(c, features, b).addcmul_(gradient, a).to(features.dtype)
        return of_features, None, None, None, of_weight, of_bias, None
