"""Tracks on disk: what pyBigWig and pybigtools read is what the network said of whole contigs."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pybigtools
import pyBigWig
import pysam
import pytest
import torch
from by_rule import (
    Say,
    assert_calls,
    assert_track,
    bin_after_bin,
    calls_in_bed,
    calls_of,
    clear_thresholds,
    means,
    middle_of_windows,
    other_strand,
    over_both_strands,
    rows_of_bed,
    saying,
    track_of,
    window_after_window,
)
from conftest import make_run, random_sequence, write_fasta
from torch_encoder import WithTorch

from dilannot.annotate.annotate import annotate, survey
from dilannot.annotate.plan import DEFAULTS, MIN_SCORE, Scope, Settings
from dilannot.data.markers import Marker
from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.sequence import Codes
from dilannot.info import describe
from dilannot.metrics.thresholds import RULES
from dilannot.models import context_of
from dilannot.predict import predicting
from dilannot.progress import Silent
from dilannot.run import load_network, read_run, save_weights

# By name the order is another.
CONTIGS = {
    "chrB": random_sequence(7_011, 1, ((0, 650), (3_000, 3_003), (4_400, 5_200))),
    "chrA": random_sequence(2_345, 2),
    "allN": "N" * 500,
    "unasked": random_sequence(800, 3),
    "bit": "ACGTN",
}
LENGTHS = {name: len(sequence) for name, sequence in CONTIGS.items()}
MARKERS = [Marker("K562|CTCF", "TFBS"), Marker("k562|ctcf", "TFBS"), Marker("calls", "histone", target="H3K4me3")]

# Thin ones of the real networks; `danq` has an odd context: (length - 200) is odd.
NETWORKS: dict[str, dict[str, Any]] = {
    "toy-around": {"before": 31, "after": 6, "stride": 4},
    "toy-mean": {"stride": 7},
    "dilated": {"filters": (6, 8, 4), "hidden": 5, "dilations": (1, 1, 3), "deconvolution": 4, "kernel": 5},
    "id-cnn": {
        "applications": 2, "channels": 8, "filters": (8, 8), "dilations": (1, 2), "kernel": 4, "first_kernel": 7,
        "stride": 6, "hidden": 8,
    },
    "bilstm": {"filters": 6, "state": 4, "deconvolution": 5, "hidden": 7},
    "danq": {"length": 301, "filters": (6,), "kernels": 9, "state": 3, "hidden": (7,)},
    "deepsea": {"length": 400, "filters": (6, 8, 10), "hidden": (12,)},
    "kmer": {"k": 3},
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors: two threads wait for each other, for long where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    return Genome(write_fasta(tmp_path_factory.mktemp("genome") / "genome.fa", CONTIGS))


@dataclass
class Runs:
    """Run folders, made when they are first asked for."""

    folder: Path
    genome: Genome

    def __getitem__(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            make_run(path, self.genome.path, name, markers=MARKERS, **NETWORKS[name])
            if not name.startswith("toy"):
                speak_up(path)
        return path


@pytest.fixture(scope="module")
def runs(genome: Genome, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"), genome)


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


def call_from(folder: Path, thresholds: np.ndarray) -> None:
    run = read_run(folder)
    save_weights(
        run, "best", load_network(run).network.state_dict(), epoch=1, thresholds=dict.fromkeys(RULES, thresholds)
    )


def whole_pass(folder: Path, genome: Genome, settings: Settings = DEFAULTS) -> dict[str, np.ndarray]:
    """(T, L) probabilities of each contig by the rule for this network."""
    run = read_run(folder)
    network = load_network(run).network
    context = None if run.output == "window" else context_of(network)
    stride = context.stride if context else getattr(network, "stride", 1)
    say: Say = saying(network)
    if settings.both_strands and run.output == "dense":
        say = over_both_strands(say, stride)

    def of_contig(codes: Codes) -> np.ndarray:
        if run.output == "window":
            both = lambda around: (saying(network)(around) + saying(network)(other_strand(around))) / 2  # noqa: E731
            return bin_after_bin(both if settings.both_strands else say, codes, run.window, run.length)
        if settings.training_windows:
            return window_after_window(say, codes, run.window)
        return say(codes) if context else middle_of_windows(say, codes, run.window, stride)

    with predicting(network):
        return {name: of_contig(genome.fetch(name, 0, length)) for name, length in genome.lengths.items()}


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "tracks.json").read_text())  # type: ignore[no-any-return]


def contents(folder: Path, *without: str) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder)) if name not in without}


CASES: list[tuple[str, dict[str, Any]]] = [
    ("toy-around", {"both_strands": True, "tile": 500}),
    ("toy-mean", {"both_strands": True, "bin_length": 37}),
    ("dilated", {}),
    ("dilated", {"tile": 500, "both_strands": True, "precision": 0.001, "merge_gap": 3, "min_length": 2}),
    ("dilated", {"bin_length": 60, "min_score": 0.0}),
    ("dilated", {"training_windows": True, "both_strands": True, "precision": 0.1}),
    ("id-cnn", {"tile": 1_020, "both_strands": True, "bin_length": 85, "precision": 0.0001, "min_length": 1}),
    ("bilstm", {}),
    ("bilstm", {"both_strands": True, "bin_length": 20, "min_score": 0.5}),
    ("bilstm", {"training_windows": True, "bin_length": 125}),
    ("danq", {"both_strands": True, "min_score": 0.0}),
    ("deepsea", {"tile": 600, "precision": 0.001}),
    ("kmer", {"both_strands": True, "merge_gap": 0, "min_length": 1}),
]


@pytest.mark.parametrize(
    ("name", "given"), CASES, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
def test_tracks_hold_what_the_network_says(
    runs: Runs, genome: Genome, tmp_path: Path, name: str, given: dict[str, Any]
) -> None:
    settings = Settings(**given)
    expected = whole_pass(runs[name], genome, settings)
    known = {contig: genome.fetch(contig, 0, length) != 0 for contig, length in LENGTHS.items()}
    together = np.concatenate([np.where(known[contig], values, np.nan) for contig, values in expected.items()], axis=1)
    assert (np.nanstd(together, axis=1) > 0.02).all(), "a network that says the same everywhere shows nothing"
    thresholds = clear_thresholds(together)
    call_from(runs[name], thresholds)
    made = annotate(
        runs[name], output=tmp_path / "t", scope=Scope(exclude=["unasked"]), settings=settings, device="cpu", threads=2
    )
    known["unasked"][:] = False
    assert made.nucleotides == sum(int(each.sum()) for each in known.values())
    steps, below = settings.steps(), np.minimum(MIN_SCORE, thresholds / 2)
    for marker, row in enumerate(manifest(tmp_path / "t")["tracks"]):
        assert row["threshold"] == pytest.approx(thresholds[marker], abs=1e-6)
        lowest = below[marker] if settings.min_score is None else settings.min_score
        least = max(int(np.ceil(lowest * steps - 1e-9)), settings.min_score is None)
        assert row["min_score"] == least / steps
        with pyBigWig.open(str(tmp_path / "t" / row["bigwig"])) as file:
            assert file.chroms() == LENGTHS
            tracks = {contig: track_of(file, contig, length) for contig, length in LENGTHS.items()}
        for contig, values in expected.items():
            of_track = means(values, genome.fetch(contig, 0, LENGTHS[contig]) != 0, settings.bin_length)[marker]
            assert_track(tracks[contig], of_track, known[contig], steps, least)
            found = calls_in_bed(tmp_path / "t" / row["bed"], contig)
            rule = thresholds[marker], settings.merge_gap, settings.min_length
            assert_calls(found, calls_of(values[marker], known[contig], *rule), values[marker])
        assert row["bases"] == sum(int((~np.isnan(track)).sum()) for track in tracks.values())
        assert row["calls"] == len(rows_of_bed(tmp_path / "t" / row["bed"]))
        assert row["called_bases"] == sum(int(r[2]) - int(r[1]) for r in rows_of_bed(tmp_path / "t" / row["bed"]))
    assert rows_of_bed(tmp_path / "t/calls.bed")


@pytest.fixture(scope="module")
def tracks(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of everything, as a user gets them."""
    call_from(runs["toy-around"], np.array([0.5, 0.6, np.nan]))
    folder = tmp_path_factory.mktemp("tracks") / "tracks"
    annotate(runs["toy-around"], output=folder, settings=Settings(tile=400, min_length=5), device="cpu", threads=2)
    return folder


def test_both_readers_agree_on_values_summaries_and_zooms(tracks: Path) -> None:
    places = random.Random(1)
    for row in manifest(tracks)["tracks"]:
        path = str(tracks / row["bigwig"])
        with pyBigWig.open(path) as file, pybigtools.open(path) as other:
            values = np.concatenate([track_of(file, name, length) for name, length in LENGTHS.items()])
            said = values[~np.isnan(values)]
            header, info = file.header(), other.info()["summary"]
            assert header["nBasesCovered"] == info["basesCovered"] == len(said) == row["bases"]
            assert info["sum"] == pytest.approx(said.sum(), rel=1e-6)
            assert header["sumSquared"] == pytest.approx((said**2).sum(), abs=1)
            assert info["std"] == pytest.approx(said.std(), rel=1e-3)
            assert (info["min"], info["max"]) == pytest.approx((said.min(), said.max()), abs=1e-7)
            assert header["nLevels"] >= 1
            for _ in range(50):
                contig = places.choice(["chrB", "chrA", "unasked"])
                start = places.randrange(LENGTHS[contig] - 60)
                one = np.array(file.values(contig, start, start + 60), np.float32)
                two = other.values(contig, start, start + 60, fillna=np.nan)
                np.testing.assert_array_equal(one, two.astype(np.float32))
            for kind in ("mean", "min", "max", "coverage"):
                for zoomed, exact in zip(
                    file.stats("chrB", 0, 7_000, type=kind, nBins=3, exact=False),
                    file.stats("chrB", 0, 7_000, type=kind, nBins=3, exact=True),
                    strict=True,
                ):
                    assert zoomed == pytest.approx(exact, abs=0.08)
            assert file.stats("allN", 0, 500) == [None]


def test_all_calls_are_those_of_the_markers_in_order(tracks: Path) -> None:
    combined, order = rows_of_bed(tracks / "calls.bed"), list(LENGTHS)
    rows = manifest(tracks)["tracks"]
    single = [[*row[:3], of["marker"], *row[4:]] for of in rows for row in rows_of_bed(tracks / of["bed"])]
    assert sorted(combined) == sorted(single)
    keys = [(order.index(row[0]), int(row[1]), int(row[2])) for row in combined]
    assert keys == sorted(keys)
    assert {row[0] for row in combined} >= {"chrB", "chrA", "unasked"}
    for of in rows:
        names = [row[3] for row in rows_of_bed(tracks / of["bed"])]
        assert names == [f"{of['bed'][:-4]}_{number + 1}" for number in range(len(names))]


def test_the_manifest_says_what_is_there(tracks: Path, runs: Runs) -> None:
    record = manifest(tracks)
    assert (record["format"], record["format_version"]) == ("dilannot-tracks", 3)
    assert record["model"] == "toy-around"
    assert [(name, length) for name, length, _ in record["contigs"]] == list(LENGTHS.items())
    assert [md5 for _, _, md5 in record["contigs"]] == [each["md5"] for each in read_run(runs["toy-around"]).contigs]
    assert record["regions"] == [f"{name}:1-{length:,}" for name, length in LENGTHS.items()]
    assert record["nucleotides"] == sum(len(sequence) - sequence.count("N") for sequence in CONTIGS.values())
    assert record["weights_sha256"] == load_network(read_run(runs["toy-around"])).sha256
    options = ("precision", "min_score", "bin", "rc", "window_mode", "tile", "threshold", "merge_gap", "min_length")
    assert [record[key] for key in options] == [0.01, None, 1, False, False, 400, None, 50, 5]
    assert [row["marker"] for row in record["tracks"]] == [marker.name for marker in MARKERS]
    assert [row["class"] for row in record["tracks"]] == ["TFBS", "TFBS", "histone"]
    assert [row["threshold"] for row in record["tracks"]] == [0.5, 0.6, 0.5]  # the last had no positives to choose by
    assert sorted([*record["files"], "tracks.json"]) == sorted(os.listdir(tracks))
    assert describe(tracks)["missing"] == []
    assert describe(tracks)["classes"] == {"TFBS": 2, "histone": 1}


def test_names_of_colliding_markers_differ(tracks: Path) -> None:
    """Two differ by case only, and one is called as the file of all calls."""
    files = [row["bigwig"] for row in manifest(tracks)["tracks"]]
    assert files[0] == "K562_CTCF.bw"
    assert files[1].startswith("k562_ctcf-")
    assert files[2].startswith("calls-")
    beds = [name[:-3] + ".bed" for name in files]
    assert sorted(os.listdir(tracks)) == sorted([*files, *beds, "calls.bed", "tracks.json"])


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("dilated", {"tile": 500}),
        ("dilated", {"tile": 500, "both_strands": True}),
        ("id-cnn", {"tile": 300, "bin_length": 4}),
        ("bilstm", {}),
        ("danq", {"tile": 400, "both_strands": True}),
        ("kmer", {"tile": 400}),
        ("toy-around", {"tile": 480, "bin_length": 12}),
    ],
)
def test_threads_change_no_byte_and_batches_the_last_digit_at_most(
    runs: Runs, tmp_path: Path, name: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries add up in another order for several tiles at once; what is exact in any order stays the same bytes."""
    monkeypatch.setattr("dilannot.annotate.blocks.LENGTH", 1_500)
    settings = Settings(**given, precision=0.001, min_score=0)
    for folder, threads, batch_size in (("one", 1, 1), ("threads", 4, 1), ("batches", 1, 5), ("both", 3, 5)):
        annotate(
            runs[name], output=tmp_path / folder, settings=settings, device="cpu", threads=threads,
            batch_size=batch_size,
        )  # fmt: skip
    assert contents(tmp_path / "one") == contents(tmp_path / "threads")
    assert contents(tmp_path / "batches") == contents(tmp_path / "both")
    if name.startswith("toy"):
        assert contents(tmp_path / "one", "tracks.json") == contents(tmp_path / "batches", "tracks.json")
    for row in manifest(tmp_path / "one")["tracks"]:
        found = []
        for folder in ("one", "batches"):
            with pyBigWig.open(str(tmp_path / folder / row["bigwig"])) as file:
                values = [track_of(file, contig, length) for contig, length in LENGTHS.items()]
                found.append(np.nan_to_num(np.concatenate(values), nan=-1))
        assert np.abs(found[0] - found[1]).max() < 0.00101
        assert (found[0] != found[1]).mean() < 0.005


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("dilated", {"tile": 500, "precision": 0.0001, "merge_gap": 3, "min_length": 2}),
        ("dilated", {"bin_length": 70, "min_score": 0}),
        ("bilstm", {"both_strands": True, "min_score": 0.3}),
        ("danq", {"min_score": 0, "merge_gap": 0, "min_length": 1}),
    ],
)
def test_the_encoder_of_a_gpu_makes_the_same_bytes(
    runs: Runs, tmp_path: Path, name: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(**given)
    annotate(runs[name], output=tmp_path / "one", settings=settings, device="cpu", threads=1)
    made: list[WithTorch] = []

    def encoder(*arguments: Any) -> WithTorch:
        made.append(WithTorch(*arguments))
        return made[-1]

    monkeypatch.setattr("dilannot.annotate.stream.TileEncoder", encoder)
    annotate(runs[name], output=tmp_path / "two", settings=settings, device="cpu", threads=1)
    assert made
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("dilated", {"both_strands": True}), ("id-cnn", {"bin_length": 7}), ("bilstm", {}), ("danq", {}), ("kmer", {}),
        ("deepsea", {"both_strands": True}), ("toy-around", {"both_strands": True}), ("toy-mean", {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("chosen", [[0, 2], [1]], ids=str)
def test_some_markers_get_the_files_of_all(
    runs: Runs, tmp_path: Path, name: str, given: dict[str, Any], chosen: list[int]
) -> None:
    """Their names, too: markers that collide with one that is not asked for are called as if it were."""
    settings = Settings(**given)
    annotate(runs[name], output=tmp_path / "all", settings=settings, device="cpu", threads=1)
    scope = Scope(markers=[MARKERS[at].name for at in chosen][::-1])
    annotate(runs[name], output=tmp_path / "some", scope=scope, settings=settings, device="cpu", threads=1)
    rows = manifest(tmp_path / "some")["tracks"]
    assert rows == [manifest(tmp_path / "all")["tracks"][at] for at in chosen]
    every, some = contents(tmp_path / "all"), contents(tmp_path / "some")
    assert len(some) == 2 * len(chosen) + 2
    for row in rows:
        assert some[row["bigwig"]] == every[row["bigwig"]]
        assert some[row["bed"]] == every[row["bed"]]
    names = {row["marker"] for row in rows}
    kept = [row for row in rows_of_bed(tmp_path / "all/calls.bed") if row[3] in names]
    assert rows_of_bed(tmp_path / "some/calls.bed") == kept


@pytest.mark.parametrize("region", ["chrB:4,067-6,901", "chrA:-10", "chrB:7011-7011", "bit", "chrB:1,400-1,650"])
@pytest.mark.parametrize(("name", "width"), [("dilated", 1), ("dilated", 70), ("bilstm", 13), ("danq", 1)])
def test_a_region_equals_that_part_of_the_whole(
    runs: Runs, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, region: str, name: str, width: int
) -> None:
    whole = tmp_path_factory.getbasetemp() / f"whole-{name}-{width}"
    settings = Settings(bin_length=width, min_score=0)
    if not whole.exists():
        annotate(runs[name], output=whole, settings=settings, device="cpu", threads=1)
    annotate(runs[name], output=tmp_path / "t", scope=Scope([region]), settings=settings, device="cpu", threads=1)
    [text] = manifest(tmp_path / "t")["regions"]
    contig, _, positions = text.partition(":")
    start, end = (int(number.replace(",", "")) for number in positions.split("-"))
    for row in manifest(tmp_path / "t")["tracks"]:
        with (
            pyBigWig.open(str(whole / row["bigwig"])) as one,
            pyBigWig.open(str(tmp_path / "t" / row["bigwig"])) as two,
        ):
            assert two.chroms() == LENGTHS
            expected, found = track_of(one, contig, LENGTHS[contig]), track_of(two, contig, LENGTHS[contig])
            inside = slice(start - 1, end)
            np.testing.assert_array_equal(np.isnan(expected[inside]), np.isnan(found[inside]))
            # Tiles that are cut elsewhere may round to the next step.
            assert np.nanmax(np.abs(expected[inside] - found[inside])) < 0.0101
            assert (expected[inside] == found[inside]).sum() >= 0.97 * (~np.isnan(found)).sum()
            written = sum(last - first for each in LENGTHS for first, last, _ in two.intervals(each) or ())
            assert written == row["bases"] == (~np.isnan(found[inside])).sum()


def test_overlapping_regions_in_any_order_are_written_once(runs: Runs, tmp_path: Path) -> None:
    scope = Scope(["chrA:100-200", "chrB:750-760", "chrA:150-300", "bit"])
    made = annotate(runs["toy-around"], output=tmp_path / "t", scope=scope, threads=1)
    assert manifest(tmp_path / "t")["regions"] == ["chrB:750-760", "chrA:100-300", "bit:1-5"]
    assert made.nucleotides == 11 + 201 + 4


def test_a_contig_may_be_called_as_a_region_of_another(tmp_path: Path) -> None:
    genome = write_fasta(tmp_path / "g.fa", {"a": random_sequence(500, 1), "a:1-500": random_sequence(900, 2)})
    run = make_run(tmp_path / "run", genome, "toy-around")
    made = annotate(run, output=tmp_path / "t", settings=Settings(min_score=0), threads=1)
    assert manifest(tmp_path / "t")["regions"] == ["a:1-500", "a:1-500:1-900"]
    assert {row["bases"] for row in made.tracks} == {1_400}
    with pyBigWig.open(str(tmp_path / "t" / made.tracks[0]["bigwig"])) as file:
        assert [file.intervals(name)[-1][1] for name in ("a", "a:1-500")] == [500, 900]


def test_zeros_are_values_and_only_n_is_a_gap_without_a_least_score(runs: Runs, tmp_path: Path) -> None:
    settings = Settings(min_score=0, precision=1)
    made = annotate(runs["toy-around"], output=tmp_path / "t", settings=settings, threads=1)
    for row in made.tracks:
        assert row["bases"] == made.nucleotides
        with pyBigWig.open(str(tmp_path / "t" / row["bigwig"])) as file:
            values = track_of(file, "chrB", LENGTHS["chrB"])
            assert (np.isnan(values) == np.array([base == "N" for base in CONTIGS["chrB"]])).all()
            assert set(values[~np.isnan(values)]) == {0, 1}


@pytest.mark.parametrize("packed", [False, True])
def test_empty_tracks_are_valid(runs: Runs, tmp_path: Path, packed: bool) -> None:
    """Nothing reaches 1, or the threshold."""
    settings = Settings(min_score=1, precision=0.0001, threshold=1, bgzip=packed, bigbed=packed)
    made = annotate(runs["dilated"], output=tmp_path / "t", settings=settings, threads=1)
    for row in made.tracks:
        assert (row["bases"], row["calls"], row["called_bases"]) == (0, 0, 0)
        path = str(tmp_path / "t" / row["bigwig"])
        with pyBigWig.open(path) as file, pybigtools.open(path) as other:
            assert file.chroms() == LENGTHS == other.chroms()
            assert file.header()["nBasesCovered"] == 0
            assert file.intervals("chrB") is None
            assert np.isnan(other.values("chrB", 0, 100, fillna=np.nan)).all()
        if packed:
            assert list(pysam.TabixFile(str(tmp_path / "t" / row["bed"])).fetch()) == []
        else:
            assert rows_of_bed(tmp_path / "t" / row["bed"]) == []
    if packed:
        # Of nothing there is no bigBed, and the manifest names none.
        assert not (tmp_path / "t/calls.bb").exists()
        assert "calls.bb" not in manifest(tmp_path / "t")["files"]
    else:
        assert rows_of_bed(tmp_path / "t/calls.bed") == []


def test_bgzip_and_bigbed_hold_the_same_calls(runs: Runs, tracks: Path, tmp_path: Path) -> None:
    settings = Settings(tile=400, min_length=5, bgzip=True, bigbed=True)
    annotate(runs["toy-around"], output=tmp_path / "t", settings=settings, device="cpu", threads=2)
    for row, plain in zip(manifest(tmp_path / "t")["tracks"], manifest(tracks)["tracks"], strict=True):
        assert row["bed"] == plain["bed"] + ".gz"
        assert gzip.decompress((tmp_path / "t" / row["bed"]).read_bytes()) == (tracks / plain["bed"]).read_bytes()
        assert (tmp_path / "t" / row["bigwig"]).read_bytes() == (tracks / plain["bigwig"]).read_bytes()
    combined = rows_of_bed(tracks / "calls.bed")
    with pysam.TabixFile(str(tmp_path / "t/calls.bed.gz")) as file:
        assert [line.split("\t") for name in LENGTHS if name in file.contigs for line in file.fetch(name)] == combined
    with pybigtools.open(str(tmp_path / "t/calls.bb")) as bigbed:
        for name, length in LENGTHS.items():
            expected = [(int(row[1]), int(row[2]), *row[3:]) for row in combined if row[0] == name]
            assert (list(bigbed.records(name, 0, length)) if expected else []) == expected
    assert {"calls.bb", "calls.bed.gz", "calls.bed.gz.tbi"} <= set(manifest(tmp_path / "t")["files"])
    assert sorted([*manifest(tmp_path / "t")["files"], "tracks.json"]) == sorted(os.listdir(tmp_path / "t"))


class Heard(Silent):
    """What is said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.warned.append(message)


def test_thresholds_below_the_step_of_a_track_call_right_and_are_warned_of(
    runs: Runs, genome: Genome, tmp_path: Path
) -> None:
    expected = {name: values * 1.0 for name, values in whole_pass(runs["dilated"], genome).items()}
    together = np.concatenate(
        [values[:, genome.fetch(name, 0, LENGTHS[name]) != 0] for name, values in expected.items()], axis=1
    )
    thresholds = clear_thresholds(together, 0.02)
    precision = 0.5
    assert (thresholds < precision).all()
    call_from(runs["dilated"], thresholds)
    heard, settings = Heard(), Settings(precision=precision, merge_gap=0, min_length=1)
    annotate(runs["dilated"], output=tmp_path / "t", settings=settings, threads=1, progress=heard)
    assert [text for text in heard.warned if "3 of 3 markers are called below 0.5, the step of a track" in text]
    for marker, row in enumerate(manifest(tmp_path / "t")["tracks"]):
        assert row["min_score"] == 0.5
        for name, values in expected.items():
            known = genome.fetch(name, 0, LENGTHS[name]) != 0
            by_rule = calls_of(values[marker], known, thresholds[marker], 0, 1)
            assert_calls(calls_in_bed(tmp_path / "t" / row["bed"], name), by_rule, values[marker])


def test_existing_tracks_are_kept_without_force_and_replaced_whole_with_it(
    runs: Runs, genome: Genome, tmp_path: Path
) -> None:
    output = tmp_path / "t"
    annotate(runs["toy-around"], output=output, scope=Scope(["bit"]), threads=1)
    before = contents(output)
    with pytest.raises(DilannotError, match="exists already"):
        annotate(runs["toy-around"], output=output, scope=Scope(["chrA:1-100"]), threads=1)
    assert contents(output) == before
    (output / "mine.txt").write_text("keep")
    other = make_run(tmp_path / "other", genome.path, "toy-bases", 1)
    annotate(other, output=output, scope=Scope(["chrA:1-100"]), force=True, threads=1)
    assert sorted(os.listdir(output)) == ["A_1.bed", "A_1.bw", "calls.bed", "mine.txt", "tracks.json"]
    assert manifest(output)["model"] == "toy-bases"


def test_numbers_that_are_none_leave_no_files(genome: Genome, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", genome.path, "toy-around")
    weights = load_network(read_run(run)).network.state_dict()
    weights["weights"].copy_(weights["weights"].sign() * 3e38)  # finite, and their sums are not
    save_weights(read_run(run), "best", weights, epoch=1, thresholds=dict.fromkeys(RULES, np.full(3, 0.5)))
    with pytest.raises(DilannotError, match="the network gives no numbers"):
        annotate(run, output=tmp_path / "t", scope=Scope(["chrA"]), threads=2)
    assert not (tmp_path / "t").exists()


def test_too_little_memory_is_an_environment_error(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr("dilannot.walk.pieces", full)
    heard = Heard()
    with pytest.raises(DilannotError, match="one tile is too much for the memory of cpu") as error:
        # One block: another one, of nothing but N, would be made and kept.
        annotate(
            runs["dilated"], output=tmp_path / "t", scope=Scope(["chrA:401-1,600"]), settings=Settings(tile=100),
            batch_size=4, threads=1, progress=heard,
        )  # fmt: skip
    assert error.value.exit_code == ENVIRONMENT
    assert [text for text in heard.warned if "memory" in text] == [
        "too little memory for 4 tiles at once; going on with 2",
        "too little memory for 2 tiles at once; going on with 1",
    ]
    assert not (tmp_path / "t").exists()


class Full:
    """A disk with so little free."""

    def __init__(self, free: int) -> None:
        self.free = free


def test_a_disk_that_is_too_small_is_refused_before_much_is_made(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the first blocks tell how much it will be, and these go again; and by --dry-run."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: Full(1_000))
    monkeypatch.setattr("dilannot.annotate.blocks.LENGTH", 400)
    for go in (annotate, survey):
        with pytest.raises(DilannotError, match=r"needs about .* MB and 0\.0 MB are free") as error:
            go(runs["dilated"], output=tmp_path / "t", threads=1)
        assert error.value.exit_code == ENVIRONMENT
        assert all(option in str(error.value.remedy) for option in ("--bin", "--min-score", "--markers"))
        assert not (tmp_path / "t").exists()


def test_a_disk_that_gets_full_is_an_error_and_what_is_made_stays_hidden(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: Full(1_000))
        with pytest.raises(DilannotError, match=r"needs about .* are free") as error:
            annotate(runs["toy-around"], output=tmp_path / "t", scope=Scope(["chrA"]), threads=1)
    assert error.value.exit_code == ENVIRONMENT
    assert all(name.startswith(".") for name in os.listdir(tmp_path / "t"))
    for folder in ("t", "again"):
        annotate(runs["toy-around"], output=tmp_path / folder, scope=Scope(["chrA"]), threads=1)
    assert contents(tmp_path / "t") == contents(tmp_path / "again")


def test_a_changed_genome_is_refused_and_another_is_warned_of(tmp_path: Path) -> None:
    genome = write_fasta(tmp_path / "genome.fa", {"chr2": random_sequence(3_000, 9)})
    text = genome.read_text()
    run = make_run(tmp_path / "run", genome, "toy-bases")
    at = text.index("\n") + 1_000
    genome.write_text(text[:at] + ("C" if text[at] in "Aa" else "A") + text[at + 1 :])
    with pytest.raises(DilannotError, match="MD5"):
        annotate(run, output=tmp_path / "t", threads=1)
    assert not (tmp_path / "t").exists()
    yeast = write_fasta(tmp_path / "yeast.fa", {"chrIV": random_sequence(500, 10)})
    for number, (other, why) in enumerate(((genome, "chr2 differs"), (yeast, "has no chr2: whether it is the genome"))):
        heard = Heard()
        annotate(run, other, output=tmp_path / f"t{number}", threads=1, progress=heard)
        assert [text for text in heard.warned if why in text]
        assert manifest(tmp_path / f"t{number}")["genome"] == other.name
    genome.unlink()
    with pytest.raises(DilannotError, match="not at .* any more"):
        annotate(run, output=tmp_path / "t2", threads=1)


def test_a_region_of_nothing_but_n_is_refused(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(DilannotError, match="nothing but N"):
        annotate(runs["toy-around"], output=tmp_path / "t", scope=Scope(["allN", "chrB:10-20"]), threads=1)
    assert not (tmp_path / "t").exists()


def test_folders_with_other_things_are_left_alone(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "peaks.bed").write_text("mine")
    for output in (tmp_path / "data", runs["toy-around"]):
        before = sorted(os.listdir(output))
        with pytest.raises(DilannotError, match="other things in it"):
            annotate(runs["toy-around"], output=output, scope=Scope(["bit"]), threads=1, force=True)
        assert sorted(os.listdir(output)) == before


def test_a_survey_says_what_would_be_done_and_writes_nothing(runs: Runs, tmp_path: Path) -> None:
    settings = Settings(tile=500)
    lines = survey(runs["dilated"], output=tmp_path / "t", settings=settings, device="cpu", threads=2)
    tiles = sum(-(-length // 500) for length in LENGTHS.values())
    assert lines[0] == (
        f"{sum(LENGTHS.values()):,} nt of genome.fa in {tiles} tiles of 500 nt, 3 markers, on cpu (2 threads)"
    )
    assert lines[1].startswith("about ")
    assert all(word in lines[1] for word in (" s, ", "KB of tracks", "of memory"))
    assert lines[-1] == f"into {tmp_path / 't'}"
    assert os.listdir(tmp_path) == []
