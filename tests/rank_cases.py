"""What one of several processes does in `test_ranks.py`: `python rank_cases.py FOLDER PORT...`, with torchrun's words.

FOLDER has dense.h5 and window.h5; what a process finds goes to FOLDER/found-RANK.pt, and runs to folders beside it.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_trainings import HYBRID, THIN, Recorder, Training, signal_in_step
from torch import Tensor, nn

from dilannot import ranks as ranks_module
from dilannot.data.dataset import Dataset
from dilannot.errors import DilannotError
from dilannot.evaluate.validation import score_split
from dilannot.models import build
from dilannot.models.layers import BatchNorm, norm_over_all
from dilannot.progress import Silent
from dilannot.ranks import Ranks, joined
from dilannot.training import loop
from dilannot.training.losses import interval_cross_entropy_sum
from dilannot.training.settings import Settings

SHAPES = ((7, 6, 50), (7, 6), (2, 6), (5, 6, 1))

# The plain gradient, and no dropout: Adam makes whole steps of the rounding errors of gradients that should be zero,
# as those of biases before a batch norm are.
_PLAIN = Settings(
    epochs=3, batch_size=6, optimizer="sgd", learning_rate=0.3, reverse_complement=True, shift=9, schedule="constant"
)
_DRY = THIN | {"dropout": 0.0}
_NORMED = {
    "filters": [6], "kernels": [5], "pools": [[3, 3]], "hidden": [5], "batch_norm": True, "hidden_batch_norm": True,
    "dropouts": 0.0, "hidden_dropout": 0.0,
}  # fmt: skip
_ID_CNN = {
    "filters": [4, 6, 4, 4], "channels": 4, "dilations": [1, 2, 1, 2], "applications": 2, "hidden": 5, "dropout": 0.0,
}  # fmt: skip
_LSTM = {"filters": 6, "stride": 5, "state": 4, "deconvolution": 4, "hidden": 5, "dropout": 0.0}
_HYBRID = HYBRID | {"dropout": 0.0}
SAME = {
    "batch norm": Training(_PLAIN, arguments=_DRY),
    "averages, penalty, weights": Training(
        replace(_PLAIN, ema=0.9, l1=1e-3, positive_weight=3.0, max_norm=2.0, batch_size=5), arguments=_DRY
    ),
    "micro-batches": Training(replace(_PLAIN, micro_batch=1), arguments=_DRY | {"batch_norm": False}),
    "blocks": Training(replace(_PLAIN, epochs=1), "id-cnn", _ID_CNN),
    "hybrid": Training(_PLAIN, "hybrid", _HYBRID),
    "recurrent": Training(replace(_PLAIN, epochs=1), "bilstm", _LSTM),
    # Shares of two windows and of one: who has one alone must not leave the others waiting.
    "bins": Training(replace(_PLAIN, batch_size=3, learning_rate=0.1), "deepsea", _NORMED, task="window"),
}
# Long enough to be interrupted from outside.
LONG = Training(Settings(epochs=12, batch_size=6, learning_rate=1e-2, ema=0.9, reverse_complement=True, seed=3))


def norm_case(shape: tuple[int, ...], affine: bool) -> tuple[nn.BatchNorm1d, Tensor, Tensor]:
    """A batch norm, its input, far from zero, and a gradient of its output."""
    torch.manual_seed(len(shape) + shape[0])
    norm = nn.BatchNorm1d(6, momentum=0.3 if affine else None, affine=affine)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return norm, torch.randn(shape) * 3 + 100, torch.randn(shape)


def normed(norm: nn.BatchNorm1d, features: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    features.requires_grad_()
    output = norm(features)
    output.backward(gradient)
    learnt = {name: each.grad for name, each in norm.named_parameters() if each.grad is not None}
    assert features.grad is not None
    return {"output": output.detach(), "input": features.grad, **learnt, **dict(norm.named_buffers())}


def _norms(ranks: Ranks) -> dict[Any, dict[str, Tensor]]:
    found = {}
    for shape in SHAPES:
        for affine in (True, False):
            norm, features, gradient = norm_case(shape, affine)
            holder = nn.Sequential(norm)
            norm_over_all(holder)
            assert isinstance(norm, BatchNorm)
            here = slice(ranks.rank, None, ranks.count)
            found[shape, affine] = normed(norm, features[here].clone(), gradient[here])
    return found


def histograms(path: Path, ranks: Ranks | None = None) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], float]:
    """Of the validation split, with weights that are anything."""
    torch.manual_seed(5)
    network = build("dilated", 2, **THIN)
    for each in network.parameters():
        nn.init.normal_(each, std=0.5)
    with Dataset(path) as data:
        found, loss = score_split(
            network, data, "validation", batch_size=1, device=torch.device("cpu"), progress=Silent(),
            loss=interval_cross_entropy_sum, ranks=ranks,
        )  # fmt: skip
    return found.everything, found.positive, loss


def _stopped(folder: Path, ports: list[str]) -> list[int]:
    """A training that one process is told to stop, in a step and in a validation; its exit codes."""
    codes = []
    here = int(os.environ["RANK"]) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_VALIDATED", 1)  # a window at a time
        for number, where in ((signal.SIGUSR1, "step"), (signal.SIGTERM, "validation")):
            os.environ["MASTER_PORT"] = ports.pop()
            try:
                with signal_in_step(number, 2 if here and where == "step" else 0):
                    if here and where == "validation":
                        patch.setattr(loop, "score_split", _signalled(number))
                    LONG.run(folder / "dense.h5", folder / "stopped", resume=True)
            except SystemExit as error:
                codes.append(int(str(error.code)))
        patch.undo()
    os.environ["MASTER_PORT"] = ports.pop()
    LONG.run(None, folder / "stopped", resume=True, settings=None, model=None, arguments=())
    return codes


def _signalled(number: signal.Signals) -> Any:
    def scored(*given: Any, **more: Any) -> Any:
        signal.raise_signal(number)
        return score_split(*given, **more)

    return scored


def _refused(training: Training, dataset: Path, output: Path) -> str:
    try:
        training.run(dataset, output)
    except DilannotError as error:
        return str(error)
    except SystemExit as error:
        return f"left with {error.code}"
    return "trained"


def main(folder: Path, ports: list[str]) -> None:
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    ranks_module._SILENT = ranks_module._SPOKEN = 0.1
    found: dict[str, Any] = {}
    os.environ["MASTER_PORT"] = ports.pop()
    with joined("cpu") as ranks:
        found["norms"] = _norms(ranks)
        found["histograms"] = histograms(folder / "dense.h5", ranks)
        found["first"] = ranks.of_first([ranks.rank + 1.0, float("nan")])
    trainings: Mapping[str, Training] = {**SAME, "long": LONG}
    found["lines"] = {}
    for name, training in trainings.items():
        os.environ["MASTER_PORT"] = ports.pop()
        recorder = Recorder()
        training.run(folder / f"{training.task}.h5", folder / name, progress=recorder)
        found["lines"][name] = recorder.lines
    found["threads"] = [(each / "comm").read_text().strip() for each in Path("/proc/self/task").iterdir()]
    found["codes"] = _stopped(folder, ports)
    small = replace(LONG, settings=replace(LONG.settings, batch_size=1))
    for name, training, output in (("small batch", small, "refused"), ("existing run", LONG, "long")):
        os.environ["MASTER_PORT"] = ports.pop()
        found[name] = _refused(training, folder / "dense.h5", folder / output)
    torch.save(found, folder / f"found-{ranks.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
