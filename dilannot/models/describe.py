"""What a network is, in figures: layers with shapes, parameters, receptive field and cost. Built without memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dilannot.errors import DilannotError
from dilannot.models.dependence import UnboundedError
from dilannot.models.kmers import KmerCounts
from dilannot.models.lstm import BidirectionalLSTM
from dilannot.models.network import BothStrands, DenseNetwork, Network, Sum, leaves
from dilannot.models.receptive_field import ReceptiveField, dense_field, is_its_chain, window_field
from dilannot.models.registry import build_without_memory, count_parameters, entry, full_arguments, parameters_of
from dilannot.models.scan import MotifScan

LENGTHS = {"dense": 25_000, "window": 1_000}  # nt the sources use
BIN = 200  # nt a window network decides on


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a network.

    Attributes
    ----------
    kind, settings
        Its class, and what was chosen for it.
    shape
        Of its output, without the batch: channels x positions.
    parameters
        Trainable ones; None where they are those of an earlier layer.
    multiply_adds
        Of one input.
    depth
        In how many sums of chains it stands; the layers of a sum's chains come before it.
    """

    kind: str
    settings: str
    shape: tuple[int, ...]
    parameters: int | None
    multiply_adds: int
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Description:
    """A registered network, built for a number of outputs.

    Attributes
    ----------
    name, output, inputs, arguments
        As registered, with defaults filled in.
    source, published
        Where it was published, and its number of parameters there (None: not stated).
    outputs, length
        What it was built for: markers, and nt of an input.
    parameters
        Trainable ones.
    field, no_field
        What the outputs of a block or window depend on; else None, and why.
    stride
        Nucleotides that are decided together.
    multiply_adds
        Per annotated nucleotide; a window network decides on a bin of 200.
    layers
        In the order they are applied; none where the network does not say.
    """

    name: str
    output: str
    inputs: tuple[str, ...]
    arguments: dict[str, Any]
    source: str
    published: int | None
    outputs: int
    length: int
    parameters: int
    field: ReceptiveField | None
    no_field: str
    stride: int
    multiply_adds: float
    layers: tuple[Layer, ...]

    @property
    def weight_layers(self) -> int:
        """Layers that multiply, every application of a shared one counted."""
        return sum(1 for layer in self.layers if layer.multiply_adds)

    def as_json(self) -> dict[str, Any]:
        """Everything, in names a program can read; positions count from a block's (or window's) first."""
        field = self.field
        return {
            "name": self.name,
            "task": self.output,
            "inputs": list(self.inputs),
            "source": self.source,
            "arguments": self.arguments,
            "outputs": self.outputs,
            "length": self.length,
            "parameters": self.parameters,
            "published_parameters": self.published,
            "receptive_field": field
            and {"span": field.span, "first": field.first, "last": field.last, "positions": field.positions},
            "no_receptive_field": self.no_field or None,
            "stride": self.stride,
            "multiply_adds_per_nt": self.multiply_adds,
            "layers": [
                {
                    "layer": layer.kind,
                    "settings": layer.settings,
                    "shape": list(layer.shape),
                    "parameters": layer.parameters,
                    "multiply_adds": layer.multiply_adds,
                    "depth": layer.depth,
                }
                for layer in self.layers
            ],
        }


def describe(
    name: str, outputs: int | None = None, length: int | None = None, arguments: dict[str, Any] | None = None
) -> Description:
    """Build a registered network without memory and look at it.

    Parameters
    ----------
    name
        Registered name.
    outputs
        Markers; by default as many as the source counted with.
    length
        Nt of an input; by default the sources' 25,000 (dense) or 1,000 (window).
    arguments
        Constructor arguments where they are not the defaults.

    Raises
    ------
    DilannotError
        Unknown name or argument, or a network that cannot be built so.
    """
    chosen = entry(name)
    arguments = dict(arguments or {})
    if length is not None and "length" in parameters_of(name):
        arguments.setdefault("length", length)
    length = length or int(arguments.get("length", LENGTHS.get(chosen.output, 0)))
    if not length:
        raise DilannotError(f"how long an input of {name!r} is, nobody said", remedy="give --length")
    count = outputs or chosen.source.outputs
    network = build_without_memory(name, count, **arguments).to("meta").eval()
    layers = _layers(name, network, length)
    field, no_field = _field(network, length)
    stride = network.stride if isinstance(network, DenseNetwork) else BIN if chosen.output == "window" else 1
    same = not arguments or arguments == {"length": LENGTHS.get(chosen.output)}
    return Description(
        name=name,
        output=chosen.output,
        inputs=chosen.inputs,
        arguments=full_arguments(name, arguments),
        source=chosen.source.text,
        published=chosen.source.parameters if same and count == chosen.source.outputs else None,
        outputs=count,
        length=length,
        parameters=count_parameters(network),
        field=field,
        no_field=no_field,
        stride=stride,
        multiply_adds=sum(layer.multiply_adds for layer in layers) / (BIN if chosen.output == "window" else length),
        layers=layers,
    )


def _field(network: nn.Module, length: int) -> tuple[ReceptiveField | None, str]:
    """The receptive field, or what makes it unbounded."""
    try:
        if isinstance(network, DenseNetwork):
            return (dense_field(network), "") if is_its_chain(network) else (None, "not known (a forward of its own)")
        return (window_field(network, length), "") if isinstance(network, Network) else (None, "not known")
    except UnboundedError as error:
        return None, f"unbounded ({error})" if error.known else f"not known ({error})"


@torch.inference_mode()
def _layers(name: str, network: nn.Module, length: int) -> tuple[Layer, ...]:
    """The table of a chain, by applying it layer after layer to one sequence."""
    if not isinstance(network, Network):
        return ()
    sequence = torch.zeros(1, length, dtype=torch.uint8, device="meta")
    features = network.pad(sequence) if isinstance(network, DenseNetwork) else sequence
    rows, seen = [], set()
    for layer, before, after, depth in _walk(name, network.layers(), features, length):
        if isinstance(layer, nn.Identity | nn.ConstantPad1d):
            continue
        own = 0 if _inside(layer, before) else count_parameters(layer)
        parameters, cost = None if layer in seen and own else own, multiply_adds(layer, before, after)
        rows.append(Layer(type(layer).__name__, _settings(layer), tuple(after.shape[1:]), parameters, cost, depth))
        seen.add(layer)
    return tuple(rows)


def _walk(
    name: str, layers: Sequence[nn.Module], features: Tensor, length: int, depth: int = 0
) -> Iterator[tuple[nn.Module, Tensor, Tensor, int]]:
    """Single layers with what they read and give; those of a sum's chains before it, one deeper."""
    for layer in leaves(layers):
        for chain, read in _inside(layer, features):
            yield from _walk(name, [chain], read, length, depth + 1)
        try:
            before, features = features, _applied(layer, features)
        except RuntimeError as error:
            raise DilannotError(
                f"{name!r} cannot take an input of {length:,} nt: {type(layer).__name__}: {error}",
                remedy="look at its layers" if entry(name).code else "give another --length",
            ) from None
        yield layer, before, features, depth


def _inside(layer: nn.Module, features: Tensor) -> list[tuple[nn.Module, Tensor]]:
    """The chains of a layer that is made of some, with what each reads."""
    if isinstance(layer, Sum):
        return [(branch, features) for branch in layer.branches]
    if isinstance(layer, BothStrands):
        return [(layer.chain, torch.cat([features, features]))]
    return []


def _applied(layer: nn.Module, features: Tensor) -> Tensor:
    # torch walks through an LSTM step by step where there is no memory: seconds for a shape that is known.
    if isinstance(layer, BidirectionalLSTM):
        return features.new_empty(len(features), 2 * layer.lstm.hidden_size, features.shape[2])
    applied: Tensor = layer(features)
    return applied


def multiply_adds(layer: nn.Module, before: Tensor, after: Tensor) -> int:
    """Products of a weight and a feature that one input costs; look-ups, sums and maxima are free.

    Parameters
    ----------
    layer
        A single layer.
    before, after
        Its input and output.
    """
    if isinstance(layer, nn.Conv1d):
        return layer.weight.numel() * len(after) * after.shape[2]
    if isinstance(layer, nn.ConvTranspose1d):
        return layer.weight.numel() * len(after) * before.shape[2]
    if isinstance(layer, nn.Linear):
        return layer.weight.numel() * len(after)
    if isinstance(layer, BidirectionalLSTM):
        weights = (weight for name, weight in layer.lstm.named_parameters() if name.startswith("weight"))
        return sum(weight.numel() for weight in weights) * len(after) * before.shape[2]
    if isinstance(layer, MotifScan):
        return layer.multiply_adds(before.shape[2]) * len(after)
    return 0


def _settings(layer: nn.Module) -> str:
    """What was chosen for a layer, in the notation of the sources: kernel, filters, stride, dilation."""
    if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
        shown = [("k", layer.kernel_size[0], 0), ("f", layer.out_channels, 0)]
        shown += [("s", layer.stride[0], 1), ("d", layer.dilation[0], 1)]
        return " ".join(f"{letter}{value}" for letter, value, usual in shown if value != usual)
    if isinstance(layer, nn.MaxPool1d):
        values = [("k", layer.kernel_size, 0), ("s", layer.stride, 1), ("d", layer.dilation, 1)]
        return " ".join(f"{letter}{value}" for letter, value, usual in values if value != usual)
    if isinstance(layer, nn.LeakyReLU):
        return f"slope {layer.negative_slope}"
    if isinstance(layer, nn.Dropout):
        return f"{layer.p:g}"
    if isinstance(layer, nn.BatchNorm1d):
        return f"decay {1 - (layer.momentum or 0):g}"
    if isinstance(layer, BidirectionalLSTM):
        dropout = layer.recurrent_dropout.p
        return f"state {layer.lstm.hidden_size}" + (f", recurrent dropout {dropout:g}" if dropout else "")
    if isinstance(layer, KmerCounts):
        return f"k{layer.k}"
    if isinstance(layer, MotifScan):
        return f"{layer.matrices.shape[0]} motifs of {layer.matrices.shape[2]}"
    return ""
