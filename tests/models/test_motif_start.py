"""Known motifs as the start of filters: DanQ-JASPAR's rule, and the scan."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from torch import nn

from dilannot.errors import DilannotError
from dilannot.formats.motifs import Motif, read_motifs
from dilannot.models import build
from dilannot.models.motifs import arguments_for, start_from_motifs
from dilannot.models.network import leaves
from dilannot.predict import predicting

EXAMPLES = read_motifs(REPOSITORY / "examples" / "motifs.meme")
CODES = {base: code for code, base in enumerate("NACGT")}


def codes(sequence: str) -> torch.Tensor:
    return torch.tensor([[CODES[base] for base in sequence]], dtype=torch.uint8)


def motif_of(width: int, name: str = "m") -> Motif:
    """Never uniform, so that it can be told from nothing."""
    probabilities = np.random.default_rng(width).dirichlet([0.3] * 4, width)
    return Motif(name, name, probabilities, 100.0)


def first_convolution(network: nn.Module) -> nn.Conv1d:
    return next(layer for layer in leaves(network.layers()) if isinstance(layer, nn.Conv1d))


def found(weights: np.ndarray, columns: np.ndarray) -> list[int]:
    """Where in a filter, (4, K), these columns, (width, 4), stand."""
    width = len(columns)
    return [
        at
        for at in range(weights.shape[1] - width + 1)
        if np.allclose(weights[:, at : at + width].T, columns, atol=1e-6)
    ]


def test_filters_hold_the_motif_and_keep_the_rest_random() -> None:
    torch.manual_seed(3)
    network = build("danq-jaspar", 2, filters=[40], state=4, length=200)
    convolution = first_convolution(network)
    before = convolution.weight.detach().numpy().copy()
    bias = convolution.bias.detach().numpy().copy()
    assert start_from_motifs(network, EXAMPLES) == len(EXAMPLES) < 40
    weights = convolution.weight.detach().numpy()
    starts = []
    for i, motif in enumerate(EXAMPLES):
        (start,) = found(weights[i], motif.probabilities - 0.25)
        assert 3 <= start <= 27 - motif.width
        outside = np.r_[0:start, start + motif.width : 30]
        assert (weights[i][:, outside] == before[i][:, outside]).all()
        starts.append(start)
    assert len(set(starts)) > 5, "places are drawn"
    after = convolution.bias.detach().numpy()
    count = len(EXAMPLES)
    assert ((after[:count] > -1) & (after[:count] < 0)).all()
    assert after[:count].std() > 0.1
    assert (weights[count:] == before[count:]).all()
    assert (after[count:] == bias[count:]).all()


def test_the_motif_is_not_turned() -> None:
    network = build("danq-jaspar", 1, filters=[1], state=4, length=100)
    spelled = Motif("m", "m", np.eye(4)[[0, 1, 2, 3, 3, 3]], 20.0)  # ACGTTT
    start_from_motifs(network, [spelled])
    convolution = first_convolution(network)
    convolution.weight.data[convolution.weight.abs() < 0.2] = 0
    bases = nn.functional.one_hot(codes("C" * 40 + "ACGTTT" + "C" * 40).long(), 5)[..., 1:].float().transpose(1, 2)
    (start,) = found(convolution.weight[0].detach().numpy(), spelled.probabilities - 0.25)
    assert convolution(bases)[0, 0].argmax() == 40 - start


@pytest.mark.parametrize("width", [1, 24, 25, 29, 30])
def test_wide_motifs_use_the_room_there_is(width: int) -> None:
    network = build("danq-jaspar", 1, filters=[200], state=4, length=100)
    motifs = [motif_of(width, f"m{i}") for i in range(200)]
    start_from_motifs(network, motifs)
    weights = first_convolution(network).weight.detach().numpy()
    starts = {found(row, motifs[0].probabilities - 0.25)[0] for row in weights}
    margin = 3 if width <= 24 else 0
    assert starts == set(range(margin, 30 - margin - width + 1))


def test_a_motif_wider_than_a_filter_gives_its_most_informative_stretch() -> None:
    flat, sharp = np.full((20, 4), 0.25), np.eye(4)[np.arange(30) % 4]
    network = build("danq-jaspar", 1, filters=[1], state=4, length=100)
    start_from_motifs(network, [Motif("m", "m", np.concatenate([flat, sharp, flat]), 20.0)])
    np.testing.assert_allclose(first_convolution(network).weight[0].detach().numpy().T, sharp - 0.25)


def test_more_motifs_than_filters_fill_them() -> None:
    network = build("danq-jaspar", 1, filters=[5], state=4, length=100)
    assert start_from_motifs(network, EXAMPLES) == 5


def test_the_seed_decides_the_start() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        network = build("danq-jaspar", 1, filters=[30], state=4, length=100)
        start_from_motifs(network, EXAMPLES)
        return first_convolution(network).weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_a_scan_is_as_large_as_its_motifs_and_scores_them_in_bits() -> None:
    arguments = arguments_for("pssm", EXAMPLES)
    assert arguments == {"motifs": len(EXAMPLES), "motif_width": max(motif.width for motif in EXAMPLES)}
    assert arguments_for("danq-jaspar", EXAMPLES) == {}
    network = build("pssm", 2, **arguments)
    assert start_from_motifs(network, EXAMPLES) == len(EXAMPLES)
    one_hot, scan = list(leaves(network.layers()))[:2]
    for i, motif in enumerate(EXAMPLES):
        best = "".join("ACGT"[base] for base in motif.probabilities.argmax(1))
        highest = motif.log_odds().max(1).sum()
        for sequence in (best, best[::-1].translate(str.maketrans("ACGT", "TGCA"))):
            with predicting(network):
                assert scan(one_hot(codes("N" * 9 + sequence + "N" * 50)))[0, i] == pytest.approx(highest, rel=1e-5)


def test_the_matrices_of_a_scan_are_fixed_unless_unfrozen() -> None:
    assert not build("pssm", 2, motifs=3, motif_width=5).chain[1].matrices.requires_grad
    unfrozen = build("pssm", 2, motifs=3, motif_width=5, trainable=True)
    start_from_motifs(unfrozen, [motif_of(width) for width in (3, 4, 5)])
    unfrozen(torch.randint(1, 5, (2, 60))).sum().backward()
    gradient = unfrozen.chain[1].matrices.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).abs().sum(1) > 0).any()


@pytest.mark.parametrize("name", ["kmer", "logistic", "dilated"])
def test_networks_without_motif_filters_refuse_motifs(name: str) -> None:
    with pytest.raises(DilannotError, match="no filters that can start from motifs"):
        start_from_motifs(build(name, 2), EXAMPLES)
