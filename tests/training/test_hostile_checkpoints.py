"""Checkpoints that are damaged, foreign, lying or malicious: refused in a line that names them, and nothing happens."""

from __future__ import annotations

import json
import math
import os
import pickle
import random
import shutil
import signal
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Cli
from safetensors.torch import save
from small_datasets import small_dataset
from small_trainings import SHORT, THIN, Recorder, Training, contents, signal_in_step
from torch import Tensor

from dilannot.data.dataset import Dataset
from dilannot.errors import DilannotError
from dilannot.models import build
from dilannot.ranks import Ranks
from dilannot.run import Run, read_run
from dilannot.tensors import read_tensors, write_tensors
from dilannot.training.checkpoint import load_state
from dilannot.training.objective import Objective
from dilannot.training.prepare import recorded_settings
from dilannot.training.step import Stepper
from dilannot.training.train import train

pytestmark = pytest.mark.usefixtures("one_thread")

STATE, BEST = ".checkpoint.safetensors", "best.safetensors"
ALL = Training(replace(SHORT, ema=0.9))

Record = dict[str, Any]
Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("dense"), "dense").path


@pytest.fixture(scope="module")
def good(dense: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stopped in its second epoch: there are weights and a checkpoint."""
    output = tmp_path_factory.mktemp("good") / "run"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with signal_in_step(signal.SIGTERM, 4), pytest.raises(SystemExit):
        ALL.run(dense, output)
    torch.set_num_threads(threads)
    return output


@pytest.fixture
def run(good: Path, tmp_path: Path) -> Path:
    shutil.copytree(good, tmp_path / "run")
    return tmp_path / "run"


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def with_header(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def with_tensor(shape: list[int], offsets: list[int], kind: str = "F32", data: bytes = b"1234") -> bytes:
    record = {"x": {"dtype": kind, "shape": shape, "data_offsets": offsets}, "__metadata__": {"dilannot": "{}"}}
    return with_header(json.dumps(record).encode(), data)


def with_metadata(metadata: object) -> bytes:
    return with_header(json.dumps({"__metadata__": metadata}).encode())


RAW: dict[str, bytes] = {
    "empty": b"",
    "text": b"no such thing\n" * 99,
    "one byte": b"\x07",
    "a header without end": struct.pack("<Q", 2**63 - 1) + b"{}",
    "a header of 90 MB": struct.pack("<Q", 90_000_000) + b"{}",
    "a header that is no JSON": with_header(b"{" * 50),
    "a header that is not UTF-8": with_header(b'{"\xff": 1}'),
    "a header of 100,000 levels": with_header(b'{"a":' * 100_000),
    "a record of 100,000 levels": with_metadata({"dilannot": "[" * 100_000}),
    "a record that is a list": with_metadata({"dilannot": "[]"}),
    "a record that is no text": with_metadata({"dilannot": {}}),
    "a record with a number of 5,000 digits": with_metadata({"dilannot": '{"epoch": ' + "9" * 5_000 + "}"}),
    "metadata that are a list": with_metadata([]),
    "no metadata": with_header(b"{}"),
    "a shape of 40 GB": with_tensor([10**10], [0, 4]),
    "a shape beyond 64 bits": with_tensor([2**63, 4], [0, 4]),
    "a negative shape": with_tensor([-1], [0, 4]),
    "offsets beyond the end": with_tensor([1], [2**40, 2**40 + 4]),
    "offsets that go down": with_tensor([1], [4, 0]),
    "a type there is not": with_tensor([1], [0, 4], "F31"),
    "bytes after the end": with_tensor([1], [0, 4], data=b"1234567890"),
    "weights of nobody": save({"conv1.weight": torch.zeros(3, 4)}),
}


def refused(cli: Cli, run: Path, name: str) -> str:
    """The line with which a command that reads this file refuses it, soon and without a trace."""
    command = ("train", "--resume", "-o", run) if name == STATE else ("evaluate", run)
    before, began = sorted(os.listdir(run)), time.monotonic()
    result = cli(*command)
    assert time.monotonic() - began < 5
    assert (result.code, "Traceback" in result.err) == (1, False), result.err
    [line] = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert str(run / name) in line, line
    assert len(line) < 500
    assert sorted(os.listdir(run)) == before
    return line


@pytest.mark.parametrize("name", [STATE, BEST])
@pytest.mark.parametrize("case", RAW)
def test_what_is_no_file_of_ours_is_refused(cli: Cli, run: Path, case: str, name: str) -> None:
    (run / name).write_bytes(RAW[case])
    refused(cli, run, name)


@pytest.mark.parametrize("name", [STATE, BEST])
@pytest.mark.parametrize("forced", [False, True])
def test_code_in_a_file_is_not_run(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forced: bool, name: str
) -> None:
    """Nor where torch is told to run it."""
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    marker = tmp_path / "ran"
    evil = Evil(marker)
    for content in (evil, {"network/x": evil}, {"state_dict": {"x": torch.zeros(3)}, "more": evil}):
        for zipped in (True, False):
            torch.save(content, run / name, _use_new_zipfile_serialization=zipped)
            refused(cli, run, name)
        (run / name).write_bytes(pickle.dumps(content))
        refused(cli, run, name)
    assert not marker.exists()
    pickle.loads(pickle.dumps(evil))
    assert marker.exists(), "it would not have run anyway"


def test_a_whole_module_is_refused(cli: Cli, run: Path) -> None:
    torch.save(torch.nn.Linear(3, 3), run / STATE)
    refused(cli, run, STATE)


@pytest.mark.parametrize("name", [STATE, BEST])
@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link", "link loop", "endless"])
def test_what_is_no_file_is_refused(cli: Cli, run: Path, kind: str, name: str) -> None:
    (run / name).unlink()
    if kind == "folder":
        (run / name).mkdir()
    elif kind == "pipe":
        os.mkfifo(run / name)
    else:
        target = {"dangling link": "nowhere", "link loop": name, "endless": "/dev/zero"}[kind]
        (run / name).symlink_to(target)
    refused(cli, run, name)


def test_a_checkpoint_that_lies_elsewhere_is_one(dense: Path, run: Path, tmp_path: Path) -> None:
    (run / STATE).rename(tmp_path / "elsewhere")
    (run / STATE).symlink_to(tmp_path / "elsewhere")
    train(None, run, resume=True)
    ALL.run(dense, tmp_path / "whole")
    assert contents(run) == contents(tmp_path / "whole")


@pytest.mark.parametrize("name", [STATE, BEST])
def test_the_file_of_another_network_is_refused(cli: Cli, dense: Path, run: Path, tmp_path: Path, name: str) -> None:

    def stop(_: object) -> bool:
        raise KeyboardInterrupt

    other = Training(ALL.settings, arguments=THIN | {"hidden": 6})
    with pytest.raises(KeyboardInterrupt):
        other.run(dense, tmp_path / "other", after_epoch=stop)
    shutil.copy(tmp_path / "other" / name, run / name)
    assert "weights of another network: " in refused(cli, run, name)


@pytest.mark.parametrize(("name", "taken"), [(STATE, BEST), (BEST, STATE)])
def test_weights_are_no_checkpoint(cli: Cli, run: Path, name: str, taken: str) -> None:
    shutil.copy(run / taken, run / name)
    refused(cli, run, name)


def put(name: str, value: object) -> Callable[[Record, Tensors], object]:
    """In the record; `place.NAME` in the place."""
    inner, key = ("place", name[6:]) if name.startswith("place.") else (None, name)
    return lambda record, _: (record[inner] if inner else record).__setitem__(key, value)


def tensor(name: str, value: Tensor) -> Callable[[Record, Tensors], object]:
    return lambda _, tensors: tensors.__setitem__(name, value)


def lost(name: str) -> Callable[[Record, Tensors], object]:
    return lambda _, tensors: tensors.pop(name)


def filled(name: str, value: float) -> Callable[[Record, Tensors], object]:
    return lambda _, tensors: tensors[name].view(-1)[:1].fill_(value)


def retyped(name: str, kind: torch.dtype) -> Callable[[Record, Tensors], object]:
    return lambda _, tensors: tensors.__setitem__(name, tensors[name].to(kind))


# With a digest that fits: whoever can write a file can do that too.
SEALED: dict[str, tuple[Callable[[Record, Tensors], object], str]] = {
    "another format": (put("format", "keras"), "is not a dilannot checkpoint"),
    "another version": (put("format_version", 7), "has format version 7; this dilannot reads version 1"),
    "no place": (put("place", None), "is not the checkpoint of this training"),
    "a list for a place": (put("place", [1]), "is not the checkpoint of this training"),
    "half a place": (lambda record, _: record["place"].pop("scale"), "no scale"),
    "a place of more": (put("place.colour", 1), "colour"),
    "epoch 0": (put("place.epoch", 0), "epoch 0 comes after 1"),
    "an epoch to come": (put("place.epoch", 3), "epoch 3 comes after 1"),
    "epoch 2.0": (put("place.epoch", 2.0), "epoch is 2.0"),
    "a true epoch": (put("place.epoch", True), "epoch is True"),
    "an epoch in words": (put("place.epoch", "two"), "epoch is 'two'"),
    "a step before the first": (put("place.epoch_step", -1), "epoch_step is -1"),
    "a step beyond all": (put("place.step", 10**300), "step is 1000"),
    "a rate that is no number": (put("place.scale", "nan"), "scale is nan"),
    "a rate in words": (put("place.scale", "high"), "scale is 'high'"),
    "a loss that is a list": (put("place.loss", [0.5]), r"loss is \[0.5\]"),
    "best in words": (put("place.best", "very"), "best is 'very'"),
    "figures in words": (put("place.rows", ["good"]), "the figures of an epoch are 'good'"),
    "figures of lists": (put("place.rows", [{"epoch": [1]}]), "the figures of an epoch are"),
    "figures that are none": (put("place.rows", 3), "is not the checkpoint of this training"),
    "figures of an epoch too few": (put("place.times", []), "epoch 2 comes after 1"),
    "no windows at a time": (put("micro_batch", 0), "micro_batch is 0"),
    "half a window at a time": (put("micro_batch", 0.5), "micro_batch is 0.5"),
    "no threads": (put("threads", 0), "threads is 0"),
    "a million threads": (put("threads", 10**6), "threads is 1000000"),
    "no processes": (put("ranks", 0), "ranks is 0"),
    "no device": (lambda record, _: record.pop("device"), "device"),
    "a missing weight": (lost("network/trunk.0.weight"), "tensor 'trunk.0.weight' is missing"),
    "a weight too many": (tensor("network/x", torch.zeros(1)), "tensor 'x' is unexpected"),
    "a weight of another shape": (tensor("network/trunk.0.weight", torch.zeros(5, 9)), r"has shape \(5, 9\), not"),
    "a weight of integers": (retyped("network/trunk.0.weight", torch.int64), "has dtype I64, not F32"),
    "a weight of bfloat16": (retyped("network/trunk.0.weight", torch.bfloat16), "has dtype BF16, not F32"),
    "a weight that is no number": (filled("network/trunk.0.weight", math.nan), "NaN or infinite"),
    "a missing average": (lost("average/trunk.0.weight"), "tensor 'trunk.0.weight' is missing"),
    "an average of another shape": (tensor("average/trunk.0.weight", torch.zeros(7)), r"has shape \(7,\)"),
    "an infinite average": (filled("average/trunk.0.weight", math.inf), "NaN or infinite"),
    "half a state": (lost("optimizer/0/exp_avg"), "tensor '0/exp_avg' is missing"),
    "a state of more": (tensor("optimizer/0/x", torch.zeros(1)), "tensor '0/x' is unexpected"),
    "a state of nothing": (tensor("optimizer/99/step", torch.zeros(())), "tensor '99/step' is unexpected"),
    "a state of a name": (tensor("optimizer/x/step", torch.zeros(())), "tensor 'x/step' is unexpected"),
    "a state of another shape": (tensor("optimizer/0/exp_avg", torch.zeros(())), r"has shape \(\), not"),
    "a state that is no number": (filled("optimizer/0/exp_avg", math.nan), "NaN or infinite"),
    "no random numbers": (lost("random/cpu/0"), "is not the checkpoint of this training"),
    "few random numbers": (tensor("random/cpu/0", torch.zeros(9, dtype=torch.uint8)), "is not the checkpoint of this"),
    "no good random numbers": (lambda _, tensors: tensors["random/cpu/0"].zero_(), "is not the checkpoint of this"),
    "real random numbers": (retyped("random/cpu/0", torch.float32), "is not the checkpoint of this training"),
    "too many random numbers": (tensor("random/cpu/1", torch.zeros(10**6, dtype=torch.uint8)), "is not a dilannot"),
    "something else": (tensor("more/x", torch.zeros(1)), "is not a dilannot checkpoint"),
}  # fmt: skip


def resealed(path: Path, change: Callable[[Record, Tensors], object]) -> None:
    tensors, record, _ = read_tensors(path, lambda *_: None)
    change(record, tensors)
    write_tensors(path, tensors, record)


@pytest.mark.parametrize("case", SEALED)
def test_a_checkpoint_that_fits_its_digest_and_nothing_else_is_refused(run: Path, case: str) -> None:
    change, message = SEALED[case]
    resealed(run / STATE, change)
    before = contents(run)
    threads = torch.get_num_threads()
    with pytest.raises(DilannotError, match=message) as error:
        train(None, run, resume=True)
    assert error.value.where == run / STATE
    assert "\n" not in str(error.value)
    assert contents(run) == before
    assert torch.get_num_threads() == threads


def test_figures_of_other_names_do_no_harm(run: Path) -> None:
    resealed(
        run / STATE, put("place.rows", [{"epoch": 1, "=cmd()": 1e999}]) if False else put("place.rows", [{"e": 1}])
    )
    train(None, run, resume=True)
    assert (run / "metrics.csv").read_text().startswith("e,epoch,step,")


def test_the_dataset_of_another_training_is_named(dense: Path, run: Path) -> None:
    for name in ("dataset", "labels"):
        resealed(run / STATE, put(name, "0" * 64))
        with pytest.raises(DilannotError, match="has changed since this training began") as error:
            train(None, run, resume=True)
        assert error.value.where == dense


class Reader:
    """Reads a checkpoint again and again without the way there."""

    def __init__(self, run: Run, data: Dataset) -> None:
        settings, here = recorded_settings(run), Ranks(0, 1, 0, torch.device("cpu"))
        network = build(run.model, len(run.markers), **run.arguments)
        self._stepper = Stepper(Objective(network, ("sequence",)), settings, here, Recorder())
        self._run, self._data, self._here = run, data, here

    def read(self) -> int:
        said = Recorder()
        return load_state(self._run, self._stepper, self._data, self._here, said, threads_given=True).step


def test_every_cut_and_flipped_bit_is_noticed(dense: Path, run: Path) -> None:
    path = run / STATE
    data, chance = bytearray(path.read_bytes()), random.Random(0)
    with Dataset(dense) as dataset:
        reader = Reader(read_run(run), dataset)
        assert reader.read() == 4
        flips = [*range(8 * 8), *(chance.randrange(8 * len(data)) for _ in range(500))]
        for bit in flips:
            data[bit // 8] ^= 1 << bit % 8
            path.write_bytes(data)
            with pytest.raises(DilannotError) as error:
                reader.read()
            assert str(run) in str(error.value), bit
            data[bit // 8] ^= 1 << bit % 8
        for length in [*range(0, len(data), len(data) // 150), *range(len(data) - 9, len(data))]:
            path.write_bytes(data[:length])
            with pytest.raises(DilannotError) as error:
                reader.read()
            assert error.value.where == path, length
        path.write_bytes(data)
        assert reader.read() == 4
