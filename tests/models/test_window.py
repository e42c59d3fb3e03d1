from __future__ import annotations

import pytest
import torch
from conftest import REPOSITORY

from dilannot.cli import train
from dilannot.errors import DilannotError
from dilannot.models import build, count_parameters, names
from dilannot.predict import predicting

# At 919 markers and 1,000 bp: thesis, Gupta & Rush 2017, Zhou & Troyanskaya 2015, Quang & Xie 2016.
PUBLISHED = {
    "logistic": 3_676_919,
    "mlp": 4_551_919,
    "conv3": 60_472_479,
    "deepsea": 52_843_119,
    "danq": 46_926_479,
    "dilated3": 22_284_639,
    "dilated6": 8_043_759,
    "dilated6-paper": 25_758_079,
    "deep-dilated": 2_073_943,
}
SOURCES = [*PUBLISHED, "basset"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        assert count_parameters(build(name, 919)) == PUBLISHED[name]


def test_all_are_registered_for_windows() -> None:
    assert set(SOURCES) <= set(names("window"))
    assert "dilated" not in names("window")


@pytest.mark.parametrize("name", SOURCES)
def test_one_step_lowers_the_loss_and_weights_round_trip(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, 3, length=600)
    sequence = torch.randint(0, 5, (4, 600), dtype=torch.uint8)
    targets = torch.randint(0, 2, (4, 3, 1)).float()
    assert network(sequence).shape == (4, 3, 1)

    def loss() -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(network(sequence), targets)

    network.eval()
    before = loss()
    before.backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None and parameter.requires_grad:
                parameter -= 1e-3 * parameter.grad / (parameter.grad.norm() + 1e-12)
        assert loss() < before
        other = build(name, 3, length=600)
        other.load_state_dict(network.state_dict())
        assert (other.eval()(sequence) == network(sequence)).all()


@pytest.mark.parametrize("name", SOURCES)
def test_it_starts_from_base_rates(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, 3, length=600)
    rates = torch.tensor([0.001, 0.02, 0.3])
    network.start_from(rates)
    with predicting(network):
        mean = network(torch.randint(1, 5, (16, 600))).sigmoid().mean((0, 2))
    torch.testing.assert_close(mean, rates, rtol=0.5, atol=0)


def test_unknown_bases_are_zero_in_every_channel() -> None:
    channels = build("logistic", 1, length=6).features[0](torch.tensor([[0, 1, 2, 3, 4, 0]]))
    assert channels.shape == (1, 4, 6)
    assert channels[0].T.tolist() == [[0] * 4, [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0] * 4]


def test_the_lstm_has_one_bias_a_gate() -> None:
    network = build("danq", 2, length=600)
    biases = {name: each for name, each in network.named_parameters() if "bias_hh" in name}
    assert len(biases) == 2
    assert not any(each.requires_grad or each.any() for each in biases.values())


def test_windows_that_are_too_short_are_refused() -> None:
    with pytest.raises(DilannotError, match="windows of 20 bp are too short"):
        build("deepsea", 2, length=20)


def test_the_help_and_the_page_name_every_network() -> None:
    page = (REPOSITORY / "docs/how-to/train.md").read_text()
    for name in (*SOURCES, "dilated"):
        assert f"`{name}`" in page
        assert name in (train.command.help or "")
