"""The dataset format: names, types and shapes of `dataset.h5`, and the one way to open it.

The page `docs/reference/dataset-format.md` says what everything means; this file is what the code knows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np
from isal import isal_zlib

from dilannot.data.markers import FIELDS, Marker, check_markers
from dilannot.data.settings import LONGEST, Task
from dilannot.data.splits import SPLITS
from dilannot.errors import DilannotError
from dilannot.formats.compression import check_input

FORMAT = "dilannot-dataset"
FORMAT_VERSION = 2
CHECKED_BLOCK = 1 << 16  # bytes of packed sequence under one checksum

# Field -> (kinds of NumPy type, or B: bytes; dimensions). Dimensions of one name have one length; "+1" is a CSR offset.
FIELD_SHAPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "contigs/name": ("S", ("contigs",)),
    "contigs/length": ("iu", ("contigs",)),
    "contigs/md5": ("S", ("contigs",)),
    "windows/contig": ("i", ("windows",)),
    "windows/start": ("i", ("windows",)),
    "windows/split": ("u", ("windows",)),
    "windows/offset": ("i", ("windows",)),
    "sequence/packed": ("B", ("packed",)),
    "sequence/checks": ("u", ("blocks",)),
    "sequence/n_start": ("i", ("n_runs",)),
    "sequence/n_end": ("i", ("n_runs",)),
    "labels/offsets": ("i", ("windows+1",)),
    "labels/marker": ("u", ("intervals",)),
    "labels/start": ("u", ("intervals",)),  # these two in dense datasets only
    "labels/end": ("u", ("intervals",)),
    **{f"markers/{field}": ("S", ("markers",)) for field in FIELDS},
    "markers/sha256": ("S", ("markers",)),
    "markers/peaks_read": ("iu", ("markers",)),
    "markers/peaks_merged": ("iu", ("markers",)),
    "markers/peaks_used": ("iu", ("markers",)),
    "markers/bases_covered": ("iu", ("markers",)),
    "markers/positives": ("iu", ("markers", "splits")),
    "provenance": ("S", ("one",)),
}
_DENSE_ONLY = ("labels/start", "labels/end")
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}


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

    if _attribute(file, "format") != FORMAT:
        refuse(f"is HDF5 but no dilannot dataset: its format attribute is not {FORMAT!r}")
    version = file.attrs.get("format_version")
    if version != FORMAT_VERSION:
        older = isinstance(version, int | np.integer) and version < FORMAT_VERSION
        refuse(
            f"has format version {version}; this dilannot reads version {FORMAT_VERSION}",
            "build it again" if older else "use a newer dilannot",
        )
    if file.attrs.get("complete") != 1:
        refuse("is incomplete: its build was interrupted")
    if _attribute(file, "task") not in get_args(Task):
        refuse(f"has the task {_attribute(file, 'task')!r}; known are {', '.join(get_args(Task))}")
    for name, least in (("window", 1), ("context", 0)):
        value = file.attrs.get(name)
        if not isinstance(value, int | np.integer) or not least <= value <= LONGEST:
            refuse(f"attribute {name} is {value!r:.40}, no number of bases")
    sizes = _check_shapes(file, path)
    if not sizes["windows"]:
        refuse("is empty: no windows")
    if sizes["blocks"] != -(-sizes["packed"] // CHECKED_BLOCK):
        refuse(f"sequence/checks has {sizes['blocks']} rows, which does not fit sequence/packed")
    if int(file["windows/split"][:].max()) >= len(SPLITS):
        refuse("windows/split holds an unknown split code")
    contig = file["windows/contig"][:]
    if contig.min() < 0 or contig.max() >= sizes["contigs"]:
        refuse("windows/contig: a window on no contig")
    check_markers(read_markers(file), path)


def _check_shapes(file: h5py.File, path: Path) -> dict[str, int]:
    """Every field is there, of its type, and as long as the others of its dimension; the lengths by name."""
    sizes: dict[str, int] = {"splits": len(SPLITS), "one": 1}
    for name, (kinds, dimensions) in FIELD_SHAPES.items():
        if name in _DENSE_ONLY and task_of(file) != "dense":
            if name in file:
                raise DilannotError(f"{name} does not belong to its task", where=path, remedy="build it again")
            continue
        field = _field(file, name, path)
        problem = ""
        if {field.dtype.kind, field.dtype.char}.isdisjoint(kinds):
            problem = f"{name} has dtype {field.dtype}, which is the wrong type"
        elif field.ndim != len(dimensions):
            problem = f"{name} has shape {field.shape}; {len(dimensions)} dimensions are needed"
        for dimension, length in zip(dimensions, field.shape, strict=False):
            base, plus, _ = dimension.partition("+")
            expected = sizes.setdefault(base, length - bool(plus)) + bool(plus)
            if length != expected and not problem:
                problem = f"{name} has {length} rows where {base} has {expected}: shapes differ"
        if problem:
            raise DilannotError(problem, where=path, remedy="build it again with dilannot build-data")
    return sizes


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
    filters = {node.id.get_create_plist().get_filter(i)[0] for i in range(node.id.get_create_plist().get_nfilters())}
    if filters - _FILTERS:
        raise DilannotError(
            f"{name} is compressed with a filter that dilannot never uses", where=path, remedy="do not trust this file"
        )
    try:
        node.dtype  # noqa: B018 (h5py looks for it)
    except TypeError:
        raise DilannotError(f"{name} has a type that NumPy lacks", where=path, remedy="build it again") from None
    stored, declared = node.id.get_storage_size(), node.size * node.dtype.itemsize
    # Deflate shrinks by 1,032 at most.
    if declared > 1 << 20 and declared > 1100 * max(stored, 1):
        raise DilannotError(f"{name} declares {declared:,} bytes and stores {stored:,}: its size is wrong", where=path)
    return node


def _attribute(file: h5py.File, name: str) -> Any:
    """Text is stored in fixed length: HDF5 keeps other text where no checksum is, and loops when that is damaged."""
    value = file.attrs.get(name)
    return value.decode("utf-8") if isinstance(value, bytes) else value


def task_of(file: h5py.File) -> str:
    """`dense` or `window`."""
    return str(_attribute(file, "task"))


def window_length(file: h5py.File) -> int:
    """Labelled bases of every window, bp."""
    return int(file.attrs["window"])


def digest(file: h5py.File) -> str:
    """SHA-256 of contigs, windows and their splits: what must not change between training and testing."""
    found = hashlib.sha256(f"{task_of(file)} {window_length(file)} {int(file.attrs['context'])}\n".encode())
    found.update("\n".join(texts(file["contigs/md5"][:])).encode())
    for column in ("contig", "start", "split"):
        found.update(file[f"windows/{column}"][:].tobytes())
    return found.hexdigest()


def checksum(data: bytes | memoryview) -> int:
    """Of one block of packed sequence: CRC-32."""
    return int(isal_zlib.crc32(data))


def read_markers(file: h5py.File) -> list[Marker]:
    """The marker table, in column order."""
    columns = [texts(file[f"markers/{field}"][:]) for field in FIELDS]
    return [Marker(*row) for row in zip(*columns, strict=True)]


def provenance(file: h5py.File) -> dict[str, Any]:
    """Settings, inputs and counts of the build."""
    record: dict[str, Any] = json.loads(texts(file["provenance"][:])[0])
    if not isinstance(record, dict) or "genome" not in record:
        raise ValueError("provenance names no genome")
    return record


def texts(column: np.ndarray[Any, Any]) -> list[str]:
    """A column of fixed-width UTF-8 as strings."""
    return [value.decode("utf-8") for value in column.tolist()]


def as_bytes(column: list[str]) -> np.ndarray[Any, Any]:
    """Strings as a column of fixed-width UTF-8."""
    return np.array([value.encode("utf-8", "backslashreplace") for value in column], dtype=np.bytes_)
