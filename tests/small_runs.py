"""Run folders with a history and without weights: what drawing and comparing read."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import toy_models  # noqa: F401 (registers)

from dilannot.data.markers import Marker
from dilannot.run import METRICS, TIMING, Run

PR_AUC = {"TFBS": (0.1, 0.3, 0.2), "histone": (0.2, 0.4, 0.5), "DNase": (0.3, 0.4, 0.3)}
LOSS = (0.5, 0.4, 0.3)


def write_run(
    folder: Path,
    pr_auc: Mapping[str, Sequence[float]] = PR_AUC,
    loss: Sequence[float] = LOSS,
    *,
    model: str = "toy-blocks",
    markers: Sequence[Marker] = (Marker("a", "TFBS"), Marker("b", "histone"), Marker("c", "DNase")),
    dataset: str = "",
    digest: str = "d",
    code: dict[str, str] | None = None,
    **settings: object,
) -> Run:
    """A run whose epochs had these mean PR AUCs per class and validation losses, and speeds of 1,000 nt/s and more."""
    folder.mkdir(parents=True)
    run = Run(
        folder=folder,
        model=model,
        output="dense",
        arguments={},
        markers=list(markers),
        window=500,
        length=500,
        genome="",
        dataset=dataset,
        dataset_digest=digest,
        contigs=[],
        settings=settings,
        code=code,
    )
    run.save()
    rows = [("epoch", "step", "learning_rate", "train_loss", "validation_loss", *(f"pr_auc_{name}" for name in pr_auc))]
    for index, value in enumerate(loss):
        means = (f"{values[index]:.6g}" for values in pr_auc.values())
        rows.append((f"{index + 1}", f"{10 * index + 10}", "0.002", f"{value - 0.1:.6g}", f"{value:.6g}", *means))
    with open(folder / METRICS, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    timing = [f"{index + 1},100000,1.5,{1000 * (index + 1)},nan\n" for index in range(len(loss))]
    (folder / TIMING).write_text("epoch,nt,seconds,nt_per_s,memory_gb\n" + "".join(timing))
    return run
