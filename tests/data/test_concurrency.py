"""Many builds at once, many readers of one open dataset, readers that die."""

from __future__ import annotations

import gc
import gzip
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pysam
import pytest
import torch
from conftest import Inputs, make_inputs
from small_datasets import Small, small_dataset

from dilannot.data.batch import Batch
from dilannot.data.dataset import Dataset
from dilannot.data.order import Augmentation
from dilannot.data.settings import Task
from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.sequence import encode

AT_ONCE = 8
TASKS: tuple[Task, ...] = ("dense", "window")

# Everything slow comes before the signal to start.
COMMAND_ON_SIGNAL = """
import sys
import dilannot.cli.console, dilannot.data.build
print("ready", flush=True)
sys.stdin.readline()
dilannot.cli.main()
"""


def listing(folder: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of everything below a folder."""
    found = [folder, *folder.rglob("*")]
    return sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in found)


def at_once(folders: list[Path], *arguments: object) -> list[tuple[int, str]]:
    """Run one command of dilannot in several working folders, all in the same moment: exit codes and stderr."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", COMMAND_ON_SIGNAL, *map(str, arguments)],
            cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for folder in folders
    ]  # fmt: skip
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[1] for process in processes]
    return [(process.returncode, err) for process, err in zip(processes, said, strict=True)]


@pytest.fixture(scope="module")
def shared_inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inputs]:
    """A genome without an index and peaks in folders that may not be written to."""
    made = make_inputs(tmp_path_factory.mktemp("shared"))
    for folder in (made.peak_folder, made.folder):
        folder.chmod(0o555)
    yield made
    for folder in (made.folder, made.peak_folder):
        folder.chmod(0o755)


def test_eight_builds_from_one_genome_give_eight_equal_datasets(shared_inputs: Inputs, tmp_path: Path) -> None:
    before = listing(shared_inputs.folder)
    folders = [tmp_path / str(number) for number in range(AT_ONCE)]
    for folder in folders:
        folder.mkdir()
    results = at_once(folders, "build-data", shared_inputs.genome, shared_inputs.peak_folder, "--window", 500)
    assert [code for code, _ in results] == [0] * AT_ONCE, results
    assert listing(shared_inputs.folder) == before, "something happened beside the inputs"
    assert all(os.listdir(folder) == ["dataset.h5"] for folder in folders)
    assert len({(folder / "dataset.h5").read_bytes() for folder in folders}) == 1


def test_eight_builds_of_one_output_are_one(shared_inputs: Inputs, tmp_path: Path) -> None:
    command = ["build-data", shared_inputs.genome, shared_inputs.peak_folder, "--window", 500]
    (tmp_path / "alone").mkdir()
    [(code, err)] = at_once([tmp_path / "alone"], *command)
    assert code == 0, err
    for attempt in range(2):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        results = at_once([folder] * AT_ONCE, *command)
        assert sorted(code for code, _ in results)[0] == 0
        refused = [(code, err) for code, err in results if code]
        assert len(refused) == AT_ONCE - 1, "more than one build worked"
        for code, err in refused:
            [line] = [line for line in err.splitlines() if line.startswith("error: ")]
            late = code == 1 and "exists already" in line
            assert late or (code == ENVIRONMENT and "another dilannot is writing here" in line), line
        assert os.listdir(folder) == ["dataset.h5"]
        assert (folder / "dataset.h5").read_bytes() == (tmp_path / "alone/dataset.h5").read_bytes()


@pytest.fixture(scope="module", params=TASKS)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_dataset(tmp_path_factory.mktemp(request.param), request.param)


def same(one: Batch, other: Batch) -> bool:
    parts = [
        (getattr(one.targets, name), getattr(other.targets, name)) for name in ("window", "marker", "start", "end")
    ]
    parts += [(one.mask, other.mask), (one.inputs["sequence"], other.inputs["sequence"])]
    return all(torch.equal(left, right) for left, right in parts)


def differences(data: Dataset, expected: list[Batch], seed: int) -> int:
    """Batches of single windows that differ when all are read in an order of one's own."""
    wrong = 0
    for _ in range(10):
        for row in np.random.default_rng(seed).permutation(len(expected)):
            wrong += not same(data.batch(np.array([row])), expected[row])
    return wrong


def test_forked_readers_share_an_open_dataset(small: Small) -> None:
    with Dataset(small.path) as data:
        expected = [data.batch(np.array([row])) for row in range(len(data.split))]
    with Dataset(small.path) as data:
        assert forked(lambda seed: differences(data, expected, seed)) == [0] * AT_ONCE


@pytest.mark.parametrize("kind", ["plain", "bgzip", "gzip"])
def test_eight_readers_index_one_genome_at_once(
    shared_inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = shared_inputs.genome
    if kind == "gzip":
        path = tmp_path / "genome.fa.gz"
        path.write_bytes(gzip.compress(shared_inputs.genome.read_bytes()))
    if kind == "bgzip":
        path = tmp_path / "genome.fa.gz"
        pysam.tabix_compress(str(shared_inputs.genome), str(path))
    before = listing(path.parent)
    expected = {name: encode(letters.encode())[0] for name, letters in shared_inputs.contigs.items()}

    def wrong(seed: int) -> int:
        genome = Genome(path)
        chance, count = random.Random(seed), int(list(genome.lengths) != list(expected))
        for _ in range(100):
            name = chance.choice(list(expected))
            start = chance.randrange(len(expected[name]))
            end = chance.randint(start + 1, len(expected[name]))
            count += not np.array_equal(genome.fetch(name, start, end), expected[name][start:end])
        return count

    for attempt in range(3):
        monkeypatch.setenv("DILANNOT_CACHE", str(tmp_path.parent / f"{tmp_path.name}-cache-{attempt}"))
        assert forked(wrong) == [0] * AT_ONCE
    assert listing(path.parent) == before, "something happened beside the genome"


def forked(work: Callable[[int], int]) -> list[int]:
    """What `work` counts, with other seeds, in several forked processes that start together."""
    start_read, start_write = os.pipe()
    children = []
    for seed in range(AT_ONCE):
        child = os.fork()
        if not child:
            status = 255
            try:
                os.close(start_write)
                os.read(start_read, 1)  # ends when the parent has closed its end
                status = min(work(seed), 254)
            finally:
                os._exit(status)
        children.append(child)
    os.close(start_write)
    os.close(start_read)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


@pytest.mark.parametrize("shuffle_seed", [None, (4, 2)])
def test_workers_serve_the_same_batches_in_the_same_order(small: Small, shuffle_seed: tuple[int, int] | None) -> None:
    augmentation = Augmentation(reverse_complement=True, shift=9)
    with Dataset(small.path) as data:
        alone, helped = (
            list(data.batches("train", 4, shuffle_seed=shuffle_seed, augmentation=augmentation, workers=workers))
            for workers in (0, 2)
        )
    assert len(alone) == len(helped) > 3
    assert all(same(one, other) for one, other in zip(alone, helped, strict=True))


def test_random_numbers_are_the_same_with_and_without_workers(small: Small) -> None:
    drawn = []
    for workers in (0, 1):
        torch.manual_seed(5)
        with Dataset(small.path) as data:
            drawn.append([torch.rand(1).item() for _ in data.batches("train", 8, workers=workers)])
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("when", ["at the start", "in the middle", "when all is prepared"])
def test_a_reader_that_is_killed_is_an_error_soon(small: Small, when: str) -> None:
    with Dataset(small.path) as data:
        batches = data.batches("train", 1, workers=2)
        next(batches)
        if when != "at the start":
            time.sleep(0.3)
        if when == "in the middle":
            next(batches)
        for worker in multiprocessing.active_children():
            os.kill(worker.pid or 0, signal.SIGKILL)
        began = time.monotonic()
        with pytest.raises(DilannotError, match="a process that reads the dataset has died") as error:
            list(batches)
        assert error.value.exit_code == ENVIRONMENT
        assert error.value.where == small.path
        assert time.monotonic() - began < 30
        del error
    wait_for_readers_to_end()


def test_training_ends_with_3_when_a_reader_is_killed(tmp_path: Path) -> None:
    small = small_dataset(tmp_path / "small", "dense")
    arguments = ["train", str(small.path), "--model", "conv1", "--workers", "2", "--batch-size", "1"]
    arguments += ["--epochs", "100000", "--threads", "1"]  # threads would wait for each other on a busy machine
    with subprocess.Popen(
        [sys.executable, "-m", "dilannot", *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        metrics = tmp_path / "run/metrics.csv"
        deadline = time.monotonic() + 60
        while not metrics.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        while process.poll() is None and time.monotonic() < deadline:
            kill_children_of(process.pid)
            time.sleep(0.01)
        process.kill()  # where it has not ended by itself
        assert process.stderr
        err = process.stderr.read()
    assert process.returncode == ENVIRONMENT, err
    assert "Traceback" not in err
    [line] = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "a process that reads the dataset has died" in line


def kill_children_of(pid: int) -> None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        pass


def test_readers_end_when_nobody_listens_any_more(small: Small) -> None:
    with Dataset(small.path) as data:
        batches = data.batches("train", 1, workers=2)
        next(batches)
        assert multiprocessing.active_children()
        batches.close()  # type: ignore[attr-defined]
    wait_for_readers_to_end()


def wait_for_readers_to_end() -> None:
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)
    assert not multiprocessing.active_children()
