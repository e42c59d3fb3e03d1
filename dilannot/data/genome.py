"""A genome in memory: two bits a base, and the runs of N."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dilannot.formats.fasta import Contig, read_blocks
from dilannot.genome.intervals import Positions, merge, runs
from dilannot.genome.sequence import Codes, N, pack
from dilannot.progress import Progress


@dataclass(frozen=True, slots=True)
class PackedContig:
    """One contig: `packed` as `genome.sequence.pack` makes it; runs of N from `n_start` to `n_end`, sorted."""

    contig: Contig
    packed: NDArray[np.uint8]
    n_start: Positions
    n_end: Positions


def read_genome(path: Path, progress: Progress) -> list[PackedContig]:
    """Read and check a FASTA file once.

    Raises
    ------
    DilannotError
        See `read_blocks`.
    """
    genome = []
    packing = _Packing()
    with progress.task(f"reading {path.name}", None) as task:
        for item in read_blocks(path):
            if isinstance(item, Contig):
                genome.append(packing.finish(item))
                packing = _Packing()
                task.advance(item.length, item.name)
            else:
                packing.add(item)
    return genome


class _Packing:
    """A contig while its blocks come in."""

    def __init__(self) -> None:
        none = np.zeros(0, np.int64)
        self._packed: list[NDArray[np.uint8]] = []
        self._starts, self._ends = [none], [none]
        self._rest: Codes = np.zeros(0, np.uint8)  # fewer than the four bases of a byte
        self._length = 0

    def add(self, codes: Codes) -> None:
        """The next bases."""
        if codes.min(initial=N + 1) == N:
            start, end = runs(codes == N)
            self._starts.append(start + self._length)
            self._ends.append(end + self._length)
        self._length += len(codes)
        codes = np.concatenate((self._rest, codes))
        whole = len(codes) // 4 * 4
        self._packed.append(pack(codes[:whole]))
        self._rest = codes[whole:]

    def finish(self, contig: Contig) -> PackedContig:
        """All bases have been added."""
        packed = np.concatenate([*self._packed, pack(self._rest)])
        return PackedContig(contig, packed, *merge(np.concatenate(self._starts), np.concatenate(self._ends)))
