"""The house model: what it starts from, what it can see, and what its arguments turn off."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import dilannot.models
from dilannot.errors import DilannotError
from dilannot.formats.motifs import read_motifs
from dilannot.models import build, context_of
from dilannot.models.describe import describe
from dilannot.models.motifs import start_from_motifs
from dilannot.models.network import BothStrands, inner_leaves
from dilannot.predict import predicting

VERTEBRATES = read_motifs(Path(dilannot.models.__file__).parent / "vertebrates.meme")
SMALL = {
    "motifs": 8, "motif_width": 7, "projection": 4, "filters": 6, "width": 6, "hidden": 5,
    "dilations": (1, 3), "coarse_dilations": (1,), "last_dilations": (1,),
}  # fmt: skip


def scan_of(network: nn.Module) -> nn.Conv1d:
    return next(layer for layer in inner_leaves(network.layers()) if isinstance(layer, nn.Conv1d))  # type: ignore[operator]


def test_its_filters_start_from_known_motifs() -> None:
    torch.manual_seed(1)
    scan = scan_of(build("hybrid", 2))
    assert len(VERTEBRATES) == 160 == len(scan.weight)
    assert {"CTCF", "REST"} <= {motif.name for motif in VERTEBRATES}
    for row, motif in zip(scan.weight.detach(), VERTEBRATES, strict=False):
        if motif.width > scan.weight.shape[2]:
            continue
        columns = torch.from_numpy(motif.probabilities.T.copy()).float() - 0.25
        places = [row[:, at : at + motif.width] for at in range(row.shape[1] - motif.width + 1)]
        assert any(torch.allclose(place, columns, atol=1e-6) for place in places), motif.name


def test_it_starts_from_others_or_none_where_that_is_asked_for() -> None:
    torch.manual_seed(1)
    random = scan_of(build("hybrid", 2, known_motifs=False)).weight
    assert float(random.detach().abs().max()) <= (4 * 19) ** -0.5
    network = build("hybrid", 2, known_motifs=False)
    assert start_from_motifs(network, VERTEBRATES[:5]) == 5
    assert int((scan_of(network).weight.detach().abs().flatten(1).amax(1) > 0.3).sum()) == 5


def test_a_filter_is_silent_until_it_matches() -> None:
    torch.manual_seed(2)
    network = build("hybrid", 2, **SMALL)
    (strands,) = (layer for layer in inner_leaves(network.layers()) if isinstance(layer, BothStrands))
    norm = next(layer for layer in strands.chain if isinstance(layer, nn.BatchNorm1d))
    seen = []
    norm.register_forward_hook(lambda _, given, made: seen.append((made > 0).float().mean()))
    network.train()(torch.randint(1, 5, (2, 5_000), dtype=torch.uint8))
    assert 0 < float(seen[0]) < 0.1


def test_what_is_seen_once_does_not_depend_on_the_strand() -> None:
    torch.manual_seed(3)
    network = build("hybrid", 2, **SMALL)
    strands = next(layer for layer in inner_leaves(network.layers()) if isinstance(layer, BothStrands))
    bases = torch.eye(4)[torch.randint(0, 4, (2, 500))].transpose(1, 2)
    with predicting(network):
        here, there = strands(bases), strands(bases.flip(1, 2))
    torch.testing.assert_close(there.flip(2), here)


@pytest.mark.parametrize(
    ("argument", "fewer"),
    [
        ({"both_strands": False}, 0),
        ({"skips": False}, 64 * 65 + 64 * 61),
        ({"projection": 0}, None),
        ({"coarse_dilations": ()}, 4 * (64 * 64 * 3 + 64 + 2 * 64) + 10 * 64 * 64 + 64 + 2 * 64),
    ],
)
def test_parts_can_be_left_out(argument: dict[str, object], fewer: int | None) -> None:
    whole, without = describe("hybrid", outputs=3), describe("hybrid", outputs=3, arguments=argument)
    assert without.field is not None
    if fewer is not None:
        assert whole.parameters - without.parameters == fewer
    if "both_strands" in argument:
        assert without.multiply_adds < whole.multiply_adds
    with predicting(network := build("hybrid", 3, **argument)):  # type: ignore[arg-type]
        assert network(torch.zeros(1, 73, dtype=torch.uint8)).shape == (1, 3, 73)
    assert context_of(network) is not None


def test_it_costs_no_more_than_it_may() -> None:
    """The bound of the design, in multiply-adds a nucleotide: four times `dilated`. It stays below `dilated` itself."""
    assert describe("hybrid", outputs=919).multiply_adds < describe("dilated", outputs=919).multiply_adds


@pytest.mark.parametrize("pools", [(5, 2), (5, 2, 2, 2), (0, 2, 2)])
def test_pools_are_three(pools: tuple[int, ...]) -> None:
    with pytest.raises(DilannotError, match="pools are three widths"):
        build("hybrid", 3, pools=pools)
