"""The last layer and the loss in one: no array of windows x markers x positions ever exists.

Logits of a piece of the positions are made, counted, turned into gradients of features and weights, and forgotten.
Legend: N windows, C features, L positions, T markers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad, softplus

from dilannot.data.batch import LabelIntervals
from dilannot.models.products import product

# Positions of a piece: with 919 markers these stay in the cache of a CPU core, and in that of a GPU.
PIECE = {"cpu": 1_000, "cuda": 16_384}


def head_cross_entropy(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: LabelIntervals,
    mask: Tensor,
    positive_weight: float = 1.0,
    piece: int = 0,
) -> Tensor:
    """Sum of binary cross-entropy over unmasked positions x markers, in nats, of logits = weight @ features + bias.

    Equals `losses.interval_cross_entropy_sum` of those logits. The gradients are made along with the loss.

    Parameters
    ----------
    features
        (N, C, L).
    weight, bias
        (T, C) and (T,).
    targets
        Label intervals of the N windows.
    mask
        (N, L) bool, positions that count.
    positive_weight
        How often a positive label counts.
    piece
        Positions at a time; 0 is the device's own of `PIECE`.
    """
    size = min(piece or PIECE.get(features.device.type, PIECE["cpu"]), features.shape[2])
    total: Tensor = _HeadCrossEntropy.apply(features, weight, bias, mask, targets, positive_weight, size)  # type: ignore[no-untyped-call]
    return total


class _HeadCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        mask: Tensor,
        targets: LabelIntervals,
        positive_weight: float,
        size: int,
    ) -> Tensor:
        device = features.device.type
        reduced = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        with torch.autocast(device, enabled=False):
            head = _Head(features, weight, bias, reduced or features.dtype, any(ctx.needs_input_grad[:3]))
            total = torch.zeros((), dtype=torch.float64, device=features.device)
            for part in _pieces(targets, mask, size):
                total += head.take(part, positive_weight)
        ctx.save_for_backward(*head.gradients)
        return total.float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scaled = (made.mul_(gradients[0]) for made in ctx.saved_tensors)
        return (*scaled, None, None, None, None)


class _Head:
    """One pass over the positions; `gradients` of the summed loss: features, weight, bias, or nothing.

    A feature that is always 1 has the bias as its weight, and features are filled up to a multiple of 8: one matrix
    product gives logits with bias, one the gradients of both, and both are quicker than with 125 features.
    """

    def __init__(self, features: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype, learning: bool) -> None:
        markers, self.channels = weight.shape
        self.features, self.weight = features.to(dtype), weight.T.to(dtype)
        self.filled = features.new_zeros(markers, -(-(self.channels + 1) // 8) * 8, dtype=dtype)
        self.filled[:, : self.channels] = weight
        self.filled[:, self.channels] = bias
        self._learned = torch.zeros_like(self.filled, dtype=weight.dtype)
        self._made = torch.empty_like(self.features) if learning else None
        self._memory = features.new_empty(0, dtype=dtype)
        self._window = features.new_empty(0, dtype=dtype)

    @property
    def gradients(self) -> tuple[Tensor, ...]:
        """Of features, weight and bias; none where nothing is to be learned."""
        if self._made is None:
            return ()
        return self._made, self._learned[:, : self.channels].contiguous(), self._learned[:, self.channels].contiguous()

    def take(self, piece: _Piece, positive_weight: float) -> Tensor:
        """The loss of a piece, with its gradients added."""
        features, logits = self._logits(piece)
        loss = softplus(logits.float())
        if piece.mask is not None:
            loss.mul_(piece.mask)
        total = loss.sum().double()
        positives = piece.positives()
        each = logits.view(-1)[positives].float()
        terms = -positive_weight * each
        if positive_weight != 1:
            terms += (positive_weight - 1) * softplus(each)
        if piece.mask is not None:
            terms *= piece.mask[positives % (piece.end - piece.start)]
        total += terms.sum().double()
        if self._made is not None:
            self._learn(features, logits, positives, piece, positive_weight)
        return total

    def _logits(self, piece: _Piece) -> tuple[Tensor, Tensor]:
        """Filled features (C', L') and logits (T, L') of a piece, in memory that all pieces share."""
        length, (markers, channels) = piece.end - piece.start, self.filled.shape
        if self._window.shape != (channels, length):
            self._window = self.features.new_zeros(channels, length)
            self._window[self.channels] = 1
            self._memory = self.features.new_empty(markers, length)
        self._window[: self.channels] = self.features[piece.window, :, piece.start : piece.end]
        return self._window, product(self.filled, self._window, self._memory)

    def _learn(
        self, features: Tensor, logits: Tensor, positives: Tensor, piece: _Piece, positive_weight: float
    ) -> None:
        """Turn the logits into their gradients, in place, and those into the gradients of what they were made of."""
        assert self._made is not None
        flat = logits.sigmoid_().view(-1)
        flat[positives] = (flat[positives] - 1) * positive_weight
        if piece.mask is not None:
            logits.mul_(piece.mask)
        self._learned += product(logits, features.T)
        product(self.weight, logits, self._made[piece.window, :, piece.start : piece.end])


@dataclass(frozen=True, slots=True)
class _Piece:
    """Positions [start, end) of a window, which of them count (None: all), and their labels as marker, start, width."""

    window: int
    start: int
    end: int
    mask: Tensor | None
    labels: tuple[Tensor, Tensor, Tensor]
    count: int  # of labelled positions x markers

    def positives(self) -> Tensor:
        """Flat indices of labels that are 1 in (T, end - start)."""
        marker, start, width = self.labels
        first = marker * (self.end - self.start) + start
        shift = first - (width.cumsum(0) - width)
        spread = torch.repeat_interleave(shift, width, output_size=self.count)
        return spread + torch.arange(self.count, device=width.device)


def _pieces(targets: LabelIntervals, mask: Tensor, size: int) -> Iterator[_Piece]:
    """Cut windows, mask and labels into pieces of `size` positions; what the host must know is fetched at once."""
    windows, length = mask.shape
    each = -(-length // size)
    first, last = targets.start // size, (targets.end - 1) // size
    spans = last - first + 1
    source = torch.repeat_interleave(torch.arange(len(spans), device=spans.device), spans)
    place = first[source] + torch.arange(len(source), device=spans.device) - (spans.cumsum(0) - spans)[source]
    number, order = torch.sort(targets.window[source] * each + place, stable=True)
    source, place = source[order], place[order]
    start = torch.maximum(targets.start[source] - place * size, torch.zeros_like(place))
    width = torch.minimum(targets.end[source] - place * size, torch.full_like(place, size)) - start
    marker = targets.marker[source]
    whole = pad(mask, (0, each * size - length), value=True).view(windows * each, size).all(1)
    labels = torch.bincount(number, minlength=windows * each)
    # Widths are far below 2^53: the sums of doubles are exact.
    positives = torch.bincount(number, width.double(), minlength=windows * each).long()
    at = 0
    for i, (complete, held, count) in enumerate(torch.stack([whole.long(), labels, positives], 1).tolist()):
        window, begin = i // each, i % each * size
        end, here = min(begin + size, length), slice(at, at + held)
        counted = None if complete else mask[window, begin:end]
        yield _Piece(window, begin, end, counted, (marker[here], start[here], width[here]), count)
        at += held
