"""`dilannot evaluate`: how well a run predicts a split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dilannot.cli import options

if TYPE_CHECKING:
    from dilannot.evaluate import Evaluation


@click.command("evaluate", short_help="ROC AUC and PR AUC per marker and class")
@click.argument("run", type=options.PATH, default=Path("run"))
@click.argument("dataset", type=options.PATH, required=False)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="Windows to score.",
)
@options.weights
@click.option(
    "-o",
    "--output",
    type=options.PATH,
    help="Name of the .tsv and .json files, without extension.  [default: RUN/evaluation-SPLIT]",
)
@click.option("--batch-size", type=click.IntRange(1), help="Windows a step.")
@options.device
@options.threads
@options.as_json
@options.trust_code
@options.force
@options.quiet
def command(
    run: Path,
    dataset: Path | None,
    split: str,
    weights: str,
    output: Path | None,
    batch_size: int | None,
    device: str,
    threads: int | None,
    as_json: bool,
    trust_code: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Score RUN (default: run/) on DATASET (default: the one it was trained on).

    Prints ROC AUC, PR AUC (average precision) and base rate per marker, and their means per class; writes the same to
    a TSV and a JSON file. A guess has PR AUC = base rate. Markers without positives in the split are listed and left
    out of the means.
    """
    from dilannot.cli.console import print_json, start
    from dilannot.evaluate import evaluate

    options.set_threads(threads)
    progress = start(quiet=quiet)
    result = evaluate(
        run,
        dataset,
        split=split,
        weights=weights,  # type: ignore[arg-type]
        output=output,
        batch_size=batch_size,
        device=device,
        force=force,
        trust_code=trust_code,
        progress=progress,
    )
    if as_json:
        print_json(result.as_json())
    else:
        _print(result)
    progress.say(f"wrote {result.table} and {result.record}")


def _print(result: Evaluation) -> None:
    from dilannot.cli.console import print_table

    rows = [
        (name, kind, f"{roc:.3f}", f"{pr:.3f}", f"{base:.4f}", f"{pr / base:.1f}", f"{positives}")
        for name, kind, roc, pr, base, positives in result.rows()
        if positives
    ]
    for kind, mean in result.means.items():
        factor = f"{mean.pr_auc / mean.base_rate:.1f}"
        rows.append(
            (
                f"mean of {mean.markers}",
                kind,
                f"{mean.roc_auc:.3f}",
                f"{mean.pr_auc:.3f}",
                f"{mean.base_rate:.4f}",
                factor,
                "",
            )
        )
    title = f"{result.split} split: {result.windows:,} windows, weights of epoch {result.epoch}"
    columns = ("marker", "class", "ROC AUC", "PR AUC", "base rate", "PR/base", "positives")
    print_table(columns, rows, title=title, text_columns=2)
    if result.undefined:
        click.echo(f"without positives in {result.split}, left out: {', '.join(result.undefined)}", err=True)
