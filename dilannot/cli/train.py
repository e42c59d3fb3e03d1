"""`dilannot train`: a dataset to a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dilannot.cli import options

# Options that are settings of the same name; what is not given comes from the recipe.
_SETTINGS = (
    ("--epochs", int, "Passes over the training windows.  [default: 10]"),
    ("--max-steps", int, "Stop after this many steps."),
    ("--batch-size", int, "Windows a step, over all processes.  [default: 2 dense ones, 100 of a bin]"),
    ("--learning-rate", float, "Its peak.  [default: 0.006, of Muon, for dense datasets; 0.002, of AdamW, for bins]"),
    ("--patience", int, "Stop after so many epochs without a better one."),
    ("--positive-weight", float, "How often a positive label counts.  [default: 1]"),
    ("--ema", float, "Keep averages of weights, with this decay, as 0.999."),
    ("--shift", int, "Move windows by up to this many nt."),
    ("--checkpoint-minutes", float, "Work that a kill can cost; 0: a step.  [default: 10]"),
    ("--seed", int, "Of everything random.  [default: 0]"),
)


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, kind, text in reversed(_SETTINGS):
        command = click.option(name, type=kind, metavar="N" if kind is int else "X", help=text)(command)
    return command


@click.command("train", short_help="dataset.h5 -> run/")
@click.argument("dataset", type=options.PATH, required=False)
@click.option("-o", "--output", type=options.PATH, default=Path("run"), show_default=True, help="Run folder to make.")
@click.option(
    "--model", metavar="NAME|FILE.py:CLASS",
    help="Network: see dilannot models.  [default: hybrid for dense datasets, deepsea for window ones]",
)  # fmt: skip
@options.model_arguments
@click.option(
    "--motifs",
    type=options.PATH,
    metavar="FILE",
    help="JASPAR or MEME motifs that the network's first filters start from.",
)
@click.option(
    "--recipe", metavar="NAME",
    help="How it is trained: modern, or as published: gupta, crnn, danq, deepsea, waka.  [default: modern]",
)  # fmt: skip
@click.option("--config", type=options.PATH, metavar="FILE.toml", help="Settings, as in a run's settings.toml.")
@_settings
@click.option("--reverse-complement/--one-strand", default=None, help="Show the other strand half of the time.")
@click.option(
    "--setting", "values", multiple=True, metavar="NAME=VALUE",
    help="Any other setting of settings.toml, as optimizer=sgd; repeatable.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with an interrupted training in OUTPUT; begin where there is none.")
@click.option("--tensorboard", is_flag=True, help="Write OUTPUT/tensorboard/ too.")
@click.option(
    "--workers", type=click.IntRange(0, 64), default=0, show_default=True, help="Processes that read ahead; for GPUs."
)
@options.device
@options.threads
@options.force
@options.dry_run
@options.quiet
def command(
    dataset: Path | None,
    output: Path,
    model: str | None,
    arguments: tuple[str, ...],
    motifs: Path | None,
    recipe: str | None,
    config: Path | None,
    values: tuple[str, ...],
    resume: bool,
    dry_run: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Train a network on DATASET (default: dataset.h5).

    dilannot models lists the networks, dilannot models NAME the arguments that --set changes. A network of your own is
    a class in a file: --model my_net.py:MyNet.

    Writes a run folder: what the network is, its markers, settings, one row of metrics per epoch, and the weights of
    the best and the last epoch. The best epoch is the one with the highest mean PR AUC over the classes of the
    validation split (of the sources' recipes, some go by the validation loss).

    Ctrl-C, SIGTERM and SIGUSR1 leave a checkpoint, from which --resume goes on as if nothing had happened. Started by
    torchrun or srun, several processes train one network.
    """
    from dilannot.cli.console import start
    from dilannot.progress import Silent
    from dilannot.ranks import one_voice, speaks
    from dilannot.training.prepare import asked_settings, plan
    from dilannot.training.recipes import parse_settings
    from dilannot.training.train import train

    console = start(quiet=quiet)
    progress = console if speaks() else Silent()
    running = {name: given.pop(name) for name in ("device", "threads", "workers", "force", "tensorboard")}
    with one_voice():
        chosen = parse_settings(values) | {name: value for name, value in given.items() if value is not None}
        settings = asked_settings(output, recipe, config, chosen, resume=resume)
    if dry_run:
        where = {"output": output, "force": running["force"], "resume": resume}
        click.echo(plan(dataset, settings, model, arguments, motifs, **where))
        return
    train(
        dataset,
        output,
        model=model,
        arguments=arguments,
        motifs=motifs,
        settings=settings,
        resume=resume,
        progress=progress,
        **running,
    )
    argument = "" if output == Path("run") else f" {output}"
    progress.say(f"{output} is trained; next: dilannot evaluate{argument}")
