"""Signals that ask a training to stop: Ctrl-C, and SIGTERM and SIGUSR1 from a cluster that takes the machine back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Stopping:
    """While open, a signal ends the training where it can go on: in the loop (`held`) only where the loop says so.

    With `alone` false, signals are only remembered: of several processes none may leave before all agree. A second
    signal ends the process whatever it does.
    """

    def __init__(self, *, alone: bool) -> None:
        self.came = 0
        self._alone = alone
        self._open = alone  # to a signal
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            os._exit(128 + number)
        self.came = number
        if self._open:
            self.leave()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Signals wait for the end of the block, or for `breakable` within it."""
        self._open = False
        try:
            yield
        finally:
            self._open = self._alone
        if self.came and self._open:
            self.leave()

    @contextmanager
    def breakable(self) -> Iterator[None]:
        """Within `held`, what takes long and may be left half done: a signal ends it at once."""
        self._open = self._alone
        try:
            if self.came and self._open:
                self.leave()
            yield
        finally:
            self._open = False

    def leave(self) -> NoReturn:
        """End as the signal that came asks for: 130, 143 or 138."""
        if self.came == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + (self.came or signal.SIGTERM))
