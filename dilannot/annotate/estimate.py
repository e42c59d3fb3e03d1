"""How long an annotation will take, and how much disk and memory: a few tiles are tried out."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dilannot.annotate.blocks import LENGTH, Block
from dilannot.annotate.stream import Engine, stream
from dilannot.genome.intervals import Interval

_PROBES = 24  # of one tile each: markers cluster, so few say little
_LONG_ENOUGH = 3.0  # seconds
_ON_DISK = 1.05  # files beside the blocks' records
_FIXED = 64  # bytes of a marker in a record of whatever length
_IN_MEMORY = 8  # bytes of a block at work for each one of its record


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of a whole annotation.

    Attributes
    ----------
    seconds
        It takes.
    bytes
        Of the finished files; about twice that while they are made.
    memory
        Bytes at most.
    """

    seconds: float
    bytes: float
    memory: float


def estimate(engine: Engine, blocks: Sequence[Block], threads: int) -> Estimate:
    """Make a few tiles of different blocks and reckon from them.

    Parameters
    ----------
    engine
        Makes blocks.
    blocks
        To be made.
    threads
        That will be at work at the same time.
    """
    before, seconds, nucleotides, size = _peak(), 0.0, 0, 0
    fixed = _FIXED * len(engine.rules.least)
    tiles = _tiles(engine, blocks)
    for _ in stream(engine, tiles[:1], 1):  # the first time, libraries and the network warm up
        pass
    until = time.perf_counter() + _LONG_ENOUGH
    for tile in tiles:
        began = time.perf_counter()
        (made,) = stream(engine, [tile], 1)
        if made.nucleotides:
            seconds += time.perf_counter() - began
            nucleotides += made.nucleotides
            size += len(made.record) - fixed
        if nucleotides and time.perf_counter() > until:
            break
    per_nt = size / max(nucleotides, 1) + fixed / LENGTH
    total, work = sum(len(block.kept) for block in blocks), per_nt * LENGTH * _IN_MEMORY
    return Estimate(
        seconds=total * seconds / max(nucleotides, 1) / threads,
        bytes=total * per_nt * _ON_DISK,
        memory=_peak() + (threads - 1) * (_peak() - before) + threads * work,
    )


def _tiles(engine: Engine, blocks: Sequence[Block]) -> list[Block]:
    """One tile of each of some blocks, far from each other."""
    step = max(1, len(blocks) // _PROBES)
    chosen = sorted(blocks[step // 2 :: step], key=lambda block: block.number * 7919 % 1009)
    return [
        replace(block, kept=Interval(block.kept.contig, block.kept.start, _end(block, engine.walk.size)))
        for block in chosen[:_PROBES]
    ]


def _end(block: Block, size: int) -> int:
    return min(block.kept.start // size * size + size, block.kept.end)


def _peak() -> int:
    """Most memory this process had so far, bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def describe(engine: Engine, blocks: Sequence[Block], guess: Estimate | None, threads: int) -> list[str]:
    """What is going to be done, in a line or two."""
    nucleotides = sum(len(block.kept) for block in blocks)
    tiles = sum(-(-len(block.kept) // engine.walk.size) for block in blocks)
    lines = [
        f"{nucleotides:,} nt of {engine.genome.path.name} in {tiles:,} tiles of {engine.walk.size:,} nt, "
        f"{len(engine.rules.least)} markers, on {engine.device} ({threads} thread{'s'[: threads > 1]})"
    ]
    if guess is not None:
        disk = f"{_size(guess.bytes)} of tracks (twice that while they are made)"
        lines.append(f"about {_duration(guess.seconds)}, {disk}, {_size(guess.memory)} of memory")
    return lines


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _size(count: float) -> str:
    return f"{count / 1e6:,.0f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"
