"""Write bigWig files with pyBigWig, around what it does not check itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyBigWig
from numpy.typing import NDArray

from dilannot.errors import ENVIRONMENT, DilannotError

# bwFinalize writes the magic number once more as the last four bytes: an end mark.
_END_MARK = bytes.fromhex("26fc8f88")

_ENTRIES = 1 << 20  # given to pyBigWig at a time; the contig's name is repeated for each

Runs = tuple[str, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def write_bigwig(path: Path, lengths: dict[str, int], runs: Iterable[Runs]) -> int:
    """Write runs of equal values.

    Parameters
    ----------
    path
        The file; its folder must exist.
    lengths
        Contig lengths in bp, in the order of the header.
    runs
        Contig, starts, ends (0-based half-open) and values of sorted, disjoint runs; contigs in the header's order,
        a contig once, at least one run in all.

    Returns
    -------
    bases
        Bases with a value.

    Raises
    ------
    DilannotError
        The disk did not take the whole file (exit code 3).
    ValueError
        Runs out of order, out of bounds or not finite: pyBigWig would write or crash on them.
    """
    # pyBigWig crashes the interpreter when it cannot open the path; let Python meet that first.
    path.touch()
    bases = 0
    try:
        file = pyBigWig.open(str(path), "w")
        file.addHeader(list(lengths.items()))
        for contig, starts, ends, values in runs:
            if len(starts):
                _check_runs(contig, starts, ends, values, lengths[contig])
                _add(file, contig, starts, ends, values)
                bases += int((ends - starts).sum())
        file.close()
    except RuntimeError as error:
        raise _not_whole(path, str(error)) from None
    _verify(path, bases)
    return bases


def _check_runs(
    contig: str, starts: NDArray[np.int64], ends: NDArray[np.int64], values: NDArray[np.float64], length: int
) -> None:
    if starts[0] < 0 or ends[-1] > length or (starts[1:] < ends[:-1]).any() or (starts >= ends).any():
        raise ValueError(f"runs on {contig} overlap, are unsorted or leave the contig")
    if not np.isfinite(values).all():
        raise ValueError(f"a run on {contig} has no finite value")


def _add(
    file: Any, contig: str, starts: NDArray[np.int64], ends: NDArray[np.int64], values: NDArray[np.float64]
) -> None:
    for at in range(0, len(starts), _ENTRIES):
        part = slice(at, at + _ENTRIES)
        file.addEntries(np.full(len(starts[part]), contig), starts[part], ends=ends[part], values=values[part])


def _not_whole(path: Path, detail: str) -> DilannotError:
    return DilannotError(
        f"the bigWig could not be written whole ({detail})",
        where=path,
        remedy="is the disk full?",
        exit_code=ENVIRONMENT,
    )


def _verify(path: Path, bases: int) -> None:
    """A full disk leaves pyBigWig silent: look at what is there."""
    with open(path, "rb") as handle:
        handle.seek(-len(_END_MARK), 2)
        whole = handle.read() == _END_MARK
    if whole:
        file = pyBigWig.open(str(path))
        whole = file is not None and file.header()["nBasesCovered"] == bases
        if file is not None:
            file.close()
    if not whole:
        raise _not_whole(path, "its end is missing")
