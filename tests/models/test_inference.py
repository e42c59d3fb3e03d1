"""Networks made for annotation: equal to what they were made from, and their logits piece by piece."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from dilannot.models import build, names
from dilannot.models.blocks import Embed, OneHot
from dilannot.models.inference import for_inference
from dilannot.models.layers import BatchNorm, Dropout, Logits
from dilannot.models.network import DenseNetwork, leaves
from dilannot.models.pieces import bias_of, pieces
from dilannot.models.some_markers import for_markers
from dilannot.predict import predicting

pytestmark = pytest.mark.usefixtures("one_thread")

DENSE = [name for name in names("dense") if not name.startswith("toy-")]
MARKERS, LENGTH, KEEP = 3, 437, (111, 303)  # multiples of no stride


def sequences(batch: int) -> Tensor:
    return torch.randint(0, 5, (batch, LENGTH), dtype=torch.uint8)


def shaken(network: nn.Module) -> nn.Module:
    """Batch norms as after training, and logits that differ."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            if module.running_mean is not None and module.running_var is not None:
                nn.init.normal_(module.running_mean, std=0.3)
                nn.init.uniform_(module.running_var, 0.3, 3)
            if module.affine:
                nn.init.uniform_(module.weight, -1.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
    return network


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= tolerance * float(expected.abs().max())


def joined(network: nn.Module, sequence: Tensor, start: int, end: int) -> Tensor:
    """Logits of all pieces; checks that they follow each other and end where the stride allows."""
    found, at = [], start
    for piece in pieces(network, sequence, start, end):
        assert piece.start == at < piece.end
        assert piece.end == end or piece.end % getattr(network, "stride", 1) == 0
        assert piece.logits.shape == (len(sequence), piece.logits.shape[1], piece.end - piece.start)
        assert piece.logits.stride(2) == 1 or bias_of(network) is None
        found.append(piece.logits.clone())
        at = piece.end
    assert at == end
    bias = bias_of(network)
    return torch.cat(found, dim=2) + (0 if bias is None else bias[:, None])


@pytest.fixture(params=["oneDNN", "plain"])
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both kinds of matrix product, and chunks that are short beside the sequence."""
    monkeypatch.setattr("dilannot.models.pieces._CPU_CHUNK", 64)
    if request.param == "plain":
        for module in ("pieces", "products"):
            monkeypatch.setattr(f"dilannot.models.{module}.is_onednn", lambda rows: False)


@pytest.fixture(scope="module", params=DENSE)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(2)
    return shaken(build(request.param, MARKERS))


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("batch", [1, 3])
def test_every_dense_network_gives_what_it_gave(network: nn.Module, batch: int) -> None:
    sequence, faster = sequences(batch), for_inference(network)
    with predicting(network), predicting(faster):
        whole = network(sequence)
        assert_close(faster(sequence), whole)
        assert_close(faster(sequence, keep=KEEP), whole[:, :, slice(*KEEP)])
        assert_close(joined(faster, sequence, *KEEP), whole[:, :, slice(*KEEP)])
        assert_close(joined(faster, sequence, 0, LENGTH), whole)
        assert_close(joined(network, sequence, *KEEP), whole[:, :, slice(*KEEP)])


def test_the_copy_is_a_network_of_its_kind(network: nn.Module) -> None:
    faster, sequence = for_inference(network), sequences(2)
    assert isinstance(faster, DenseNetwork)
    assert type(faster) is type(network)
    assert faster.stride == network.stride
    assert isinstance(faster.output, Logits)
    assert not faster.training
    left = {type(module) for module in faster.modules()}
    assert not left & {Dropout, BatchNorm, nn.ConvTranspose1d}
    with predicting(faster):
        features = faster.pad(sequence)
        for layer in leaves(faster.layers()):
            features = layer(features)
        torch.testing.assert_close(features[:, :, :LENGTH], faster(sequence))
        with faster.output.deferred():
            hidden = faster(sequence, keep=KEEP)
        assert_close(faster.output(hidden), faster(sequence, keep=KEEP))


def test_the_original_is_left_alone(network: nn.Module) -> None:
    state, modules = copy.deepcopy(network.state_dict()), [(type(m), m.training) for m in network.modules()]
    faster = for_inference(network)
    with torch.no_grad():
        for parameter in faster.parameters():
            parameter.zero_()
    assert [(type(m), m.training) for m in network.modules()] == modules
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters() if parameter.dim() == 3)


def test_in_double_precision_nothing_is_lost() -> None:
    network = shaken(build("dilated", MARKERS)).double()
    with predicting(network):
        whole = network(sequences(1))
    assert whole.dtype == torch.float64
    sequence, faster = sequences(1), for_inference(network)
    with predicting(network), predicting(faster):
        assert_close(faster(sequence), network(sequence), 1e-12)


def test_equal_tiles_get_equal_bits() -> None:
    faster, sequence = for_inference(shaken(build("dilated", 20))), torch.randint(0, 5, (1, 5_000), dtype=torch.uint8)
    with predicting(faster):
        first, second = (joined(faster, sequence.clone(), 700, 4_300) for _ in range(2))
    assert torch.equal(first, second)


def layers_of_users() -> Iterator[list[nn.Module]]:
    """Chains from 6 channels that hold what must be folded, and what must not."""
    yield [nn.Conv1d(6, 5, 3, padding="same"), nn.BatchNorm1d(5), nn.ReLU()]
    yield [nn.Conv1d(6, 5, 4, padding="same", dilation=3, bias=False), nn.BatchNorm1d(5, affine=False)]
    yield [nn.Conv1d(6, 5, 3, padding=2, stride=2), Dropout(0.5), BatchNorm(5), nn.LeakyReLU(0.1)]
    yield [nn.ConstantPad1d((2, 1), 0.0), nn.Conv1d(6, 5, 4, padding=1)]
    yield [nn.ConstantPad1d((2, 1), 0.5), nn.Conv1d(6, 5, 4)]  # not zeros
    yield [nn.ConstantPad1d((-2, 1), 0.0), nn.Conv1d(6, 5, 4)]
    yield [nn.ConstantPad1d((2, 1), 0.0), nn.Conv1d(6, 5, 4, stride=4)]
    yield [nn.ConstantPad1d((2, 1), 0.0), nn.ReLU()]
    yield [nn.ConstantPad1d((2, 1), 0.0)]
    yield [nn.Conv1d(6, 6, 3, groups=2), nn.BatchNorm1d(6)]
    yield [nn.Conv1d(6, 5, 3, padding=1, padding_mode="reflect"), nn.BatchNorm1d(5)]
    yield [nn.Conv1d(6, 5, 3), nn.BatchNorm1d(5, track_running_stats=False)]
    yield [nn.Conv1d(6, 5, 3), nn.ReLU(), nn.BatchNorm1d(5)]  # behind the activation
    yield [nn.BatchNorm1d(6), nn.Conv1d(6, 5, 1), nn.BatchNorm1d(5), nn.BatchNorm1d(5)]
    yield [nn.Conv1d(6, 5, 7, stride=7, bias=False), nn.BatchNorm1d(5), nn.ConvTranspose1d(5, 4, 7, 7, bias=False)]
    yield [nn.ConvTranspose1d(6, 5, 4, stride=2), nn.BatchNorm1d(5)]  # overlaps
    yield [nn.ConvTranspose1d(6, 5, 3, stride=3, output_padding=1), nn.BatchNorm1d(5)]
    yield [nn.ConvTranspose1d(6, 4, 3, stride=3, groups=2), nn.BatchNorm1d(4)]
    tied = nn.Conv1d(6, 6, 3, padding=1)
    yield [tied, nn.BatchNorm1d(6), nn.ReLU(), nn.Sequential(tied, nn.BatchNorm1d(6)), tied]
    yield [nn.utils.parametrizations.weight_norm(nn.Conv1d(6, 5, 3)), nn.BatchNorm1d(5)]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("layers", list(layers_of_users()))
def test_layers_of_users(layers: list[nn.Module]) -> None:
    torch.manual_seed(3)
    network = DenseNetwork([Embed(6), *layers], [nn.Identity()])
    faster, sequence = for_inference(shaken(network)), sequences(2)
    assert isinstance(faster, DenseNetwork)
    with predicting(network), predicting(faster):
        assert_close(faster.trunk(sequence), network.trunk(sequence))


class Own(nn.Module):
    """A user's network that is no chain: every layer sees its neighbours, and no part can be kept."""

    def __init__(self) -> None:
        super().__init__()
        self.hot, self.one, self.two = OneHot(), nn.Conv1d(4, 6, 5, padding=2), nn.Conv1d(10, MARKERS, 1)

    def forward(self, sequence: Tensor) -> Tensor:
        hot = self.hot(sequence)
        logits: Tensor = self.two(torch.cat([hot, self.one(hot).relu()], dim=1))
        return logits


class OwnKeeping(Own):
    def forward(self, sequence: Tensor, keep: tuple[int, int] | None = None) -> Tensor:
        return super().forward(sequence)[:, :, slice(*(keep or (0, None)))]


class OwnDense(DenseNetwork):
    """A forward of its own, without `keep`, before the known last layer."""

    def forward(self, sequence: Tensor) -> Tensor:  # type: ignore[override]
        logits: Tensor = self.head(self.trunk(sequence) * 2)
        return logits


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("network", [Own(), OwnKeeping(), OwnDense([OneHot()], [nn.Conv1d(4, 9, 1), Logits(9, 2)])])
def test_networks_of_users_are_left_as_they_are(network: nn.Module) -> None:
    sequence = sequences(2)
    assert for_inference(network) is network
    with predicting(network):
        assert_close(joined(network, sequence, *KEEP), network(sequence)[:, :, slice(*KEEP)])


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("last", [nn.Conv1d(7, MARKERS, 1), nn.ConvTranspose1d(7, MARKERS, 4, stride=4)])
def test_other_last_layers_add_their_bias_themselves(last: nn.Module) -> None:
    up = [nn.ConvTranspose1d(5, 7, 4, stride=4), nn.ReLU()] if isinstance(last, nn.Conv1d) else [nn.Conv1d(5, 7, 1)]
    network = DenseNetwork([Embed(3), nn.Conv1d(3, 5, 4, stride=4)], [*up, last], stride=4)
    sequence, faster = sequences(2), for_inference(network)
    assert bias_of(faster) is None
    with predicting(network), predicting(faster):
        for each in (network, faster):
            assert_close(joined(each, sequence, *KEEP), network(sequence, keep=KEEP))


def test_a_network_with_hooks_is_left_as_it_is() -> None:
    network = build("dilated", MARKERS)
    next(network.children()).register_forward_hook(lambda module, given, made: made * 2)
    assert for_inference(network) is network


class Hidden(nn.Module):
    """A user's own network, with an inner layer that is called as ours call the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.output, self.last = nn.Conv1d(1, 8, 1), nn.Conv1d(8, 5, 1)

    def forward(self, sequence: Tensor) -> Tensor:
        logits: Tensor = self.last(self.output(sequence[:, None].float()))
        return logits


@pytest.mark.parametrize("chosen", [[3], [0, 4, 2], [0, 1, 2, 3, 4]])
@torch.inference_mode()
def test_some_markers_are_some_of_the_outputs(chosen: list[int]) -> None:
    torch.manual_seed(0)
    sequence = torch.randint(0, 5, (2, 40), dtype=torch.uint8)
    for network in (Hidden(), build("dilated", 5, filters=(4, 4), dilations=(1, 1), hidden=3, deconvolution=2).eval()):
        whole = network(sequence)[:, chosen]
        torch.testing.assert_close(for_markers(for_inference(network), chosen, 5)(sequence), whole)
