"""Arrays of SciPy sparse matrices as `numpy.savez` pickles them, read without running anything that the file names.

Whatever class a pickle asks for, it gets a stand-in from here or nothing: NumPy and SciPy themselves are not called.
"""

from __future__ import annotations

import pickle
import re
import struct
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dilannot.genome.intervals import Positions

_KEPT = 1 << 16  # bytes; larger pieces are let go as soon as their matrix is read, or a chromosome would not fit
_DAMAGE = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError, struct.error,
)  # fmt: skip
_MATRICES = {f"{kind}_{form}" for kind in ("csr", "csc", "coo", "lil") for form in ("matrix", "array")}
_MATRIX_MODULE = re.compile(r"scipy\.sparse(\._?(csr|csc|coo|lil))?")
_TYPE = re.compile(r"[<>=|]?(b1|[iuf][1248]|O8?|\?|bool|u?int(8|16|32|64)|float(32|64))")


class RefusedPickleError(Exception):
    """The pickle asks for something that no array of sparse matrices needs; says what."""


class Stream(Protocol):
    """What a pickle is read from."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        ...

    def readline(self) -> bytes:
        """Up to the end of a line."""
        ...


@dataclass(frozen=True, slots=True)
class MarkerRuns:
    """Where a window's labels are 1: sorted by (marker, start), disjoint and not touching within a marker."""

    marker: Positions
    start: Positions
    end: Positions


def runs_of(position: Positions, marker: Positions, length: int) -> MarkerRuns:
    """Single labelled positions, in any order, as runs."""
    # One apart from the next marker's, so that runs never join across markers.
    key = np.unique(marker * (length + 1) + position)
    first = np.flatnonzero(np.diff(key, prepend=-2) != 1)
    last = np.append(first[1:], len(key)) - 1 if len(first) else first
    start = key[first] % (length + 1)
    return MarkerRuns(key[first] // (length + 1), start, start + key[last] - key[first] + 1)


def read_matrices(stream: Stream, length: int) -> list[tuple[MarkerRuns, int]]:
    """The matrices of a pickled array, each as runs, and how many markers it has.

    Parameters
    ----------
    length
        Positions of a window. Matrices are (length, markers) or the other way round.

    Raises
    ------
    RefusedPickleError
        It holds anything else, or is damaged.
    """
    try:
        found = _Reader(stream, length).load()
    except pickle.UnpicklingError as error:
        raise RefusedPickleError(str(error)) from None
    except _DAMAGE as error:
        raise RefusedPickleError(f"is damaged ({str(error)[:80] or type(error).__name__})") from None
    if not isinstance(found, _Array) or not isinstance(found.raw, list):
        raise RefusedPickleError("is no array of sparse matrices")
    for item in found.raw:
        if not isinstance(item, _Matrix) or item.runs is None:
            raise RefusedPickleError("holds something that is no sparse matrix")
    return [(item.runs, item.markers) for item in found.raw]


class _Memo(dict[int, Any]):
    """What a pickle may refer back to: not to large pieces."""

    def __setitem__(self, key: int, value: Any) -> None:
        large = isinstance(value, bytes | bytearray | str) and len(value) > _KEPT
        super().__setitem__(key, _GONE if large else value)

    def __getitem__(self, key: int) -> Any:
        value = super().__getitem__(key)
        if value is _GONE:
            raise RefusedPickleError("uses one large piece twice")
        return value


_GONE = object()


class _Reader(pickle._Unpickler):  # the one in Python: C's keeps everything it has read until the end
    def __init__(self, stream: Stream, length: int) -> None:
        super().__init__(stream, encoding="latin1")  # Python 2 wrote its bytes as text
        self.memo = _Memo()
        self._matrix = {
            name: type(name, (_Matrix,), {"kind": name[:3], "length": length}) for name in sorted(_MATRICES)
        }

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in for what the pickle names."""
        if _MATRIX_MODULE.fullmatch(module) and name in _MATRICES:
            return self._matrix[name]
        found = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise RefusedPickleError(f"asks for {module}.{name}, which no array of sparse matrices needs")
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedPickleError("refers to something outside the file")


class _Type:
    """Stands for a NumPy dtype."""

    def __init__(self, code: object = "", *_: object) -> None:
        text = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(text, str) or not _TYPE.fullmatch(text):
            raise RefusedPickleError(f"has an array of type {str(code)[:40]!r}")
        self._code, self._big = text, False

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        self._big = order == ">"

    @property
    def numpy(self) -> np.dtype[Any]:
        """The dtype."""
        found = np.dtype(self._code)
        return found.newbyteorder(">") if self._big else found


class _Array:
    """Stands for a NumPy array; `raw` is its bytes, or a list of objects."""

    raw: Any = None
    shape: tuple[int, ...] = ()
    fortran = False
    type: _Type | None = None

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.type, self.fortran, self.raw = state

    def take(self) -> NDArray[Any]:
        """The values; large ones can be had only once."""
        if self.raw is None or not isinstance(self.type, _Type):
            raise RefusedPickleError("uses one large piece twice")
        raw = self.raw.encode("latin1") if isinstance(self.raw, str) else self.raw
        values = np.frombuffer(raw, self.type.numpy).reshape(self.shape, order="F" if self.fortran else "C")
        if len(raw) > _KEPT:
            self.raw = None
        return values


def _reconstruct(kind: object, *_: object) -> _Array:
    if kind is not _Array:
        raise RefusedPickleError("reconstructs something that is no array")
    return _Array()


def _from_buffer(raw: Any, kind: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, kind, order == "F", raw))
    return array


def _scalar(kind: Any, raw: Any) -> Any:
    array = _Array()
    array.__setstate__((1, (), kind, False, raw))
    return array.take().item()


def _encode(text: Any, encoding: Any) -> bytes:
    if encoding != "latin1" or not isinstance(text, str):
        raise RefusedPickleError("encodes something that is no bytes")
    return text.encode("latin1")


def _bytes(*parts: Any) -> bytes:
    # How Python 3 writes empty bytes for Python 2.
    if parts:
        raise RefusedPickleError("makes bytes of something")
    return b""


def _new(kind: Any, *_: object) -> Any:
    if not isinstance(kind, type) or not issubclass(kind, _Matrix):
        raise RefusedPickleError("makes an object that is no sparse matrix")
    return kind()


class _Object:
    """Stands for `object`."""


class _Matrix:
    """Stands for a sparse matrix; turned into runs as soon as its state is known."""

    kind = ""
    length = 0
    runs: MarkerRuns | None = None
    markers = 0

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple):  # a class with slots
            state = {key: value for part in state if part for key, value in part.items()}
        shape = tuple(int(size) for size in state.get("_shape", state.get("shape", ())))
        row, column, value = _coordinates(self.kind, state)
        if len(shape) != 2 or self.length not in shape:
            raise RefusedPickleError(f"holds a matrix of shape {shape} where {self.length:,} positions are expected")
        if not (len(row) == len(column) == len(value)) or not (_within(row, shape[0]) and _within(column, shape[1])):
            raise RefusedPickleError("holds a matrix with entries outside it")
        labelled = value != 0
        row, column = row[labelled].astype(np.int64), column[labelled].astype(np.int64)
        if shape[0] != self.length:
            row, column, shape = column, row, shape[::-1]
        self.markers = shape[1]
        self.runs = runs_of(row, column, self.length)


def _within(index: NDArray[Any], size: int) -> bool:
    return not len(index) or bool(index.min() >= 0 and index.max() < size)


def _coordinates(kind: str, state: dict[str, Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Row, column and value of every stored entry."""
    if kind == "coo":
        row, column = state["coords"] if "coords" in state else (state["row"], state["col"])
        return row.take(), column.take(), state["data"].take()
    if kind == "lil":
        lists, values = state["rows"].raw, state["data"].raw
        row = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
        flat = [np.array([entry for each in part for entry in each], np.float64) for part in (lists, values)]
        return row, flat[0].astype(np.int64), flat[1]
    pointers, inner, value = (state[name].take() for name in ("indptr", "indices", "data"))
    # Before anything is repeated: they decide how much memory that takes. No `np.diff`, unsigned ones wrap around.
    rising = pointers.dtype.kind in "iu" and pointers.ndim == 1 and bool((pointers[1:] >= pointers[:-1]).all())
    if not rising or pointers[0] != 0 or pointers[-1] > min(len(inner), len(value)):
        raise RefusedPickleError("holds a matrix with entries outside it")
    outer = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
    inner, value = inner[: pointers[-1]], value[: pointers[-1]]
    return (outer, inner, value) if kind == "csr" else (inner, outer, value)


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
    **{(module, "bytes"): _bytes for module in ("builtins", "__builtin__")},
    **{(module, "_reconstructor"): _new for module in ("copyreg", "copy_reg")},
    **{(module, "object"): _Object for module in ("builtins", "__builtin__")},
}
