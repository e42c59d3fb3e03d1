"""Tracks are judged as if every score lay along the genome: counts, AUCs and blocks are those of dense arrays."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyBigWig
import pytest
from conftest import make_run, random_sequence, write_fasta
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from small_annotations import annotated, small_genome, small_run

from dilannot.annotate.plan import Scope
from dilannot.errors import DilannotError
from dilannot.evaluate.protocol import Protocol
from dilannot.evaluate.tracks.evaluate import Counted, count_tracks, evaluate_tracks
from dilannot.evaluate.tracks.places import cut_into_blocks
from dilannot.metrics.keys import COARSE, KEYS, ZERO, coarse_edges, key_values
from dilannot.progress import Silent

Dense = NDArray[np.float64]
Peaks = list[tuple[str, int, int]]


class Heard(Silent):
    """What is warned of."""

    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, message: str) -> None:
        self.warned.append(message)


def count(tracks: Path, peaks: Sequence[Path], **options: Any) -> Counted:
    """Some of the options are those of a protocol."""
    own = {name: options.pop(name) for name in Protocol.__dataclass_fields__ if name in options}
    return count_tracks(tracks, peaks, protocol=Protocol(**own), **options)


@dataclass
class World:
    """Tracks of another tool, peaks and perhaps a genome, in a folder; all of it also as dense arrays.

    `scores` are (L,) arrays by contig and marker, NaN where there is no value.
    """

    folder: Path
    lengths: dict[str, int]
    scores: dict[str, dict[str, Dense]]
    peaks: dict[str, Peaks]
    unknown: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, of_contigs in self.scores.items():
            write_track(self.folder / "tracks" / f"{name}.bw", self.lengths, of_contigs)
        for name, rows in self.peaks.items():
            write_peaks(self.folder / "peaks" / f"{name}.narrowPeak", rows)
        contigs = {
            name: random_sequence(length, 1, tuple(self.unknown.get(name, ()))) for name, length in self.lengths.items()
        }
        self.genome = write_fasta(self.folder / "genome.fa", contigs)

    def judge(self, **options: Any) -> Counted:
        return count(self.folder / "tracks", [self.folder / "peaks"], threads=2, **options)

    def dense(
        self, judged: Mapping[str, NDArray[np.bool_]], unit: int = 1, missing: str = "zero", genome: bool = False
    ) -> dict[str, tuple[Dense, NDArray[np.bool_]]]:
        """Scores and labels of every marker at all positions or bins that count, one after the other."""
        result: dict[str, list[tuple[Dense, NDArray[np.bool_]]]] = {name: [] for name in self.scores}
        for contig, length in self.lengths.items():
            if contig not in judged:
                continue
            counts: NDArray[np.bool_] = judged[contig].copy()
            if genome:
                for start, end in self.unknown.get(contig, ()):
                    counts[start:end] = False
            bins = length // unit
            counts = np.all(counts[: bins * unit].reshape(bins, unit), axis=1)
            blank = np.full(length, np.nan)
            tracks = {
                name: of.get(contig, blank)[: bins * unit].reshape(bins, unit) for name, of in self.scores.items()
            }
            if missing == "skip":
                counts &= np.any([~np.isnan(track).all(1) for track in tracks.values()], axis=0)
            for name, track in tracks.items():
                divisor = np.maximum((~np.isnan(track)).sum(1), 1) if missing == "skip" else unit
                label = np.zeros(length, bool)
                for _, start, end in (row for row in self.peaks[name] if row[0] == contig):
                    label[start:end] = True
                label = label[: bins * unit].reshape(bins, unit).mean(1) > 0.5
                result[name].append(((np.nansum(track, 1) / divisor)[counts], label[counts]))
        return {name: (np.concatenate(a), np.concatenate(b)) for name, (a, b) in ((k, tuple(zip(*v, strict=True)))
                                                                                 for k, v in result.items())}  # fmt: skip


def write_track(path: Path, lengths: Mapping[str, int], scores: Mapping[str, Dense], zooms: int = 1) -> Path:
    """A value at a time, so that where one run ends and the next begins is up to the writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(lengths.items()), maxZooms=zooms)
        for contig in lengths:
            values = scores.get(contig, np.zeros(0))
            edges = np.flatnonzero(np.diff(values, prepend=np.nan)) if len(values) else values.astype(int)
            last = np.append(edges[1:], len(values))
            there = ~np.isnan(values[edges])
            if there.any():
                starts, ends = edges[there].tolist(), last[there].tolist()
                file.addEntries([contig] * len(starts), starts, ends=ends, values=values[edges][there].tolist())
    return path


def write_peaks(path: Path, rows: Peaks) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{contig}\t{start}\t{end}\n" for contig, start, end in rows))
    return path


def keys(scores: Dense) -> NDArray[np.int64]:
    """By looking each half-precision number up among those that keys stand for; -0.0 is 0.0."""
    values = key_values()
    there = np.flatnonzero(np.isfinite(values))
    return there[np.searchsorted(values[there], scores.astype(np.float16).astype(float), "right") - 1]


def assert_counts(judged: Counted, expected: Mapping[str, tuple[Dense, NDArray[np.bool_]]], unit: int = 1) -> None:
    """All histograms, and the two AUCs by scikit-learn."""
    histograms = judged.histograms
    assert [marker.name for marker in judged.markers] == list(expected)
    total = len(next(iter(expected.values()))[0])
    assert judged.protocol["positions"] == histograms.positions == total
    assert histograms.edges is not None
    block = np.arange(total) // (judged.block_length // unit)
    assert histograms.blocks == block[-1] + 1 <= 100
    for row, (scores, labels) in enumerate(expected.values()):
        key = keys(scores * judged.scales[row])
        for which, counts, coarse in (
            (np.ones(total, bool), histograms.everything, histograms.coarse_everything),
            (labels, histograms.positive, histograms.coarse_positive),
        ):
            np.testing.assert_array_equal(counts[row], np.bincount(key[which], minlength=KEYS))
            place = np.searchsorted(histograms.edges[row], key[which], "right") - 1
            table = np.zeros((histograms.blocks, COARSE), np.int64)
            np.add.at(table, (block[which], place), 1)
            np.testing.assert_array_equal(coarse[:, row], table)
        if labels.any() and not labels.all():
            counts = np.stack((histograms.everything[row] - histograms.positive[row], histograms.positive[row]))
            label, at = np.nonzero(counts)
            rounded = (scores * judged.scales[row]).astype(np.float16)
            for figure in (roc_auc_score, average_precision_score):
                ours = figure(label, key_values()[at], sample_weight=counts[label, at])
                assert ours == pytest.approx(figure(labels, rounded), abs=1e-9)


def everything(lengths: Mapping[str, int], *contigs: str) -> dict[str, NDArray[np.bool_]]:
    return {name: np.ones(length, bool) for name, length in lengths.items() if not contigs or name in contigs}


LENGTHS = {"chr1": 3_011, "chr2": 1_200, "chrEmpty": 700, "chr10": 45}


def scores_in_runs(length: int, seed: int, levels: Sequence[float], gaps: float = 0.3) -> Dense:
    """Runs of some levels and of nothing."""
    random = np.random.default_rng(seed)
    choice = np.array([*levels, np.nan])
    chances = np.array([(1 - gaps) / len(levels)] * len(levels) + [gaps])
    return np.repeat(random.choice(choice, length, p=chances), random.integers(1, 40, length))[:length]


def some_peaks(seed: int, lengths: Mapping[str, int]) -> Peaks:
    """They overlap, touch, and come in any order."""
    random = np.random.default_rng(seed)
    rows = []
    for contig, length in lengths.items():
        for start in random.integers(0, length - 1, length // 150 + 1).tolist():
            rows.append((contig, start, min(length, start + int(random.integers(1, 160)))))
    return [rows[i] for i in random.permutation(len(rows))]


def make_world(folder: Path, levels: Sequence[float], lengths: Mapping[str, int] | None = None) -> World:
    lengths = dict(lengths or LENGTHS)
    scores = {
        name: {
            contig: scores_in_runs(length, 10 * seed + place, levels)
            for place, (contig, length) in enumerate(lengths.items())
            if contig != "chrEmpty"
        }
        for seed, name in enumerate(("A_ctcf", "B_dnase", "C_h3k4me3"))
    }
    peaks = {name: some_peaks(seed, lengths) for seed, name in enumerate(scores)}
    unknown = {"chr1": [(0, 311), (1_000, 1_001), (2_900, 3_011)], "chr10": [(0, 45)]}
    return World(folder, lengths, scores, peaks, unknown)


PROBABILITIES = (0.0, 0.01, 0.02, 0.25, 0.5, 0.999, 1.0)
OTHERS = (-3.5, -0.1, 0.0, 1e-5, 0.1, 2.0, 700.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), PROBABILITIES)


@pytest.mark.parametrize("unit", [1, 7, 200])
@pytest.mark.parametrize("missing", ["zero", "skip"])
@pytest.mark.parametrize("genome", [False, True])
@pytest.mark.parametrize("levels", [PROBABILITIES, OTHERS], ids=["probabilities", "any"])
def test_counts_are_those_of_dense_arrays(
    tmp_path: Path, unit: int, missing: Any, genome: bool, levels: Sequence[float]
) -> None:
    world = make_world(tmp_path, levels)
    judged = world.judge(bin_length=unit, missing=missing, genome=world.genome if genome else None)
    assert judged.histograms.space == ("probability" if levels is PROBABILITIES else "score")
    everywhere = everything(world.lengths, "chr1", "chr2", "chr10")  # no track has a value on the other one
    assert_counts(judged, world.dense(everywhere, unit, missing, genome), unit)


def test_regions_are_those_of_samtools(world: World, tmp_path: Path) -> None:
    bed = write_peaks(tmp_path / "r.bed", [("chr10", 3, 40), ("chr1", 100, 700)])
    judged = world.judge(
        regions=["chr1:501-1,000", "chr2:1,100-"], regions_file=bed, exclude=["chr1:150-160", "chr10:20-20"]
    )
    where = {name: np.zeros(length, bool) for name, length in LENGTHS.items()}
    where["chr1"][500:1_000] = where["chr2"][1_099:] = where["chr10"][3:40] = where["chr1"][100:700] = True
    where["chr1"][149:160] = where["chr10"][19] = False
    assert_counts(judged, world.dense(where))
    assert judged.protocol["regions"][:2] == ["chr1:101-149", "chr1:161-1,000"]
    binned = world.judge(regions=["chr1:6-1,000"], bin_length=50)
    where = {"chr1": np.zeros(3_011, bool)}
    where["chr1"][5:1_000] = True
    assert_counts(binned, world.dense(where, 50), 50)
    assert binned.protocol["positions"] == 19, "the first bin lies in the region only in part"


def test_a_contig_without_values_counts_only_where_it_is_asked_for(world: World) -> None:
    judged = world.judge(regions=["chrEmpty", "chr2"])
    assert_counts(judged, world.dense(everything(LENGTHS, "chrEmpty", "chr2")))
    assert judged.histograms.everything[:, 1 << 15].min() >= 700


def test_the_same_positions_have_the_same_digest(world: World) -> None:
    whole = world.judge().protocol["positions_sha256"]
    assert whole == world.judge(regions=["chr10", "chr1", "chr2"], missing="zero").protocol["positions_sha256"]
    others = [world.judge(regions=["chr1"]), world.judge(bin_length=5), world.judge(genome=world.genome)]
    assert len({whole, *(each.protocol["positions_sha256"] for each in others)}) == 4


@pytest.mark.parametrize(
    ("levels", "scaled"),
    [
        ((1.0, 3e5, 1e6), True),
        ((-3e38, 1e37, 3e38), True),
        ((0.0, 1e-30, 3e-30, -1e-30), True),
        ((-65_504.0, 65_504.0), False),
        ((-0.5, 0.5), False),
        ((0.0, 1e-3), False),
        ((-0.0, 0.0, 1.5), False),
    ],
)
def test_huge_and_tiny_scores_keep_their_ranks(tmp_path: Path, levels: Sequence[float], scaled: bool) -> None:
    world = make_world(tmp_path, levels)
    judged = world.judge()
    assert all((np.log2(scale) % 1 == 0) and (scale != 1) == scaled for scale in judged.scales)
    expected = world.dense(everything(LENGTHS, "chr1", "chr2", "chr10"))
    assert_counts(judged, expected)
    for row, (scores, labels) in enumerate(expected.values()):
        counts = np.stack((judged.histograms.everything[row] - judged.histograms.positive[row],
                           judged.histograms.positive[row]))  # fmt: skip
        label, at = np.nonzero(counts)
        ours = roc_auc_score(label, key_values()[at], sample_weight=counts[label, at])
        assert ours == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)


def test_headers_that_lie_are_found_out(tmp_path: Path) -> None:
    """libBigWig writes no maximum where values fall all the time; others forget the summary."""
    world = make_world(tmp_path, (0.5, 3e6))
    for path in (tmp_path / "tracks").iterdir():
        claim_range(path, 0.0, 1.0)
    expected = world.dense(everything(LENGTHS, "chr1", "chr2", "chr10"))
    judged = world.judge()
    assert judged.histograms.space == "score"
    assert_counts(judged, expected)
    for path in (tmp_path / "tracks").iterdir():
        data = bytearray(path.read_bytes())
        data[44:52] = bytes(8)
        path.write_bytes(data)
    assert_counts(world.judge(), expected)


def claim_range(path: Path, low: float, high: float) -> None:
    """In the summary of a bigWig's header."""
    data = bytearray(path.read_bytes())
    summary = int.from_bytes(data[44:52], "little")
    data[summary + 8 : summary + 24] = np.array([low, high]).tobytes()
    path.write_bytes(data)


@pytest.mark.parametrize("factor", [1.0, 8.0, -8.0, 1e6])
@pytest.mark.parametrize("wrong", [False, True])
def test_coarse_bins_lie_where_the_scores_of_a_track_do(tmp_path: Path, factor: float, wrong: bool) -> None:
    """The zeros of gaps have one of their own; a header that names too narrow a range is found out."""
    values = np.random.default_rng(0).uniform(0.3, 0.9, 5_000)
    values[:1_000] = np.nan
    for name, scale in (("a", factor), ("b", 0.01)):
        write_track(tmp_path / f"t/{name}.bw", {"c": 5_000}, {"c": values * scale})
        write_peaks(tmp_path / f"p/{name}.bed", [("c", 900, 2_000)])
    # libBigWig names a maximum of zero where there are negative values only.
    claim_range(tmp_path / "t/a.bw", *sorted((0.4 * factor, 0.5 * factor) if wrong else (0.3 * factor, 0.9 * factor)))
    judged = count(tmp_path / "t", [tmp_path / "p"]).histograms
    assert judged.edges is not None
    coarse = judged.coarse_everything.sum(axis=0)
    assert ((coarse > 0).sum(axis=1) > 100).all()
    zeros = np.searchsorted(judged.edges[0], ZERO, "right") - 1
    assert coarse[0, zeros] == 1_000
    assert coarse[1, np.searchsorted(judged.edges[1], ZERO, "right") - 1] == 1_000


def test_edges_are_those_of_the_ranges_in_headers(world: World) -> None:
    judged = world.judge(regions=["chr10"])
    assert judged.histograms.edges is not None
    edges = coarse_edges(np.zeros(3), np.ones(3), "probability")
    np.testing.assert_array_equal(judged.histograms.edges, edges)


def test_there_is_no_log_loss_where_a_positive_has_no_probability(tmp_path: Path) -> None:
    """A position that a track leaves out is no claim of its own that nothing can be there."""
    values = np.random.default_rng(0).uniform(0.1, 0.9, 1_000).astype(np.float16).astype(float)
    values[500:] = np.nan
    labels = np.zeros(1_000, bool)
    write_track(tmp_path / "t/gap.bw", {"c": 1_000}, {"c": values})
    write_track(tmp_path / "t/none.bw", {"c": 1_000}, {"c": values})
    write_peaks(tmp_path / "p/gap.bed", [("c", 400, 501)])
    write_peaks(tmp_path / "p/none.bed", [("c", 400, 500)])
    scores = evaluate_tracks(tmp_path / "t", [tmp_path / "p"], protocol=Protocol(replicates=0)).scores
    labels[400:500] = True
    assert np.isnan(scores.log_loss[0])
    assert scores.log_loss[1] == pytest.approx(log_loss(labels, np.nan_to_num(values)))
    assert np.isfinite(scores.calibration_error).all()


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of a `World`, and how it is judged."""
    lengths = {f"c{i}": length for i, length in enumerate(draw(st.lists(st.integers(1, 60), min_size=1, max_size=3)))}
    values = st.sampled_from([np.nan, np.nan, -0.0, 0.0, 0.25, 0.3, 1.0, *draw(st.sampled_from([(), (-2.0, 1e9)]))])
    stretch = {name: st.tuples(*[st.integers(0, length)] * 2).map(sorted) for name, length in lengths.items()}

    def track() -> dict[str, Dense]:
        found = {}
        for name, length in lengths.items():
            runs = draw(st.lists(st.tuples(values, st.integers(1, 25)), max_size=12))
            found[name] = np.concatenate((*[np.full(width, value) for value, width in runs], np.full(length, np.nan)))
            found[name] = found[name][:length].astype(float)
        return found

    def stretches(most: int) -> list[tuple[str, int, int]]:
        rows = [(name, *draw(stretch[name])) for name in draw(st.lists(st.sampled_from(list(lengths)), max_size=most))]
        return [row for row in rows if row[1] < row[2]]

    names = ["x", "y"][: draw(st.integers(1, 2))]
    unknown: dict[str, list[tuple[int, int]]] = {}
    for name, start, end in stretches(3):
        unknown.setdefault(name, []).append((start, end))
    parts = {
        "lengths": lengths,
        "scores": {name: track() for name in names},
        "peaks": {name: [("c0", 0, 1), *stretches(6)] for name in names},
        "unknown": unknown,
    }
    asked, without = stretches(4), stretches(2)
    how = {"asked": asked, "without": without, "unit": draw(st.sampled_from([1, 1, 2, 3, 10])),
           "missing": draw(st.sampled_from(["zero", "skip"])), "genome": draw(st.booleans())}  # fmt: skip
    return parts, how


@given(worlds())
@settings(deadline=None, max_examples=100)
def test_any_tracks_and_peaks(case: tuple[dict[str, Any], dict[str, Any]]) -> None:
    parts, how = case
    lengths = parts["lengths"]
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), **parts)
        with_values = {name for name in lengths if any((~np.isnan(t[name])).any() for t in world.scores.values())}
        where = {name: np.full(length, not how["asked"]) for name, length in lengths.items()}
        for fill, rows in ((True, how["asked"]), (False, how["without"])):
            for name, start, end in rows:
                where[name][start:end] = fill
        if not how["asked"]:
            where = {name: mask for name, mask in where.items() if name in with_values}
        options: dict[str, Any] = {
            "regions": [f"{name}:{start + 1}-{end}" for name, start, end in how["asked"]],
            "exclude": [f"{name}:{start + 1}-{end}" for name, start, end in how["without"]],
            "bin_length": how["unit"],
            "missing": how["missing"],
            "genome": world.genome if how["genome"] else None,
        }
        expected = world.dense(where, how["unit"], how["missing"], how["genome"]) if where else {}
        if not any(labels.any() for _, labels in expected.values()):
            with pytest.raises(DilannotError):
                world.judge(**options)
            return
        judged = world.judge(**options)
        assert_counts(judged, expected, how["unit"])


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a genome, a run, tracks of two regions of it, and peaks."""
    folder = tmp_path_factory.mktemp("ours")
    genome = small_genome(folder)
    run = small_run(folder / "run", genome)
    annotated(run, folder / "tracks", scope=Scope(regions=["a:1-400", "b", "e:101-900"]), min_score=0.0)
    for name, seed in (("A|1", 1), ("a|1", 2), ("G C", 3)):
        write_peaks(folder / "peaks" / f"file{seed}.bed", some_peaks(seed, {"a": 900, "b": 431, "d": 777, "e": 1_201}))
        with open(folder / "peaks" / "markers.tsv", "a") as table:
            table.write(("name\tclass\tcell\tfile\n" if seed == 1 else "") + f"{name}\tTFBS\tK562\tfile{seed}.bed\n")
    return folder


def dense_of_ours(folder: Path, where: Mapping[str, tuple[int, int]]) -> dict[str, tuple[Dense, NDArray[np.bool_]]]:
    record = json.loads((folder / "tracks/tracks.json").read_text())
    result = {}
    for number, row in enumerate(record["tracks"], start=1):
        scores, labels = [], []
        peaks = [line.split("\t") for line in (folder / f"peaks/file{number}.bed").read_text().splitlines()]
        with pyBigWig.open(str(folder / "tracks" / row["bigwig"])) as file:
            for contig, (start, end) in where.items():
                scores.append(np.nan_to_num(file.values(contig, start, end, numpy=True)).astype(float))
                label = np.zeros(file.chroms(contig), bool)
                for name, first, last in peaks:
                    label[int(first) : int(last)] |= name == contig
                labels.append(label[start:end])
        result[row["marker"]] = np.concatenate(scores), np.concatenate(labels)
    return result


def test_our_own_tracks_are_judged_where_they_were_annotated(ours: Path) -> None:
    """Markers whose names differ in case only; names that are no file names."""
    heard = Heard()
    judged = count(ours / "tracks", [ours / "peaks"], threads=1, progress=heard)
    assert_counts(judged, dense_of_ours(ours, {"a": (0, 400), "b": (0, 431), "e": (100, 900)}))
    assert [text for text in heard.warned if "unknown bases (N) count" in text]
    assert judged.protocol["regions"] == ["a:1-400", "b:1-431", "e:101-900"]
    assert {marker.cell for marker in judged.markers} == {"K562"}
    some = count(ours / "tracks", [ours / "peaks"], markers=["G C"], regions=["e:1-500", "d"], threads=1)
    expected = dense_of_ours(ours, {"e": (100, 500)})
    assert_counts(some, {"G C": expected["G C"]})


def test_unknown_bases_do_not_count_with_the_genome(ours: Path) -> None:
    heard = Heard()
    judged = count(ours / "tracks", [ours / "peaks"], genome=ours / "genome.fa", progress=heard)
    assert judged.protocol["positions"] == 400 + 431 + 800 - 3 - 9
    judged = count(ours / "tracks", [ours / "peaks"], regions=["b"], progress=heard)
    assert [text for text in heard.warned if "unknown bases" in text] == [heard.warned[-1]]
    other = write_fasta(ours / "other.fa", {"a": random_sequence(900, 8), "b": "A" * 431, "e": "A" * 1_201})
    with pytest.raises(DilannotError, match="is not what was annotated"):
        count(ours / "tracks", [ours / "peaks"], genome=other)


def test_nothing_that_was_not_annotated_is_judged(ours: Path) -> None:
    with pytest.raises(DilannotError, match="nothing of these regions was annotated"):
        count(ours / "tracks", [ours / "peaks"], regions=["d"])


def test_contigs_that_are_called_like_regions(tmp_path: Path) -> None:
    genome = write_fasta(tmp_path / "g.fa", {"a": random_sequence(500, 1), "a:1-500": random_sequence(900, 2)})
    run = make_run(tmp_path / "run", genome, "toy-around", 1)
    annotated(run, tmp_path / "tracks")
    write_peaks(tmp_path / "peaks/A|1.bed", [("a", 100, 200), ("a:1-500", 800, 890)])
    judged = count(tmp_path / "tracks", [tmp_path / "peaks"])
    assert judged.protocol["positions"] == 1_400
    assert judged.histograms.positive.sum() == 190


def names_judged(
    folder: Path, tracks: Sequence[str], peaks: Sequence[str], **more: Any
) -> tuple[dict[str, int], list[str]]:
    """Which marker got which peak file's label count: the i-th file has i + 1 labels."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in tracks:
        write_track(folder / "tracks" / name, {"c": 100}, {"c": np.linspace(0, 1, 100)})
    for labels, name in enumerate(peaks, start=1):
        write_peaks(folder / "peaks" / name, [("c", 0, labels)])
    heard = Heard()
    judged = count(folder / "tracks", [folder / "peaks"], progress=heard, **more)
    counts = judged.histograms.positive.sum(1).tolist()
    return dict(zip([marker.name for marker in judged.markers], counts, strict=True)), heard.warned[:-1]


def test_tracks_are_matched_by_name(tmp_path: Path) -> None:
    def match(tracks: Sequence[str], peaks: Sequence[str], **more: Any) -> tuple[dict[str, int], list[str]]:
        return names_judged(tmp_path / "m", tracks, peaks, **more)

    found, warned = match(["x.bw"], ["other.bed"])
    assert (found, warned) == ({"other": 1}, ["judging 'x.bw' by 'other.bed': their names differ"]), "one of each"
    assert match(["X.bw"], ["x.bed"]) == ({"x": 1}, [])
    found, warned = match(["B.bigWig", "a.BW", "notes.txt.bw"], ["a.narrowPeak", "b.bed"])
    assert (found, len(warned)) == ({"b": 2, "a": 1}, 1)
    assert match(["A_B.bw", "x.bw"], ["a b.bed", "x.bed"])[0] == {"a b": 1, "x": 2}
    assert "1 track has no peaks and is not judged: 'notes.txt'" in warned[0]
    found, _ = match(["ctcf.bw", "CTCF.bw"], ["CTCF.bed", "ctcf.bed"])
    assert found == {"CTCF": 1, "ctcf": 2}
    found, _ = match(["K562_CTCF.bw", "G_C.bw"], ["G C.bed", "K562|CTCF.bed"])
    assert found == {"G C": 1, "K562|CTCF": 2}, "as dilannot writes names of files"
    found, warned = match(["a.bw", "Ctcf.bw"], ["a.bed", "CTCF.bed", "ctcf.bed"])
    assert found == {"a": 1}
    assert any("'Ctcf'" in text for text in warned), "it may mean two"
    assert any("2 markers have no track and are not judged: 'CTCF', 'ctcf'" in text for text in warned)
    found, warned = match(["a.bw", "b.bw", "d.bw"], ["a.bed", "b.bed", "e.bed"], markers=["b"])
    assert (found, warned) == ({"b": 2}, []), "what is not asked for is not missed"
    with pytest.raises(DilannotError, match="tracks are called 'a', markers 'e', 'f'"):
        match(["a.bw"], ["e.bed", "f.bed"])
    with pytest.raises(DilannotError, match="no marker has this name.*judged can be 'a', 'b'"):
        match(["a.bw", "b.bw", "d.bw"], ["a.bed", "b.bed", "e.bed"], markers=["e"])


def test_a_table_names_the_peaks(tmp_path: Path) -> None:
    write_track(tmp_path / "t/CTCF.bw", {"c": 100}, {"c": np.linspace(0, 1, 100)})
    write_track(tmp_path / "t/YY1.bw", {"c": 100}, {"c": np.linspace(0, 1, 100)})
    write_peaks(tmp_path / "p/1.bed", [("c", 1, 2)])
    write_peaks(tmp_path / "p/2.bed", [("c", 1, 3)])
    (tmp_path / "table.tsv").write_text("file\tname\tclass\n1.bed\tYY1\tTFBS\n2.bed\tCTCF\tTFBS\n")
    judged = count(tmp_path / "t", [tmp_path / "p", tmp_path / "table.tsv"])
    assert [(marker.name, marker.marker_class) for marker in judged.markers] == [("CTCF", "TFBS"), ("YY1", "TFBS")]
    assert judged.histograms.positive.sum(1).tolist() == [2, 1]


def test_one_file_is_judged_like_a_folder(world: World) -> None:
    one = count(world.folder / "tracks/B_dnase.bw", [world.folder / "peaks"], regions=["chr1"])
    all_of_them = world.judge(regions=["chr1"])
    assert [marker.name for marker in one.markers] == ["B_dnase"]
    np.testing.assert_array_equal(one.histograms.everything[0], all_of_them.histograms.everything[1])


def test_what_is_wrong_is_one_error_that_names_it(tmp_path: Path) -> None:
    peaks = write_peaks(tmp_path / "p/a.bed", [("chr20", 10, 30)])
    good = write_track(tmp_path / "good/a.bw", {"chr20": 100}, {"chr20": np.linspace(0, 1, 100)})

    def refused(what: str, tracks: Path, *, at: Path = peaks, **more: Any) -> None:
        with pytest.raises(DilannotError, match=what) as error:
            count(tracks, [at], **more)
        assert "\n" not in str(error.value)

    refused("none: file not found", tmp_path / "none")
    more = write_peaks(tmp_path / "two/a.bed", [("chr20", 10, 30)])
    write_peaks(more.with_name("b.bed"), [("chr20", 10, 30)])
    refused("none: file not found", tmp_path / "none", at=more.parent)
    (tmp_path / "empty").mkdir()
    refused("holds no bigWig file", tmp_path / "empty")
    (tmp_path / "empty/.annotation").mkdir()
    refused("not finished", tmp_path / "empty")
    refused("no bigWig file", peaks)
    cut = tmp_path / "cut.bw"
    cut.write_bytes(good.read_bytes()[:300])
    refused("cut.bw: is truncated", cut)
    wrong = write_track(tmp_path / "inf.bw", {"chr20": 100}, {"chr20": np.array([0.5, np.inf])})
    refused("inf.bw: an infinite value at chr20:2", wrong)
    refused("lies beyond the end of chr20", good, at=write_peaks(tmp_path / "long/a.bed", [("chr20", 90, 101)]))
    named = write_peaks(tmp_path / "named/a.bed", [("20", 10, 30)])
    refused("the peaks lie on '20', the tracks have 'chr20'; rename them: sed 's/.*/chr/'", good, at=named)
    refused("no peak lies in what is judged", good, at=write_peaks(tmp_path / "far/a.bed", [("chr7", 10, 30)]))
    refused("no peak lies in what is judged", good, regions=["chr20:50-"])
    refused("no contig '20' in the genome .did you mean 'chr20'", good, regions=["20"])
    refused("no whole bin of 200 nt is left", good, bin_length=200)
    genome = write_fasta(tmp_path / "g.fa", {"chr20": "A" * 90})
    refused("chr20 has 90 bp, in the tracks 100", good, genome=genome)
    refused("has no contig 'chr20'", good, genome=write_fasta(tmp_path / "h.fa", {"20": "A" * 100}))
    refused("no position is left", good, genome=write_fasta(tmp_path / "n.fa", {"chr20": "N" * 100}))
    nothing = write_track(tmp_path / "nothing.bw", {"chr20": 100}, {"chr20": np.full(100, np.nan)})
    refused("the tracks have no value", nothing)
    with pytest.raises(DilannotError, match="--threshold: .*alike in six digits"):
        evaluate_tracks(good, [peaks], protocol=Protocol(thresholds=[0.5, 0.50000001]))
    with pytest.raises(ValueError, match="1 nt or more"):
        count(good, [peaks], bin_length=0)


def test_tracks_of_two_assemblies_are_refused(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 50)
    for name, contig, length in itertools.product("ab", ["chr1"], [100]):
        write_track(tmp_path / f"t/{name}.bw", {contig: length, "chr2": 60}, {contig: values})
        write_peaks(tmp_path / f"p/{name}.bed", [("chr1", 1, 5)])
    count(tmp_path / "t", [tmp_path / "p"])
    write_track(tmp_path / "t/b.bw", {"chr1": 101}, {"chr1": values})
    with pytest.raises(DilannotError, match=r"b\.bw: chr1 has 101 bp here and 100 in .*a\.bw"):
        count(tmp_path / "t", [tmp_path / "p"])
    write_track(tmp_path / "t/b.bw", {"1": 100}, {"1": values})
    with pytest.raises(DilannotError, match=r"b\.bw: has no contig in common with .*a\.bw"):
        count(tmp_path / "t", [tmp_path / "p"])
    write_track(tmp_path / "t/b.bw", {"chr3": 100}, {"chr3": values})  # another tool may list only what it has
    assert count(tmp_path / "t", [tmp_path / "p"]).protocol["positions"] == 200


def test_any_number_of_threads_counts_the_same_and_no_file_stays_open(world: World) -> None:
    before = len(os.listdir("/proc/self/fd"))
    counts = [
        count(world.folder / "tracks", [world.folder / "peaks"], threads=threads, bin_length=13).histograms
        for threads in (1, 3)
    ]
    for name in ("everything", "positive", "coarse_everything", "coarse_positive"):
        np.testing.assert_array_equal(getattr(counts[0], name), getattr(counts[1], name))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_genome_makes_about_a_hundred_blocks_and_a_region_twenty() -> None:
    whole = cut_into_blocks({f"chr{i}": (np.array([0]), np.array([125_000_000])) for i in range(24)}, 1)
    assert (whole.blocks, whole.block_length) == (100, 30_000_000)
    binned = cut_into_blocks({"chr1": (np.array([0]), np.array([5_000]))}, 200)
    assert (binned.blocks, binned.block_length) == (20, 50_000)
    chromosome = cut_into_blocks({"chr20": (np.array([0]), np.array([3_500_000]))}, 1)
    assert (chromosome.blocks, chromosome.block_length) == (35, 100_000)
    with pytest.raises(DilannotError, match="more than 4,294,967,295 positions"):
        cut_into_blocks({"c": (np.array([0]), np.array([1 << 32]))}, 1)


def test_tracks_without_any_value_are_warned_of(world: World) -> None:
    heard = Heard()
    judged = world.judge(regions=["chrEmpty"], progress=heard)
    assert judged.histograms.everything[:, 1 << 15].tolist() == [700] * 3
    assert heard.warned[-1] == "3 of the tracks have no value here: 'A_ctcf.bw', 'B_dnase.bw', 'C_h3k4me3.bw'"
