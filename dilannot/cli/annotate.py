"""`dilannot annotate`: a run and a genome to tracks."""

from __future__ import annotations

from pathlib import Path

import click

from dilannot.cli import options


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
    help="Probability to call from, for all markers.  [default: each marker's best F1 in validation]",
)
@click.option("--tile", type=click.IntRange(1), default=25_000, show_default=True, help="Kept nt of a tile.")
@click.option(
    "--batch-size", type=click.IntRange(1), help="Tiles predicted together.  [default: 1 on a CPU, 8 on a GPU]"
)
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
    tile: int,
    batch_size: int | None,
    device: str,
    threads: int | None,
    force: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Annotate GENOME (default: the one the run was trained on) with RUN (default: run/).

    Writes per marker MARKER.bw, the probability of every position in steps of 0.01, and MARKER.bed, the calls, and
    tracks.json, which says what is in the folder. Tiles are read with enough context that the result equals one pass
    over the whole contig. Where the genome is N, the tracks are empty.
    """
    from dilannot.annotate.annotate import Annotation, annotate
    from dilannot.cli.console import ConsoleProgress

    options.set_threads(threads)
    progress = ConsoleProgress(quiet=quiet)
    result = annotate(
        run,
        genome,
        output=output,
        regions=regions,
        weights=weights,  # type: ignore[arg-type]
        threshold=threshold,
        tile=tile,
        batch_size=batch_size,
        device=device,
        processes=threads,
        force=force,
        dry_run=dry_run,
        progress=progress,
    )
    if not isinstance(result, Annotation):
        regions_text = ", ".join(map(str, result.regions[:5])) + (" ..." if len(result.regions) > 5 else "")
        click.echo(
            f"{result.nucleotides:,} nt of {result.genome.path} ({regions_text}), {len(result.names)} markers "
            f"-> {output}; at most about {result.disk / 1e6:,.0f} MB of disk"
        )
        return
    calls = sum(track["calls"] for track in result.tracks)
    progress.say(
        f"wrote {2 * len(result.tracks)} files to {output}: {result.nucleotides:,} nt, {calls:,} calls; "
        "open the .bw and .bed files in IGV or the UCSC browser"
    )
