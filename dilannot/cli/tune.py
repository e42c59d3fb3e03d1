"""`dilannot tune`: many trainings, to find good values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dilannot.cli import options

if TYPE_CHECKING:
    from dilannot.trials import Search

SHOWN = 10  # trials in the table


@click.command("tune", short_help="Search for good values: many runs, the best kept")
@click.argument("dataset", type=options.PATH, default=Path("dataset.h5"))
@click.option(
    "-o", "--output", type=options.PATH, default=Path("tune"), show_default=True, help="Folder of the search."
)
@click.option(
    "--model", metavar="NAME|FILE.py:CLASS",
    help="Network: see dilannot models.  [default: hybrid for dense datasets, dilated with a published grid; deepsea "
    "for window ones]",
)  # fmt: skip
@click.option(
    "--grid", metavar="NAME|FILE.toml",
    help="Grid to try: thesis-task1, thesis-task2, or a file of choices. Without it, Optuna chooses.",
)  # fmt: skip
@click.option(
    "--trials", type=click.IntRange(1), metavar="N",
    help="Trainings: points drawn from the grid at random, or chosen by Optuna.  [default: the whole grid]",
)  # fmt: skip
@click.option(
    "--space", type=options.PATH, metavar="FILE.toml",
    help="Choices and ranges for Optuna.  [default: learning rate, dropout, and units of the network's layers]",
)  # fmt: skip
@options.model_arguments
@click.option(
    "--motifs", type=options.PATH, metavar="FILE", help="JASPAR or MEME motifs that first filters start from."
)
@click.option("--recipe", metavar="NAME", help="How trials are trained where nothing is searched; see train.")
@click.option("--config", type=options.PATH, metavar="FILE.toml", help="Settings, as in a run's settings.toml.")
@click.option("--epochs", type=int, metavar="N", help="Passes over the training windows in a trial.  [default: 10]")
@click.option("--max-steps", type=int, metavar="N", help="Steps after which a trial ends.")
@click.option(
    "--seed", type=int, metavar="N", help="Of everything random: what is tried, and each trial.  [default: 0]"
)
@click.option(
    "--setting", "values", multiple=True, metavar="NAME=VALUE",
    help="Any other setting of settings.toml; it is not searched then; repeatable.",
)  # fmt: skip
@click.option("--no-prune", "prune", flag_value=False, default=True, help="Give up no trial behind the others' median.")
@click.option(
    "--keep", type=click.Choice(["best", "all"]), default="best", show_default=True, help="Whose weights to keep."
)
@options.device
@options.threads
@options.dry_run
@options.as_json
@options.quiet
def command(
    dataset: Path,
    output: Path,
    recipe: str | None,
    config: Path | None,
    values: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Train many times on DATASET, each time with other values, and keep the run with the best validation PR AUC.

    Tries a grid, all of it or N points at random (--grid), or N times what Optuna makes of the trials before (--trials
    alone; needs pip install 'dilannot[tune]'). What --set and --setting give is not searched.

    Prints the best ten trials; leaves all of them in OUTPUT/trials.tsv, drawn in OUTPUT/tune.png, and the best run in
    OUTPUT/best. The same command goes on with a search that was stopped or killed, on as many machines at once as see
    OUTPUT; with a larger --trials it goes on with one that has ended.
    """
    if given["grid"] is None and given["trials"] is None:
        raise click.UsageError("say what to try: --grid NAME or FILE, or --trials N for a search by Optuna")
    if given["grid"] is not None and given["space"] is not None:
        raise click.UsageError("--grid and --space are two ways to search; give one of them")
    from dilannot.cli.console import print_json, start
    from dilannot.report.tuning import draw
    from dilannot.training.asked import ask
    from dilannot.training.recipes import parse_settings, resolve_settings
    from dilannot.training.tune import tune

    progress = start(quiet=quiet)
    running = {name: given.pop(name) for name in ("keep", "device", "threads")}
    options_of_train = {name: given.pop(name) for name in ("epochs", "max_steps", "seed")}
    chosen = parse_settings(values) | {name: value for name, value in options_of_train.items() if value is not None}
    given |= {"settings": resolve_settings(recipe, config, chosen), "fixed": list(chosen)}
    if dry_run:
        click.echo(str(ask(dataset, **given)))
        return
    found = tune(dataset, output, **given, **running, draw=draw, progress=progress)
    if as_json:
        print_json(found.as_json())
    else:
        _print(found)
    if found.best is not None:
        progress.say(f"wrote {output}; its best run is {output / 'best'}; next: dilannot evaluate {output / 'best'}")
        progress.say(f"to train with these values: {found.command}")


def _print(found: Search) -> None:
    from dilannot.cli.console import print_table

    best = found.ranked()[:SHOWN]
    columns = [name for name in found.columns() if name != "problem"]
    states = {state: sum(trial.state == state for trial in found.trials) for state in ("finished", "pruned", "failed")}
    counts = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    title = f"the best {len(best)} of {len(found.trials)} trials ({counts}), by mean validation PR AUC"
    print_table(
        columns, [row[: len(columns)] for row in found.rows(best, digits=4)], title=title, text_columns=2, whole=True
    )
