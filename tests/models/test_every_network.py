"""What must hold for every network of the sources."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from layer_text import text
from published import CNN_500, PUBLISHED, UNPUBLISHED
from safetensors.torch import load, save
from torch import Tensor, nn

from dilannot.data.batch import Batch, LabelIntervals
from dilannot.genome.sequence import reverse_complement
from dilannot.models import build, context_of, count_parameters, entry, names
from dilannot.models.describe import describe
from dilannot.models.kmers import KmerCounts
from dilannot.models.network import BothStrands, DenseNetwork, Sum, leaves
from dilannot.models.receptive_field import UnboundedError, dense_field, window_field
from dilannot.models.scan import MotifScan
from dilannot.predict import predicting
from dilannot.training.objective import Objective

ALL = (*PUBLISHED, *UNPUBLISHED)
SPEC = Path(__file__).parents[3] / "shared" / "spec" / "models.md"
MARKERS = 3


@dataclass
class Built:
    name: str
    network: nn.Module
    arguments: dict[str, int]
    sequence: Tensor

    @property
    def dense(self) -> bool:
        return isinstance(self.network, DenseNetwork)


@pytest.fixture(scope="module", params=ALL)
def built(request: pytest.FixtureRequest) -> Built:
    """A network at its real size, but for few markers and short windows."""
    torch.manual_seed(1)
    name = request.param
    dense = entry(name).output == "dense"
    arguments = {} if dense or name in ("kmer", "pssm") else {"length": 600}
    arguments |= {"motifs": 20, "motif_width": 12} if name == "pssm" else {}
    network = build(name, MARKERS, **arguments)
    for module in network.modules():
        if isinstance(module, MotifScan):
            nn.init.normal_(module.matrices)
    return Built(name, network, arguments, torch.randint(0, 5, (2, 2_000 if dense else 600), dtype=torch.uint8))


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(name: str) -> None:
    outputs, parameters = PUBLISHED[name]
    with torch.device("meta"):
        assert count_parameters(build(name, outputs)) == parameters
    assert (entry(name).source.outputs, entry(name).source.parameters) == (outputs, parameters)
    assert describe(name).published == describe(name).parameters == parameters


@pytest.mark.parametrize("line", (Path(__file__).parent / "layers.txt").read_text().splitlines())
def test_layers_are_those_of_the_sources(line: str) -> None:
    """Order, sizes, padding, activations, pools and dropouts, read against the sources by eye."""
    name, _, layers = line.partition(": ")
    assert text(name) == layers


@pytest.mark.parametrize("filters", CNN_500)
def test_parameters_of_the_reduced_study_are_the_published_ones(filters: int) -> None:
    with torch.device("meta"):
        found = (build("cnn-500", 919, filters=(filters, 128, 256), projection=width) for width in (0, 64))
        assert tuple(map(count_parameters, found)) == CNN_500[filters]


def test_the_published_numbers_are_those_of_the_specification() -> None:
    if not SPEC.is_file():
        pytest.skip(f"{SPEC} is not here")
    stated = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]{5,}\d", SPEC.read_text())}
    assert {parameters for _, parameters in PUBLISHED.values()} <= stated
    assert {parameters for pair in CNN_500.values() for parameters in pair} <= stated


def test_no_network_is_forgotten_here() -> None:
    ours = {name for name in names() if entry(name).code is None and not name.startswith("toy-")}
    assert ours == set(ALL)
    assert ours == {line.partition(":")[0] for line in (Path(__file__).parent / "layers.txt").read_text().splitlines()}


def test_the_output_has_a_logit_per_marker_and_position(built: Built) -> None:
    with predicting(built.network):
        logits = built.network(built.sequence)
    assert logits.shape == (2, MARKERS, built.sequence.shape[1] if built.dense else 1)
    assert logits.isfinite().all()


def test_the_chain_of_layers_is_what_the_network_computes(built: Built) -> None:
    """Receptive field, halo, table and cost are computed from the chain: it must be the network."""
    with predicting(built.network):
        features = built.sequence
        for layer in leaves(built.network.layers()):
            features = layer(features)
        logits = built.network(built.sequence)
        torch.testing.assert_close(features if built.dense else features[:, :, None], logits)


def test_one_step_lowers_the_loss(built: Built) -> None:
    network = copy.deepcopy(built.network).eval()  # no dropout: the same function before and after
    marker = torch.arange(MARKERS)
    end = torch.tensor([700, 30, 2_000]) if built.dense else torch.ones(MARKERS, dtype=torch.int64)
    targets = LabelIntervals(marker % 2, marker, torch.zeros_like(marker), end)
    mask = built.sequence != 0 if built.dense else torch.ones(2, 1, dtype=torch.bool)

    objective = Objective(network, ["sequence"])
    batch = Batch({"sequence": built.sequence}, targets, mask)
    before = objective(batch)
    before.backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter -= 1e-3 * parameter.grad / (parameter.grad.norm() + 1e-12)
        assert objective(batch) < before


def test_training_reaches_every_trainable_parameter(built: Built) -> None:
    network = copy.deepcopy(built.network).train()
    outputs = network(built.sequence)
    parts = outputs if isinstance(outputs, tuple) else (outputs,)
    sum(part.square().sum() for part in parts).backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_saved_weights_give_identical_outputs(built: Built) -> None:
    with torch.device("meta"):
        other = build(built.name, MARKERS, **built.arguments)
    other.load_state_dict(load(save(built.network.state_dict())), assign=True)
    with predicting(built.network), predicting(other):
        assert (other(built.sequence) == built.network(built.sequence)).all()


def test_the_receptive_field_is_what_gradients_reach(built: Built) -> None:
    if not built.dense:
        field, block = window_field(built.network, 600), 0
        reached = reached_by_gradients(built.network, 600, [0])
    elif context_of(built.network) is None:
        with pytest.raises(UnboundedError, match="LSTM"):
            dense_field(built.network)
        assert (reached_by_gradients(built.network, 1_000, [500]) == np.arange(1_000)).all()
        return
    else:
        field, stride = dense_field(built.network), built.network.stride
        block = -(-2 * max(-field.first, field.last) // stride) * stride
        reached = reached_by_gradients(built.network, 2 * block + stride, range(block, block + stride))
    assert (reached[0] - block, reached[-1] - block, len(reached)) == (field.first, field.last, field.positions)


def reached_by_gradients(network: nn.Module, length: int, outputs: range | list[int]) -> np.ndarray:
    """Input positions with a gradient of the outputs at these positions, with all that cuts paths made linear."""
    network = copy.deepcopy(network).double().eval()
    first, *others = leaves(network.layers())
    codes = torch.randint(1, 5, (1, length), dtype=torch.uint8)
    if isinstance(first, KmerCounts):
        return reached_by_substitution(network, codes)
    features = entered = first(codes).detach().requires_grad_()
    features = chain_without_thresholds(others, features)
    (features[:, :, list(outputs)] if features.ndim == 3 else features).sum().backward()
    assert entered.grad is not None
    return entered.grad[0].abs().sum(0).nonzero().flatten().numpy()


def linear(layer: nn.Module, features: Tensor) -> Tensor:
    """A layer without its thresholds and maxima, so that every path carries a gradient."""
    if isinstance(layer, nn.ReLU | nn.LeakyReLU):
        return features
    if isinstance(layer, nn.ConstantPad1d):
        return nn.functional.pad(features, layer.padding)
    if isinstance(layer, nn.MaxPool1d):
        span = layer.dilation * (layer.kernel_size - 1) + 1
        return features.unfold(2, span, layer.stride)[..., :: layer.dilation].sum(3)
    if isinstance(layer, MotifScan):
        margin = layer.matrices.shape[2] - 1
        return nn.functional.conv1d(nn.functional.pad(features, (margin, margin)), layer.matrices).sum(2)
    if isinstance(layer, Sum):
        return torch.stack([chain_without_thresholds(branch, features) for branch in layer.branches]).sum(0)
    if isinstance(layer, BothStrands):
        here, there = (chain_without_thresholds(layer.chain, each) for each in (features, features.flip(1, 2)))
        return here + there.flip(2)
    result: Tensor = layer(features)
    return result


def chain_without_thresholds(chain: Iterable[nn.Module], features: Tensor) -> Tensor:
    for layer in leaves(list(chain)):
        features = linear(layer, features)
    return features


def reached_by_substitution(network: nn.Module, codes: Tensor) -> np.ndarray:
    changed = codes.repeat(codes.shape[1], 1)
    changed.diagonal().copy_(codes[0] % 4 + 1)
    with predicting(network):
        return (network(changed) != network(codes)).any(1).flatten().nonzero().flatten().numpy()


def test_a_reverse_complement_batch_works(built: Built) -> None:
    turned = torch.from_numpy(reverse_complement(built.sequence.numpy()))
    with predicting(built.network):
        given, other = built.network(built.sequence), built.network(turned)
    assert other.shape == given.shape
    assert other.isfinite().all()
    if built.name in ("kmer", "pssm"):
        torch.testing.assert_close(given, other)
    else:
        assert (given != other).any()


def test_threads_agree_in_float64(built: Built) -> None:
    network, threads = copy.deepcopy(built.network).double(), torch.get_num_threads()
    try:
        results = []
        for count in (1, 2):
            torch.set_num_threads(count)
            with predicting(network):
                results.append(network(built.sequence))
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-12)


def test_it_starts_from_base_rates(built: Built) -> None:
    network, rates = copy.deepcopy(built.network), torch.tensor([0.001, 0.02, 0.3])
    network.start_from(rates)
    with predicting(network):
        mean = network(torch.randint(1, 5, (8, 600))).sigmoid().mean((0, 2))
    torch.testing.assert_close(mean, rates, rtol=0.6, atol=0)
