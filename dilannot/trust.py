"""The code that a run of a user's own network brings along: kept as it was, and run only where it is trusted.

What decides whether it may be run is not in the run folder, which may come from anywhere: it is a mark in the cache
folder of those who have trained with it.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from dilannot.errors import DilannotError
from dilannot.outputs import cache_folder, replacing


def keep_code(path: Path, source: bytes) -> None:
    """Keep a user's own file with a run, and remember that this user trusts it."""
    with replacing(path) as temporary:
        temporary.write_bytes(source)
    with suppress(OSError):  # no cache to be had: --trust-code will be asked for
        mark = _mark(hashlib.sha256(source).hexdigest())
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def run_kept_code(path: Path, sha256: str, *, trust_code: bool) -> None:
    """Register the user's own networks from a run's copy of their file.

    Raises
    ------
    DilannotError
        Another file than the one trained with, or one that this user has not trained with and does not trust.
    """
    from dilannot.models.own_file import run_code
    from dilannot.models.registry import OwnCode

    own = OwnCode(path, path.read_bytes() if path.is_file() else b"")
    if own.sha256 != sha256:
        raise DilannotError("is not the code this run was trained with", where=path, remedy="train it again")
    if not trust_code and not _mark(own.sha256).is_file():
        raise DilannotError(
            "is code that would be run, and you have not trained with it here",
            where=path,
            remedy="read it, then say --trust-code",
        )
    run_code(own)


def _mark(sha256: str) -> Path:
    return cache_folder() / "trusted-code" / sha256
