from __future__ import annotations

import pytest

from dilannot.cli import console
from dilannot.cli.console import ConsoleProgress, fail, print_table


def test_a_log_gets_a_plain_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with ConsoleProgress().task("walking", 10) as task:
        for _ in range(6):
            task.advance(1, "fine")
    assert capsys.readouterr().err.splitlines() == [
        "walking: 20%, 160 s left  fine",
        "walking: 40%, 120 s left  fine",
        "walking: 60%, 80 s left  fine",
    ]


def test_unknown_totals_have_no_percentage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(0, 10_000, 40))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with ConsoleProgress().task("reading", None) as task:
        task.advance(5, "chr1")
    assert capsys.readouterr().err == "reading: chr1\n"


def test_quiet_keeps_warnings_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(0, 10_000, 40))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    progress = ConsoleProgress(quiet=True)
    with progress.task("walking", 10) as task:
        task.advance(1)
    progress.say("hello")
    progress.warn("careful [bold]x[/bold] \x1b[2J")
    assert capsys.readouterr().err == "warning: careful [bold]x[/bold] \\x1b[2J\n"


def test_tables_are_tab_separated_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [("x y", "1"), ("\x1b", "2")])
    assert capsys.readouterr().out == "a\tb\nx y\t1\n\\x1b\t2\n"


def test_messages_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """No emoji for `:100:`, no markup, no colour in a log."""
    message = "a.bed:100: end [red]5[/red] :1234: is no integer :smile:"
    fail(message)
    ConsoleProgress().say(message)
    assert capsys.readouterr().err == f"error: {message}\n{message}\n"
