"""`dilannot markers`: the published markers, or those of a dataset, folder or table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dilannot.cli import options

if TYPE_CHECKING:
    from dilannot.data.markers import Marker

MARKERS_VERSION = 1
_COLUMNS = ("index", "name", "class", "cell", "target", "treatment", "file")


@click.command("markers", short_help="DeepSEA's 919 markers, or those of a dataset")
@click.argument("source", type=options.PATH, required=False)
@options.marker_filters
@click.option("--urls", is_flag=True, help="Print only the addresses of the peak files.")
@options.as_json
@options.quiet
def command(source: Path | None, urls: bool, as_json: bool, quiet: bool, **filters: tuple[str, ...]) -> None:
    """List DeepSEA's 919 markers, or those of SOURCE: a dataset, a folder of peak files or a marker table.

    Prints a table, tab-separated where stdout is no terminal; such a table goes into build-data --markers.
    The index is DeepSEA's column, or the place in SOURCE, from 0. Upper and lower case are alike in filters.
    """
    from dilannot.cli.console import print_json, print_table, start
    from dilannot.data.markers import count_by_class
    from dilannot.data.published import published_markers, select

    if urls and source is not None:
        raise click.UsageError("--urls is for the published markers; drop SOURCE")
    progress = start(quiet=quiet)
    known = _known(source)
    chosen = select(known, **filters)
    if urls:
        wanted = set(chosen)
        click.echo("\n".join(each.url for each in published_markers() if each.marker in wanted))
    elif as_json:
        print_json(_record(known, chosen, source))
    else:
        title = "DeepSEA's markers" if source is None else f"markers of {source}"
        print_table(_COLUMNS, _rows(known, chosen), title=title, text_columns=len(_COLUMNS))
    of = f" of {len(known)}" if len(chosen) < len(known) else ""
    progress.say(f"{len(chosen)}{of} markers: {count_by_class(marker.marker_class for marker in chosen)}")


def _known(source: Path | None) -> list[Marker]:
    if source is None:
        from dilannot.data.published import published_markers

        return [published.marker for published in published_markers()]
    from dilannot.data.listing import markers_of

    return markers_of(source)


def _rows(known: list[Marker], chosen: list[Marker]) -> list[tuple[str, ...]]:
    index = {marker: str(place) for place, marker in enumerate(known)}
    return [(index[marker], *marker.row()) for marker in chosen]


def _record(known: list[Marker], chosen: list[Marker], source: Path | None) -> dict[str, Any]:
    """The table as an object; published markers also have their address and DeepSEA's AUCs (null: no test peaks)."""
    from dilannot.data.published import published_markers

    more: dict[Marker, dict[str, Any]] = {}
    if source is None:
        more = {
            each.marker: {"url": each.url, "roc_auc": each.roc_auc, "pr_auc": each.pr_auc}
            for each in published_markers()
        }
    rows = zip(chosen, _rows(known, chosen), strict=True)
    return {
        "markers_version": MARKERS_VERSION,
        "source": "DeepSEA" if source is None else str(source),
        "markers": [
            {**dict(zip(_COLUMNS, row, strict=True)), "index": int(row[0]), **more.get(marker, {})}
            for marker, row in rows
        ],
    }
