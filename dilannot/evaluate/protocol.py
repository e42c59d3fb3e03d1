"""How a run is judged: on which windows, regions and markers, on one strand or both, in nucleotides or bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dilannot.data.splits import SPLITS
from dilannot.run import EVALUATION

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
        Probabilities of the user's own at which precision and recall are told.
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

    def file_name(self, others: Sequence[Path] = ()) -> str:
        """Of the table and the record in a run folder, without extension: other ways to judge have other names."""
        parts = [self.split]
        parts += ["regions"] * (not self.everywhere) + ["markers"] * bool(self.markers)
        parts += [f"bin{self.bin_length}"] * (self.bin_length > 1) + ["rc"] * self.both_strands
        parts += ["against", *(other.resolve().name for other in others)] if others else []
        return EVALUATION + "-".join(parts)


DEFAULTS = Protocol()
