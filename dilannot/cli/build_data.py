"""`dilannot build-data`: FASTA + peaks to a dataset."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from dilannot.cli import options


@click.command("build-data", short_help="FASTA + peak files -> dataset.h5")
@click.argument("genome", type=options.PATH)
@click.argument("peaks", type=options.PATH, nargs=-1, required=True)
@click.option(
    "-o", "--output", type=options.PATH, default=Path("dataset.h5"), show_default=True, help="Dataset to write."
)
@click.option("--markers", type=options.PATH, help="Marker table (TSV: file, name, class, cell, target, treatment).")
@click.option("--exclude", type=options.PATH, multiple=True, help="BED of regions to avoid; repeatable.")
@click.option("--window", type=int, default=25_000, show_default=True, help="Length of a window, bp.")
@click.option("--max-n", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Most N in a window.")
@click.option(
    "--max-excluded", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Most of a window in --exclude."
)
@click.option(
    "--split",
    type=click.Choice(["blocks", "windows", "chromosomes"]),
    help="blocks: contiguous; windows: at random; chromosomes: chr8 and chr9 test, chr7 validates."
    "  [default: chromosomes where those are there, else blocks]",
)
@options.seed
@options.force
@options.dry_run
@options.quiet
def command(
    genome: Path,
    peaks: tuple[Path, ...],
    output: Path,
    markers: Path | None,
    exclude: tuple[Path, ...],
    window: int,
    max_n: float,
    max_excluded: float,
    split: str | None,
    seed: int,
    force: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Build a dataset from GENOME (FASTA: plain, bgzip or gzip) and PEAKS.

    PEAKS are narrowPeak, broadPeak or BED files, plain or gzip, or folders that hold them; each file is one marker,
    named after it. A markers.tsv in a folder names and orders them. Peak files are 0-based half-open.

    The genome is cut into windows; those with too many N or excluded bases are dropped, the others are split into
    train, validation and test (80/10/10).
    """
    from dilannot.cli.console import start
    from dilannot.data import build

    progress = start(quiet=quiet)
    if dry_run:
        inputs = build.find_inputs(peaks, markers)
        for marker in inputs.markers:
            click.echo("\t".join((marker.name, marker.marker_class, marker.file)))
        progress.say(
            f"{len(inputs.markers)} markers would be labelled in windows of {window:,} bp of {genome} -> {output}"
        )
        return
    record = build.build_dataset(
        genome,
        peaks,
        output,
        markers=markers,
        exclude=exclude,
        window=window,
        max_n=max_n,
        max_excluded=max_excluded,
        split=split,  # type: ignore[arg-type]
        seed=seed,
        force=force,
        command=shlex.join(["dilannot", *sys.argv[1:]]),
        progress=progress,
    )
    for line in build.summary_lines(record):
        progress.say(line)
    progress.say(
        f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB); next: dilannot train {_argument(output)}".rstrip()
    )


def _argument(output: Path) -> str:
    return "" if output == Path("dataset.h5") else str(output)
