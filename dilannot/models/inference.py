"""Networks made for annotation: the same function with fewer operations, and its logits piece by piece.

Legend: N batch, L positions, C channels, T markers. Layers take and give (N, C, L) as everywhere, but what they give
lies in memory position by position: products of matrices then read and write without copies, and oneDNN's convolutions
are 1.5x faster (0.46 instead of 0.69 us/nt for those of `dilated`).
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dilannot.models.blocks import ConvBlock, HiddenBatchNorm
from dilannot.models.dense.id_cnn import IteratedDilated
from dilannot.models.layers import BatchNorm, Dropout, Logits, Pointwise
from dilannot.models.network import Block, DenseNetwork, Network, leaves

# Positions the head decides on at once, of all sequences together. On a CPU a chunk of hidden units stays in the second
# cache; on a GPU one of logits in the 50 MB of an H200 or less.
_CPU_CHUNK, _GPU_CHUNK = 1_024, 16_384

# The attributes that these ways to go forward apply as chains. Of any other nobody knows what it does with its layers.
_CHAINS: dict[Callable[..., Any], tuple[str, ...]] = {
    DenseNetwork.forward: ("trunk", "head"),
    IteratedDilated.forward: ("trunk", "head", "down", "between", "up"),
}


def for_inference(network: nn.Module) -> nn.Module:
    """A copy of a dense network that does the same in fewer operations, in evaluation mode; equal to float tolerance.

    Batch norm goes into the weights before it, dropout goes, and layers that look at one block only become one product
    of matrices. `trunk`, `head`, `stride`, `output`, `layers()` and `keep` mean what they meant. Layers that are not
    known stay as they are, and so does a whole network whose `forward` is its own, or that has hooks: that one is given
    back itself, no copy.

    Parameters
    ----------
    network
        Of any kind; it is not changed.
    """
    chains = _CHAINS.get(type(network).forward)
    if chains is None or any(_has_hooks(module) for module in network.modules()):
        return network
    faster = copy.deepcopy(network)
    for name in chains:
        setattr(faster, name, _faster(getattr(faster, name)))
    return faster.eval().requires_grad_(False)


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
        if buffer.numel() < len(weight) * len(rows) and not _is_onednn(rows):
            buffer = rows.new_empty(len(weight) * len(rows))
        logits = _markers_first(weight.to(rows.dtype), rows, buffer)
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


class _Product(nn.Module):
    """A layer that makes `makes` positions of every `reads`, as one product: (N, C, L) -> (N, C', L makes / reads).

    Parameters
    ----------
    weight, bias
        (makes * C', reads * C) and (makes * C',), position after position.
    reads, makes
        Kernel of a strided convolution, or of a transposed one.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, reads: int = 1, makes: int = 1) -> None:
        super().__init__()
        self.weight, self.bias = _parameter(weight), None if bias is None else _parameter(bias)
        self.reads, self.makes = reads, makes

    def forward(self, features: Tensor) -> Tensor:
        size, channels, length = features.shape
        blocks = length // self.reads
        rows = features[:, :, : blocks * self.reads].transpose(1, 2).reshape(size * blocks, self.reads * channels)
        made = _linear(rows, self.weight, self.bias)
        return made.view(size, blocks * self.makes, -1).transpose(1, 2)


class _Convolution(nn.Module):
    """Zeros on both sides and a convolution, position by position in memory: (N, C, L) -> (N, C', L').

    Parameters
    ----------
    weight, bias
        (C', C, kernel) and (C',).
    padding
        Zeros to the left and to the right.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, padding: tuple[int, int], stride: int, dilation: int
    ) -> None:
        super().__init__()
        # Torch has this order in memory, "channels last", for images only: this one is 1 high.
        image = weight[:, :, None].contiguous(memory_format=torch.channels_last)
        self.weight, self.bias = _parameter(image), None if bias is None else _parameter(bias)
        self.padding, self.stride, self.dilation = padding, stride, dilation

    def forward(self, features: Tensor) -> Tensor:
        image = features[:, :, None].contiguous(memory_format=torch.channels_last)
        if any(self.padding):
            image = nn.functional.pad(image, self.padding)
        made = nn.functional.conv2d(image, self.weight, self.bias, (1, self.stride), dilation=(1, self.dilation))
        return made[:, :, 0]


class _LastLayer(Logits):
    """`Logits` from features that lie position by position."""

    def forward(self, features: Tensor) -> Tensor:
        if self._deferred:
            return features
        assert self.bias is not None
        size, channels, length = features.shape
        rows = features.transpose(1, 2).reshape(-1, channels)
        logits = _markers_first(self.weight[:, :, 0], rows).add_(self.bias[:, None])
        return logits.view(len(logits), size, length).transpose(0, 1)


class _Applied(Block):
    """A block with the layers of each of its applications."""

    def __init__(self, applications: Sequence[Sequence[nn.Module]]) -> None:
        super().__init__()
        self.applications = nn.ModuleList(nn.Sequential(*layers) for layers in applications)

    def layers(self, application: int = 0) -> list[nn.Module]:
        # Without batch norms all applications are one.
        chain = self.applications[min(application, len(self.applications) - 1)]
        assert isinstance(chain, nn.Sequential)
        return list(chain)


def _faster(module: nn.Module) -> nn.Module:
    """What takes a chain's place; the weights of an application are its own, because its batch norm is in them."""
    if isinstance(module, nn.ModuleList):
        return nn.ModuleList(_faster(each) for each in module)
    if type(module) is ConvBlock:
        return _Applied([_fused(module.layers(i)) for i in range(max(1, len(module.norms)))])
    if isinstance(module, nn.Sequential):
        return nn.Sequential(*_fused(list(leaves([module]))))
    return module


def _fused(layers: Sequence[nn.Module]) -> list[nn.Module]:
    """The layers of a chain, those that can be one made one."""
    left = [layer for layer in layers if type(layer) not in (nn.Dropout, Dropout, nn.Identity)][::-1]
    fused: list[nn.Module] = []
    while left:
        layer = left.pop()
        padding = (0, 0)
        if left and _is_zero_padding(layer) and type(left[-1]) is nn.Conv1d and _is_plain(left[-1]):
            padding, layer = layer.padding, left.pop()  # type: ignore[assignment]
        if type(layer) in (nn.Conv1d, Pointwise, nn.ConvTranspose1d) and _is_plain(layer):
            norm = left.pop() if left and _is_foldable(left[-1]) else None
            layer = _weighted(layer, norm, padding)  # type: ignore[arg-type]
        elif type(layer) is Logits:
            layer.__class__ = _LastLayer
        fused.append(layer)
    return fused


def _weighted(layer: nn.Conv1d | nn.ConvTranspose1d, norm: nn.Module | None, padding: tuple[int, int]) -> nn.Module:
    """A convolution, strided or transposed or neither, with the batch norm behind it."""
    transposed = isinstance(layer, nn.ConvTranspose1d)
    weight = layer.weight.detach().transpose(0, 1) if transposed else layer.weight.detach()  # (C', C, kernel)
    bias = None if layer.bias is None else layer.bias.detach()
    if isinstance(norm, nn.BatchNorm1d):
        weight, bias = _folded(weight, bias, norm)
    kernel = weight.shape[2]
    if transposed:
        rows = weight.permute(2, 0, 1).reshape(-1, weight.shape[1])
        return _Product(rows, None if bias is None else bias.repeat(kernel), makes=kernel)
    stride, dilation = layer.stride[0], layer.dilation[0]
    left, right = _own_padding(layer)  # type: ignore[arg-type]
    padding = (padding[0] + left, padding[1] + right)
    if kernel == stride and dilation == 1 and not any(padding):
        return _Product(weight.transpose(1, 2).reshape(len(weight), -1), bias, reads=kernel)
    return _Convolution(weight, bias, padding, stride, dilation)


def _folded(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Batch norm of running statistics is a factor and a summand for each channel. In double precision."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -norm.running_mean.double() if bias is None else bias.double() - norm.running_mean.double()
    shift = shift * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    return (weight.double() * scale[:, None, None]).to(weight.dtype), shift.to(weight.dtype)


def _own_padding(layer: nn.Conv1d) -> tuple[int, int]:
    if isinstance(layer.padding, str):
        span = layer.dilation[0] * (layer.kernel_size[0] - 1) if layer.padding == "same" else 0
        return span // 2, span - span // 2
    return layer.padding[0], layer.padding[0]


def _is_zero_padding(layer: nn.Module) -> bool:
    return type(layer) is nn.ConstantPad1d and layer.value == 0 and min(layer.padding) >= 0


def _is_foldable(layer: nn.Module) -> bool:
    """In evaluation, batch norm without running statistics takes those of its batch."""
    return type(layer) in (nn.BatchNorm1d, BatchNorm, HiddenBatchNorm) and layer.running_mean is not None


def _is_plain(layer: nn.Module) -> bool:
    """Whether a convolution is one that `_weighted` can express."""
    assert isinstance(layer, nn.Conv1d | nn.ConvTranspose1d)
    if layer.groups != 1 or layer.padding_mode != "zeros":
        return False
    own_block = layer.kernel_size == layer.stride and layer.dilation == (1,) and layer.padding == (0,)
    return isinstance(layer, nn.Conv1d) or (own_block and layer.output_padding == (0,))


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _parameter(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.clone(), requires_grad=False)


def _is_onednn(rows: Tensor) -> bool:
    """Whether oneDNN's product can be asked for: 2.2x faster than MKL's where MKL knows an AMD's AVX2 only."""
    return (
        rows.device.type == "cpu"
        and rows.dtype == torch.float32
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _linear(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(R, C) and (C', C) -> (R, C')."""
    if _is_onednn(rows):
        made: Tensor = torch.ops.mkldnn._linear_pointwise(rows.contiguous(), weight.contiguous(), bias, "none", [], "")
        return made
    return nn.functional.linear(rows, weight, bias)


def _markers_first(weight: Tensor, rows: Tensor, buffer: Tensor | None = None) -> Tensor:
    """(T, C) and (R, C) -> (T, R), into the buffer where there is one that is used."""
    if _is_onednn(rows):
        return _linear(weight, rows, None)
    if buffer is None:
        return torch.mm(weight, rows.T)
    return torch.mm(weight, rows.T, out=buffer[: len(weight) * len(rows)].view(len(weight), len(rows)))


def for_markers(network: nn.Module, chosen: Sequence[int], markers: int) -> nn.Module:
    """A network that decides on some markers only, in the order given; the network itself where that is all of them.

    Parameters
    ----------
    network
        Of ours, the last layer is cut; of one nobody knows the inside of, the outputs are.
    chosen
        Numbers of its outputs.
    markers
        How many it has.
    """
    if list(chosen) == list(range(markers)):
        return network
    rows = torch.tensor(list(chosen))
    output = network.output if isinstance(network, Network) else None
    if not isinstance(output, nn.Linear | nn.Conv1d) or len(output.weight) != markers:
        return _Chosen(network, rows)
    output.weight = nn.Parameter(output.weight.detach()[rows], requires_grad=False)
    if output.bias is not None:
        output.bias = nn.Parameter(output.bias.detach()[rows], requires_grad=False)
    return network


class _Chosen(nn.Module):
    """Some outputs of a network nobody knows the inside of: (N, L) -> (N, chosen, L)."""

    chosen: Tensor

    def __init__(self, network: nn.Module, chosen: Tensor) -> None:
        super().__init__()
        self.network = network
        self.stride = getattr(network, "stride", 1)
        self.register_buffer("chosen", chosen, persistent=False)

    def forward(self, sequence: Tensor) -> Tensor:
        logits: Tensor = self.network(sequence)
        return logits[:, self.chosen]


def fixed_output(network: nn.Module) -> AbstractContextManager[None]:
    """Within the block, several threads may ask for `pieces` at the same time; nobody else may use the network."""
    output = _last_logits(network)
    return nullcontext() if output is None else output.deferred()
