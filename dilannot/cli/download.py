"""`dilannot download`: the human genome, DeepSEA's peak files, regions to avoid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dilannot.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dilannot.data.download.download import Planned
    from dilannot.data.download.fetch import Remote

_FOLDERS = {"hg19": Path(), "deepsea-peaks": Path("peaks"), "blacklist": Path("blacklist")}


@click.command("download", short_help="hg19, DeepSEA's 919 peak files, blacklists")
@click.argument("what", type=click.Choice(list(_FOLDERS)))
@click.option(
    "-o", "--output", type=options.PATH, metavar="FOLDER", help="Where to.  [default: ., peaks/ or blacklist/]"
)
@options.marker_filters
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Connections at a time.")
@click.option(
    "--retries",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Attempts in a row that may bring nothing; waits double from 1 s.",
)
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=30, show_default=True, help="Seconds without a byte."
)
@click.option("--mirror", metavar="URL", help="Server to use in place of the usual ones; paths stay.")
@click.option("-f", "--force", is_flag=True, help="Fetch again what is there.")
@click.option("--dry-run", is_flag=True, help="Print sizes and what is there, and stop.")
@options.quiet
def command(
    what: str,
    output: Path | None,
    jobs: int,
    retries: int,
    timeout: float,
    mirror: str | None,
    force: bool,
    dry_run: bool,
    quiet: bool,
    **filters: tuple[str, ...],
) -> None:
    """Download the human genome hg19, the peak files of DeepSEA's 919 markers, or hg19's blacklists.

    What was interrupted goes on where it stopped; what is there and whole stays. Every file is verified before it
    gets its name. The filters choose among the peak files, as in dilannot markers.
    """
    if any(filters.values()) and what != "deepsea-peaks":
        raise click.UsageError("filters choose among deepsea-peaks only")
    from dilannot.cli.console import start
    from dilannot.data.download.download import download, plan

    folder = output or _FOLDERS[what]
    progress = start(quiet=quiet)
    remotes = _remotes(what, filters, mirror)
    if dry_run:
        _print_plan(plan(remotes, folder, jobs=jobs, timeout=timeout))
        return
    summary = download(remotes, folder, jobs=jobs, retries=retries, timeout=timeout, force=force, progress=progress)
    progress.say(f"{folder}: {summary}")
    progress.say(f"next: {_next(what, folder)}")


def _remotes(what: str, filters: dict[str, tuple[str, ...]], mirror: str | None) -> Sequence[Remote]:
    from dilannot.data.download.sources import BLACKLISTS, HG19, peak_files, through_mirror
    from dilannot.data.published import published_markers, select

    remotes = {"hg19": HG19, "blacklist": BLACKLISTS}.get(what) or peak_files(
        select([published.marker for published in published_markers()], **filters)
    )
    return through_mirror(remotes, mirror) if mirror is not None else remotes


def _print_plan(planned: Sequence[Planned]) -> None:
    from dilannot.cli.console import print_table

    rows = [(each.remote.name, each.here, _bytes(each.bytes_here), _bytes(each.size)) for each in planned]
    print_table(("file", "state", "bytes here", "bytes"), rows, text_columns=2)
    known = sum(each.size or 0 for each in planned)
    left = sum(max(0, (each.size or 0) - each.bytes_here) for each in planned if each.here != "there")
    unknown = sum(each.size is None for each in planned)
    click.echo(
        f"total: {len(planned)} files, {known / 1e6:,.1f} MB, of which {left / 1e6:,.1f} MB to fetch"
        + (f"; the size of {unknown} is unknown" if unknown else "")
    )


def _bytes(count: int | None) -> str:
    return "unknown" if count is None else str(count)


def _next(what: str, folder: Path) -> str:
    if what == "hg19":
        return f"dilannot build-data {folder / 'hg19.fa.gz'} peaks/"
    if what == "deepsea-peaks":
        return f"dilannot build-data hg19.fa.gz {folder}/"
    return f"dilannot build-data hg19.fa.gz peaks/ --exclude {folder / 'hg19-blacklist.v2.bed.gz'}"
