"""Label columns of two datasets: which is which, which differ and how much, which fit another one better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dilannot.data.imported.deepsea import MARKERS, PublishedSplit
from dilannot.data.published import published_markers
from dilannot.data.verify.comparison import ColumnPair, MarkerDifference
from dilannot.data.verify.matching import Pairs, Windows
from dilannot.data.verify.overlap import MOST_CHECKED, Overlap, on_edge
from dilannot.errors import DilannotError
from dilannot.genome.intervals import Positions

if TYPE_CHECKING:
    from dilannot.data.dataset import Dataset

_SAMPLE = 100_000  # windows from which correlations are computed
_BETTER, _LEAST = 0.1, 0.5  # correlation: how much better another column must fit, and how well


@dataclass(frozen=True, slots=True)
class Columns:
    """`of_published`: the dataset's column of every published one, -1 without; `of_dataset`: itself, -1 without."""

    of_published: Positions
    of_dataset: Positions
    names: list[str]

    @classmethod
    def between(cls, dataset: Dataset, published: PublishedSplit) -> Columns:
        """By name where there are 919, by place where none of those names fits and the numbers agree.

        Raises
        ------
        DilannotError
            Neither works.
        """
        own = {marker.name: index for index, marker in enumerate(dataset.markers)}
        names = [f"column {index}" for index in range(published.markers)]
        of_published = np.full(published.markers, -1, np.int64)
        if published.markers == MARKERS:
            names = [each.marker.name for each in published_markers()]
            of_published = np.array([own.get(name, -1) for name in names], np.int64)
        if (of_published < 0).all():
            if published.markers != len(own):
                raise DilannotError(
                    f"has {published.markers} label columns, the dataset {len(own)} markers of other names: "
                    "nobody can tell which is which",
                    where=published.path,
                    remedy="build the dataset with the published markers' names",
                )
            of_published = np.arange(published.markers)
        of_dataset = np.full(len(own), -1, np.int64)
        of_dataset[of_published[of_published >= 0]] = of_published[of_published >= 0]
        return cls(of_published, of_dataset, names)

    @property
    def count(self) -> int:
        """Columns of the dataset."""
        return len(self.of_dataset)

    @property
    def compared(self) -> int:
        """Columns that both have."""
        return int((self.of_published >= 0).sum())

    def missing(self, dataset: Dataset) -> list[str]:
        """Markers of the dataset that no published column is called like."""
        return [dataset.markers[index].name for index in np.flatnonzero(self.of_dataset < 0).tolist()]


def differing_labels(
    published: Windows, rebuilt: Windows, pairs: Pairs, markers: int
) -> tuple[Positions, Positions, Positions]:
    """Published windows with other labels than their partners, and these labels: only published, only rebuilt.

    A label is numbered `place in that list * markers + marker`.
    """
    windows = np.flatnonzero((pairs.partner >= 0) & ~pairs.equal)
    ours = _entries(published, windows, markers)
    theirs = _entries(rebuilt, pairs.partner[windows], markers)
    return windows, np.setdiff1d(ours, theirs), np.setdiff1d(theirs, ours)


def _entries(windows: Windows, chosen: Positions, markers: int) -> Positions:
    first, count = windows.offsets[chosen], np.diff(windows.offsets)[chosen]
    at = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
    entries: Positions = np.repeat(np.arange(len(chosen)), count) * markers + windows.marker[at]
    return entries


def marker_differences(
    dataset: Dataset,
    columns: Columns,
    published: Mapping[str, Windows],
    rebuilt: Mapping[str, Windows],
    pairs: Mapping[str, Pairs],
    min_overlap: float,
    overlap: Overlap | None,
) -> list[MarkerDifference]:
    """How many labels of each marker differ in windows that match, most first."""
    counts = np.zeros((4, columns.count), np.int64)
    for name, pair in pairs.items():
        windows, lost, gained = differing_labels(published[name], rebuilt[name], pair, columns.count)
        counts[0] += np.bincount(lost % columns.count, minlength=columns.count)
        counts[1] += np.bincount(gained % columns.count, minlength=columns.count)
        if overlap is not None:
            left = max(0, MOST_CHECKED - int(counts[2].sum()))
            for key in np.concatenate((lost, gained))[:left].tolist():
                place, marker = divmod(key, columns.count)
                row = int(rebuilt[name].row[pair.partner[windows[place]]])
                contig = str(dataset.contigs[dataset.contig[row]]["name"])
                fraction = overlap(marker, contig, int(dataset.start[row]))
                counts[2, marker] += 1
                counts[3, marker] += on_edge(fraction, min_overlap)
    total = counts[0] + counts[1]
    worst = [index for index in np.argsort(-total, kind="stable").tolist() if total[index]]
    of_dataset = {int(own): column for column, own in enumerate(columns.of_published.tolist()) if own >= 0}
    return [
        MarkerDifference(dataset.markers[index].name, of_dataset[index], *counts[:, index].tolist()) for index in worst
    ]


def other_columns(
    dataset: Dataset,
    columns: Columns,
    published: Mapping[str, Windows],
    rebuilt: Mapping[str, Windows],
    pairs: Mapping[str, Pairs],
) -> list[ColumnPair]:
    """Markers whose labels go clearly better with another published column than with their own."""
    correlation = _correlations(columns, published, rebuilt, pairs)
    if correlation is None:
        return []
    own = np.full(columns.count, -1, np.int64)
    known = np.flatnonzero(columns.of_published >= 0)
    own[columns.of_published[known]] = known
    best = correlation.argmax(axis=0)
    found = []
    for index in range(columns.count):
        fit, now = correlation[best[index], index], correlation[own[index], index] if own[index] >= 0 else 0.0
        if best[index] != own[index] and fit > _LEAST and fit > now + _BETTER:
            column = int(best[index])
            found.append(
                ColumnPair(
                    dataset.markers[index].name, int(own[index]), column, columns.names[column], round(float(fit), 3)
                )
            )
    return found


def _correlations(
    columns: Columns, published: Mapping[str, Windows], rebuilt: Mapping[str, Windows], pairs: Mapping[str, Pairs]
) -> NDArray[np.float64] | None:
    """(published columns, columns of the dataset) of labels in windows that match; None where none does."""
    both: Any = 0
    ours, theirs, total = np.zeros(len(columns.of_published)), np.zeros(columns.count), 0
    for name, pair in pairs.items():
        chosen = np.flatnonzero(pair.partner >= 0)
        chosen = chosen[:: max(1, -(-len(chosen) // _SAMPLE))]
        left = _matrix(published[name], len(ours))[chosen]
        right = _matrix(rebuilt[name], len(theirs))[pair.partner[chosen]]
        both = both + (left.T @ right).toarray()
        ours, theirs = ours + np.asarray(left.sum(axis=0)).ravel(), theirs + np.asarray(right.sum(axis=0)).ravel()
        total += len(chosen)
    if not total:
        return None
    spread = np.sqrt(np.outer(ours * (total - ours), theirs * (total - theirs)))
    found: NDArray[np.float64] = np.zeros_like(spread)
    np.divide(total * both - np.outer(ours, theirs), spread, out=found, where=spread > 0)
    return found


def _matrix(windows: Windows, columns: int) -> Any:
    from scipy.sparse import csr_matrix

    ones = np.ones(len(windows.marker), np.int32)
    return csr_matrix((ones, windows.marker, windows.offsets), shape=(len(windows), columns))
