"""Logits piece by piece, without ever holding those of a whole sequence.

Legend: N batch, L positions, C channels, T markers.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dilannot.models.layers import Logits
from dilannot.models.network import DenseNetwork
from dilannot.models.products import is_onednn, markers_first

# Positions the head decides on at once, of all sequences together. On a CPU a chunk of hidden units stays in the second
# cache; on a GPU one of logits in the 50 MB of an H200 or less.
_CPU_CHUNK, _GPU_CHUNK = 1_024, 16_384


@dataclass(frozen=True, slots=True)
class Piece:
    """Logits of positions [start, end) of the sequence, 0-based; valid until the next piece is asked for.

    Attributes
    ----------
    start, end
        Counted from the first position of the sequence.
    logits
        (N, T, end - start), every marker's positions side by side in memory; `bias_of` the network is still to be
        added.
    """

    start: int
    end: int
    logits: Tensor


def pieces(network: nn.Module, sequence: Tensor, start: int, end: int) -> Iterator[Piece]:
    """The logits of positions [start, end), in order and each once.

    A network whose last layer is `Logits` is never asked for more than about a thousand positions x markers (16
    thousand on a GPU). Where pieces end depends on `start`, `end` and the network alone, so equal tiles get equal bits.
    Without gradients: the caller turns them off.

    Parameters
    ----------
    network
        With one output per nucleotide, in evaluation mode; best from `for_inference`.
    sequence
        (N, L) base codes.
    start, end
        0-based, half-open.
    """
    output = _last_logits(network)
    if output is None:
        yield from _with_bias(network, sequence, start, end)
        return
    weight, buffer = output.weight[:, :, 0], torch.empty(0)
    for first, last, hidden in _hidden(network, output, sequence, start, end):
        rows = hidden.transpose(1, 2).reshape(-1, hidden.shape[1])  # (N * positions, C)
        if buffer.numel() < len(weight) * len(rows) and not is_onednn(rows):
            buffer = rows.new_empty(len(weight) * len(rows))
        logits = markers_first(weight.to(rows.dtype), rows, buffer)
        yield Piece(first, last, logits.view(len(weight), len(hidden), last - first).transpose(0, 1))


def bias_of(network: nn.Module) -> Tensor | None:
    """What is to be added to the logits of `pieces`, (T,); None where they are complete."""
    output = _last_logits(network)
    return None if output is None else output.bias


def _last_logits(network: nn.Module) -> Logits | None:
    output = getattr(network, "output", None)
    return output if isinstance(output, Logits) else None


def _chunks(start: int, end: int, stride: int, sequence: Tensor) -> Iterator[tuple[int, int]]:
    """[start, end) in parts that end at multiples of the stride."""
    size = (_CPU_CHUNK if sequence.device.type == "cpu" else _GPU_CHUNK) // len(sequence)
    size = max(1, size // stride) * stride
    first = start
    while first < end:
        last = min(first - first % stride + size, end)
        yield first, last
        first = last


def _hidden(
    network: nn.Module, output: Logits, sequence: Tensor, start: int, end: int
) -> Iterator[tuple[int, int, Tensor]]:
    """What the last layer reads of each chunk of positions, (N, C, positions)."""
    if isinstance(network, DenseNetwork) and type(network).forward is DenseNetwork.forward:
        features = network.trunk(network.pad(sequence))
        for first, last in _chunks(start, end, network.stride, sequence):
            with output.deferred():
                hidden = network._decide(features, (first, last))
            yield first, last, hidden
        return
    with output.deferred():
        whole = _kept(network, sequence, start, end)
    for first, last in _chunks(start, end, getattr(network, "stride", 1), sequence):
        yield first, last, whole[:, :, first - start : last - start]


def _with_bias(network: nn.Module, sequence: Tensor, start: int, end: int) -> Iterator[Piece]:
    if isinstance(network, DenseNetwork) and type(network).forward is DenseNetwork.forward:
        features = network.trunk(network.pad(sequence))
        for first, last in _chunks(start, end, network.stride, sequence):
            yield Piece(first, last, network._decide(features, (first, last)))
    else:
        yield Piece(start, end, _kept(network, sequence, start, end))


def _kept(network: nn.Module, sequence: Tensor, start: int, end: int) -> Tensor:
    """(N, L) -> (N, C, end - start), whether or not the network can `keep` a part."""
    if "keep" in inspect.signature(network.forward).parameters:
        kept: Tensor = network(sequence, keep=(start, end))
        return kept
    whole: Tensor = network(sequence)
    return whole[:, :, start:end]


def fixed_output(network: nn.Module) -> AbstractContextManager[None]:
    """Within the block, several threads may ask for `pieces` at the same time; nobody else may use the network."""
    output = _last_logits(network)
    return nullcontext() if output is None else output.deferred()
