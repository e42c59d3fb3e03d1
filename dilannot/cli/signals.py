"""Ctrl-C and SIGTERM: at once while libraries are imported, by unwinding once there is something to put away."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn

INTERRUPTED, TERMINATED = 130, 143


def leave_at_once() -> None:
    """Nothing is written yet, and an exception inside the import of a C++ library aborts the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda came, _: os._exit(128 + came))


def unwind() -> None:
    """From here on a signal is an exception, so that what is half written is removed; a second Ctrl-C ends at once."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _terminate)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGINT, lambda came, _: os._exit(128 + came))
    raise KeyboardInterrupt


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(TERMINATED)
