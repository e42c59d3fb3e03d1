"""What runs on a GPU says what the CPU says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyBigWig
import pytest
import torch
from conftest import Inputs

from dilannot.annotate.annotate import annotate
from dilannot.annotate.plan import Scope
from dilannot.data.build import build_dataset
from dilannot.data.settings import BuildSettings
from dilannot.evaluate.evaluate import evaluate
from dilannot.evaluate.protocol import Protocol
from dilannot.training.settings import Settings
from dilannot.training.train import train

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_the_whole_way(dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(dataset, run, settings=Settings(epochs=1, max_steps=3), device="cuda")
    results = {device: evaluate(run, device=device) for device in ("cpu", "cuda")}
    for one, other in zip(results["cpu"].scores.pr_auc, results["cuda"].scores.pr_auc, strict=True):
        assert one == pytest.approx(other, abs=0.01)
    for protocol in (Protocol("all", both_strands=True), Protocol("all", bin_length=50)):
        pair = [evaluate(run, protocol=protocol, device=device) for device in ("cpu", "cuda")]
        assert pair[0].scores.pr_auc == pytest.approx(pair[1].scores.pr_auc, abs=0.01, nan_ok=True)
        assert pair[0].intervals is not None
        assert pair[1].intervals is not None


def test_a_dense_network_on_bins(inputs: Inputs, dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path / "run", settings=Settings(epochs=1, max_steps=3), device="cuda")
    bins = BuildSettings(task="window", bin=200, context=150, split="blocks")
    build_dataset(inputs.genome, [inputs.peak_folder], tmp_path / "bins.h5", bins)
    pair = [
        evaluate(tmp_path / "run", tmp_path / "bins.h5", protocol=Protocol("all"), device=device)
        for device in ("cpu", "cuda")
    ]
    assert pair[0].scores.pr_auc == pytest.approx(pair[1].scores.pr_auc, abs=0.01, nan_ok=True)


def test_tracks(dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(dataset, run, settings=Settings(epochs=1, max_steps=3), device="cuda")
    for device in ("cpu", "cuda"):
        annotate(run, output=tmp_path / f"tracks-{device}", scope=Scope(["chr2"]), device=device)
    for row in json.loads((tmp_path / "tracks-cpu" / "tracks.json").read_text())["tracks"]:
        values = []
        for device in ("cpu", "cuda"):
            with pyBigWig.open(str(tmp_path / f"tracks-{device}" / row["bigwig"])) as file:
                values.append(file.values("chr2", 0, 12_345, numpy=True))
        # Where one rounds to just below the least score, the other has a gap.
        shown = [np.nan_to_num(each, nan=row["min_score"] - 0.01) for each in values]
        assert abs(shown[0] - shown[1]).max() <= 0.01 + 1e-6
