"""Our own versions of torch's layers are torch's layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dilannot.models.layers import SPARSE, Dropout, Logits, Pointwise, _hidden


@pytest.mark.parametrize("rate", [0.001, 0.01, SPARSE])
def test_dropout_hides_at_its_rate_and_keeps_the_mean(rate: float) -> None:
    torch.manual_seed(1)
    features = torch.ones(20, 100, 500, requires_grad=True)
    result = Dropout(rate)(features)
    hidden = result == 0
    share, error = float(hidden.float().mean()), (rate * (1 - rate) / features.numel()) ** 0.5
    assert share == pytest.approx(rate, abs=5 * error)
    assert torch.equal(result[~hidden], torch.full_like(result[~hidden], 1 / (1 - rate)))
    result.sum().backward()
    assert torch.equal(features.grad, result.detach()), "the gradient goes where the features went"


def test_dropout_hides_every_place_alike_and_independently() -> None:
    torch.manual_seed(2)
    drop, hidden = Dropout(0.05), torch.zeros(200)
    both = torch.zeros(199)
    for _ in range(4_000):
        gone = drop(torch.ones(200)) == 0
        hidden += gone
        both += gone[1:] & gone[:-1]
    assert float((hidden / 4_000 - 0.05).abs().max()) < 5 * (0.05 * 0.95 / 4_000) ** 0.5
    assert float(both.mean() / 4_000) == pytest.approx(0.05**2, rel=0.15)


def test_dropout_reaches_both_ends_whatever_is_drawn() -> None:
    torch.manual_seed(3)
    drawn = [_hidden(7, 0.1) for _ in range(2_000)]
    assert all(len(set(each.tolist())) == len(each) and (each < 7).all() for each in drawn)
    assert {0, 6} <= set(torch.cat(drawn).tolist())
    assert len(_hidden(0, 0.1)) == 0


def test_dropout_does_nothing_where_torchs_does_not() -> None:
    features = torch.randn(3, 4)
    assert torch.equal(Dropout(0.05).eval()(features), features)
    assert torch.equal(Dropout(0.0)(features), features)
    transposed = torch.randn(5, 6).T
    kept = Dropout(0.1)(transposed)
    torch.testing.assert_close(kept[kept != 0], (transposed / 0.9)[kept != 0])


@pytest.mark.parametrize("layer", [Pointwise, Logits])
def test_a_product_equals_the_convolution(layer: type[Pointwise]) -> None:
    torch.manual_seed(0)
    ours, theirs = layer(5, 7).double(), nn.Conv1d(5, 7, 1).double()
    theirs.load_state_dict(ours.state_dict())
    features = torch.randn(3, 5, 11, dtype=torch.float64, requires_grad=True)
    results = []
    for each in (ours, theirs):
        output = each(features)
        (features_gradient,) = torch.autograd.grad(output.square().sum(), features, retain_graph=True)
        results.append(
            [output, features_gradient, *torch.autograd.grad(output.square().sum(), list(each.parameters()))]
        )
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other)


def test_deferred_logits_hand_their_input_on_until_the_block_ends() -> None:
    layer, features = Logits(5, 7), torch.randn(3, 5, 11)
    with pytest.raises(ZeroDivisionError), layer.deferred():
        assert layer(features) is features
        raise ZeroDivisionError
    assert layer(features).shape == (3, 7, 11)
