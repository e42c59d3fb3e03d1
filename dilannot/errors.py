"""The one exception a user can do something about, and the exit codes it ends with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

BAD_INPUT = 1
USAGE = 2
ENVIRONMENT = 3  # disk, permission, memory, lock

MAX_MESSAGE = 480  # characters; keeps a hostile name from flooding a terminal


class DilannotError(Exception):
    """Something the user can fix: what is wrong, where, and what to do about it.

    Parameters
    ----------
    problem
        What is wrong, without a full stop.
    where
        File, folder or option the problem sits in.
    line
        1-based line in that file.
    remedy
        What to do, in the imperative.
    exit_code
        `BAD_INPUT` or `ENVIRONMENT`.
    """

    def __init__(
        self,
        problem: str,
        *,
        where: str | Path | None = None,
        line: int | None = None,
        remedy: str | None = None,
        exit_code: int = BAD_INPUT,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where
        self.line = line
        self.remedy = remedy
        self.exit_code = exit_code

    def __str__(self) -> str:
        place = "" if self.where is None else str(self.where)
        if len(place) > 200:
            place = f"{place[:80]}…{place[-100:]}"
        if self.line is not None:
            place += f":{self.line}"
        text = f"{place}: {self.problem}" if place else self.problem
        if self.remedy:
            text = f"{shorten(text, MAX_MESSAGE - min(len(self.remedy), 200) - 2)}; {self.remedy}"
        return printable(shorten(text, MAX_MESSAGE))

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive pickling by themselves; worker processes send these back.
        return _rebuild, (self.problem, self.where, self.line, self.remedy, self.exit_code)


def _rebuild(
    problem: str, where: str | Path | None, line: int | None, remedy: str | None, exit_code: int
) -> DilannotError:
    return DilannotError(problem, where=where, line=line, remedy=remedy, exit_code=exit_code)


def printable(text: str) -> str:
    """Escape control characters and lone surrogates, so that file content cannot steer a terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "replace").decode("ascii")
        for character in text
    )


def shorten(text: str, length: int) -> str:
    """Cut `text` to at most `length` characters, marking the cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def near(name: str, known: Iterable[str]) -> str:
    """Say which known names are close to a mistyped one: " (did you mean 'chr20'?)", or nothing."""
    candidates = list(known)
    close = [other for other in candidates if other.lower() in (f"chr{name}".lower(), name.lower().removeprefix("chr"))]
    close += [other for other in candidates if other.lower() == name.lower() and other not in close]
    close += [other for other in difflib.get_close_matches(name, candidates, n=3) if other not in close]
    return f" (did you mean {' or '.join(repr(other) for other in close[:3])}?)" if close else ""
