"""The windows of a dataset that are judged, in blocks of the genome, and which of their positions count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dilannot.data.batch import Batch, LabelIntervals
from dilannot.data.dataset import Dataset
from dilannot.errors import DilannotError
from dilannot.evaluate.blocks import block_length_of
from dilannot.evaluate.protocol import ALL, Protocol
from dilannot.genome.intervals import Interval, Positions
from dilannot.progress import Progress
from dilannot.scope import scope

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of a dataset, in genome order.

    Attributes
    ----------
    data
        Where they are.
    blocks
        Rows of the dataset, cut into stretches of about `block_length` labelled nt.
    block_length
        See there.
    regions
        Contig index -> sorted, disjoint starts and ends of what counts; None where everything does.
    columns
        (markers of the dataset,) which of the judged markers each is, -1 for those that are not.
    """

    data: Dataset
    blocks: Sequence[Rows]
    block_length: int
    regions: Mapping[int, tuple[Positions, Positions]] | None
    columns: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Windows of all blocks."""
        return sum(map(len, self.blocks))

    def batch(self, rows: Rows) -> Batch:
        """Those windows; only the judged markers have labels, only positions in the regions count."""
        batch = self.data.batch(rows)
        mask = batch.mask if self.regions is None else batch.mask & self._inside(rows)
        return replace(batch, targets=self._chosen(batch.targets), mask=mask)

    def _chosen(self, labels: LabelIntervals) -> LabelIntervals:
        marker = torch.from_numpy(self.columns)[labels.marker]
        kept = marker >= 0
        return LabelIntervals(labels.window[kept], marker[kept], labels.start[kept], labels.end[kept])

    def _inside(self, rows: Rows) -> Tensor:
        """(N, L) positions in the regions; a bin is in them when all of it is."""
        assert self.regions is not None
        length, width = self.data.positions, self.data.window
        inside = np.zeros((len(rows), width), bool)
        for n, (contig, start) in enumerate(zip(self.data.contig[rows], self.data.start[rows], strict=True)):
            for begin, end in zip(*_within(self.regions, int(contig), int(start), int(start) + width), strict=True):
                inside[n, max(begin - start, 0) : end - start] = True
        return torch.from_numpy(inside if length == width else inside.all(axis=1, keepdims=True))


def _within(
    regions: Mapping[int, tuple[Positions, Positions]], contig: int, start: int, end: int
) -> tuple[list[int], list[int]]:
    """The regions that overlap [start, end) of a contig."""
    starts, ends = regions.get(contig, (np.zeros(0, np.int64), np.zeros(0, np.int64)))
    first, last = np.searchsorted(ends, start, "right"), np.searchsorted(starts, end)
    return starts[first:last].tolist(), ends[first:last].tolist()


def choose_windows(data: Dataset, protocol: Protocol, columns: NDArray[np.int64], progress: Progress) -> Windows:
    """The windows that a protocol asks for.

    Raises
    ------
    DilannotError
        There are none, or regions are asked for and the dataset does not know where its windows lie.
    """
    rows = np.arange(len(data.split)) if protocol.split == ALL else data.rows(protocol.split)
    if not len(rows):
        raise DilannotError(f"holds no {protocol.split} windows", where=data.path, remedy="choose another with --split")
    regions = None
    if not protocol.everywhere:
        regions = _by_contig(data, _regions(data, protocol, progress))
        touched = [
            bool(_within(regions, int(contig), int(start), int(start) + data.window)[0])
            for contig, start in zip(data.contig[rows], data.start[rows], strict=True)
        ]
        rows = rows[np.array(touched)]
        if not len(rows):
            raise DilannotError(
                f"holds no {protocol.split} windows in these regions", where=data.path, remedy="try --split all"
            )
    total = len(rows) * data.window
    block_length = block_length_of(total, data.window)
    number = (np.arange(len(rows)) * data.window) // block_length
    return Windows(data, np.split(rows, np.flatnonzero(np.diff(number)) + 1), block_length, regions, columns)


def _regions(data: Dataset, protocol: Protocol, progress: Progress) -> list[Interval]:
    if not data.contigs:
        raise DilannotError(
            "does not know where in the genome its windows lie", where=data.path, remedy="leave --region out"
        )
    lengths = {str(contig["name"]): int(str(contig["length"])) for contig in data.contigs}
    return scope(lengths, protocol.regions, protocol.regions_file, protocol.exclude, progress=progress)


def _by_contig(data: Dataset, regions: Sequence[Interval]) -> dict[int, tuple[Positions, Positions]]:
    """In genome order, as `scope` gives them."""
    number = {contig["name"]: index for index, contig in enumerate(data.contigs)}
    found: dict[int, list[Interval]] = {}
    for region in regions:
        found.setdefault(number[region.contig], []).append(region)
    return {
        contig: (np.array([each.start for each in some], np.int64), np.array([each.end for each in some], np.int64))
        for contig, some in found.items()
    }


def parts(windows: Windows, batch_size: int) -> Iterator[tuple[int, Rows]]:
    """The blocks in parts of at most `batch_size` windows, each with the number of its block."""
    for number, rows in enumerate(windows.blocks):
        for begin in range(0, len(rows), batch_size):
            yield number, rows[begin : begin + batch_size]
