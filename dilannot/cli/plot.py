"""`dilannot plot`: a training as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from dilannot.cli import options


@click.command("plot", short_help="Losses and PR AUC over epochs, as a picture")
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=options.PATH)
@click.option(
    "-o",
    "--output",
    type=options.PATH,
    metavar="FILE",
    help="A .png or .svg file; needed with several runs.  [default: RUN/training.png, which is always replaced]",
)
@options.force
@options.quiet
def command(runs: tuple[Path, ...], output: Path | None, force: bool, quiet: bool) -> None:
    """Draw the training of RUN (default: run/), finished or not; several runs into one picture.

    Of one run: training and validation loss, validation PR AUC per class with its base rate, and learning rate, over
    epochs. Of several: validation loss and PR AUC per class, a line a run. The best epoch is marked: that with the
    highest mean PR AUC over classes, or the lowest validation loss where the run was told to watch it.
    """
    if len(runs) > 1 and output is None:
        raise click.UsageError("several runs need a file for their picture: -o FILE")
    from dilannot.cli.console import start
    from dilannot.report.training import plot

    progress = start(quiet=quiet)
    progress.say(f"wrote {plot(runs or (Path('run'),), output, force=force, progress=progress)}")
