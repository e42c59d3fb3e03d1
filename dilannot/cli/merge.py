"""`dilannot merge`: the shards of an annotation to tracks."""

from __future__ import annotations

from pathlib import Path

import click

from dilannot.cli import options


@click.command("merge", short_help="shards of annotate -> tracks")
@click.argument("output", type=options.PATH, default=Path("tracks"))
@click.argument("others", type=options.PATH, nargs=-1)
@options.threads
@options.quiet
def command(output: Path, others: tuple[Path, ...], threads: int | None, quiet: bool) -> None:
    """Make the tracks in OUTPUT (default: tracks/) from all shards that `dilannot annotate --shard` left there.

    Shards that were made in other folders are read from OTHERS. The tracks are byte for byte those that annotate makes
    without shards. Neither the run nor the genome is needed.
    """
    from dilannot.annotate.merge import merge
    from dilannot.cli.console import start

    progress = start(quiet=quiet)
    result = merge(output, others, threads=threads, progress=progress)
    progress.say(f"wrote {output}: {len(result.tracks)} markers, {result.nucleotides:,} nt")
