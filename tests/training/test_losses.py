from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dilannot.data.batch import LabelIntervals
from dilannot.data.dataset import Dataset
from dilannot.errors import DilannotError
from dilannot.genome.intervals import runs
from dilannot.models import build
from dilannot.training.head import head_cross_entropy
from dilannot.training.losses import interval_cross_entropy_sum
from dilannot.training.objective import Objective


def intervals_of(dense: np.ndarray) -> LabelIntervals:
    rows = [
        (window, marker, start, end)
        for window, markers in enumerate(dense)
        for marker, row in enumerate(markers)
        for start, end in zip(*runs(row), strict=True)
    ]
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    return LabelIntervals(*(torch.from_numpy(np.ascontiguousarray(column)) for column in columns))


def dense_cross_entropy(
    logits: torch.Tensor, dense: np.ndarray, mask: torch.Tensor, positive_weight: float
) -> torch.Tensor:
    """What torch makes of labels as an array."""
    labels, weight = torch.from_numpy(dense).to(logits.dtype), torch.tensor(positive_weight, dtype=logits.dtype)
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight, reduction="none")
    return (each * mask[:, None]).sum()


def sample(seed: int, rate: float, masked: float) -> tuple[np.random.Generator, np.ndarray, torch.Tensor]:
    random = np.random.default_rng(seed)
    shape = (*random.integers(1, 9, 2), random.integers(1, 40))
    mask = torch.from_numpy(random.random((shape[0], shape[2])) >= masked)
    return random, random.random(shape) < rate, mask


CASES = {
    "seed": st.integers(0, 10**6),
    "rate": st.sampled_from([0.0, 0.1, 0.9]),
    "masked": st.sampled_from([0.0, 0.3, 1.0]),
    "positive_weight": st.sampled_from([1.0, 7.5]),
}


@settings(deadline=None)
@given(**CASES)
def test_loss_and_gradient_equal_dense_cross_entropy(
    seed: int, rate: float, masked: float, positive_weight: float
) -> None:
    random, dense, mask = sample(seed, rate, masked)
    logits = torch.from_numpy(random.normal(0, 5, dense.shape).astype(np.float32)).requires_grad_()
    expected = dense_cross_entropy(logits, dense, mask, positive_weight)
    (wanted,) = torch.autograd.grad(expected, logits)
    loss = interval_cross_entropy_sum(logits, intervals_of(dense), mask, positive_weight)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient, wanted, atol=1e-6, rtol=1e-5)


@settings(deadline=None)
@given(**CASES, piece=st.integers(1, 50), scale=st.sampled_from([1.0, -0.25]))
def test_the_last_layer_and_the_loss_in_one_equal_one_after_the_other(
    seed: int, rate: float, masked: float, positive_weight: float, piece: int, scale: float
) -> None:
    random, dense, mask = sample(seed, rate, masked)
    windows, markers, length = dense.shape
    channels = int(random.integers(1, 20))
    made = [(windows, channels, length), (markers, channels), (markers,)]
    parts = [torch.from_numpy(random.normal(0, 1, shape)).requires_grad_() for shape in made]
    features, weight, bias = parts
    logits = torch.einsum("tc,ncl->ntl", weight, features) + bias[:, None]
    expected = dense_cross_entropy(logits, dense, mask, positive_weight) * scale
    wanted = torch.autograd.grad(expected, parts)
    loss = head_cross_entropy(features, weight, bias, intervals_of(dense), mask, positive_weight, piece) * scale
    torch.testing.assert_close(loss, expected.float(), atol=1e-5, rtol=1e-5)
    for gradient, other in zip(torch.autograd.grad(loss, parts), wanted, strict=True):
        torch.testing.assert_close(gradient, other, atol=1e-6, rtol=1e-5)


def test_at_the_size_of_training_it_equals_dense_cross_entropy_to_a_hundred_thousandth() -> None:
    torch.manual_seed(0)
    features, weight = torch.randn(2, 125, 2_500), 0.1 * torch.randn(300, 125)
    bias = torch.full((300,), -4.0)
    parts = [each.requires_grad_() for each in (features, weight, bias)]
    dense = np.zeros((2, 300, 2_500), bool)
    dense[:, ::7, 900:1_200] = True
    mask = torch.ones(2, 2_500, dtype=torch.bool)
    mask[1, 100:400] = False
    count = mask.sum() * 300
    expected = (
        dense_cross_entropy(torch.nn.functional.conv1d(features, weight[:, :, None], bias), dense, mask, 1) / count
    )
    wanted = torch.autograd.grad(expected, parts)
    loss = head_cross_entropy(features, weight, bias, intervals_of(dense), mask) / count
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    for gradient, other in zip(torch.autograd.grad(loss, parts), wanted, strict=True):
        assert float((gradient - other).norm() / other.norm()) < 1e-5


def test_nothing_of_the_size_of_the_logits_is_ever_made() -> None:
    """Every array that torch makes on the way is smaller than a tenth of windows x markers x positions."""
    features = torch.randn(2, 8, 40_000, requires_grad=True)
    weight, bias = torch.randn(300, 8, requires_grad=True), torch.zeros(300, requires_grad=True)
    targets = intervals_of(np.zeros((2, 300, 1), bool))
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, given=(), named=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            made = function(*given, **(named or {}))
            largest = max(largest, made.numel() if isinstance(made, torch.Tensor) else 0)
            return made

    with Watch():
        head_cross_entropy(features, weight, bias, targets, torch.ones(2, 40_000, dtype=torch.bool)).backward()
    assert features.numel() <= largest < 2 * 300 * 40_000 / 10


def test_an_objective_takes_the_last_layer_into_the_loss_and_gives_the_same(dataset: Path) -> None:
    with Dataset(dataset) as data:
        batch = data.batch(data.rows("train")[:3])
        torch.manual_seed(0)
        network = build("dilated", len(data.markers), filters=[4, 5], dilations=[1, 3], hidden=6, dropout=0.0)
        objective = Objective(network, data.inputs, positive_weight=3.0)
        objective(batch).backward()
        fused = {name: each.grad.clone() for name, each in network.named_parameters() if each.grad is not None}
        network.zero_grad()
        interval_cross_entropy_sum(network(**batch.inputs), batch.targets, batch.mask, 3.0).backward()
        assert fused.keys() == dict(network.named_parameters()).keys()
        for name, each in network.named_parameters():
            torch.testing.assert_close(fused[name], each.grad, rtol=1e-4, atol=1e-3)
        assert network(**batch.inputs).shape[1] == len(data.markers), "and the network gives logits again"


def test_a_penalty_on_the_last_hidden_layer(dataset: Path) -> None:
    with Dataset(dataset) as data:
        batch = data.batch(data.rows("train")[:2])
        network = build("dilated", len(data.markers), filters=[4, 5], dilations=[1, 3], hidden=6, dropout=0.0)
        plain, penal = (float(Objective(network, data.inputs, l1=l1)(batch).detach()) for l1 in (0.0, 0.5))
        with network.output.deferred():  # type: ignore[operator]
            hidden = network(**batch.inputs)
        assert penal - plain == pytest.approx(0.5 * len(data.markers) * float(hidden.detach().abs().sum()), rel=1e-4)
    with pytest.raises(DilannotError, match="which layer is its last"):
        Objective(torch.nn.Identity(), ["sequence"], l1=1e-8)
