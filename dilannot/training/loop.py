"""The training loop: epochs of steps, a validation after each, and a checkpoint from which it can always go on."""

from __future__ import annotations

import csv
import io
import math
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from dilannot.data.batch import Batch
from dilannot.data.dataset import Dataset
from dilannot.data.order import Augmentation
from dilannot.errors import DilannotError
from dilannot.evaluate.validation import score_split
from dilannot.evaluation import class_means
from dilannot.metrics.scores import scores_of
from dilannot.metrics.thresholds import thresholds_of
from dilannot.outputs import write_text
from dilannot.progress import Progress, Task
from dilannot.ranks import Ranks
from dilannot.run import METRICS, STATE, TIMING, Run, Thresholds, save_weights
from dilannot.training.checkpoint import Place, save_state
from dilannot.training.losses import interval_cross_entropy_sum
from dilannot.training.optimizing import learning_rate
from dilannot.training.prepare import steps_per_epoch, total_steps
from dilannot.training.settings import Settings
from dilannot.training.step import Stepper
from dilannot.training.stopping import Stopping

AfterEpoch = Callable[[Mapping[str, Any]], bool]

_VALIDATED = 25_000  # nt predicted at a time: all their logits exist at once
_MEMORY = 0.95  # of the mean over the last steps that the next step leaves
_SETTLED = 20  # steps before that mean says something
_COIN = math.log(2)  # loss of one who guesses
_GROWTH = 10.0  # times the smallest mean is no accident


@dataclass(slots=True)
class Loop:
    """A training, and all it needs; `place` is how far it has come.

    Attributes
    ----------
    run, data, settings, inputs, workers
        What is trained on what, and how; the processes that read ahead.
    stepper, ranks, stopping, progress
        Who does the steps, with whom, what may stop them, and who is told.
    listeners
        See each row of the metrics; training ends early when one says no.
    """

    run: Run
    data: Dataset
    settings: Settings
    inputs: Sequence[str]
    stepper: Stepper
    ranks: Ranks
    stopping: Stopping
    progress: Progress
    workers: int
    listeners: list[AfterEpoch] = field(default_factory=list)
    place: Place = field(default_factory=Place)
    _saved: float = field(default_factory=time.monotonic)
    _began: float = 0.0

    def train(self) -> None:
        """To the end, or to a signal: then a checkpoint is written, and the signal goes on.

        Raises
        ------
        DilannotError
            The loss is no number any more, or grows without end.
        """
        with self.stopping.held():
            ended = False
            while not ended:
                try:
                    self._train_epoch()
                    row, thresholds = self._validate()
                except (KeyboardInterrupt, SystemExit):
                    self._save_for_later()
                    raise
                ended = self._end_epoch(row, thresholds)

    def _save_for_later(self) -> None:
        if not self.place.step:
            self.progress.warn("stopped before the first step; nothing is kept")
            return
        save_state(self.run, self.place, self.stepper, self.data, self.ranks)
        self.progress.warn(
            f"stopped after step {self.place.step:,} (epoch {self.place.epoch}); "
            f"go on with: dilannot train --resume -o {self.run.folder}"
        )
        self.ranks.wait()  # launchers kill the others once one has left, and the first may still be writing

    def _train_epoch(self) -> None:
        """The steps of the epoch that are not done yet."""
        place, settings = self.place, self.settings
        self.stepper.network.train()
        windows = len(self.data.rows("train"))
        batches = self.data.batches(
            "train",
            settings.batch_size,
            shuffle_seed=(settings.seed, place.epoch),
            augmentation=Augmentation(reverse_complement=settings.reverse_complement, shift=settings.shift),
            first_step=place.epoch_step,
            rank=self.ranks.rank,
            ranks=self.ranks.count,
            workers=self.workers,
        )
        limit = total_steps(self.data, settings, self.ranks.count)
        with self.progress.task(f"epoch {place.epoch}/{self._epochs()}", windows * self.data.length) as task:
            task.advance(place.windows * self.data.length)
            self._began = time.monotonic() - place.seconds
            for batch in self._while_not_stopped(batches):
                if place.step >= limit:
                    break
                self._step(batch, limit, task)

    def _while_not_stopped(self, batches: Iterator[Batch]) -> Iterator[Batch | None]:
        """Batches, and None where a signal to all processes of a job has ended those that read ahead."""
        try:
            yield from batches
        except DilannotError:
            if not self.stopping.came:
                raise
            yield None

    def _step(self, batch: Batch | None, limit: int, task: Task) -> None:
        place, settings = self.place, self.settings
        due = self.ranks.first and time.monotonic() - self._saved >= 60 * settings.checkpoint_minutes
        mine = (float(batch.mask.sum()), len(batch.mask)) if batch else (0.0, 0)
        positions, windows, stops, saves = self.ranks.sum(*mine, bool(self.stopping.came), due)
        if stops or batch is None:
            self.stopping.leave()
        with self.stepper.undone_if_stopped(), self.stopping.breakable():
            loss, norm = self.stepper.gradients(batch.to(self.ranks.device), positions, windows)
        self._check_finite("loss", loss)
        self._check_finite("gradient's norm", norm)
        self.stepper.apply(learning_rate(settings, place.step, limit, place.scale), place.step + 1)
        place.step += 1
        place.epoch_step += 1
        place.loss += loss * windows
        place.windows += int(windows)
        place.seconds = time.monotonic() - self._began
        self._check_growth(loss)
        if saves:
            save_state(self.run, place, self.stepper, self.data, self.ranks)
            self._saved = time.monotonic()
        task.advance(
            windows * self.data.length, f"loss {place.loss / place.windows:.4f}, {self._speed()}, {_memory():.1f} GB"
        )

    def _leave_together(self) -> None:
        """Where a signal has come to any of several processes, all leave."""
        if self.ranks.count > 1 and any(self.ranks.sum(bool(self.stopping.came))):
            self.stopping.leave()

    def _epochs(self) -> int:
        """How many there will be at most."""
        each = max(steps_per_epoch(self.data, self.settings, self.ranks.count), 1)
        return -(-total_steps(self.data, self.settings, self.ranks.count) // each)

    def _speed(self) -> str:
        return f"{self.place.windows * self.data.length / max(self.place.seconds, 1e-9):,.0f} nt/s"

    def _validate(self) -> tuple[dict[str, Any], Thresholds]:
        """The epoch's row of the metrics, and the thresholds for calls."""
        place = self.place
        self.ranks.share(self.stepper.network)  # what a user's own layers keep may differ
        with self.stepper.averaged():
            self._check_finite(
                "sum of the weights",
                float(sum(each.detach().double().sum() for each in self.stepper.network.parameters())),
            )
            with self.stopping.breakable():
                histograms, loss = score_split(
                    self.stepper.network,
                    self.data,
                    "validation",
                    batch_size=max(1, _VALIDATED // self.data.length),
                    device=self.ranks.device,
                    progress=self.progress,
                    inputs=self.inputs,
                    loss=interval_cross_entropy_sum,
                    ranks=self.ranks,
                    together=self._leave_together,
                )
        self._check_finite("validation loss", loss)
        counted = histograms.everything, histograms.positive, histograms.space, histograms.shift
        means = class_means(scores_of(*counted), self.data.markers)
        loss, *pr_aucs = self.ranks.of_first([loss, *(mean.pr_auc for mean in means.values())])
        steps = total_steps(self.data, self.settings, self.ranks.count)
        row = {
            "epoch": place.epoch,
            "step": place.step,
            "learning_rate": learning_rate(self.settings, max(place.step - 1, 0), steps, place.scale),
            "train_loss": place.loss / max(place.windows, 1),
            "validation_loss": loss,
            **{f"pr_auc_{name}": value for name, value in zip(means, pr_aucs, strict=True)},
        }
        return row, {str(rule): values for rule, values in thresholds_of(*counted).items()}

    def _end_epoch(self, row: dict[str, Any], thresholds: Thresholds) -> bool:
        """Keep what the epoch has made; whether it was the last one."""
        place = self.place
        if place.epoch == 1:  # weights without a checkpoint beside them are those of a training that has ended
            save_state(self.run, place, self.stepper, self.data, self.ranks)
        nucleotides = place.windows * self.data.length
        place.rows.append(row)
        place.times.append(
            {
                "epoch": place.epoch,
                "nt": nucleotides,
                "seconds": place.seconds,
                "nt_per_s": nucleotides / max(place.seconds, 1e-9),
                "memory_gb": _memory(),
            }
        )
        better = self._judge(row)
        if self.ranks.first:
            with self.stepper.averaged():
                weights = self.stepper.network.state_dict()
                for which in ("best", "last") if better else ("last",):
                    save_weights(self.run, which, weights, epoch=place.epoch, thresholds=thresholds)
            write_text(self.run.folder / METRICS, _csv(place.rows))
            write_text(self.run.folder / TIMING, _csv(place.times))
        self._say(row)
        ended = self._ended(row)
        if ended:
            if self.ranks.first:
                (self.run.folder / STATE).unlink(missing_ok=True)
            return True
        place.epoch += 1
        place.epoch_step = place.windows = 0
        place.loss = place.seconds = 0.0
        save_state(self.run, place, self.stepper, self.data, self.ranks)
        self._saved = time.monotonic()
        return False

    def _judge(self, row: dict[str, Any]) -> bool:
        """Whether this is the best epoch so far; where it is not for long, the rate goes down."""
        place, settings = self.place, self.settings
        defined = [value for name, value in row.items() if name.startswith("pr_auc_") and np.isfinite(value)]
        # Without any positive to rank, the loss decides.
        by_loss = settings.watch == "loss" or not defined
        goodness = -float(row["validation_loss"]) if by_loss else float(np.mean(defined))
        if place.best is None or goodness > place.best:
            place.best, place.best_epoch, place.plateau = goodness, place.epoch, 0
            return True
        place.plateau += 1
        if settings.schedule == "plateau" and place.plateau >= settings.plateau_patience:
            place.scale, place.plateau = place.scale * settings.plateau_factor, 0
        return False

    def _ended(self, row: dict[str, Any]) -> bool:
        place, settings = self.place, self.settings
        goes_on = [listener(row) for listener in self.listeners]
        if place.epoch >= settings.epochs:
            return True
        if settings.patience and place.epoch - place.best_epoch >= settings.patience:
            self.progress.say(f"stopped: no better epoch since epoch {place.best_epoch}")
            return True
        if place.step >= total_steps(self.data, settings, self.ranks.count):
            self.progress.say(f"stopped after {place.step:,} steps, as max_steps says")
            return True
        return not all(goes_on)

    def _say(self, row: dict[str, Any]) -> None:
        place = self.place
        shown = ", ".join(f"{name[7:]} {value:.3f}" for name, value in row.items() if name.startswith("pr_auc_"))
        steps = steps_per_epoch(self.data, self.settings, self.ranks.count)
        left = total_steps(self.data, self.settings, self.ranks.count) - place.step
        minutes = place.seconds / max(place.epoch_step, 1) * left / 60
        self.progress.say(
            f"epoch {place.epoch}/{self._epochs()}: loss {row['train_loss']:.4f}, "
            f"validation {row['validation_loss']:.4f}, PR AUC {shown}; {self._speed()}"
            + (f", {minutes:,.0f} min left" if left >= steps and minutes >= 1 else "")
        )

    def _check_finite(self, what: str, value: float) -> None:
        """Stop before a number that is none gets into weights, and they onto the disk."""
        if not math.isfinite(value):
            self._fail(f"the {what} is {value} at step {self.place.step + 1} (epoch {self.place.epoch})")

    def _check_growth(self, loss: float) -> None:
        """Stop a training that gets worse than guessing, and does not come back."""
        place = self.place
        place.recent = loss if place.step == 1 else _MEMORY * place.recent + (1 - _MEMORY) * loss
        if place.step < _SETTLED:
            return
        place.lowest = min(place.lowest, place.recent) if place.step > _SETTLED else place.recent
        if place.recent > max(_COIN, _GROWTH * place.lowest):
            self._fail(
                f"the loss grows without end: from {place.lowest:.3g} to {place.recent:.3g} at step {place.step} "
                f"(epoch {place.epoch})"
            )

    def _fail(self, problem: str) -> None:
        kept = any(self.place.rows)
        raise DilannotError(
            problem,
            where=self.run.folder,
            remedy="use a lower --learning-rate" + ("; weights of earlier epochs are kept" if kept else ""),
        )


def _memory() -> float:
    """Most memory that was ever in use, GB: that of the GPU where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    columns = {name: None for row in rows for name in row}
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})
    return text.getvalue()
