"""Why windows stand in one of two datasets only: their place, told by their neighbours, and what applies there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dilannot.data.grid import covered
from dilannot.data.settings import BuildSettings, exact
from dilannot.data.verify.matching import Windows, found_in
from dilannot.data.verify.overlap import MOST_CHECKED, Overlap, on_edge
from dilannot.data.windows import Excluded, read_excluded
from dilannot.genome.intervals import Positions
from dilannot.progress import Silent

if TYPE_CHECKING:
    from dilannot.data.dataset import Dataset

MOST_READ = 1_000  # windows of a split whose sequence is read again to be compared base by base

MORE_OFTEN = "its sequence is published more often than rebuilt"
ELSEWHERE = "rebuilt in another split: {}"
TOO_MANY_N = "N: more than --max-n of it"
AT_END = "its input reaches over the contig's end"
EXCLUDED = "in a region of --exclude"
NO_TFBS = "no TFBS label among the columns compared"
NOT_HELD = "no TFBS label in the rebuild: its peaks do not cover enough of the bin there"
AT_HALF = "no TFBS label in the rebuild: peaks cover exactly --min-overlap of the bin"
NO_NEIGHBOUR = "no matched window on both sides: its contig was left out, or the assembly is another"
NO_ROOM = "no bin is left between its neighbours: rows in another order, or the assembly is another"
UNTOLD = "the dataset does not tell: no TFBS label there, or between two splits"
PUBLISHED_ELSEWHERE = "published in another split: {}"
ONLY_HALF = "its TFBS labels cover exactly --min-overlap of the bin: published rule is 'more than'"
NOT_PUBLISHED = "not among the published bins"
NOT_LOOKED_UP = f"not looked up in the peaks: only the first {MOST_CHECKED:,} are"
NOT_READ = f"its place has a window of other bases on the other side, not compared: only the first {MOST_READ:,} are"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the dataset was built with, as far as its provenance and files tell; TFBS are columns of the dataset.

    At most `most_n` and `most_excluded` bases of a window may be N or excluded.
    """

    most_n: int
    most_excluded: int
    min_overlap: float
    more: bool
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
        usual = BuildSettings(task="window")
        most_n, most_excluded = (
            floor(exact(float(settings.get(name, getattr(usual, name)))) * dataset.length)
            for name in ("max_n", "max_excluded")
        )
        min_overlap, more = (
            float(settings.get("min_overlap", usual.min_overlap)),
            settings.get("overlap", usual.overlap) == "more",
        )
        return cls(most_n, most_excluded, min_overlap, more, bool(settings.get("all_bins", False)), excluded, tfbs)


@dataclass(frozen=True, slots=True)
class Places:
    """Where published windows lie: contig (-1: nobody knows), start of the bin; `end` where only a range is known.

    A range without room for a bin is that of a window that has no place in the dataset's genome.
    """

    contig: Positions
    start: Positions
    end: Positions
    exact: NDArray[np.bool_]

    def text(self, index: int, dataset: Dataset) -> str | None:
        """As samtools writes it."""
        if self.contig[index] < 0 or self.end[index] <= self.start[index]:
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
    unread: Positions,
    overlap: Overlap | None,
) -> list[str]:
    """The reason for every missing published window; labels of `windows` are in columns of the dataset.

    `unread` are windows at the place of a rebuilt one that were not compared with it.
    """
    reasons = np.full(len(missing), UNTOLD, object)
    reasons[places.end[missing] - places.start[missing] < dataset.window] = NO_ROOM
    reasons[places.contig[missing] < 0] = NO_NEIGHBOUR
    labelled = not rules.all_bins and bool(rules.tfbs.any())
    if labelled:
        reasons[~_with_label(windows, rules.tfbs)[missing]] = NO_TFBS
    reasons[_in_excluded(missing, places, dataset, rules)] = EXCLUDED
    reasons[_at_end(missing, places, dataset)] = AT_END
    reasons[np.isin(missing, unread)] = NOT_READ
    reasons[windows.unknown[missing] > rules.most_n] = TOO_MANY_N
    for name, other in others.items():
        here = found_in(windows.forward[missing], [other.forward]) | found_in(windows.turned[missing], [other.forward])
        reasons[here] = ELSEWHERE.format(name)
    again = found_in(windows.forward[missing], [own.forward]) | found_in(windows.turned[missing], [own.forward])
    reasons[again] = MORE_OFTEN
    if labelled and overlap is not None:
        undecided = np.flatnonzero((reasons == UNTOLD) & places.exact[missing])
        reasons[undecided[MOST_CHECKED:]] = NOT_LOOKED_UP
        for index in undecided[:MOST_CHECKED].tolist():
            most = _best_overlap(int(missing[index]), windows, places, dataset, rules, overlap)
            if on_edge(most, rules.min_overlap):
                reasons[index] = AT_HALF if rules.more else UNTOLD
            elif most < rules.min_overlap:
                reasons[index] = NOT_HELD
    found: list[str] = reasons.tolist()
    return found


def why_not_published(
    extra: Positions,
    windows: Windows,
    dataset: Dataset,
    rules: Rules,
    others: Mapping[str, Windows],
    unread: Positions,
    overlap: Overlap | None,
) -> list[str]:
    """The reason for every rebuilt window that is not published; `unread` as in `why_not_rebuilt`."""
    reasons = np.full(len(extra), NOT_PUBLISHED, object)
    reasons[np.isin(extra, unread)] = NOT_READ
    for name, other in others.items():
        keys = [other.forward, other.turned]
        reasons[found_in(windows.forward[extra], keys)] = PUBLISHED_ELSEWHERE.format(name)
    if overlap is not None:
        rows = windows.row
        places = Places(
            dataset.contig[rows].astype(np.int64), dataset.start[rows], dataset.start[rows] + dataset.window,
            np.ones(len(rows), bool),
        )  # fmt: skip
        undecided = np.flatnonzero(reasons == NOT_PUBLISHED)
        reasons[undecided[MOST_CHECKED:]] = NOT_LOOKED_UP
        for index in undecided[:MOST_CHECKED].tolist():
            if on_edge(_best_overlap(int(extra[index]), windows, places, dataset, rules, overlap), rules.min_overlap):
                reasons[index] = ONLY_HALF
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
            found[here] = bases > rules.most_excluded
    return found
