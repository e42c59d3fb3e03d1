"""NumPy's .npz archives, their arrays read some rows at a time; objects in them are left to the caller."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError

_BLOCK_BYTES = 1 << 26
_DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError, TypeError)


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
    with _archive(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def read_header(path: Path, name: str) -> Header:
    """What an array is, without its values."""
    with open_array(path, name) as (header, _):
        return header


@contextmanager
def open_array(path: Path, name: str) -> Iterator[tuple[Header, BinaryIO]]:
    """An array's header, and the stream of what follows it.

    Raises
    ------
    DilannotError
        The archive is damaged.
    """
    with _archive(path) as archive, archive.open(f"{name}.npy") as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        yield Header(*read(stream)), cast(BinaryIO, stream)


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
                raise EOFError(f"{name} ends early")
            shape = (rows, *header.shape[1:])
            yield np.frombuffer(data, header.type).reshape(shape, order="F" if header.fortran else "C")


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _DAMAGE as error:
        raise DilannotError(
            f"is not a .npz archive, or a truncated or corrupt one ({str(error)[:100]})",
            where=path,
            remedy="copy it again",
        ) from None
