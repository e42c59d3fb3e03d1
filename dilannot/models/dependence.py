"""Which input positions the outputs of a single layer depend on, and how many positions it makes.

Positions are integers along L; in an unbounded sequence they may be negative. A rule holds for the very `forward` it
was written for: a subclass with another one has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from dilannot.models.blocks import Centre, Embed, HiddenBatchNorm, OneHot
from dilannot.models.kmers import KmerCounts
from dilannot.models.layers import BatchNorm, BatchRenorm, Dropout, Logits, Pointwise
from dilannot.models.lstm import BidirectionalLSTM
from dilannot.models.network import BothStrands, Sum, leaves
from dilannot.models.scan import MotifScan

Positions = NDArray[np.int64]  # sorted, each once
Chain = list[tuple[nn.Module, int | None]]  # layers with the length of their input; None is an unbounded sequence

# One position in, the same position out.
_POINTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Softplus,
    nn.Sigmoid, nn.Tanh, nn.Identity, nn.Dropout, nn.Dropout1d, Dropout, Embed, OneHot,
)  # fmt: skip
_NORMS = (nn.BatchNorm1d, BatchNorm, BatchRenorm, HiddenBatchNorm)
_SLIDING = (nn.Conv1d, Pointwise, Logits, nn.MaxPool1d, nn.AvgPool1d)
# All positions in, one out.
_TO_ONE = (nn.Flatten, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d, KmerCounts, MotifScan)


class UnboundedError(Exception):
    """A layer has no finite receptive field, or (not `known`) none that is known here; the text is the layer."""

    def __init__(self, layer: str, *, known: bool = False) -> None:
        super().__init__(layer)
        self.known = known


def needed(layer: nn.Module, outputs: Positions, length: int | None) -> Positions:
    """Input positions that `outputs` of a layer depend on.

    Parameters
    ----------
    layer
        A single layer.
    outputs
        Positions of its output.
    length
        Positions of its input; None is an unbounded sequence.

    Raises
    ------
    UnboundedError
        All of an unbounded sequence, or a layer without a rule.
    """
    if _is(layer, Sum):
        return _union(layer, outputs, length)  # type: ignore[arg-type]
    if _is(layer, BothStrands):
        return _either_strand(layer, outputs, length)  # type: ignore[arg-type]
    if _is(layer, nn.ConstantPad1d):
        inputs = outputs - layer.padding[0]  # type: ignore[index]
    elif _is(layer, *_SLIDING):
        kernel, stride, left, _, dilation = _geometry(layer)
        inputs = np.unique(outputs[:, None] * stride - left + dilation * np.arange(kernel))
    elif _is(layer, nn.ConvTranspose1d):
        inputs = np.unique(outputs // _expansion(layer))
    elif isinstance(layer, Centre):
        inputs = outputs + layer.start
    elif _is(layer, *_POINTWISE) or (_is(layer, *_NORMS) and layer.track_running_stats):
        return outputs
    elif length is not None and _mixes(layer):
        return np.arange(length, dtype=np.int64)
    else:
        raise UnboundedError(type(layer).__name__, known=_mixes(layer))
    return inputs if length is None else inputs[(inputs >= 0) & (inputs < length)]


def length_after(layer: nn.Module, length: int) -> int:
    """Positions of a layer's output: (N, C, length) -> (N, C', ...).

    Raises
    ------
    UnboundedError
        A layer without a rule.
    """
    if _is(layer, Sum):
        made = {chain_of([branch], length)[1] for branch in layer.branches}  # type: ignore[union-attr]
        if len(made) > 1:
            raise ValueError(f"the chains of a sum make {_numbers(made)} positions of {length:,}")
        return made.pop()
    if _is(layer, BothStrands):
        return chain_of([layer.chain], length)[1]  # type: ignore[list-item]
    if _is(layer, nn.ConstantPad1d):
        return length + sum(layer.padding)  # type: ignore[arg-type]
    if _is(layer, *_SLIDING):
        kernel, stride, left, right, dilation = _geometry(layer)
        return (length + left + right - dilation * (kernel - 1) - 1) // stride + 1
    if _is(layer, nn.ConvTranspose1d):
        return length * _expansion(layer)
    if isinstance(layer, Centre):
        return layer.width
    if _is(layer, nn.Linear):
        return 1 if length == 1 else int(layer.out_features)  # type: ignore[arg-type]
    if _is(layer, *_TO_ONE):
        return 1
    needed(layer, np.zeros(1, np.int64), length)
    return length


def _numbers(found: Iterable[int]) -> str:
    return " and ".join(f"{each:,}" for each in sorted(found))


def chain_of(layers: Sequence[nn.Module], length: int) -> tuple[Chain, int]:
    """The single layers of a chain with the length of their input, and the length of the last one's output."""
    chain: Chain = []
    for layer in leaves(layers):
        chain.append((layer, length))
        length = length_after(layer, length)
    return chain, length


def unbounded(layers: Sequence[nn.Module]) -> Chain:
    """The single layers of a chain, for a sequence without ends."""
    return [(layer, None) for layer in leaves(layers)]


def walk_back(outputs: Positions, chain: Chain) -> Positions:
    """Input positions of a chain that `outputs` depend on."""
    for layer, length in reversed(chain):
        outputs = needed(layer, outputs, length)
    return outputs


def _union(layer: Sum, outputs: Positions, length: int | None) -> Positions:
    chains = (unbounded([each]) if length is None else chain_of([each], length)[0] for each in layer.branches)
    return np.unique(np.concatenate([walk_back(outputs, chain) for chain in chains]))


def _either_strand(layer: BothStrands, outputs: Positions, length: int | None) -> Positions:
    """On the other strand position i is position end - i."""
    if length is None:
        chain, end, end_after = unbounded([layer.chain]), -1, -1
    else:
        chain, made = chain_of([layer.chain], length)
        end, end_after = length - 1, made - 1
    there = end - walk_back(end_after - outputs[::-1], chain)
    return np.union1d(walk_back(outputs, chain), there)


def _is(layer: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether a layer does what one of these classes does."""
    return any(isinstance(layer, kind) and type(layer).forward is kind.forward for kind in kinds)


def _mixes(layer: nn.Module) -> bool:
    """Whether every output depends on all positions."""
    if _is(layer, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d):
        return layer.output_size in (1, (1,))
    return _is(layer, *_TO_ONE, nn.Linear, BidirectionalLSTM)


def _geometry(layer: nn.Module) -> tuple[int, int, int, int, int]:
    """Kernel, stride, padding to the left and right, and dilation."""

    def number(name: str, usual: int = 1) -> int:
        value = getattr(layer, name, usual)
        return value if isinstance(value, int) else int(value[0])

    kernel, stride, dilation = number("kernel_size"), number("stride"), number("dilation")
    if getattr(layer, "padding_mode", "zeros") != "zeros" or getattr(layer, "ceil_mode", False):
        raise UnboundedError(f"{type(layer).__name__} padded otherwise than with zeros")
    if layer.padding == "same":
        span = dilation * (kernel - 1)
        return kernel, stride, span // 2, span - span // 2, dilation
    padding = 0 if layer.padding == "valid" else number("padding")
    return kernel, stride, padding, padding, dilation


def _expansion(layer: nn.Module) -> int:
    """Positions that a transposed convolution makes of one."""
    plain = layer.padding == (0,) and layer.output_padding == (0,) and layer.dilation == (1,)
    if layer.kernel_size != layer.stride or not plain:
        raise UnboundedError("ConvTranspose1d of another kernel than its stride")
    return int(layer.stride[0])  # type: ignore[index]
