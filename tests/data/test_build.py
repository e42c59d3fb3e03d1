from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import pytest
from conftest import Inputs

from dilannot.data import schema
from dilannot.data.build import build_dataset
from dilannot.data.settings import BuildSettings
from dilannot.errors import DilannotError


def attributes(path: Path) -> dict[str, object]:
    with schema.open_dataset(path) as file:
        return schema.provenance(file)


def test_windows_with_too_many_n_or_excluded_bases_go(inputs: Inputs, tmp_path: Path) -> None:
    exclude = tmp_path / "exclude.bed"
    exclude.write_text("chr2\t1000\t1550\nchr2\t3000\t3049\nchr2\t3040\t3050\nchrUn\t1\t5\n")
    output = tmp_path / "d.h5"
    record = build_dataset(
        inputs.genome, [inputs.peak_folder], output, BuildSettings(window=500, split="windows"), exclude=[exclude]
    )
    with h5py.File(output) as file:
        names = schema.texts(file["contigs/name"][:])
        kept = {
            (names[contig], int(start))
            for contig, start in zip(file["windows/contig"][:], file["windows/start"][:], strict=True)
        }
    expected = set()
    for name, sequence in inputs.contigs.items():
        for start in range(0, len(sequence) - 499, 500):
            excluded = name == "chr2" and start == 1000  # 500 of 500; 1500 holds 50 of 500, just not too many
            if sequence[start : start + 500].count("N") <= 50 and not excluded:
                expected.add((name, start))
    assert kept == expected
    assert record["windows_dropped"] == {
        "n": 7,
        "excluded": 1,
        "edge": 0,
        "no_tfbs": 0,
        "border": 0,
        "other_contigs": 0,
        "short_contigs": 1,
        "tail_bases": 11 + 345 + 400,
    }


def test_summary_and_marker_table(inputs: Inputs, dataset: Path) -> None:
    with h5py.File(dataset) as file:
        for i, name in enumerate(schema.texts(file["markers/name"][:])):
            assert file["markers/peaks_read"][i] == len(inputs.peaks[name])
            covered = {
                base for contig, start, end in inputs.peaks[name] for base in ((contig, x) for x in range(start, end))
            }
            assert file["markers/bases_covered"][i] == len(covered)
    record = attributes(dataset)
    assert record["settings"] == {
        "task": "dense", "window": 500, "max_n": 0.1, "max_excluded": 0.1, "split": "blocks", "seed": 0,
        "validation_chroms": [], "test_chroms": [], "chroms": [], "min_peaks": 0,
    }  # fmt: skip
    assert record["bases"] == sum(map(len, inputs.contigs.values()))


def test_peaks_on_contigs_the_genome_lacks_are_counted(inputs: Inputs, tmp_path: Path) -> None:
    peaks = tmp_path / "a.bed"
    peaks.write_text("chr1\t1600\t1700\nchrUn_gl000220\t1\t2\nchrUn_gl000220\t3\t4\n")
    record = build_dataset(inputs.genome, [peaks], tmp_path / "d.h5", BuildSettings(window=500))
    assert record["peaks_on_unknown_contigs"] == {"chrUn_gl000220": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t5\t9\n", "no contig in common.*the peaks lie on '1', the genome has 'chr1'"),
        ("chrZ\t5\t9\n", "no peak of any marker lies in a window that is kept"),
        ("chr2\t5\t9\nchr2\t12000\t12346\n", r"a.bed:2: end 12346 lies beyond the end of chr2 \(length 12345\)"),
    ],
)
def test_peaks_of_another_assembly_are_refused(inputs: Inputs, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.bed").write_text(text)
    with pytest.raises(DilannotError, match=message):
        build_dataset(inputs.genome, [tmp_path / "a.bed"], tmp_path / "d.h5", BuildSettings(window=500))
    assert os.listdir(tmp_path) == ["a.bed"], "a failed build left something"


def test_an_existing_dataset_is_kept_without_force(inputs: Inputs, tmp_path: Path) -> None:
    output = tmp_path / "d.h5"
    output.write_text("precious")
    with pytest.raises(DilannotError, match="exists already"):
        build_dataset(inputs.genome, [inputs.peak_folder], output, BuildSettings(window=500))
    assert output.read_text() == "precious"
    build_dataset(inputs.genome, [inputs.peak_folder], output, BuildSettings(window=500), force=True)
    assert attributes(output)["settings"]


def test_paths_stay_relative_to_the_dataset(inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inputs.folder)
    (tmp_path / "sub").mkdir()
    build_dataset(Path("genome.fa"), [Path("peaks")], tmp_path / "sub" / "d.h5", BuildSettings(window=500))
    recorded = Path(str(attributes(tmp_path / "sub" / "d.h5")["genome"]))
    assert not recorded.is_absolute()
    assert (tmp_path / "sub" / recorded).resolve() == inputs.genome.resolve()


def test_provenance_is_json(dataset: Path) -> None:
    assert json.loads(json.dumps(attributes(dataset))) == attributes(dataset)
