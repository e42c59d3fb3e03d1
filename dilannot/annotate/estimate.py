"""How long an annotation will take, and how much disk and memory: some is done, the rest is reckoned from that."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from dilannot.annotate.blocks import LENGTH, Block
from dilannot.annotate.stream import Engine, Made, stream

_TILES = 24  # of different blocks: peaks cluster, so few say little
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


class Sample:
    """Blocks that are made, and the time they took."""

    def __init__(self, engine: Engine) -> None:
        self._fixed = _FIXED * len(engine.rules.least)
        self._before, self._began = _peak(), time.perf_counter()
        self._bytes = 0
        self.nucleotides = 0

    def restart(self) -> None:
        """Count the time from here on."""
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the last start."""
        return time.perf_counter() - self._began

    def add(self, made: Made) -> None:
        """Count a block, or a part of one."""
        self._bytes += len(made.record) - self._fixed
        self.nucleotides += len(made.block)

    def estimate(self, blocks: Sequence[Block], threads: int, speed_up: int = 1) -> Estimate:
        """What `blocks` will take on so many threads, `speed_up` times as fast as these were made."""
        total, sampled = sum(map(len, blocks)), max(self.nucleotides, 1)
        per_nt = self._bytes / sampled + self._fixed / LENGTH
        at_work = per_nt * LENGTH * _IN_MEMORY
        growth = _peak() - self._before if speed_up > 1 else 0
        return Estimate(
            seconds=total * self.seconds / sampled / speed_up,
            bytes=total * per_nt * _ON_DISK,
            memory=_peak() + (threads - 1) * growth + threads * at_work,
        )


def try_out(engine: Engine, blocks: Sequence[Block], threads: int) -> Estimate:
    """Make a tile of each of a few blocks on one thread, keep nothing, and reckon from them.

    Parameters
    ----------
    engine
        Makes blocks.
    blocks
        To be made.
    threads
        That will be at work at the same time.
    """
    sample = Sample(engine)
    tiles = [block.first_span(engine.walk.size) for block in spread(blocks, _TILES)]
    for _ in stream(engine, tiles[:1], 1):  # the first time, libraries and the network warm up
        pass
    sample.restart()
    for tile in tiles:
        for made in stream(engine, [tile], 1):
            sample.add(made)
        if sample.seconds > _LONG_ENOUGH:
            break
    # A GPU is busy with one thread already.
    return sample.estimate(blocks, threads, speed_up=threads if engine.device.type == "cpu" else 1)


def spread(blocks: Sequence[Block], count: int) -> list[Block]:
    """Some of the longer blocks, evenly spread, those far from each other first."""
    most = max(map(len, blocks))
    blocks = [block for block in blocks if 2 * len(block) >= most]
    step = max(1, len(blocks) // count)
    return sorted(blocks[step // 2 :: step][:count], key=lambda block: block.number * 7919 % 1009)


def describe(engine: Engine, blocks: Sequence[Block], threads: int) -> str:
    """What is going to be done."""
    nucleotides, markers = sum(map(len, blocks)), len(engine.rules.least)
    tiles = sum(1 for block in blocks for _ in block.spans(engine.walk.size))
    return (
        f"{nucleotides:,} nt of {engine.genome.path.name} in {tiles:,} tile{'s'[: tiles > 1]} of "
        f"{engine.walk.size:,} nt, {markers} marker{'s'[: markers > 1]}, on {engine.device} "
        f"({threads} thread{'s'[: threads > 1]})"
    )


def in_words(guess: Estimate) -> str:
    """An estimate as people say it."""
    disk = f"{_size(guess.bytes)} of tracks (twice that while they are made)"
    return f"about {_duration(guess.seconds)}, {disk}, {_size(guess.memory)} of memory"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _size(count: float) -> str:
    if count < 1e6:
        return f"{count / 1e3:,.0f} KB"
    return f"{count / 1e6:,.0f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"


def _peak() -> int:
    """Most memory this process had so far, bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
