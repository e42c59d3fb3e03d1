"""`dilannot annotate`: a run and a genome to tracks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dilannot.cli import options

if TYPE_CHECKING:
    from dilannot.cli.console import ConsoleProgress


@click.command("annotate", short_help="run/ + FASTA -> a bigWig and a BED per marker")
@click.argument("run", type=options.PATH, default=Path("run"))
@click.argument("genome", type=options.PATH, required=False)
@click.option(
    "-r", "--region", "regions", multiple=True, metavar="REGION",
    help="chr1, chr1:1,000-2,000, chr1:500-, chr1:-500 (1-based, inclusive); repeatable.  [default: everything]",
)  # fmt: skip
@click.option(
    "-o", "--output", type=options.PATH, default=Path("tracks"), show_default=True, help="Folder for the tracks."
)
@options.weights
@click.option(
    "--threshold",
    type=float,
    help="Probability to call from, for all markers.  [default: each its own, from validation]",
)
@click.option(
    "--merge-gap", type=click.IntRange(0), default=50, show_default=True, help="Calls this close, nt, are one."
)
@click.option("--min-length", type=click.IntRange(1), default=50, show_default=True, help="Shortest call, nt.")
@click.option("--tile", type=click.IntRange(1), help="Kept nt of a tile.  [default: about 25,000]")
@click.option(
    "--batch-size", type=click.IntRange(1), help="Tiles predicted together.  [default: 1 on a CPU, 8 on a GPU]"
)
@options.trust_code
@options.device
@options.threads
@options.force
@options.dry_run
@options.quiet
def command(
    run: Path,
    genome: Path | None,
    regions: tuple[str, ...],
    output: Path,
    weights: str,
    threshold: float | None,
    merge_gap: int,
    min_length: int,
    tile: int | None,
    batch_size: int | None,
    trust_code: bool,
    device: str,
    threads: int | None,
    force: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Annotate GENOME (default: the one the run was trained on) with RUN (default: run/).

    Writes per marker MARKER.bw, the probability of every position in steps of 0.01, and MARKER.bed, the calls, and
    tracks.json, which says what is in the folder. Tiles are read with enough context that the result equals one pass
    over the whole contig; networks with an LSTM read overlapping windows as long as in training and keep the middle
    half of each; networks for bins give every bin one value. Where the genome is N, the tracks are empty.
    """
    from dilannot.cli.console import start

    if dry_run:
        _print_plan(run, genome, regions, output, start(quiet=quiet))
        return
    from dilannot.annotate.annotate import annotate

    options.set_threads(threads)
    progress = start(quiet=quiet)
    result = annotate(
        run,
        genome,
        output=output,
        regions=regions,
        weights=weights,  # type: ignore[arg-type]
        threshold=threshold,
        merge_gap=merge_gap,
        min_length=min_length,
        tile=tile,
        batch_size=batch_size,
        device=device,
        processes=threads,
        force=force,
        trust_code=trust_code,
        progress=progress,
    )
    calls = sum(track["calls"] for track in result.tracks)
    progress.say(
        f"wrote {2 * len(result.tracks)} files to {output}: {result.nucleotides:,} nt, {calls:,} calls; "
        "open the .bw and .bed files in IGV or the UCSC browser"
    )


def _print_plan(
    run: Path, genome: Path | None, regions: tuple[str, ...], output: Path, progress: ConsoleProgress
) -> None:
    from dilannot.annotate.plan import make_plan
    from dilannot.run import read_run

    plan = make_plan(read_run(run), genome, regions, progress)
    shown = ", ".join(map(str, plan.regions[:5])) + (" ..." if len(plan.regions) > 5 else "")
    click.echo(
        f"{plan.nucleotides:,} nt of {plan.genome.path} ({shown}), {len(plan.names)} markers -> {output}; "
        f"{plan.disk[0] / 1e6:,.0f} to {plan.disk[1] / 1e6:,.0f} MB of disk while it runs"
    )
