"""The HDF5 file that holds a dataset's arrays, written the safe way."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dilannot.data import schema
from dilannot.data.arrays import Arrays
from dilannot.data.settings import Task
from dilannot.outputs import check_space, replacing, signals_deferred


def portable(path: Path, folder: Path) -> str:
    """A path given relative stays relative, now to the folder of the dataset: both can move together."""
    return str(path) if path.is_absolute() else os.path.relpath(path, folder)


class _CarefulFile(io.FileIO):
    """A file that hides from HDF5 that the disk failed, and says so when it is closed.

    HDF5 crashes the interpreter after a write that failed or raised. Once a signal has come, nothing more is written.
    """

    _failure: OSError | None = None

    def __init__(self, path: Path, signals: list[int]) -> None:
        super().__init__(path, "w+")
        self._signals = signals

    def write(self, data: Any) -> int:
        try:
            view, done = memoryview(data).cast("B"), 0
            while self._failure is None and not self._signals and done < len(view):
                done += super().write(view[done:])
        except OSError as error:
            self._failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size) if self._failure is None else 0
        except OSError as error:
            self._failure = error
            return 0

    def close(self) -> None:
        super().close()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure


def write_dataset(
    output: Path, arrays: Arrays, record: dict[str, Any], *, task: Task, window: int, context: int
) -> None:
    """Write the file the safe way and read it back.

    Parameters
    ----------
    window, context
        Labelled bases of a window, and those of sequence on either side of them, bp.

    Raises
    ------
    DilannotError
        The disk cannot hold it (exit code 3).
    """
    check_space(output.parent, int(1.1 * sum(array.nbytes for array in arrays.values())) + (1 << 20), output.name)
    with replacing(output) as temporary:
        # Since HDF5 1.10 the file's own structures carry checksums too.
        with (
            signals_deferred() as came,
            _CarefulFile(temporary, came) as handle,
            h5py.File(handle, "w", libver=("v110", "v110")) as file,
        ):
            described = {**arrays, "provenance": schema.as_bytes([json.dumps(record, ensure_ascii=False)])}
            for name, array in described.items():
                file.create_dataset(name, data=array, **_storage(name, array))
            file.attrs["format"] = np.bytes_(schema.FORMAT)
            file.attrs["format_version"] = schema.FORMAT_VERSION
            file.attrs["task"] = np.bytes_(task)
            file.attrs["window"] = window
            file.attrs["context"] = context
            file.flush()
            file.attrs["complete"] = 1
        with schema.open_dataset(temporary):
            pass


def _storage(name: str, array: NDArray[Any]) -> dict[str, Any]:
    """Checksummed chunks of about 256 KB; packed sequence does not compress, and is read where it lies."""
    if not array.size or name == "sequence/packed":
        return {}
    rows = max(1, min(len(array), (1 << 18) // (array.nbytes // len(array))))
    chunks = (rows, *array.shape[1:])
    return {"chunks": chunks, "fletcher32": True, "compression": "gzip", "compression_opts": 4, "shuffle": True}
