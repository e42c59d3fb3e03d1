"""Which windows a genome gives: whole, of the contigs asked for, with few N and few excluded bases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import floor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dilannot.data.genome import PackedContig
from dilannot.data.grid import Grid, covered
from dilannot.data.names import matches
from dilannot.data.settings import BuildSettings, exact
from dilannot.errors import DilannotError, near
from dilannot.formats.bed import read_intervals
from dilannot.genome.intervals import Positions, merge
from dilannot.progress import Progress

Excluded = dict[str, tuple[Positions, Positions]]


def good_units(
    genome: Sequence[PackedContig],
    path: Path,
    grid: Grid,
    excluded: Excluded,
    settings: BuildSettings,
    dropped: Counter[str],
) -> NDArray[np.bool_]:
    """(grid.size,) the units of the genome in `path` that can be windows; `dropped` counts the others by reason.

    Raises
    ------
    DilannotError
        None is left.
    """
    keep = grid.whole()
    chosen = [matches(part.contig.name, settings.chroms or "*") for part in genome]
    for part, first, last, wanted in zip(genome, grid.first[:-1], grid.first[1:], chosen, strict=True):
        here = keep[first:last]
        length = part.contig.length
        dropped["tail_bases"] += length - int(here.sum()) * grid.unit
        if not wanted:
            dropped["other_contigs"] += int(here.sum())
            here[:] = False
            continue
        dropped["short_contigs"] += length < grid.unit + 2 * settings.reach
        _judge(here, part, grid.unit, excluded.get(part.contig.name), settings, dropped)
    if not keep.any():
        raise DilannotError(
            f"no window of {grid.unit + 2 * settings.reach:,} bp is left ({dropped['n']:,} dropped for N, "
            f"{dropped['excluded']:,} for exclusions, {dropped['short_contigs']:,} contigs shorter than a window)",
            where=path,
            remedy="use a smaller --window" if settings.task == "dense" else "use a smaller --bin or --context",
        )
    return keep


def _judge(
    keep: NDArray[np.bool_],
    part: PackedContig,
    unit: int,
    excluded: tuple[Positions, Positions] | None,
    settings: BuildSettings,
    dropped: Counter[str],
) -> None:
    """Strike the units of one contig that are no good as windows."""
    units = np.flatnonzero(keep)
    begin, end = units * unit - settings.reach, (units + 1) * unit + settings.reach
    length = unit + 2 * settings.reach
    inside = (begin >= 0) & (end <= part.contig.length)
    few_n = covered(part.n_start, part.n_end, begin, end) <= floor(exact(settings.max_n) * length)
    allowed = np.ones(len(units), bool)
    if excluded is not None:
        allowed = covered(*excluded, begin, end) <= floor(exact(settings.max_excluded) * length)
    dropped["edge"] += int((~inside).sum())
    dropped["n"] += int((inside & ~few_n).sum())
    dropped["excluded"] += int((inside & few_n & ~allowed).sum())
    keep[units] = inside & few_n & allowed


def check_contigs(names: Sequence[str], settings: BuildSettings) -> None:
    """Refuse contigs of the settings, names or globs, that the genome has none of.

    Raises
    ------
    DilannotError
        Naming near ones.
    """
    for option in ("chroms", "validation_chroms", "test_chroms"):
        for pattern in getattr(settings, option):
            if not any(matches(name, [pattern]) for name in names):
                raise DilannotError(
                    f"no contig of the genome is called {pattern!r}{near(pattern, names)}",
                    where=f"--{option.replace('_', '-')}",
                )


def read_excluded(paths: Sequence[Path], names: Sequence[str], progress: Progress) -> tuple[Excluded, list[str]]:
    """Merged excluded intervals by contig, and the contigs among them that the genome lacks.

    Raises
    ------
    DilannotError
        A bad BED file, or exclusions on no contig of the genome.
    """
    found: dict[str, list[tuple[Positions, Positions]]] = {}
    for path in paths:
        regions = read_intervals(path)
        for index, name in enumerate(regions.contigs):
            here = regions.contig == index
            found.setdefault(name, []).append((regions.start[here], regions.end[here]))
    unknown = sorted(found.keys() - set(names))
    if unknown:
        shown = ", ".join(unknown[:5]) + (" ..." if len(unknown) > 5 else "")
        if len(unknown) == len(found):
            raise DilannotError(
                f"no contig in common with the genome ({shown})",
                where="--exclude",
                remedy="use one assembly and its names",
            )
        progress.warn(f"excluded regions on {len(unknown)} contigs the genome lacks are not used: {shown}")
    merged = {
        name: merge(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))
        for name, parts in found.items()
    }
    return merged, unknown
