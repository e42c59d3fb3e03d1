"""How long work reports itself: the library speaks through this, only the command line knows a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One bar: `advance` by an amount, with a short note beside it."""

    def advance(self, amount: float, note: str = "") -> None: ...


class Progress(Protocol):
    """Where words and bars go."""

    def say(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...

    def task(self, title: str, total: float | None) -> AbstractContextManager[Task]:
        """A piece of work of `total` amounts; None when nobody knows how much there is."""
        ...


class _SilentTask:
    def advance(self, amount: float, note: str = "") -> None:
        pass


class Silent:
    """Reports nothing: the default when the library is called from Python."""

    def say(self, message: str) -> None:
        pass

    def warn(self, message: str) -> None:
        pass

    @contextmanager
    def task(self, title: str, total: float | None) -> Iterator[Task]:
        yield _SilentTask()
