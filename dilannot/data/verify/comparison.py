"""What a comparison of a rebuilt dataset with the published one has found, and how it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dilannot.data.imported.deepsea import ORDER
from dilannot.data.verify.absence import ELSEWHERE

COMPARISON_VERSION = 1
SHOWN = 10  # differences of a kind that are named one by one
_FEW = 0.01  # of the windows that could match
_KINDS = {
    "labels": "other labels",
    "sequence": "another sequence at the same place",
    "only_published": "only published",
    "only_rebuilt": "only rebuilt",
    "twice": "published twice",
}
_COLUMNS = (
    "split", "rows published", "windows", "rebuilt", "equal", "other labels", "other sequence", "only published",
    "only rebuilt",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One window: its row in the published arrays (from 0), its labelled bases (1-based, inclusive), what differs."""

    row: int | None
    place: str | None
    detail: str


@dataclass(slots=True)
class SplitComparison:
    """One split.

    Attributes
    ----------
    split
        train, validation or test.
    rows, windows, rebuilt
        Published rows; those that are no other strand of another; windows of the rebuilt dataset.
    equal, other_labels, other_sequence, only_published, only_rebuilt
        Windows, every one in one of them.
    turned, twice
        Windows that match by their other strand; rows that repeat another.
    reasons
        Why windows are missing: kind -> reason -> windows.
    first
        The first differences of every kind.
    """

    split: str
    rows: int
    windows: int
    rebuilt: int
    equal: int = 0
    other_labels: int = 0
    other_sequence: int = 0
    only_published: int = 0
    only_rebuilt: int = 0
    turned: int = 0
    twice: int = 0
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    first: dict[str, list[Difference]] = field(default_factory=dict)

    @property
    def matched(self) -> int:
        """Windows that both have, in whatever split."""
        reasons = self.reasons.get("only_published", {})
        elsewhere = sum(count for reason, count in reasons.items() if reason.startswith(ELSEWHERE.format("")))
        return self.equal + self.other_labels + self.other_sequence + elsewhere

    @property
    def agrees(self) -> bool:
        """Every window is there once, with the same bases and labels, on the same strand."""
        return self.equal == self.windows == self.rebuilt and not self.turned


@dataclass(frozen=True, slots=True)
class MarkerDifference:
    """Labels of one marker that differ in windows that match.

    `checked` of them were looked up in the peaks; of these `at_half` have exactly the fraction of the bin covered that
    the rule turns on.
    """

    marker: str
    column: int
    only_published: int
    only_rebuilt: int
    checked: int = 0
    at_half: int = 0


@dataclass(frozen=True, slots=True)
class ColumnPair:
    """A rebuilt marker whose labels fit another published column better than its own (-1: none has its name)."""

    marker: str
    own: int
    best: int
    best_name: str
    correlation: float


@dataclass(slots=True)
class Comparison:
    """All of it: `order` is the published one-hot order, `compared` of `columns` label columns have a counterpart."""

    dataset: str
    published: str
    order: str
    columns: int
    compared: int
    not_published: list[str]
    min_overlap: float
    splits: list[SplitComparison] = field(default_factory=list)
    markers: list[MarkerDifference] = field(default_factory=list)
    pairs: list[ColumnPair] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Nothing differs."""
        alike = self.order == ORDER and not self.pairs and not self.not_published and self.compared == self.columns
        return alike and all(split.agrees for split in self.splits)

    def as_json(self) -> dict[str, Any]:
        """Everything, for `json.dumps`."""
        return {"comparison_version": COMPARISON_VERSION, "agrees": self.agrees, **asdict(self)}


def report_lines(comparison: Comparison) -> list[str]:
    """The report in words: what, why, where."""
    return [*_nothing(comparison), *_what(comparison), "", *_why(comparison), *_where(comparison)]


def aligned(rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> Iterator[str]:
    """Rows of a table with its columns below each other, those of `numbers` to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        padded = [cell.rjust(width) if i in numbers else cell.ljust(width) for i, (cell, width) in enumerate(cells)]
        yield "  ".join(padded).rstrip()


def _nothing(comparison: Comparison) -> Iterator[str]:
    matched = sum(split.matched for split in comparison.splits)
    possible = sum(min(split.windows, split.rebuilt) for split in comparison.splits)
    if matched <= _FEW * possible:
        few = "hardly anything" if matched else "nothing"
        yield f"{few} matches: is this the same genome and the same bin size?"


def _what(comparison: Comparison) -> Iterator[str]:
    yield f"{comparison.dataset} against {comparison.published}:"
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for each in comparison.splits:
        numbers = (
            each.rows, each.windows, each.rebuilt, each.equal, each.other_labels, each.other_sequence,
            each.only_published, each.only_rebuilt,
        )  # fmt: skip
        rows.append((each.split, *(f"{number:,}" for number in numbers)))
    yield from aligned(rows, range(1, len(_COLUMNS)))


def _why(comparison: Comparison) -> Iterator[str]:
    if comparison.agrees:
        yield "everything agrees: sequences, labels, splits"
        return
    if comparison.order != ORDER:
        order, usual = ",".join(comparison.order), ",".join(ORDER)
        yield f"published one-hot order is {order}, not {usual}; compared under that order"
    yield from _why_columns(comparison)
    for each in comparison.splits:
        if each.turned:
            yield f"{each.split}: {each.turned:,} published windows are the reverse strand of the rebuilt"
        if each.twice:
            yield f"{each.split}: {each.twice:,} published rows repeat the sequence of another"
    yield from _why_absent(comparison)
    yield from _why_labels(comparison)


def _why_absent(comparison: Comparison) -> Iterator[str]:
    """Every reason once, with its windows in each split."""
    for kind in ("only_published", "only_rebuilt"):
        total: Counter[str] = Counter()
        splits: dict[str, list[str]] = {}
        for each in comparison.splits:
            for reason, count in each.reasons.get(kind, {}).items():
                total[reason] += count
                splits.setdefault(reason, []).append(f"{count:,} {each.split}")
        for reason, count in total.most_common():
            yield f"{count:,} {_KINDS[kind]} ({', '.join(splits[reason])}): {reason}"


def _why_columns(comparison: Comparison) -> Iterator[str]:
    if comparison.compared < comparison.columns:
        yield f"compared {comparison.compared:,} of {comparison.columns:,} label columns: the dataset lacks the others"
    if comparison.not_published:
        names = ", ".join(comparison.not_published[:SHOWN])
        yield f"{len(comparison.not_published):,} markers of the dataset name no published column: {names}"
    for pair in comparison.pairs[:SHOWN]:
        own = "no column has its name" if pair.own < 0 else f"not with its own, {pair.own}"
        yield (
            f"labels of {pair.marker} go with published column {pair.best} ({pair.best_name}; "
            f"correlation {pair.correlation:.2f}), {own}: the columns are permuted or named differently"
        )
    if len(comparison.pairs) > SHOWN:
        yield f"... and {len(comparison.pairs) - SHOWN:,} more markers go with another column"


def _why_labels(comparison: Comparison) -> Iterator[str]:
    differing = sum(each.only_published + each.only_rebuilt for each in comparison.markers)
    if not differing:
        return
    lost = sum(each.only_published for each in comparison.markers)
    yield (
        f"{differing:,} labels differ in windows that match: {lost:,} published 1, rebuilt 0; "
        f"{differing - lost:,} published 0, rebuilt 1"
    )
    checked, half = (sum(getattr(each, name) for each in comparison.markers) for name in ("checked", "at_half"))
    if checked:
        least = f"{100 * comparison.min_overlap:g} %"
        rule = f": published rule is 'more than {least}'" if half else ""
        looked_up = " that were looked up" if checked < differing else ""
        yield f"{half:,} of {checked:,} differences{looked_up} have an overlap of exactly {least}{rule}"
    for each in comparison.markers[:SHOWN]:
        yield (
            f"  {each.marker} (column {each.column}): {each.only_published:,} only published, "
            f"{each.only_rebuilt:,} only rebuilt"
        )
    if len(comparison.markers) > SHOWN:
        yield f"  ... and {len(comparison.markers) - SHOWN:,} more markers"


def _where(comparison: Comparison) -> Iterator[str]:
    for split in comparison.splits:
        for kind, differences in split.first.items():
            yield ""
            yield f"{split.split}, {_KINDS[kind]} (row of the published arrays from 0, bases from 1):"
            groups: dict[str, list[Difference]] = {}
            for each in differences:
                groups.setdefault(each.detail if kind in split.reasons else "", []).append(each)
            for reason, members in groups.items():
                if reason:
                    yield f"  {reason}:"
                yield from _places(members, "    " if reason else "  ", details=not reason)


def _places(differences: Sequence[Difference], indent: str, *, details: bool) -> Iterator[str]:
    rows = [
        (
            *([] if each.row is None else [f"row {each.row}"]),
            each.place or "-",
            *([each.detail] if details else []),
        )
        for each in differences  # all have a row, or none has
    ]
    yield from (indent + line for line in aligned(rows, [] if differences[0].row is None else [0]))
