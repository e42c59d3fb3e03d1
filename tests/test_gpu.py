"""What runs on a GPU says what the CPU says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyBigWig
import pytest
import torch

from dilannot.annotate.annotate import annotate
from dilannot.annotate.plan import Scope
from dilannot.evaluate.evaluate import evaluate
from dilannot.training.settings import Settings
from dilannot.training.train import train

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_the_whole_way(dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(dataset, run, settings=Settings(epochs=1, max_steps=3), device="cuda")
    results = {device: evaluate(run, device=device) for device in ("cpu", "cuda")}
    for one, other in zip(results["cpu"].scores.pr_auc, results["cuda"].scores.pr_auc, strict=True):
        assert one == pytest.approx(other, abs=0.01)
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
