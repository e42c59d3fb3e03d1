"""Gzip and bgzip by content, not by name; nothing is trusted before a compressed file has ended well."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, cast

from isal import igzip, isal_zlib

from dilannot.errors import ENVIRONMENT, DilannotError

Compression = Literal["plain", "gzip", "bgzip"]

_DAMAGE = (EOFError, zlib.error, isal_zlib.error, gzip.BadGzipFile)
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def check_input(path: Path) -> None:
    """Refuse what is no local, readable, regular file.

    Raises
    ------
    DilannotError
        A URL, a missing file, a folder, a pipe (exit code 1), or a file one may not read (3).
    """
    if "://" in str(path) or str(path).startswith(("http:/", "https:/", "ftp:/", "s3:/", "gs:/")):
        raise DilannotError("is a URL; only local files are read", where=path, remedy="download it first")
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        link = " (a dangling link)" if os.path.islink(path) else ""
        raise DilannotError(f"file not found{link}", where=path) from None
    if stat.S_ISDIR(mode):
        raise DilannotError("is a directory, not a file", where=path)
    if not stat.S_ISREG(mode):
        raise DilannotError("is not a regular file", where=path)
    if not os.access(path, os.R_OK):
        raise DilannotError("is not readable: permission denied", where=path, exit_code=ENVIRONMENT)


def compression(path: Path) -> Compression:
    """How a file is compressed.

    Raises
    ------
    DilannotError
        A bgzip file without its end block: it was cut.
    """
    with open(path, "rb") as handle:
        head = handle.read(18)
        if not head.startswith(b"\x1f\x8b"):
            return "plain"
        if head[12:14] != b"BC" or not head[3] & 4:
            return "gzip"
        handle.seek(0, os.SEEK_END)
        handle.seek(max(0, handle.tell() - len(_BGZF_END)))
        if handle.read() != _BGZF_END:
            raise DilannotError(
                "truncated bgzip file: its EOF block is missing", where=path, remedy="copy or download it again"
            )
    return "bgzip"


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes, unpacked; damage inside the block becomes a `DilannotError` that names it."""
    check_input(path)
    if compression(path) == "plain":
        with open(path, "rb") as handle:
            yield handle
        return
    with _damage_named(path), igzip.open(path, "rb") as handle:  # type: ignore[no-untyped-call]
        yield cast(BinaryIO, handle)


def read_bytes(path: Path) -> tuple[bytes, str]:
    """A file's whole content, unpacked, and the SHA-256 of the file as it lies there."""
    check_input(path)
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if compression(path) != "plain":
        with _damage_named(path):
            data = igzip.decompress(data)  # type: ignore[no-untyped-call]
    return data, digest


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:  # type: ignore[misc]
        kind = "truncated gzip file" if isinstance(error, EOFError) else "corrupt gzip file"
        raise DilannotError(f"{kind} ({error})", where=path, remedy="copy or download it again") from None
