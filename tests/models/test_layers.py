"""Layers against small references written in NumPy: what the sources' libraries compute."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from dilannot.data.batch import Batch, LabelIntervals
from dilannot.genome.sequence import reverse_complement
from dilannot.models import build
from dilannot.models.blocks import Centre, ConvBlock, Embed, HiddenBatchNorm, OneHot, same_max_pool, same_padding
from dilannot.models.dependence import length_after
from dilannot.models.kmers import KmerCounts
from dilannot.models.layers import BatchRenorm
from dilannot.models.lstm import BidirectionalLSTM
from dilannot.models.scan import MotifScan
from dilannot.training.losses import interval_cross_entropy_sum
from dilannot.training.objective import Objective

Array = NDArray[np.float64]
RANDOM = np.random.default_rng(0)


def tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(array)


def same_convolution(features: Array, weights: Array, bias: Array, dilation: int) -> Array:
    """TensorFlow's SAME: total padding d (k - 1), the odd element on the right."""
    filters, _, kernel = weights.shape
    length, total = features.shape[1], dilation * (kernel - 1)
    result = np.zeros((filters, length))
    for position in range(length):
        for tap in range(kernel):
            at = position + tap * dilation - total // 2
            if 0 <= at < length:
                result[:, position] += weights[:, :, tap] @ features[:, at]
    return result + bias[:, None]


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (2, 1), (3, 1), (8, 1), (10, 3), (5, 4), (4, 9)])
def test_same_padding_puts_the_odd_element_on_the_right(kernel: int, dilation: int) -> None:
    block = ConvBlock(3, 4, kernel, dilation=dilation).double()
    features, convolution = RANDOM.normal(size=(3, 23)), block.convolution[-1]
    weights, bias = (part.detach().numpy() for part in (convolution.weight, convolution.bias))
    expected = np.maximum(same_convolution(features, weights, bias, dilation), 0)
    np.testing.assert_allclose(block(tensor(features)[None])[0].detach(), expected, atol=1e-12)


def test_a_strided_convolution_and_its_transpose_keep_to_their_block() -> None:
    down, up = ConvBlock(2, 3, 5, stride=5).double(), ConvBlock(3, 2, 5, stride=5, transposed=True).double()
    features = RANDOM.normal(size=(2, 20))
    inner, outer = down.convolution[-1], up.convolution[-1]
    middle = np.stack(
        [np.einsum("oik,ik->o", inner.weight.detach(), features[:, 5 * b : 5 * b + 5]) for b in range(4)], axis=1
    )
    middle = np.maximum(middle + inner.bias.detach().numpy()[:, None], 0)
    np.testing.assert_allclose(down(tensor(features)[None])[0].detach(), middle, atol=1e-12)
    expected = np.concatenate([np.einsum("iok,i->ok", outer.weight.detach(), middle[:, b]) for b in range(4)], axis=1)
    expected = np.maximum(expected + outer.bias.detach().numpy()[:, None], 0)
    np.testing.assert_allclose(up(tensor(middle)[None])[0].detach(), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("width", "stride", "length"), [(4, 4, 250), (4, 2, 60), (13, 13, 975), (7, 7, 971), (3, 3, 5)]
)
def test_pools_round_down(width: int, stride: int, length: int) -> None:
    features = RANDOM.normal(size=(2, length))
    starts = [start for start in range(0, length, stride) if start + width <= length]
    expected = np.stack([features[:, start : start + width].max(1) for start in starts], axis=1)
    pool = nn.MaxPool1d(width, stride)
    np.testing.assert_array_equal(pool(tensor(features)[None])[0], expected)
    assert length_after(pool, length) == len(starts)


@pytest.mark.parametrize("dilation", [1, 3, 7])
def test_same_pools_ignore_what_lies_outside(dilation: int) -> None:
    features = -1 - RANDOM.random(size=(2, 20))  # below zero: padding with zeros would show
    expected = np.empty_like(features)
    for position in range(20):
        at = [position + dilation * tap for tap in range(-2, 3)]
        expected[:, position] = features[:, [i for i in at if 0 <= i < 20]].max(1)
    pool = nn.Sequential(*same_max_pool(5, dilation))
    np.testing.assert_array_equal(pool(tensor(features)[None])[0], expected)


def test_padding_of_an_even_kernel() -> None:
    assert same_padding(10, 3).padding == (13, 14)
    assert same_padding(5, 27).padding == (54, 54)


NAMES = ("weight_ih", "weight_hh", "bias_ih")


def lstm(features: Array, weight_in: Array, weight_state: Array, bias: Array, mask: Array | float = 1) -> Array:
    """Keras: gates in the order input, forget, cell, output, with one bias each; (C, L) -> (S, L)."""
    size = weight_state.shape[1]
    hidden = cell = np.zeros(size)
    states = []
    for step in features.T:
        gates = (weight_in @ step + weight_state @ (hidden * mask) + bias).reshape(4, size)
        into, forget, out = (1 / (1 + np.exp(-gates[i])) for i in (0, 1, 3))
        cell = forget * cell + into * np.tanh(gates[2])
        hidden = out * np.tanh(cell)
        states.append(hidden)
    return np.stack(states, axis=1)


def test_the_lstm_has_the_gates_of_keras_and_one_bias_each() -> None:
    layer = BidirectionalLSTM(3, 5).double()
    weights = {name: value.detach().numpy() for name, value in layer.lstm.named_parameters()}
    features = RANDOM.normal(size=(3, 11))
    forward = lstm(features, *(weights[f"{name}_l0"] for name in NAMES))
    backward = lstm(features[:, ::-1], *(weights[f"{name}_l0_reverse"] for name in NAMES))[:, ::-1]
    states = layer(tensor(features)[None])[0].detach()
    np.testing.assert_allclose(states, np.concatenate([forward, backward]), atol=1e-12)
    second = {name: each for name, each in layer.named_parameters() if "bias_hh" in name}
    assert len(second) == 2
    assert not any(each.requires_grad or each.any() for each in second.values())


def test_recurrent_dropout_of_nothing_is_the_plain_lstm() -> None:
    layer = BidirectionalLSTM(3, 5, recurrent_dropout=1e-12).double().train()
    features = torch.randn(2, 3, 9, dtype=torch.float64)
    dropped = layer(features)
    torch.testing.assert_close(dropped, layer.eval()(features), rtol=1e-10, atol=1e-10)
    gradients = []
    for mode in (True, False):
        layer.train(mode).zero_grad()
        layer(features).square().sum().backward()
        gradients.append([each.grad.clone() for each in layer.parameters() if each.requires_grad])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_recurrent_dropout_hides_the_same_units_at_every_step() -> None:
    layer = BidirectionalLSTM(3, 5, recurrent_dropout=0.4).double().train()
    weights = {name: value.detach().numpy() for name, value in layer.lstm.named_parameters()}
    features, mask = RANDOM.normal(size=(3, 11)), np.array([[1, 0, 2, 1, 0.5], [0, 1, 1, 3, 1]])
    layer.recurrent_dropout.forward = lambda hidden: tensor(mask)[:, None]  # type: ignore[method-assign]
    expected = [
        lstm(features[:, ::step], *(weights[f"{name}{end}"] for name in NAMES), mask=of_direction)[:, ::step]
        for step, end, of_direction in ((1, "_l0", mask[0]), (-1, "_l0_reverse", mask[1]))
    ]
    np.testing.assert_allclose(layer(tensor(features)[None])[0].detach(), np.concatenate(expected), atol=1e-12)


def test_recurrent_dropout_draws_a_mask_a_sequence_and_direction() -> None:
    torch.manual_seed(0)
    layer, masks = BidirectionalLSTM(1, 200, recurrent_dropout=0.25).train(), []
    layer.recurrent_dropout.register_forward_hook(lambda *parts: masks.append(parts[2].clone()))
    layer(torch.randn(4, 1, 6))
    assert [mask.shape for mask in masks] == [(2, 4, 200)]
    assert (masks[0] == 0).float().mean() == pytest.approx(0.25, abs=0.05)
    assert masks[0].max() == pytest.approx(1 / 0.75)
    assert len(masks[0].flatten(0, 1).unique(dim=0)) == 8


def test_bases_become_channels_and_unknown_ones_none() -> None:
    channels = OneHot()(torch.tensor([[0, 1, 2, 3, 4, 0]]))
    assert channels[0].T.tolist() == [[0] * 4, [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0] * 4]
    embed = Embed(3)
    assert torch.equal(embed(torch.tensor([[4, 0]], dtype=torch.uint8))[0].T, embed.weight[[4, 0]])


def test_the_centre_is_the_middle() -> None:
    assert Centre(7, 3)(torch.arange(7)[None]).tolist() == [[2, 3, 4]]
    assert Centre(6, 3)(torch.arange(6)[None]).tolist() == [[1, 2, 3]]
    with pytest.raises(ValueError, match="no central 9 bp"):
        Centre(7, 9)


def test_batch_norm_decays_and_takes_a_single_window() -> None:
    block = ConvBlock(2, 3, 1, batch_norm=True, batch_norm_decay=0.99)
    features = torch.randn(4, 2, 50) + 5
    mean = block.convolution(features).mean((0, 2))
    block.train()(features)
    torch.testing.assert_close(block.norms[0].running_mean, 0.01 * mean)
    norm = HiddenBatchNorm(3).train()
    before = norm.running_mean.clone()
    assert norm(torch.randn(1, 3)).isfinite().all()
    assert torch.equal(norm.running_mean, before)


def test_batch_renorm_begins_as_batch_norm() -> None:
    features = torch.randn(4, 3, 50) * 2 + 5
    norm, plain = BatchRenorm(3).train(), nn.BatchNorm1d(3).train()
    torch.testing.assert_close(norm(features), plain(features))
    torch.testing.assert_close(norm.running_mean, features.mean((0, 2)))
    torch.testing.assert_close(norm.running_var, features.transpose(0, 1).reshape(3, -1).var(1))


def test_batch_renorm_learns_with_what_it_predicts_with() -> None:
    torch.manual_seed(0)
    norm = BatchRenorm(3, momentum=0.02).train()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    for _ in range(300):
        norm(torch.randn(2, 3, 100) * 2 + 5)
    odd = (torch.randn(2, 3, 100) * 2 + 8).requires_grad_()
    learning = norm(odd)
    torch.testing.assert_close(learning, norm.eval()(odd), rtol=1e-4, atol=1e-4)
    # In gradients the batch's own statistics count: nothing is gained by moving all of it.
    (moved,) = torch.autograd.grad((learning * torch.randn_like(learning)).sum(), odd)
    torch.testing.assert_close(moved.sum((0, 2)), torch.zeros(3), rtol=0, atol=1e-3)


def test_every_application_of_a_block_has_its_own_batch_norm() -> None:
    network = build("id-cnn", 2)
    counts = {module: 0 for module in network.modules() if isinstance(module, nn.BatchNorm1d)}
    assert len(counts) == 15
    convolutions = [layer for layer in network.layers() if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d)]
    assert len(convolutions) == 16  # five a block, three blocks, and the output
    assert len(set(map(id, convolutions))) == 6


def words_of(sequence: str, k: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    other = str.maketrans("ACGT", "TGCA")
    for start in range(len(sequence) - k + 1):
        word = sequence[start : start + k]
        if "N" not in word:
            word = min(word, word.translate(other)[::-1])
            counts[word] = counts.get(word, 0) + 1
    return counts


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_words_are_counted_on_both_strands_alike(k: int) -> None:
    codes = RANDOM.integers(0, 5, (3, 400), dtype=np.uint8)
    layer = KmerCounts(k)
    words = ("".join(word) for word in itertools.product("ACGT", repeat=k))
    columns = sorted({min(word, word.translate(str.maketrans("ACGT", "TGCA"))[::-1]) for word in words})
    assert layer.count == len(columns)
    counts = layer(torch.from_numpy(codes))
    for row, found in zip(codes, counts, strict=True):
        expected = words_of("".join("NACGT"[code] for code in row), k)
        assert dict(zip(columns, found.int().tolist(), strict=True)) == {
            word: expected.get(word, 0) for word in columns
        }
    assert torch.equal(layer(torch.from_numpy(reverse_complement(codes))), counts)


def test_a_scan_finds_the_best_match_on_either_strand() -> None:
    scan = MotifScan(4, 5).double()
    scan.matrices.data.normal_()
    scan.widths.copy_(torch.tensor([5, 2, 1, 4]))
    for matrix, width in zip(scan.matrices.data, scan.widths, strict=True):
        matrix[:, width:] = 0
    codes = RANDOM.integers(0, 5, (2, 30), dtype=np.uint8)
    found = scan(OneHot().double()(torch.from_numpy(codes)))
    expected = np.full((2, 4), -np.inf)
    for row, motif in itertools.product(range(2), range(4)):
        for strand in (codes[row], reverse_complement(codes[row])):
            width = int(scan.widths[motif])
            for start in range(len(strand) - width + 1):
                places = enumerate(strand[start : start + width])
                score = sum(float(scan.matrices[motif, code - 1, i]) for i, code in places if code)
                expected[row, motif] = max(expected[row, motif], score)
    np.testing.assert_allclose(found.detach(), expected, atol=1e-12)
    nowhere = scan(OneHot().double()(torch.from_numpy(codes[:, :3])))
    assert (nowhere == -torch.inf).tolist() == [[True, False, False, True]] * 2, "too short for two of them"


def test_an_id_cnn_learns_from_the_mean_of_its_block_losses() -> None:
    torch.manual_seed(0)
    network = build("id-cnn", 2, filters=[4, 5], dilations=[1, 3], channels=3, hidden=4, stride=5, dropout=0.0).train()
    sequence = torch.randint(1, 5, (2, 100), dtype=torch.uint8)
    each = torch.tensor
    targets = LabelIntervals(each([0, 1]), each([1, 0]), each([10, 0]), each([40, 100]))
    mask = torch.rand(2, 100) < 0.8
    blocks = network(sequence)
    assert len(blocks) == 3
    assert not torch.equal(blocks[0], blocks[1])
    mean = torch.stack([interval_cross_entropy_sum(block, targets, mask) for block in blocks]).mean()
    torch.testing.assert_close(Objective(network, ["sequence"])(Batch({"sequence": sequence}, targets, mask)), mean)
    assert isinstance(network.eval()(sequence), torch.Tensor)
