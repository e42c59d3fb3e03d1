"""Stitched tiles equal one pass over the whole contig."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_models  # noqa: F401 (registers)
from conftest import random_sequence, write_fasta

from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Interval
from dilannot.genome.tiles import Context, cover
from dilannot.models import build, context_of
from dilannot.models.inference import for_inference
from dilannot.models.pieces import bias_of, pieces
from dilannot.predict import predicting

# The real network, and the shapes of the real ones made thin so that many tiles are quick; `whole` ones see as far.
FEW = {"filters": (6, 8, 4, 4, 4), "hidden": 5, "deconvolution": 4}
NETWORKS = {
    "toy-bases": {},
    "toy-blocks": {},
    "dilated": {},
    "thin dilated": {"filters": (6, 8, 4), "hidden": 5, "dilations": (1, 1, 3), "deconvolution": 4, "kernel": 5},
    "thin dilated-pool": {**FEW, "dilations": (1, 1, 3, 1, 2), "kernel": 5},
    "thin dilated-dilated-pool": {
        "filters": (6, 4, 4), "hidden": 5, "deconvolution": 4, "dilations": (1, 2, 3), "kernel": 4,
        "pools": (None, (3, 2), (5, 3)), "stride": 4,
    },
    "whole dilated-dilated-pool": FEW,
    "thin conv7": {"filters": (6, 8, 4, 4, 4, 4), "hidden": 5, "deconvolution": 4},
    "thin conv3-dense": {"filters": (6, 8), "hidden": 5, "deconvolution": 4, "stride": 1},
    "thin conv1": {"filters": (6,), "hidden": 5},
    "thin id-cnn": {
        "applications": 2, "channels": 8, "filters": (8, 8), "dilations": (1, 2), "kernel": 4, "first_kernel": 7,
        "stride": 6, "hidden": 8,
    },
    "thin hybrid": {
        "motifs": 8, "motif_width": 7, "known_motifs": False, "motif_threshold": 0.0, "projection": 5, "pools": (3, 2, 2),
        "filters": 6, "width": 7, "dilations": (1, 3), "coarse_dilations": (1, 2), "last_dilations": (1,), "hidden": 5,
    },
    "hybrid": {},
    "whole id-cnn": {"channels": 8, "filters": (8, 8, 8, 8), "hidden": 8},
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors: two threads wait for each other, for long where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network_of(name: str) -> torch.nn.Module:
    torch.manual_seed(1)
    network = build(name.split()[-1], 3, **NETWORKS[name])
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0
        if isinstance(module, torch.nn.Conv1d | torch.nn.ConvTranspose1d):
            torch.nn.init.kaiming_normal_(module.weight)
    with torch.no_grad():  # sets the running statistics: what the first layer sees reaches the last one
        network.train()(torch.randint(1, 5, (2, 3000), dtype=torch.uint8))
    if hasattr(network, "output"):
        # Predictions that differ from place to place.
        torch.nn.init.normal_(network.output.weight, std=network.output.in_channels**-0.5)
    return network


def genome_of(folder: Path, length: int) -> Genome:
    """One contig with N at its start and end, inside, and a lone one."""
    third = length // 3
    n_runs = ((0, length // 20), (third, third + length // 10), (2 * third, 2 * third + 1), (length - 7, length))
    return Genome(write_fasta(folder / "g.fa", {"c": random_sequence(length, 5, n_runs)}))


@pytest.mark.parametrize(
    ("name", "length", "region", "tile"),
    [
        ("toy-bases", 1001, (0, 1001), 100),
        ("toy-bases", 1001, (3, 997), 7),
        ("toy-blocks", 1001, (0, 1001), 4),
        ("toy-blocks", 1003, (0, 1003), 40),
        ("toy-blocks", 1002, (5, 998), 40),
        ("toy-blocks", 1000, (999, 1000), 40),
        ("toy-blocks", 9, (0, 9), 400),
        ("thin dilated", 1001, (0, 1001), 50),
        ("thin dilated", 1009, (13, 1004), 90),
        ("thin dilated", 1009, (500, 501), 90),
        ("thin dilated-pool", 2003, (0, 2003), 50),
        ("thin dilated-pool", 2003, (701, 1403), 110),
        ("thin dilated-dilated-pool", 1002, (0, 1002), 44),
        ("thin dilated-dilated-pool", 1001, (333, 997), 12),
        ("whole dilated-dilated-pool", 33_007, (0, 33_007), 5_000),
        ("whole dilated-dilated-pool", 33_007, (16_501, 16_502), 5_000),
        ("thin conv7", 2003, (0, 2003), 100),
        ("thin conv7", 2009, (604, 1999), 370),
        ("thin conv3-dense", 501, (0, 501), 30),
        ("thin conv3-dense", 501, (123, 457), 1),
        ("thin conv1", 301, (0, 301), 20),
        ("thin conv1", 301, (100, 300), 1),
        ("thin id-cnn", 1003, (0, 1003), 60),
        ("thin id-cnn", 1001, (301, 998), 6),
        ("thin hybrid", 1003, (0, 1003), 60),
        ("thin hybrid", 1001, (301, 998), 6),
        ("hybrid", 20_003, (0, 20_003), 5_000),
        ("hybrid", 20_003, (7_777, 12_345), 5_000),
        ("whole id-cnn", 45_017, (0, 45_017), 10_000),
        ("whole id-cnn", 45_017, (22_222, 22_333), 20),
        ("dilated", 40_003, (0, 40_003), 5_000),
        ("dilated", 40_003, (12_345, 23_456), 5_000),
    ],
)
def test_stitched_tiles_equal_one_pass(
    tmp_path: Path, name: str, length: int, region: tuple[int, int], tile: int
) -> None:
    genome, network = genome_of(tmp_path, length), network_of(name)
    context = context_of(network)
    with predicting(network):
        codes = torch.from_numpy(genome.fetch("c", 0, length))
        whole = network(codes[None])[0]
        for piece in cover(Interval("c", *region), tile, context, length):
            keep = (piece.keep_start - piece.read_start, piece.keep_end - piece.read_start)
            stitched = network(codes[None, piece.read_start : piece.read_end], keep=keep)[0]
            torch.testing.assert_close(stitched, whole[:, piece.keep_start : piece.keep_end], atol=2e-5, rtol=1e-5)
        check_faster(network, codes[None], whole, region, tile, context)
    # Within a block, places may differ whatever the sequence is.
    of_blocks = whole[:, :: context.stride]
    assert of_blocks.shape[1] < 10 or of_blocks.std(1).max() > 0.05, "what says the same everywhere shows nothing"


def check_faster(
    network: torch.nn.Module,
    codes: torch.Tensor,
    whole: torch.Tensor,
    region: tuple[int, int],
    tile: int,
    context: Context,
) -> None:
    """So do the pieces of the network that was made for it."""
    faster = for_inference(network)
    bias = bias_of(faster)
    added = 0 if bias is None else bias[:, None]
    for part in cover(Interval("c", *region), tile, context, whole.shape[1]):
        at = part.keep_start
        keep = (at - part.read_start, part.keep_end - part.read_start)
        for piece in pieces(faster, codes[:, part.read_start : part.read_end], *keep):
            assert part.read_start + piece.start == at
            at = part.read_start + piece.end
            expected = whole[:, part.read_start + piece.start : at]
            torch.testing.assert_close(piece.logits[0] + added, expected, atol=1e-4, rtol=1e-4)
        assert at == part.keep_end


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_kept_is_that_part_of_the_whole(tmp_path: Path, name: str) -> None:
    network = network_of(name)
    codes = torch.from_numpy(genome_of(tmp_path, 1003).fetch("c", 0, 1003))[None]
    with predicting(network):
        whole = network(codes)
        for start, end in ((0, 1003), (7, 8), (500, 600), (333, 1003), (1002, 1003)):
            kept = network(codes, keep=(start, end))
            torch.testing.assert_close(kept, whole[:, :, start:end], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name.startswith("thin")])
def test_no_halo_is_wider_than_what_the_network_sees(name: str, side: str) -> None:
    """And so the tests above can fail: with one block less on either side, something is another."""
    network = network_of(name)
    context = context_of(network)
    short = replace(context, **{side: getattr(context, side) - context.stride})
    codes = torch.from_numpy(np.random.default_rng(0).integers(1, 5, (1, 2000), dtype=np.uint8))
    pieces = list(cover(Interval("c", 700, 1300), context.stride * 5, short, 2000))
    with predicting(network):
        whole = network(codes)
        tiled = [
            network(codes[:, p.read_start : p.read_end], keep=(p.keep_start - p.read_start, p.keep_end - p.read_start))
            for p in pieces
        ]
    assert not torch.allclose(torch.cat(tiled, dim=2), whole[:, :, 700:1300], atol=2e-5, rtol=1e-5)


def test_one_missing_position_of_halo_shows() -> None:
    """The test above can fail: with a halo too short by one block, tiles differ."""
    network = network_of("toy-blocks")
    codes = torch.from_numpy(np.random.default_rng(0).integers(1, 5, (1, 400), dtype=np.uint8))
    context = context_of(network)
    with predicting(network):
        whole = network(codes)
        start = 200 - context.left + context.stride
        short = network(codes[:, start:], keep=(200 - start, 204 - start))
    assert not torch.allclose(short, whole[:, :, 200:204])
