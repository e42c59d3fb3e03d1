"""Blocks through the engine: whatever the threads, the batch and the memory, the same bytes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_models  # noqa: F401 (registers)
from by_rule import painted, stretches
from conftest import make_run, random_sequence, write_fasta
from torch import Tensor
from toy_models import ToyAround

from dilannot.annotate import annotate as annotate_module
from dilannot.annotate import blocks as blocks_module
from dilannot.annotate.annotate import annotate
from dilannot.annotate.blocks import Block, blocks_of
from dilannot.annotate.calls import CallRule, joined
from dilannot.annotate.encode import Rules
from dilannot.annotate.plan import Scope
from dilannot.annotate.store import Appender, read_records
from dilannot.annotate.stream import Engine, stream
from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import Interval
from dilannot.progress import Silent
from dilannot.walk import ExactTiles, Piece, Walk

MARKERS = 3
RULES = Rules(100, np.array([1, 5, 30]), np.array([0.5, 0.6, 0.7], np.float32), merge_gap=5)


@dataclass
class Heard(Silent):
    """What is said."""

    said: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)

    def say(self, message: str) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.warned.append(message)


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    contigs = {
        "z": random_sequence(3_000, 5, ((0, 9), (500, 1_250), (1_700, 1_701))),
        "N": "N" * 700,
        "a": random_sequence(211, 6),
    }
    return Genome(write_fasta(tmp_path_factory.mktemp("stream") / "g.fa", contigs))


@pytest.fixture
def blocks(genome: Genome, monkeypatch: pytest.MonkeyPatch) -> list[Block]:
    """14 of them, of up to 300 nt in tiles of 100."""
    monkeypatch.setattr(blocks_module, "LENGTH", 300)
    regions = [Interval(name, 0, length) for name, length in genome.lengths.items()]
    return blocks_of(regions, list(genome.contigs), 100)


def a_walk() -> Walk:
    network = ToyAround(MARKERS, before=7, after=4, stride=5).eval()
    return ExactTiles(network, 100, 5, False, network.context())


@dataclass
class Limited:
    """A walk on a device that has memory for so many tiles."""

    walk: Walk
    most: int
    raises: type[BaseException] = torch.OutOfMemoryError
    batches: list[int] = field(default_factory=list)
    early: bool = False

    def __getattr__(self, name: str) -> object:
        return getattr(self.walk, name)

    def predict(self, sequence: Tensor, start: int, end: int) -> Iterator[Piece]:
        self.batches.append(len(sequence))
        for at, (place, piece) in enumerate(self.walk.predict(sequence, start, end)):
            if len(sequence) > self.most and not self.early:
                raise self.raises("CUDA out of memory. Tried to allocate 9 GiB\nmore words")
            half = piece.shape[2] // 2
            yield place, piece[:, :, :half]
            if len(sequence) > self.most:  # after some of it was taken
                raise self.raises("CUDA out of memory. Tried to allocate 9 GiB\nmore words")
            yield place + half, piece[:, :, half:]
            assert at == 0


def made_by(walk: Walk, genome: Genome, blocks: list[Block], batch_size: int, threads: int) -> dict[int, bytes]:
    engine = Engine(walk, genome, RULES, torch.device("cpu"), batch_size, Silent())
    made = list(stream(engine, blocks, threads))
    assert sorted(each.block.number for each in made) == [block.number for block in blocks]
    return {each.block.number: each.record for each in made}


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 2), (3, 1), (50, 1), (2, 5)])
def test_records_are_the_same_bytes_whatever_the_batch_and_threads(
    genome: Genome, blocks: list[Block], batch_size: int, threads: int
) -> None:
    assert made_by(a_walk(), genome, blocks, batch_size, threads) == made_by(a_walk(), genome, blocks, 1, 1)


def test_what_goes_to_disk_comes_back(genome: Genome, blocks: list[Block], tmp_path: Path) -> None:
    engine = Engine(a_walk(), genome, RULES, torch.device("cpu"), 4, Silent())
    appender = Appender(tmp_path / "part")
    for made in stream(engine, blocks, 2):
        appender.append(made.record)
    appender.close()
    records = sorted(read_records(tmp_path / "part"), key=lambda record: record.block)
    assert records == sorted(appender.records, key=lambda record: record.block)
    counted = {record.block: record.nucleotides for record in records}
    codes = [genome.fetch(name, 0, length) for name, length in genome.lengths.items()]
    for block in blocks:
        known = [codes[block.contig][start:end] != 0 for start, end in block.parts]
        assert counted[block.number] == np.concatenate(known).sum()
    with torch.inference_mode():
        whole = [engine.walk.network(torch.from_numpy(each)[None])[0].sigmoid().numpy() for each in codes]
    for marker in range(MARKERS):
        tracks = painted(records, list(genome.lengths.values()), marker)
        for track, probability, known in zip(tracks, whole, codes, strict=True):
            level = np.floor(probability[marker] * np.float32(100) + np.float32(0.5))
            expected = np.where((known > 0) & (level >= RULES.least[marker]), level / 100, np.nan)
            # At the border between two levels the last digit decides, and that may be another in another tile.
            near = np.abs(probability[marker] * 100 % 1 - 0.5) < 1e-3
            np.testing.assert_array_equal(track[~near], expected[~near].astype(np.float32))
            assert near.mean() < 0.1
        calls = joined(stretches(records, marker), CallRule(float(RULES.thresholds[marker]), 5, 1))
        assert len(calls) > 10


def test_calls_of_blocks_are_those_of_contigs(genome: Genome, blocks: list[Block], tmp_path: Path) -> None:
    """Blocks end within calls, and within the gaps of calls."""
    whole = blocks_of([Interval("z", 0, 3_000)], list(genome.contigs), 100_000)
    found = []
    for name, some in (("cut", [block for block in blocks if block.contig == 0]), ("whole", whole)):
        (tmp_path / name).write_bytes(b"".join(made_by(a_walk(), genome, some, 1, 1)[b.number] for b in some))
        rows = [stretches(list(read_records(tmp_path / name)), marker) for marker in range(MARKERS)]
        found.append([joined(each, CallRule(0.5, 5, 20)).tolist() for each in rows])
    assert found[0] == found[1]
    assert any(row[0] // 300 != (row[1] - 1) // 300 for row in found[0][0]), "no call crosses a border"


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_too_little_memory_halves_the_batch_once_and_changes_nothing(
    genome: Genome, blocks: list[Block], error: type[BaseException], early: bool
) -> None:
    walk, heard = Limited(a_walk(), 1, error, early=early), Heard()
    engine = Engine(walk, genome, RULES, torch.device("cpu"), 3, heard)
    made = {each.block.number: each.record for each in stream(engine, blocks, 1)}
    assert made == made_by(a_walk(), genome, blocks, 1, 1)
    assert [warning for warning in heard.warned if "memory" in warning] == heard.warned
    # Tiles at a contig's ends, and those whose neighbours are N, come in smaller batches; 2 is tried, and once.
    assert 1 <= len(heard.warned) <= 2
    assert engine.batch_size == 1
    assert sum(batch > 1 for batch in walk.batches) == len(heard.warned)


def test_memory_for_two_is_used_for_two(genome: Genome, blocks: list[Block]) -> None:
    walk, heard = Limited(a_walk(), 2), Heard()
    engine = Engine(walk, genome, RULES, torch.device("cpu"), 4, heard)
    region = blocks_of([Interval("z", 1_800, 2_900)], list(genome.contigs), 10_000)
    assert [each.record for each in stream(engine, region, 1)]
    assert heard.warned == ["too little memory for 4 tiles at once; going on with 2"]
    assert set(walk.batches[1:]) <= {1, 2}
    assert walk.batches.count(2) >= 4


def test_too_little_memory_for_one_tile_is_an_error(genome: Genome, blocks: list[Block]) -> None:
    engine = Engine(Limited(a_walk(), 0), genome, RULES, torch.device("cpu"), 2, Silent())
    with pytest.raises(DilannotError, match="one tile is too much") as error:
        list(stream(engine, blocks, 2))
    assert error.value.exit_code == ENVIRONMENT
    assert "--tile" in str(error.value.remedy)
    assert "more words" not in str(error.value)


def test_no_numbers_are_an_error(genome: Genome, blocks: list[Block]) -> None:
    walk = a_walk()
    with torch.no_grad():
        walk.network.weights[1, 0, 2] = np.nan  # type: ignore[index, union-attr]
    with pytest.raises(DilannotError, match="gives no numbers"):
        made_by(walk, genome, blocks, 1, 2)


def test_a_failure_stops_the_others(genome: Genome, blocks: list[Block]) -> None:
    """No thread goes on with its block, and none is left behind."""
    walk = Limited(a_walk(), 0, RuntimeError)
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="Tried"):
        list(stream(Engine(walk, genome, RULES, torch.device("cpu"), 1, Silent()), blocks, 2))
    assert len(walk.batches) <= 4
    assert threading.active_count() == before


def test_who_stops_asking_stops_the_work(genome: Genome, blocks: list[Block]) -> None:
    engine = Engine(a_walk(), genome, RULES, torch.device("cpu"), 1, Silent())
    threads, of_torch = threading.active_count(), torch.get_num_threads()
    finished = stream(engine, blocks, 2)
    next(finished)
    finished.close()
    assert engine.stop.is_set()
    assert threading.active_count() == threads
    assert torch.get_num_threads() == of_torch


def test_blocks_are_asked_for_as_they_are_needed(genome: Genome, blocks: list[Block]) -> None:
    """Neither a million of them nor their records lie in memory."""
    asked = []

    def one_by_one() -> Iterator[Block]:
        for block in blocks:
            asked.append(block.number)
            yield block

    finished = stream(Engine(a_walk(), genome, RULES, torch.device("cpu"), 1, Silent()), one_by_one(), 1)
    next(finished)
    assert len(asked) <= 4
    finished.close()


def changed(path: Path) -> None:
    text = path.read_text()
    path.write_text(text[:2_000] + ("A" if text[2_000] in "Cc" else "C") + text[2_001:])


def test_a_fasta_that_changes_is_an_error_and_what_was_read_of_it_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_fasta(tmp_path / "g.fa", {"c": random_sequence(4_000, 3)})
    run = make_run(tmp_path / "run", path, "toy-around")
    before = path.read_bytes()
    monkeypatch.setattr(blocks_module, "LENGTH", 1_000)
    asked, settings = Scope(), annotate_module.Settings(tile=1_000)
    annotate(run, output=tmp_path / "sound", scope=asked, settings=settings, threads=1)
    make = Engine.make

    def change_first(self: Engine, block: Block) -> object:
        if block.number == 1:
            changed(path)
        return make(self, block)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "make", change_first)
        with pytest.raises(DilannotError, match="changed while it was being read"):
            annotate(run, output=tmp_path / "t", scope=asked, settings=settings, threads=1)
    path.write_bytes(before)
    annotate(run, output=tmp_path / "t", scope=asked, settings=settings, threads=1)
    names = os.listdir(tmp_path / "sound")
    assert sorted(os.listdir(tmp_path / "t")) == sorted(names)
    for name in names:
        assert (tmp_path / "t" / name).read_bytes() == (tmp_path / "sound" / name).read_bytes()
