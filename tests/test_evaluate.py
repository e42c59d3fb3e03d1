from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Inputs, make_run
from sklearn.metrics import average_precision_score, roc_auc_score

from dilannot.data.build import build_dataset
from dilannot.data.dataset import Dataset
from dilannot.data.settings import BuildSettings
from dilannot.errors import DilannotError
from dilannot.evaluate import Evaluation, evaluate
from dilannot.metrics import BINS, LIMIT
from dilannot.predict import predicting
from dilannot.progress import Silent
from dilannot.run import load_network, read_run
from dilannot.training.settings import Settings
from dilannot.training.train import train


@pytest.fixture
def run(inputs: Inputs, dataset: Path, tmp_path: Path) -> Path:
    """A toy network over the dataset's own markers."""
    with Dataset(dataset) as data:
        return make_run(tmp_path / "run", inputs.genome, "toy-blocks", markers=data.markers)


def dense(dataset: Path, run: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores, as coarse as histograms hold them, and labels of all positions that count, (T, positions)."""
    network = load_network(read_run(run)).network
    with Dataset(dataset) as data, predicting(network):
        batch = data.batch(data.rows(split))
        logits = network(**batch.inputs)
        labels = torch.zeros(logits.shape, dtype=torch.bool)
        labels.view(-1)[batch.targets.flat_index(*logits.shape[1:])] = True
        bins = torch.round((logits + LIMIT) / (2 * LIMIT / (BINS - 1)))
        return bins.transpose(0, 1)[:, batch.mask].numpy(), labels.transpose(0, 1)[:, batch.mask].numpy()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_figures_equal_scikit_learn_on_dense_labels(run: Path, dataset: Path, split: str) -> None:
    result = evaluate(run, dataset, split=split)
    scores, labels = dense(dataset, run, split)
    for marker in np.flatnonzero(result.scores.defined):
        assert result.scores.roc_auc[marker] == pytest.approx(roc_auc_score(labels[marker], scores[marker]), abs=1e-9)
        expected = average_precision_score(labels[marker], scores[marker])
        assert result.scores.pr_auc[marker] == pytest.approx(expected, abs=1e-9)
        assert result.scores.base_rate[marker] == pytest.approx(labels[marker].mean(), rel=1e-12)


def test_means_leave_out_markers_without_positives(run: Path, dataset: Path, inputs: Inputs, tmp_path: Path) -> None:
    names = [path.name for path in sorted(inputs.peak_folder.iterdir())]
    rows = "".join(f"{name}\t{name.split('.')[0]}\tTFBS\n" for name in names)
    (tmp_path / "markers.tsv").write_text("file\tname\tclass\n" + rows)
    (tmp_path / names[0]).write_text("chr1\t20000\t20100\n")
    peaks = [tmp_path / names[0], *(inputs.peak_folder / name for name in names[1:])]
    build_dataset(
        inputs.genome, peaks, tmp_path / "d.h5", BuildSettings(window=500), markers=[str(tmp_path / "markers.tsv")]
    )
    with Dataset(tmp_path / "d.h5") as data:
        [splits_with] = np.flatnonzero(data.positives[0])
    split = "test" if splits_with != 2 else "validation"
    result = evaluate(run, tmp_path / "d.h5", split=split)
    assert result.undefined == [names[0].split(".")[0]]
    mean = result.means["TFBS"]
    assert mean.markers == 2
    assert mean.pr_auc == pytest.approx(result.scores.pr_auc[1:].mean())


def test_table_and_record_hold_the_same(run: Path, dataset: Path) -> None:
    result = evaluate(run, dataset)
    assert isinstance(result, Evaluation)
    record = json.loads((run / "evaluation-test.json").read_text())
    with open(run / "evaluation-test.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["marker"] for row in rows] == [marker["marker"] for marker in record["markers"]]
    for row, marker in zip(rows, record["markers"], strict=True):
        for name in ("roc_auc", "pr_auc", "base_rate"):
            assert float(row[name]) == pytest.approx(marker[name], rel=1e-5)
    assert record["class_means"]["TFBS"]["pr_auc"] == pytest.approx(result.means["TFBS"].pr_auc)
    with pytest.raises(DilannotError, match="exists already"):
        evaluate(run, dataset)
    evaluate(run, dataset, force=True)


def test_the_batch_size_does_not_matter(run: Path, dataset: Path, tmp_path: Path) -> None:
    for size in (1, 5):
        evaluate(run, dataset, output=tmp_path / f"b{size}", batch_size=size)
    assert (tmp_path / "b1.tsv").read_bytes() == (tmp_path / "b5.tsv").read_bytes()


def test_a_dataset_of_other_markers_is_refused(inputs: Inputs, dataset: Path, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", inputs.genome, "toy-blocks")
    with pytest.raises(DilannotError, match=r"its markers are not those of .* where the run has 'A\|1'"):
        evaluate(folder, dataset)


def test_a_dataset_that_changed_since_training_is_refused(inputs: Inputs, tmp_path: Path) -> None:
    path = tmp_path / "d.h5"
    build_dataset(inputs.genome, [inputs.peak_folder], path, BuildSettings(window=500))
    train(
        path,
        tmp_path / "run",
        settings=Settings(epochs=1, max_steps=1),
        arguments={"filters": [4], "dilations": [1], "hidden": 3},
    )
    build_dataset(inputs.genome, [inputs.peak_folder], path, BuildSettings(window=500, seed=1), force=True)
    with pytest.raises(DilannotError, match="its windows or splits differ"):
        evaluate(tmp_path / "run")

    said: list[str] = []

    class Listener(Silent):
        def warn(self, message: str) -> None:
            said.append(message)

    evaluate(tmp_path / "run", path, progress=Listener())
    assert "may have been trained on" in said[0]


def test_a_class_without_positives_has_no_mean(run: Path, inputs: Inputs, tmp_path: Path) -> None:
    names = [path.name for path in sorted(inputs.peak_folder.iterdir())]
    (tmp_path / names[1]).write_text("chr1\t20000\t20100\n")  # the DNase marker, in one window
    peaks = [inputs.peak_folder / names[0], tmp_path / names[1], inputs.peak_folder / names[2]]
    build_dataset(inputs.genome, peaks, tmp_path / "d.h5", BuildSettings(window=500))
    with Dataset(tmp_path / "d.h5") as data:
        [split] = np.flatnonzero(data.positives[1])
    assert set(evaluate(run, tmp_path / "d.h5", split="test" if split != 2 else "validation").means) == {
        "TFBS",
        "histone",
    }
