"""`dilannot info`: what a file or folder is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from dilannot.cli import options

_SHOWN = 8  # entries of a list


@click.command("info", short_help="What a dataset, run or tracks folder is")
@click.argument("path", type=options.PATH)
@options.as_json
@click.option(
    "--report", type=options.PATH, help="Of a dataset: write what is odd about it to this file (.html, .txt, .md)."
)
@options.force
def command(path: Path, as_json: bool, report: Path | None, force: bool) -> None:
    """Say what PATH is: a dataset, a run or a tracks folder."""
    if report is not None:
        _write_report(path, report, force)
    from dilannot.cli.console import print_json
    from dilannot.errors import printable
    from dilannot.info import describe

    record = describe(path)
    if as_json:
        print_json(record)
        return
    click.echo(f"{record['path']}: {record['kind']}")
    for line in _lines(record):
        click.echo(printable(line))


def _write_report(path: Path, report: Path, force: bool) -> None:
    from dilannot.outputs import check_distinct, check_new_file
    from dilannot.report.dataset import check_report_name, write_dataset_report

    check_report_name(report)
    check_new_file(report, force=force)
    check_distinct(report, [path])
    write_dataset_report(path, report)


def _lines(record: dict[str, Any], indent: str = "  ") -> Iterator[str]:
    for key, value in record.items():
        if key in ("info_version", "kind", "path"):
            continue
        name = f"{indent}{key.replace('_', ' ')}"
        if isinstance(value, dict) and any(isinstance(inner, dict | list) for inner in value.values()):
            yield f"{name}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, dict):
            yield f"{name}: " + (", ".join(f"{inner} {_text(entry)}" for inner, entry in value.items()) or "none")
        elif isinstance(value, list):
            shown = ", ".join(_text(entry["marker"] if isinstance(entry, dict) else entry) for entry in value[:_SHOWN])
            more = f" and {len(value) - _SHOWN} more" if len(value) > _SHOWN else ""
            yield f"{name}: {shown or 'none'}{more}"
        else:
            yield f"{name}: {_text(value)}"


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
