"""`dilannot compare`: runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dilannot.cli import options

if TYPE_CHECKING:
    from dilannot.compare import Comparison


@click.command("compare", short_help="Runs side by side, in figures")
@click.argument("runs", metavar="RUN...", nargs=-1, type=options.PATH, required=True)
@options.as_json
def command(runs: tuple[Path, ...], as_json: bool) -> None:
    """Set RUNs side by side, trained or still training: a row each, in the order given.

    Parameters, epochs done, and at the best epoch validation loss and PR AUC per class; PR AUC of the test split
    where evaluate has been there; training speed (median over epochs). NA is what is not known, as the parameters
    of a network from code that is not trusted here.
    """
    from dilannot.cli.console import print_json, start
    from dilannot.compare import compare

    result = compare(runs, progress=start(quiet=True))
    if as_json:
        print_json(result.as_json())
    else:
        _print(result)


def _print(result: Comparison) -> None:
    from dilannot.cli.console import print_table

    validated = result.classes("validation")
    tested = result.classes("test")
    columns = ["run", "model", "parameters", "markers", "epochs", "best epoch", "validation loss"]
    columns += [f"PR AUC {name}" for name in validated] + [f"test PR AUC {name}" for name in tested] + ["nt/s"]
    rows = [
        [
            row.run,
            row.model,
            "NA" if row.parameters is None else f"{row.parameters:,}",
            f"{row.markers:,}",
            f"{row.epochs}",
            f"{row.best_epoch}",
            _figure(row.validation_loss, ".4f"),
            *(_figure(row.validation_pr_auc.get(name), ".3f") for name in validated),
            *(_figure((row.test_pr_auc or {}).get(name), ".3f") for name in tested),
            _figure(row.nt_per_s, ",.0f"),
        ]
        for row in result.rows
    ]
    print_table(columns, rows, text_columns=2, whole=True)


def _figure(value: float | None, form: str) -> str:
    return "NA" if value is None else format(value, form)
