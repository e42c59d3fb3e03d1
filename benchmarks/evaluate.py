"""Metrics while predictions stream by, against scikit-learn and against the forward pass; 919 markers, memory.

    python benchmarks/evaluate.py RUN GENOME PEAKS [--repeats 5] [--write PAGE]

RUN is a trained `dilated`; its last layer, and the peak files in PEAKS, are repeated up to 919 markers, so that scores
and labels are what they are in life. Scores of a few markers at 5 million test positions go through scikit-learn
(`roc_auc_score` and `average_precision_score`, one marker after the other) and through ours (float32 logits counted in
20 steps, and everything `Scores` holds), in turns, on one thread; both get what half precision leaves of the scores,
and must agree to 1e-9. Then the forward pass of 919 markers, alone and with counting, in turns, on one thread. Last
`dilannot evaluate` as a process of its own, on a quarter of the test windows and on all. Medians. Exits 1 when a goal
is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from measured import measure, report
from numpy.typing import NDArray
from page import put
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn
from wide import widened

from dilannot.data.batch import Batch, LabelIntervals
from dilannot.data.build import build_dataset
from dilannot.data.dataset import Dataset
from dilannot.data.markers import FIELDS
from dilannot.data.settings import BuildSettings
from dilannot.evaluate.scoring import scorer_for
from dilannot.metrics.histograms import ScoreHistograms
from dilannot.metrics.scores import scores_of
from dilannot.models.inference import for_inference
from dilannot.models.pieces import bias_of, pieces
from dilannot.predict import predicting
from dilannot.run import Run, load_network, read_run

MARK = "<!-- made by benchmarks/evaluate.py -->"
MARKERS, COMPARED, POSITIONS, STEPS = 919, 6, 5_000_000, 20


def wide_dataset(run: Run, genome: Path, peaks: Path, folder: Path) -> Path:
    """A dataset of the markers of a widened run, from links to their peak files."""
    folder.mkdir()
    rows = ["\t".join(FIELDS)]
    for number, marker in enumerate(run.markers):
        link = f"{number}-{marker.file}"
        (folder / link).symlink_to((peaks / marker.file).resolve())
        rows.append("\t".join(replace(marker, file=link).row()))
    (folder / "markers.tsv").write_text("\n".join(rows) + "\n")
    path = folder / "wide.h5"
    build_dataset(genome, [folder], path, BuildSettings())
    return path


def medians(actions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """CPU seconds of each, run in turns."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for repeat in range(repeats + 1):
        for name, action in actions.items():
            began = time.process_time()
            action()
            times[name] += [time.process_time() - began] if repeat else []  # the first time warms up
    return {name: statistics.median(each) for name, each in times.items()}


def against_scikit_learn(network: nn.Module, data: Dataset, repeats: int) -> tuple[dict[str, float], float]:
    """Seconds of either, and the largest difference of a figure."""
    batch = data.batch(data.rows("test")[: POSITIONS // data.window])
    chosen = torch.bincount(batch.targets.marker, minlength=MARKERS).topk(COMPARED).indices.sort().values
    parts = [_logits(network, each, chosen) for each in batch.parts(STEPS)]
    scored = [
        (torch.cat([truth[:, t][mask] for _, _, mask, truth in parts]).numpy(),
         torch.cat([logits.half().float()[:, t][mask] for logits, _, mask, _ in parts]).numpy())
        for t in range(COMPARED)
    ]  # fmt: skip
    ours: list[NDArray[np.float64]] = []
    theirs: list[list[float]] = []

    def count() -> None:
        histograms = ScoreHistograms(COMPARED, blocks=STEPS)
        for block, (logits, labels, mask, _) in enumerate(parts):
            histograms.update(logits, labels, mask, block)
        found = scores_of(histograms.everything, histograms.positive, "logit")
        ours[:] = [found.roc_auc, found.pr_auc]

    def sort() -> None:
        theirs[:] = [[float(each(*pair)) for pair in scored] for each in (roc_auc_score, average_precision_score)]

    seconds = medians({"scikit-learn": sort, "dilannot": count}, repeats)
    return seconds, float(np.abs(np.array(ours) - np.array(theirs)).max())


def _logits(network: nn.Module, batch: Batch, chosen: Tensor) -> tuple[Tensor, LabelIntervals, Tensor, Tensor]:
    """Of some markers, with their labels, what counts, and the labels of every position."""
    logits = torch.cat([network(one[None])[:, chosen] for one in batch.inputs["sequence"]])
    number = torch.full((MARKERS,), -1).index_copy_(0, chosen, torch.arange(COMPARED))[batch.targets.marker]
    kept = number >= 0
    window, start, end = (getattr(batch.targets, name)[kept] for name in ("window", "start", "end"))
    labels = LabelIntervals(window, number[kept], start, end)
    truth = torch.zeros(logits.shape, dtype=torch.bool)
    truth.view(-1)[labels.flat_index(*logits.shape[1:])] = True
    return logits, labels, batch.mask, truth


def against_forward(run: Run, network: nn.Module, data: Dataset, repeats: int) -> dict[str, float]:
    """Seconds of a forward pass of 50,000 nt, alone and with counting."""
    fast, bias = for_inference(network), bias_of(network)
    assert bias is not None
    batch = data.batch(data.rows("test")[:2])
    sequence = batch.inputs["sequence"]
    scorer = scorer_for(run, fast, data, len(run.markers), 1, False)
    histograms = ScoreHistograms(len(run.markers), blocks=100)

    def forward() -> None:
        for piece in pieces(fast, sequence, 0, sequence.shape[1]):
            piece.logits.add_(bias[:, None])

    def counted() -> None:
        histograms.update(*scorer(Batch({"sequence": sequence}, batch.targets, batch.mask), histograms.room), block=3)

    return medians({"forward": forward, "with metrics": counted}, repeats)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("genome", type=Path)
    parser.add_argument("peaks", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        wide = widened(read_run(options.run), Path(folder, "run"), MARKERS)
        path = wide_dataset(wide, options.genome, options.peaks, Path(folder, "peaks"))
        network = load_network(wide).network
        with Dataset(path) as data, predicting(network):
            compared, difference = against_scikit_learn(network, data, options.repeats)
            forward = against_forward(wide, network, data, options.repeats)
            rows = data.rows("test")
            whole = len(rows) * data.window
            end = int(data.start[rows[len(rows) // 4]])
            first = str(data.contigs[int(data.contig[rows[0]])]["name"])
        common = ("evaluate", wide.folder, path, "-@", 2, "-q", "-o")
        part = measure(*common, Path(folder, "part"), "--region", f"{first}:1-{end}")
        all_of_it = measure(*common, Path(folder, "all"))
    scores = COMPARED * POSITIONS
    share = 100 * (forward["with metrics"] / forward["forward"] - 1)
    table = [
        f"{MARKERS} markers, torch {torch.__version__}; times on one thread, those of whole commands on two.",
        "",
        "| | scores | seconds | scores a second |",
        "|---|---:|---:|---:|",
        *(f"| {name}: ROC AUC and average precision | {scores:,} | {seconds:.3f} | {scores / seconds:,.0f} |"
          for name, seconds in compared.items()),
        *(f"| {name} | {MARKERS * 50_000:,} | {seconds:.3f} | {MARKERS * 50_000 / seconds:,.0f} |"
          for name, seconds in forward.items()),
        "",
        f"Largest difference of a figure from scikit-learn's: {difference:.1g}. `dilannot evaluate`, whole command: "
        f"{whole / 4:,.0f} nt in {part.seconds:.1f} s with {part.memory:.2f} GB, {whole:,} nt in "
        f"{all_of_it.seconds:.1f} s with {all_of_it.memory:.2f} GB.",
    ]  # fmt: skip
    print("\n".join(table))
    if options.write:
        put(options.write, MARK, table)
    missed = difference > 1e-9
    missed |= bool(
        report("limits", [("metrics, of the forward pass", share, "%", 25), ("memory", all_of_it.memory, "GB", 1)])
    )
    ratio = compared["scikit-learn"] / compared["dilannot"]
    return int(
        report("metrics against scikit-learn", [("scores a second", ratio, "times", 300)], at_least=True) or missed
    )


if __name__ == "__main__":
    sys.exit(main())
