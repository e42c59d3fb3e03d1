"""Three ways along a genome, against what NumPy works out from the contig by the rule in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyBigWig
import pytest
import torch
from conftest import Inputs, make_run, random_sequence, write_fasta
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from toy_models import ToyMean, ToyPlaces

from dilannot.annotate.annotate import annotate
from dilannot.annotate.compress import CALLED
from dilannot.annotate.plan import Plan, make_plan
from dilannot.annotate.stream import stream
from dilannot.annotate.walk import TILE, Bins, ExactTiles, OverlappingWindows, Walk, walk_of
from dilannot.errors import DilannotError
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Interval
from dilannot.models import build, context_of
from dilannot.predict import predicting
from dilannot.progress import Silent
from dilannot.run import load_network, read_run, save_weights

MARKERS = 2
NOTHING = np.nan
# Real networks, thin. `danq` has an odd context: (length - 200) is odd.
BINS = {
    "danq": {"length": 301, "filters": (6,), "kernels": 9, "state": 3, "hidden": (7,)},
    "deepsea": {"length": 400, "filters": (6, 8, 10), "hidden": (12,)},
    "kmer": {"k": 3},
}
BILSTM = {"filters": 6, "state": 4, "deconvolution": 5, "hidden": 7}


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


def predicted(walk: Walk, genome: Genome, contig: str, regions: list[tuple[int, int]], batch_size: int) -> np.ndarray:
    """(T, L) levels as stream() gives them, NaN where it says nothing; that it goes in order and once is checked."""
    length = genome.contigs[contig].length
    codes = genome.fetch(contig, 0, length)
    levels = np.full((MARKERS, length), NOTHING)
    intervals = [Interval(contig, *region) for region in regions]
    options = {"thresholds": torch.full((MARKERS,), 0.5), "batch_size": batch_size, "device": torch.device("cpu")}
    covered: list[int] = []
    with torch.inference_mode():
        for stretch in stream(walk, genome, intervals, **options):
            place = slice(stretch.start, stretch.start + len(stretch))
            covered += range(place.start, place.stop)
            assert (stretch.known == (codes[place] != 0)).all()
            if stretch.codes is not None:
                levels[:, place] = np.where(stretch.known, stretch.codes % CALLED / 100, NOTHING)
    assert covered == [position for start, end in regions for position in range(start, end)]
    return levels


def assert_rounded(levels: np.ndarray, logits: np.ndarray, codes: np.ndarray, regions: list[tuple[int, int]]) -> None:
    """Levels are probabilities in steps of 0.01, and there where a region has a known base."""
    inside = np.zeros(len(codes), bool)
    for start, end in regions:
        inside[start:end] = True
    said = ~np.isnan(levels)
    assert (said == (inside & (codes != 0))).all()
    assert np.abs(levels - 1 / (1 + np.exp(-logits)))[said].max(initial=0) <= 0.005 + 1e-5


def bins_by_hand(codes: np.ndarray, weights: np.ndarray, bin_length: int) -> np.ndarray:
    """(T, L) logits of `ToyPlaces`: each bin from the bases around it, N beyond the contig's ends."""
    length = weights.shape[1]
    before = (length - bin_length) // 2
    logits = np.empty((len(weights), len(codes)))
    for start in range(0, len(codes), bin_length):
        for marker, of_marker in enumerate(weights):
            places = range(start - before, start - before + length)
            around = [int(codes[place]) if 0 <= place < len(codes) else 0 for place in places]
            logits[marker, start : start + bin_length] = sum(of_marker * (np.array(around) - 2.5))
    return logits


def windows_by_hand(codes: np.ndarray, window: int, stride: int) -> np.ndarray:
    """(T, L) logits of `ToyMean`: the middle half of each window; `window` is a multiple of 4 strides."""
    logits = np.empty((MARKERS, len(codes)))
    for position in range(len(codes)):
        first = max(position // (window // 2) * (window // 2) - window // 4, 0)
        read = codes[first : position // (window // 2) * (window // 2) + window // 4 * 3].astype(float)
        block = (position - first) // stride * stride
        logit = 4 * (read.mean() - 2.2) + read[block : block + stride].mean() - 2.2
        logits[:, position] = logit * np.arange(1, MARKERS + 1)
    return logits


def regions_of(cuts: set[int], length: int) -> list[tuple[int, int]]:
    """Disjoint regions between cuts, every other stretch left out; the whole contig without cuts."""
    edges = sorted(cut for cut in cuts if cut < length) or [0]
    return list(zip(edges[::2], [*edges[1::2], length], strict=False))


CUTS = st.sets(st.integers(0, 136), max_size=5)
WALKING = settings(
    max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@WALKING
@given(
    contig=st.sampled_from("ccs"), cuts=CUTS, bin_length=st.integers(1, 30), around=st.integers(0, 41),
    bins=st.integers(1, 5), batch_size=st.integers(1, 4),
)  # fmt: skip
@example(contig="c", cuts=set(), bin_length=20, around=40, bins=2, batch_size=3)
@example(contig="c", cuts={63, 64}, bin_length=20, around=41, bins=1, batch_size=1)
@example(contig="s", cuts=set(), bin_length=20, around=40, bins=1, batch_size=1)
def test_each_position_has_the_value_of_its_bin(
    genome: Genome, contig: str, cuts: set[int], bin_length: int, around: int, bins: int, batch_size: int
) -> None:
    length = genome.contigs[contig].length
    network, regions = ToyPlaces(MARKERS, length=bin_length + around), regions_of(cuts, length)
    walk = Bins(network, bin_length, bin_length + around, bins * bin_length)
    codes = genome.fetch(contig, 0, length)
    expected = bins_by_hand(codes, network.weights.detach().double().numpy(), bin_length)
    assert_rounded(predicted(walk, genome, contig, regions, batch_size), expected, codes, regions)


@WALKING
@given(
    contig=st.sampled_from("ccs"), cuts=CUTS, stride=st.integers(1, 7), quarter=st.integers(1, 6),
    batch_size=st.integers(1, 4),
)  # fmt: skip
@example(contig="c", cuts=set(), stride=3, quarter=2, batch_size=2)
@example(contig="c", cuts={63, 64}, stride=1, quarter=6, batch_size=1)
@example(contig="s", cuts=set(), stride=4, quarter=3, batch_size=1)
def test_each_position_has_the_value_of_the_window_in_whose_middle_half_it_lies(
    genome: Genome, contig: str, cuts: set[int], stride: int, quarter: int, batch_size: int
) -> None:
    length, window = genome.contigs[contig].length, 4 * quarter * stride
    regions = regions_of(cuts, length)
    walk = OverlappingWindows(ToyMean(MARKERS, stride=stride), window, stride)
    codes = genome.fetch(contig, 0, length)
    expected = windows_by_hand(codes, window, stride)
    assert_rounded(predicted(walk, genome, contig, regions, batch_size), expected, codes, regions)


@pytest.mark.parametrize(
    "walk",
    [
        Bins(ToyPlaces(MARKERS, length=53), 20, 53, 40),
        OverlappingWindows(ToyMean(MARKERS, stride=4), 50, 4),
        OverlappingWindows(ToyMean(MARKERS, stride=7), 20, 7),
    ],
    ids=["bins", "windows", "windows shorter than 4 strides"],
)
def test_regions_and_batches_change_nothing(genome: Genome, walk: Walk) -> None:
    whole = predicted(walk, genome, "c", [(0, 137)], 1)
    assert np.nanstd(whole) > 0.05, "a network that says the same everywhere shows nothing"
    for regions in ([(0, 137)], [(13, 14)], [(0, 51), (51, 52), (60, 137)], [(19, 21), (40, 80), (136, 137)]):
        inside = np.concatenate([np.arange(*region) for region in regions])
        for batch_size in (1, 2, 50):
            levels = predicted(walk, genome, "c", regions, batch_size)
            np.testing.assert_array_equal(levels[:, inside], whole[:, inside])


def test_n_within_a_bin_counts_for_its_value_and_gets_none(genome: Genome) -> None:
    """The bin from 40 to 60 is N from 50 on, and a network of equal weights sees the sum of its codes."""
    network = ToyPlaces(MARKERS, length=20)
    torch.nn.init.constant_(network.weights, 0.05)
    levels = predicted(Bins(network, 20, 20, 60), genome, "c", [(40, 60)], 1)
    known = genome.fetch("c", 40, 50)
    assert (known > 0).all()
    value = 1 / (1 + np.exp(-0.05 * (float(known.sum()) - 20 * 2.5)))
    assert levels[:, 40:50].tolist() == [[round(value, 2)] * 10] * MARKERS
    assert np.isnan(levels[:, 50:60]).all()


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_so_many_tiles_are_predicted_together_and_no_more(genome: Genome, batch_size: int) -> None:
    network, sizes = ToyMean(MARKERS), []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    predicted(OverlappingWindows(network, 8, 1), genome, "c", [(10, 50)], batch_size)
    # The first tile and the last keep less than the others.
    assert sizes == {1: [1] * 11, 3: [1, 3, 3, 3, 1], 50: [1, 9, 1]}[batch_size]


def test_a_network_may_say_the_same_of_all_positions_in_one_number(genome: Genome) -> None:
    class Flat(torch.nn.Module):
        def forward(self, sequence: torch.Tensor) -> torch.Tensor:
            return sequence.float().mean(1)[:, None, None].expand(-1, MARKERS, sequence.shape[1])

    levels = predicted(OverlappingWindows(Flat(), 40, 1), genome, "c", [(20, 40)], 1)
    assert levels[0, 20] == round(float(torch.sigmoid(torch.tensor(genome.fetch("c", 10, 50).mean()))), 2)


def test_what_a_dense_network_keeps_is_that_part_of_all_it_says(genome: Genome) -> None:
    torch.manual_seed(1)
    network = build("bilstm", MARKERS, **BILSTM, stride=5)
    codes = torch.from_numpy(genome.fetch("c", 0, 137))[None]
    walk = OverlappingWindows(network, 40, 5)
    with predicting(network):
        whole = network(codes)
        for start, end in ((0, 137), (17, 18), (20, 40), (131, 137)):
            torch.testing.assert_close(walk.predict(codes, start, end), whole[:, :, start:end])


@pytest.fixture(scope="module")
def runs(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run folders of thin networks that say something else from place to place."""
    folder, found = tmp_path_factory.mktemp("runs"), {}
    for name, arguments in {"dilated": {}, "toy-blocks": {}, "toy-mean": {}, "bilstm": BILSTM, **BINS}.items():
        found[name] = make_run(folder / name, inputs.genome, name, **arguments)
        if name in BINS or name == "bilstm":
            speak_up(found[name])
    return found


def speak_up(folder: Path) -> None:
    """Scale and shift the last layer until logits lie around 0 with a spread of about 1."""
    run = read_run(folder)
    loaded = load_network(run)
    network = loaded.network
    sequence = torch.from_numpy(np.random.default_rng(0).integers(1, 5, (64, run.length), dtype=np.uint8))
    with predicting(network):
        logits = network(sequence).transpose(0, 1).flatten(1)
        spread, mean = logits.std(1), logits.mean(1)
        layer = network.output
        layer.weight /= spread.reshape(-1, *[1] * (layer.weight.dim() - 1))
        layer.bias.copy_((layer.bias - mean) / spread)
    save_weights(run, "best", network.state_dict(), epoch=1, thresholds=loaded.thresholds)


def rows_of(folder: Path) -> list[dict]:  # type: ignore[type-arg]
    return json.loads((folder / "tracks.json").read_text())["tracks"]  # type: ignore[no-any-return]


def probabilities_by_hand(folder: Path, inputs: Inputs) -> dict[str, np.ndarray]:
    """(T, L) of each contig, NaN where it is N: bin by bin, or window by window of `bilstm`, one at a time."""
    run = read_run(folder)
    network, genome, result = load_network(run).network, Genome(inputs.genome), {}
    # Of a window of 500 nt in blocks of 20: a quarter is 6 blocks on either side, and 13 are left.
    kept, before = (run.window, (run.length - run.window) // 2) if run.output == "window" else (260, 120)
    with predicting(network):
        for name, length in genome.lengths.items():
            codes = genome.fetch(name, 0, length)
            padded = np.pad(codes, (1000, 2000))
            values = np.empty((3, length), np.float32)
            for start in range(0, length, kept):
                place = slice(start, min(start + kept, length))
                first = max(start - before, 0)
                bases = codes[first : start + kept + before]
                if run.output == "window":
                    bases = padded[1000 + start - before :][: run.length]
                said = network(torch.from_numpy(bases)[None])[0].sigmoid().numpy()
                values[:, place] = said if run.output == "window" else said[:, start - first : place.stop - first]
            values[:, codes == 0] = np.nan
            result[name] = values
    return result


@pytest.fixture(scope="module", params=["bilstm", *BINS])
def annotated(
    request: pytest.FixtureRequest, runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A run and its tracks of the whole genome."""
    tracks = tmp_path_factory.mktemp("tracks") / request.param
    options = {"device": "cpu", "processes": 1, "batch_size": 8, "merge_gap": 0, "min_length": 1}
    annotate(runs[request.param], output=tracks, **options)
    return runs[request.param], tracks


def test_bigwig_and_bed_hold_what_the_network_says(annotated: tuple[Path, Path], inputs: Inputs) -> None:
    run, tracks = annotated
    expected = probabilities_by_hand(run, inputs)
    for marker, row in enumerate(rows_of(tracks)):
        calls = [line.split("\t")[:3] for line in (tracks / row["bed"]).read_text().splitlines()[1:]]
        with pyBigWig.open(str(tracks / row["bigwig"])) as file:
            for name, values in expected.items():
                read = np.array(file.values(name, 0, values.shape[1]))
                np.testing.assert_array_equal(np.isnan(read), np.isnan(values[marker]))
                assert np.nanmax(np.abs(read - values[marker])) <= 0.005 + 1e-5
                assert np.nanmax(np.abs(read * 100 - np.round(read * 100))) < 1e-4
                called = np.zeros(values.shape[1], bool)
                for contig, start, end in calls:
                    if contig == name:
                        called[int(start) : int(end)] = True
                sure = ~(np.abs(values[marker] - row["threshold"]) <= 1e-6)
                assert (called == (values[marker] >= row["threshold"]))[sure].all()
        assert np.nanstd(expected["chr1"][marker]) > 0.05, "a network that says the same everywhere shows nothing"


@pytest.mark.parametrize("annotated", BINS, indirect=True)
def test_runs_of_bins_begin_and_end_with_a_bin_the_contig_or_n(annotated: tuple[Path, Path], inputs: Inputs) -> None:
    _, tracks = annotated
    for row in rows_of(tracks):
        with pyBigWig.open(str(tracks / row["bigwig"])) as file:
            for name, sequence in inputs.contigs.items():
                for start, end, _ in file.intervals(name):
                    assert start % 200 == 0 or sequence[start - 1] == "N"
                    assert end % 200 == 0 or end == len(sequence) or sequence[end] == "N"


@pytest.mark.parametrize("region", ["chr1:4,567-8,901", "chr2:-10", "chr1:30011-30011", "chrM", "chr1:14,400-14,650"])
def test_a_region_equals_that_part_of_the_whole(annotated: tuple[Path, Path], tmp_path: Path, region: str) -> None:
    run, tracks = annotated
    annotate(run, output=tmp_path / "part", regions=[region], device="cpu", processes=1)
    [text] = json.loads((tmp_path / "part/tracks.json").read_text())["regions"]
    contig, _, positions = text.partition(":")
    start, end = (int(number.replace(",", "")) for number in positions.split("-"))
    for row in rows_of(tracks):
        with (
            pyBigWig.open(str(tracks / row["bigwig"])) as one,
            pyBigWig.open(str(tmp_path / "part" / row["bigwig"])) as two,
        ):
            whole, part = (np.array(file.values(contig, start - 1, end)) for file in (one, two))
            np.testing.assert_array_equal(np.isnan(whole), np.isnan(part))
            # Other batches may round to the next step.
            assert np.nanmax(np.abs(whole - part)) < 0.0101
            written = sum(last - first for name in two.chroms() for first, last, _ in two.intervals(name) or ())
            assert written == (~np.isnan(part)).sum()


def test_each_network_has_its_walk(runs: dict[str, Path]) -> None:
    walks = {name: walk_of(load_network(read_run(run)).network, read_run(run), None) for name, run in runs.items()}
    exact = walks["dilated"]
    assert isinstance(exact, ExactTiles)
    assert (exact.context, exact.size) == (context_of(exact.network), TILE)
    assert isinstance(walks["toy-blocks"], ExactTiles)
    for name, stride in (("bilstm", 20), ("toy-mean", 1)):
        windows = walks[name]
        assert isinstance(windows, OverlappingWindows)
        assert (windows.window, windows.stride) == (500, stride)
    for name, length in (("danq", 301), ("deepsea", 400), ("kmer", 500)):
        bins = walks[name]
        assert isinstance(bins, Bins)
        assert (bins.bin_length, bins.length, bins.size) == (200, length, TILE)


@pytest.mark.parametrize(
    ("name", "tile", "remedy"),
    [
        ("dilated", 25, "give a multiple of 10"),
        ("toy-blocks", 2, "give a multiple of 4"),
        ("danq", 1_010, "give a multiple of 200"),
        ("danq", 100, "give a multiple of 200"),
        ("bilstm", 500, "leave it out: this network has no finite context"),
        ("toy-mean", 500, "leave it out: this network has no finite context"),
        ("dilated", 0, "give a multiple of 10"),
        ("danq", -200, "give a multiple of 200"),
    ],
)
def test_a_tile_that_does_not_fit_is_refused(
    runs: dict[str, Path], tmp_path: Path, name: str, tile: int, remedy: str
) -> None:
    with pytest.raises(DilannotError, match=f"a tile of {tile} nt") as error:
        annotate(runs[name], output=tmp_path / "t", tile=tile, processes=1)
    assert (error.value.where, error.value.remedy) == ("--tile", remedy)
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(("name", "tile"), [("dilated", 50), ("danq", 600), ("toy-blocks", 4)])
def test_a_tile_that_fits_is_taken(runs: dict[str, Path], name: str, tile: int) -> None:
    assert walk_of(load_network(read_run(runs[name])).network, read_run(runs[name]), tile).size == tile  # type: ignore[attr-defined]


def test_a_tile_holds_a_bin_at_least(runs: dict[str, Path]) -> None:
    run = read_run(runs["danq"])
    walk = walk_of(load_network(run).network, replace(run, window=TILE + 1, length=TILE + 101), None)
    assert isinstance(walk, Bins)
    assert walk.size == TILE + 1


def test_bins_take_less_disk_than_nucleotides(runs: dict[str, Path]) -> None:
    genome, names = Genome(Path(read_run(runs["danq"]).genome)), ["a", "b"]
    regions = [Interval("chr1", 0, 10**8)]
    dense, bins = Plan(genome, regions, names).disk, Plan(genome, regions, names, 200).disk
    assert bins[0] < dense[0]
    assert bins[1] * 10 < dense[1]
    # 1.06 runs in 1,000 nt: a thin `deepsea` after five epochs of the example; 9 bytes staged and 4 of bigWig for each.
    assert bins[0] < 2 * 106_000 * (9 + 4) < bins[1]
    assert make_plan(read_run(runs["danq"]), None, [], Silent()).bin_length == 200
    assert make_plan(read_run(runs["bilstm"]), None, [], Silent()).bin_length == 1
