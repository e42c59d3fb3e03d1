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
    """While open, a signal ends the training where it can go on: at once, except while weights change (`held`).

    With `at_once` false, signals are only remembered: of several processes none may leave before all agree. A second
    signal ends the process whatever it does.
    """

    def __init__(self, *, at_once: bool) -> None:
        self.came = 0
        self._at_once = at_once
        self._held = False
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
        if self._at_once and not self._held:
            self.leave()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Signals wait for the end of the block."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self.came and self._at_once:
            self.leave()

    def leave(self) -> NoReturn:
        """End as the signal that came asks for: 130, 143 or 138."""
        if self.came == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + (self.came or signal.SIGTERM))
