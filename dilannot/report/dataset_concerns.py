"""What a careful colleague would say about a dataset before anybody trains on it for a day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dilannot.data.markers import UNKNOWN
from dilannot.data.splits import SPLITS, TEST, TRAIN, VALIDATION
from dilannot.report.content import Concern, names, percent, plural
from dilannot.report.dataset_facts import CHOSEN, DatasetFacts

UNKNOWN_PEAKS = 0.01  # of all peaks; random and alternative contigs are less
DROPPED = 0.3  # of all windows; the N and the blacklist of hg19 take a tenth
TRAIN_AT_LEAST, HELD_OUT = 0.65, (0.04, 0.2)  # of the windows kept; DeepSEA's chr7 is 5 %
HELD_OUT_BASES, HELD_OUT_BINS = 1_000_000, 1_000  # DeepSEA validated on 4,000 bins
RATE_RATIO = 5
HIGH_RATE = 0.5
FEW_PEAKS = 50


def find_concerns(facts: DatasetFacts) -> list[Concern]:
    """All of them, those that spoil most first."""
    peaks = not facts.record.get("imported")  # published arrays have no peaks to count
    return [
        *_elsewhere(facts),
        *(_dropped(facts) if peaks else ()),
        *_splits(facts),
        *(_without_peaks(facts) if peaks else ()),
        *_without_positives(facts),
        *(_few_peaks(facts) if peaks else ()),
        *_uneven(facts),
        *_everywhere(facts),
        *_duplicates(facts),
        *_unknown_class(facts),
        *_exclusions(facts),
    ]


def _elsewhere(facts: DatasetFacts) -> Iterator[Concern]:
    unknown = facts.mapping("peaks_on_unknown_contigs")
    count, every = sum(unknown.values()), int(facts.counts["peaks_read"].sum())
    if every and count >= UNKNOWN_PEAKS * every:
        most = sorted(unknown, key=lambda name: (-unknown[name], name))
        yield Concern(
            f"{percent(count / every, 1)} of all peaks lie on contigs that the genome lacks",
            f"{count:,} of {every:,}, on {names(most)}. Right if the genome is meant to be a part of theirs.",
        )


def _dropped(facts: DatasetFacts) -> Iterator[Concern]:
    dropped = {key: count for key, count in facts.dropped.items() if key not in CHOSEN}
    count = sum(dropped.values())
    judged = sum(facts.dropped.values()) - facts.dropped.get("other_contigs", 0) + int(facts.windows.sum())
    share = count / judged
    if share > DROPPED:
        reason = max(dropped, key=lambda key: dropped[key])
        yield Concern(
            f"{percent(share, 1)} of the windows were dropped",
            f"{count:,} windows, most of them for {reason_text(reason)} ({dropped[reason]:,}).",
        )


def _splits(facts: DatasetFacts) -> Iterator[Concern]:
    shares = facts.windows / facts.windows.sum()
    held_out = [
        name for name, share in zip(SPLITS[1:], shares[1:], strict=True) if not HELD_OUT[0] <= share <= HELD_OUT[1]
    ]
    if held_out or shares[TRAIN] < TRAIN_AT_LEAST:
        said = ", ".join(f"{name} {percent(share, 1)}" for name, share in zip(SPLITS, shares, strict=True))
        yield Concern("The splits are far from 80 / 10 / 10", f"{said}.")
    least = HELD_OUT_BINS if facts.task == "window" else HELD_OUT_BASES
    small = [index for index in (VALIDATION, TEST) if facts.possible[index] < least]
    if small:
        counts = ", ".join(f"{plural(int(facts.windows[index]), 'window')} for {SPLITS[index]}" for index in small)
        splits = " and ".join(SPLITS[index] for index in small)
        yield Concern(
            f"Little data to judge by: less than {least:,} {facts.labelled} for {splits}",
            f"{counts}: scores will vary a lot from one seed to the next.",
        )
    if facts.settings.get("split") == "windows":
        yield Concern(
            "Neighbouring windows are in different splits",
            "Split by windows: scores come out higher than they are on a chromosome never seen.",
        )


def _without_peaks(facts: DatasetFacts) -> Iterator[Concern]:
    found = _named(facts, facts.counts["peaks_read"] == 0)
    if found:
        yield Concern(
            f"{plural(len(found), 'marker')} without any peak", f"{names(found)}. Nothing can be learned of them."
        )


def _without_positives(facts: DatasetFacts) -> Iterator[Concern]:
    has_peaks = (facts.counts["peaks_read"] > 0) | bool(facts.record.get("imported"))
    nowhere = has_peaks & (facts.positives.sum(axis=1) == 0)
    if nowhere.any():
        found = _named(facts, nowhere)
        yield Concern(
            f"{plural(len(found), 'marker')} with peaks, but none in a window that is kept", f"{names(found)}."
        )
    for index, split in enumerate(SPLITS):
        found = _named(facts, has_peaks & ~nowhere & (facts.positives[:, index] == 0))
        if found:
            what = "cannot be learned" if index == TRAIN else "cannot be scored there"
            yield Concern(f"{plural(len(found), 'marker')} without positives in {split}: {what}", f"{names(found)}.")


def _few_peaks(facts: DatasetFacts) -> Iterator[Concern]:
    used = facts.counts["peaks_used"]
    few = (used > 0) & (used < FEW_PEAKS)
    if few.any():
        found = [f"{name} ({count:,})" for name, count in _sorted(facts, few, used)]
        yield Concern(
            f"{plural(len(found), 'marker')} with fewer than {FEW_PEAKS} peaks in windows",
            f"{names(found)}. Their scores rest on a handful of peaks.",
        )


def _uneven(facts: DatasetFacts) -> Iterator[Concern]:
    ratio = test_to_train(facts)
    factor = np.where(ratio > 0, np.maximum(ratio, 1 / np.where(ratio > 0, ratio, 1)), 0)
    # Those with few peaks are named above, and differ by chance.
    uneven = (factor > RATE_RATIO) & (facts.counts["peaks_used"] >= FEW_PEAKS)
    if uneven.any():
        found = [f"{name} ({factor:.1f}×)" for name, factor in _sorted(facts, uneven, -factor, factor)]
        yield Concern(
            f"{plural(len(found), 'marker')} whose base rates in train and test differ more than {RATE_RATIO} times",
            f"{names(found)}. Thresholds set on one will not fit the other.",
        )


def _everywhere(facts: DatasetFacts) -> Iterator[Concern]:
    rate = facts.positives.sum(axis=1) / facts.possible.sum()
    if (rate > HIGH_RATE).any():
        found = [f"{name} ({percent(rate, 0)})" for name, rate in _sorted(facts, rate > HIGH_RATE, -rate, rate)]
        yield Concern(
            f"{plural(len(found), 'marker')} positive in more than half of all {facts.labelled}",
            f"{names(found)}. Peaks, or whole domains?",
        )


def _duplicates(facts: DatasetFacts) -> Iterator[Concern]:
    by_digest = defaultdict(list)
    for marker, digest, peaks in zip(facts.markers, facts.sha256, facts.counts["peaks_read"], strict=True):
        if digest and peaks:
            by_digest[digest].append(marker.name)
    same = [group for group in by_digest.values() if len(group) > 1]
    if same:
        yield Concern(
            f"{plural(sum(map(len, same)), 'marker')} share their peak file with another",
            f"The same peaks under two names: {'; '.join(' = '.join(group[:4]) for group in same[:3])}"
            + (f"; and {len(same) - 3:,} more groups." if len(same) > 3 else "."),
        )


def _unknown_class(facts: DatasetFacts) -> Iterator[Concern]:
    found = _named(facts, np.array([marker.marker_class == UNKNOWN for marker in facts.markers]))
    if found:
        yield Concern(
            f"{plural(len(found), 'marker')} of unknown class", f"{names(found)}. Give classes in a markers.tsv."
        )


def _exclusions(facts: DatasetFacts) -> Iterator[Concern]:
    elsewhere = facts.listed("excluded_contigs_unknown")
    if elsewhere and not facts.dropped.get("excluded"):
        yield Concern(
            "The excluded regions dropped no window",
            f"They name {plural(len(elsewhere), 'contig')} that the genome lacks: {names(elsewhere)}.",
        )


def test_to_train(facts: DatasetFacts) -> NDArray[np.float64]:
    """(markers,) the base rate in test over that in train; NaN where one of them is nothing."""
    train, test = facts.rates[:, TRAIN], facts.rates[:, TEST]
    both = (train > 0) & (test > 0)
    ratio = np.full(len(train), np.nan)
    ratio[both] = test[both] / train[both]
    return ratio


def reason_text(key: str) -> str:
    """Why windows were dropped, in words."""
    known = {
        "n": "too many N",
        "excluded": "excluded regions",
        "border": "lying between two splits",
        "edge": "reaching over the end of a contig",
        "other_contigs": "lying on contigs not asked for",
        "no_tfbs": "having no TFBS label",
    }
    return known.get(key, key.replace("_", " "))


def _named(facts: DatasetFacts, rows: NDArray[np.bool_]) -> list[str]:
    return [facts.markers[index].name for index in np.flatnonzero(rows)]


def _sorted(
    facts: DatasetFacts, rows: NDArray[np.bool_], key: NDArray[np.generic], said: NDArray[np.generic] | None = None
) -> Sequence[tuple[str, float]]:
    """Names and values of some markers, least `key` first."""
    chosen = np.flatnonzero(rows)
    chosen = chosen[np.argsort(key[chosen], kind="stable")]
    values = key if said is None else said
    return [(facts.markers[index].name, values[index].item()) for index in chosen]
