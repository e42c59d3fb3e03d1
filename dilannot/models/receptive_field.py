"""What an output of a network can see, computed from its layers: sets of positions, from the output to the input.

Every layer has one rule, which input positions a set of output positions depends on. Positions are integers along L; in
an unbounded sequence they may be negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from dilannot.genome.tiles import Context
from dilannot.models.blocks import Centre, Embed, OneHot
from dilannot.models.kmers import KmerCounts
from dilannot.models.lstm import BidirectionalLSTM
from dilannot.models.network import DenseNetwork, Network, leaves
from dilannot.models.scan import MotifScan

Positions = NDArray[np.int64]  # sorted, each once

# One position in, the same position out.
_POINTWISE = (
    nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU, nn.ELU, nn.Softplus, nn.Identity,
    nn.Dropout, nn.Dropout1d, nn.BatchNorm1d, nn.Linear, Embed, OneHot,
)  # fmt: skip
# All positions in, one out; and all in, as many out.
_TO_ONE = (nn.Flatten, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d, KmerCounts, MotifScan)
_TO_ALL = (BidirectionalLSTM,)


class UnboundedError(Exception):
    """A network has no finite receptive field, or one that its layers do not tell."""


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Input positions that the outputs of one block, or of a window, depend on.

    Attributes
    ----------
    first, last
        The outermost ones, counted from the block's (or window's) first position.
    positions
        How many there are between them: fewer than the span where dilations leave gaps.
    stride
        Nucleotides of a block, which see the same.
    """

    first: int
    last: int
    positions: int
    stride: int

    @property
    def span(self) -> int:
        """From the first to the last, nt."""
        return self.last - self.first + 1

    @property
    def context(self) -> Context:
        """For tiles of a genome."""
        return Context(-self.first, self.last, self.stride)


def context_of(network: nn.Module) -> Context | None:
    """What tiles must read around what they keep; None where no finite context is known.

    A network that is no chain of known layers may say it itself, with a method `context()`.
    """
    own = getattr(network, "context", None)
    if callable(own):
        context: Context = own()
        return context
    # A forward of its own may do what the chain of layers does not say.
    own_forward = type(network).forward is not DenseNetwork.forward
    if not isinstance(network, DenseNetwork) or (own_forward and type(network).layers is DenseNetwork.layers):
        return None
    try:
        return dense_field(network).context
    except UnboundedError:
        return None


def check_blocks(network: DenseNetwork) -> None:
    """Refuse a trunk and a head that do not fit: with `keep`, a network is cut between them.

    Raises
    ------
    ValueError
        The head looks beyond its own block, or may, or trunk and head do not agree about what a block is.
    """
    if type(network).forward is not DenseNetwork.forward:
        return  # it cuts in its own way
    stride, blocks = network.stride, 1_000
    trunk, head = list(leaves([network.trunk])), list(leaves([network.head]))
    try:
        seen = walk_back(np.arange(stride, dtype=np.int64), [(layer, None) for layer in head])
    except UnboundedError as error:
        raise ValueError(f"a {error} in the head may look beyond its own block; put it into the trunk") from None
    if seen.tolist() != [0] or _length_after_all(head, blocks) != stride * blocks:
        raise ValueError(f"the head does not make {stride} nt of every block by itself; put the rest into the trunk")
    length = _length_after_all(trunk, stride * blocks)
    if length != blocks and all(map(_known, trunk)):
        raise ValueError(f"the trunk makes {length:,} blocks of {stride * blocks:,} nt, with a stride of {stride}")


def dense_field(network: DenseNetwork) -> ReceptiveField:
    """What one block of `stride` nucleotides sees, far from the ends of its sequence.

    Raises
    ------
    UnboundedError
        Everything (LSTM), or a layer that has no rule here.
    """
    block = np.arange(network.stride, dtype=np.int64)
    return _field(walk_back(block, [(layer, None) for layer in leaves(network.layers())]), network.stride)


def window_field(network: Network, length: int) -> ReceptiveField:
    """What the output for a window of `length` bases sees.

    Raises
    ------
    UnboundedError
        A layer has no rule here.
    """
    chain: list[tuple[nn.Module, int | None]] = []
    for layer in leaves(network.layers()):
        chain.append((layer, length))
        length = length_after(layer, length)
    return _field(walk_back(np.arange(length, dtype=np.int64), chain), stride=0)


def _field(seen: Positions, stride: int) -> ReceptiveField:
    return ReceptiveField(int(seen[0]), int(seen[-1]), len(seen), stride)


def walk_back(outputs: Positions, chain: Sequence[tuple[nn.Module, int | None]]) -> Positions:
    """Input positions that `outputs` of a chain depend on; it gives each layer with the length of its input."""
    for layer, length in reversed(chain):
        outputs = needed(layer, outputs, length)
    return outputs


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
    if isinstance(layer, nn.ConstantPad1d):
        inputs = outputs - layer.padding[0]
    elif isinstance(layer, nn.Conv1d | nn.MaxPool1d):
        kernel, stride, padding, dilation = _geometry(layer)
        inputs = np.unique(outputs[:, None] * stride - padding + dilation * np.arange(kernel))
    elif isinstance(layer, nn.ConvTranspose1d):
        inputs = np.unique(outputs // _blocks(layer))
    elif isinstance(layer, Centre):
        inputs = outputs + layer.start
    elif isinstance(layer, _POINTWISE):
        return outputs
    elif length is not None and isinstance(layer, _TO_ONE + _TO_ALL):
        return np.arange(length, dtype=np.int64)
    else:
        raise UnboundedError(type(layer).__name__)
    return inputs if length is None else inputs[(inputs >= 0) & (inputs < length)]


def _known(layer: nn.Module) -> bool:
    try:
        needed(layer, np.zeros(1, np.int64), 1)
    except UnboundedError:
        return False
    return True


def _length_after_all(layers: Sequence[nn.Module], length: int) -> int:
    for layer in layers:
        length = length_after(layer, length)
    return length


def length_after(layer: nn.Module, length: int) -> int:
    """Positions of a layer's output: (N, C, length) -> (N, C', ...)."""
    if isinstance(layer, nn.ConstantPad1d):
        return length + sum(layer.padding)
    if isinstance(layer, nn.Conv1d | nn.MaxPool1d):
        kernel, stride, padding, dilation = _geometry(layer)
        return (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if isinstance(layer, nn.ConvTranspose1d):
        return length * _blocks(layer)
    if isinstance(layer, Centre):
        return layer.width
    if isinstance(layer, _TO_ONE):
        return 1
    return length


def _geometry(layer: nn.Conv1d | nn.MaxPool1d) -> tuple[int, int, int, int]:
    """Kernel, stride, padding and dilation."""
    values = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    if isinstance(layer.padding, str) or (isinstance(layer, nn.MaxPool1d) and layer.ceil_mode):
        raise UnboundedError(f"{type(layer).__name__} with implicit padding")
    kernel, stride, padding, dilation = (value if isinstance(value, int) else int(value[0]) for value in values)
    return kernel, stride, padding, dilation


def _blocks(layer: nn.ConvTranspose1d) -> int:
    if layer.kernel_size != layer.stride or layer.padding != (0,):
        raise UnboundedError("ConvTranspose1d of another kernel than its stride")
    return layer.stride[0]
