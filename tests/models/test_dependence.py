"""What layers depend on, against gradients; and what must not be taken for a known layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dilannot.errors import DilannotError
from dilannot.genome.tiles import Context
from dilannot.models import build, context_of, registry
from dilannot.models.blocks import ConvBlock, Embed, OneHot, dense_head, same_padding
from dilannot.models.dependence import UnboundedError, length_after, needed
from dilannot.models.describe import describe
from dilannot.models.network import Block, BothStrands, DenseNetwork, Network, Sum, WindowNetwork, leaves
from dilannot.models.receptive_field import check_blocks, dense_field
from dilannot.models.registry import register


def reached(layer: nn.Module, length: int, output: int) -> list[int]:
    """Input positions with a gradient of one output position."""
    features = torch.randn(1, 3, length, dtype=torch.float64, requires_grad=True)
    layer.double().eval()(features)[0, :, output].sum().backward()
    return features.grad[0].abs().sum(0).nonzero().flatten().tolist()


LINEAR = [
    nn.Conv1d(3, 2, 5),
    nn.Conv1d(3, 2, 4, stride=3, padding=2, dilation=2),
    nn.Conv1d(3, 2, 4, padding="same", dilation=3),
    nn.Conv1d(3, 3, 7, padding="same", groups=3),
    nn.Conv1d(3, 2, 3, padding="valid"),
    nn.ConstantPad1d((3, 1), 0.0),
    nn.AvgPool1d(4),
    nn.AvgPool1d(4, stride=2, padding=1),
    nn.ConvTranspose1d(3, 2, 4, stride=4),
    nn.BatchNorm1d(3),
    Sum([], [same_padding(5, 2), nn.Conv1d(3, 3, 5, dilation=2)]),
    Sum([nn.Conv1d(3, 2, 1)], [nn.BatchNorm1d(3), Sum([same_padding(9), nn.Conv1d(3, 2, 9)], [nn.Conv1d(3, 2, 1)])]),
    BothStrands([same_padding(4), nn.Conv1d(3, 2, 4)]),
    BothStrands([nn.Conv1d(3, 2, 5), nn.ConvTranspose1d(2, 2, 2, stride=2)]),
]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("layer", LINEAR, ids=str)
def test_rules_are_what_gradients_reach(layer: nn.Module) -> None:
    length = 41
    made = layer.double().eval()(torch.zeros(1, 3, length, dtype=torch.float64)).shape[2]
    assert length_after(layer, length) == made
    for output in {0, 1, made // 2, made - 1}:
        assert needed(layer, np.array([output]), length).tolist() == reached(layer, length, output)


class Bends(nn.Conv1d):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features) + features.mean()


class Gated(nn.Sequential):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features) * features.mean()


class GatedBlock(Block):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ReLU()

    def layers(self) -> list[nn.Module]:
        return [self.inner]

    def forward(self, features: Tensor) -> Tensor:
        return self.inner(features) * features.mean()


@pytest.mark.parametrize(
    "layer",
    [
        Bends(4, 4, 1), Gated(nn.ReLU()), GatedBlock(), nn.GroupNorm(2, 4), nn.InstanceNorm1d(4), nn.Softmax(dim=2),
        nn.BatchNorm1d(4, track_running_stats=False), nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular"),
        nn.Linear(50, 50), nn.MaxPool1d(3, stride=1, padding=1, ceil_mode=True), nn.Flatten(), nn.AdaptiveMaxPool1d(5),
        nn.ConvTranspose1d(4, 4, 4, stride=4, dilation=3), nn.ConvTranspose1d(4, 4, 4, stride=4, output_padding=1),
        nn.ConvTranspose1d(4, 4, 6, stride=4, padding=1), nn.LSTM(4, 4),
    ],
    ids=lambda layer: f"{layer}".split("\n")[0],
)  # fmt: skip
def test_what_may_look_anywhere_has_no_context(layer: nn.Module) -> None:
    network = DenseNetwork([Embed(4), layer], dense_head(4, 4, 2, 0.0))
    with pytest.raises(UnboundedError):
        dense_field(network)
    assert context_of(network) is None
    check_blocks(network)  # in the trunk it may stand
    with pytest.raises(ValueError, match="which may look beyond a block; put it into the trunk"):
        check_blocks(DenseNetwork([Embed(4)], [layer, nn.Conv1d(4, 2, 1)]))


@pytest.mark.parametrize("layer", [nn.Mish(), nn.PReLU(), nn.SELU(), nn.Hardswish(), nn.GELU(), nn.SiLU()], ids=str)
def test_activations_may_stand_anywhere(layer: nn.Module) -> None:
    network = DenseNetwork([Embed(4), nn.Conv1d(4, 4, 3, padding="same"), layer], [layer, nn.Conv1d(4, 2, 1)])
    check_blocks(network)
    assert context_of(network) == Context(1, 1, 1)


def test_a_u_net_that_forgets_its_stride_is_refused() -> None:
    def trunk() -> list[nn.Module]:
        return [OneHot(), ConvBlock(4, 4, 9), ConvBlock(4, 4, 10, stride=10), ConvBlock(4, 4, 5, stride=5, transposed=True),
                nn.ConvTranspose1d(4, 4, 2, stride=2)]  # fmt: skip

    with pytest.raises(ValueError, match="blocks of 1 nt do not all see alike"):
        check_blocks(DenseNetwork(trunk(), dense_head(4, 4, 2, 0.0)))
    *down, up, out = trunk()
    check_blocks(DenseNetwork(down, [up, out, *dense_head(4, 4, 2, 0.0)], 10))


class OwnForward(DenseNetwork):
    def forward(self, sequence: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(sequence) + sequence.float().mean()


def test_a_forward_of_its_own_is_not_its_chain() -> None:
    assert context_of(OwnForward([Embed(4)], dense_head(4, 4, 2, 0.0))) is None


def test_a_layer_called_context_is_no_answer() -> None:
    network = DenseNetwork([Embed(4)], dense_head(4, 4, 2, 0.0))
    network.context = nn.Conv1d(4, 4, 3)
    assert context_of(network) == Context(0, 0, 1)


def test_the_start_finds_the_last_layer_wherever_it_stands() -> None:
    rates = torch.tensor([0.01, 0.5])
    inside = WindowNetwork([OneHot(), nn.Flatten(), nn.Sequential(nn.Linear(40, 8), nn.ReLU(), nn.Linear(8, 2))])
    inside.start_from(rates)
    torch.testing.assert_close(inside.output.bias, torch.logit(rates))
    without = WindowNetwork([OneHot(), nn.Flatten(), nn.Linear(40, 2, bias=False)])
    before = without.output.weight.clone()
    without.start_from(rates)
    assert torch.equal(without.output.weight, before)
    mixed = DenseNetwork([Embed(4)], [nn.Conv1d(4, 2, 1), nn.Softplus()])
    mixed.start_from(rates)


@pytest.mark.parametrize("name", ["kmer", "conv3", "danq"])
def test_inputs_that_are_too_short_are_refused(name: str) -> None:
    with pytest.raises(DilannotError, match="3 nt|3 bp"):
        describe(name, length=3)


def test_numbers_as_outputs_need_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_NETWORKS", dict(registry._NETWORKS))

    @register("toy-number", output="scalar", inputs=["sequence", "signal"])
    class Number(Network):
        def __init__(self, n_outputs: int) -> None:
            super().__init__()
            self.chain = nn.Sequential(OneHot(), nn.Flatten(), nn.Linear(40, n_outputs))

        def layers(self) -> list[nn.Module]:
            return [self.chain]

    assert registry.entry("toy-number").inputs == ("sequence", "signal")
    with pytest.raises(DilannotError, match="give --length"):
        describe("toy-number")
    assert describe("toy-number", 1, 10).parameters == 41


def test_registering_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_NETWORKS", dict(registry._NETWORKS))
    with pytest.raises(DilannotError, match="has output 'sense'; use one of dense, window, scalar"):
        register("toy-x", output="sense")(WindowNetwork)
    with pytest.raises(DilannotError, match="'dilated' is the name of another network"):
        register("dilated")(DenseNetwork)
    register("toy-y", inputs="sequence")(DenseNetwork)
    assert registry.entry("toy-y").inputs == ("sequence",)


@pytest.mark.parametrize("name", ["dilated", "id-cnn"])
def test_the_strided_convolution_is_not_dilated(name: str) -> None:
    dilations = {"dilated": [2, 3, 9, 27, 81], "id-cnn": [2, 3, 9, 27]}[name]
    with pytest.raises(DilannotError, match="the first of dilations is 1"):
        build(name, 2, dilations=dilations)


def test_blocks_are_taken_apart() -> None:
    block = ConvBlock(4, 6, 3, batch_norm=True, dropout=0.1)
    kinds = [type(layer).__name__ for layer in leaves([nn.Sequential(block, nn.ReLU())])]
    assert kinds == ["ConstantPad1d", "Conv1d", "BatchNorm", "ReLU", "Dropout", "ReLU"]


def test_chains_of_a_sum_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="begins in place"):
        Sum([], [nn.ReLU(inplace=True), nn.Conv1d(3, 3, 1)])
    with pytest.raises(ValueError, match="begins in place"):
        Sum([], [nn.Dropout(0.1), nn.ReLU(inplace=True), nn.Conv1d(3, 3, 1)])
    with pytest.raises(ValueError, match="the chains of a sum make 8 and 10 positions of 10"):
        length_after(Sum([], [nn.Conv1d(3, 3, 3)]), 10)
