"""Scores of the windows of a dataset, whatever kind of network and of dataset come together.

Legend: N windows, T markers, L positions or bins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dilannot.data.batch import Batch, LabelIntervals
from dilannot.evaluate.bins import binned_labels, binned_mask, binned_means
from dilannot.evaluate.windows import Windows, parts
from dilannot.genome.sequence import N
from dilannot.metrics.histograms import Room
from dilannot.models.pieces import bias_of, pieces
from dilannot.run import Run
from dilannot.walk import Walk, other_strand, walk_of

if TYPE_CHECKING:
    from dilannot.data.dataset import Dataset

_ALMOST_ONE = 1 - 2**-24  # what float32 rounds the logits of to infinity


@dataclass(frozen=True, slots=True)
class Scored:
    """Logits of a batch and what is true of it.

    Attributes
    ----------
    block
        Which block of the genome it lies in.
    scores, labels, mask
        (N, T, L), those in half precision in a `Room` and less its shift; their label intervals; (N, L) what counts.
    nucleotides
        Of sequence that was looked at.
    """

    block: int
    scores: Tensor
    labels: LabelIntervals
    mask: Tensor
    nucleotides: int


Scorer = Callable[[Batch, Room], tuple[Tensor, LabelIntervals, Tensor]]


def score_windows(
    windows: Windows, scorer: Scorer, batch_size: int, device: torch.device, room: Room
) -> Iterator[Scored]:
    """All windows, `batch_size` at a time; never of two blocks together. Scores may lie in the room, until the next."""
    for block, rows in parts(windows, batch_size):
        batch = windows.batch(rows)
        sequence = batch.inputs["sequence"].to(device)
        scores, labels, mask = scorer(Batch({"sequence": sequence}, batch.targets, batch.mask), room)
        yield Scored(block, scores, labels, mask, sequence.numel())


def scorer_for(run: Run, network: nn.Module, data: Dataset, markers: int, bin_length: int, rc: bool) -> Scorer:
    """How windows of a dataset are scored; `check_bins` has found that they can be."""
    if run.output == "window":
        if data.task == "window":
            return lambda batch, _: (_bins(network, batch, rc), batch.targets, batch.mask)
        walk, margin = walk_of(network, run, None, both_strands=rc), (run.length - run.window) // 2
        return lambda batch, _: _as_bins(batch, _window_network(walk, batch, margin), markers, bin_length)
    if bin_length == 1 and not rc:
        return lambda batch, room: (_dense(network, batch, markers, room), batch.targets, batch.mask)
    walk = walk_of(network, run, None, training_windows=True, both_strands=rc)
    if bin_length == 1:
        return lambda batch, room: (_both_strands(walk, batch, markers, room), batch.targets, batch.mask)
    return lambda batch, _: _as_bins(
        batch, to_logits(binned_means(_whole(walk, batch, markers), bin_length)), markers, bin_length
    )


def to_logits(probabilities: Tensor) -> Tensor:
    """The logits of probabilities, as scores are counted; in place."""
    return probabilities.clamp_(max=_ALMOST_ONE).logit_()


def _as_bins(batch: Batch, scores: Tensor, markers: int, bin_length: int) -> tuple[Tensor, LabelIntervals, Tensor]:
    labels = binned_labels(batch.targets, markers, batch.mask.shape[1], bin_length)
    return scores, labels, binned_mask(batch.mask, bin_length)


def _dense(network: nn.Module, batch: Batch, markers: int, room: Room) -> Tensor:
    """Logits as they come; the other ways make probabilities of them first."""
    sequence, bias = batch.inputs["sequence"], bias_of(network)
    size, length = sequence.shape
    scores = room.of(size, markers, length, sequence.device)
    shift = room.shift(markers, sequence.device)[:, None]
    for piece in pieces(network, sequence, 0, length):
        # What an unknown network gives may be its own: it is left as it is.
        logits = piece.logits - shift if bias is None else piece.logits.add_(bias[:, None] - shift)
        scores[:, :, piece.start : piece.end] = logits
    return scores


def _both_strands(walk: Walk, batch: Batch, markers: int, room: Room) -> Tensor:
    size, length = batch.inputs["sequence"].shape
    scores = room.of(size, markers, length, batch.inputs["sequence"].device)
    shift = room.shift(markers, scores.device)[:, None]
    for start, probabilities in walk.predict(batch.inputs["sequence"], 0, length):
        scores[:, :, start : start + probabilities.shape[2]] = to_logits(probabilities).sub_(shift)
    return scores


def _whole(walk: Walk, batch: Batch, markers: int) -> Tensor:
    """Probabilities of all positions."""
    size, length = batch.inputs["sequence"].shape
    made = torch.empty(size, markers, length, device=batch.inputs["sequence"].device)
    for start, probabilities in walk.predict(batch.inputs["sequence"], 0, length):
        made[:, :, start : start + probabilities.shape[2]] = probabilities
    return made


def _bins(network: nn.Module, batch: Batch, rc: bool) -> Tensor:
    """A network for windows on its own kind of dataset."""
    sequence = batch.inputs["sequence"]
    logits: Tensor = network(sequence)
    if not rc:
        return logits
    other: Tensor = network(other_strand(sequence))
    return to_logits((logits.sigmoid() + other.sigmoid()) / 2)


def _window_network(walk: Walk, batch: Batch, margin: int) -> Tensor:
    """A network for windows on every bin of longer ones; outside of these it sees N."""
    sequence = nn.functional.pad(batch.inputs["sequence"], (margin, margin), value=N)
    [(_, probabilities)] = walk.predict(sequence, margin, sequence.shape[1] - margin)
    return to_logits(probabilities)
