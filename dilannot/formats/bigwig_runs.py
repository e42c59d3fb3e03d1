"""Write one track as a bigWig, from runs of equal values."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dilannot.formats.bigwig import BigWigWriter, not_whole
from dilannot.formats.bigwig_sections import SUMMARY, ZOOM, Sections, pack

Runs = tuple[str, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def write_bigwig(path: Path, lengths: dict[str, int], runs: Iterable[Runs]) -> int:
    """Write runs of equal values of one track.

    Parameters
    ----------
    path
        The file; its folder must exist.
    lengths
        Contig lengths in bp, in the order of the header.
    runs
        Contig, starts, ends (0-based half-open) and values of sorted, disjoint runs; contigs in the header's order,
        a contig once. Values are stored as float32.

    Returns
    -------
    bases
        Bases with a value.

    Raises
    ------
    DilannotError
        The disk did not take the whole file (exit code 3).
    ValueError
        Runs or contigs out of order, out of bounds or not finite.
    """
    with BigWigWriter(path, lengths) as writer:
        try:
            return _write(writer, lengths, runs)
        except OSError as error:
            if error.filename != str(path):  # where `runs` come from
                raise
            raise not_whole(path, os.strerror(error.errno or 0)) from None


def _write(writer: BigWigWriter, lengths: dict[str, int], runs: Iterable[Runs]) -> int:
    numbers = {name: number for number, name in enumerate(lengths)}
    zooms: list[tuple[int, Sections]] = []
    coarse, summaries = [np.zeros(0, ZOOM)], [np.zeros(0, SUMMARY)]
    for contig, starts, ends, values in runs:
        if not len(starts):
            continue
        number, scores = numbers[contig], _check_runs(contig, starts, ends, values, lengths[contig])
        if zooms and zooms[-1][0] >= number:
            raise ValueError(f"{contig} comes too late: contigs are not in the header's order")
        packed = pack(number, np.array([len(starts)]), starts.astype(np.uint32), ends.astype(np.uint32), scores)
        writer.add_values(number, packed.values.table, packed.values.data)
        zooms.append((number, packed.zooms))
        coarse.append(packed.coarse)
        summaries.append(packed.summary)
    for number, sections in zooms:
        writer.add_zooms(number, sections.table, sections.data)
    summary = np.concatenate(summaries)
    writer.finish(np.concatenate(coarse), summary)
    return int(summary["bases"].sum())


def _check_runs(
    contig: str, starts: NDArray[np.int64], ends: NDArray[np.int64], values: NDArray[np.float64], length: int
) -> NDArray[np.float32]:
    """The values as they are stored."""
    if starts[0] < 0 or ends[-1] > length or (starts[1:] < ends[:-1]).any() or (starts >= ends).any():
        raise ValueError(f"runs on {contig} overlap, are unsorted or leave the contig")
    with np.errstate(over="ignore"):
        scores = values.astype(np.float32)
    if not np.isfinite(scores).all():
        raise ValueError(f"a run on {contig} has no finite value")
    return scores
