"""What is settled before the first step: whether dataset, network and settings fit, and what the run records."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dilannot.data.dataset import Dataset
from dilannot.errors import DilannotError
from dilannot.models import build_without_memory, count_parameters, entry, full_arguments, resolve
from dilannot.models.arguments import parse_arguments
from dilannot.models.registry import check_arguments
from dilannot.run import (
    BOARD,
    CODE,
    FILES,
    RECORD,
    STATE,
    WEIGHTS,
    Run,
    check_same_markers,
    evaluations,
    read_run,
)  # fmt: skip
from dilannot.training.network import Choice, choose, default_model
from dilannot.training.recipes import resolve_settings
from dilannot.training.settings import Settings
from dilannot.trust import keep_code, run_kept_code


def steps_per_epoch(data: Dataset, settings: Settings, ranks: int = 1) -> int:
    """Batches of an epoch in which every process has a window."""
    full, rest = divmod(len(data.rows("train")), settings.batch_size)
    return full + (rest >= ranks)


def total_steps(data: Dataset, settings: Settings, ranks: int = 1) -> int:
    """Steps that training will take at most."""
    steps = settings.epochs * steps_per_epoch(data, settings, ranks)
    return min(steps, settings.max_steps or steps)


def plan(
    dataset: Path | None,
    settings: Settings,
    model: str | None = None,
    arguments: dict[str, Any] | Sequence[str] = (),
    motifs: Path | None = None,
    *,
    output: Path,
    force: bool = False,
    resume: bool = False,
) -> str:
    """What a training would do, in a sentence.

    Raises
    ------
    DilannotError
        What the training would refuse.
    """
    old = begun(output) if resume else None
    if old is None:
        check_output(output, force)
    elif has_ended(old):
        check_ended(old, settings, model, arguments)
        return f"{output}: this training has ended; nothing is left to do"
    with Dataset(dataset_of(dataset, old)) as data:
        settings = settings.for_task(data.task)
        choice = choice_of(data, old, model, arguments, motifs, settings, fresh=False)
        check_dataset(data, settings)
        if old is not None:
            check_same(old, record_of(data, output, choice, settings))
        parameters = count_parameters(build_without_memory(choice.model, len(data.markers), **choice.arguments))
        return (
            f"{choice.model}, {parameters:,} parameters, "
            f"{total_steps(data, settings):,} steps of {settings.batch_size} x {data.window:,} nt over "
            f"{len(data.rows('train')):,} windows and {len(data.markers):,} markers, "
            f"{settings.epochs} epochs of recipe {settings.recipe}, "
            f"validated on {len(data.rows('validation')):,} windows"
        )


def dataset_of(given: Path | None, old: Run | None) -> Path:
    """What is named; without that, what was begun with."""
    if given is not None:
        return given
    return Path("dataset.h5") if old is None else old.recorded_file("dataset", "train --resume -o")


def choice_of(
    data: Dataset,
    old: Run | None,
    model: str | None,
    arguments: dict[str, Any] | Sequence[str],
    motifs: Path | None,
    settings: Settings,
    *,
    fresh: bool,
) -> Choice:
    """What is asked for; what is not said is as it was begun."""
    if old is None or model is not None or motifs:
        usual = default_model(data.task, settings) if old is None else old.model
        choice = choose(data, model or usual, arguments, motifs)
        if settings.initial == "published" and choice.arguments.get("known_motifs"):
            raise DilannotError(
                f"model {choice.model!r} starts from known motifs, not as published",
                where="--recipe",
                remedy="give --setting initial=base-rates, or --set known_motifs=false",
            )
        return choice
    if old.code is not None:
        run_kept_code(old.folder / CODE, old.code["sha256"], trust_code=False)
    if fresh and old.motifs:
        raise DilannotError(
            f"began with the motifs of {old.motifs['file']}, and has no checkpoint yet",
            where=old.folder,
            remedy="give them again with --motifs",
        )
    return Choice(old.model, full_arguments(old.model, old.arguments | _typed(old.model, arguments)), [], None)


def _typed(model: str, arguments: dict[str, Any] | Sequence[str]) -> dict[str, Any]:
    typed = arguments if isinstance(arguments, dict) else parse_arguments(model, arguments)
    check_arguments(model, typed)
    return typed


def check_output(output: Path, force: bool) -> None:
    """Refuse a folder that holds a run already, or other things.

    Raises
    ------
    DilannotError
        It does.
    """
    _check_names(output)
    if os.path.lexists(output / STATE) and (output / RECORD).exists() and not force:
        raise DilannotError(
            "holds a training that has not ended",
            where=output,
            remedy="go on with --resume, or use --force to replace it",
        )
    # A run without weights was stopped in its first epoch: nothing is lost with it.
    if (output / RECORD).exists() and any((output / name).exists() for name in WEIGHTS.values()) and not force:
        raise DilannotError("holds a run already", where=output, remedy="use --force to replace it, or -o for another")
    # Parts of a run without its record are what a killed training leaves.
    known = {*FILES, *evaluations(output), BOARD}
    others = [name for name in os.listdir(output) if name not in known and name[0] != "."] if output.is_dir() else []
    if others and not (output / RECORD).exists():
        raise DilannotError("is a folder with other things in it", where=output, remedy="give another with -o")


def check_dataset(data: Dataset, settings: Settings, ranks: int = 1) -> None:
    """Refuse a dataset that cannot be trained with these settings.

    Raises
    ------
    DilannotError
        It lacks a split, or its windows are too few or too short.
    """
    for split in ("train", "validation"):
        if not len(data.rows(split)):
            raise DilannotError(f"holds no {split} windows", where=data.path, remedy="use a dataset that has both")
    if settings.shift >= data.window:
        raise DilannotError(f"windows of {data.window:,} bp cannot be shifted by {settings.shift:,}", where="--shift")
    if min(settings.batch_size, len(data.rows("train"))) < ranks:
        raise DilannotError(
            f"a step of {settings.batch_size} windows (of {len(data.rows('train'))}) has none for some of {ranks} "
            "processes",
            where="--batch-size",
            remedy="use larger batches or fewer processes",
        )


def begin_run(run: Run, choice: Choice, force: bool) -> None:
    """Make the run folder, which is ours now, say what is going to be trained, with nothing of an older run in it."""
    check_output(run.folder, force)  # another training may have been quicker
    for name in (*FILES, *evaluations(run.folder)):
        (run.folder / name).unlink(missing_ok=True)
    shutil.rmtree(run.folder / BOARD, ignore_errors=True)
    if code := entry(choice.model).code:
        keep_code(run.folder / CODE, code.source)
    run.save()  # its record last: with it, a training has begun


def go_on(old: Run, run: Run) -> None:
    """Make the run folder, which is ours now, say where its dataset is."""
    if not os.path.lexists(run.folder / STATE):
        raise DilannotError("another process has ended this training", where=run.folder)
    if run != old:
        run.save()


def record_of(data: Dataset, output: Path, choice: Choice, settings: Settings) -> Run:
    """What the run folder says."""

    def from_run(path: Path) -> str:
        """Relative paths stay relative: run, dataset and genome can move together."""
        return str(path) if path.is_absolute() else os.path.relpath(os.path.realpath(path), os.path.realpath(output))

    genome = None if data.provenance["genome"] is None else Path(data.provenance["genome"])  # None: imported
    if genome is not None and not genome.is_absolute():
        genome = Path(os.path.realpath(data.path.parent), genome)
        genome = genome if data.path.is_absolute() else Path(os.path.relpath(genome))
    code = entry(choice.model).code
    return Run(
        folder=output,
        model=choice.model,
        output=entry(choice.model).output,
        arguments=choice.arguments,
        code=None if code is None else {"file": code.path.name, "sha256": code.sha256},
        markers=data.markers,
        window=data.window,
        length=data.length,
        motifs=choice.motif_record(),
        genome="" if genome is None else from_run(genome),
        dataset=from_run(data.path),
        dataset_digest=data.digest,
        contigs=[] if genome is None else data.contigs,
        settings=settings.as_dict(),
    )


def begun(output: Path) -> Run | None:
    """The run that `--resume` goes on with; None where none has begun.

    Raises
    ------
    DilannotError
        A damaged record.
    """
    if not (output / RECORD).is_file():
        return None
    _check_names(output)
    return read_run(output)


def has_ended(run: Run) -> bool:
    """Whether there is nothing left to train: weights without a checkpoint."""
    kept = any((run.folder / name).is_file() for name in WEIGHTS.values())
    return kept and not os.path.lexists(run.folder / STATE)


def asked_settings(
    output: Path, recipe: str | None, config: Path | None, given: Mapping[str, Any], *, resume: bool
) -> Settings:
    """What a command asks for: of a training that goes on, what is not given stays.

    Raises
    ------
    DilannotError
        See `resolve_settings` and `recorded_settings`.
    """
    old = begun(output) if resume else None
    if old is None or recipe or config:
        return resolve_settings(recipe, config, given)
    return recorded_settings(old).changed(given)


def check_ended(
    run: Run, settings: Settings | None, model: str | None, arguments: dict[str, Any] | Sequence[str]
) -> None:
    """Refuse another network or other settings than a run was trained with, as far as they are given.

    Raises
    ------
    DilannotError
        The first that differs.
    """
    name = run.model if model is None else resolve(model)
    _compare(run, {"model": run.model}, {"model": name})
    if arguments:
        if run.code is not None and model is None:
            run_kept_code(run.folder / CODE, run.code["sha256"], trust_code=False)
        _compare(run, run.arguments, full_arguments(name, run.arguments | _typed(name, arguments)))
    if settings is not None:
        _compare(run, run.settings, settings.for_task(run.output).as_dict())


def _check_names(output: Path) -> None:
    """Refuse folders where files belong, now and not after an epoch."""
    for name in (*FILES, *evaluations(output)):
        if (output / name).is_dir():
            raise DilannotError("is a directory, not a file", where=output / name, remedy="remove it")


def recorded_settings(run: Run) -> Settings:
    """How a run was trained.

    Raises
    ------
    DilannotError
        The file was changed to something else.
    """
    try:
        return Settings(**run.settings)
    except (TypeError, DilannotError) as error:
        raise DilannotError(f"settings.toml is damaged: {error}", where=run.folder, remedy="train it again") from None


def check_same(run: Run, now: Run) -> Run:
    """Refuse to go on with another network or other settings than the run began with.

    Returns
    -------
    run
        What it began as; with the dataset's and genome's new places, where they have moved.

    Raises
    ------
    DilannotError
        The first that differs.
    """
    check_same_markers(run, now.markers, now.path_of(now.dataset))
    if run.dataset_digest != now.dataset_digest:
        raise DilannotError(
            "has changed since this training began: its windows or splits differ",
            where=now.path_of(now.dataset),
            remedy=f"build it as before, or begin {run.folder} anew with --force",
        )
    old, new = _decided(run), _decided(now)
    if now.motifs is None:  # they have done their work
        old |= {"motifs": None}
    _compare(run, old, new)
    if os.path.realpath(run.path_of(run.dataset)) == os.path.realpath(now.path_of(now.dataset)):
        return run
    return replace(run, dataset=now.dataset, genome=now.genome)


def _compare(run: Run, old: dict[str, Any], new: dict[str, Any]) -> None:
    for name in old | new:
        if old.get(name) != new.get(name):
            raise DilannotError(
                f"this training began with {name} = {old.get(name)}, not {new.get(name)}",
                where=run.folder,
                remedy="leave that out, or begin anew with --force",
            )


def _decided(run: Run) -> dict[str, Any]:
    """What must not change while a training is interrupted, besides the dataset."""
    own = {"SHA-256 of its file": run.code and run.code["sha256"], "motifs": run.motifs and run.motifs["sha256"]}
    markers = {f"class of {marker.name}": marker.marker_class for marker in run.markers}
    geometry = {"window": run.window, "length": run.length}
    return {"model": run.model, **geometry, **own, **markers, **run.arguments, **run.settings}
