"""What a dataset is to be: which windows there are, what is labelled, who trains on what."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal

from dilannot.errors import USAGE, DilannotError

Task = Literal["dense", "window"]
Mode = Literal["blocks", "windows", "chromosomes", "deepsea"]
Overlap = Literal["more", "least"]

WINDOW = 25_000  # bp; thesis section 3.3, paper section 3
BIN, CONTEXT = 200, 400  # bp; Zhou & Troyanskaya 2015
LONGEST = 1 << 30


def exact(fraction: float) -> Fraction:
    """The fraction as it was written: 0.55 of 200 bp are 110 bp, not a little more."""
    return Fraction(str(fraction))


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """Settings of `build_dataset`.

    Attributes
    ----------
    task
        `dense`: a label for every nucleotide of a window. `window`: one label for a bin in the middle of its window.
    window
        Length of a dense window, bp.
    bin, context
        Length of a labelled bin, and of the sequence on either side that goes with it, bp (task `window`).
    max_n, max_excluded
        A window (context included) stays if at most this fraction of it is N, or excluded.
    min_overlap, overlap
        A bin is positive if `more` than this fraction of it lies in peaks (DeepSEA), or at `least` (Selene).
    all_bins
        Keep bins without any TFBS label too.
    split, seed
        See `splits.assign`; without a mode the contigs decide.
    validation_chroms, test_chroms
        Held-out contigs of split `chromosomes`, names or globs; DeepSEA's without any.
    chroms
        Contigs that windows are cut from, names or globs; all without any.
    min_peaks
        Markers with fewer peaks on the genome are left out.
    """

    task: Task = "dense"
    window: int = WINDOW
    bin: int = BIN
    context: int = CONTEXT
    max_n: float = 0.1
    max_excluded: float = 0.1
    min_overlap: float = 0.5
    overlap: Overlap = "more"
    all_bins: bool = False
    split: Mode | None = None
    seed: int = 0
    validation_chroms: tuple[str, ...] = ()
    test_chroms: tuple[str, ...] = ()
    chroms: tuple[str, ...] = ()
    min_peaks: int = 0

    def __post_init__(self) -> None:
        for name, value, least in (("window", self.window, 1), ("bin", self.bin, 1), ("context", self.context, 0)):
            if not least <= value <= LONGEST:
                published = {"window": WINDOW, "bin": BIN, "context": CONTEXT}[name]
                raise DilannotError(
                    f"a {name} of {value} bp",
                    where=f"--{name}",
                    remedy=f"{published} is the published length",
                    exit_code=USAGE,
                )
        for name in ("max_n", "max_excluded", "min_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise DilannotError(
                    f"{getattr(self, name)} is no fraction", where=f"--{name.replace('_', '-')}", exit_code=USAGE
                )
        if self.split not in (None, "chromosomes") and (self.validation_chroms or self.test_chroms):
            raise DilannotError(
                f"--split {self.split} does not go by contigs",
                where="--validation-chroms, --test-chroms",
                remedy="use --split chromosomes",
                exit_code=USAGE,
            )
        if self.task == "window" and self.overlap == "more" and self.min_overlap >= 1:
            raise DilannotError(
                "no bin can lie in peaks by more than all of it",
                where="--min-overlap",
                remedy="use --overlap least",
                exit_code=USAGE,
            )

    @property
    def unit(self) -> int:
        """Labelled bases of a window, bp: windows start at its multiples."""
        return self.window if self.task == "dense" else self.bin

    @property
    def reach(self) -> int:
        """Bases of input on either side of the labelled ones, bp."""
        return 0 if self.task == "dense" else self.context

    def as_record(self, mode: Mode) -> dict[str, Any]:
        """What belongs to the task, with the split that was chosen, for the provenance."""
        other = ("bin", "context", "min_overlap", "overlap", "all_bins") if self.task == "dense" else ("window",)
        record = {name: value for name, value in asdict(self).items() if name not in other} | {"split": mode}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in record.items()}
