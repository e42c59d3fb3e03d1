"""Cut a genome into windows: which are kept, their bases packed, their runs of N."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError
from dilannot.formats.bed import read_intervals
from dilannot.formats.fasta import Contig, read_contigs
from dilannot.genome.intervals import Positions, merge, runs, split_into_windows
from dilannot.genome.sequence import Codes, N, pack
from dilannot.progress import Progress

Excluded = dict[str, tuple[Positions, Positions]]

WINDOW = 25_000  # bp; thesis section 3.3, paper section 3
MAX_N = 0.1
MAX_EXCLUDED = 0.1
_LONGEST = 1 << 30


@dataclass(frozen=True, slots=True)
class WindowRule:
    """Which windows there are: `length` bp each, at most these fractions of them N or excluded."""

    length: int = WINDOW
    max_n: float = MAX_N
    max_excluded: float = MAX_EXCLUDED

    def __post_init__(self) -> None:
        if not 1 <= self.length <= _LONGEST:
            raise DilannotError(
                f"a window of {self.length} bp", where="--window", remedy="25000 is the published length"
            )


@dataclass(slots=True)
class Windows:
    """Windows that are kept, in file order, as one array per contig; `counts` says what was not.

    `excluded_elsewhere` names contigs that only the exclusions know.
    """

    rule: WindowRule
    contigs: list[Contig] = field(default_factory=list)
    contig: list[NDArray[np.int32]] = field(default_factory=list)
    start: list[Positions] = field(default_factory=list)
    packed: list[NDArray[np.uint8]] = field(default_factory=list)
    n_window: list[Positions] = field(default_factory=list)
    n_start: list[Positions] = field(default_factory=list)
    n_end: list[Positions] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    excluded_elsewhere: list[str] = field(default_factory=list)
    kept: int = 0


def cut_genome(genome: Path, exclude: Sequence[Path], rule: WindowRule, progress: Progress) -> Windows:
    """Read a genome once and cut it into windows.

    Raises
    ------
    DilannotError
        A bad FASTA or BED file, exclusions on no contig of the genome, or no window left.
    """
    excluded = _read_excluded(exclude)
    windows = Windows(rule)
    with progress.task(f"reading {genome.name}", None) as task:
        for contig, codes in read_contigs(genome):
            _cut_contig(windows, codes, excluded.get(contig.name))
            windows.contigs.append(contig)
            task.advance(contig.length, f"{contig.name}, {windows.kept:,} windows")
    windows.excluded_elsewhere = _unknown_exclusions(excluded, windows, progress)
    if not windows.kept:
        counts = windows.counts
        raise DilannotError(
            f"no window of {rule.length:,} bp is left ({counts['n']} dropped for N, {counts['excluded']} for excluded "
            f"regions, {counts['short_contigs']} contigs shorter than a window)",
            where=genome,
            remedy="use a smaller --window",
        )
    return windows


def _unknown_exclusions(excluded: Excluded, windows: Windows, progress: Progress) -> list[str]:
    """Contigs of the exclusions that the genome lacks: named, or refused when those are all."""
    known = [contig.name for contig in windows.contigs]
    unknown = sorted(excluded.keys() - set(known))
    if unknown:
        names = ", ".join(unknown[:5]) + (" ..." if len(unknown) > 5 else "")
        if len(unknown) == len(excluded):
            raise DilannotError(
                f"no contig in common with the genome ({names})",
                where="--exclude",
                remedy="use one assembly and its names",
            )
        progress.warn(f"excluded regions on {len(unknown)} contigs the genome lacks are not used: {names}")
    return unknown


def _read_excluded(paths: Sequence[Path]) -> Excluded:
    """Merged excluded intervals by contig."""
    found: dict[str, list[tuple[Positions, Positions]]] = {}
    for path in paths:
        regions = read_intervals(path)
        for index, name in enumerate(regions.contigs):
            here = regions.contig == index
            found.setdefault(name, []).append((regions.start[here], regions.end[here]))
    return {
        name: merge(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))
        for name, parts in found.items()
    }


def _cut_contig(windows: Windows, codes: Codes, excluded: tuple[Positions, Positions] | None) -> None:
    """Cut the next contig into windows and keep the good ones."""
    rule, window = windows.rule, windows.rule.length
    count = len(codes) // window
    windows.counts["short_contigs"] += count == 0
    windows.counts["tail_bases"] += len(codes) - count * window
    rows = codes[: count * window].reshape(count, window)
    too_many_n = np.count_nonzero(rows == N, axis=1) > rule.max_n * window
    too_excluded = _excluded_bases(excluded, count, window) > rule.max_excluded * window
    keep = ~too_many_n & ~too_excluded
    windows.counts["n"] += int(too_many_n.sum())
    windows.counts["excluded"] += int((too_excluded & ~too_many_n).sum())
    index = np.flatnonzero(keep)
    windows.contig.append(np.full(len(index), len(windows.contigs), np.int32))
    windows.start.append(index.astype(np.int64) * window)
    windows.packed.append(pack(rows[index]))
    piece, begin, end, _ = split_into_windows(*runs(codes[: count * window] == N), window)
    row = np.where(keep, np.cumsum(keep) - 1, -1)[piece] if count else piece
    inside = row >= 0
    windows.n_window.append(row[inside] + windows.kept)
    windows.n_start.append(begin[inside])
    windows.n_end.append(end[inside])
    windows.kept += len(index)


def _excluded_bases(excluded: tuple[Positions, Positions] | None, count: int, window: int) -> Positions:
    if excluded is None or not count:
        return np.zeros(count, np.int64)
    index, start, end, _ = split_into_windows(*excluded, window)
    inside = index < count
    return np.bincount(index[inside], (end - start)[inside], minlength=count).astype(np.int64)
