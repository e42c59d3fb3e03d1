"""How well a run predicts, per marker and class; and whether it does better than others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dilannot.data.dataset import Dataset
from dilannot.data.markers import Marker
from dilannot.errors import DilannotError
from dilannot.evaluate.confidence import difference
from dilannot.evaluate.figures import Judged, judge
from dilannot.evaluate.genome_bins import GenomeBins
from dilannot.evaluate.protocol import DEFAULTS, Protocol
from dilannot.evaluate.scoring import Scored, score_windows, scorer_for
from dilannot.evaluate.windows import Windows, choose_windows
from dilannot.evaluation import Evaluation
from dilannot.formats.indexed_fasta import Genome
from dilannot.metrics.histograms import ScoreHistograms
from dilannot.models import context_of
from dilannot.models.inference import for_inference
from dilannot.models.some_markers import for_markers
from dilannot.predict import choose_device, full_precision, predicting
from dilannot.progress import Progress, Silent
from dilannot.run import Run, Weights, Which, check_same_markers, load_network, read_run
from dilannot.scope import select_markers
from dilannot.walk import walk_of

_AT_ONCE = 50_000  # nt of windows: as many scores of a marker are counted together


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
        No run, no dataset, or a dataset of other markers.
    """
    progress = progress or Silent()
    record, where = read_run(run), choose_device(device)
    records = [record, *map(read_run, others)]
    with Dataset(dataset or record.recorded_file("dataset", "evaluate")) as data:
        for each in records:
            check_dataset(each, data, given=dataset is not None or each is not record, progress=progress)
        markers = _common_markers(records, data, protocol, given=dataset is not None, progress=progress)
        windows = choose_windows(data, protocol, _columns(data, markers), progress)
        asked = _Asked(windows, markers, protocol, genome, weights, batch_size, where, trust_code, progress)
        first, *rest = (_judge(each, asked) for each in records)
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


def _judge(run: Run, asked: _Asked) -> Judged:
    data, protocol = asked.windows.data, asked.protocol
    loaded = load_network(run, asked.weights, trust_code=asked.trust_code)
    number = {marker.name: index for index, marker in enumerate(run.markers)}
    chosen = [number[marker.name] for marker in asked.markers]
    network = for_markers(for_inference(loaded.network), chosen, len(run.markers)).to(asked.device)
    histograms = ScoreHistograms(len(chosen), blocks=len(asked.windows.blocks))
    total = asked.windows.count * data.length if run.output == data.task else None
    with predicting(network), full_precision(), asked.progress.task(f"evaluating {run.folder}", total) as task:
        for scored in _source(run, loaded, network, asked):
            histograms.update(scored.scores, scored.labels, scored.mask, scored.block)
            task.advance(scored.nucleotides)
    histograms.finish()
    own = {name: values[chosen] for name, values in loaded.thresholds.items()}
    own |= {f"{value:g}": np.full(len(chosen), value) for value in protocol.thresholds}
    judged = judge(
        histograms, asked.markers, own, subject=str(run.folder), protocol=_told(run, loaded, asked),
        block_length=asked.windows.block_length, replicates=protocol.replicates, seed=protocol.seed,
    )  # fmt: skip
    return judged


def _source(run: Run, loaded: Weights, network: torch.nn.Module, asked: _Asked) -> Iterator[Scored]:
    data, protocol = asked.windows.data, asked.protocol
    if data.task == "window" and protocol.bin_length not in (1, data.window):
        raise DilannotError(
            f"bins of {protocol.bin_length} nt", where="--bin", remedy=f"leave it out: those of {data.path} are judged"
        )
    if run.output == "dense" and data.task == "window":
        path = asked.genome or run.recorded_file("genome", "evaluate")
        walk = walk_of(network, run, context_of(loaded.network), both_strands=protocol.both_strands)
        bins = GenomeBins(asked.windows, Genome(path, asked.progress), walk, len(asked.markers), asked.device)
        bins.check()
        return bins.scored()
    scorer = scorer_for(run, network, data, len(asked.markers), protocol.bin_length, protocol.both_strands)
    size = asked.batch_size or max(1, _AT_ONCE // data.length)
    return score_windows(asked.windows, scorer, size, asked.device)


def _told(run: Run, loaded: Weights, asked: _Asked) -> dict[str, Any]:
    """How it was judged, in the order it is told."""
    data, protocol = asked.windows.data, asked.protocol
    regions = [*protocol.regions, *([str(protocol.regions_file)] if protocol.regions_file else [])]
    return {
        "run": str(run.folder),
        "model": run.model,
        "weights": asked.weights,
        "epoch": loaded.epoch,
        "dataset": str(data.path),
        "split": protocol.split,
        "windows": asked.windows.count,
        "bin": data.window if data.task == "window" else protocol.bin_length,
        "rc": protocol.both_strands,
        "regions": regions or None,
        "exclude": list(protocol.exclude) or None,
    }


def _common_markers(
    runs: Sequence[Run], data: Dataset, protocol: Protocol, *, given: bool, progress: Progress
) -> list[Marker]:
    """Those of the first run that the others and the dataset have too, as far as they are asked for."""
    first = runs[0]
    if not given:
        check_same_markers(first, data.markers, data.path)
    common = [marker for marker in first.markers if marker.name in {each.name for each in data.markers}]
    if not common:
        check_same_markers(first, data.markers, data.path)
    if len(common) < len(first.markers):
        progress.warn(f"{len(common):,} of the {len(first.markers):,} markers of {first.folder} are in {data.path}")
    for other in runs[1:]:
        names = {marker.name for marker in other.markers}
        kept = [marker for marker in common if marker.name in names]
        if not kept:
            check_same_markers(other, first.markers, first.folder)
        if len(kept) < len(common):
            progress.warn(f"{len(kept):,} of {len(common):,} markers are in {other.folder}: only those are judged")
        common = kept
    return [common[index] for index in select_markers(common, protocol.markers)]


def _columns(data: Dataset, markers: Sequence[Marker]) -> np.ndarray[Any, np.dtype[np.int64]]:
    number = {marker.name: index for index, marker in enumerate(markers)}
    return np.array([number.get(marker.name, -1) for marker in data.markers], np.int64)


def check_dataset(run: Run, data: Dataset, *, given: bool, progress: Progress) -> None:
    """Other windows or another split than in training: a test window may be one the network has learnt.

    Raises
    ------
    DilannotError
        The dataset is not what the run was trained on, though nobody named another; or its bins are others.
    """
    if data.digest == run.dataset_digest:
        return
    if data.task == run.output == "window" and (data.window, data.length) != (run.window, run.length):
        raise DilannotError(
            f"has bins of {data.window:,} in {data.length:,} bp, and {run.folder} learnt from {run.window:,} in "
            f"{run.length:,}",
            where=data.path,
            remedy="build it with the same --bin and --context",
        )
    if not given:
        raise DilannotError(
            f"is not the dataset {run.folder} was trained on: its windows or splits differ",
            where=data.path,
            remedy="build it as before, or name it as DATASET if the change is meant",
        )
    progress.warn(
        f"{data.path} is not the dataset {run.folder} was trained on: its test windows may have been trained on"
    )
