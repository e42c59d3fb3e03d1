"""Names chosen by themselves or by globs."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is one of `patterns`, which may be globs."""
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)
