"""One step: in as many pieces as memory asks for, undone where it is stopped, refused where it is no number."""

from __future__ import annotations

import itertools
import math
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_datasets import small_dataset
from small_trainings import SHORT, THIN, Recorder, Training, contents, signal_in_step
from torch import Tensor, nn

from dilannot.data.batch import Batch
from dilannot.data.dataset import Dataset
from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.models import build
from dilannot.ranks import Ranks
from dilannot.training.objective import Objective
from dilannot.training.settings import Settings
from dilannot.training.step import Stepper

pytestmark = pytest.mark.usefixtures("one_thread")

HERE = Ranks(0, 1, 0, torch.device("cpu"))
ALL = Training(replace(SHORT, reverse_complement=True, shift=9, ema=0.9))  # 6, 6 and 5 windows, twice

Change = Callable[[Tensor, Batch, int], Tensor]


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("dense"), "dense").path


@pytest.fixture
def batch(dense: Path) -> Batch:
    """Six windows, one of them with unknown bases."""
    with Dataset(dense) as data:
        made = data.batch(data.rows("train")[:6])
    assert 0 < (~made.mask).sum() < 50
    return made


def change_losses(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Put `change(loss, batch, how many before)` in the place of every loss that is trained on, once it is computed."""
    forward, count = Objective.forward, itertools.count()
    monkeypatch.setattr(Objective, "forward", lambda self, batch: change(forward(self, batch), batch, next(count)))


def full_above(windows: int) -> Change:
    """A device whose memory ends above so many windows."""

    def change(loss: Tensor, batch: Batch, _: int) -> Tensor:
        if len(batch.mask) > windows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total of 8 GiB")
        return loss

    return change


def a_stepper(settings: Settings = SHORT, **arguments: Any) -> Stepper:
    torch.manual_seed(1)
    network = build("dilated", 2, **(THIN | arguments)).train()
    return Stepper(Objective(network, ("sequence",)), settings.for_task("dense"), HERE, Recorder())


def gradients(stepper: Stepper, batch: Batch) -> tuple[list[Tensor], float, float]:
    loss, norm = stepper.gradients(batch, float(batch.mask.sum()), float(len(batch.mask)))
    made = [each.grad.clone() for each in stepper.network.parameters() if each.grad is not None]
    assert made
    return made, loss, norm


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 5])
def test_pieces_have_the_gradient_of_the_whole(batch: Batch, micro_batch: int) -> None:
    plain = {"dropout": 0.0, "batch_norm": False}
    whole, whole_loss, whole_norm = gradients(a_stepper(**plain), batch)
    pieces, loss, norm = gradients(a_stepper(replace(SHORT, micro_batch=micro_batch), **plain), batch)
    assert (loss, norm) == pytest.approx((whole_loss, whole_norm), rel=1e-5)
    for one, other in zip(whole, pieces, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_a_loss_is_the_mean_over_known_positions_and_markers(batch: Batch) -> None:
    stepper = a_stepper(dropout=0.0, batch_norm=False)
    _, loss, _ = gradients(stepper, batch)
    logits = stepper.network(batch.inputs["sequence"]).detach()
    dense = torch.zeros(logits.shape).flatten()
    dense[batch.targets.flat_index(*logits.shape[1:])] = 1
    each = nn.functional.binary_cross_entropy_with_logits(logits, dense.view_as(logits), reduction="none")
    assert loss == pytest.approx(float(each.movedim(1, 2)[batch.mask].mean()), rel=1e-5)


@pytest.mark.parametrize(("fits", "halvings"), [(5, [(6, 3)]), (3, [(6, 3)]), (2, [(6, 3), (3, 1)])])
def test_too_little_memory_is_told_and_gives_the_weights_of_smaller_pieces(
    dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: int, halvings: list[tuple[int, int]]
) -> None:
    """Dropout is drawn and batch norm has seen the batch when memory ends: both must be as if it had not been tried."""
    smaller = replace(ALL, settings=replace(ALL.settings, micro_batch=halvings[-1][1]))
    smaller.run(dense, tmp_path / "smaller")
    change_losses(monkeypatch, full_above(fits))
    said = Recorder()
    ALL.run(dense, tmp_path / "run", progress=said)
    told = [line.split(", whose")[0] for line in said.lines if "out of memory" in line]
    assert told == [
        f"warning: out of memory with {before} windows at a time; going on with {after}" for before, after in halvings
    ]
    for name in ("best", "last"):
        one, other = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("run", "smaller"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert (tmp_path / "run/metrics.csv").read_bytes() == (tmp_path / "smaller/metrics.csv").read_bytes()


def test_what_fits_into_memory_is_remembered(dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_losses(monkeypatch, full_above(3))
    ALL.run(dense, tmp_path / "whole")
    with signal_in_step(signal.SIGTERM, 4), pytest.raises(SystemExit):
        ALL.run(dense, tmp_path / "run")
    said = Recorder()
    ALL.run(dense, tmp_path / "run", resume=True, progress=said)
    assert not [line for line in said.lines if "out of memory" in line]
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_memory_for_no_window_at_all_ends_the_training(
    dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def full(loss: Tensor, batch: Batch, _: int) -> Tensor:
        tried.append(len(batch.mask))
        return full_above(0)(loss, batch, 0)

    change_losses(monkeypatch, full)
    with pytest.raises(
        DilannotError, match="out of memory on cpu with 1 windows at a time: CUDA out of.*smaller net"
    ) as e:
        ALL.run(dense, tmp_path / "run")
    assert e.value.exit_code == ENVIRONMENT
    assert "\n" not in str(e.value)
    assert tried == [6, 3, 1]
    assert not list((tmp_path / "run").glob("*.safetensors"))


BAD: dict[str, tuple[float, str]] = {"nan": (math.nan, "loss is nan"), "infinite": (math.inf, "loss is inf")}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize(("step", "epoch"), [(1, 1), (3, 1), (5, 2)])
def test_a_loss_that_is_no_number_stops_before_anything_is_written(
    dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, step: int, epoch: int
) -> None:
    value, message = BAD[kind]
    change_losses(monkeypatch, lambda loss, _, done: loss * value if done + 1 == step else loss)
    kept = "; weights of earlier epochs are kept" if epoch == 2 else "$"
    run = tmp_path / "run"
    after: list[dict[str, bytes]] = [{}]

    def keep(_: object) -> bool:
        after.append(weights(run))
        return True

    with pytest.raises(DilannotError, match=rf"{message} at step {step} \(epoch {epoch}\).*rate{kept}") as error:
        ALL.run(dense, run, after_epoch=keep)
    assert (error.value.exit_code, error.value.where) == (1, run)
    assert weights(run) == after[-1]
    assert len(after) == epoch


def weights(run: Path) -> dict[str, bytes]:
    """Without the checkpoint, which is one epoch older than what listeners see."""
    return {name: data for name, data in contents(run).items() if name in ("best.safetensors", "last.safetensors")}


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_gradient_that_is_no_number_does_not_get_into_weights(
    dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, clip: float
) -> None:
    """In one element of one tensor, in the fourth step; a checkpoint is kept after every step."""
    forward, count = Objective.forward, itertools.count(1)

    def spoilt(self: Objective, batch: Batch) -> Tensor:
        if next(count) == 4:
            first = next(self.network.parameters())
            first.register_hook(lambda grad: torch.where(torch.arange(grad.numel()).view_as(grad) == 3, value, grad))
        return forward(self, batch)

    training = replace(ALL, settings=replace(ALL.settings, clip=clip, checkpoint_minutes=0.0))
    monkeypatch.setattr(Objective, "forward", spoilt)
    with pytest.raises(DilannotError, match=rf"the gradient's norm is {value} at step 4 \(epoch 2\)"):
        training.run(dense, tmp_path / "run")
    monkeypatch.undo()
    training.run(dense, tmp_path / "run", resume=True)
    training.run(dense, tmp_path / "whole")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


LONG = Training(replace(SHORT, batch_size=1, epochs=3, learning_rate=1e-4))


def test_a_loss_that_grows_without_end_stops_the_training(
    dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_losses(monkeypatch, lambda loss, _, done: loss * 1.2 ** max(done - 20, 0))
    with pytest.raises(
        DilannotError, match=r"the loss grows without end: from 0\.\d+ to \d\.\d+ at step \d\d \(epoch 3"
    ):
        LONG.run(dense, tmp_path / "run")
    assert (tmp_path / "run/last.safetensors").is_file()
    assert (tmp_path / "run/metrics.csv").read_text().splitlines()[-1].startswith("2,34,")


def test_a_loss_that_comes_back_does_not(dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_losses(monkeypatch, lambda loss, _, done: loss * (20 if done == 25 else 1))
    LONG.run(dense, tmp_path / "run")
    assert (tmp_path / "run/metrics.csv").read_text().splitlines()[-1].startswith("3,")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("micro_batch", [0, 2])
def test_a_step_that_is_stopped_never_was(
    batch: Batch, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException], micro_batch: int
) -> None:
    """Wherever in it: here after the last piece's forward pass, when all random numbers are drawn."""
    stepper = a_stepper(replace(SHORT, micro_batch=micro_batch))
    before = {name: each.clone() for name, each in stepper.network.state_dict().items()}
    random = torch.get_rng_state()
    pieces = 3 if micro_batch else 1

    def stop(loss: Tensor, _: Batch, done: int) -> Tensor:
        if done + 1 == pieces:
            raise kind
        return loss

    change_losses(monkeypatch, stop)
    with pytest.raises(kind), stepper.undone_if_stopped():
        gradients(stepper, batch)
    after = stepper.network.state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
    assert torch.equal(torch.get_rng_state(), random)
    monkeypatch.undo()
    gradients(stepper, batch)
    moved = stepper.network.state_dict()
    assert any("running_mean" in name and not torch.equal(before[name], moved[name]) for name in before)
    assert not torch.equal(torch.get_rng_state(), random)


def test_averages_change_places_with_weights_and_back(batch: Batch) -> None:
    stepper = a_stepper(replace(SHORT, ema=0.5))
    gradients(stepper, batch)
    stepper.apply(0.1, 1)
    weights_now = {name: each.clone() for name, each in stepper.network.named_parameters()}
    with stepper.averaged():
        inside = {name: each.clone() for name, each in stepper.network.named_parameters()}
    assert any(not torch.equal(inside[name], weights_now[name]) for name in inside)
    assert all(torch.equal(each, weights_now[name]) for name, each in stepper.network.named_parameters())
