"""The validation after every epoch of a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from dilannot.data.batch import LabelIntervals
from dilannot.data.dataset import Dataset
from dilannot.metrics.histograms import ScoreHistograms, highest
from dilannot.predict import predicting
from dilannot.progress import Progress
from dilannot.ranks import Ranks

_PROBED = 25_000  # nt that tell where the highest scores lie

Loss = Callable[[Tensor, LabelIntervals, Tensor], Tensor]


def score_split(
    network: torch.nn.Module,
    dataset: Dataset,
    split: str,
    *,
    batch_size: int,
    device: torch.device,
    progress: Progress,
    inputs: Sequence[str] = ("sequence",),
    loss: Loss | None = None,
    ranks: Ranks | None = None,
    together: Callable[[], object] | None = None,
) -> tuple[ScoreHistograms, float]:
    """Predict every window of a split by itself (as in training: zero edges) and count its scores.

    Several processes predict a share each, and all get the whole result.

    Parameters
    ----------
    loss
        Summed over unmasked positions x markers.
    ranks, together
        The processes, and what all of them do after each whole batch.

    Returns
    -------
    histograms, loss
        The mean loss over unmasked positions x markers is NaN when no `loss` was given.
    """
    losses, positions, windows = 0.0, 0, len(dataset.rows(split))
    ranks = ranks or Ranks(0, 1, 0, device)
    shares = dataset.batches(split, batch_size * ranks.count, rank=ranks.rank, ranks=ranks.count)
    with predicting(network), progress.task(f"evaluating {split}", windows * dataset.length) as task:
        shift = None
        if windows:
            first = dataset.batch(dataset.rows(split)[: max(1, _PROBED // dataset.length)]).to(device)
            shift = np.array(ranks.of_first(highest(network(**first.select(inputs))).tolist()))
        histograms = ScoreHistograms(len(dataset.markers), shift=shift)
        for step, batch in enumerate(shares, 1):
            batch = batch.to(device)
            logits = network(**batch.select(inputs))
            histograms.update(logits, batch.targets, batch.mask)
            if loss is not None:
                losses += float(loss(logits, batch.targets, batch.mask))
                positions += int(batch.mask.sum())
            task.advance(batch.inputs["sequence"].numel() * ranks.count)
            if together is not None and step * batch_size * ranks.count <= windows:
                together()
    histograms.collect()
    ranks.sum_counts(histograms.everything)
    ranks.sum_counts(histograms.positive)
    losses, counted = ranks.sum(losses, positions)
    return histograms, losses / max(counted * len(dataset.markers), 1) if loss else float("nan")
