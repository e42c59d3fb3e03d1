from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import Inputs, make_inputs

from dilannot.data import schema
from dilannot.data.build import build_dataset
from dilannot.data.settings import BuildSettings
from dilannot.data.dataset import Dataset
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


def test_the_file_is_the_same_byte_for_byte_elsewhere(tmp_path: Path) -> None:
    """Another folder, another order of files on disk, another hash seed."""
    results = []
    for place, hash_seed in (("one", "1"), ("two/deep", "2")):
        folder = tmp_path / place
        made = make_inputs(folder)
        files = sorted(made.peak_folder.iterdir())
        random.Random(hash_seed).shuffle(files)
        for file in files:
            shutil.copy(file, file.with_suffix(".tmp"))
            file.unlink()
            file.with_suffix(".tmp").rename(file)
        command = [sys.executable, "-m", "dilannot", "build-data", "genome.fa", "peaks", "--window", "500", "-q"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run(command, cwd=folder, check=True, env=environment)
        results.append((folder / "dataset.h5").read_bytes())
    assert results[0] == results[1]


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


def edit(path: Path, change: object) -> None:
    with h5py.File(path, "r+") as file:
        change(file)  # type: ignore[operator]


def replace(name: str, value: object) -> object:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return change


def link(name: str, target: object) -> object:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = target

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.__setitem__("format", "other"), "no dilannot dataset"),
        (lambda file: file.attrs.__delitem__("complete"), "incomplete"),
        (lambda file: file.attrs.__setitem__("format_version", 99), "version 99"),
        (lambda file: file.__delitem__("labels"), "labels/offsets is missing"),
        (lambda file: file.__delitem__("markers"), "markers/name is missing"),
        (replace("labels/start", np.zeros(3, np.float32)), "labels/start has dtype float32"),
        (replace("windows/split", np.zeros(5, np.uint8)), "windows/split has 5 rows"),
        (replace("windows/start", np.zeros((5, 2), np.int64)), "windows/start has shape"),
        (link("sequence/packed", h5py.SoftLink("/windows")), "external or soft link"),
        (link("sequence", h5py.ExternalLink("other.h5", "/sequence")), "external or soft link"),
        (replace("markers/name", np.array([b"a", b"a", b"b"])), "stands twice"),
        (replace("markers/name", np.array([b"../../x", b"a", b"b"])), "holds a slash"),
        (replace("markers/name", np.array([b"x\ny", b"a", b"b"])), "control characters"),
    ],
)
def test_datasets_that_are_not_right_are_refused(dataset: Path, tmp_path: Path, change: object, message: str) -> None:
    path = tmp_path / "bad.h5"
    shutil.copy(dataset, path)
    edit(path, change)
    with pytest.raises(DilannotError, match=message) as error, schema.open_dataset(path):
        pass
    assert "bad.h5" in str(error.value)


def test_a_split_code_out_of_range_is_refused(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.h5"
    shutil.copy(dataset, path)
    edit(path, lambda file: file["windows/split"].__setitem__(0, 9))
    with pytest.raises(DilannotError, match="split"), schema.open_dataset(path):
        pass


@pytest.mark.parametrize(
    ("name", "row", "value", "message"),
    [
        ("labels/marker", 0, 3, "a label of no marker"),
        ("labels/end", 5, 501, "labels: an interval leaves its window"),
        ("labels/start", 5, 500, "labels: an interval leaves its window"),
        ("labels/offsets", 3, 10_000, "labels: the offsets do not fit"),
        ("sequence/n_end", 0, 0, "sequence/n: runs of N overlap"),
        ("windows/offset", 3, 1 << 40, "a window lies outside the sequence"),
        ("windows/contig", 0, 9, "a window on no contig"),
    ],
)
def test_intervals_outside_their_window_are_refused(
    dataset: Path, tmp_path: Path, name: str, row: int, value: int, message: str
) -> None:
    path = tmp_path / "bad.h5"
    shutil.copy(dataset, path)
    edit(path, lambda file: file[name].__setitem__(row, value))
    with pytest.raises(DilannotError, match=message):
        Dataset(path)


def test_flipped_bits_are_refused_or_change_nothing(dataset: Path, tmp_path: Path) -> None:
    """Arrays are checksummed; what is not (attributes, HDF5's own structure) may be read the same or refused."""
    data = dataset.read_bytes()
    path = tmp_path / "bad.h5"
    with Dataset(dataset) as good:
        expected = good.sequence(np.arange(len(good.split))), good.labels(np.arange(len(good.split)))
    random = np.random.default_rng(0)
    for at in random.integers(0, len(data), 60):
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << int(random.integers(8)))]) + data[at + 1 :])
        try:
            with Dataset(path) as bad:
                found = bad.sequence(np.arange(len(bad.split))), bad.labels(np.arange(len(bad.split)))
        except DilannotError:
            continue
        assert (found[0] == expected[0]).all()
        assert all((getattr(found[1], part) == getattr(expected[1], part)).all() for part in ("marker", "start", "end"))


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all"])
def test_foreign_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.h5"
    path.write_bytes(content)
    with pytest.raises(DilannotError, match=r"bad\.h5"), schema.open_dataset(path):
        pass


def test_a_truncated_dataset_is_refused(dataset: Path, tmp_path: Path) -> None:
    data = dataset.read_bytes()
    path = tmp_path / "bad.h5"
    for length in (*range(0, len(data), len(data) // 40), len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(DilannotError, match=r"bad\.h5"), schema.open_dataset(path):
            pass


def test_provenance_is_json(dataset: Path) -> None:
    assert json.loads(json.dumps(attributes(dataset))) == attributes(dataset)
