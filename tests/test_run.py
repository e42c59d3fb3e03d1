from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Inputs, make_run
from safetensors.torch import load_file, save_file

from dilannot.errors import DilannotError
from dilannot.run import load_network, read_run
from dilannot.tensors import read_tensors, write_tensors


@pytest.fixture(scope="module")
def good(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    thin = {"filters": [4, 5, 6], "hidden": 7, "dilations": [1, 1, 3], "kernel": 5, "stride": 5}
    return make_run(tmp_path_factory.mktemp("run") / "run", inputs.genome, "dilated", **thin)


@pytest.fixture
def run(good: Path, tmp_path: Path) -> Path:
    shutil.copytree(good, tmp_path / "run")
    return tmp_path / "run"


def header(path: Path) -> dict[str, str]:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length])["__metadata__"]  # type: ignore[no-any-return]


def rewrite(run: Path, change: object) -> None:
    """Change the tensors and keep the header."""
    path = run / "best.safetensors"
    tensors, metadata = load_file(path), header(path)
    change(tensors)  # type: ignore[operator]
    save_file(tensors, path, metadata=metadata)


def replace(record: Path, **changes: object) -> None:
    record.write_text(json.dumps(json.loads(record.read_text()) | changes))


def test_a_run_rebuilds_itself(run: Path) -> None:
    record = read_run(run)
    assert record.model == "dilated"
    assert [marker.name for marker in record.markers] == ["A|1", "a|1", "G C"]
    assert load_network(record).network(torch.zeros(1, 20, dtype=torch.uint8)).shape == (1, 3, 20)


def test_a_run_of_version_3_has_one_threshold_a_marker(run: Path) -> None:
    replace(run / "run.json", format_version=3)
    tensors, record, _ = read_tensors(run / "best.safetensors", lambda *_: None)
    write_tensors(run / "best.safetensors", tensors, record | {"thresholds": [0.25, None, 0.5]})
    thresholds = load_network(read_run(run)).thresholds
    assert list(thresholds) == ["break-even"]
    assert np.array_equal(thresholds["break-even"], [0.25, np.nan, 0.5], equal_nan=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("head.2.bias"), "'head.2.bias' is missing"),
        (lambda t: t.update(extra=torch.zeros(1)), "'extra' is unexpected"),
        (lambda t: t.update({"head.2.bias": torch.zeros(9)}), r"head.2.bias has shape \(9,\)"),
        (lambda t: t.update({"head.2.bias": torch.zeros(3, dtype=torch.float64)}), "head.2.bias has dtype"),
        (lambda t: t["head.2.bias"].fill_(float("nan")), "NaN"),
        (lambda t: t["head.2.bias"].add_(1), "checksum"),
    ],
)
def test_weights_that_are_not_the_run_are_refused(run: Path, change: object, message: str) -> None:
    rewrite(run, change)
    with pytest.raises(DilannotError, match=message) as error:
        load_network(read_run(run))
    assert "best.safetensors" in str(error.value)


def test_every_flipped_or_missing_part_of_the_weights_is_noticed(run: Path) -> None:
    path = run / "best.safetensors"
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    record = read_run(run)
    thresholds = range(data.index(b"thresholds"), data.index(b"sha256"))
    for at in (*range(8), *thresholds, *range(start, len(data), len(data) // 40)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        with pytest.raises(DilannotError):
            load_network(record)
    for length in (0, 1, 8, 50, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(DilannotError, match="best.safetensors"):
            load_network(record)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "not a dilannot run"),
        ({"format_version": 7}, "version 7"),
        ({"model": "dilatedd"}, "did you mean 'dilated'"),
        ({"arguments": {"hiden": 1}}, "did you mean 'hidden'"),
        ({"arguments": {"hidden": 10**9}}, "weights of another network"),
    ],
)
def test_records_that_are_not_right_are_refused(run: Path, change: dict[str, object], message: str) -> None:
    replace(run / "run.json", **change)
    with pytest.raises(DilannotError, match=message):
        load_network(read_run(run))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "its markers are not those of markers.tsv"),
        (["a", "a", "b"], "stands twice"),
        (["../a", "b", "c"], "holds a slash"),
        ([], "holds no marker"),
    ],
)
def test_marker_tables_that_do_not_fit_are_refused(run: Path, names: list[str], message: str) -> None:
    head = (run / "markers.tsv").read_text().splitlines()[0]
    (run / "markers.tsv").write_text("\n".join([head, *(f"{name}\tTFBS\t\t\t\tf" for name in names)]) + "\n")
    with pytest.raises(DilannotError, match=message):
        load_network(read_run(run))


@pytest.mark.parametrize("name", ["run.json", "markers.tsv", "settings.toml", "best.safetensors"])
def test_a_missing_part_is_named(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(DilannotError, match=name.split(".")[0]):
        load_network(read_run(run))


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DilannotError, match="not found"):
        read_run(tmp_path / "none")
    with pytest.raises(DilannotError, match=r"holds no run\.json"):
        read_run(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(DilannotError, match="is a file"):
        read_run(tmp_path / "file")
