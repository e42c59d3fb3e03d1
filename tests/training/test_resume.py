"""A training that was stopped anywhere and goes on leaves the same bytes as one that never was."""

from __future__ import annotations

import csv
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import h5py
import pytest
import torch
from conftest import Cli, write_fasta
from small_datasets import CONTIGS, WINDOW, Small, small_dataset
from small_trainings import SHORT, THIN, Recorder, Training, contents, signal_in_step

import dilannot
from dilannot.data.build import build_dataset
from dilannot.data.settings import BuildSettings, Task
from dilannot.errors import DilannotError
from dilannot.run import read_run
from dilannot.training.train import train

pytestmark = pytest.mark.usefixtures("one_thread")

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
STATE = ".checkpoint.safetensors"

# One weight in two layers, one never used, a buffer of a rare type, and dropout of its own.
OWN = """
import torch
from torch import nn

from dilannot.models import register


@register("own")
class Own(nn.Module):
    def __init__(self, n_outputs, channels=4):
        super().__init__()
        self.embed = nn.Embedding(5, channels)
        self.first = nn.Conv1d(channels, channels, 3, padding=1)
        self.second = nn.Conv1d(channels, channels, 3, padding=1)
        self.second.weight = self.first.weight
        self.unused = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(channels)
        self.register_buffer("rare", torch.ones(3, dtype=torch.bfloat16))
        self.last = nn.Conv1d(channels, n_outputs, 5, padding=2)

    def forward(self, sequence):
        features = self.first(self.embed(sequence.int()).transpose(1, 2))
        return self.last(nn.functional.dropout(self.norm(self.second(features)), 0.3, self.training))
"""

_LSTM = {
    "filters": [6], "kernels": [5], "pools": [[3, 3]], "state": 4, "hidden": [5], "lstm_dropout": 0.3,
    "recurrent_dropout": 0.3,
}  # fmt: skip
_ID_CNN = {
    "filters": [4, 6, 4, 4], "channels": 4, "dilations": [1, 2, 1, 2], "applications": 2, "hidden": 5, "dropout": 0.2,
}  # fmt: skip
_EVERYTHING = replace(SHORT, reverse_complement=True, shift=9, ema=0.9, seed=3)
_PLATEAU = replace(
    SHORT, schedule="plateau", warmup=0.0, plateau_patience=1, plateau_factor=0.5, patience=2, epochs=5, watch="loss"
)
TRAININGS = {
    "strands, shifts and averages": Training(_EVERYTHING),
    "plateaus and patience": Training(replace(_PLATEAU, learning_rate=0.1)),
    "adam": Training(replace(SHORT, optimizer="adam", schedule="constant", warmup=0.0)),
    "rmsprop": Training(replace(SHORT, optimizer="rmsprop")),
    "muon": Training(replace(SHORT, optimizer="muon")),
    "sgd": Training(replace(SHORT, optimizer="sgd", weight_decay=0.1)),
    "sgd without momentum": Training(replace(SHORT, optimizer="sgd", momentum=0.0, clip=0.0)),
    "limited norms and steps": Training(replace(SHORT, max_norm=0.5, l1=1e-3, max_steps=5, positive_weight=4.0)),
    "micro-batches": Training(replace(SHORT, micro_batch=4)),
    "published start": Training(replace(SHORT, initial="published", optimizer="adam")),
    "readers": Training(replace(_EVERYTHING, epochs=1), workers=2),
    "id-cnn": Training(replace(_EVERYTHING, epochs=1), "id-cnn", _ID_CNN),
    "lstm": Training(SHORT, "bilstm", {"filters": 6, "stride": 5, "state": 4, "deconvolution": 4, "hidden": 5}),
    "window": Training(replace(_EVERYTHING, batch_size=12), "danq", _LSTM, task="window"),
    "own file": Training(_EVERYTHING, "own.py:Own", {"channels": 3}),
}
ALL = TRAININGS["strands, shifts and averages"]


@pytest.fixture(scope="module")
def smalls(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Small]:
    return {task: small_dataset(tmp_path_factory.mktemp(task), task) for task in ("dense", "window")}


@pytest.fixture
def dense(smalls: dict[Task, Small]) -> Path:
    return smalls["dense"].path


def stopped(training: Training, dataset: Path, output: Path, number: signal.Signals, step: int, **more: Any) -> bool:
    """Whether a training is stopped by a signal in its `step`-th step from here; else it has ended."""
    with signal_in_step(number, step):
        try:
            training.run(dataset, output, resume=True, **more)
        except (KeyboardInterrupt, SystemExit) as error:
            ended = error
        else:
            return False
    assert isinstance(ended, KeyboardInterrupt) if number == signal.SIGINT else ended.args == (128 + number,)
    return True


@pytest.mark.parametrize("name", TRAININGS)
def test_stopped_after_every_step_it_ends_with_the_same_bytes(
    smalls: dict[Task, Small], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)
    training, dataset = TRAININGS[name], smalls[TRAININGS[name].task].path
    training.run(dataset, Path("whole"))
    stops = 0
    while stopped(training, dataset, Path("run"), STOPS[stops % 3], 1):
        stops += 1
        assert Path("run", STATE).is_file() or Path("run/last.safetensors").is_file()
        if not Path("run", STATE).exists():
            break  # the signal came in the last step
    rows = figures(Path("whole"))
    assert stops == int(rows[-1]["step"]) >= 3
    assert contents(Path("run")) == contents(Path("whole"))
    if name == "plateaus and patience":
        assert [float(row["learning_rate"]) for row in rows] == [0.1, 0.1, 0.05]


def figures(run: Path) -> list[dict[str, str]]:
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(smalls: dict[Task, Small], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all of the tests below must come to."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("whole") / "run"
    ALL.run(smalls["dense"].path, output)
    torch.set_num_threads(before)
    return output


@pytest.mark.parametrize("step", range(1, 7))
def test_one_stop_is_as_good_as_many(dense: Path, whole: Path, tmp_path: Path, step: int) -> None:
    assert stopped(ALL, dense, tmp_path / "run", signal.SIGTERM, step)
    ALL.run(dense, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run") == contents(whole)


class AtLine:
    """A signal in the moment before the `number`-th line of the code that trains; without a number, it counts."""

    PARTS = ("training", "tensors.py", "outputs.py", "evaluate.py")

    def __init__(self, number: int = 0) -> None:
        self.number, self.lines = number, 0
        self._parts = tuple(f"{Path(dilannot.__file__).parent}/{part}" for part in self.PARTS)

    def __enter__(self) -> AtLine:
        self._before = sys.gettrace()
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _call(self, frame: FrameType, event: str, _: object) -> Callable[[FrameType, str, object], Any] | None:
        return self._line if frame.f_code.co_filename.startswith(self._parts) else None

    def _line(self, frame: FrameType, event: str, _: object) -> Callable[[FrameType, str, object], Any]:
        if event == "line":
            self.lines += 1
            if self.lines == self.number:
                signal.raise_signal(signal.SIGTERM)
        return self._line


def test_a_signal_between_any_two_lines_changes_nothing(dense: Path, whole: Path, tmp_path: Path) -> None:
    """Of some 9,000 lines 12 are tried, others than in the last run where the code has changed."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)  # of the command line: in force before and after the training's own
    run = tmp_path / "run"
    try:
        with AtLine() as count:
            ALL.run(dense, run)
        assert count.lines > 4_000
        for number in range(40, count.lines, count.lines // 12):
            shutil.rmtree(run)
            with pytest.raises(SystemExit) as error, AtLine(number):
                ALL.run(dense, run)
            assert error.value.code == 143
            ALL.run(dense, run, resume=True)
            assert contents(run) == contents(whole), f"line {number}"
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_in_the_last_moment_leaves_a_training_that_has_ended(dense: Path, whole: Path, tmp_path: Path) -> None:
    def signalled(row: Mapping[str, Any]) -> bool:
        if row["epoch"] == ALL.settings.epochs:
            signal.raise_signal(signal.SIGTERM)
        return True

    with pytest.raises(SystemExit) as error:
        ALL.run(dense, tmp_path / "run", after_epoch=signalled)
    assert error.value.code == 143
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_listener_that_stops_it_does_not_count_an_epoch_twice(
    dense: Path, whole: Path, tmp_path: Path, epoch: int
) -> None:
    def stop(row: Mapping[str, Any]) -> bool:
        if row["epoch"] == epoch:
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        ALL.run(dense, tmp_path / "run", after_epoch=stop)
    ALL.run(dense, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run") == contents(whole)


def test_what_was_stopped_says_how_to_go_on(dense: Path, tmp_path: Path) -> None:
    said = Recorder()
    assert stopped(ALL, dense, tmp_path / "run", signal.SIGUSR1, 2, progress=said)
    assert said.lines[-1] == (
        f"warning: stopped after step 2 (epoch 1); go on with: dilannot train --resume -o {tmp_path / 'run'}"
    )
    with pytest.raises(DilannotError, match="holds a training that has not ended; go on with --resume"):
        ALL.run(dense, tmp_path / "run")
    ALL.run(None, tmp_path / "run", resume=True, model=None, arguments=(), settings=None, progress=said)
    assert "going on after step 2 (epoch 1)" in said.lines


def test_what_has_ended_stays_as_it_is(cli: Cli, dense: Path, tmp_path: Path) -> None:
    """And where nothing has begun, it begins."""
    run = tmp_path / "run"
    command = ("train", dense, "-o", run, "--resume", "--epochs", 1, "--threads", 1)
    first = cli(*command)
    assert first.code == 0, first.err
    before = [(path.name, path.stat().st_mtime_ns) for path in sorted(run.iterdir())]
    assert STATE not in dict(before)
    # What is left where somebody kills it in its last moment.
    for name in (".dilannot.lock", ".last.safetensors.tmp-4194305"):
        (run / name).touch()
    again = cli(*command)
    assert again.code == 0
    assert f"{run}: this training has ended; nothing is left to do" in again.err
    for other, message in (
        (("--model", "dilated"), "began with model = hybrid, not dilated"),
        (("--set", "hidden=7"), "began with hidden = 64, not 7"),
        (("--seed", 1), "began with seed = 0, not 1"),
    ):
        refused = cli(*command, *other)
        assert refused.code == 1
        assert message in refused.err
    assert [(path.name, path.stat().st_mtime_ns) for path in sorted(run.iterdir())] == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": replace(ALL.settings, epochs=3)}, "began with epochs = 2, not 3"),
        ({"settings": replace(ALL.settings, ema=0.0)}, r"began with ema = 0\.9, not 0\.0"),
        ({"arguments": THIN | {"hidden": 6}}, "began with hidden = 5, not 6"),
        ({"model": "conv7", "arguments": ()}, "began with model = dilated, not conv7"),
    ],
)
def test_another_training_than_was_begun_is_refused(
    dense: Path, whole: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    assert stopped(ALL, dense, tmp_path / "run", signal.SIGTERM, 4)
    before = contents(tmp_path / "run")
    with pytest.raises(DilannotError, match=message) as error:
        ALL.run(dense, tmp_path / "run", resume=True, **changes)
    assert error.value.where == tmp_path / "run"
    assert contents(tmp_path / "run") == before
    train(None, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run") == contents(whole)


def test_the_same_arguments_may_be_said_again(dense: Path, whole: Path, tmp_path: Path) -> None:
    """All or some of them, in lists or tuples."""
    tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in THIN.items()}
    said: list[Any] = [tuples, {"filters": (4, 6, 4)}, ("filters=4,6,4", "dropout=0.2"), ()]
    stops = 0
    while stopped(
        ALL, dense, tmp_path / "run", signal.SIGTERM, 1,
        model=None if stops else "dilated", arguments=said[stops % 4] or THIN,
    ):  # fmt: skip
        stops += 1
    train(None, tmp_path / "run", arguments=said[1], resume=True)
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.parametrize("name", ["last.safetensors", "metrics.csv", "evaluation-test.tsv"])
def test_folders_in_the_place_of_files_are_noticed_before_anything_else(dense: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "new" / name).mkdir(parents=True)
    with pytest.raises(DilannotError, match=f"new/{name}: is a directory, not a file; remove it"):
        ALL.run(dense, tmp_path / "new")
    assert stopped(ALL, dense, tmp_path / "run", signal.SIGTERM, 1)
    (tmp_path / "run" / name).mkdir()
    with pytest.raises(DilannotError, match=f"run/{name}: is a directory, not a file; remove it"):
        ALL.run(dense, tmp_path / "run", resume=True)


def test_a_network_whose_file_has_changed_goes_on_as_it_was(
    dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)
    own = TRAININGS["own file"]
    own.run(dense, Path("whole"))
    assert stopped(own, dense, Path("run"), signal.SIGTERM, 2)
    Path("own.py").write_text(OWN.replace("0.3", "0.4"))
    with pytest.raises(DilannotError, match="began with SHA-256 of its file = "):
        own.run(dense, Path("run"), resume=True)
    train(None, Path("run"), resume=True)
    assert contents(Path("run")) == contents(Path("whole"))


def test_motifs_are_not_needed_again(smalls: dict[Task, Small], tmp_path: Path) -> None:
    """They made start weights; the record of them stays."""
    training, dataset = TRAININGS["window"], smalls["window"].path
    motifs = tmp_path / "motifs.jaspar"
    motifs.write_text(">MA1 a\nA [9 1 0 7]\nC [0 8 1 1]\nG [1 0 9 1]\nT [0 1 0 1]\n")
    training.run(dataset, tmp_path / "whole", motifs=motifs)
    with signal_in_step(signal.SIGTERM, 2), pytest.raises(SystemExit):
        training.run(dataset, tmp_path / "run", motifs=motifs)
    motifs.unlink()
    train(None, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def other_labels(small: Small) -> None:
    with open(small.peaks / "x_ctcf.bed", "a") as file:
        file.write("b\t300\t310\n")


def other_sequence(small: Small) -> None:
    """One base."""
    changed = CONTIGS["b"][:7] + ("A" if CONTIGS["b"][7] in "Cc" else "C") + CONTIGS["b"][8:]
    write_fasta(small.genome, CONTIGS | {"b": changed})


def other_markers(small: Small) -> None:
    (small.peaks / "x_ctcf.bed").rename(small.peaks / "z_ctcf.bed")


def one_marker_more(small: Small) -> None:
    shutil.copy(small.peaks / "x_ctcf.bed", small.peaks / "z_ctcf.bed")


CHANGES: dict[str, tuple[Callable[[Small], None], dict[str, Any], str]] = {
    "labels": (other_labels, {}, r"dense\.h5: has changed since this training began"),
    "sequence": (other_sequence, {}, r"dense\.h5: has changed since this training began"),
    "splits": (lambda _: None, {"seed": 1}, r"dense\.h5: has changed since this training began"),
    "windows": (lambda _: None, {"window": WINDOW - 1}, "its windows or splits differ"),
    "marker names": (other_markers, {}, r"dense\.h5: its markers are not those of .*'y_dnase' where"),
    "markers": (one_marker_more, {}, r"dense\.h5: its markers are not those of .*3 against 2"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_dataset_that_has_changed_is_refused(whole: Path, tmp_path: Path, what: str) -> None:
    change, settings, message = CHANGES[what]
    small, run = small_dataset(tmp_path / "small", "dense"), tmp_path / "run"
    assert stopped(ALL, small.path, run, signal.SIGTERM, 4)
    before, good = contents(run), small.path.read_bytes()
    change(small)
    plan = BuildSettings(**{"window": WINDOW, "split": "windows"} | settings)
    build_dataset(small.genome, [small.peaks], small.path, plan, force=True)
    with pytest.raises(DilannotError, match=message):
        train(None, run, resume=True)
    assert contents(run) == before
    small.path.write_bytes(good)
    train(None, run, resume=True)
    assert (run / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()


def test_a_marker_of_another_class_is_refused(tmp_path: Path) -> None:
    small, run = small_dataset(tmp_path / "small", "dense"), tmp_path / "run"
    assert stopped(ALL, small.path, run, signal.SIGTERM, 4)
    with h5py.File(small.path, "r+") as file:
        file["markers/class"][0] = b"DNase"
    with pytest.raises(DilannotError, match="began with class of x_ctcf = TFBS, not DNase"):
        train(None, run, resume=True)


def test_threads_are_kept_and_others_are_told_of(dense: Path, whole: Path, tmp_path: Path) -> None:
    said = Recorder()
    assert stopped(ALL, dense, tmp_path / "run", signal.SIGTERM, 1)
    assert stopped(ALL, dense, tmp_path / "run", signal.SIGTERM, 1, threads=2, progress=said)
    assert "warning: it ran on 1 x cpu with 1 threads: the weights will not be the same bit for bit" in said.lines
    shutil.rmtree(tmp_path / "run")
    torch.set_num_threads(1)
    assert stopped(ALL, dense, tmp_path / "run", signal.SIGTERM, 3)
    torch.set_num_threads(2)
    said = Recorder()
    ALL.run(dense, tmp_path / "run", resume=True, progress=said)
    assert torch.get_num_threads() == 1
    assert not [line for line in said.lines if "warning" in line]
    assert contents(tmp_path / "run") == contents(whole)


def test_dataset_and_run_move_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    small_dataset(here, "dense")
    monkeypatch.chdir(here)
    ALL.run(Path("dense.h5"), Path("whole"))
    assert stopped(ALL, Path("dense.h5"), Path("run"), signal.SIGTERM, 2)
    monkeypatch.chdir(tmp_path)
    here.rename("there")
    train(None, Path("there/run"), resume=True)
    assert contents(Path("there/run")) == contents(Path("there/whole"))


def test_a_run_that_moved_alone_asks_for_its_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_dataset(tmp_path / "data", "dense")
    (tmp_path / "far/away").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    data = Path("data/dense.h5")
    ALL.run(data, Path("far/away/whole"))
    assert stopped(ALL, data, Path("run"), signal.SIGTERM, 4)
    Path("run").rename("far/away/run")
    with pytest.raises(DilannotError, match="is not at .*; name it: dilannot train --resume -o far/away/run DATASET"):
        train(None, Path("far/away/run"), resume=True)
    train(data, Path("far/away/run"), resume=True)
    assert contents(Path("far/away/run")) == contents(Path("far/away/whole"))
    assert read_run(Path("far/away/run")).recorded_file("dataset", "evaluate") == data
