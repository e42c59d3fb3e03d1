"""Batches prepared ahead by other processes."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from dilannot.data.batch import Batch
from dilannot.data.order import Order
from dilannot.errors import ENVIRONMENT, DilannotError

Serve = Callable[[Order], Batch]


def serve_ahead(serve: Serve, parts: list[Order], workers: int, where: Path) -> Iterator[Batch]:
    """The batch of every part, in order, four ahead for each of `workers` processes; they read `where`.

    Raises
    ------
    DilannotError
        What a worker raises, or that one has died (exit code 3).
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than cores: as asked for
        loader = _loader(serve, parts, workers)
    for item in _while_they_live(loader, where):
        if isinstance(item, Exception):
            raise item
        yield item


def _loader(serve: Serve, parts: list[Order], workers: int) -> DataLoader[Batch | Exception]:
    # A generator of its own: dropout draws the same numbers with workers and without.
    return DataLoader(
        _Parts(serve, parts),
        batch_size=None,
        num_workers=min(workers, len(parts)),
        prefetch_factor=4,
        generator=torch.Generator(),
    )


def _while_they_live(loader: DataLoader[Batch | Exception], where: Path) -> Iterator[Batch | Exception]:
    """What the workers send, until one of them dies."""
    try:
        with _deaths_unannounced():
            items = iter(loader)
        yield from items
    except (RuntimeError, ConnectionError, FileNotFoundError, EOFError) as error:
        # The last three: a batch was announced, and its sender is gone.
        if isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error):
            raise
        raise DilannotError(
            "a process that reads the dataset has died (killed? out of memory?)",
            where=where,
            remedy="use fewer --workers",
            exit_code=ENVIRONMENT,
        ) from error


@contextmanager
def _deaths_unannounced() -> Iterator[None]:
    """Keep torch from raising a worker's death wherever the program is then; its loader looks every five seconds."""
    here = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGCHLD) or signal.SIG_DFL
    try:
        yield
    finally:
        if here:
            signal.signal(signal.SIGCHLD, before)


class _Parts(torch.utils.data.Dataset[Batch | Exception]):
    """What torch's loader hands to its workers; of an error raised there it would make the text of its traceback."""

    def __init__(self, serve: Serve, parts: list[Order]) -> None:
        self._serve, self._parts = serve, parts

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, step: int) -> Batch | Exception:
        try:
            return self._serve(self._parts[step])
        except (DilannotError, OSError) as error:
            return error
