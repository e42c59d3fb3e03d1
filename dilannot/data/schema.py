"""The dataset format: names, types and shapes of `dataset.h5`, and the one way to open it.

The page `docs/reference/dataset-format.md` says what everything means; this file is what the code knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dilannot.data.markers import FIELDS, Marker, check_markers
from dilannot.data.splits import SPLITS
from dilannot.errors import DilannotError
from dilannot.formats.compression import check_input

FORMAT = "dilannot-dataset"
FORMAT_VERSION = 1

# Field -> (kinds of NumPy type, dimensions). Dimensions of one name have one length; "+1" is a CSR offset.
FIELD_SHAPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "contigs/name": ("S", ("contigs",)),
    "contigs/length": ("iu", ("contigs",)),
    "contigs/md5": ("S", ("contigs",)),
    "windows/contig": ("iu", ("windows",)),
    "windows/start": ("iu", ("windows",)),
    "windows/split": ("u", ("windows",)),
    "sequence/packed": ("u", ("windows", "packed")),
    "sequence/n_offsets": ("iu", ("windows+1",)),
    "sequence/n_start": ("iu", ("n_runs",)),
    "sequence/n_end": ("iu", ("n_runs",)),
    "labels/offsets": ("iu", ("windows+1",)),
    "labels/marker": ("u", ("intervals",)),
    "labels/start": ("u", ("intervals",)),
    "labels/end": ("u", ("intervals",)),
    **{f"markers/{field}": ("S", ("markers",)) for field in FIELDS},
    "markers/sha256": ("S", ("markers",)),
    "markers/peaks_read": ("iu", ("markers",)),
    "markers/peaks_merged": ("iu", ("markers",)),
    "markers/peaks_used": ("iu", ("markers",)),
    "markers/bases_covered": ("iu", ("markers",)),
    "markers/positives": ("iu", ("markers", "splits")),
}


@contextmanager
def open_dataset(path: Path) -> Iterator[h5py.File]:
    """Open a dataset for reading, after checking that it is one, whole, and of a version known here.

    Raises
    ------
    DilannotError
        Naming the file and the field that is wrong.
    """
    check_input(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        problem = "is empty" if path.stat().st_size == 0 else "is not an HDF5 file, or a truncated or corrupt one"
        raise DilannotError(
            f"{problem}: no dilannot dataset ({str(error)[:120]})",
            where=path,
            remedy="make it with dilannot build-data",
        ) from None
    with file:
        with reading(path):
            _check(file, path)
        yield file


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Around reads of an open dataset: what HDF5 says of damage becomes a `DilannotError` that names the file."""
    try:
        yield
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        # HDF5 complains with any of these; an OSError with a number is the system's.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DilannotError(f"corrupt: {str(error)[:160]}", where=path, remedy="build it again") from error


def _check(file: h5py.File, path: Path) -> None:
    def refuse(problem: str, remedy: str = "build it again with dilannot build-data") -> None:
        raise DilannotError(problem, where=path, remedy=remedy)

    if file.attrs.get("format") != FORMAT:
        refuse(f"is HDF5 but no dilannot dataset: its format attribute is not {FORMAT!r}")
    version = file.attrs.get("format_version")
    if version != FORMAT_VERSION:
        refuse(
            f"has format version {version}; this dilannot reads version {FORMAT_VERSION}", "use the matching dilannot"
        )
    if file.attrs.get("complete") != 1:
        refuse("is incomplete: its build was interrupted")
    sizes: dict[str, int] = {"splits": len(SPLITS)}
    for name, (kinds, dimensions) in FIELD_SHAPES.items():
        field = _field(file, name, path)
        if field.dtype.kind not in kinds:
            refuse(f"{name} has dtype {field.dtype}, which is the wrong type")
        if field.ndim != len(dimensions):
            refuse(f"{name} has shape {field.shape}; {len(dimensions)} dimensions are needed")
        for dimension, length in zip(dimensions, field.shape, strict=True):
            base, plus, _ = dimension.partition("+")
            expected = sizes.setdefault(base, length - bool(plus)) + bool(plus)
            if length != expected:
                refuse(f"{name} has {length} rows where {base} has {expected}: shapes differ")
    if not sizes["windows"]:
        refuse("is empty: no windows")
    if sizes["packed"] != -(-window_length(file) // 4):
        refuse(f"sequence/packed has {sizes['packed']} bytes a row, which does not fit the window")
    if int(file["windows/split"][:].max()) >= len(SPLITS):
        refuse("windows/split holds an unknown split code")
    check_markers(read_markers(file), path)


def _field(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """A dataset inside the file, reached without following links to elsewhere."""
    node: h5py.Group = file
    for part in name.split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            raise DilannotError(f"{name} is missing from the dataset", where=path, remedy="build it again")
        if not isinstance(link, h5py.HardLink):
            raise DilannotError(f"{name} is an external or soft link", where=path, remedy="do not trust this file")
        node = node[part]
    if not isinstance(node, h5py.Dataset):
        raise DilannotError(f"{name} is a group, not a dataset", where=path)
    if node.is_virtual or node.external:
        raise DilannotError(f"{name} is virtual or external storage", where=path, remedy="do not trust this file")
    stored, declared = node.id.get_storage_size(), node.size * node.dtype.itemsize
    if declared > 1 << 20 and declared > 1000 * max(stored, 1):
        raise DilannotError(f"{name} declares {declared:,} bytes and stores {stored:,}: its size is wrong", where=path)
    return node


def window_length(file: h5py.File) -> int:
    """Length of every window, nt."""
    return int(file.attrs["window"])


def read_markers(file: h5py.File) -> list[Marker]:
    """The marker table, in column order."""
    columns = [texts(file[f"markers/{field}"][:]) for field in FIELDS]
    return [Marker(*row) for row in zip(*columns, strict=True)]


def provenance(file: h5py.File) -> dict[str, Any]:
    """Settings, inputs and counts of the build."""
    record: dict[str, Any] = json.loads(file.attrs["provenance"])
    return record


def texts(column: np.ndarray[Any, Any]) -> list[str]:
    """A column of fixed-width UTF-8 as strings."""
    return [value.decode("utf-8") for value in column.tolist()]


def as_bytes(column: list[str]) -> np.ndarray[Any, Any]:
    """Strings as a column of fixed-width UTF-8."""
    return np.array([value.encode("utf-8", "backslashreplace") for value in column], dtype=np.bytes_)
