"""Calls that change the disk, counted; from the `number`-th on, those of its kind fail, or the process is killed."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

NAMES = ("replace", "fsync", "unlink", "mkdir", "ftruncate")


class DiskFaults:
    """Without a number it only counts.

    Attributes
    ----------
    number, killed
        Which call, from 1; whether the process is killed, and does not get an error.
    names
        Of the calls, beside those that write small files.
    calls, failing
        Calls so far, and the name of those that fail now.
    """

    def __init__(self, number: int = 0, *, killed: bool = False, names: Sequence[str] = NAMES) -> None:
        self.number, self.killed, self.names = number, killed, names
        self.calls, self.failing = 0, ""

    def install(self, put: Callable[[Any, str, Any], None] = setattr) -> None:
        """`put` changes attributes of modules."""
        for name in self.names:
            put(os, name, self._counted(name, getattr(os, name)))
        for name in ("write_bytes", "write_text"):
            put(Path, name, self._half_written(name, getattr(Path, name)))

    def _fails(self, name: str) -> bool:
        self.calls += 1
        if self.calls == self.number:
            self.failing = name
        return name == self.failing

    def _fail(self, number: int, *where: object) -> None:
        if self.killed:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(number, os.strerror(number), *where)

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            if self._fails(name):
                self._fail(errno.EIO, *(() if isinstance(given[0], int) else (str(given[0]),)))  # as a path, not a file
            return call(*given, **named)

        return counted

    def _half_written(self, name: str, write: Callable[..., Any]) -> Callable[..., Any]:
        def half_written(path: Path, content: Any, **named: Any) -> Any:
            if self._fails("write"):
                write(path, content[: len(content) // 2], **named)
                self._fail(errno.ENOSPC)
            return write(path, content, **named)

        return half_written
