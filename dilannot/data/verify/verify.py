"""A rebuilt window dataset against DeepSEA's published arrays: which windows and labels differ, where and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dilannot.data.imported.deepsea import ORDER, PublishedSplit, open_published, published_files
from dilannot.data.splits import SPLITS
from dilannot.data.verify.absence import MOST_READ, Places, Rules, find_places, why_not_published, why_not_rebuilt
from dilannot.data.verify.columns import Columns, differing_labels, marker_differences, other_columns
from dilannot.data.verify.comparison import SHOWN, Comparison, Difference, SplitComparison
from dilannot.data.verify.matching import (
    Keys,
    Pairs,
    Windows,
    found_in,
    pair_windows,
    read_published,
    read_rebuilt,
    sequence_keys,
)  # fmt: skip
from dilannot.data.verify.overlap import Overlap, PeakOverlap, files_of
from dilannot.errors import DilannotError
from dilannot.genome.intervals import Positions
from dilannot.genome.sequence import ALPHABET, reverse_complement
from dilannot.progress import Progress, Silent

if TYPE_CHECKING:
    from dilannot.data.dataset import Dataset

_SAMPLE, _SAMPLES = 256, 8  # rows, in that many places


@dataclass(frozen=True, slots=True)
class _Both:
    """Everything that is compared; labels of the windows are in columns of the dataset."""

    dataset: Dataset
    rules: Rules
    overlap: Overlap | None
    columns: Columns
    published: dict[str, Windows]
    rebuilt: dict[str, Windows]


def verify_dataset(
    path: Path, published: Path, *, peaks: Sequence[Path] | None = None, progress: Progress | None = None
) -> Comparison:
    """Compare the dataset in a file with the DeepSEA bundle; `peaks` are the files that it was built from.

    Raises
    ------
    DilannotError
        See `verify`; also a marker whose peak file is not there.
    """
    from dilannot.data.dataset import Dataset

    with Dataset(path) as dataset:
        overlap = None if peaks is None else PeakOverlap(files_of(dataset.markers, peaks), dataset.window)
        return verify(dataset, published, overlap=overlap, progress=progress)


def verify(
    dataset: Dataset, published: Path, *, overlap: Overlap | None = None, progress: Progress | None = None
) -> Comparison:
    """Compare a window dataset with the DeepSEA bundle.

    Windows are matched by their bases, within a split.

    Parameters
    ----------
    dataset
        From `build_dataset`.
    published
        Folder with some of train.mat, valid.mat and test.mat; their splits are compared.
    overlap
        What fraction of a bin a marker's peaks cover (see `PeakOverlap`): tells labels on the edge of the rule.

    Raises
    ------
    DilannotError
        A dense dataset, published files that cannot be read, other lengths, or label columns that no names match.
    """
    progress = progress or Silent()
    if dataset.task != "window":
        raise DilannotError("is dense; DeepSEA published bins", where=dataset.path, remedy="use --task window")
    with open_published(published_files(published)) as splits:
        check_length(splits[0], dataset.length)
        columns = Columns.between(dataset, splits[0])
        with progress.task("comparing", len(SPLITS) + len(splits)) as task:
            rebuilt = {}
            for name in SPLITS:
                rebuilt[name] = read_rebuilt(dataset, name)
                task.advance(1, f"rebuilt {name}")
            order = find_order(splits, [windows.forward for windows in rebuilt.values()])
            splits = [split.ordered(order) for split in splits]
            read = {}
            for split in splits:
                read[split.split] = read_published(split)
                task.advance(1, f"published {split.split}")
        return _compare(dataset, published, splits, order, columns, read, rebuilt, overlap)


def check_length(published: PublishedSplit, length: int) -> None:
    """Refuse published windows of another length than the dataset's.

    Raises
    ------
    DilannotError
        Naming the file.
    """
    if published.length != length:
        raise DilannotError(
            f"has windows of {published.length:,} bp, the dataset of {length:,}",
            where=published.path,
            remedy="build with other --bin and --context",
        )


def find_order(splits: Sequence[PublishedSplit], keys: Sequence[Keys]) -> str:
    """The order of one-hot columns under which most of a sample of published windows are among the rebuilt.

    The published one where no other does better.
    """
    hits: Counter[str] = Counter()
    sampled = 0
    for split in splits:
        for first in np.unique(np.linspace(0, max(0, split.rows - _SAMPLE), _SAMPLES, dtype=int)).tolist():
            columns = split.columns(first, min(first + _SAMPLE, split.rows))
            sampled += len(columns)
            for order in map("".join, permutations(ORDER)) if hits[ORDER] * 2 < sampled else (ORDER,):
                codes = np.array([0, *(ALPHABET.index(letter) for letter in order)], np.uint8)[columns]
                strands = [sequence_keys(codes), sequence_keys(reverse_complement(codes))]
                hits[order] += int(sum(found_in(strand, keys).sum() for strand in strands))
    best, most = max(hits.items(), key=lambda item: item[1])
    return best if most > hits[ORDER] else ORDER


def _compare(
    dataset: Dataset,
    published: Path,
    splits: Sequence[PublishedSplit],
    order: str,
    columns: Columns,
    read: dict[str, Windows],
    rebuilt: dict[str, Windows],
    overlap: Overlap | None,
) -> Comparison:
    compared = {name: windows.under(columns.of_dataset) for name, windows in rebuilt.items()}
    ours = {name: windows.under(columns.of_published) for name, windows in read.items()}
    both = _Both(dataset, Rules.of(dataset), overlap, columns, ours, compared)
    result = Comparison(
        str(dataset.path), str(published), order, len(columns.of_published), columns.compared, columns.missing(dataset),
        both.rules.min_overlap,
    )  # fmt: skip
    pairs = {split.split: pair_windows(ours[split.split], compared[split.split], columns.count) for split in splits}
    for split in splits:
        result.splits.append(_compare_split(both, split, pairs[split.split]))
    result.markers = marker_differences(dataset, columns, ours, compared, pairs, both.rules.min_overlap, overlap)
    result.pairs = other_columns(dataset, columns, read, rebuilt, pairs)
    return result


def _compare_split(both: _Both, split: PublishedSplit, pairs: Pairs) -> SplitComparison:
    name = split.split
    ours, theirs = both.published[name], both.rebuilt[name]
    result = SplitComparison(name, split.rows, len(ours), len(theirs))
    matched = pairs.partner >= 0
    result.equal, result.turned = int(pairs.equal.sum()), int(pairs.turned.sum())
    result.other_labels = int((matched & ~pairs.equal).sum())
    left, right = _same_place(both, split, pairs)
    differing = _differing_bases(both, split, left[:MOST_READ], right[:MOST_READ])
    # Fewer than half of the bases: else it is not the same place.
    other = [each for each in zip(left.tolist(), right.tolist(), differing, strict=False) if 2 * each[2] < split.length]
    result.other_sequence = len(other)
    missing = np.setdiff1d(np.flatnonzero(~matched), [i for i, _, _ in other]).astype(np.int64)
    used = [*pairs.partner[matched].tolist(), *(j for _, j, _ in other)]
    extra = np.setdiff1d(np.arange(len(theirs)), used).astype(np.int64)
    result.only_published, result.only_rebuilt = len(missing), len(extra)
    places = find_places(np.where(matched, theirs.row[pairs.partner] if len(theirs) else -1, -1), both.dataset)
    _explain_labels(both, pairs, result)
    result.first["sequence"] = [
        Difference(int(ours.row[i]), _place(both.dataset, int(theirs.row[j])), f"{bases:,} of its bases differ")
        for i, j, bases in other[:SHOWN]
    ]
    _explain_missing(both, missing, places, left[MOST_READ:], result)
    _explain_extra(both, extra, right[MOST_READ:], result)
    _find_repeats(ours, result)
    result.first = {kind: found for kind, found in result.first.items() if found}
    return result


def _place(dataset: Dataset, row: int) -> str:
    start = int(dataset.start[row])
    return f"{dataset.contigs[dataset.contig[row]]['name']}:{start + 1}-{start + dataset.window}"


def _same_place(both: _Both, split: PublishedSplit, pairs: Pairs) -> tuple[Positions, Positions]:
    """Unmatched windows between matched neighbours, as many on either side: published, and the rebuilt one of each."""
    partner = pairs.partner
    known = np.flatnonzero(partner >= 0)
    contig = both.dataset.contig[both.rebuilt[split.split].row]
    first, last, steps = partner[known[:-1]], partner[known[1:]], np.diff(known)
    fits = np.flatnonzero((steps > 1) & (last - first == steps) & (contig[first] == contig[last]))
    inner = steps[fits] - 1
    step = np.arange(1, inner.sum() + 1) - np.repeat(np.cumsum(inner) - inner, inner)
    left, right = np.repeat(known[fits], inner) + step, np.repeat(first[fits], inner) + step
    _, once = np.unique(right, return_index=True)
    free = np.sort(once[~np.isin(right[once], partner[known])])
    return left[free], right[free]


def _differing_bases(both: _Both, split: PublishedSplit, left: Positions, right: Positions) -> list[int]:
    """In how many bases published windows differ from rebuilt ones."""
    ours, theirs = both.published[split.split].row[left], both.rebuilt[split.split].row[right]
    return [
        int((split.codes(row, row + 1) != both.dataset.sequence(np.array([other]))).sum())
        for row, other in zip(ours.tolist(), theirs.tolist(), strict=True)
    ]


def _explain_labels(both: _Both, pairs: Pairs, result: SplitComparison) -> None:
    """The first windows whose labels differ, with the markers."""
    ours, theirs = both.published[result.split], both.rebuilt[result.split]
    windows, lost, gained = differing_labels(ours, theirs, pairs, both.columns.count)
    names = [marker.name for marker in both.dataset.markers]
    shown = []
    for at, window in enumerate(windows[:SHOWN].tolist()):
        parts = [
            f"{word} {', '.join(names[key % both.columns.count] for key in keys.tolist())}"
            for word, keys in (("only published:", _of(lost, at, both)), ("only rebuilt:", _of(gained, at, both)))
            if len(keys)
        ]
        place = _place(both.dataset, int(theirs.row[pairs.partner[window]]))
        shown.append(Difference(int(ours.row[window]), place, "; ".join(parts)))
    result.first["labels"] = shown


def _of(keys: Positions, window: int, both: _Both) -> Positions:
    found: Positions = keys[keys // both.columns.count == window]
    return found


def _explain_missing(
    both: _Both, missing: Positions, places: Places, unread: Positions, result: SplitComparison
) -> None:
    ours = both.published[result.split]
    others = {name: windows for name, windows in both.rebuilt.items() if name != result.split}
    reasons = why_not_rebuilt(
        missing, ours, places, both.dataset, both.rules, others, both.rebuilt[result.split], unread, both.overlap
    )
    result.reasons["only_published"] = dict(Counter(reasons))
    result.first["only_published"] = [
        Difference(int(ours.row[window]), places.text(window, both.dataset), reason)
        for window, reason in zip(missing[:SHOWN].tolist(), reasons, strict=False)
    ]


def _explain_extra(both: _Both, extra: Positions, unread: Positions, result: SplitComparison) -> None:
    theirs = both.rebuilt[result.split]
    others = {name: windows for name, windows in both.published.items() if name != result.split}
    reasons = why_not_published(extra, theirs, both.dataset, both.rules, others, unread, both.overlap)
    result.reasons["only_rebuilt"] = dict(Counter(reasons))
    result.first["only_rebuilt"] = [
        Difference(None, _place(both.dataset, int(theirs.row[window])), reason)
        for window, reason in zip(extra[:SHOWN].tolist(), reasons, strict=False)
    ]


def _find_repeats(ours: Windows, result: SplitComparison) -> None:
    """Published windows whose bases stand in an earlier row too."""
    _, first, number = np.unique(ours.forward, return_index=True, return_inverse=True)
    repeats = np.flatnonzero(first[number] != np.arange(len(ours)))
    result.twice = len(repeats)
    result.first["twice"] = [
        Difference(int(ours.row[window]), None, f"the sequence of row {ours.row[first[number[window]]]}")
        for window in repeats[:SHOWN].tolist()
    ]
