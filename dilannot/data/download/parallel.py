"""Work spread over threads that nobody has to wait for: Ctrl-C never hangs on a socket."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE = 1.0  # seconds that all threads together get to notice `stop`


def map_in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], *, threads: int, stop: threading.Event
) -> list[Result]:
    """Results of `work` in the order of `items`; the first exception is raised here and sets `stop`.

    The threads are daemons: one that is stuck in a system call dies with the process. `work` looks at `stop` where
    it can.
    """
    waiting: SimpleQueue[int] = SimpleQueue()
    answers: SimpleQueue[tuple[int, Result | None, BaseException | None]] = SimpleQueue()
    for index in range(len(items)):
        waiting.put(index)

    def run() -> None:
        while not stop.is_set():
            try:
                index = waiting.get_nowait()
            except Empty:
                return
            try:
                answers.put((index, work(items[index]), None))
            except BaseException as error:  # noqa: BLE001 (raised again by the thread that asked)
                answers.put((index, None, error))

    pool = [threading.Thread(target=run, daemon=True) for _ in range(min(threads, len(items)))]
    results: dict[int, Result] = {}
    try:
        for thread in pool:
            thread.start()
        for _ in items:
            index, result, error = answers.get()
            if error is not None:
                raise error
            results[index] = result  # type: ignore[assignment]
    except BaseException:
        stop.set()
        raise
    finally:
        for thread in pool:
            thread.join(PATIENCE / len(pool) if stop.is_set() else None)
    return [results[index] for index in range(len(items))]
