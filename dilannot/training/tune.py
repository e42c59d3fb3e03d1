"""Search for good values: trials in folders of their own, shared by as many processes as are started."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.outputs import locked, make_folder, write_json, write_text
from dilannot.progress import Progress, Silent, Task
from dilannot.training.asked import Asked, ask
from dilannot.training.keeping import drop_weights, keep_best
from dilannot.training.proposals import write_study
from dilannot.training.pruning import history_of, may_be_pruned, too_far_behind, value_after, with_figures
from dilannot.training.settings import Settings
from dilannot.training.train import train
from dilannot.trials import (
    FILES,
    PICTURE,
    RECORD,
    STUDY,
    TABLE,
    TRIALS,
    Search,
    Trial,
    read_record,
    read_trial,
    read_trials,
    record_of,
    written,
)

Keep = Literal["best", "all"]
Draw = Callable[[Search, Path], object]

_DRAWN = 60.0  # seconds between pictures
_PATIENCE = 600.0  # seconds; the others hold a search for the time of copying one run
_TRAINING_STOPPED = "stopped "  # how the loop begins to say how its run goes on: not as ours does


def tune(
    dataset: Path,
    output: Path,
    *,
    model: str | None = None,
    arguments: dict[str, Any] | Sequence[str] = (),
    motifs: Path | None = None,
    grid: str | None = None,
    space: Path | None = None,
    trials: int | None = None,
    settings: Settings | None = None,
    fixed: Sequence[str] = (),
    prune: bool = True,
    keep: Keep = "best",
    device: str = "auto",
    threads: int | None = None,
    draw: Draw | None = None,
    progress: Progress | None = None,
) -> Search:
    """Train a network with many values, and leave a folder with what came of each and the best run.

    The same call goes on with a search that was stopped, or shares the trials of one that runs, on this machine or on
    another one that sees the folder. See `trials` for what is in it.

    Parameters
    ----------
    dataset, model, arguments, motifs, settings
        What is trained, as for `train`. What `arguments` say is not searched.
    output
        Folder of the search.
    grid
        A published one (`grids.GRIDS`) or a TOML file; None searches with Optuna.
    space
        TOML file of what Optuna searches; None is `usual_space`.
    trials
        How many; None is the whole grid. A search that has ended goes on with more.
    fixed
        Settings that are not searched, though the grid has them.
    prune
        Give up trials that are behind the median of the others.
    keep
        Whose weights stay: those of the best trial, or all.
    draw
        Makes a picture of a search, as `report.tuning.draw`: at the end, and now and then before.

    Raises
    ------
    DilannotError
        A bad dataset, grid or file; a folder of another search; trials that all failed.
    """
    progress = progress or Silent()
    asked = ask(
        dataset,
        model=model,
        arguments=arguments,
        motifs=motifs,
        grid=grid,
        space=space,
        trials=trials,
        settings=settings,
        fixed=fixed,
        prune=prune,
    )
    _begin(output, asked)
    _announce(asked, read_trials(output), progress)
    with _on_its_own(device) as here:
        worker = _Worker(asked, output, keep, here, threads, draw, progress)
        try:
            worker.work()
        except (KeyboardInterrupt, SystemExit):
            done = len(asked.search(output, read_trials(output)).ended)
            progress.warn(f"stopped with {done} of {asked.count} trials done; the same command goes on")
            raise
        found = worker.refresh(last=True)
    running = asked.count - len(found.ended)
    if running > 0:
        progress.say(f"trials that other processes still train: {running} of {asked.count}")
    elif found.best is None:
        first = found.trials[0]
        raise DilannotError(f"none of {len(found.trials)} trials has a value; the first: {first.problem}", where=output)
    return found


def _begin(output: Path, asked: Asked) -> None:
    """Make the folder say what is searched, or see that it is the same."""
    others = [name for name in os.listdir(output) if name not in FILES and name[0] != "."] if output.is_dir() else []
    if others and not (output / RECORD).is_file():
        raise DilannotError("is a folder with other things in it", where=output, remedy="give another with -o")
    make_folder(output)
    with _alone(output):
        old = read_record(output)
        if old is not None:
            asked.check_same(old, output)
            return
        (output / TRIALS).mkdir(exist_ok=True)
        write_json(output / RECORD, asked.record(output))


def _announce(asked: Asked, trials: Sequence[Trial], progress: Progress) -> None:
    ended = sum(trial.state != "running" for trial in trials)
    progress.say(str(asked).splitlines()[0] + (f"; {ended} have ended before" if ended else ""))


@dataclass(slots=True)
class _Worker:
    """One process of a search: takes a trial that nobody has, trains it, and so on."""

    asked: Asked
    output: Path
    keep: Keep
    device: str
    threads: int | None
    draw: Draw | None
    progress: Progress
    drawn: float = -_DRAWN

    def work(self) -> None:
        while True:
            with ExitStack() as claimed:
                trial = self._claim(claimed)
                if trial is None:
                    return
                ended = self._train(trial)
                ended.save(self.output)
                self._say(ended, self.refresh())

    def refresh(self, *, last: bool = False) -> Search:
        """Make table, picture and best run those of the trials as they are now; some of it less often, but at last."""
        with _alone(self.output):
            found = self.asked.search(self.output, read_trials(self.output))
            lines = (found.columns(), *found.rows())
            write_text(self.output / TABLE, "".join("\t".join(line) + "\n" for line in lines))
            keep_best(self.output, found.trials)
            if self.keep == "best":
                drop_weights(self.output, found.trials)
            if self.draw is not None and (last or time.monotonic() - self.drawn > _DRAWN):
                self.draw(found, self.output / PICTURE)
                self.drawn = time.monotonic()
            if last and self.asked.by == "optuna":
                write_study(self.asked.space, found.trials, self.output / STUDY)
        return found

    def _claim(self, claimed: ExitStack) -> Trial | None:
        """A trial whose process has died, or a new one; it stays locked as long as `claimed` is open."""
        with _alone(self.output):
            trials = read_trials(self.output)
            ended = {trial.number for trial in trials if trial.state != "running"}
            for number in range(1, self.asked.count + 1):
                path = record_of(self.output, number)
                if number in ended or not _lock(path, claimed):
                    continue
                if not path.is_file():
                    point = self.asked.space.point(self.asked.proposer.propose(number, trials))
                    new = Trial(number, point.values, point.arguments, point.settings)
                    new.save(self.output)
                    return new
                if (trial := read_trial(path)).state == "running":
                    return trial
                claimed.close()  # it ended while we looked
        return None

    def _train(self, trial: Trial) -> Trial:
        """To its end, its failure, or until it is given up."""
        folder = trial.folder(self.output)
        try:
            trial = replace(trial, parameters=self.asked.parameters(trial))
            settings = self.asked.settings_of(trial.settings)
        except DilannotError as error:
            return self._failed(trial, error.problem)
        try:
            train(
                self.asked.dataset,
                folder,
                model=self.asked.model,
                arguments=self.asked.arguments | trial.arguments,
                motifs=self.asked.motifs,
                settings=settings,
                device=self.device,
                threads=self.threads,
                resume=True,
                progress=_OfTrial(f"trial {trial.number}/{self.asked.count}", self.progress),
                after_epoch=self._watch(trial, settings),
            )
        except torch.OutOfMemoryError as error:
            return self._failed(trial, f"out of memory: {str(error).splitlines()[0]}")
        except DilannotError as error:
            # A network too large for the GPU is no fault of the machine, but a point of the search.
            too_large = isinstance(error.__context__, torch.OutOfMemoryError)
            if not too_large and (error.exit_code == ENVIRONMENT or self.asked.reads(error.where)):
                raise
            return self._failed(trial, error.problem)
        recorded = read_trial(record_of(self.output, trial.number))
        if recorded.state == "pruned":
            return recorded
        history = history_of(folder)
        ended = trial if history is None else with_figures(trial, history)
        return replace(ended, state="finished") if ended.value is not None else self._failed(ended, "no PR AUC")

    def _failed(self, trial: Trial, problem: str) -> Trial:
        history = history_of(trial.folder(self.output))
        known = trial if history is None else with_figures(trial, history)
        return replace(known, state="failed", problem=problem)

    def _watch(self, trial: Trial, settings: Settings) -> Callable[[Mapping[str, Any]], bool] | None:
        """What looks at each epoch and says whether the trial goes on; that it does not is written before it ends."""
        if not self.asked.prune:
            return None

        def goes_on(row: Mapping[str, Any]) -> bool:
            history = history_of(trial.folder(self.output))
            if history is None or not may_be_pruned(row, settings):
                return True
            epochs = len(history.epochs)
            others = [
                value_after(each, epochs)
                for other in read_trials(self.output)
                if other.number != trial.number and (other.state == "running" or other.epochs >= epochs)
                if (each := history_of(other.folder(self.output))) is not None
            ]
            if not too_far_behind(value_after(history, epochs), others):
                return True
            replace(with_figures(trial, history), state="pruned").save(self.output)
            return False

        return goes_on

    def _say(self, trial: Trial, found: Search) -> None:
        name = f"trial {trial.number}/{self.asked.count}"
        tried = ", ".join(f"{axis} {written(value)}" for axis, value in trial.values.items())
        if trial.state == "failed":
            self.progress.warn(f"{name} ({tried}) failed: {trial.problem}")
            return
        epochs = f"in epoch {trial.best_epoch} of {trial.epochs}"
        given_up = ", given up" if trial.state == "pruned" else ""
        best = found.best
        standing = "the best so far"
        if best is not None and best.number != trial.number:
            standing = f"best so far: {best.value:.4f} of trial {best.number}"
        self.progress.say(f"{name}: PR AUC {trial.value:.4f} {epochs}{given_up} ({tried}); {standing}")


class _OfTrial:
    """Progress of one training of many: its bars say which, and its own lines would drown those of the search."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name, self._progress = name, progress

    def say(self, message: str) -> None:
        pass

    def warn(self, message: str) -> None:
        if not message.startswith(_TRAINING_STOPPED):
            self._progress.warn(f"{self._name}: {message}")

    @contextmanager
    def task(self, title: str, total: float | None) -> Iterator[Task]:
        with self._progress.task(f"{self._name}, {title}", total) as task:
            yield task


def _lock(path: Path, stack: ExitStack) -> bool:
    """Whether nobody else held it; it is held until the stack closes."""
    try:
        stack.enter_context(locked(path))
    except DilannotError as error:
        if error.exit_code != ENVIRONMENT:
            raise
        return False
    return True


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Hold the folder for the moment; others do so too, and are waited for."""
    until = time.monotonic() + _PATIENCE
    with ExitStack() as stack:
        while not _lock(output, stack):
            if time.monotonic() > until:
                stack.enter_context(locked(output))  # says who it is
                break
            time.sleep(0.05)
        yield


@contextmanager
def _on_its_own(device: str) -> Iterator[str]:
    """Processes that srun or torchrun has started share trials, not one training; each takes a GPU of its own."""
    words = ("RANK", "WORLD_SIZE", "SLURM_PROCID")
    hidden = {word: os.environ.pop(word) for word in words if word in os.environ}
    local = int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", 0)))
    try:
        if hidden and device in ("auto", "cuda") and torch.cuda.device_count() > 1:
            device = f"cuda:{local % torch.cuda.device_count()}"
        yield device
    finally:
        os.environ.update(hidden)
