"""Which positions of a genome are judged, and in which block of it each lies. A unit is one nucleotide, or one bin."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from dilannot.errors import DilannotError
from dilannot.evaluate.blocks import block_length_of
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Bounds, Positions, both, merge, runs, split_into_windows
from dilannot.genome.sequence import N

MOST = (1 << 32) - 1  # units that histograms count
_FETCHED = 1 << 24  # bases looked at together
_APART = 100_000  # nt; what lies closer together is read in one go


@dataclass(frozen=True, slots=True)
class Stretches:
    """Disjoint stretches of one contig in order: (n,) starts and ends in units, and the block that each lies in."""

    start: Positions
    end: Positions
    block: Positions

    def meet(self, others: Bounds) -> Stretches:
        """What of them lies in other stretches, too."""
        start, end, source = both((self.start, self.end), others)
        return Stretches(start, end, self.block[source])


@dataclass(frozen=True, slots=True)
class Places:
    """All that is judged.

    Attributes
    ----------
    unit
        nt of a unit: 1, or the length of a bin.
    contigs
        In genome order; only those where something is judged.
    blocks, block_length
        How many, and nt of each; the last may be shorter.
    """

    unit: int
    contigs: Mapping[str, Stretches]
    blocks: int
    block_length: int

    @property
    def units(self) -> int:
        """How many are judged."""
        return sum(int((each.end - each.start).sum()) for each in self.contigs.values())

    def spans(self, contig: str) -> Iterable[tuple[int, int]]:
        """Parts of a contig to be read in one go, in units."""
        stretches = self.contigs[contig]
        starts, ends = merge(stretches.start, stretches.end + _APART // self.unit)
        return zip(starts.tolist(), (ends - _APART // self.unit).tolist(), strict=True)

    def digest(self) -> str:
        """SHA-256 of which positions are judged: equal for evaluations that can be compared."""
        digest = hashlib.sha256(str(self.unit).encode())
        for name, stretches in self.contigs.items():
            starts, ends = merge(stretches.start, stretches.end)
            digest.update(f"\n{name}\n".encode() + starts.astype("<i8").tobytes() + ends.astype("<i8").tobytes())
        return digest.hexdigest()


def meeting(ones: Mapping[str, Bounds], others: Mapping[str, Bounds]) -> dict[str, Bounds]:
    """What lies in both, contig by contig; contigs without anything are left out."""
    met = {name: both(bounds, others[name])[:2] for name, bounds in ones.items() if name in others}
    return {name: bounds for name, bounds in met.items() if len(bounds[0])}


def known_bases(regions: Mapping[str, Bounds], genome: Genome) -> dict[str, Bounds]:
    """Regions without what is N."""
    found = {}
    for name, (starts, ends) in regions.items():
        known: list[Positions] = []
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            for at in range(start, end, _FETCHED):
                bases = genome.fetch(name, at, min(end, at + _FETCHED)) != N
                known.append(np.stack(runs(bases)) + at)
        # Regions do not touch one another, pieces of one do.
        found[name] = merge(*np.concatenate(known, axis=1))
    return {name: bounds for name, bounds in found.items() if len(bounds[0])}


def in_units(regions: Mapping[str, Bounds], unit: int) -> dict[str, Bounds]:
    """The units that lie in regions altogether."""
    if unit == 1:
        return dict(regions)
    found = {}
    for name, (starts, ends) in regions.items():
        first, last = -(-starts // unit), ends // unit
        some = first < last
        if some.any():
            found[name] = merge(first[some], last[some])
    return found


def cut_into_blocks(judged: Mapping[str, Bounds], unit: int) -> Places:
    """Cut what is judged, contig after contig, into blocks of equally many units.

    Raises
    ------
    DilannotError
        More units than can be counted, or none.
    """
    total = sum(int((ends - starts).sum()) for starts, ends in judged.values())
    if not total:
        what = "position" if unit == 1 else f"whole bin of {unit:,} nt"
        raise DilannotError(f"no {what} is left to judge", where="--region, --exclude", remedy="ask for more regions")
    if total > MOST:
        raise DilannotError(f"more than {MOST:,} positions", remedy="evaluate some contigs at a time, with --region")
    length = block_length_of(total * unit, unit) // unit
    blocks = -(-total // length)
    length = -(-total // blocks)  # the last one is hardly shorter
    contigs, before = {}, 0
    for name, (starts, ends) in judged.items():
        widths = ends - starts
        along = before + np.cumsum(widths) - widths
        block, start, end, source = split_into_windows(along, along + widths, length)
        origin = starts[source] - along[source] + block * length
        contigs[name] = Stretches(origin + start, origin + end, block)
        before += int(widths.sum())
    return Places(unit, contigs, -(-total // length), length * unit)
