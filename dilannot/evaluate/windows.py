"""The windows of a dataset that are judged, in blocks of the genome, and which of their positions count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from dilannot.genome.intervals import Bounds, Positions, both, by_contig
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
        What counts, sorted and disjoint, on contigs laid end to end; None where everything does.
    columns
        (markers of the dataset,) which of the judged markers each is, -1 for those that are not.
    """

    data: Dataset
    blocks: Sequence[Rows]
    block_length: int
    regions: Bounds | None
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
        width = self.data.window
        begin = _origins(self.data)[self.data.contig[rows]] + self.data.start[rows]
        starts, ends, window = both((begin, begin + width), self.regions)
        if self.data.positions == 1:
            covered = np.bincount(window, ends - starts, minlength=len(rows))
            return torch.from_numpy(covered[:, None] == width)
        # All windows end to end: the pieces of one begin and end there, and what is between is in them.
        shift = window * width - begin[window]
        steps = np.zeros(len(rows) * width + 1, np.int8)
        np.add.at(steps, starts + shift, 1)
        np.add.at(steps, ends + shift, -1)
        inside = np.cumsum(steps[:-1], dtype=np.int8).astype(bool)
        return torch.from_numpy(inside.reshape(len(rows), width))


def _origins(data: Dataset) -> Positions:
    """Where each contig begins when all of them are laid end to end."""
    lengths = [int(str(contig["length"])) for contig in data.contigs]
    return np.cumsum([0, *lengths], dtype=np.int64)[:-1]


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
        regions = _regions(data, protocol, progress)
        begin = _origins(data)[data.contig[rows]] + data.start[rows]
        rows = rows[np.unique(both((begin, begin + data.window), regions)[2])]
        if not len(rows):
            whole = protocol.split == ALL
            raise DilannotError(
                f"holds no {'' if whole else protocol.split + ' '}windows in these regions",
                where=data.path,
                remedy="ask for more regions" if whole else "try --split all",
            )
    total = len(rows) * data.window
    block_length = block_length_of(total, data.window)
    number = (np.arange(len(rows)) * data.window) // block_length
    return Windows(data, np.split(rows, np.flatnonzero(np.diff(number)) + 1), block_length, regions, columns)


def _regions(data: Dataset, protocol: Protocol, progress: Progress) -> Bounds:
    """What is asked for, on contigs laid end to end."""
    if "imported" in data.provenance:  # its contigs are none of a genome
        raise DilannotError(
            "does not know where in the genome its windows lie", where=data.path, remedy="leave --region out"
        )
    lengths = {str(contig["name"]): int(str(contig["length"])) for contig in data.contigs}
    chosen = by_contig(scope(lengths, protocol.regions, protocol.regions_file, protocol.exclude, progress=progress))
    placed = [
        np.stack(chosen[name]) + origin
        for name, origin in zip(lengths, _origins(data).tolist(), strict=True)
        if name in chosen
    ]
    starts, ends = np.concatenate(placed, axis=1)
    return starts, ends


def parts(windows: Windows, batch_size: int) -> Iterator[tuple[int, Rows]]:
    """The blocks in parts of at most `batch_size` windows, each with the number of its block."""
    for number, rows in enumerate(windows.blocks):
        for begin in range(0, len(rows), batch_size):
            yield number, rows[begin : begin + batch_size]
