"""`dilannot import-data`: published arrays to a dataset."""

from __future__ import annotations

from pathlib import Path

import click

from dilannot.cli import options


@click.command("import-data", short_help="DeepSEA's .mat files, or the thesis's .npz, -> dataset.h5")
@click.argument("sources", type=options.PATH, nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "-o", "--output", type=options.PATH, default=Path("dataset.h5"), show_default=True, help="Dataset to write."
)
@click.option(
    "--markers",
    type=options.PATH,
    metavar="TABLE",
    help="Names of the label columns, in their order (TSV with a column file).  [default: DeepSEA's 919, else numbers]",
)
@click.option(
    "--alphabet",
    metavar="LETTERS",
    help="Bases of the one-hot columns, or of the numbers 0, 1, ...  [default: AGCT (.mat), NACTG (.npz)]",
)
@click.option("--bin", type=int, help="Labelled bases in the middle of a .mat window.  [default: 200]")
@options.force
@options.quiet
def command(
    sources: tuple[Path, ...],
    output: Path,
    markers: Path | None,
    alphabet: str | None,
    bin: int | None,
    force: bool,
    quiet: bool,
) -> None:
    """Import published training data: windows, labels and splits exactly as they are.

    SOURCE is the folder of the DeepSEA bundle or some of its train.mat, valid.mat and test.mat, also converted copies
    with axes in another order; or the archives of the thesis's Task 2 (chr*_batched_nomultimap.npz), or their folder.

    DeepSEA's files hold every window on both strands; where the data bear that out, one is kept. The files name no
    place on a genome: windows lie on contigs called deepsea-train or chr1-train.
    """
    from dilannot.cli.console import start
    from dilannot.data.imported.import_data import import_dataset, summary_lines

    progress = start(quiet=quiet)
    record = import_dataset(
        sources,
        output,
        markers=markers,
        alphabet=alphabet,
        bin=bin,
        force=force,
        command=options.recorded_command(),
        progress=progress,
    )
    for line in summary_lines(record):
        progress.say(line)
    progress.say(f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB){options.next_step(output)}")
