from __future__ import annotations

import pytest
import torch

from dilannot.errors import DilannotError
from dilannot.genome.tiles import Context
from dilannot.models import build, context_of, count_parameters
from dilannot.predict import predicting


@pytest.mark.parametrize(
    ("outputs", "batch_norm", "published"),
    # Paper: 631,263, of which 50 are in a vector no layer uses. Thesis: 917 outputs, no batch norm.
    [(919, True, 631_263 - 50), (917, False, 629_825)],
)
def test_parameters_are_the_published_ones(outputs: int, batch_norm: bool, published: int) -> None:
    assert count_parameters(build("dilated", outputs, batch_norm=batch_norm)) == published


def test_context_of_the_published_network() -> None:
    assert context_of(build("dilated", 2)) == Context(5380, 5429, 10)


@pytest.mark.parametrize("options", [{}, {"dilations": (3, 9), "filters": (8, 8, 4)}, {"stride": 5, "kernel": 4}])
def test_context_is_what_gradients_reach(options: dict[str, object]) -> None:
    torch.manual_seed(0)
    network = build("dilated", 1, dropout=0.0, **options).double()
    context = context_of(network)
    length = 3 * (context.left + context.right) // context.stride * context.stride
    block = length // 2 // context.stride * context.stride
    embedded = network.embedding(torch.randint(0, 5, (1, length))).detach().requires_grad_()
    network.embedding.register_forward_hook(lambda *_: embedded)
    with predicting(network):
        pass
    network.eval()
    # Without ReLU in the way, every path from input to output carries a gradient.
    for module in network.modules():
        if isinstance(module, torch.nn.ReLU):
            module.forward = lambda x: x  # type: ignore[method-assign]
    network(torch.zeros(1, length, dtype=torch.uint8))[0, 0, block : block + context.stride].sum().backward()
    reached = embedded.grad[0].abs().sum(1).nonzero().flatten()  # type: ignore[index]
    assert reached.min() == block - context.left
    assert reached.max() == block + context.right


def test_shape_and_keep() -> None:
    network = build("dilated", 7)
    sequence = torch.randint(0, 5, (2, 1234), dtype=torch.uint8)
    with predicting(network):
        whole = network(sequence)
        assert whole.shape == (2, 7, 1234)
        for start, end in ((0, 1234), (0, 1), (1233, 1234), (15, 16), (9, 1001), (20, 40)):
            torch.testing.assert_close(network(sequence, keep=(start, end)), whole[:, :, start:end])


def test_it_starts_from_base_rates() -> None:
    torch.manual_seed(0)
    network = build("dilated", 3)
    rates = torch.tensor([0.001, 0.02, 0.3])
    network.start_from(rates)
    with predicting(network):
        mean = network(torch.randint(1, 5, (1, 5000))).sigmoid().mean((0, 2))
    torch.testing.assert_close(mean, rates, rtol=0.5, atol=0)


def test_predicting_leaves_the_network_as_it_was() -> None:
    network = build("dilated", 3)
    network.train()
    network.trunk.eval()
    before = [module.training for module in network.modules()]
    with predicting(network):
        assert not any(module.training for module in network.modules())
    assert [module.training for module in network.modules()] == before


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("dilatd", {}, "did you mean 'dilated'"), ("dilated", {"hiden": 3}, "did you mean 'hidden'")],
)
def test_mistyped_names_are_corrected(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(DilannotError, match=message):
        build(name, 3, **options)
