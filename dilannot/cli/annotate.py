"""`dilannot annotate`: a run and a genome to tracks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dilannot.cli import options


@click.command("annotate", short_help="run/ + FASTA -> a bigWig and a BED per marker")
@click.argument("run", type=options.PATH, required=False)
@click.argument("genome", type=options.PATH, required=False)
@click.option(
    "-o", "--output", type=options.PATH, default=Path("tracks"), show_default=True, help="Folder for the tracks."
)
@click.option(
    "-r", "--region", "regions", multiple=True, metavar="REGION",
    help="chr1, chr1:1,000-2,000, chr1:500-, chr1:-500 (1-based, inclusive), 'chr?'; repeatable.  "
    "[default: everything]",
)  # fmt: skip
@click.option("--regions-file", type=options.PATH, metavar="BED", help="More regions.")
@click.option(
    "--exclude", multiple=True, metavar="REGION|BED", help="Leave out: regions, 'chrUn_*', a BED; repeatable."
)
@click.option(
    "--markers", multiple=True, metavar="TEXT",
    help="Some markers: names, 'K562|*', histone, class=TFBS, cell=GM12878, target=H3K4me*, with commas between; "
    "repeatable.",
)  # fmt: skip
@options.weights
@click.option(
    "--precision", type=float, default=0.01, show_default=True, metavar="X", help="Step of a track's probabilities."
)
@click.option(
    "--min-score", type=float, metavar="X",
    help="Leave lower probabilities as gaps.  [default: 0.05, or half a marker's threshold where that is less]",
)  # fmt: skip
@click.option("--bin", "bin_length", type=click.IntRange(1, 100_000), default=1, metavar="N", help="Means over N nt.")
@click.option("--rc", "both_strands", is_flag=True, help="Average over both strands; takes twice the time.")
@click.option(
    "--threshold", type=float, metavar="X",
    help="Probability to call from, for all markers.  [default: each its own, see --call-at]",
)  # fmt: skip
@click.option(
    "--call-at", type=click.Choice(["break-even", "best-f1", "fdr-5", "fdr-10"]), default="break-even",
    show_default=True,
    help="Which threshold from the validation windows: calls cover as much as the peaks; best F1; 5 or 10 % false.",
)  # fmt: skip
@click.option(
    "--merge-gap", type=click.IntRange(0), default=50, show_default=True, help="Calls this close, nt, are one."
)
@click.option("--min-length", type=click.IntRange(1), default=50, show_default=True, help="Shortest call, nt.")
@click.option("--bgzip", is_flag=True, help="BEDs as .bed.gz with a tabix index.")
@click.option("--bigbed", is_flag=True, help="All calls as calls.bb, too; needs pybigtools.")
@click.option("--tile", type=click.IntRange(1), metavar="N", help="Kept nt of a tile.  [default: about 50,000]")
@click.option(
    "--window-mode", "training_windows", is_flag=True,
    help="Independent windows as in training, which see nothing of their neighbours, instead of exact tiles.",
)  # fmt: skip
@click.option(
    "--batch-size", type=click.IntRange(1), metavar="N",
    help="Tiles predicted together.  [default: 1 on a CPU, 5 on a GPU]",
)  # fmt: skip
@click.option(
    "--shard", metavar="I/N|auto",
    help="Make part I of N, for `dilannot merge`; auto: as a SLURM array, srun or torchrun says.",
)  # fmt: skip
@options.trust_code
@options.device
@options.threads
@options.force
@options.dry_run
@options.quiet
def command(
    run: Path | None,
    genome: Path | None,
    output: Path,
    regions: tuple[str, ...],
    regions_file: Path | None,
    exclude: tuple[str, ...],
    markers: tuple[str, ...],
    weights: str,
    batch_size: int | None,
    shard: str | None,
    trust_code: bool,
    device: str,
    threads: int | None,
    force: bool,
    dry_run: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Annotate GENOME (default: the one the run was trained on) with RUN.

    Without RUN it is run/ where there is one, else the network that comes with dilannot: `hybrid`, 264 markers of
    ENCODE and Roadmap, trained on chr20 of hg19. It needs a GENOME: dilannot annotate hg19.fa -r chr21

    Writes per marker MARKER.bw, the probability of every position in steps of 0.01, and MARKER.bed, the calls;
    calls.bed, those of all markers; and tracks.json, which says what is in the folder. Tiles are read with enough
    context that the result equals one pass over the whole contig; networks with an LSTM read overlapping windows as
    long as in training and keep the middle half of each; networks for bins give every bin one value. Where the genome
    is N, the tracks are empty.

    After a kill, the same command goes on, and the tracks are those of a run that was not killed.
    """
    from dilannot.annotate import annotate as library
    from dilannot.annotate.plan import Scope, Settings
    from dilannot.annotate.shards import shard_asked
    from dilannot.cli.console import start
    from dilannot.shipped import CARD, run_and_genome

    progress = start(quiet=quiet)
    named = run
    run, genome, shipped = run_and_genome(run, genome)
    if shipped:
        progress.say(f"no run/ here: annotating with the network that comes with dilannot, see {CARD}")
    elif run != named:
        progress.say(f"annotating with {run}")
    part = shard_asked(shard)
    if part and force:
        raise click.UsageError("--force and --shard do not go together: other shards may be at work; remove the folder")
    arguments: dict[str, Any] = {
        "output": output,
        "scope": Scope(regions, regions_file, exclude, markers),
        "settings": Settings(**settings),
        "shard": part,
        "weights": weights,
        "batch_size": batch_size,
        "device": part.device(device) if part else device,
        "threads": threads,
        "force": force,
        "trust_code": trust_code,
        "progress": progress,
    }
    if dry_run:
        for line in library.survey(run, genome, **arguments):
            click.echo(line)
        return
    result = library.annotate(run, genome, **arguments)
    if part:
        progress.say(f"shard {part} is done; when all are: dilannot merge {output}")
        return
    calls = sum(track["calls"] for track in result.tracks)
    progress.say(
        f"wrote {output}: {len(result.tracks)} markers, {result.nucleotides:,} nt, {calls:,} calls; "
        "open the .bw and .bed files in IGV or the UCSC browser"
    )
