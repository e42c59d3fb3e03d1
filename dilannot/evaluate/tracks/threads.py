"""Work on several tracks at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Each:
    """Maps a function over things, in the threads of a pool."""

    pool: ThreadPoolExecutor

    def __call__(self, function: Callable[[_T], _R], things: Iterable[_T]) -> Iterator[_R]:
        """Results in order; what has not begun when one fails is never done."""
        waiting = [self.pool.submit(function, thing) for thing in things]
        try:
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()
