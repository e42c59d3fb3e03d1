"""What a search keeps: a copy of the best trial's run folder, and of the other trials no weights."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dilannot.outputs import check_space, move_into_place, replacing, working_folder
from dilannot.run import FILES, STATE, WEIGHTS, Run, read_run
from dilannot.trials import BEST, TRIAL, Trial, best_of, record_of

_OLD = ".best.old"  # while the new one takes its place


def keep_best(search: Path, trials: Sequence[Trial]) -> None:
    """Make `best/` the run of the best trial, whole at every moment but that of two renames."""
    best = best_of(trials)
    if best is None:
        return
    target, record = search / BEST, record_of(search, best.number).read_bytes()
    with suppress(FileNotFoundError):
        if (target / TRIAL).read_bytes() == record:
            return
    source = best.folder(search)
    files = [name for name in FILES if name != STATE and (source / name).is_file()]
    check_space(search, sum((source / name).stat().st_size for name in files), "a copy of the best run")
    with working_folder(search) as work:
        new = work / BEST
        new.mkdir()
        for name in files:
            with replacing(new / name) as temporary:
                shutil.copyfile(source / name, temporary)
        _moved(read_run(source), target, new).save()
        with replacing(new / TRIAL) as temporary:
            temporary.write_bytes(record)
        if target.exists():
            os.replace(target, work / _OLD)  # goes with the working folder
        move_into_place(new, target)


def drop_weights(search: Path, trials: Sequence[Trial]) -> None:
    """Delete weights and checkpoints of the trials that have ended, but the best one's: its copy can be made again."""
    best = best_of(trials)
    for trial in trials:
        if trial.state != "running" and trial is not best:
            for name in (*WEIGHTS.values(), STATE):
                (trial.folder(search) / name).unlink(missing_ok=True)


def _moved(run: Run, target: Path, folder: Path) -> Run:
    """Its record for another place: relative paths start at the run folder."""

    def seen_from_there(recorded: str) -> str:
        if not recorded or os.path.isabs(recorded):
            return recorded
        return os.path.relpath(os.path.realpath(run.path_of(recorded)), os.path.realpath(target))

    return replace(run, folder=folder, genome=seen_from_there(run.genome), dataset=seen_from_there(run.dataset))
