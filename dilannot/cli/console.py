"""Words and bars on stderr, tables on stdout: the only file that knows rich."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from dilannot.cli import signals
from dilannot.errors import printable
from dilannot.progress import Silent, Task

PLAIN_INTERVAL = 30.0  # seconds between lines where stderr is no terminal


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, amount: float, note: str = "") -> None:
        self._progress.update(self._task, advance=amount, note=printable(note))


class _Lines:
    """A line now and then, for logs."""

    def __init__(self, title: str, total: float | None) -> None:
        self._title, self._total = title, total
        self._done = 0.0
        self._began = self._said = time.monotonic()

    def advance(self, amount: float, note: str = "") -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._said >= PLAIN_INTERVAL:
            self._said = now
            share = self._done / self._total if self._total else 0.0
            left = f" {share:.0%}, {(now - self._began) * (1 - share) / share:,.0f} s left " if share else ""
            click.echo(printable(f"{self._title}:{left} {note}"), err=True)


class ConsoleProgress:
    """Reports to stderr: bars on a terminal, plain lines elsewhere; only warnings when quiet."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, emoji=False)
        self._quiet = quiet

    def say(self, message: str) -> None:
        if not self._quiet:
            self._console.print(Text(printable(message)), soft_wrap=True)

    def warn(self, message: str) -> None:
        self._console.print(Text("warning:", "yellow") + Text(" " + printable(message)), soft_wrap=True)

    @contextmanager
    def task(self, title: str, total: float | None) -> Iterator[Task]:
        title = printable(title)
        if self._quiet:
            with Silent().task(title, total) as silent:
                yield silent
            return
        if not self._console.is_terminal:
            yield _Lines(title, total)
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, TextColumn("{task.fields[note]}", markup=False), console=self._console, transient=True
        ) as progress:
            yield _Bar(progress, progress.add_task(title, total=total, note=""))


def start(*, quiet: bool) -> ConsoleProgress:
    """Begin the work of a command, once all it needs is imported."""
    signals.unwind()
    return ConsoleProgress(quiet=quiet)


def print_json(record: Any) -> None:
    """One JSON object on stdout."""
    click.echo(json.dumps(record, indent=1, ensure_ascii=False))


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    text_columns: int = 1,
    whole: bool = False,
) -> None:
    """A table on stdout: drawn on a terminal, tab-separated elsewhere; text columns come first.

    Where a terminal is too narrow, columns are cut short; with `whole`, lines run on instead.
    """
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        for row in (columns, *rows):
            click.echo("\t".join(map(printable, row)))
        return
    table = Table(title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < text_columns else "right", no_wrap=index >= text_columns)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    if whole:
        console.width = max(console.width, console.measure(table, options=console.options.update(width=500)).maximum)
    console.print(table)


def fail(message: str) -> None:
    """One line on stderr."""
    Console(stderr=True, highlight=False, emoji=False).print(
        Text("error:", "red") + Text(" " + message), soft_wrap=True
    )
