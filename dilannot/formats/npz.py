"""NumPy's .npz archives, their arrays read some rows at a time; objects in them are left to the caller."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError

_BLOCK_BYTES = 1 << 26
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError, TypeError, KeyError,
    SyntaxError, tokenize.TokenError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Header:
    """Shape, order and type of an array."""

    shape: tuple[int, ...]
    fortran: bool
    type: np.dtype[Any]


def array_names(path: Path) -> set[str]:
    """The arrays of an archive.

    Raises
    ------
    DilannotError
        It is no archive, or a truncated one.
    """
    with _named(path), zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def read_header(path: Path, name: str) -> Header:
    """What an array is, without its values."""
    with open_array(path, name) as (header, _):
        return header


class Member:
    """The bytes of an array behind its header; what cannot be unpacked is an error that names the archive."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path, self._stream = path, stream

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, fewer at the end."""
        try:
            return self._stream.read(size)
        except _DAMAGE as error:
            raise _damaged(self._path, error) from None

    def readline(self) -> bytes:
        """Up to the end of a line."""
        try:
            return self._stream.readline()
        except _DAMAGE as error:
            raise _damaged(self._path, error) from None


@contextmanager
def open_array(path: Path, name: str) -> Iterator[tuple[Header, Member]]:
    """An array's header, and what follows it.

    Raises
    ------
    DilannotError
        The archive is damaged.
    """
    with ExitStack() as stack:
        with _named(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            stream = stack.enter_context(archive.open(f"{name}.npy"))
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            header = Header(*read(stream))
            if any(size < 0 for size in header.shape):
                raise ValueError(f"{name} has shape {header.shape}")
        yield header, Member(path, stream)


def read_blocks(path: Path, name: str) -> Iterator[NDArray[Any]]:
    """An array's rows, some at a time; all at once where they do not lie one after the other.

    Raises
    ------
    DilannotError
        The archive is damaged.
    """
    with open_array(path, name) as (header, stream):
        row = prod(header.shape[1:]) * header.type.itemsize
        step = header.shape[0] if header.fortran else max(1, _BLOCK_BYTES // max(row, 1))
        for first in range(0, header.shape[0], step):
            rows = min(step, header.shape[0] - first)
            data = stream.read(rows * row)
            if len(data) != rows * row:
                raise _damaged(path, f"{name} ends early")
            shape = (rows, *header.shape[1:])
            yield np.frombuffer(data, header.type).reshape(shape, order="F" if header.fortran else "C")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """What zipfile and NumPy say of damage, as an error that names the archive."""
    try:
        yield
    except _DAMAGE as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, why: object) -> DilannotError:
    return DilannotError(
        f"is not a .npz archive, or a truncated or corrupt one ({str(why)[:100]})", where=path, remedy="copy it again"
    )
