"""How well a run predicts, per marker and class; and whether it does better than others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dilannot.data.dataset import Dataset
from dilannot.data.markers import Marker
from dilannot.errors import DilannotError
from dilannot.evaluate.confidence import difference
from dilannot.evaluate.figures import Judged, judge
from dilannot.evaluate.fitting import check_bins, check_dataset, columns_of, common_markers, reads_genome
from dilannot.evaluate.genome_bins import GenomeBins
from dilannot.evaluate.protocol import DEFAULTS, Protocol, check_thresholds
from dilannot.evaluate.scoring import Scored, score_windows, scorer_for
from dilannot.evaluate.windows import Windows, choose_windows
from dilannot.evaluation import Evaluation
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.tiles import Context
from dilannot.metrics.histograms import Room, ScoreHistograms, highest
from dilannot.metrics.scores import Floats
from dilannot.models import context_of
from dilannot.models.inference import for_inference
from dilannot.models.some_markers import for_markers
from dilannot.predict import choose_device, full_precision, predicting
from dilannot.progress import Progress, Silent
from dilannot.run import Run, Weights, Which, load_network, read_run
from dilannot.walk import walk_of

_AT_ONCE = 50_000  # nt of windows: as many scores of a marker are counted together
_PROBED = 25_000  # nt that tell where the highest scores lie


def evaluate(
    run: Path,
    dataset: Path | None = None,
    *,
    protocol: Protocol = DEFAULTS,
    others: Sequence[Path] = (),
    genome: Path | None = None,
    weights: Which = "best",
    batch_size: int | None = None,
    device: str = "auto",
    trust_code: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a run on windows of a dataset, and other runs on the same ones.

    Parameters
    ----------
    run
        Run folder.
    dataset
        By default the one the run was trained on.
    protocol
        What is judged, and how.
    others
        Run folders that it is compared with, on the markers that all of them have.
    genome
        FASTA for a dense network on the bins of a window dataset; by default the one the run was trained on.
    weights
        Those of the best or the last epoch.
    batch_size
        Windows a step; without it as many as make 50,000 nt.
    device
        auto, cpu, cuda or cuda:N.
    trust_code
        See `load_network`.

    Raises
    ------
    DilannotError
        No run, no dataset, a dataset of other markers or bins, a genome that nothing reads, or no position to judge.
    """
    progress = progress or Silent()
    check_thresholds(protocol.thresholds, probabilities=True)
    record, where = read_run(run), choose_device(device)
    records = [record, *map(read_run, others)]
    for each in records[1:]:
        if each.folder.resolve() == record.folder.resolve():
            progress.warn(f"{each.folder} is the run itself: it differs in nothing")
    with Dataset(dataset or record.recorded_file("dataset", "evaluate")) as data:
        for each in records:
            check_dataset(each, data, given=dataset is not None or each is not record, progress=progress)
        check_bins(records, data, protocol.bin_length)
        if genome is not None and not any(reads_genome(each, data) for each in records):
            raise DilannotError("nothing here reads a genome", where="--genome", remedy="leave it out")
        markers = common_markers(records, data, protocol, given=dataset is not None, progress=progress)
        windows = choose_windows(data, protocol, columns_of(data, markers), progress)
        asked = _Asked(windows, markers, protocol, genome, weights, batch_size, where, trust_code, progress)
        # All are looked at before the first is scored, which takes long; each goes when it is.
        ready, judged = [_prepare(each, asked) for each in records], list[Judged]()
        while ready:
            judged.append(_judge(ready.pop(0), asked))
    first, *rest = judged
    for other in rest:
        check_same_positions(first.evaluation, other.evaluation)
    pairs = [difference(first.evaluation, other.evaluation, first.resampled, other.resampled) for other in rest]
    return replace(first.evaluation, differences=pairs)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What all runs of an evaluation share."""

    windows: Windows
    markers: Sequence[Marker]
    protocol: Protocol
    genome: Path | None
    weights: Which
    batch_size: int | None
    device: torch.device
    trust_code: bool
    progress: Progress


@dataclass(frozen=True, slots=True)
class _Ready:
    """A run that can be scored: its network for the judged markers, not yet on the device, and how it is asked.

    Attributes
    ----------
    run, network
        See there.
    thresholds
        Where they come from -> (T,) probabilities.
    told
        How it is judged, in the order it is told.
    probe, score
        Score the first windows, whatever the batch size, and all, once the network is where it belongs.
    """

    run: Run
    network: torch.nn.Module
    thresholds: dict[str, Floats]
    told: dict[str, Any]
    probe: Callable[[Room], Iterator[Scored]]
    score: Callable[[Room], Iterator[Scored]]


def _prepare(run: Run, asked: _Asked) -> _Ready:
    """Load a run's network, and check that it can score what is asked for."""
    loaded = load_network(run, asked.weights, trust_code=asked.trust_code)
    number = {marker.name: index for index, marker in enumerate(run.markers)}
    chosen = [number[marker.name] for marker in asked.markers]
    network = for_markers(for_inference(loaded.network), chosen, len(run.markers))
    thresholds = {name: values[chosen] for name, values in loaded.thresholds.items()}
    thresholds |= {f"{value:g}": np.full(len(chosen), value) for value in asked.protocol.thresholds}
    genome = None
    if reads_genome(run, asked.windows.data):
        genome = asked.genome or run.recorded_file("genome", "evaluate")
        probe = score = _around_bins(run, network, context_of(loaded.network), genome, asked)
    else:
        probe, score = _in_windows(run, network, asked)
    return _Ready(run, network, thresholds, _told(run, loaded, genome, asked), probe, score)


def _around_bins(
    run: Run, network: torch.nn.Module, context: Context | None, genome: Path, asked: _Asked
) -> Callable[[Room], Iterator[Scored]]:
    walk = walk_of(network, run, context, both_strands=asked.protocol.both_strands)
    bins = GenomeBins(asked.windows, Genome(genome, asked.progress), walk, len(asked.markers), asked.device)
    bins.check()
    return lambda _: bins.scored()


def _in_windows(
    run: Run, network: torch.nn.Module, asked: _Asked
) -> tuple[Callable[[Room], Iterator[Scored]], Callable[[Room], Iterator[Scored]]]:
    data, protocol = asked.windows.data, asked.protocol
    scorer = scorer_for(run, network, data, len(asked.markers), protocol.bin_length, protocol.both_strands)
    sizes = max(1, _PROBED // data.length), asked.batch_size or max(1, _AT_ONCE // data.length)
    probe, score = (partial(score_windows, asked.windows, scorer, size, asked.device) for size in sizes)
    return probe, score


def _judge(ready: _Ready, asked: _Asked) -> Judged:
    data, protocol = asked.windows.data, asked.protocol
    network = ready.network.to(asked.device)  # in place: `score` has the same one
    total = None if reads_genome(ready.run, data) else asked.windows.count * data.length
    with predicting(network), full_precision(), asked.progress.task(f"evaluating {ready.run.folder}", total) as task:
        shift = highest(next(ready.probe(Room())).scores)
        histograms = ScoreHistograms(len(asked.markers), blocks=len(asked.windows.blocks), shift=shift)
        for scored in ready.score(histograms.room):
            histograms.update(scored.scores, scored.labels, scored.mask, scored.block)
            task.advance(scored.nucleotides)
    histograms.finish()
    if not histograms.positions:
        remedy = "other windows" if protocol.everywhere else "more regions, or exclude less"
        raise DilannotError("no position is left to judge", where=data.path, remedy=f"ask for {remedy}")
    return judge(
        histograms, asked.markers, ready.thresholds, subject=str(ready.run.folder), protocol=ready.told,
        block_length=asked.windows.block_length, replicates=protocol.replicates, seed=protocol.seed,
    )  # fmt: skip


def _told(run: Run, loaded: Weights, genome: Path | None, asked: _Asked) -> dict[str, Any]:
    """How it is judged, in the order it is told."""
    data, protocol = asked.windows.data, asked.protocol
    regions = [*protocol.regions, *([str(protocol.regions_file)] if protocol.regions_file else [])]
    return {
        "run": str(run.folder),
        "model": run.model,
        "output": run.output,
        "weights": asked.weights,
        "epoch": loaded.epoch,
        "weights_sha256": loaded.sha256,
        "dataset": str(data.path),
        "dataset_digest": data.digest,
        "split": protocol.split,
        "windows": asked.windows.count,
        "markers_asked": list(protocol.markers) or None,
        "genome": None if genome is None else str(genome),
        "bin": data.window if data.task == "window" else protocol.bin_length,
        "rc": protocol.both_strands,
        "regions": regions or None,
        "exclude": list(protocol.exclude) or None,
    }


def check_same_positions(one: Evaluation, other: Evaluation) -> None:
    """What differences rest on; the checks before leave no way for a user to break it."""
    alike = one.scores.positions == other.scores.positions
    if not alike or not np.array_equal(one.scores.positives, other.scores.positives):
        raise AssertionError(f"{one.subject} and {other.subject} were judged on different positions")
