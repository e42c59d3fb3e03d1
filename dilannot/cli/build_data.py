"""`dilannot build-data`: FASTA + peaks to a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dilannot.cli import options

if TYPE_CHECKING:
    from dilannot.cli.console import ConsoleProgress
    from dilannot.data.inputs import Inputs
    from dilannot.data.settings import BuildSettings


@click.command("build-data", short_help="FASTA + peak files -> dataset.h5")
@click.argument("genome", type=options.PATH)
@click.argument("peaks", type=options.PATH, nargs=-1, required=True)
@click.option(
    "-o", "--output", type=options.PATH, default=Path("dataset.h5"), show_default=True, help="Dataset to write."
)
@click.option(
    "--task",
    type=click.Choice(["dense", "window"]),
    default="dense",
    show_default=True,
    help="dense: a label for every nucleotide; window: one for a bin in the middle (DeepSEA).",
)
@click.option(
    "--markers",
    multiple=True,
    metavar="TABLE|GLOB",
    help="Marker table (TSV: file, name, class, cell, target, treatment), or globs on marker or file names.",
)
@click.option(
    "--min-peaks",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Leave out markers with fewer merged peaks.",
)
@click.option("--chroms", multiple=True, metavar="NAME|GLOB", help="Contigs to cut windows from; repeatable.")
@click.option("--exclude", type=options.PATH, multiple=True, help="BED of regions to avoid; repeatable.")
@click.option("--window", type=int, default=25_000, show_default=True, help="Length of a dense window, bp.")
@click.option("--bin", type=int, default=200, show_default=True, help="Bins: their length, bp.")
@click.option("--context", type=int, default=400, show_default=True, help="Bins: sequence on either side, bp.")
@click.option("--max-n", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Most N in a window.")
@click.option(
    "--max-excluded", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Most of a window in --exclude."
)
@click.option(
    "--min-overlap",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Bins: the part that must lie in peaks for a label.",
)
@click.option(
    "--overlap",
    type=click.Choice(["more", "least"]),
    default="more",
    show_default=True,
    help="Bins: more than that part (DeepSEA), or at least (Selene).",
)
@click.option("--all-bins", is_flag=True, help="Bins: keep those without any TFBS label too.")
@click.option(
    "--split",
    type=click.Choice(["blocks", "windows", "chromosomes", "deepsea"]),
    help="blocks: contiguous; windows: at random; chromosomes: chr8 and chr9 test, chr7 validates; deepsea: of chr7 "
    "only the published 4,000 bins, other autosomes train.  [default: chromosomes (dense) or deepsea (window) where "
    "those are there, else blocks]",
)
@click.option("--validation-chroms", multiple=True, metavar="NAME|GLOB", help="Contigs to validate on instead.")
@click.option("--test-chroms", multiple=True, metavar="NAME|GLOB", help="Contigs to test on instead.")
@click.option(
    "--verify",
    type=options.PATH,
    metavar="FOLDER",
    help="Compare with DeepSEA's published .mat files there, afterwards; exit code 1 if anything differs.",
)
@click.option(
    "--report",
    "reports",
    type=options.PATH,
    multiple=True,
    help="Write what is in the dataset and what is odd about it: .html, .txt or .md; repeatable.",
)
@options.seed
@options.threads
@options.force
@options.dry_run
@options.quiet
def command(
    genome: Path,
    peaks: tuple[Path, ...],
    output: Path,
    markers: tuple[str, ...],
    exclude: tuple[Path, ...],
    reports: tuple[Path, ...],
    verify: Path | None,
    threads: int | None,
    force: bool,
    dry_run: bool,
    quiet: bool,
    **values: Any,
) -> None:
    """Build a dataset from GENOME (FASTA: plain, bgzip or gzip) and PEAKS.

    PEAKS are narrowPeak, broadPeak or BED files, plain or gzip, or folders that hold them; each file is one marker.
    The 919 published ones are known by their file names; others are named after theirs. A markers.tsv in a folder
    names and orders them. Peak files are 0-based half-open.

    The genome is cut into windows; those with too many N or excluded bases are dropped, the others are split into
    train, validation and test (80/10/10).
    """
    from dilannot.cli.console import start
    from dilannot.data.build import build_dataset, summary_lines
    from dilannot.data.inputs import find_inputs
    from dilannot.data.settings import BuildSettings
    from dilannot.report.dataset import write_dataset_report

    progress = start(quiet=quiet)
    _check_task(values["task"])
    settings = BuildSettings(**values)
    inputs = find_inputs(peaks, markers)
    _check_files(output, reports, inputs.read(genome, exclude), force)
    if verify is not None:
        _check_verifiable(verify, settings)
    if dry_run:
        for marker in inputs.markers:
            click.echo("\t".join((marker.name, marker.marker_class, marker.file)))
        progress.say(
            f"{len(inputs.markers)} markers would be labelled in {settings.unit:,}-bp "
            f"{'windows' if settings.task == 'dense' else 'bins'} of {genome} -> {output}"
        )
        return
    record = build_dataset(
        genome,
        peaks,
        output,
        settings,
        markers=markers,
        exclude=exclude,
        threads=threads,
        force=force,
        command=options.recorded_command(),
        progress=progress,
    )
    for line in summary_lines(record):
        progress.say(line)
    for report in reports:
        write_dataset_report(output, report)
        progress.say(f"wrote {report}")
    progress.say(f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB){options.next_step(output)}")
    if verify is not None and not _verified(output, verify, inputs, progress):
        click.get_current_context().exit(1)


_ONLY_FOR = {"window": "dense"} | dict.fromkeys(("bin", "context", "min_overlap", "overlap", "all_bins"), "window")


def _check_task(task: str) -> None:
    """An option that the task does not have would be passed over without a word."""
    context = click.get_current_context()
    for name, owner in _ONLY_FOR.items():
        if owner != task and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} is for --task {owner}")


def _check_files(output: Path, reports: tuple[Path, ...], inputs: list[Path], force: bool) -> None:
    """Inputs are there, and no output is one of them or stands in another's way."""
    from dilannot.formats.compression import check_input
    from dilannot.outputs import check_distinct, check_new_file
    from dilannot.report.dataset import check_report_name

    for report in reports:
        check_report_name(report)
    outputs = (output, *reports)
    for index, path in enumerate(outputs):
        check_new_file(path, force=force)
        check_distinct(path, [*inputs, *outputs[:index]])
    for path in inputs:
        if not path.is_dir():  # a genome that is a folder has its own message
            check_input(path)


def _check_verifiable(published: Path, settings: BuildSettings) -> None:
    """Before the build, which takes long."""
    from dilannot.data.imported.deepsea import open_published, published_files
    from dilannot.data.verify.verify import check_length

    if settings.task != "window":
        raise click.UsageError("--verify compares bins: use --task window")
    with open_published(published_files(published)) as splits:
        check_length(splits[0], settings.unit + 2 * settings.reach)


def _verified(output: Path, published: Path, inputs: Inputs, progress: ConsoleProgress) -> bool:
    """Print how the dataset differs from the published one; whether it does not."""
    from dilannot.cli.verify import print_report
    from dilannot.data.verify.verify import verify_dataset

    comparison = verify_dataset(output, published, peaks=inputs.files, progress=progress)
    print_report(comparison)
    return comparison.agrees
