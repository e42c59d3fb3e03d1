"""Both encoders, the compiled one and torch's, against a loop over the positions; exactly."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from by_rule import calls_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch_encoder import WithTorch

from dilannot.annotate.calls import STRETCH, CallRule, joined
from dilannot.annotate.encode import Encoded, Room, Rules, TileEncoder, in_one

ORIGIN = 1000


@dataclass(frozen=True)
class Case:
    """Probabilities (T, L) of a block, what is known and wanted of it, and how it is cut."""

    scores: np.ndarray
    known: np.ndarray
    wanted: np.ndarray
    rules: Rules
    tiles: list[int]  # where they begin and end
    cuts: list[int]  # where pieces end, in any tile

    def encoded(self, encoder: type[TileEncoder], room: Room) -> Encoded:
        tiles = []
        for begin, end in pairwise(self.tiles):
            tile = encoder(self.rules, ORIGIN + begin, self.wanted[begin:end], self.known[begin:end], room)
            for _ in range(2):  # forgotten, as when memory was too little the first time
                tile.clear()
                borders = sorted({begin, end, *(cut for cut in self.cuts if begin < cut < end)})
                for first, last in pairwise(borders):
                    tile.add(torch.from_numpy(self.scores[:, first:last].copy()), first - begin)
            tile.finish()
            tiles.append(tile)
        return in_one(tiles)

    def levels(self) -> np.ndarray:
        """(T, L) by the rule; -1 where nothing is said."""
        levels, width = np.full(self.scores.shape, -1), self.rules.bin_length
        for marker, scores in enumerate(self.scores):
            for position in np.flatnonzero(self.wanted).tolist():
                of_bin = slice(position // width * width, position // width * width + width)
                mean = scores[of_bin][self.known[of_bin]].sum() / np.float32(self.known[of_bin].sum())
                level = int(np.float32(mean) * np.float32(self.rules.steps) + np.float32(0.5))
                levels[marker, position] = level if level >= self.rules.least[marker] else -1
        return levels


def check(case: Case, encoded: Encoded) -> None:
    """Runs paint the levels, are as long as they can be, and calls are those of a walk along the positions."""
    markers, length = case.scores.shape
    of_run = np.repeat(np.arange(markers), encoded.counts)
    of_stretch = np.repeat(np.arange(markers), encoded.stretch_counts)
    assert len(of_run) == len(encoded.start) == len(encoded.end) == len(encoded.level)
    levels = case.levels()
    for marker in range(markers):
        rows, found = of_run == marker, np.full(length, -1)
        start, end, level = encoded.start[rows].astype(int), encoded.end[rows].astype(int), encoded.level[rows]
        for first, last, value in zip(start - ORIGIN, end - ORIGIN, level, strict=True):
            found[first:last] = value
        assert (found == levels[marker]).all()
        assert (start < end).all()
        assert (start[1:] >= end[:-1]).all()
        assert not ((start[1:] == end[:-1]) & (level[1:] == level[:-1])).any(), "a run was left cut"
        gap, threshold = case.rules.merge_gap, float(case.rules.thresholds[marker])
        calls = joined(encoded.stretches[of_stretch == marker], CallRule(threshold, gap, 1))
        expected = calls_of(case.scores[marker], case.wanted, case.rules.thresholds[marker], gap, 1)
        assert [(row[0] - ORIGIN, row[1] - ORIGIN, row[2], row[3] - ORIGIN) for row in calls.tolist()] == expected


# Sixty-fourths: their sums over a bin are exact, and equal ones are frequent.
SCORES = st.integers(0, 2**32).map(np.random.default_rng)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    random, markers = draw(SCORES), draw(st.integers(1, 3))
    width, per_tile, tiles = (
        draw(st.sampled_from([1, 1, 2, 3, 7, 16])),
        draw(st.integers(1, 20)),
        draw(st.integers(1, 3)),
    )
    size = width * per_tile
    length = size * tiles - draw(st.integers(0, min(size - 1, 5)))  # the last tile of a contig is shorter
    scores = random.choice(np.arange(65) / 64, (markers, length)).astype(np.float32)
    if draw(st.booleans()):  # long runs
        scores = np.repeat(scores, 9, axis=1)[:, :length]
    known = random.random(length) < draw(st.sampled_from([1, 0.9, 0.3]))
    first, last = sorted(draw(st.tuples(st.integers(0, length), st.integers(0, length))))
    inside = (np.arange(length) >= first) & (np.arange(length) < last)
    steps = draw(st.sampled_from([1, 10, 64, 100, 10_000]))
    rules = Rules(
        steps,
        random.integers(0, steps + 1, markers),
        random.choice(np.arange(1, 65) / 64, markers).astype(np.float32),
        draw(st.integers(0, 9)),
        width,
    )
    borders = [*range(0, length, size), length]
    return Case(scores, known, known & inside, rules, borders, draw(st.lists(st.integers(0, length), max_size=8)))


@settings(deadline=None, max_examples=250)
@given(cases())
def test_both_encoders_say_what_the_rule_says(case: Case) -> None:
    room = Room(len(case.scores))
    check(case, case.encoded(TileEncoder, room))
    check(case, case.encoded(WithTorch, room))


@settings(deadline=None, max_examples=100)
@given(case=cases(), seed=st.integers(0, 2**32))
def test_both_encoders_agree_on_any_float(case: Case, seed: int) -> None:
    """Where a probability lies between two levels, or at the threshold, both round the same way."""
    random, steps = np.random.default_rng(seed), case.rules.steps
    between = ((random.integers(0, steps, case.scores.shape) + 0.5) / steps).astype(np.float32)
    aside = np.nextafter(between, random.choice([0, 1], case.scores.shape).astype(np.float32))
    scores = np.where(random.random(case.scores.shape) < 0.5, aside, random.random(case.scores.shape, np.float32))
    one_by_one = Rules(steps, case.rules.least, scores[:, 0].copy().clip(1e-6), case.rules.merge_gap)
    case = Case(scores, case.known, case.wanted, one_by_one, case.tiles, case.cuts)
    found = [case.encoded(encoder, Room(len(scores))) for encoder in (TileEncoder, WithTorch)]
    check(case, found[0])
    for name in ("counts", "start", "end", "level"):
        np.testing.assert_array_equal(getattr(found[0], name), getattr(found[1], name))


@settings(deadline=None, max_examples=100)
@given(
    seed=st.integers(0, 2**32), unit=st.integers(1, 9), bins=st.integers(1, 30), ahead=st.integers(0, 8),
    behind=st.integers(0, 8), known=st.sampled_from([1, 0.5]), gap=st.integers(0, 3),
)  # fmt: skip
@example(seed=0, unit=4, bins=3, ahead=0, behind=0, known=1, gap=0)
def test_a_score_of_several_positions_stands_for_each_of_them(
    seed: int, unit: int, bins: int, ahead: int, behind: int, known: float, gap: int
) -> None:
    """Those of a network for windows; the first bin and the last may reach out of the tile."""
    random, ahead, behind = np.random.default_rng(seed), min(ahead, unit - 1), min(behind, unit - 1)
    length = bins * unit - ahead - behind
    if length < 1:
        return
    scores = random.choice(np.arange(65) / 64, (2, bins)).astype(np.float32)
    wanted = random.random(length) < known
    rules = Rules(100, np.array([1, 40]), np.array([0.25, 0.5], np.float32), gap)
    whole = np.repeat(scores, unit, axis=1)[:, ahead : ahead + length]
    case = Case(whole, wanted, wanted, rules, [0, length], [])
    for encoder in (TileEncoder, WithTorch):
        tile = encoder(rules, ORIGIN, wanted, wanted, Room(2))
        tile.add(torch.from_numpy(scores), -ahead, unit)
        tile.finish()
        check(case, in_one([tile]))


def test_every_other_base_may_be_unknown_in_long_bins() -> None:
    """Then every known one is a run and a call: more of them than there are scores."""
    bins, unit, markers = 250, 200, 3
    wanted = np.arange(bins * unit) % 2 == 0
    rules = Rules(100, np.full(markers, 1), np.full(markers, 0.25, np.float32), merge_gap=0)
    scores = np.random.default_rng(0).uniform(0.5, 1, (markers, bins)).astype(np.float32)
    tile = TileEncoder(rules, ORIGIN, wanted, wanted, Room(markers))
    tile.add(torch.from_numpy(scores), 0, unit)
    tile.finish()
    encoded = in_one([tile])
    assert encoded.counts.tolist() == encoded.stretch_counts.tolist() == [bins * unit // 2] * markers
    assert (encoded.start.reshape(markers, -1) == ORIGIN + np.flatnonzero(wanted)).all()
    assert (encoded.stretches["summit"] == encoded.start).all()


def test_pieces_longer_than_the_room_are_cut() -> None:
    length = 5_000
    scores = np.random.default_rng(1).choice(np.arange(65) / 64, (2, length)).astype(np.float32)
    wanted = np.ones(length, bool)
    rules = Rules(100, np.array([0, 30]), np.array([0.9, 0.1], np.float32), 5)
    case = Case(scores, wanted, wanted, rules, [0, length], [])
    check(case, case.encoded(TileEncoder, Room(2)))


@pytest.mark.parametrize("encoder", [TileEncoder, WithTorch])
def test_known_runs_and_calls(encoder: type[TileEncoder]) -> None:
    """Levels are rounded, zeros are values, calls go by what was not rounded, and the first of equal summits counts."""
    scores = torch.tensor([[0, 0.004, 0.006, 0.0349, 0.0351, 0.5, 0.9999, 0.9999, 0.2, 1]])
    known = np.array([True] * 8 + [False] + [True])
    rules = Rules(100, np.array([0]), np.array([0.035], np.float32), merge_gap=1)
    tile = encoder(rules, 10, known, known, Room(1))
    tile.add(scores, 0)
    tile.finish()
    encoded = in_one([tile])
    assert encoded.start.tolist() == [10, 12, 13, 14, 15, 16, 19]
    assert encoded.end.tolist() == [12, 13, 14, 15, 16, 18, 20]
    assert encoded.level.tolist() == [0, 1, 3, 4, 50, 100, 100]
    # The compiled loop joins what it can; torch's leave it to the end.
    assert len(encoded.stretches) == (1 if encoder is TileEncoder else 2)
    calls = joined(encoded.stretches, CallRule(0.035, 1, 1))
    assert calls.tolist() == [(14, 20, 1, 19)]
    assert joined(encoded.stretches[:0], CallRule(0.035)).dtype == STRETCH
    assert rules.values[[0, 4, 100]].tolist() == [0, np.float32(0.04), 1]


def test_runs_of_two_markers_are_never_joined() -> None:
    """One ends where the other begins, at the same level."""
    scores = np.array([[0.5] * 5 + [0] * 5, [0] * 5 + [0.5] * 5], np.float32)
    wanted = np.ones(10, bool)
    rules = Rules(100, np.array([1, 1]), np.array([0.9, 0.9], np.float32), 0)
    case = Case(scores, wanted, wanted, rules, [0, 10], [3, 7])
    for encoder in (TileEncoder, WithTorch):
        encoded = case.encoded(encoder, Room(2))
        check(case, encoded)
        assert encoded.counts.tolist() == [1, 1]


def test_what_is_cut_off_first_is_neither_kept_nor_called() -> None:
    """The cheap comparison before the loop leaves out no score that the loop would take."""
    for steps in (1, 7, 100, 10_000):
        least = np.arange(steps + 1)
        rules = Rules(steps, least, np.full(len(least), np.float32(2)), 0)
        border = ((least - 0.5) / steps).astype(np.float32)
        for score in (border, np.nextafter(border, np.float32(-1)), np.nextafter(border, np.float32(2))):
            kept = (score * np.float32(steps) + np.float32(0.5)).astype(int) >= least
            assert (score >= rules.cut)[kept].all()
    called = Rules(100, np.array([50]), np.array([0.1], np.float32), 0)
    assert called.cut == np.float32(0.1)
