"""Four ways along a genome, against what NumPy works out from the contig by the rule in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from by_rule import (
    Say,
    assert_calls,
    assert_track,
    bin_after_bin,
    calls_of,
    clear_thresholds,
    means,
    middle_of_windows,
    other_strand,
    over_both_strands,
    painted,
    saying,
    stretches,
    window_after_window,
)
from conftest import Inputs, make_run, random_sequence, write_fasta
from hypothesis import example, given, settings
from hypothesis import strategies as st
from toy_models import ToyAround, ToyMean, ToyPlaces

from dilannot.annotate import blocks as blocks_module
from dilannot.annotate.annotate import annotate
from dilannot.annotate.blocks import blocks_of
from dilannot.annotate.calls import CallRule, joined
from dilannot.annotate.encode import Rules
from dilannot.annotate.plan import Settings
from dilannot.annotate.store import read_records
from dilannot.annotate.stream import Engine, stream
from dilannot.errors import DilannotError
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Interval
from dilannot.genome.sequence import Codes
from dilannot.models import build, context_of
from dilannot.predict import predicting
from dilannot.progress import Silent
from dilannot.run import Run, load_network, read_run
from dilannot.walk import TILE, Bins, ExactTiles, OverlappingWindows, TrainingWindows, Walk, walk_of

MARKERS = 2
BILSTM = {"filters": 6, "state": 4, "deconvolution": 5, "hidden": 7}
DENSE = Run(
    folder=Path(), model="", output="dense", arguments={}, markers=[], window=40, length=40, genome="", dataset="",
    dataset_digest="", contigs=[], settings={},
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors: two threads wait for each other, for long where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    """One contig with N at its start and end, inside, and a lone one; and one of five bases."""
    n_runs = ((0, 9), (50, 75), (100, 101), (131, 137))
    contigs = {"c": random_sequence(137, 5, n_runs), "s": random_sequence(5, 6)}
    return Genome(write_fasta(tmp_path_factory.mktemp("walk") / "g.fa", contigs))


def codes_of(genome: Genome, contig: str) -> Codes:
    return genome.fetch(contig, 0, genome.contigs[contig].length)


def regions_of(cuts: set[int], length: int) -> list[tuple[int, int]]:
    """Disjoint regions between cuts, every other stretch left out; the whole contig without cuts."""
    edges = sorted(cut for cut in cuts if cut < length) or [0]
    return list(zip(edges[::2], [*edges[1::2], length], strict=False))


@st.composite
def asks(draw: st.DrawFn) -> dict[str, object]:
    """What does not depend on the walk."""
    return {
        "contig": draw(st.sampled_from("ccs")),
        "cuts": draw(st.sets(st.integers(0, 136), max_size=5)),
        "batch_size": draw(st.integers(1, 4)),
        "steps": draw(st.sampled_from([10, 100, 10_000, 10_000])),
        "lowest": draw(st.sampled_from([0, 0.05, 0.5, 1])),
        "gap": draw(st.integers(0, 6)),
        "block": draw(st.sampled_from([1, 50, 1_000])),
    }


PLAIN = {"contig": "c", "cuts": set(), "batch_size": 2, "steps": 100, "lowest": 0, "gap": 2, "block": 50}


def check(
    walk: Walk, genome: Genome, expected: np.ndarray, *, contig: str, cuts: set[int], batch_size: int, steps: int,
    lowest: float, gap: int, block: int, width: int = 1,
) -> None:  # fmt: skip
    """Annotate in blocks and look at what their records hold; (T, L) `expected` probabilities."""
    codes, number = codes_of(genome, contig), list(genome.contigs).index(contig)
    regions = [Interval(contig, *region) for region in regions_of(cuts, len(codes))]
    inside = np.zeros(len(codes), bool)
    for region in regions:
        inside[region.start : region.end] = True
    inside &= codes != 0
    least = np.full(MARKERS, round(lowest * steps))
    thresholds = clear_thresholds(np.where(codes != 0, expected, np.nan)).astype(np.float32)
    engine = Engine(
        walk, genome, Rules(steps, least, thresholds, gap, width), torch.device("cpu"), batch_size, Silent()
    )
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(blocks_module, "LENGTH", block)
        made = sorted(
            stream(engine, blocks_of(regions, list(genome.contigs), walk.size), 1), key=lambda each: each.block.number
        )
        (Path(folder) / "part").write_bytes(b"".join(each.record for each in made))
        records = list(read_records(Path(folder) / "part"))
        assert sum(record.nucleotides for record in records) == inside.sum()
        of_track = means(expected, codes != 0, width)
        for marker in range(MARKERS):
            tracks = painted(records, list(genome.lengths.values()), marker)
            assert_track(tracks.pop(number), of_track[marker], inside, steps, int(least[marker]))
            assert all(np.isnan(track).all() for track in tracks)
            calls = joined(stretches(records, marker), CallRule(float(thresholds[marker]), gap, 1)).tolist()
            by_rule = calls_of(expected[marker], inside, thresholds[marker], gap, 1)
            assert_calls(calls, by_rule, expected[marker])


def both(say: Say, stride: int, *, wanted: bool) -> Say:
    return over_both_strands(say, stride) if wanted else say


WALKING = settings(max_examples=60, derandomize=True, deadline=None)


@settings(WALKING, max_examples=150)
@given(
    ask=asks(), before=st.integers(0, 9), after=st.integers(0, 9), stride=st.integers(1, 6), size=st.integers(1, 5),
    width=st.sampled_from([1, 1, 2, 7, 20]), rc=st.booleans(),
)  # fmt: skip
@example(ask=PLAIN, before=9, after=0, stride=4, size=3, width=1, rc=True)
@example(ask=PLAIN, before=0, after=9, stride=5, size=2, width=7, rc=True)
@example(ask=PLAIN, before=0, after=8, stride=4, size=2, width=1, rc=True)
@example(ask=PLAIN | {"contig": "s"}, before=3, after=3, stride=6, size=1, width=20, rc=True)
@example(ask=PLAIN | {"cuts": {61, 62, 70}}, before=3, after=8, stride=1, size=5, width=20, rc=False)
def test_tiles_equal_one_pass_over_the_contig(
    genome: Genome,
    ask: dict,
    before: int,
    after: int,
    stride: int,
    size: int,
    width: int,
    rc: bool,  # type: ignore[type-arg]
) -> None:
    network = ToyAround(MARKERS, before=before, after=after, stride=stride)
    tile = int(np.lcm(stride, width)) * size
    walk = walk_of(network, DENSE, context_of(network), tile, both_strands=rc, bin_length=width)
    assert isinstance(walk, ExactTiles)
    expected = both(saying(network), stride, wanted=rc)(codes_of(genome, ask["contig"]))
    check(walk, genome, expected, **ask, width=width)


@WALKING
@given(ask=asks(), window=st.integers(1, 30), stride=st.integers(1, 6), rc=st.booleans(), finite=st.booleans())
@example(ask=PLAIN, window=30, stride=4, rc=True, finite=True)
@example(ask=PLAIN, window=7, stride=3, rc=True, finite=False)
def test_windows_of_training_see_nothing_of_their_neighbours(
    genome: Genome,
    ask: dict,
    window: int,
    stride: int,
    rc: bool,
    finite: bool,  # type: ignore[type-arg]
) -> None:
    network = ToyAround(MARKERS, before=9, after=5, stride=stride) if finite else ToyMean(MARKERS, stride=stride)
    run = replace(DENSE, window=window)
    width = window // 2 if window % 2 == 0 else 1
    walk = walk_of(network, run, context_of(network), None, training_windows=True, both_strands=rc, bin_length=width)
    assert isinstance(walk, TrainingWindows)
    say = both(saying(network), stride, wanted=rc)
    check(walk, genome, window_after_window(say, codes_of(genome, ask["contig"]), window), **ask, width=width)


@WALKING
@given(ask=asks(), stride=st.integers(1, 7), window=st.integers(4, 60), binned=st.booleans(), rc=st.booleans())
@example(ask=PLAIN, stride=3, window=24, binned=True, rc=True)
@example(ask=PLAIN | {"contig": "s"}, stride=4, window=12, binned=False, rc=True)
@example(ask=PLAIN, stride=7, window=20, binned=False, rc=False)
def test_each_position_has_the_value_of_the_window_in_whose_middle_half_it_lies(
    genome: Genome,
    ask: dict,
    stride: int,
    window: int,
    binned: bool,
    rc: bool,  # type: ignore[type-arg]
) -> None:
    network = ToyMean(MARKERS, stride=stride)
    walk = walk_of(network, replace(DENSE, window=window), None, both_strands=rc)
    assert isinstance(walk, OverlappingWindows)
    width = walk.size // stride if binned else 1
    say = both(saying(network), stride, wanted=rc)
    expected = middle_of_windows(say, codes_of(genome, ask["contig"]), window, stride)
    check(walk, genome, expected, **ask, width=width)


@WALKING
@given(
    ask=asks(), bin_length=st.integers(1, 30), around=st.integers(0, 41), bins=st.integers(1, 5), rc=st.booleans(),
)  # fmt: skip
@example(ask=PLAIN, bin_length=20, around=40, bins=2, rc=False)
@example(ask=PLAIN | {"cuts": {63, 64}}, bin_length=20, around=41, bins=1, rc=True)
@example(ask=PLAIN | {"contig": "s"}, bin_length=20, around=40, bins=1, rc=True)
def test_each_position_has_the_value_of_its_bin(
    genome: Genome,
    ask: dict,
    bin_length: int,
    around: int,
    bins: int,
    rc: bool,  # type: ignore[type-arg]
) -> None:
    length = bin_length + around
    network = ToyPlaces(MARKERS, length=length)
    run = replace(DENSE, output="window", window=bin_length, length=length)
    walk = walk_of(network, run, None, bins * bin_length, both_strands=rc)
    assert isinstance(walk, Bins)

    def say(codes: Codes) -> np.ndarray:
        one = saying(network)
        return (one(codes) + one(other_strand(codes))) / 2 if rc else one(codes)

    check(walk, genome, bin_after_bin(say, codes_of(genome, ask["contig"]), bin_length, length), **ask)


def test_the_checks_can_fail(genome: Genome) -> None:
    network = ToyAround(MARKERS, before=6, after=2, stride=4)
    right = saying(network)(codes_of(genome, "c"))
    walk = walk_of(network, DENSE, context_of(network), 20)
    check(walk, genome, right, **PLAIN)  # type: ignore[arg-type]
    short = replace(walk, context=replace(walk.context, left=4))  # type: ignore[attr-defined, type-var]
    other = over_both_strands(saying(network), 4)(codes_of(genome, "c"))
    for odd, expected in ((short, right), (walk, right + 0.02), (walk, other), (walk, np.roll(right, 1, axis=1))):
        with pytest.raises(AssertionError):
            check(odd, genome, expected, **PLAIN)  # type: ignore[arg-type]


def test_n_within_a_bin_counts_for_its_value_and_gets_none(genome: Genome) -> None:
    """The bin from 40 to 60 is N from 50 on, and a network of equal weights sees the sum of its codes."""
    network = ToyPlaces(MARKERS, length=20)
    torch.nn.init.constant_(network.weights, 0.05)
    known = genome.fetch("c", 40, 50)
    assert (known > 0).all()
    assert (genome.fetch("c", 50, 60) == 0).all()
    value = 1 / (1 + np.exp(-0.05 * (float(known.sum()) - 20 * 2.5)))
    say = saying(network)
    expected = bin_after_bin(say, codes_of(genome, "c"), 20, 20)
    assert expected[0, 40] == pytest.approx(value, abs=1e-6)
    check(Bins(network, 20, 20, 60), genome, expected, **PLAIN | {"cuts": {40, 60}})  # type: ignore[arg-type]


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_so_many_tiles_are_predicted_together_and_no_more(genome: Genome, batch_size: int) -> None:
    network, sizes = ToyMean(MARKERS), []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    walk = OverlappingWindows(network, 4, 1, False, 8)
    rules = Rules(100, np.zeros(MARKERS, int), np.full(MARKERS, 0.5, np.float32), 0)
    engine = Engine(walk, genome, rules, torch.device("cpu"), batch_size, Silent())
    list(stream(engine, blocks_of([Interval("c", 10, 50)], ["c"], 4), 1))
    # The first tile and the last keep less than the others.
    assert sizes == {1: [1] * 11, 3: [1, 3, 3, 3, 1], 50: [1, 9, 1]}[batch_size]


def test_a_network_may_say_the_same_of_all_positions_in_one_number(genome: Genome) -> None:
    class Flat(torch.nn.Module):
        def forward(self, sequence: torch.Tensor) -> torch.Tensor:
            return sequence.float().mean(1)[:, None, None].expand(-1, MARKERS, sequence.shape[1])

    network = Flat()
    for rc in (False, True):
        say = both(saying(network), 1, wanted=rc)
        expected = middle_of_windows(say, codes_of(genome, "c"), 40, 1)
        check(OverlappingWindows(network, 20, 1, rc, 40), genome, expected, **PLAIN)  # type: ignore[arg-type]


@pytest.mark.parametrize("rc", [False, True])
def test_pieces_of_a_tile_come_in_order_and_each_once(genome: Genome, rc: bool) -> None:
    torch.manual_seed(1)
    network = build("bilstm", MARKERS, **BILSTM, stride=5)
    codes = codes_of(genome, "c")
    walk = OverlappingWindows(network, 20, 5, rc, 40)
    with predicting(network):
        whole = both(saying(network), 5, wanted=rc)(codes)
        for start, end in ((0, 137), (17, 18), (20, 40), (131, 137)):
            at = start
            for first, piece in walk.predict(torch.from_numpy(codes)[None], start, end):
                assert first == at
                at += piece.shape[2]
                torch.testing.assert_close(piece[0].double().numpy(), whole[:, first:at], atol=1e-5, rtol=0)
            assert at == end


@pytest.fixture(scope="module")
def runs(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    danq = {"length": 301, "filters": (6,), "kernels": 9, "state": 3, "hidden": (7,)}
    arguments = {"dilated": {}, "toy-blocks": {}, "toy-mean": {}, "bilstm": BILSTM, "danq": danq, "kmer": {"k": 3}}
    return {name: make_run(folder / name, inputs.genome, name, **given) for name, given in arguments.items()}


def walk_of_run(run: Path, tile: int | None = None, **options: object) -> Walk:
    record = read_run(run)
    network = load_network(record).network
    context = None if record.output == "window" else context_of(network)
    return walk_of(network, record, context, tile, **options)  # type: ignore[arg-type]


def test_each_network_has_its_walk(runs: dict[str, Path]) -> None:
    walks = {name: walk_of_run(run) for name, run in runs.items()}
    exact = walks["dilated"]
    assert isinstance(exact, ExactTiles)
    assert (exact.context, exact.size) == (context_of(exact.network), TILE)
    assert isinstance(walks["toy-blocks"], ExactTiles)
    for name, stride in (("bilstm", 20), ("toy-mean", 1)):
        windows = walks[name]
        assert isinstance(windows, OverlappingWindows)
        assert (windows.window, windows.stride, windows.unit) == (500, stride, 1)
    for name, length in (("danq", 301), ("kmer", 500)):
        bins = walks[name]
        assert isinstance(bins, Bins)
        assert (bins.bin_length, bins.length, bins.size, bins.unit) == (200, length, TILE, 200)


@pytest.mark.parametrize(
    ("name", "settings", "message", "remedy"),
    [
        ("dilated", {"tile": 25}, "a tile of 25 nt", "give a multiple of 10"),
        ("dilated", {"tile": 50, "bin_length": 20}, "a tile of 50 nt", "give a multiple of 20"),
        ("dilated", {"tile": 50, "bin_length": 7}, "a tile of 50 nt", "give a multiple of 70"),
        ("toy-blocks", {"tile": 2}, "a tile of 2 nt", "give a multiple of 4"),
        ("danq", {"tile": 1_010}, "a tile of 1010 nt", "give a multiple of 200"),
        ("danq", {"tile": 100}, "a tile of 100 nt", "give a multiple of 200"),
        ("bilstm", {"tile": 500}, "a tile of 500 nt", "leave it out: this network has no finite context"),
        ("dilated", {"tile": 500, "training_windows": True}, "tile", "leave it out: windows are those of training"),
        ("dilated", {"tile": 0}, "a tile of 0 nt", "give a multiple of 10"),
        ("danq", {"tile": -200}, "a tile of -200 nt", "give a multiple of 200"),
        ("danq", {"bin_length": 200}, "decides on bins of 200 nt anyway", None),
        ("danq", {"training_windows": True}, "decides on bins, not on windows", None),
        ("bilstm", {"bin_length": 50}, "bins of 50 nt", "give a divisor of 260"),
        ("dilated", {"bin_length": 30, "training_windows": True}, "bins of 30 nt", "give a divisor of 500"),
        ("dilated", {"precision": 0.3}, "a precision of 0.3", "give 1/N, N up to 10,000: 0.01"),
        ("dilated", {"precision": 0.00001}, "a precision of 1e-05", "give 1/N, N up to 10,000: 0.01"),
        ("dilated", {"precision": 0.0}, "a precision of 0", "give 1/N, N up to 10,000: 0.01"),
        ("dilated", {"precision": float("nan")}, "a precision of nan", "give 1/N, N up to 10,000: 0.01"),
        ("dilated", {"min_score": 1.01}, "a score of 1.01", "give 0 to 1"),
        ("dilated", {"min_score": float("nan")}, "a score of nan", "give 0 to 1"),
        ("dilated", {"threshold": 0.0}, "a threshold of 0", "give a probability above 0"),
        ("dilated", {"threshold": float("nan")}, "a threshold of nan", "give a probability above 0"),
    ],
)
def test_what_does_not_fit_is_refused(
    runs: dict[str, Path],
    tmp_path: Path,
    name: str,
    settings: dict,
    message: str,
    remedy: str | None,  # type: ignore[type-arg]
) -> None:
    with pytest.raises(DilannotError, match=message) as error:
        annotate(runs[name], output=tmp_path / "t", settings=Settings(**settings), threads=1)
    assert error.value.remedy == remedy
    assert str(error.value.where).startswith("--")
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(("name", "tile"), [("dilated", 50), ("danq", 600), ("toy-blocks", 4)])
def test_a_tile_that_fits_is_taken(runs: dict[str, Path], name: str, tile: int) -> None:
    assert walk_of_run(runs[name], tile).size == tile


def test_tiles_hold_whole_bins_and_one_at_least(runs: dict[str, Path]) -> None:
    assert walk_of_run(runs["dilated"], bin_length=128).size == TILE // 640 * 640
    assert walk_of_run(runs["dilated"], bin_length=90_001).size == 900_010
    run = read_run(runs["danq"])
    walk = walk_of(load_network(run).network, replace(run, window=TILE + 1, length=TILE + 101), None)
    assert isinstance(walk, Bins)
    assert walk.size == TILE + 1
