"""What an evaluation found: figures per marker and class, their intervals, curves, and differences to other runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dilannot.data.markers import Marker, class_order
from dilannot.metrics.bootstrap import Figure
from dilannot.metrics.keys import Space
from dilannot.metrics.scores import Floats, Scores
from dilannot.metrics.shapes import Shapes
from dilannot.metrics.thresholds import Operating

FORMAT = "dilannot-evaluation"
FORMAT_VERSION = 2


@dataclass(frozen=True, slots=True)
class Range:
    """A 95 % interval; both ends are NaN where there is too little to tell."""

    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is enough to tell."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


@dataclass(frozen=True, slots=True)
class ClassMean:
    """Means over the markers of a class that have positives; `markers` counts them."""

    markers: int
    roc_auc: float
    pr_auc: float
    pr_auc_trapezoid: float
    base_rate: float
    best_f1: float
    log_loss: float
    calibration_error: float


MEANS = tuple(name for name in ClassMean.__dataclass_fields__ if name != "markers")


@dataclass(frozen=True, slots=True)
class Intervals:
    """95 % intervals from resampled blocks of the genome.

    Attributes
    ----------
    blocks, block_length, replicates, seed
        How many blocks of about how many nt were drawn from, how often, and from which random numbers.
    markers
        Figure -> (T, 2) low and high; NaN where the figure is, or where positives lie in too few blocks.
    classes
        Class -> figure -> interval of the mean over its markers.
    """

    blocks: int
    block_length: int
    replicates: int
    seed: int
    markers: Mapping[Figure, Floats]
    classes: Mapping[str, Mapping[Figure, Range]]


@dataclass(frozen=True, slots=True)
class Difference:
    """This evaluation less another one of the same positions, resampled together.

    Attributes
    ----------
    other
        The other evaluation; its markers are those of this one, in this order.
    markers
        Figure -> (T, 3) difference, low and high.
    classes
        Class -> figure -> difference of the means, its interval, and the share of replicates in which this one is
        better.
    """

    other: Evaluation
    markers: Mapping[Figure, Floats]
    classes: Mapping[str, Mapping[Figure, tuple[float, Range, float]]]

    def better(self, figure: Figure = "pr_auc", rows: NDArray[np.intp] | None = None) -> tuple[int, int]:
        """How many markers (of `rows`) this one is better at, and worse, outside their intervals."""
        low, high = self._ends(figure, rows)
        return int((low > 0).sum()), int((high < 0).sum())

    def known(self, figure: Figure = "pr_auc", rows: NDArray[np.intp] | None = None) -> int:
        """How many markers (of `rows`) have intervals: without any, none is better or worse outside of its own."""
        return int(np.isfinite(self._ends(figure, rows)[0]).sum())

    def _ends(self, figure: Figure, rows: NDArray[np.intp] | None) -> tuple[Floats, Floats]:
        values = self.markers[figure] if rows is None else self.markers[figure][rows]
        return values[:, 1], values[:, 2]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` found.

    Attributes
    ----------
    subject
        The run folder, or the folder of tracks.
    space
        What scores are: logits (shown as probabilities), probabilities, or any others.
    protocol
        What was judged and how, in the order it is told: `dataset`, `split`, `weights`, `epoch`, `windows`, ... .
    markers, scores
        What was judged, and how well each does.
    shapes, intervals, operating, differences
        See there; `intervals` is None where there is too little to resample.
    """

    subject: str
    space: Space
    protocol: Mapping[str, Any]
    markers: Sequence[Marker]
    scores: Scores
    shapes: Shapes
    intervals: Intervals | None = None
    operating: Sequence[Operating] = ()
    differences: Sequence[Difference] = field(default_factory=tuple)

    @property
    def name(self) -> str:
        """The last part of the subject."""
        return Path(self.subject).resolve().name

    @property
    def classes(self) -> list[str]:
        """Those of markers with positives, in their usual order."""
        return class_order(
            marker.marker_class for marker, defined in zip(self.markers, self.scores.defined, strict=True) if defined
        )

    def of_class(self, name: str) -> NDArray[np.intp]:
        """Indices of the markers of a class that have positives."""
        return rows_of_class(self.scores, self.markers, name)

    @property
    def means(self) -> dict[str, ClassMean]:
        """Means per class."""
        return class_means(self.scores, self.markers)

    @property
    def undefined(self) -> list[str]:
        """Markers without positives, or without negatives."""
        return [marker.name for marker, defined in zip(self.markers, self.scores.defined, strict=True) if not defined]

    @property
    def run_names(self) -> list[str]:
        """What tells this evaluation and those it is compared to apart: folders' names, or the way to them, or more."""
        every = [self, *(difference.other for difference in self.differences)]
        found: list[str] = []
        for found in (
            [each.name for each in every],
            [each.subject for each in every],
            [f"{each.subject} ({each.protocol.get('weights')} {each.protocol.get('epoch')})" for each in every],
            [f"{each.subject} ({number})" for number, each in enumerate(every, 1)],
        ):
            # Columns end with a name, or with a name and one of these.
            if len({name + end for name in found for end in ("", "_low", "_high")}) == 3 * len(every):
                break
        return found


def rows_of_class(scores: Scores, markers: Sequence[Marker], name: str) -> NDArray[np.intp]:
    """Indices of the markers of a class that have positives and negatives."""
    of_class = np.array([marker.marker_class == name for marker in markers])
    return np.flatnonzero(of_class & scores.defined)


def class_means(scores: Scores, markers: Sequence[Marker]) -> dict[str, ClassMean]:
    """Means per marker class; markers without positives are left out."""
    known = (marker.marker_class for marker, defined in zip(markers, scores.defined, strict=True) if defined)
    means = {}
    for name in class_order(known):
        rows = rows_of_class(scores, markers, name)
        means[name] = ClassMean(len(rows), *(float(getattr(scores, figure)[rows].mean()) for figure in MEANS))
    return means
