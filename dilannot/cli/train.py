"""`dilannot train`: a dataset to a run."""

from __future__ import annotations

from pathlib import Path

import click

from dilannot.cli import options


@click.command("train", short_help="dataset.h5 -> run/")
@click.argument("dataset", type=options.PATH, default=Path("dataset.h5"))
@click.option("-o", "--output", type=options.PATH, default=Path("run"), show_default=True, help="Run folder to make.")
@click.option(
    "--model", metavar="NAME|FILE.py:CLASS",
    help="Network: see dilannot models.  [default: dilated for dense datasets, deepsea for window ones]",
)  # fmt: skip
@options.model_arguments
@click.option(
    "--motifs",
    type=options.PATH,
    metavar="FILE",
    help="JASPAR or MEME motifs that the network's first filters start from.",
)
@click.option(
    "--epochs", type=click.IntRange(1), default=10, show_default=True, help="Passes over the training windows."
)
@click.option("--max-steps", type=click.IntRange(1), help="Stop after this many steps.")
@click.option("--batch-size", type=click.IntRange(1), help="Windows a step.  [default: 2 dense ones, 100 of a bin]")
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    default=2e-3,
    show_default=True,
    help="Peak of the schedule (warm-up, then cosine).",
)
@click.option("--reverse-complement", is_flag=True, help="Show the other strand half of the time.")
@click.option(
    "--shift", type=click.IntRange(0), default=0, show_default=True, help="Move windows by up to this many nt."
)
@click.option(
    "--workers", type=click.IntRange(0, 64), default=0, show_default=True, help="Processes that read ahead; for GPUs."
)
@options.seed
@options.device
@options.threads
@options.force
@options.dry_run
@options.quiet
def command(
    dataset: Path,
    output: Path,
    model: str | None,
    arguments: tuple[str, ...],
    motifs: Path | None,
    epochs: int,
    max_steps: int | None,
    batch_size: int | None,
    learning_rate: float,
    reverse_complement: bool,
    shift: int,
    workers: int,
    seed: int,
    device: str,
    threads: int | None,
    force: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Train a network on DATASET (default: dataset.h5).

    dilannot models lists the networks, dilannot models NAME the arguments that --set changes. A network of your own is
    a class in a file: --model my_net.py:MyNet.

    Writes a run folder: what the network is, its markers, settings, one row of metrics per epoch, and the weights of
    the best and the last epoch. The best epoch is the one with the highest mean PR AUC over the classes of the
    validation split.
    """
    from dilannot.cli.console import start
    from dilannot.training.loop import plan, train
    from dilannot.training.settings import Settings

    options.set_threads(threads)
    progress = start(quiet=quiet)
    settings = Settings(
        epochs,
        max_steps or 0,
        batch_size or 0,
        learning_rate,
        reverse_complement=reverse_complement,
        shift=shift,
        seed=seed,
    )
    if dry_run:
        click.echo(plan(dataset, settings, model, arguments, motifs))
        return
    train(
        dataset,
        output,
        model=model,
        arguments=arguments,
        motifs=motifs,
        settings=settings,
        device=device,
        workers=workers,
        force=force,
        progress=progress,
    )
    argument = "" if output == Path("run") else f" {output}"
    progress.say(f"wrote {output}; next: dilannot evaluate{argument}")
