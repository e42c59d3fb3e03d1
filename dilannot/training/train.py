"""Train a network: settle who trains what, where, and how; begin the run folder, or go on in it; run the loop."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from dilannot.data.dataset import Dataset
from dilannot.models import build, count_parameters, entry
from dilannot.outputs import locked, make_folder, sweep
from dilannot.progress import Progress, Silent
from dilannot.ranks import Ranks, joined
from dilannot.run import STATE, Run
from dilannot.training.board import Board
from dilannot.training.checkpoint import load_state
from dilannot.training.loop import AfterEpoch, Loop
from dilannot.training.network import Choice
from dilannot.training.objective import Objective
from dilannot.training.prepare import (
    begin_run,
    begun,
    check_dataset,
    check_ended,
    check_output,
    check_same,
    choice_of,
    dataset_of,
    go_on,
    has_ended,
    record_of,
    recorded_settings,
)
from dilannot.training.recipes import resolve_settings
from dilannot.training.settings import Settings
from dilannot.training.step import Stepper
from dilannot.training.stopping import Stopping


def train(
    dataset: Path | None,
    output: Path,
    *,
    model: str | None = None,
    arguments: dict[str, Any] | Sequence[str] = (),
    motifs: Path | None = None,
    settings: Settings | None = None,
    device: str = "auto",
    threads: int | None = None,
    workers: int = 0,
    force: bool = False,
    resume: bool = False,
    tensorboard: bool = False,
    progress: Progress | None = None,
    after_epoch: AfterEpoch | None = None,
) -> Run:
    """Train a network on a dataset and leave a run folder.

    Started as several processes (torchrun, srun), they train one network together: see `ranks`.

    Parameters
    ----------
    dataset
        From `build_dataset`; None, where a training goes on, is the one it began with.
    output
        Run folder to make.
    model, arguments, motifs
        Which network: see `choose`.
    settings
        See `Settings`; None is the recipe `modern`, or what a training that goes on began with.
    device
        auto, cpu, cuda or cuda:N.
    threads
        Of the CPU; None is as many as torch uses, or those a training that goes on began with.
    workers
        Processes that prepare batches ahead. The result does not depend on it.
    force
        Replace a run that lies there.
    resume
        Go on with a training that was interrupted, as if it had not been; begin it where there is none.
    tensorboard
        Write the figures of every epoch for TensorBoard too.
    after_epoch
        Sees each row of the metrics; training ends early when it says no.

    Raises
    ------
    DilannotError
        A bad dataset, a taken output, a loss that is no number any more or grows without end.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    with joined(device) as ranks, Stopping(alone=ranks.count == 1) as stopping, ExitStack() as stack:
        progress = progress if progress and ranks.first else Silent()
        old = begun(output) if resume else None
        ranks.wait()  # none of them has written yet
        if old is not None and has_ended(old):
            check_ended(old, settings, model, arguments)
            progress.say(f"{output}: this training has ended; nothing is left to do")
            ranks.first_does(lambda: sweep(output))
            return old
        going_on = os.path.lexists(output / STATE) and old is not None
        if old is None:
            ranks.first_does(lambda: check_output(output, force))
        if resume and not going_on:
            progress.say(f"{output}: {'no checkpoint yet' if old else 'no training yet'}; beginning")
        data = stack.enter_context(Dataset(dataset_of(dataset, old)))
        settings = _settings(data, old, settings)
        choice = choice_of(data, old, model, arguments, motifs, settings, fresh=not going_on)
        check_dataset(data, settings, ranks.count)
        run = record_of(data, output, choice, settings)
        run = run if old is None else check_same(old, run)
        network = _network(choice, data, settings, progress, fresh=not going_on).to(ranks.device)
        stack.enter_context(_only_here(output, ranks))
        ranks.first_does(lambda: go_on(old, run) if old and going_on else begin_run(run, choice, force))
        inputs = entry(choice.model).inputs
        stepper = Stepper(Objective(network, inputs, settings.positive_weight, settings.l1), settings, ranks, progress)
        loop = Loop(run, data, settings, inputs, stepper, ranks, stopping, progress, workers)
        loop.listeners += [after_epoch] if after_epoch else []
        if tensorboard and ranks.first:
            loop.listeners.append(stack.enter_context(Board(output)).add)
        progress.say(
            f"{choice.model}: {count_parameters(network):,} parameters, {len(data.markers)} markers, "
            f"recipe {settings.recipe}, on {_where(ranks)}"
        )
        torch.manual_seed(settings.seed + ranks.rank)  # of dropout
        if going_on:
            loop.place = load_state(run, stepper, data, ranks, progress, threads_given=threads is not None)
            progress.say(f"going on after step {loop.place.step:,} (epoch {loop.place.epoch})")
        loop.train()
    return run


def _settings(data: Dataset, old: Run | None, given: Settings | None) -> Settings:
    if given is None and old is not None:
        return recorded_settings(old)
    return (given or resolve_settings()).for_task(data.task)


def _network(choice: Choice, data: Dataset, settings: Settings, progress: Progress, *, fresh: bool) -> torch.nn.Module:
    """With its start weights; those of one that goes on are read later."""
    torch.manual_seed(settings.seed)  # the same on all processes
    if fresh:
        return choice.build(data, progress, settings.initial)
    return build(choice.model, len(data.markers), **choice.arguments)


@contextmanager
def _only_here(output: Path, ranks: Ranks) -> Iterator[None]:
    """No other training writes here; the first process sees to it."""
    with ExitStack() as stack:

        def lock() -> None:
            make_folder(output)
            stack.enter_context(locked(output))

        ranks.first_does(lock)
        yield


def _where(ranks: Ranks) -> str:
    threads = torch.get_num_threads()
    here = f"cpu ({threads} thread{'s' * (threads > 1)})" if ranks.device.type == "cpu" else str(ranks.device)
    return f"{here}, {ranks.count} processes" if ranks.count > 1 else here
