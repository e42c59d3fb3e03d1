"""The markers of a dataset, of a folder of peak files or of a marker table."""

from __future__ import annotations

from pathlib import Path

from dilannot.data.inputs import find_inputs
from dilannot.data.markers import Marker, read_table
from dilannot.formats.compression import check_input, open_bytes

_HDF5 = b"\x89HDF\r\n\x1a\n"


def markers_of(source: Path) -> list[Marker]:
    """The markers of `source` in their order; the peak files that a table names need not be there.

    Raises
    ------
    DilannotError
        It is none of the three, or damaged.
    """
    if source.is_dir():
        return find_inputs([source]).markers
    check_input(source)
    with open(source, "rb") as file:
        packed = file.read(len(_HDF5)) == _HDF5
    return _of_dataset(source) if packed else _of_table(source)


def _of_dataset(path: Path) -> list[Marker]:
    from dilannot.data import schema  # h5py is slow to import

    with schema.open_dataset(path) as file:
        return schema.read_markers(file)


def _of_table(path: Path) -> list[Marker]:
    with open_bytes(path) as stream:
        rows = [line.split("\t") for line in stream.read().decode("utf-8-sig", "replace").split("\n")]
    header = [name.strip().lower().lstrip("#") for name in rows[0]]
    column = header.index("file") if "file" in header else len(header)
    named = dict.fromkeys(Path(row[column].strip()) for row in rows[1:] if len(row) > column)
    return read_table(path, list(named))[0]
