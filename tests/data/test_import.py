from __future__ import annotations

import hashlib
import io
import os
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import Cli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from published_layouts import (
    both_strands,
    one_hot,
    random_windows,
    sparse_outputs,
    write_deepsea,
    write_thesis,
    write_v5,
    write_v73,
)  # fmt: skip

from dilannot.data import schema
from dilannot.data.dataset import Dataset
from dilannot.data.imported.alphabet import count_pairs, no_pairs, suggestion
from dilannot.data.imported.deepsea import find_axes, open_published
from dilannot.data.imported.import_data import import_dataset
from dilannot.data.published import published_markers
from dilannot.errors import DilannotError
from dilannot.formats.npz import open_array, read_blocks
from dilannot.genome.sequence import ALPHABET, reverse_complement

LENGTH, BIN, MARKERS = 23, 5, 3


class Words:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.warned.append(message)

    def task(self, title: str, total: float | None) -> object:
        from dilannot.progress import Silent

        return Silent().task(title, total)


def labels_of(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Labels as an array (rows, positions, markers)."""
    found = dataset.labels(rows)
    dense = np.zeros((len(rows), dataset.positions, len(dataset.markers)), bool)
    for window, marker, start, end in zip(
        *(getattr(found, part).tolist() for part in ("window", "marker", "start", "end")), strict=True
    ):
        assert not dense[window, start:end, marker].any()
        dense[window, start:end, marker] = True
    return dense


def check_split(path: Path, split: str, codes: np.ndarray, labels: np.ndarray) -> None:
    with Dataset(path) as data:
        rows = data.rows(split)
        assert (data.sequence(rows) == codes).all()
        found = labels_of(data, rows)
        assert (found == (labels if labels.ndim == 3 else labels[:, None])).all()
        per_marker = found.sum(axis=(0, 1))
        assert (data.positives[:, ["train", "validation", "test"].index(split)] == per_marker).all()


def test_deepsea_bundle_comes_back_exactly(tmp_path: Path) -> None:
    splits = {name: random_windows(rows, 1000, 919, rows) for name, rows in (("train", 9), ("valid", 4), ("test", 6))}
    folder = write_deepsea(tmp_path / "bundle", splits)
    words = Words()
    record = import_dataset([folder], tmp_path / "d.h5", progress=words)
    assert not words.warned
    assert any("18 rows are 9 windows and their reverse complements" in line for line in words.said)
    assert record["windows"] == {"train": 9, "validation": 4, "test": 6}
    assert record["genome"] is None
    for name, split in (("train", "train"), ("valid", "validation"), ("test", "test")):
        check_split(tmp_path / "d.h5", split, *splits[name])
    with Dataset(tmp_path / "d.h5") as data:
        assert [marker.name for marker in data.markers] == [each.marker.name for each in published_markers()]
        assert (data.task, data.window, data.context) == ("window", 200, 400)
        assert [contig["name"] for contig in data.contigs] == ["deepsea-train", "deepsea-valid", "deepsea-test"]
        assert data.start[:3].tolist() == [400, 1400, 2400]
        letters = "".join(ALPHABET[code] for code in splits["train"][0].reshape(-1))
        assert data.contigs[0] == {
            "name": "deepsea-train", "length": 9000, "md5": hashlib.md5(letters.encode()).hexdigest(),
        }  # fmt: skip
        files = data.provenance["imported"]["files"]
    first = next(path for path in files if path.endswith("train.mat"))
    assert files[first] == {
        "bytes": (folder / "train.mat").stat().st_size,
        "sha256": hashlib.sha256((folder / "train.mat").read_bytes()).hexdigest(),
    }
    assert len(files) == 3


def test_one_split_is_enough_and_columns_are_numbered(tmp_path: Path) -> None:
    codes, labels = random_windows(7, LENGTH, MARKERS)
    folder = write_deepsea(tmp_path / "b", {"test": (codes, labels)})
    import_dataset([folder / "test.mat"], tmp_path / "d.h5", bin=BIN)
    check_split(tmp_path / "d.h5", "test", codes, labels)
    with Dataset(tmp_path / "d.h5") as data:
        assert [marker.name for marker in data.markers] == ["marker0001", "marker0002", "marker0003"]
        assert (data.window, data.context) == (BIN, 9)


def test_markers_come_from_a_table(tmp_path: Path) -> None:
    folder = write_deepsea(tmp_path / "b", {"test": random_windows(7, LENGTH, MARKERS)})
    table = tmp_path / "m.tsv"
    table.write_text("file\tname\tclass\na.bed\tA\tTFBS\nb.bed\tB\tDNase\nc.bed\tC\thistone\n")
    import_dataset([folder], tmp_path / "d.h5", bin=BIN, markers=table)
    with Dataset(tmp_path / "d.h5") as data:
        assert [(marker.name, marker.marker_class) for marker in data.markers] == [
            ("A", "TFBS"), ("B", "DNase"), ("C", "histone"),
        ]  # fmt: skip
    table.write_text("file\na.bed\n")
    with pytest.raises(DilannotError, match=r"m\.tsv: names 1 markers; there are 3 label columns"):
        import_dataset([folder], tmp_path / "e.h5", bin=BIN, markers=table)


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_transposed_copies(tmp_path: Path, axes: tuple[int, ...], turned: bool, write: object) -> None:
    codes, labels = random_windows(7, LENGTH, MARKERS)
    both, both_labels = both_strands(codes, labels)
    arrays = {"validxdata": one_hot(both).transpose(axes), "validdata": both_labels.T if turned else both_labels}
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
    write(tmp_path / "valid.mat", **arrays)  # type: ignore[operator]
    import_dataset([tmp_path], tmp_path / "d.h5", bin=BIN)
    check_split(tmp_path / "d.h5", "validation", codes, labels)


def test_sizes_that_say_nothing_are_refused(tmp_path: Path) -> None:
    path = Path("train.mat")
    published = find_axes("train", (1000, 4, 4_400_000), (919, 4_400_000), path)
    assert (published.row, published.column, published.base, published.label_row) == (2, 1, 0, 1)
    assert find_axes("valid", (8000, 4, 1000), (8000, 919), path).row == 0
    for sequence, labels in (((1000, 4, 1000), (1000, 919)), ((4, 4, 1000), (4, 919)), ((7, 4, 23), (7, 7))):
        with pytest.raises(DilannotError, match="can be read in 2 ways"):
            find_axes("test", sequence, labels, path)
    with pytest.raises(DilannotError, match=r"train.mat: testxdata \(10, 4, 23\) and testdata \(9, 3\) do not fit"):
        find_axes("test", (10, 4, 23), (9, 3), path)


def test_a_second_half_of_its_own_is_kept(tmp_path: Path) -> None:
    codes, labels = random_windows(8, LENGTH, MARKERS)
    write_deepsea(tmp_path, {"test": (codes, labels)}, strands=1)
    words = Words()
    record = import_dataset([tmp_path], tmp_path / "d.h5", bin=BIN, progress=words)
    assert "all 8 rows are kept" in words.warned[0]
    assert record["windows"]["test"] == 8
    check_split(tmp_path / "d.h5", "test", codes, labels)


def test_an_odd_number_of_rows_has_no_halves(tmp_path: Path) -> None:
    codes, labels = random_windows(9, LENGTH, MARKERS)
    write_deepsea(tmp_path, {"train": (codes, labels)}, strands=1)
    import_dataset([tmp_path], tmp_path / "d.h5", bin=BIN)
    check_split(tmp_path / "d.h5", "train", codes, labels)


def test_rows_that_are_no_other_strand_are_kept_beside_the_first_half(tmp_path: Path) -> None:
    codes, labels = random_windows(10, LENGTH, MARKERS)
    both, both_labels = both_strands(codes, labels)
    both[13, 4] = both[13, 4] % 4 + 1
    both_labels[17, 2] ^= True
    write_v73(tmp_path / "train.mat", trainxdata=one_hot(both), traindata=both_labels.astype(np.uint8))
    words = Words()
    import_dataset([tmp_path], tmp_path / "d.h5", bin=BIN, progress=words)
    assert "2 of 10 rows in the second half" in words.warned[0]
    chosen = [*range(10), 13, 17]
    check_split(tmp_path / "d.h5", "train", both[chosen], both_labels[chosen])


def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes, labels = random_windows(50, 12, 17)
    write_deepsea(tmp_path, {"train": (codes, labels)})
    import_dataset([tmp_path], tmp_path / "one.h5", bin=4)
    monkeypatch.setattr("dilannot.data.imported.deepsea.BLOCK", 7)
    import_dataset([tmp_path], tmp_path / "many.h5", bin=4)
    with h5py.File(tmp_path / "one.h5") as one, h5py.File(tmp_path / "many.h5") as many:
        for name in schema.FIELD_SHAPES:
            if name in one and not name.startswith(("provenance", "sequence/n")):  # a run over a border is two
                assert (one[name][:] == many[name][:]).all(), name
    check_split(tmp_path / "many.h5", "train", codes, labels)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(3, 40), length=st.integers(5, 41), markers=st.integers(1, 12),
    seed=st.integers(0, 1000), prefix=st.sampled_from(["train", "valid", "test"]),
)  # fmt: skip
def test_import_of_an_export_is_the_same(
    tmp_path: Path, rows: int, length: int, markers: int, seed: int, prefix: str
) -> None:
    length += length % 2 == 0
    codes, labels = random_windows(rows, length, markers, seed)
    try:
        find_axes(prefix, (2 * rows, 4, length), (2 * rows, markers), tmp_path)
    except DilannotError:
        return
    for old in tmp_path.glob("*.mat"):
        old.unlink()
    write_deepsea(tmp_path, {prefix: (codes, labels)})
    import_dataset([tmp_path], tmp_path / "d.h5", bin=1, force=True)
    check_split(tmp_path / "d.h5", {"valid": "validation"}.get(prefix, prefix), codes, labels)


def test_column_order_is_an_option(tmp_path: Path) -> None:
    codes, labels = random_windows(8, LENGTH, MARKERS)
    write_deepsea(tmp_path, {"test": (codes, labels)}, order="ACGT")
    import_dataset([tmp_path], tmp_path / "d.h5", bin=BIN, alphabet="acgt")
    check_split(tmp_path / "d.h5", "test", codes, labels)
    with pytest.raises(DilannotError, match="--alphabet: 'AGGT' does not name the four one-hot columns"):
        import_dataset([tmp_path], tmp_path / "e.h5", bin=BIN, alphabet="AGGT")


def bad_files(folder: Path) -> dict[str, object]:
    codes, labels = random_windows(8, LENGTH, MARKERS)
    both, both_labels = both_strands(codes, labels)
    good = {"testxdata": one_hot(both), "testdata": both_labels.astype(np.uint8)}
    two = good["testxdata"].copy()
    two[3, :, 5] = [1, 1, 0, 0]
    nine = good["testdata"].copy()
    nine[4, 1] = 9
    return {
        "is not a MATLAB file": lambda path: path.write_bytes(b"not MATLAB at all, but long enough to look at" * 9),
        "has no array testdata": lambda path: write_v5(path, testxdata=good["testxdata"]),
        r"has no trainxdata, validxdata or testxdata \(arrays: other\)": lambda path: write_v5(path, other=two),
        "do not fit together": lambda path: write_v73(path, **{**good, "testdata": nine[:-1]}),
        "not DeepSEA's layout": lambda path: write_v5(path, **{**good, "testxdata": nine}),
        "testxdata is not one-hot: row 3, base 5 has 2 ones": lambda path: write_v73(
            path, **{**good, "testxdata": two}
        ),
        "testdata holds 9 in row 4; 0 and 1 are expected": lambda path: write_v5(path, **{**good, "testdata": nine}),
        "testxdata holds 0.25 in row 0": lambda path: write_v5(path, **{**good, "testxdata": np.full(two.shape, 0.25)}),
    }


@pytest.mark.parametrize("message", list(bad_files(Path())))
def test_bad_files_are_refused_by_name(tmp_path: Path, message: str) -> None:
    path = tmp_path / "test.mat"
    bad_files(tmp_path)[message](path)  # type: ignore[operator]
    with pytest.raises(DilannotError, match=message) as error:
        import_dataset([path], tmp_path / "d.h5", bin=BIN)
    assert "test.mat" in str(error.value)
    assert os.listdir(tmp_path) == ["test.mat"], "a failed import left something"


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_truncated_files_are_refused_or_complete(tmp_path: Path, write: object) -> None:
    codes, labels = random_windows(30, LENGTH, MARKERS)
    both, both_labels = both_strands(codes, labels)
    path = tmp_path / "test.mat"
    write(path, testxdata=one_hot(both), testdata=both_labels.astype(np.uint8))  # type: ignore[operator]
    data = path.read_bytes()
    for length in range(0, len(data) - 4, len(data) // 25):
        path.write_bytes(data[:length])
        with pytest.raises(DilannotError, match=r"test\.mat"):
            import_dataset([path], tmp_path / "d.h5", bin=BIN, force=True)


def test_other_mistakes(tmp_path: Path) -> None:
    for name, match in (("nothing", "file not found"), (".", "holds no train.mat")):
        with pytest.raises(DilannotError, match=match):
            import_dataset([tmp_path / name], tmp_path / "d.h5")
    write_deepsea(tmp_path / "a", {"test": random_windows(8, LENGTH, MARKERS)})
    with pytest.raises(DilannotError, match="--bin: a bin of 200 bp does not lie in the middle of windows of 23 bp"):
        import_dataset([tmp_path / "a"], tmp_path / "d.h5")
    write_deepsea(tmp_path / "b", {"train": random_windows(8, LENGTH, MARKERS + 1)})
    with pytest.raises(DilannotError, match=r"has 3 label columns where .*train\.mat has 4"):
        import_dataset([tmp_path / "a" / "test.mat", tmp_path / "b"], tmp_path / "d.h5", bin=BIN)
    with pytest.raises(DilannotError, match="named twice"):
        import_dataset([tmp_path / "a", tmp_path / "a" / "test.mat"], tmp_path / "d.h5", bin=BIN)
    (tmp_path / "c.mat").write_bytes((tmp_path / "a" / "test.mat").read_bytes())
    with pytest.raises(DilannotError, match="holds testxdata, and so does"):
        import_dataset([tmp_path / "a", tmp_path / "c.mat"], tmp_path / "d.h5", bin=BIN)
    write_thesis(tmp_path / "chr1.npz", {"test": thesis_windows(3)})
    with pytest.raises(DilannotError, match="holds both"):
        import_dataset([tmp_path], tmp_path / "d.h5")
    with pytest.raises(DilannotError, match="cannot make one dataset"):
        import_dataset([tmp_path / "a", tmp_path / "chr1.npz"], tmp_path / "d.h5")


def test_links_out_of_a_file_are_not_followed(tmp_path: Path) -> None:
    write_deepsea(tmp_path, {"train": random_windows(8, LENGTH, MARKERS)})
    with h5py.File(tmp_path / "test.mat", "w") as file:
        file["testxdata"] = h5py.ExternalLink("train.mat", "/trainxdata")
        file["testdata"] = h5py.ExternalLink("train.mat", "/traindata")
    with pytest.raises(DilannotError, match="has no trainxdata"), open_published([tmp_path / "test.mat"]):
        pass


# The thesis's archives


def thesis_windows(rows: int, length: int = 90, markers: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    codes = random.integers(1, 5, (rows, length)).astype(np.uint8)
    codes[0, 10:40] = 0
    codes[-1, -5:] = 0
    labels = np.zeros((rows, length, markers), bool)
    for row in range(rows):
        for marker in range(markers):
            start = int(random.integers(0, length))
            labels[row, start : start + int(random.integers(1, 40)), marker] = random.random() < 0.8
    labels[1:2] = False
    labels[0, -1, 0] = labels[0, 0, 1] = True  # neighbours in the order of columns, not in fact
    return codes, labels


@pytest.mark.parametrize(
    "kind", ["csr_matrix", "csc_matrix", "coo_matrix", "lil_matrix", "csr_array", "coo_array", "lil_array", "dense"]
)
def test_thesis_archives_come_back_exactly(tmp_path: Path, kind: str) -> None:
    splits = {name: thesis_windows(rows, seed=rows) for name, rows in (("train", 7), ("valid", 2), ("test", 3))}
    more = {"train": thesis_windows(2, seed=9), "valid": thesis_windows(1, seed=8)}
    write_thesis(tmp_path / "chr10_batched_nomultimap.npz", more, kind=kind)
    write_thesis(tmp_path / "chr2_batched_nomultimap.npz", splits, kind=kind)
    record = import_dataset([tmp_path], tmp_path / "d.h5")
    assert record["windows"] == {"train": 9, "validation": 3, "test": 3}
    both = [np.concatenate(pair) for pair in zip(splits["train"], more["train"], strict=True)]
    check_split(tmp_path / "d.h5", "train", *both)
    check_split(tmp_path / "d.h5", "test", *splits["test"])
    with Dataset(tmp_path / "d.h5") as data:
        assert (data.task, data.window, data.context) == ("dense", 90, 0)
        names = [contig["name"] for contig in data.contigs]
        assert names == ["chr2-train", "chr2-valid", "chr2-test", "chr10-train", "chr10-valid"]
        assert data.start[:3].tolist() == [0, 90, 180]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_every_way_to_pickle_matrices(tmp_path: Path, protocol: int) -> None:
    codes, labels = thesis_windows(5)
    arrays = {
        "test_inputs": npy(codes.astype(np.int32) - 1),
        "test_outputs": object_npy(sparse_outputs(labels), protocol),
    }
    codes[codes == 0] = 1
    arrays["test_inputs"] = npy(codes.astype(np.int64) - 1)
    write_archive(tmp_path / "chr1.npz", arrays)
    import_dataset([tmp_path / "chr1.npz"], tmp_path / "d.h5", alphabet="ACGTN")
    check_split(tmp_path / "d.h5", "test", codes, labels)


def test_pickles_of_python_2(tmp_path: Path) -> None:
    """As NumPy 1.12 and SciPy 0.17 wrote them: other modules, and text where bytes are."""

    def array(code: bytes, count: int, raw: bytes) -> bytes:
        head = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        kind = (
            b"cnumpy\ndtype\nU\x02" + code + b"K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        return (
            head
            + b"(K\x01K"
            + bytes([count])
            + b"\x85"
            + kind
            + b"\x89T"
            + len(raw).to_bytes(4, "little")
            + raw
            + b"tb"
        )

    indptr = np.array([0, 0, 1, 3, 3, 3], "<i4")
    indices, values = np.array([1, 0, 1], "<i4"), np.array([1, 1, 1], "<f8")
    state = b"}(U\x06_shapeK\x05K\x02\x86U\x08maxprintK2"
    for name, code, column in ((b"indptr", b"i4", indptr), (b"indices", b"i4", indices), (b"data", b"f8", values)):
        state += b"U" + bytes([len(name)]) + name + array(code, len(column), column.tobytes())
    matrix = b"cscipy.sparse.csr\ncsr_matrix\n)\x81" + state + b"ub"
    objects = (
        b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
    )
    head = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    data = head + objects + b"\x89]" + matrix + b"atb."
    codes = np.array([[1, 2, 3, 4, 1]], np.uint8)
    write_archive(
        tmp_path / "chr1.npz", {"test_inputs": npy(codes.astype(int) - 1), "test_outputs": OBJECT_HEAD(1) + data}
    )
    import_dataset([tmp_path / "chr1.npz"], tmp_path / "d.h5", alphabet="ACGTN")
    check_split(tmp_path / "d.h5", "test", codes, np.array([[[0, 0], [0, 1], [1, 1], [0, 0], [0, 0]]], bool))


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    return stream.getvalue()


def OBJECT_HEAD(rows: int) -> bytes:  # noqa: N802
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": (rows,)})
    return stream.getvalue()


def object_npy(array: object, protocol: int = 2) -> bytes:
    return OBJECT_HEAD(len(array)) + pickle.dumps(array, protocol)  # type: ignore[arg-type]


def write_archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


class Evil:
    def __init__(self, call: object, *arguments: object) -> None:
        self._reduced = (call, arguments)

    def __reduce__(self) -> object:
        return self._reduced


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (os.system, ("touch {}",)),
        (eval, ("open({!r}, 'w')",)),
        (getattr, ("text", "upper")),
        (np.load, ("{}",)),
        (bytes, (1 << 40,)),
        (__import__("codecs").encode, ("text", "zip")),
        (__import__("copyreg")._reconstructor, (dict, object, None)),
    ],
)
def test_evil_pickles_run_nothing(tmp_path: Path, call: object, arguments: tuple[object, ...], protocol: int) -> None:
    target = tmp_path / "touched"
    arguments = tuple(each.format(str(target)) if isinstance(each, str) else each for each in arguments)
    outputs = np.empty(1, object)
    outputs[0] = Evil(call, *arguments)
    for evil in (outputs, [Evil(call, *arguments)]):
        members = {"test_inputs": npy(np.zeros((1, 9), int)), "test_outputs": object_npy(evil, protocol)}
        path = write_archive(tmp_path / "chr1.npz", members)
        with pytest.raises(DilannotError, match=r"chr1\.npz: test_outputs .*do not trust this file"):
            import_dataset([path], tmp_path / "d.h5")
        assert not target.exists()
    assert sorted(os.listdir(tmp_path)) == ["chr1.npz"]


def test_pickles_that_hold_other_things_are_refused(tmp_path: Path) -> None:
    labels = thesis_windows(2)[1]
    mixed = sparse_outputs(labels)
    mixed[1] = 7
    wrong = sparse_outputs(labels[:, :50])
    cases = {
        "no sparse matrix": mixed,
        r"shape \(50, 4\) where 90 positions": wrong,
        "has 1 rows, test_inputs 2": sparse_outputs(labels[:1]),
    }
    for message, outputs in cases.items():
        data = OBJECT_HEAD(2) + pickle.dumps(outputs, 2)
        write_archive(tmp_path / "chr1.npz", {"test_inputs": npy(np.zeros((2, 90), int)), "test_outputs": data})
        with pytest.raises(DilannotError, match=message):
            import_dataset([tmp_path / "chr1.npz"], tmp_path / "d.h5")
    good = pickle.dumps(sparse_outputs(labels), 2)
    for length in range(0, len(good) - 1, 97):
        members = {"test_inputs": npy(np.zeros((2, 90), int)), "test_outputs": OBJECT_HEAD(2) + good[:length]}
        write_archive(tmp_path / "chr1.npz", members)
        with pytest.raises(DilannotError, match=r"chr1\.npz"):
            import_dataset([tmp_path / "chr1.npz"], tmp_path / "d.h5")


def test_large_matrices_are_read_one_by_one(tmp_path: Path) -> None:
    """Pieces over 64 KB are let go, and a file that uses one twice is refused, not misread."""
    labels = np.random.default_rng(0).random((2, 40_000, 3)) < 0.4
    codes = np.ones((2, 40_000), np.uint8)
    write_thesis(tmp_path / "chr1.npz", {"test": (codes, labels)})
    import_dataset([tmp_path / "chr1.npz"], tmp_path / "d.h5")
    check_split(tmp_path / "d.h5", "test", codes, labels)
    twice = sparse_outputs(labels)
    twice[1].indices = twice[0].indices
    members = {"test_inputs": npy(np.zeros((2, 40_000), int)), "test_outputs": object_npy(twice)}
    with pytest.raises(DilannotError, match="uses one large piece twice"):
        import_dataset([write_archive(tmp_path / "chr2.npz", members)], tmp_path / "e.h5")


@pytest.mark.parametrize(
    "pointers",
    [
        np.array([0] * 90 + [1 << 40]),
        np.array([0] * 90 + [3], "i4"),
        np.array([0, 5, 1] + [2] * 88),
        np.array([0, 5, 1] + [2] * 88, "u8"),
        np.array([0, -(1 << 40)] + [1 << 40] * 89),
        np.array([1] + [2] * 90),
        np.array([0.0] * 90 + [1e12]),
        np.array([], np.int64),
        np.zeros((3, 30), np.int64),
    ],
    ids=str,
)
def test_pointers_that_ask_for_any_amount_of_memory_are_refused(tmp_path: Path, pointers: np.ndarray) -> None:
    outputs = sparse_outputs(np.zeros((1, 90, 4), bool))
    outputs[0].indices, outputs[0].data = np.zeros(2, np.int32), np.ones(2, np.float32)
    outputs[0].indptr = pointers
    members = {"test_inputs": npy(np.zeros((1, 90), int)), "test_outputs": object_npy(outputs)}
    path = write_archive(tmp_path / "chr1.npz", members)
    with pytest.raises(DilannotError, match=r"chr1\.npz: test_outputs (holds a matrix with entries|is damaged)"):
        import_dataset([path], tmp_path / "d.h5")


def test_damage_is_told_from_bugs(tmp_path: Path) -> None:
    """What the reader of an array does wrong is not blamed on the archive."""
    np.savez(tmp_path / "a.npz", x=np.arange(1000))
    with pytest.raises(ValueError, match="mine"), open_array(tmp_path / "a.npz", "x"):
        raise ValueError("mine")
    for block in read_blocks(tmp_path / "a.npz", "x"):
        with pytest.raises(TypeError, match="mine"):
            raise TypeError(f"mine {len(block)}")
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[500] ^= 1
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(DilannotError, match=r"a\.npz: is not a .npz archive, .*CRC"):
        list(read_blocks(tmp_path / "a.npz", "x"))
    negative = io.BytesIO()
    np.lib.format.write_array_header_1_0(negative, {"descr": "|u1", "fortran_order": False, "shape": (-1, 90)})
    write_archive(tmp_path / "b.npz", {"x": negative.getvalue()})
    with pytest.raises(DilannotError, match=r"x has shape \(-1, 90\)"):
        list(read_blocks(tmp_path / "b.npz", "x"))


def test_more_markers_than_can_be_numbered_are_refused(tmp_path: Path) -> None:
    many = (1 << 16) + 1
    codes, labels = random_windows(3, 5, many)
    write_v73(tmp_path / "test.mat", testxdata=one_hot(codes), testdata=labels.astype(np.uint8))
    message = "has 65,537 label columns; a dataset holds 65,536"
    with pytest.raises(DilannotError, match=rf"test\.mat: {message}"):
        import_dataset([tmp_path / "test.mat"], tmp_path / "d.h5", bin=1)
    write_thesis(tmp_path / "chr1.npz", {"test": (codes, np.zeros((3, 5, many), bool))})
    with pytest.raises(DilannotError, match=rf"chr1\.npz: {message}"):
        import_dataset([tmp_path / "chr1.npz"], tmp_path / "d.h5")
    assert not (tmp_path / "d.h5").exists()


def test_archives_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    codes, labels = thesis_windows(3)
    cases = {
        "has no array train_outputs": {"train_inputs": codes},
        "has no train_inputs": {"other": codes},
        "different numbers of rows": {"train_inputs": codes, "train_outputs": sparse_outputs(labels[:2])},
        "not \\(windows, bases\\) integers": {"train_inputs": codes * 1.0, "train_outputs": sparse_outputs(labels)},
        "neither sparse matrices nor": {"train_inputs": codes, "train_outputs": np.zeros(3)},
        "holds 5 in row 1": {
            "train_inputs": np.where(codes == codes[1, 3], 5, 0) * (np.arange(3) == 1)[:, None],
            "train_outputs": sparse_outputs(labels),
        },
    }
    for message, arrays in cases.items():
        np.savez(tmp_path / "chr1.npz", **arrays)
        with pytest.raises(DilannotError, match=message):
            import_dataset([tmp_path / "chr1.npz"], tmp_path / "d.h5")
    (tmp_path / "chr1.npz").write_bytes(b"PK not really")
    with pytest.raises(DilannotError, match="is not a .npz archive"):
        import_dataset([tmp_path / "chr1.npz"], tmp_path / "d.h5")


def test_the_alphabet_of_numbers(tmp_path: Path) -> None:
    codes, labels = thesis_windows(3)
    write_thesis(tmp_path / "chr1.npz", {"test": (codes, labels)}, alphabet="NACGT")
    import_dataset([tmp_path / "chr1.npz"], tmp_path / "d.h5", alphabet="NACGT")
    check_split(tmp_path / "d.h5", "test", codes, labels)
    with pytest.raises(DilannotError, match="does not name the numbers from 0"):
        import_dataset([tmp_path / "chr1.npz"], tmp_path / "e.h5", alphabet="ACGX")


def vertebrate(length: int, seed: int = 0) -> np.ndarray:
    """Bases with few CG and fewer TA than AT, and one long run of N, as codes."""
    random = np.random.default_rng(seed)
    codes = random.integers(1, 5, length).astype(np.uint8)
    a, c, g, t = range(1, 5)
    codes[1:][(codes[:-1] == c) & (codes[1:] == g) & (random.random(length - 1) < 0.8)] = a
    codes[1:][(codes[:-1] == t) & (codes[1:] == a) & (random.random(length - 1) < 0.3)] = t
    codes[5000:9000] = 0
    return codes


@pytest.mark.parametrize("written", ["NACTG", "NACGT", "ACGNT", "AGCTN", "TGCAN", "NTAGC"])
def test_numbers_that_look_permuted_are_warned_of(tmp_path: Path, written: str) -> None:
    codes = vertebrate(300_000).reshape(10, -1)
    labels = np.zeros((10, codes.shape[1], 2), bool)
    write_thesis(tmp_path / "chr1.npz", {"test": (codes, labels)}, alphabet=written)
    words = Words()
    import_dataset([tmp_path / "chr1.npz"], tmp_path / "d.h5", progress=words)
    assert [f"--alphabet {written}" in line for line in words.warned] == [True] * (written != "NACTG")


def test_no_alphabet_is_suggested_for_little_or_other_sequence() -> None:
    assert suggestion(count_pairs(vertebrate(100_000)[None]), "AGCTN") is None
    assert (
        suggestion(count_pairs(np.random.default_rng(0).integers(1, 5, (10, 50_000)).astype(np.uint8)), "NACTG") is None
    )
    assert suggestion(no_pairs(), "NACTG") is None
    assert suggestion(count_pairs(reverse_complement(vertebrate(300_000))[None]), "NACTG") is None


# The command, and what follows


def test_the_command(tmp_path: Path, cli: Cli) -> None:
    write_deepsea(
        tmp_path / "b",
        {name: random_windows(12, LENGTH, MARKERS, seed) for seed, name in enumerate(("train", "valid"))},
    )
    result = cli("import-data", tmp_path / "b", "-o", tmp_path / "d.h5", "--bin", BIN)
    assert result.code == 0, result.err
    assert "24 windows: 12 train, 12 validation" in result.err
    assert "24 reverse complements left out" in result.err
    info = cli("info", tmp_path / "d.h5")
    assert info.code == 0
    assert "deepsea-train" in info.out
    assert cli("markers", tmp_path / "d.h5").out.count("marker000") == 3
    again = cli("import-data", tmp_path / "b", "-o", tmp_path / "d.h5", "--bin", BIN)
    assert (again.code, "--force" in again.err) == (1, True)


def test_a_run_on_an_import_has_no_genome(tmp_path: Path, cli: Cli) -> None:
    splits = {name: thesis_windows(6, 200, 3, seed) for seed, name in enumerate(("train", "valid"))}
    write_thesis(tmp_path / "chr1.npz", splits)
    assert cli("import-data", tmp_path / "chr1.npz", "-o", tmp_path / "d.h5").code == 0
    trained = cli("train", tmp_path / "d.h5", "-o", tmp_path / "run", "--epochs", 1, "--device", "cpu")
    assert trained.code == 0, trained.err
    info = cli("info", tmp_path / "run", "--json")
    assert '"genome": null' in info.out
    result = cli("annotate", tmp_path / "run", "-o", tmp_path / "tracks", "--dry-run")
    assert result.code == 1
    assert "no genome is recorded" in result.err
    assert f"name it: dilannot annotate {tmp_path / 'run'} GENOME" in result.err.replace("\n", "")
    (tmp_path / "g.fa").write_text(">chr1\n" + "ACGT" * 100 + "\n")
    named = cli("annotate", tmp_path / "run", tmp_path / "g.fa", "-o", tmp_path / "tracks", "--dry-run")
    assert named.code == 0, named.err
    assert "warning" not in named.err
