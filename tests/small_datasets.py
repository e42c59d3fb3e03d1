"""The smallest datasets that have everything: unknown bases, several contigs, every split, windows at odd bases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from conftest import random_sequence, write_fasta

from dilannot.data.build import build_dataset
from dilannot.data.dataset import Dataset
from dilannot.data.settings import BuildSettings, Task

CONTIGS = {"a": random_sequence(700, 1, ((30, 33), (290, 299))), "b": random_sequence(430, 2)}
PEAKS = {
    "x_ctcf": [("a", 10, 300), ("b", 0, 250), ("a", 420, 660)],
    "y_dnase": [("a", 120, 130), ("b", 205, 430), ("a", 333, 650)],
}
WINDOW, BIN, CONTEXT = 50, 20, 15


@dataclass(frozen=True)
class Small:
    """A folder with `genome.fa`, `peaks/` and `TASK.h5`."""

    folder: Path
    task: Task

    @property
    def genome(self) -> Path:
        return self.folder / "genome.fa"

    @property
    def peaks(self) -> Path:
        return self.folder / "peaks"

    @property
    def path(self) -> Path:
        return self.folder / f"{self.task}.h5"


def small_dataset(folder: Path, task: Task) -> Small:
    small = Small(folder, task)
    small.peaks.mkdir(parents=True)
    write_fasta(small.genome, CONTIGS)
    for name, rows in PEAKS.items():
        lines = (f"{contig}\t{start}\t{end}\n" for contig, start, end in rows)
        (small.peaks / f"{name}.bed").write_text("".join(lines))
    settings = BuildSettings(task=task, window=WINDOW, bin=BIN, context=CONTEXT, split="windows")
    build_dataset(small.genome, [small.peaks], small.path, settings)
    return small


def everything(path: Path) -> dict[str, object]:
    """All that a dataset says, by name."""
    with Dataset(path) as data:
        rows = np.arange(len(data.split))
        batch = data.batch(rows)
        targets = batch.targets
        return {
            "sequence": data.sequence(rows).tobytes(),
            "labels": [getattr(targets, part).tolist() for part in ("window", "marker", "start", "end")],
            "mask": batch.mask.tolist(),
            "markers": data.markers,
            "contigs": data.contigs,
            "provenance": data.provenance,
            "positives": data.positives.tolist(),
            "windows": [data.contig.tolist(), data.start.tolist(), data.split.tolist()],
            "lengths": [data.task, data.window, data.context, data.length, data.positions],
            "digest": data.digest,
        }
