"""Which values the next trial of a search gets: those of a grid in a random order, or what Optuna makes of the others.

Both are functions of the seed, the number of the trial and the records of the trials before it, and remember nothing:
any process can go on with any search.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.outputs import replacing
from dilannot.training.space import Axis, Space
from dilannot.trials import Trial

_LARGEST = 1_000_000  # points of a grid whose order is drawn
_ATTEMPTS = 8  # to get values from Optuna that nobody has tried


class Proposer(Protocol):
    """Values for trials, counted from 1; `count` is how many trials there will be."""

    by: str
    count: int

    def propose(self, number: int, trials: Sequence[Trial]) -> dict[str, Any]:
        """For a trial that none of `trials` is."""
        ...


class FromGrid:
    """The points of a grid in an order drawn by the seed: all of them, or the first `count`."""

    by = "grid"

    def __init__(self, space: Space, seed: int, count: int | None) -> None:
        if space.size > _LARGEST:
            raise DilannotError(
                f"{space.name} has {space.size:,} points",
                where="--grid",
                remedy="search so many with Optuna: --space FILE --trials N",
            )
        self.count = min(count or space.size, space.size)
        self._space = space
        self._order = np.random.default_rng(seed).permutation(space.size)

    def propose(self, number: int, trials: Sequence[Trial]) -> dict[str, Any]:
        """The point of that place in the order."""
        return self._space.values(int(self._order[number - 1]))


class FromOptuna:
    """Optuna's TPE, told of all the other trials."""

    by = "optuna"

    def __init__(self, space: Space, seed: int, count: int) -> None:
        _import()  # before any work
        self.count = count
        self._space = space
        self._seed = seed

    def propose(self, number: int, trials: Sequence[Trial]) -> dict[str, Any]:
        """What no trial has tried yet, where that can be had."""
        optuna = _import()
        tried = [json.dumps(trial.values) for trial in trials]
        wanted = {axis.name: _distribution(axis) for axis in self._space.axes}
        with _silent():
            study = optuna.create_study(direction="maximize")
            study.add_trials([_frozen(trial, self._space) for trial in trials])
            for attempt in range(_ATTEMPTS):
                seed = int(np.random.SeedSequence([self._seed, number, attempt]).generate_state(1)[0])
                study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
                params = study.ask(wanted).params
                values = {axis.name: _value(axis, params[axis.name]) for axis in self._space.axes}
                if json.dumps(values) not in tried:
                    break
        return values


def write_study(space: Space, trials: Sequence[Trial], path: Path) -> None:
    """The trials as a journal of Optuna's, for its own tools; nothing here reads it."""
    optuna = _import()
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    with _silent(), replacing(path) as temporary:
        storage = JournalStorage(JournalFileBackend(str(temporary)))
        study = optuna.create_study(study_name="dilannot tune", storage=storage, direction="maximize")
        study.add_trials([_frozen(trial, space) for trial in trials])


def _import() -> Any:
    try:
        import optuna
    except ImportError:
        raise DilannotError(
            "Optuna is not installed",
            remedy="pip install 'dilannot[tune]', or search a grid with --grid",
            exit_code=ENVIRONMENT,
        ) from None
    return optuna


@contextmanager
def _silent() -> Iterator[None]:
    """Optuna logs every trial, and warns of each of its parts that is young."""
    optuna = _import()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _distribution(axis: Axis) -> Any:
    found = _import().distributions
    if axis.range is None:
        return found.CategoricalDistribution([_label(choice) for choice in axis.choices])
    kind = found.IntDistribution if axis.range.whole else found.FloatDistribution
    return kind(axis.range.low, axis.range.high, log=axis.range.log)


def _label(choice: Any) -> Any:
    """Optuna's choices are no lists."""
    return json.dumps(choice) if isinstance(choice, list | dict) else choice


def _value(axis: Axis, param: Any) -> Any:
    if axis.range is not None:
        return axis.range.rounded(param)
    return next(choice for choice in axis.choices if _label(choice) == param and type(_label(choice)) is type(param))


def _frozen(trial: Trial, space: Space) -> Any:
    """A trial as Optuna knows it. One that failed is as bad as can be: without a value, it would be proposed again."""
    optuna = _import()
    states = optuna.trial.TrialState
    value: float | None = 0.0 if trial.state == "failed" else trial.value
    state = {"running": states.RUNNING, "pruned": states.PRUNED}.get(trial.state, states.COMPLETE)
    return optuna.trial.create_trial(
        state=state,
        value=value if state == states.COMPLETE else None,
        intermediate_values={} if trial.value is None else {trial.epochs: trial.value},
        params={axis.name: _label(trial.values[axis.name]) for axis in space.axes},
        distributions={axis.name: _distribution(axis) for axis in space.axes},
    )
