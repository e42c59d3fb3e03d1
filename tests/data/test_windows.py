"""Window datasets against the rules of DeepSEA, applied base by base to a small genome."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import Inputs, write_fasta

from dilannot.data import schema
from dilannot.data.build import build_dataset
from dilannot.data.dataset import Dataset
from dilannot.data.settings import BuildSettings
from dilannot.errors import DilannotError
from dilannot.genome.sequence import encode

BIN, CONTEXT = 50, 75
BINS = BuildSettings(task="window", bin=BIN, context=CONTEXT, split="windows")


def raster(inputs: Inputs, marker: str) -> dict[str, np.ndarray]:
    labels = {name: np.zeros(len(sequence), bool) for name, sequence in inputs.contigs.items()}
    for contig, start, end in inputs.peaks[marker]:
        labels[contig][start:end] = True
    return labels


def expected_bins(
    inputs: Inputs, markers: list[str], tfbs: str | None, *, least: bool
) -> dict[tuple[str, int], list[bool]]:
    """Bins that stay, and the labels of each, found the slow way."""
    rasters = [raster(inputs, marker) for marker in markers]
    found = {}
    for contig, sequence in inputs.contigs.items():
        for start in range(0, len(sequence) - BIN + 1, BIN):
            begin, end = start - CONTEXT, start + BIN + CONTEXT
            if begin < 0 or end > len(sequence) or sequence[begin:end].count("N") > 0.1 * (end - begin):
                continue
            bases = [int(each[contig][start : start + BIN].sum()) for each in rasters]
            labels = [count * 2 >= BIN if least else count * 2 > BIN for count in bases]
            if tfbs is None or labels[markers.index(tfbs)]:
                found[contig, start] = labels
    return found


@pytest.mark.parametrize("overlap", ["more", "least"])
@pytest.mark.parametrize("all_bins", [False, True])
def test_bins_labels_and_sequence_equal_the_rules_applied_base_by_base(
    inputs: Inputs, tmp_path: Path, overlap: str, all_bins: bool
) -> None:
    settings = BuildSettings(
        task="window",
        bin=BIN,
        context=CONTEXT,
        split="windows",
        overlap=overlap,
        all_bins=all_bins,  # type: ignore[arg-type]
    )
    build_dataset(inputs.genome, [inputs.peak_folder], tmp_path / "d.h5", settings)
    with Dataset(tmp_path / "d.h5") as data:
        names = [marker.name for marker in data.markers]
        expected = expected_bins(inputs, names, None if all_bins else "GM12878_CTCF", least=overlap == "least")
        batch = data.batch(np.arange(len(data.start)))
        labels = np.zeros((len(data.start), len(names)), bool)
        labels[batch.targets.window.numpy(), batch.targets.marker.numpy()] = True
        places = [(data.contigs[c]["name"], int(s)) for c, s in zip(data.contig, data.start, strict=True)]
        assert dict(zip(places, labels.tolist(), strict=True)) == expected
        assert batch.mask.shape == (len(places), 1)
        for row, (contig, start) in enumerate(places):
            codes, _ = encode(inputs.contigs[contig][start - CONTEXT : start + BIN + CONTEXT].encode())
            assert (batch.inputs["sequence"][row].numpy() == codes).all()
        assert data.positives.sum(axis=1).tolist() == labels.sum(axis=0).tolist()


def test_a_bin_covered_just_half_is_where_the_two_rules_differ(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "X_CTCF.bed").write_text(
        "chr2\t1000\t1025\nchr2\t2000\t2026\nchr2\t3000\t3010\nchr2\t3020\t3036\nchr2\t5000\t6000\n"
    )
    found = {}
    for overlap in ("more", "least"):
        settings = BuildSettings(task="window", bin=BIN, context=CONTEXT, split="windows", overlap=overlap)  # type: ignore[arg-type]
        build_dataset(inputs.genome, [tmp_path / "X_CTCF.bed"], tmp_path / f"{overlap}.h5", settings)
        with Dataset(tmp_path / f"{overlap}.h5") as data:
            found[overlap] = set(data.start.tolist())
    assert found["least"] - found["more"] == {1000}
    assert {2000, 3000, 5000} <= found["more"], "26 of 50 bp, in one peak or in two"


def test_sequence_is_stored_once_where_inputs_overlap(inputs: Inputs, tmp_path: Path) -> None:
    settings = BuildSettings(task="window", bin=BIN, context=CONTEXT, split="windows", all_bins=True)
    build_dataset(inputs.genome, [inputs.peak_folder], tmp_path / "d.h5", settings)
    with h5py.File(tmp_path / "d.h5") as file:
        assert 4 * len(file["sequence/packed"]) < sum(map(len, inputs.contigs.values())) + 100
        assert len(file["windows/start"]) * (BIN + 2 * CONTEXT) > 3 * 4 * len(file["sequence/packed"])
        assert "start" not in file["labels"]


@pytest.mark.parametrize(("bin_size", "context"), [(37, 11), (1, 0), (200, 0), (3, 50)])
def test_bins_of_any_size_have_their_bases(inputs: Inputs, tmp_path: Path, bin_size: int, context: int) -> None:
    settings = BuildSettings(task="window", bin=bin_size, context=context, split="windows")
    build_dataset(inputs.genome, [inputs.peak_folder], tmp_path / "d.h5", settings)
    with Dataset(tmp_path / "d.h5") as data:
        rows = np.random.default_rng(0).permutation(len(data.start))[:300]
        for row, codes in zip(rows, data.sequence(rows), strict=True):
            text = inputs.contigs[data.contigs[data.contig[row]]["name"]]
            start = int(data.start[row])
            assert (codes == encode(text[start - context : start + bin_size + context].encode())[0]).all()


def test_blocks_never_share_input_between_splits(inputs: Inputs, tmp_path: Path) -> None:
    settings = BuildSettings(task="window", bin=BIN, context=CONTEXT, split="blocks", all_bins=True)
    record = build_dataset(inputs.genome, [inputs.peak_folder], tmp_path / "d.h5", settings)
    assert record["windows_dropped"]["border"]
    with Dataset(tmp_path / "d.h5") as data:
        near = (np.diff(data.start) <= BIN + 2 * CONTEXT) & (np.diff(data.contig) == 0)
        assert (data.split[1:] == data.split[:-1])[near].all()


def test_without_any_tfbs_label_all_bins_must_be_asked_for(inputs: Inputs, tmp_path: Path) -> None:
    peaks = [inputs.peak_folder / "K562_DNase.narrowPeak"]
    with pytest.raises(DilannotError, match="none of the 1 markers is of class TFBS.*--all-bins"):
        build_dataset(inputs.genome, peaks, tmp_path / "d.h5", BINS)


def test_contigs_and_markers_can_be_chosen(inputs: Inputs, tmp_path: Path) -> None:
    record = build_dataset(
        inputs.genome,
        [inputs.peak_folder],
        tmp_path / "d.h5",
        BuildSettings(window=500, chroms=("chr[12]",), split="windows"),
        markers=["K562*", "*CTCF.narrowPeak"],
    )
    assert record["windows_dropped"]["other_contigs"] == 0
    only = BuildSettings(window=500, chroms=("chr2",), split="windows")
    record = build_dataset(inputs.genome, [inputs.peak_folder], tmp_path / "e.h5", only, markers=["K562*"])
    assert record["windows_dropped"]["other_contigs"] == 30_011 // 500
    with Dataset(tmp_path / "e.h5") as data:
        assert {marker.name for marker in data.markers} == {"K562_DNase", "K562_H3K27ac"}
        assert {data.contigs[i]["name"] for i in data.contig} == {"chr2"}
    for option in ("chroms", "validation_chroms", "test_chroms"):
        settings = BuildSettings(window=500, **{option: ("chr1", "chrX")})  # type: ignore[arg-type]
        with pytest.raises(
            DilannotError, match=f"--{option.replace('_', '-')}: no contig of the genome is called 'chrX'"
        ):
            build_dataset(inputs.genome, [inputs.peak_folder], tmp_path / "f.h5", settings)
    with pytest.raises(DilannotError, match=r"no marker or peak file is called 'K563\*'"):
        build_dataset(inputs.genome, [inputs.peak_folder], tmp_path / "f.h5", markers=["K563*"])


def test_held_out_contigs_of_any_genome(tmp_path: Path, inputs: Inputs) -> None:
    genome = write_fasta(
        tmp_path / "yeast.fa", {f"chr{name}": inputs.contigs["chr2"] for name in ("I", "II", "III", "IV")}
    )
    (tmp_path / "a.bed").write_text("".join(f"chr{name}\t600\t900\n" for name in ("I", "II", "III", "IV")))
    settings = BuildSettings(window=500, validation_chroms=("chrII",), test_chroms=("chrIII", "chrIV"))
    build_dataset(genome, [tmp_path / "a.bed"], tmp_path / "d.h5", settings)
    with Dataset(tmp_path / "d.h5") as data:
        split_of = {data.contigs[c]["name"]: int(s) for c, s in zip(data.contig, data.split, strict=True)}
        assert split_of == {"chrI": 0, "chrII": 1, "chrIII": 2, "chrIV": 2}
    both = BuildSettings(window=500, validation_chroms=("chrII",), test_chroms=("chrI*",))
    with pytest.raises(DilannotError, match="'chrII' cannot both validate and test"):
        build_dataset(genome, [tmp_path / "a.bed"], tmp_path / "e.h5", both)


def test_markers_with_few_peaks_can_be_left_out(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "few.bed").write_text("chr1\t1600\t1700\nchr1\t1650\t1750\n")
    peaks = [inputs.peak_folder, tmp_path / "few.bed"]
    record = build_dataset(inputs.genome, peaks, tmp_path / "d.h5", BuildSettings(window=500, min_peaks=2))
    assert record["markers_left_out"] == {"few": 1}, "two that overlap are one"
    with schema.open_dataset(tmp_path / "d.h5") as file:
        assert [marker.name for marker in schema.read_markers(file)] == ["GM12878_CTCF", "K562_DNase", "K562_H3K27ac"]
    with pytest.raises(DilannotError, match="no marker has 10,000 peaks; the most is"):
        build_dataset(inputs.genome, peaks, tmp_path / "e.h5", BuildSettings(window=500, min_peaks=10_000))


def test_an_option_of_the_other_task_is_refused(cli: object, inputs: Inputs, tmp_path: Path) -> None:
    result = cli("build-data", inputs.genome, inputs.peak_folder, "--bin", 100, "-o", tmp_path / "d.h5")  # type: ignore[operator]
    assert result.code == 2
    assert "--bin is for --task window" in result.err


def test_published_files_are_recognised_and_ordered(inputs: Inputs, tmp_path: Path) -> None:
    for name in ("E003-H2A.Z.narrowPeak", "wgEncodeAwgTfbsBroadDnd41CtcfUniPk.narrowPeak", "own.bed"):
        (tmp_path / name).write_text("chr1\t1600\t1700\n")
    build_dataset(inputs.genome, [tmp_path], tmp_path / "d.h5", BuildSettings(window=500))
    with Dataset(tmp_path / "d.h5") as data:
        assert [marker.row()[:3] for marker in data.markers] == [
            ("Dnd41|CTCF|None", "TFBS", "Dnd41"),
            ("H1-hESC|H2AZ|None", "histone", "H1-hESC"),
            ("own", "unknown", ""),
        ]
        assert data.markers[1].file == "E003-H2A.Z.narrowPeak"


def test_an_input_is_never_overwritten(inputs: Inputs, tmp_path: Path) -> None:
    peaks = tmp_path / "a.bed"
    peaks.write_text("chr1\t1600\t1700\n")
    (tmp_path / "link.bed").symlink_to(peaks)
    for output in (peaks, tmp_path / "link.bed"):
        with pytest.raises(DilannotError, match="is an input, or another output, too"):
            build_dataset(inputs.genome, [peaks], output, BuildSettings(window=500), force=True)
    assert peaks.read_text() == "chr1\t1600\t1700\n"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split": "blocks", "test_chroms": ("chr1",)}, "--split blocks does not go by contigs"),
        ({"task": "window", "min_overlap": 1.0}, "more than all of it"),
        ({"bin": 0}, "a bin of 0 bp"),
    ],
)
def test_settings_that_contradict_each_other_are_usage_errors(values: dict[str, object], message: str) -> None:
    with pytest.raises(DilannotError, match=message) as error:
        BuildSettings(**values)  # type: ignore[arg-type]
    assert error.value.exit_code == 2
