"""Stitched tiles equal one pass over the whole contig."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import toy_models  # noqa: F401 (registers)
from conftest import random_sequence, write_fasta

from dilannot.annotate.stream import stream
from dilannot.annotate.walk import ExactTiles
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Interval
from dilannot.genome.tiles import cover
from dilannot.models import build, context_of
from dilannot.predict import predicting

# The real network, and the shape of the real network made thin so that many tiles are quick.
NETWORKS = {
    "toy-bases": {},
    "toy-blocks": {},
    "dilated": {},
    "thin dilated": {"filters": (6, 8, 4), "hidden": 5, "dilations": (1, 1, 3), "deconvolution": 4, "kernel": 5},
}


def network_of(name: str) -> torch.nn.Module:
    torch.manual_seed(1)
    network = build(name.split()[-1], 3, **NETWORKS[name])
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
    if hasattr(network, "output"):
        torch.nn.init.normal_(network.output.weight, std=1.0)  # predictions that differ from place to place
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
    assert whole.std() > 0.01, "a network that says the same everywhere shows nothing"


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


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("name", ["toy-blocks", "thin dilated"])
def test_the_stream_covers_regions_once_and_marks_n(tmp_path: Path, name: str, batch_size: int) -> None:
    length = 2003
    genome, network = genome_of(tmp_path, length), network_of(name)
    context = context_of(network)
    codes = genome.fetch("c", 0, length)
    regions = [Interval("c", 3, 700), Interval("c", 701, length)]
    seen = np.zeros(length, int)
    with predicting(network):
        whole = network(torch.from_numpy(codes)[None])[0].sigmoid().numpy()
        options = {
            "thresholds": torch.full((3,), 0.5),
            "batch_size": batch_size,
            "device": torch.device("cpu"),
        }
        last = 0
        for stretch in stream(ExactTiles(network, context, 5 * context.stride), genome, regions, **options):
            assert stretch.start >= last
            last = stretch.start + len(stretch)
            seen[stretch.start : last] += 1
            assert (stretch.known == (codes[stretch.start : last] != 0)).all()
            if stretch.codes is None:
                assert not stretch.known.any()
            else:
                expected = whole[:, stretch.start : last]
                assert (np.abs(stretch.codes % 128 / 100 - expected) <= 0.005 + 1e-5).all()
                sure = np.abs(expected - 0.5) > 1e-5
                assert ((stretch.codes >= 128) == (expected >= 0.5))[sure].all()
    assert (seen == np.array([0] * 3 + [1] * 697 + [0] + [1] * (length - 701))).all()
