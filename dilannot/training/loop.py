"""The training loop over batches: one loss, one validation per epoch, one run folder."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dilannot.data.dataset import Dataset
from dilannot.data.order import Augmentation
from dilannot.errors import DilannotError
from dilannot.evaluate import class_means, score_split
from dilannot.models import build_without_memory, count_parameters, entry
from dilannot.outputs import locked, make_folder, write_text
from dilannot.predict import choose_device
from dilannot.progress import Progress, Silent
from dilannot.run import CODE, EVALUATIONS, FILES, METRICS, RECORD, WEIGHTS, Run, save_weights
from dilannot.training.losses import interval_cross_entropy, training_loss
from dilannot.training.network import Choice, choose
from dilannot.training.settings import Settings
from dilannot.trust import keep_code


@dataclass(slots=True)
class _Training:
    """Everything that changes while training."""

    run: Run
    network: torch.nn.Module
    inputs: tuple[str, ...]
    dataset: Dataset
    settings: Settings
    device: torch.device
    workers: int
    progress: Progress
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    step: int = 0
    best: float = -np.inf
    rows: list[dict[str, Any]] = field(default_factory=list)


def total_steps(dataset: Dataset, settings: Settings) -> int:
    """Steps that training will take."""
    steps = settings.epochs * -(-len(dataset.rows("train")) // settings.batch_size)
    return min(steps, settings.max_steps or steps)


def plan(
    dataset: Path,
    settings: Settings,
    model: str | None = None,
    arguments: dict[str, Any] | Sequence[str] = (),
    motifs: Path | None = None,
) -> str:
    """What a training would do, in a sentence."""
    with Dataset(dataset) as data:
        choice, settings = choose(data, model, arguments, motifs), settings.for_task(data.task)
        _check_dataset(data, settings)
        parameters = count_parameters(build_without_memory(choice.model, len(data.markers), **choice.arguments))
        return (
            f"{choice.model}, {parameters:,} parameters, "
            f"{total_steps(data, settings):,} steps of {settings.batch_size} x {data.window:,} nt over "
            f"{len(data.rows('train')):,} windows and {len(data.markers):,} markers, "
            f"{settings.epochs} epochs, validated on {len(data.rows('validation')):,} windows"
        )


def train(
    dataset: Path,
    output: Path,
    *,
    model: str | None = None,
    arguments: dict[str, Any] | Sequence[str] = (),
    motifs: Path | None = None,
    settings: Settings | None = None,
    device: str = "auto",
    workers: int = 0,
    force: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Train a network on a dataset and leave a run folder.

    Parameters
    ----------
    dataset
        From `build_dataset`.
    output
        Run folder to make.
    model, arguments, motifs
        Which network: see `choose`.
    settings
        See `Settings`.
    device
        auto, cpu, cuda or cuda:N.
    workers
        Processes that prepare batches ahead. The result does not depend on it.
    force
        Replace a run that lies there.

    Raises
    ------
    DilannotError
        A bad dataset, a taken output, or a loss that is no number any more.
    """
    progress, settings = progress or Silent(), settings or Settings()
    where = choose_device(device)
    _check_output(output, force)
    with Dataset(dataset) as data:
        choice, settings = choose(data, model, arguments, motifs), settings.for_task(data.task)
        _check_dataset(data, settings)
        torch.manual_seed(settings.seed)
        network = choice.build(data, progress).to(where)
        make_folder(output)
        with locked(output):
            run = _begin_run(data, output, choice, settings)
            optimizer = torch.optim.Adam(network.parameters(), settings.learning_rate)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, settings.learning_rate, total_steps=total_steps(data, settings) + 1
            )
            state = _Training(
                run, network, entry(choice.model).inputs, data, settings, where, workers, progress, optimizer, schedule
            )
            progress.say(
                f"{choice.model}: {count_parameters(network):,} parameters, {len(data.markers)} markers, on {where}"
            )
            _run_epochs(state)
    return run


def _begin_run(data: Dataset, output: Path, choice: Choice, settings: Settings) -> Run:
    """A run folder that says what is going to be trained, with nothing of an older run in it."""
    for name in (*FILES, *EVALUATIONS):
        (output / name).unlink(missing_ok=True)
    run = _record(data, output, choice, settings)
    run.save()
    if code := entry(choice.model).code:
        keep_code(output / CODE, code.source)
    return run


def _run_epochs(state: _Training) -> None:
    try:
        for epoch in range(1, state.settings.epochs + 1):
            if not _epoch(state, epoch):
                break
    except (KeyboardInterrupt, SystemExit):
        done = len(state.rows)
        state.progress.warn(
            f"stopped after epoch {done}; its weights are kept" if done else "stopped in epoch 1; nothing is kept"
        )
        raise
    if state.step < state.settings.epochs * -(-len(state.dataset.rows("train")) // state.settings.batch_size):
        state.progress.say(f"stopped after {state.step:,} steps, as --max-steps says")


def _check_output(output: Path, force: bool) -> None:
    # A run without weights was stopped in its first epoch: nothing is lost with it.
    if (output / RECORD).exists() and any((output / name).exists() for name in WEIGHTS.values()) and not force:
        raise DilannotError("holds a run already", where=output, remedy="use --force to replace it, or -o for another")
    # Parts of a run without its record are what a killed training leaves.
    known = {*FILES, *EVALUATIONS}
    others = [name for name in os.listdir(output) if name not in known and name[0] != "."] if output.is_dir() else []
    if others and not (output / RECORD).exists():
        raise DilannotError("is a folder with other things in it", where=output, remedy="give another with -o")


def _check_dataset(data: Dataset, settings: Settings) -> None:
    for split in ("train", "validation"):
        if not len(data.rows(split)):
            raise DilannotError(f"holds no {split} windows", where=data.path, remedy="use a dataset that has both")
    if settings.shift >= data.window:
        raise DilannotError(f"windows of {data.window:,} bp cannot be shifted by {settings.shift:,}", where="--shift")


def _record(data: Dataset, output: Path, choice: Choice, settings: Settings) -> Run:
    def from_run(path: Path) -> str:
        """Relative paths stay relative: run, dataset and genome can move together."""
        return str(path) if path.is_absolute() else os.path.relpath(os.path.realpath(path), os.path.realpath(output))

    genome = None if data.provenance["genome"] is None else Path(data.provenance["genome"])  # None: imported
    if genome is not None and not genome.is_absolute():
        genome = Path(os.path.realpath(data.path.parent), genome)
        genome = genome if data.path.is_absolute() else Path(os.path.relpath(genome))
    code = entry(choice.model).code
    return Run(
        folder=output,
        model=choice.model,
        output=entry(choice.model).output,
        arguments=choice.arguments,
        code=None if code is None else {"file": code.path.name, "sha256": code.sha256},
        markers=data.markers,
        window=data.window,
        length=data.length,
        motifs=choice.motif_record(),
        genome="" if genome is None else from_run(genome),
        dataset=from_run(data.path),
        dataset_digest=data.digest,
        contigs=[] if genome is None else data.contigs,
        settings=settings.as_dict(),
    )


def _epoch(state: _Training, epoch: int) -> bool:
    """One pass over the training windows, then validation; whether there is more to do."""
    train_loss = _train_epoch(state, epoch)
    _check_finite(state, epoch, "sum of the weights", float(sum(p.detach().sum() for p in state.network.parameters())))
    histograms, validation_loss = score_split(
        state.network,
        state.dataset,
        "validation",
        batch_size=state.settings.batch_size,
        device=state.device,
        progress=state.progress,
        inputs=state.inputs,
        loss=interval_cross_entropy,
    )
    _check_finite(state, epoch, "validation loss", validation_loss)
    means = class_means(histograms.scores(), state.dataset.markers)
    pr_aucs = {name: mean.pr_auc for name, mean in means.items()}
    defined = [value for value in pr_aucs.values() if np.isfinite(value)]
    # Without any positive to rank, the loss decides.
    goodness = float(np.mean(defined)) if defined else -validation_loss
    state.rows.append(
        {
            "epoch": epoch,
            "step": state.step,
            "learning_rate": state.schedule.get_last_lr()[0],
            "train_loss": train_loss,
            "validation_loss": validation_loss,
            **{f"pr_auc_{name}": value for name, value in pr_aucs.items()},
        }
    )
    thresholds = histograms.matching_thresholds()
    if goodness > state.best:
        state.best = goodness
        save_weights(state.run, "best", state.network, epoch=epoch, thresholds=thresholds)
    save_weights(state.run, "last", state.network, epoch=epoch, thresholds=thresholds)
    _write_metrics(state)
    shown = ", ".join(f"{name} {value:.3f}" for name, value in pr_aucs.items())
    state.progress.say(
        f"epoch {epoch}/{state.settings.epochs}: loss {train_loss:.4f}, "
        f"validation {validation_loss:.4f}, PR AUC {shown}"
    )
    return state.step < total_steps(state.dataset, state.settings)


def _train_epoch(state: _Training, epoch: int) -> float:
    """Train on every window once; the mean loss over windows."""
    settings, limit = state.settings, total_steps(state.dataset, state.settings)
    state.network.train()
    losses = windows = 0.0
    nucleotides = len(state.dataset.rows("train")) * state.dataset.length
    began = time.monotonic()
    with state.progress.task(f"epoch {epoch}/{settings.epochs}", nucleotides) as task:
        batches = state.dataset.batches(
            "train",
            settings.batch_size,
            shuffle_seed=(settings.seed, epoch),
            augmentation=Augmentation(reverse_complement=settings.reverse_complement, shift=settings.shift),
            workers=state.workers,
        )
        for batch in batches:
            if state.step >= limit:
                break
            batch = batch.to(state.device)
            loss = training_loss(state.network(**batch.select(state.inputs)), batch.targets, batch.mask)
            value = float(loss.detach())
            _check_finite(state, epoch, "loss", value)
            state.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip)
            _check_finite(state, epoch, "gradient's norm", float(norm))
            state.optimizer.step()
            state.schedule.step()
            state.step += 1
            losses, windows = losses + value * len(batch.mask), windows + len(batch.mask)
            speed = windows * state.dataset.length / (time.monotonic() - began)
            task.advance(batch.inputs["sequence"].numel(), f"loss {losses / windows:.4f}, {speed:,.0f} nt/s")
    return losses / windows


def _check_finite(state: _Training, epoch: int, what: str, value: float) -> None:
    """Stop before a number that is none gets into weights, and they onto the disk."""
    if not np.isfinite(value):
        raise DilannotError(
            f"the {what} is {value} at step {state.step + 1} (epoch {epoch})",
            where=state.run.folder,
            remedy="use a lower --learning-rate; weights of earlier epochs are kept",
        )


def _write_metrics(state: _Training) -> None:
    """All rows so far: figures only that the seed decides, so that the same seed gives the same file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, state.rows[0], lineterminator="\n")
    writer.writeheader()
    for row in state.rows:
        writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})
    write_text(state.run.folder / METRICS, text.getvalue())
