"""A network's chain of layers as one line, in the notation of the sources."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from dilannot.models import build_without_memory
from dilannot.models.blocks import Centre, Embed
from dilannot.models.kmers import KmerCounts
from dilannot.models.lstm import BidirectionalLSTM
from dilannot.models.network import BothStrands, Sum, leaves
from dilannot.models.scan import MotifScan


def text(name: str) -> str:
    """Of a preset with 2 outputs; a layer that stands there again without weights of its own is in brackets."""
    return chain_text(build_without_memory(name, 2).layers(), set())


def chain_text(layers: Iterable[nn.Module], seen: set[nn.Module]) -> str:
    words = []
    for layer in leaves(list(layers)):
        again = layer in seen and any(True for _ in layer.parameters())
        if isinstance(layer, Sum):
            words.append("[" + " + ".join(chain_text(branch, seen) or "same" for branch in layer.branches) + "]")
        elif isinstance(layer, BothStrands):
            words.append("both{" + chain_text(layer.chain, seen) + "}")
        else:
            words.append(f"({word(layer)})" if again else word(layer))
        seen.add(layer)
    return " ".join(words)


def word(layer: nn.Module) -> str:
    if isinstance(layer, nn.ConstantPad1d):
        left, right = layer.padding
        return f"pad{left}+{right}" + ("" if layer.value == 0 else f"of{layer.value}")
    if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
        kind = "conv" if isinstance(layer, nn.Conv1d) else "deconv"
        stride, dilation = layer.stride[0], layer.dilation[0]
        return (
            f"{kind}{layer.kernel_size[0]}x{layer.out_channels}"
            + (f"s{stride}" if stride > 1 else "")
            + (f"d{dilation}" if dilation > 1 else "")
            + ("" if layer.bias is not None else "nobias")
        )
    if isinstance(layer, nn.MaxPool1d):
        return f"max{layer.kernel_size}/{layer.stride}" + (f"d{layer.dilation}" if layer.dilation > 1 else "")
    if isinstance(layer, nn.BatchNorm1d):
        return f"bn{1 - layer.momentum:g}"
    if isinstance(layer, nn.LeakyReLU):
        return f"leaky{layer.negative_slope:g}"
    if isinstance(layer, nn.Dropout):
        return f"drop{layer.p:g}"
    if isinstance(layer, nn.Linear):
        return f"linear{layer.out_features}"
    if isinstance(layer, BidirectionalLSTM):
        dropout = layer.recurrent_dropout.p
        return f"bilstm{layer.lstm.hidden_size}" + (f"r{dropout:g}" if dropout else "")
    if isinstance(layer, Embed):
        return f"embed{layer.embedding_dim}"
    if isinstance(layer, Centre):
        return f"centre{layer.width}"
    if isinstance(layer, KmerCounts):
        return f"kmers{layer.k}"
    if isinstance(layer, MotifScan):
        return f"scan{layer.matrices.shape[0]}x{layer.matrices.shape[2]}"
    return {nn.ReLU: "relu", nn.Flatten: "flat", nn.AdaptiveAvgPool1d: "mean"}.get(type(layer), type(layer).__name__)
