"""Numeric arrays of MATLAB files, the older format and 7.3 (which is HDF5), read slice by slice."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError

_CACHE = 1 << 28  # bytes of unpacked HDF5 chunks: a layer of them for a block of rows
_DAMAGE = (ValueError, TypeError, KeyError, IndexError, RuntimeError, EOFError, zlib.error)
_NUMBERS = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))


class MatlabArray:
    """One array: its shape, rows of an HDF5 chunk along every axis (`None` where it has none), and its values.

    An array of the older format is loaded whole on first use; it cannot be larger than 2 GB.
    """

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], node: Any) -> None:
        self.path, self.shape = path, shape
        self._name, self._node = name, node

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Shape of an HDF5 chunk."""
        found: tuple[int, ...] | None = getattr(self._node, "chunks", None)
        return found

    def cut(self, axis: int, first: int, last: int) -> NDArray[Any]:
        """Everything from `first` to before `last` along one axis.

        Raises
        ------
        DilannotError
            The file is damaged.
        """
        place = [slice(None)] * len(self.shape)
        place[axis] = slice(first, last)
        with _named(self.path):
            if self._node is None:
                import scipy.io

                loaded = scipy.io.loadmat(self.path, variable_names=[self._name], appendmat=False)
                self._node = np.asarray(loaded[self._name])
            part: NDArray[Any] = self._node[tuple(place)]
        return part


@contextmanager
def open_matlab(path: Path) -> Iterator[dict[str, MatlabArray]]:
    """Open a file and list its numeric arrays; axes of 7.3 files come in the reverse of MATLAB's order.

    Raises
    ------
    DilannotError
        It is no MATLAB file, or a truncated one.
    """
    if not h5py.is_hdf5(path):
        yield _older(path)
        return
    with _named(path):
        file = h5py.File(path, "r", rdcc_nbytes=_CACHE, rdcc_nslots=100_003)
    with file:
        with _named(path):
            nodes = {name: file[name] for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)}
        yield {name: MatlabArray(path, name, node.shape, node) for name, node in nodes.items() if _is_plain(node)}


def _is_plain(node: Any) -> bool:
    """Numbers that lie in this very file."""
    return isinstance(node, h5py.Dataset) and node.dtype.kind in "biuf" and not (node.is_virtual or node.external)


def _older(path: Path) -> dict[str, MatlabArray]:
    import scipy.io

    with _named(path):
        listed = scipy.io.whosmat(path, appendmat=False)
    return {name: MatlabArray(path, name, shape, None) for name, shape, kind in listed if kind in _NUMBERS}


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """What h5py and SciPy say of damage, as an error that names the file."""
    import scipy.io

    try:
        yield
    except (OSError, scipy.io.matlab.MatReadError, *_DAMAGE) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DilannotError(
            f"is not a MATLAB file, or a truncated or corrupt one ({str(error)[:120]})",
            where=path,
            remedy="copy or download it again",
        ) from None
