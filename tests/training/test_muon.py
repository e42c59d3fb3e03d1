"""Muon: orthogonal steps of matrices, AdamW for all else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dilannot.models import build
from dilannot.training.muon import Muon, orthogonal
from dilannot.training.optimizing import make_optimizer
from dilannot.training.settings import Settings


@pytest.mark.parametrize("shape", [(8, 8), (5, 40), (40, 5), (1, 7)])
def test_steps_go_equally_far_in_all_directions(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    left, right = torch.randn(shape[0], shape[0]), torch.randn(shape[1], shape[1])
    # Singular values from 1 to 1/64: what Adam would leave at that.
    matrix = left @ torch.eye(*shape) * torch.logspace(0, -6, shape[1], base=2) @ right
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.3
    assert values.max() < 1.3
    turned = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(orthogonal(matrix), turned.U @ turned.Vh, dim=1).min() > 0.7


def test_what_is_no_matrix_takes_the_steps_of_adamw() -> None:
    torch.manual_seed(2)
    start = torch.randn(6, 4)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    muon = Muon([{"params": [ours], "weight_decay": 0.1, "orthogonal": False}], 0.01)
    adamw = torch.optim.AdamW([theirs], 0.01, weight_decay=0.1)
    for _ in range(5):
        gradient = torch.randn(6, 4)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        muon.step()
        adamw.step()
    torch.testing.assert_close(ours, theirs)


def test_a_step_is_as_large_as_those_of_adamw() -> None:
    torch.manual_seed(3)
    filters = nn.Parameter(torch.zeros(32, 8, 5))
    muon = Muon([{"params": [filters], "weight_decay": 0.0, "orthogonal": True}], 0.01)
    filters.grad = torch.randn(32, 8, 5) * 1e-6
    muon.step()
    assert float(filters.detach().square().mean().sqrt()) == pytest.approx(0.2 * 0.01, rel=0.25)


def test_embeddings_norms_and_the_last_layer_are_no_matrices() -> None:
    network = build("dilated", 3)
    optimizer = make_optimizer(network, Settings(optimizer="muon").for_task("dense"))
    named = {id(parameter): name for name, parameter in network.named_parameters()}
    orthogonal_ones = {
        named[id(each)] for group in optimizer.param_groups if group["orthogonal"] for each in group["params"]
    }
    everything = {named[id(each)] for group in optimizer.param_groups for each in group["params"]}
    assert everything == set(named.values())
    assert orthogonal_ones == {
        name for name, each in network.named_parameters() if each.dim() == 3 and each.shape[0] != 3
    }  # fmt: skip
    decays = {named[id(each)] for group in optimizer.param_groups if group["weight_decay"] for each in group["params"]}
    assert orthogonal_ones < decays
