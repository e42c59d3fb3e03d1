"""Dense networks on the bins of a window dataset: they read the genome around them, as far as they can see.

So that dense networks and those for bins are judged on the same bins, DeepSEA's for example.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dilannot.errors import DilannotError
from dilannot.evaluate.scoring import Scored, to_logits
from dilannot.evaluate.windows import Rows, Windows
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Interval
from dilannot.walk import Walk, codes_of

_STRETCH = 25_000  # nt that are predicted together; bins farther apart are not
_AT_ONCE = 64  # bins whose positions are gathered together


@dataclass(frozen=True, slots=True)
class GenomeBins:
    """Scores of the bins of a window dataset by a dense network."""

    windows: Windows
    genome: Genome
    walk: Walk
    markers: int
    device: torch.device

    def check(self) -> None:
        """Refuse another genome than that of the bins.

        Raises
        ------
        DilannotError
            A contig is missing or has another sequence.
        """
        for contig in (self.windows.data.contigs[i] for i in np.unique(self.windows.data.contig)):
            found = self.genome.contigs.get(str(contig["name"]))
            if found is None or found.md5 != contig["md5"]:
                raise DilannotError(
                    f"is not the genome of {self.windows.data.path}: its {contig['name']} "
                    + ("is missing" if found is None else "has another sequence"),
                    where=self.genome.path,
                    remedy="name the right one with --genome",
                )

    def scored(self) -> Iterator[Scored]:
        """All bins, those that lie together at once."""
        for block, rows in enumerate(self.windows.blocks):
            place = self.windows.data.contig[rows].astype(np.int64) << 40 | self.windows.data.start[rows] // _STRETCH
            for together in np.split(rows, np.flatnonzero(np.diff(place)) + 1):
                yield self._score(block, together)

    def _score(self, block: int, rows: Rows) -> Scored:
        data = self.windows.data
        name, start = str(data.contigs[data.contig[rows[0]]]["name"]), data.start[rows]
        region = Interval(name, int(start[0]), int(start[-1]) + data.window)
        probabilities = self._predict(region)
        means = _means(probabilities, start - region.start, data.window)
        batch = self.windows.batch(rows)
        scores = to_logits(means.T[:, :, None])
        return Scored(block, scores, batch.targets, batch.mask, len(region))

    def _predict(self, region: Interval) -> Tensor:
        """(T, length of the region) probabilities."""
        made = torch.empty(self.markers, len(region), device=self.device)
        length = self.genome.contigs[region.contig].length
        for tile in self.walk.tiles(region, length):
            sequence = torch.from_numpy(codes_of(self.genome, tile))[None].to(self.device)
            first, last = tile.keep_start - tile.read_start, tile.keep_end - tile.read_start
            for start, some in self.walk.predict(sequence, first, last):
                at = tile.read_start + start - region.start
                made[:, at : at + some.shape[2]] = some[0]
        return made


def _means(probabilities: Tensor, starts: NDArray[np.int64], width: int) -> Tensor:
    """(T, L) -> (T, bins): means of the `width` positions from each start on."""
    inside = torch.arange(width)
    first = torch.from_numpy(starts)
    parts = (first[begin : begin + _AT_ONCE, None] + inside for begin in range(0, len(first), _AT_ONCE))
    return torch.cat([probabilities[:, some].mean(dim=2) for some in parts], dim=1)
