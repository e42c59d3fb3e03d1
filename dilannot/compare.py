"""Runs side by side: what they are, how far they are, and how well they do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dilannot.data.markers import class_order
from dilannot.errors import DilannotError
from dilannot.history import differences, median_speed, read_history
from dilannot.models import count_parameters
from dilannot.progress import Progress, Silent
from dilannot.run import Run, empty_network, read_run

COMPARE_VERSION = 1
TESTED = "evaluation-test.json"


@dataclass(frozen=True, slots=True)
class Row:
    """A run in figures; None is what is not known.

    Attributes
    ----------
    run, model
        Folder, and name of the network.
    parameters
        Trainable ones; None for a network from code that is not trusted here.
    markers, epochs, best_epoch
        Epochs are those done; which is best, see `History.best`.
    validation_loss, validation_pr_auc
        At the best epoch: nats per position and marker; class -> mean PR AUC of its markers.
    test_pr_auc
        The same of the test split, as `evaluate` left it in the run folder; None where it did not.
    nt_per_s
        Training speed, the median over epochs.
    """

    run: str
    model: str
    parameters: int | None
    markers: int
    epochs: int
    best_epoch: int
    validation_loss: float | None
    validation_pr_auc: dict[str, float | None]
    test_pr_auc: dict[str, float | None] | None
    nt_per_s: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of `compare`; `warnings` say why figures are not comparable."""

    rows: list[Row]
    warnings: list[str]

    def classes(self, split: Literal["validation", "test"]) -> list[str]:
        """The classes that some run has figures of."""
        found = (row.validation_pr_auc if split == "validation" else row.test_pr_auc or {} for row in self.rows)
        return class_order(name for each in found for name in each)

    def as_json(self) -> dict[str, Any]:
        """All of it; what is not known is null."""
        return {
            "compare_version": COMPARE_VERSION,
            "warnings": self.warnings,
            "runs": [asdict(row) for row in self.rows],
        }


@dataclass(frozen=True, slots=True)
class _Test:
    """What `evaluate` found on the test split: with the weights of an epoch, in so many positions, per class.

    `protocol` has those of `_PROTOCOL` that are known, as text; records of older versions have few.
    """

    epoch: int
    positions: int
    pr_auc: dict[str, float | None]
    protocol: dict[str, str]


# Fields of the record of an evaluation -> what the runs were tested on, where they differ.
_PROTOCOL = {
    "dataset_digest": "datasets", "bin": "bins", "rc": "strands", "regions": "regions", "exclude": "regions",
    "markers_asked": "markers",
}  # fmt: skip


def compare(runs: Sequence[Path], *, progress: Progress | None = None) -> Comparison:
    """Set runs side by side, in the order given; they may still be training.

    Parameters
    ----------
    runs
        Run folders.
    progress
        Hears why figures are not comparable.

    Raises
    ------
    DilannotError
        No run, no finished epoch, or a damaged file.
    """
    progress = progress or Silent()
    records = [read_run(run) for run in runs]
    tests = [_test(record) for record in records]
    rows = [_row(record, test) for record, test in zip(records, tests, strict=True)]
    warnings = differences(records)
    different = _different([test for test in tests if test], warned=bool(warnings))
    if different:
        warnings.append(f"the runs were tested on different {' and '.join(different)}: test figures are not comparable")
    warnings += [
        f"{row.run}: its test figures are of epoch {test.epoch}, not of the best, {row.best_epoch}; "
        "dilannot evaluate --force makes them again"
        for row, test in zip(rows, tests, strict=True)
        if test and test.epoch != row.best_epoch
    ]
    for warning in warnings:
        progress.warn(warning)
    return Comparison(rows, warnings)


def _different(tests: Sequence[_Test], *, warned: bool) -> list[str]:
    """What the tests differ in; positions tell nothing new of runs that learnt different things."""
    found = [
        said
        for key, said in _PROTOCOL.items()
        if len({test.protocol[key] for test in tests if key in test.protocol}) > 1
    ]
    if not found and not warned and len({test.positions for test in tests}) > 1:
        return ["windows"]
    return list(dict.fromkeys(found))


def _row(run: Run, test: _Test | None) -> Row:
    history = read_history(run)
    return Row(
        run=str(run.folder),
        model=run.model,
        parameters=_parameters(run),
        markers=len(run.markers),
        epochs=len(history.epochs),
        best_epoch=history.best_epoch,
        validation_loss=_known(history.validation_loss[history.best]),
        validation_pr_auc={name: _known(values[history.best]) for name, values in history.pr_auc.items()},
        test_pr_auc=None if test is None else test.pr_auc,
        nt_per_s=_known(median_speed(run)),
    )


def _parameters(run: Run) -> int | None:
    """Nobody asked for the user's own code to be run: where that needs a word from them, this stays unknown."""
    try:
        return count_parameters(empty_network(run))
    except DilannotError:
        return None


def _test(run: Run) -> _Test | None:
    path = run.folder / TESTED
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        pr_auc = {str(name): _known(mean["pr_auc"]) for name, mean in record["class_means"].items()}
        protocol = {key: json.dumps(record[key]) for key in _PROTOCOL if key in record}
        return _Test(int(record["epoch"]), int(record["positions"]), pr_auc, protocol)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DilannotError(
            "is no evaluation that dilannot wrote", where=path, remedy=f"dilannot evaluate {run.folder} --force"
        ) from None


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
