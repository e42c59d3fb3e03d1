"""How a run is judged: on which windows, regions and markers, on one strand or both, in nucleotides or bins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dilannot.data import schema
from dilannot.data.splits import SPLITS
from dilannot.errors import USAGE, DilannotError
from dilannot.run import EVALUATION, Run, Which

ALL = "all"
SPLIT_CHOICES = (*SPLITS, ALL)


@dataclass(frozen=True, slots=True)
class Protocol:
    """What is judged, and how.

    Attributes
    ----------
    split
        `train`, `validation`, `test` or `all` windows of the dataset.
    regions, regions_file, exclude
        Where: see `scope`. Positions elsewhere do not count.
    markers
        Names, patterns, `class=...`: see `select_markers`; all without any.
    both_strands
        Average the probabilities of a sequence and of its reverse complement.
    bin_length
        Judge means over so many nt; a bin is positive where more than half of it is, as DeepSEA's are.
    thresholds
        Scores of the user's own from which on precision and recall are told; of runs, probabilities.
    replicates, seed
        Of the resampling for intervals; 0 replicates make none.
    """

    split: str = "test"
    regions: Sequence[str] = ()
    regions_file: Path | None = None
    exclude: Sequence[str] = ()
    markers: Sequence[str] = ()
    both_strands: bool = False
    bin_length: int = 1
    thresholds: Sequence[float] = ()
    replicates: int = 1000
    seed: int = 0

    @property
    def everywhere(self) -> bool:
        """Whether no regions are asked for."""
        return not (self.regions or self.regions_file or self.exclude)

    def file_name(self, others: Sequence[Path] = (), dataset: Path | None = None, weights: Which = "best") -> str:
        """Of the table and the record in a run folder, without extension: other ways to judge have other names.

        Parameters
        ----------
        others
            Runs that it is compared with.
        dataset
            Where it is not the run's own.
        weights
            Of which epoch.
        """
        parts = [self.split, *(["on", dataset.stem] if dataset else [])]
        parts += ["regions"] * (not self.everywhere) + ["markers"] * bool(self.markers)
        parts += [f"bin{self.bin_length}"] * (self.bin_length > 1) + ["rc"] * self.both_strands
        parts += [weights] * (weights != "best")
        parts += ["against", *(other.resolve().name for other in others)] if others else []
        return EVALUATION + "-".join(parts)


DEFAULTS = Protocol()


def other_dataset(run: Run, dataset: Path | None) -> Path | None:
    """The dataset, where it is not the one that the run was trained on."""
    if dataset is None:
        return None
    with schema.open_dataset(dataset) as file, schema.reading(dataset):
        return dataset if schema.digest(file) != run.dataset_digest else None


def check_thresholds(thresholds: Sequence[float], *, probabilities: bool) -> None:
    """Refuse what is no threshold, and two that would have one name.

    Parameters
    ----------
    thresholds
        Of the user.
    probabilities
        Whether scores are; else any finite number will do.

    Raises
    ------
    DilannotError
        With the exit code of a mistyped command.
    """
    said: dict[str, float] = {}
    for value in thresholds:
        problem, remedy = "", "give a number"
        if not math.isfinite(value):
            problem = f"{value} is no threshold"
        elif probabilities and not 0 <= value <= 1:
            problem, remedy = f"{value} is no probability", "give a number from 0 to 1"
        elif (name := f"{value:g}") in said:
            problem, remedy = f"{said[name]} and {value} are the same, or alike in six digits", "give one of them"
        if problem:
            raise DilannotError(problem, where="--threshold", remedy=remedy, exit_code=USAGE)
        said[name] = value
