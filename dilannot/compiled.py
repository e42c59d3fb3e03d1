"""Inner loops as machine code: numba compiles them when their module is first imported, and keeps what it made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(*signatures: str, fastmath: bool = False) -> Callable[[_Function], _Function]:
    """Decorator: compile for these signatures; the interpreter is free for other threads while it runs.

    Parameters
    ----------
    signatures
        As numba writes them: `void(float32[:,::1], int64)`.
    fastmath
        Let sums be reordered and NaN be ignored.
    """

    def decorate(function: _Function) -> _Function:
        options: dict[str, Any] = {"nogil": True, "fastmath": fastmath, "boundscheck": False}
        try:
            return numba.njit(list(signatures), cache=True, **options)(function)  # type: ignore[return-value]
        except (RuntimeError, OSError):  # no place for what was made, or a full one
            return numba.njit(list(signatures), **options)(function)  # type: ignore[return-value]

    return decorate
