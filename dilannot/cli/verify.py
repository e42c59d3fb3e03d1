"""`dilannot verify`: a window dataset against DeepSEA's published arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dilannot.cli import options

if TYPE_CHECKING:
    from dilannot.data.verify.comparison import Comparison


@click.command("verify", short_help="Compare a window dataset with the published one")
@click.argument("dataset", type=options.PATH)
@click.argument("published", type=options.PATH)
@click.option(
    "--peaks",
    type=options.PATH,
    multiple=True,
    metavar="FILE|FOLDER",
    help="The peaks it was built from: tells labels on the edge of the overlap rule; repeatable.",
)
@options.as_json
@options.quiet
def command(dataset: Path, published: Path, peaks: tuple[Path, ...], as_json: bool, quiet: bool) -> None:
    """Compare DATASET, built with --task window, with the folder PUBLISHED: train.mat, valid.mat, test.mat or some.

    Windows are matched by their bases, on either strand, in each split. Prints how many are equal, have other labels
    or stand on one side only, which and why; exit code 1 if anything differs.
    """
    from dilannot.cli.console import print_json, start
    from dilannot.data.markers import find_peak_files
    from dilannot.data.verify.verify import verify_dataset

    progress = start(quiet=quiet)
    files = find_peak_files(peaks)[0] if peaks else None
    comparison = verify_dataset(dataset, published, peaks=files, progress=progress)
    if as_json:
        print_json(comparison.as_json())
    else:
        print_report(comparison)
    if not comparison.agrees:
        click.get_current_context().exit(1)


def print_report(comparison: Comparison) -> None:
    """In words, on stdout."""
    from dilannot.data.verify.comparison import report_lines
    from dilannot.errors import printable

    for line in report_lines(comparison):
        click.echo(printable(line))
