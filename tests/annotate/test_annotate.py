"""Tracks on disk: what pyBigWig and pybigtools read is what the network said."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pybigtools
import pyBigWig
import pytest
import torch
from conftest import Inputs, make_run

from dilannot.annotate.annotate import annotate
from dilannot.errors import DilannotError
from dilannot.formats.indexed_fasta import Genome
from dilannot.info import describe
from dilannot.predict import predicting
from dilannot.run import load_network, read_run


@pytest.fixture(scope="module")
def run(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "run", inputs.genome, "toy-blocks")


@pytest.fixture(scope="module")
def tracks(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tracks") / "tracks"
    annotate(run, output=folder, tile=1000, device="cpu", processes=2, merge_gap=0, min_length=1)
    return folder


def manifest(folder: Path) -> dict:  # type: ignore[type-arg]
    return json.loads((folder / "tracks.json").read_text())  # type: ignore[no-any-return]


def whole_pass(run: Path, inputs: Inputs) -> dict[str, np.ndarray]:
    """Probabilities of every contig in one pass, NaN where the base is N."""
    network = load_network(read_run(run)).network
    genome = Genome(inputs.genome)
    result = {}
    with predicting(network):
        for name, length in genome.lengths.items():
            codes = genome.fetch(name, 0, length)
            result[name] = network(torch.from_numpy(codes)[None])[0].sigmoid().numpy()
            result[name][:, codes == 0] = np.nan
    return result


def test_both_readers_give_back_the_prediction(run: Path, tracks: Path, inputs: Inputs) -> None:
    expected = whole_pass(run, inputs)
    for marker, row in enumerate(manifest(tracks)["tracks"]):
        with pyBigWig.open(str(tracks / row["bigwig"])) as file, pybigtools.open(str(tracks / row["bigwig"])) as other:
            assert file.chroms() == Genome(inputs.genome).lengths
            for name, values in expected.items():
                read = np.array(file.values(name, 0, values.shape[1]))
                assert (np.isnan(read) == np.isnan(values[marker])).all()
                known = ~np.isnan(read)
                # Values are written in steps of 0.01.
                assert np.abs(read - values[marker])[known].max() <= 0.005 + 1e-5
                again = other.values(name, 0, values.shape[1], fillna=np.nan)
                np.testing.assert_array_equal(again.astype(np.float32), read.astype(np.float32))


def test_calls_are_where_the_probability_reaches_the_threshold(run: Path, tracks: Path, inputs: Inputs) -> None:
    thresholds = []
    expected = whole_pass(run, inputs)
    for marker, row in enumerate(manifest(tracks)["tracks"]):
        thresholds.append(row["threshold"])
        lines = [line.split("\t") for line in (tracks / row["bed"]).read_text().splitlines()]
        assert lines[0][0] == "#contig"
        assert len(lines) - 1 == row["calls"]
        with pyBigWig.open(str(tracks / row["bigwig"])) as file:
            for name, sequence in inputs.contigs.items():
                called = np.zeros(len(sequence), bool)
                for contig, start, end, _, score, _ in lines[1:]:
                    if contig == name:
                        called[int(start) : int(end)] = True
                        highest = file.stats(name, int(start), int(end), type="max", exact=True)[0]
                        assert int(score) == round(1000 * highest)
                values = np.nan_to_num(expected[name][marker], nan=-1)
                sure = np.abs(values - row["threshold"]) > 1e-6
                assert (called == (values >= row["threshold"]))[sure].all()
    assert thresholds == [0.5, 0.6, 0.5]  # the last marker had no positives to choose by


def test_names_of_colliding_markers_differ(tracks: Path) -> None:
    files = [row["bigwig"] for row in manifest(tracks)["tracks"]]
    assert files[0] == "A_1.bw"
    assert files[1].startswith("a_1-")
    assert files[2] == "G_C.bw"
    assert sorted(os.listdir(tracks)) == sorted([*files, *(name[:-3] + ".bed" for name in files), "tracks.json"])


@pytest.mark.parametrize("region", ["chr1:4,567-8,901", "chr2:-10", "chr1:30011-30011", "chrM"])
def test_a_region_equals_that_part_of_the_whole(
    run: Path, tracks: Path, tmp_path: Path, inputs: Inputs, region: str
) -> None:
    part = tmp_path / "part"
    annotate(run, output=part, regions=[region], tile=400, processes=1)
    [text] = manifest(part)["regions"]
    contig, _, positions = text.partition(":")
    start, end = (int(number.replace(",", "")) for number in positions.split("-"))
    for row in manifest(tracks)["tracks"]:
        with pyBigWig.open(str(tracks / row["bigwig"])) as whole, pyBigWig.open(str(part / row["bigwig"])) as some:
            np.testing.assert_array_equal(whole.values(contig, start - 1, end), some.values(contig, start - 1, end))
            outside = sum(last - first for name in inputs.contigs for first, last, _ in some.intervals(name) or ())
            assert outside == row_bases(part, row["marker"]) <= end - start + 1


def row_bases(folder: Path, marker: str) -> int:
    return next(int(row["bases"]) for row in manifest(folder)["tracks"] if row["marker"] == marker)


def test_overlapping_regions_in_any_order_are_written_once(run: Path, tmp_path: Path) -> None:
    annotate(run, output=tmp_path / "t", regions=["chr2:100-200", "chr1:50-60", "chr2:150-300"], processes=1)
    assert manifest(tmp_path / "t")["regions"] == ["chr1:50-60", "chr2:100-300"]


def test_the_same_command_writes_the_same_bytes(run: Path, tracks: Path, tmp_path: Path) -> None:
    annotate(run, output=tmp_path / "t", tile=1000, device="cpu", processes=1, merge_gap=0, min_length=1)
    for name in os.listdir(tracks):
        assert (tmp_path / "t" / name).read_bytes() == (tracks / name).read_bytes()


def test_existing_tracks_are_kept_without_force_and_replaced_whole_with_it(
    run: Path, inputs: Inputs, tmp_path: Path
) -> None:
    output = tmp_path / "t"
    annotate(run, output=output, regions=["chrM"], processes=1)
    before = {name: (output / name).read_bytes() for name in os.listdir(output)}
    with pytest.raises(DilannotError, match="exists already"):
        annotate(run, output=output, regions=["chr2:1-100"], processes=1)
    assert {name: (output / name).read_bytes() for name in os.listdir(output)} == before
    (output / "mine.txt").write_text("keep")
    other = make_run(tmp_path / "other", inputs.genome, "toy-bases", 1)
    annotate(other, output=output, regions=["chr2:1-100"], force=True, processes=1)
    assert sorted(os.listdir(output)) == ["A_1.bed", "A_1.bw", "mine.txt", "tracks.json"]


def test_a_failure_leaves_nothing_behind(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dilannot.annotate.annotate.run_lengths", fail)
    with pytest.raises(OSError, match="No space"):
        annotate(run, output=tmp_path / "t", regions=["chrM"], processes=1)
    assert not (tmp_path / "t").exists()


def test_a_full_disk_is_refused_before_any_work(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(DilannotError, match="free") as error:
        annotate(run, output=tmp_path / "t", processes=1)
    assert error.value.exit_code == 3
    assert not (tmp_path / "t").exists()


def test_a_changed_genome_is_refused_and_another_is_allowed(inputs: Inputs, tmp_path: Path) -> None:
    genome = tmp_path / "genome.fa"
    text = inputs.genome.read_text()
    genome.write_text(text)
    run = make_run(tmp_path / "run", genome, "toy-bases")
    at = text.index("\n", 70) + 1000
    genome.write_text(text[:at] + ("C" if text[at] in "Aa" else "A") + text[at + 1 :])
    with pytest.raises(DilannotError, match="MD5"):
        annotate(run, output=tmp_path / "t", regions=["chr2"], processes=1)
    annotate(run, genome, output=tmp_path / "t", regions=["chr2:1-50"], processes=1)
    genome.unlink()
    with pytest.raises(DilannotError, match="not at .* any more"):
        annotate(run, output=tmp_path / "t2", processes=1)


def test_a_region_of_nothing_but_n_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DilannotError, match="nothing but N"):
        annotate(run, output=tmp_path / "t", regions=["chr1:10-20"], processes=1)
    assert not (tmp_path / "t").exists()


def test_folders_with_other_things_are_left_alone(run: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "peaks.bed").write_text("mine")
    for output in (tmp_path / "data", run):
        with pytest.raises(DilannotError, match="other things in it"):
            annotate(run, output=output, regions=["chrM"], processes=1, force=True)


def test_info_on_tracks(tracks: Path) -> None:
    record = describe(tracks)
    assert record["kind"] == "tracks"
    assert record["classes"] == {"TFBS": 3}
    assert record["missing"] == []


def test_a_network_of_bins_gives_each_bin_one_value(inputs: Inputs, tmp_path: Path) -> None:
    """Which one, `test_walk.py` looks at."""
    run = make_run(tmp_path / "run", inputs.genome, "toy-places")
    annotate(run, output=tmp_path / "tracks", regions=["chr2"], processes=1)
    for row in manifest(tmp_path / "tracks")["tracks"]:
        with pyBigWig.open(str(tmp_path / "tracks" / row["bigwig"])) as file:
            levels = np.array(file.values("chr2", 0, 12_345))
        assert len(np.unique(levels)) > 20
        assert (levels[:12_200].reshape(-1, 200) == levels[:12_200:200, None]).all()
        assert (levels[12_200:] == levels[12_200]).all()
