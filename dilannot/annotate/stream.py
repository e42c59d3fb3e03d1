"""Stream blocks of a genome through a network: several threads, each reading, predicting, encoding and packing its own.

numpy, torch, the compiled loops and the deflating leave the interpreter to the other threads; whoever asks for the
records writes them at the same time. On a GPU each thread has a stream of its own, so it computes while others pack.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch

from dilannot.annotate.blocks import Block, whole_bins
from dilannot.annotate.calls import STRETCH
from dilannot.annotate.encode import Encoded, Room, Rules, TileEncoder, in_one
from dilannot.annotate.store import StoppedError, record_of
from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.formats.bigwig_sections import pack
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.sequence import Codes, N
from dilannot.genome.tiles import Tile
from dilannot.progress import Progress
from dilannot.walk import Walk, codes_of

_ON_A_GPU = 3  # streams, for the threads that use it at the same time; the others pack
_NO_MEMORY = ("ALLOC_FAILED", "can't allocate memory")  # in errors that have no class of their own
_AHEAD = 2  # blocks that are done, or waited for, beyond those at work


@dataclass(frozen=True, slots=True)
class Made:
    """A finished block, and its record."""

    block: Block
    record: bytes


@dataclass(slots=True)
class Engine:
    """Makes the records of blocks; may be called by several threads.

    Attributes
    ----------
    walk
        Of a network in evaluation mode, on `device`.
    genome
        Of the sequence.
    rules
        What is kept.
    batch_size
        Tiles of one shape that are predicted together; halved when the device has too little memory.
    """

    walk: Walk
    genome: Genome
    rules: Rules
    device: torch.device
    batch_size: int
    progress: Progress
    stop: threading.Event = field(default_factory=threading.Event)
    _own: threading.local = field(default_factory=threading.local)
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _alone: threading.Lock = field(default_factory=threading.Lock)
    # Few: libraries keep memory for each, whoever uses it.
    _streams: SimpleQueue[Any] = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        for _ in range(_ON_A_GPU if self.device.type == "cuda" else 0):
            self._streams.put(torch.cuda.Stream(self.device))  # type: ignore[no-untyped-call]

    def make(self, block: Block) -> Made:
        """Annotate a block.

        Raises
        ------
        DilannotError
            A FASTA that changed, values that are no numbers, or too little memory for a single tile.
        """
        with torch.inference_mode():
            tiles = list(self._encoded(block))
        self._go_on()
        nucleotides = sum(nucleotides for _, nucleotides in tiles)
        encoded = in_one([tile for tile, _ in tiles]) if tiles else _nothing(len(self.rules.least))
        packed = pack(block.contig, encoded.counts, encoded.start, encoded.end, self.rules.values[encoded.level])
        record = record_of(block.number, nucleotides, packed, encoded.stretch_counts, encoded.stretches)
        return Made(block, record)

    def _encoded(self, block: Block) -> Iterator[tuple[TileEncoder, int]]:
        """Every tile of a block, and its positions with a value; tiles of nothing but N are left out."""
        for batch in self._batches(self._tiles(block)):
            encoders, nucleotides = [], 0
            for tile, codes in batch:
                known = codes[tile.keep_start - tile.read_start : tile.keep_end - tile.read_start] != N
                wanted = known & block.asked(tile.keep_start, tile.keep_end)
                encoders.append(TileEncoder(self.rules, tile.keep_start, wanted, known, self._room()))
                nucleotides += int(wanted.sum())
            self._predict(batch, encoders)
            for encoder in encoders:
                yield encoder, nucleotides
                nucleotides = 0

    def _tiles(self, block: Block) -> Iterator[Tile]:
        length = self.genome.contigs[block.name].length
        for span in block.spans(self.walk.size):
            yield from self.walk.tiles(whole_bins(span, self.rules.bin_length, length), length)

    def _batches(self, tiles: Iterable[Tile]) -> Iterator[list[tuple[Tile, Codes]]]:
        for _, alike in groupby(tiles, key=_shape):
            batch: list[tuple[Tile, Codes]] = []
            for tile in alike:
                codes = self._read(tile)
                if (codes[tile.keep_start - tile.read_start : tile.keep_end - tile.read_start] != N).any():
                    batch.append((tile, codes))
                if len(batch) >= self.batch_size:
                    yield batch
                    batch = []
            if batch:
                yield batch

    def _read(self, tile: Tile) -> Codes:
        self._go_on()
        with self._reading:
            return codes_of(self.genome, tile)

    def _predict(self, batch: Sequence[tuple[Tile, Codes]], encoders: Sequence[TileEncoder]) -> None:
        """Fill the encoders, with as many tiles at a time as the device has memory for."""
        done = 0
        while done < len(batch):
            size = min(self.batch_size, len(batch) - done)
            part, into = batch[done : done + size], encoders[done : done + size]
            problem = self._fill(part, into)
            if problem is not None and size == 1 and self.device.type == "cuda":
                problem = self._fill(part, into, alone=True)
            if problem is None:
                done += size
            else:
                self._take_less(size, problem)

    def _fill(
        self, batch: Sequence[tuple[Tile, Codes]], encoders: Sequence[TileEncoder], *, alone: bool = False
    ) -> str | None:
        """Fill encoders; or what the device says when it has too little memory, once all of that is free again."""
        try:
            with self._device(alone=alone):
                self._predict_together(batch, encoders)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            words = str(error).partition("\n")[0]
            known = isinstance(error, torch.OutOfMemoryError | MemoryError)
            if not known and not any(sign in str(error) for sign in _NO_MEMORY):
                raise
            for encoder in encoders:
                encoder.clear()
            return words
        return None

    def _predict_together(self, batch: Sequence[tuple[Tile, Codes]], encoders: Sequence[TileEncoder]) -> None:
        _, first, last = _shape(batch[0][0])
        sequence = torch.from_numpy(np.stack([codes for _, codes in batch]))
        if self.device.type == "cuda":
            sequence = sequence.pin_memory().to(self.device, non_blocking=True)
        for place, probabilities in self.walk.predict(sequence, first, last):
            self._go_on()
            if probabilities.shape[1] != len(self.rules.least):
                raise DilannotError(
                    f"the network has {probabilities.shape[1]} outputs for {len(self.rules.least)} markers"
                )
            if not torch.isfinite(probabilities.sum()):
                raise DilannotError("the network gives no numbers: are its weights damaged?", where=batch[0][0].contig)
            for encoder, of_tile in zip(encoders, probabilities, strict=True):
                encoder.add(of_tile, place - first, self.walk.unit)
        for encoder in encoders:
            encoder.finish()  # on the same stream of the device as what came before

    def _go_on(self) -> None:
        """Or not: pieces of a tile are the longest that a Ctrl-C waits for."""
        if self.stop.is_set():
            raise StoppedError

    def _take_less(self, size: int, problem: str) -> None:
        if size == 1:
            raise DilannotError(
                f"one tile is too much for the memory of {self.device} ({problem})",
                remedy="use a smaller --tile, or another --device",
                exit_code=ENVIRONMENT,
            ) from None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        with self._reading:
            if self.batch_size >= size:
                self.batch_size = size // 2
                self.progress.warn(f"too little memory for {size} tiles at once; going on with {self.batch_size}")

    @contextmanager
    def _device(self, *, alone: bool) -> Iterator[None]:
        """On a GPU, one of its streams for a while; `alone`, all of them."""
        if self.device.type != "cuda":
            yield
            return
        with self._alone if alone else nullcontext():
            taken = [self._streams.get() for _ in range(_ON_A_GPU if alone else 1)]
            try:
                with torch.cuda.stream(taken[0]):
                    yield
            finally:
                for each in taken:
                    self._streams.put(each)

    def _room(self) -> Room:
        if not hasattr(self._own, "room"):
            self._own.room = Room(len(self.rules.least))
        room: Room = self._own.room
        return room


def _shape(tile: Tile) -> tuple[int, int, int]:
    return tile.read_end - tile.read_start, tile.keep_start - tile.read_start, tile.keep_end - tile.read_start


def _nothing(markers: int) -> Encoded:
    """Of a block that is all N."""
    counts, places = np.zeros(markers, np.int64), np.zeros(0, np.uint32)
    return Encoded(counts, places, places, np.zeros(0, np.uint16), counts, np.zeros(0, STRETCH))


def stream(engine: Engine, blocks: Iterable[Block], threads: int) -> Generator[Made, None, None]:
    """Blocks as they are finished, in any order.

    Parameters
    ----------
    engine
        Makes them.
    blocks
        To be made.
    threads
        At work at the same time; on a CPU each predicts with one core.
    """
    with (
        _one_core_each(engine.device),
        ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        waiting: set[Future[Made]] = set()
        try:
            for block in blocks:
                waiting.add(pool.submit(engine.make, block))
                if len(waiting) >= threads + _AHEAD:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (each.result() for each in done)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (each.result() for each in done)
        except BaseException:
            engine.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _one_core_each(device: torch.device) -> Iterator[None]:
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
