"""Why windows stand in one of two datasets only: their place, told by their neighbours, and what applies there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dilannot.data.grid import covered
from dilannot.data.verify.matching import Windows, found_in
from dilannot.data.windows import Excluded, read_excluded
from dilannot.genome.intervals import Positions
from dilannot.progress import Silent

if TYPE_CHECKING:
    from dilannot.data.dataset import Dataset

Overlap = Callable[[int, str, int], float]  # marker (column of the dataset), contig, start of the bin -> fraction

MOST_CHECKED = 10_000  # bins that are looked up in the peaks
_EXACT = 1e-9

MORE_OFTEN = "its sequence is published more often than rebuilt"
ELSEWHERE = "rebuilt in another split: {}"
TOO_MANY_N = "N: more than --max-n of it"
AT_END = "its input reaches over the contig's end"
EXCLUDED = "in a region of --exclude"
NO_TFBS = "no TFBS label among the columns compared"
NOT_HELD = "no TFBS label in the rebuild: its peaks do not cover enough of the bin there"
AT_HALF = "no TFBS label in the rebuild: peaks cover exactly --min-overlap of the bin"
NO_NEIGHBOUR = "no matched window on both sides: its contig was left out, or the assembly is another"
UNTOLD = "the dataset does not tell: no TFBS label there, or between two splits"
PUBLISHED_ELSEWHERE = "published in another split: {}"
ONLY_HALF = "its TFBS labels cover exactly --min-overlap of the bin: published rule is 'more than'"
NOT_PUBLISHED = "not among the published bins"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the dataset was built with, as far as its provenance and files tell; TFBS are columns of the dataset."""

    max_n: float
    max_excluded: float
    min_overlap: float
    all_bins: bool
    excluded: Excluded
    tfbs: NDArray[np.bool_]

    @classmethod
    def of(cls, dataset: Dataset) -> Rules:
        """Read them."""
        settings = dataset.provenance.get("settings", {})
        paths = [dataset.path.parent / path for path in dataset.provenance.get("exclude", [])]
        present = [path for path in paths if Path(path).is_file()]
        names = [str(contig["name"]) for contig in dataset.contigs]
        excluded = read_excluded(present, names, Silent())[0] if present else {}
        tfbs = np.array([marker.marker_class == "TFBS" for marker in dataset.markers])
        max_n, max_excluded, min_overlap = (float(settings.get(name, usual)) for name, usual in _USUAL.items())
        return cls(max_n, max_excluded, min_overlap, bool(settings.get("all_bins", False)), excluded, tfbs)


_USUAL = {"max_n": 0.1, "max_excluded": 0.1, "min_overlap": 0.5}


@dataclass(frozen=True, slots=True)
class Places:
    """Where published windows lie: contig (-1: nobody knows), start of the bin; `end` where only a range is known."""

    contig: Positions
    start: Positions
    end: Positions
    exact: NDArray[np.bool_]

    def text(self, index: int, dataset: Dataset) -> str | None:
        """As samtools writes it."""
        if self.contig[index] < 0:
            return None
        name = dataset.contigs[self.contig[index]]["name"]
        text = f"{name}:{self.start[index] + 1}-{self.end[index]}"
        return text if self.exact[index] else f"within {text}"


def find_places(row: Positions, dataset: Dataset) -> Places:
    """Places of published windows in their order, of which those with a dataset `row` (else -1) are known.

    Where as many bins lie between two known windows as windows are published there, each has one of them.
    """
    known, every, unit = np.flatnonzero(row >= 0), np.arange(len(row)), dataset.window
    contig, start, end = np.full(len(row), -1), np.zeros(len(row), np.int64), np.zeros(len(row), np.int64)
    exact = row >= 0
    contig[known], start[known], end[known] = (
        dataset.contig[row[known]], dataset.start[row[known]], dataset.start[row[known]] + unit,
    )  # fmt: skip
    at = np.searchsorted(known, every, "right")
    between = np.flatnonzero((row < 0) & (at > 0) & (at < len(known)))
    before, after = known[at[between] - 1], known[np.minimum(at[between], len(known) - 1)]
    same = (contig[before] == contig[after]) & (start[after] > start[before])
    between, before, after = between[same], before[same], after[same]
    contig[between] = contig[before]
    fits = start[after] - start[before] == unit * (after - before)
    start[between] = np.where(fits, start[before] + unit * (between - before), end[before])
    end[between] = np.where(fits, start[between] + unit, start[after])
    exact[between] = fits
    return Places(contig, start, end, exact)


def why_not_rebuilt(
    missing: Positions,
    windows: Windows,
    places: Places,
    dataset: Dataset,
    rules: Rules,
    others: Mapping[str, Windows],
    own: Windows,
    overlap: Overlap | None,
) -> list[str]:
    """The reason for every missing published window; labels of `windows` are in columns of the dataset."""
    reasons = np.full(len(missing), UNTOLD, object)
    reasons[places.contig[missing] < 0] = NO_NEIGHBOUR
    bound = _with_label(windows, rules.tfbs)[missing]
    if not rules.all_bins and rules.tfbs.any():
        reasons[~bound] = NO_TFBS
        if overlap is not None:
            for index in np.flatnonzero(bound & places.exact[missing])[:MOST_CHECKED].tolist():
                most = _best_overlap(int(missing[index]), windows, places, dataset, rules, overlap)
                if abs(most - rules.min_overlap) < _EXACT:
                    reasons[index] = AT_HALF
                elif most < rules.min_overlap:
                    reasons[index] = NOT_HELD
    reasons[_in_excluded(missing, places, dataset, rules)] = EXCLUDED
    reasons[_at_end(missing, places, dataset)] = AT_END
    reasons[windows.unknown[missing] > rules.max_n * dataset.length] = TOO_MANY_N
    for name, other in others.items():
        here = found_in(windows.forward[missing], [other.forward]) | found_in(windows.turned[missing], [other.forward])
        reasons[here] = ELSEWHERE.format(name)
    again = found_in(windows.forward[missing], [own.forward]) | found_in(windows.turned[missing], [own.forward])
    reasons[again] = MORE_OFTEN
    found: list[str] = reasons.tolist()
    return found


def why_not_published(
    extra: Positions,
    windows: Windows,
    dataset: Dataset,
    rules: Rules,
    others: Mapping[str, Windows],
    overlap: Overlap | None,
) -> list[str]:
    """The reason for every rebuilt window that is not published."""
    reasons = np.full(len(extra), NOT_PUBLISHED, object)
    if overlap is not None:
        rows = windows.row
        places = Places(
            dataset.contig[rows].astype(np.int64), dataset.start[rows], dataset.start[rows] + dataset.window,
            np.ones(len(rows), bool),
        )  # fmt: skip
        for index, window in enumerate(extra[:MOST_CHECKED].tolist()):
            most = _best_overlap(window, windows, places, dataset, rules, overlap)
            if abs(most - rules.min_overlap) < _EXACT:
                reasons[index] = ONLY_HALF
    for name, other in others.items():
        keys = [other.forward, other.turned]
        reasons[found_in(windows.forward[extra], keys)] = PUBLISHED_ELSEWHERE.format(name)
    found: list[str] = reasons.tolist()
    return found


def _with_label(windows: Windows, columns: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(windows,) whether any label is one of `columns`."""
    return np.bincount(windows.owner[columns[windows.marker]], minlength=len(windows)) > 0


def _best_overlap(
    window: int, windows: Windows, places: Places, dataset: Dataset, rules: Rules, overlap: Overlap
) -> float:
    """The most that the peaks of its TFBS labels cover of a window's bin; 0 without any."""
    labels = windows.marker[windows.offsets[window] : windows.offsets[window + 1]]
    name = str(dataset.contigs[places.contig[window]]["name"])
    start = int(places.start[window])
    return max((overlap(marker, name, start) for marker in labels[rules.tfbs[labels]].tolist()), default=0.0)


def _at_end(missing: Positions, places: Places, dataset: Dataset) -> NDArray[np.bool_]:
    lengths = np.array([contig["length"] for contig in dataset.contigs], np.int64)
    contig, start = places.contig[missing], places.start[missing]
    outside = (start < dataset.context) | (start + dataset.window + dataset.context > lengths[contig])
    found: NDArray[np.bool_] = places.exact[missing] & outside
    return found


def _in_excluded(missing: Positions, places: Places, dataset: Dataset, rules: Rules) -> NDArray[np.bool_]:
    found = np.zeros(len(missing), bool)
    for index, contig in enumerate(dataset.contigs):
        if contig["name"] in rules.excluded:
            here = np.flatnonzero(places.exact[missing] & (places.contig[missing] == index))
            begin = places.start[missing[here]] - dataset.context
            bases = covered(*rules.excluded[str(contig["name"])], begin, begin + dataset.length)
            found[here] = bases > rules.max_excluded * dataset.length
    return found
