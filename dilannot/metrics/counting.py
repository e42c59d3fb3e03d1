"""The compiled loop that counts scores: 0.25 ns for each, because a marker's own counts stay in the second cache."""

from __future__ import annotations

import numpy as np

from dilannot.compiled import compiled
from dilannot.metrics.keys import KEYS, ZERO

_KEYS, _ZERO = np.int64(KEYS), np.int64(ZERO)
_PAGE = 512  # keys that are moved together
_MORE = 64  # keys that are looked at beside those seen, so that few batches have new ones


@compiled("int64(int64)")
def _key_of(bits):  # type: ignore[no-untyped-def]
    """Negative numbers are larger the smaller their bits are."""
    return _KEYS - 1 - bits if bits >= _ZERO else bits + _ZERO


@compiled("UniTuple(int64, 2)(uint32[::1], uint32[::1], int64, int64)")
def _occupied(own, other, first, last):  # type: ignore[no-untyped-def]
    """The keys that were counted, from and to, among those with bits [first, last)."""
    low, high = _KEYS, np.int64(0)
    for bits in range(first, last):
        if own[bits] or other[bits]:
            key = _key_of(np.int64(bits))  # type: ignore[no-untyped-call]
            low, high = min(low, key), max(high, key + 1)
    return low, high


@compiled("int64(int64[::1], int64)")
def bin_of(edges, key):  # type: ignore[no-untyped-def]
    """The coarse bin of a key: the last one that begins there or before."""
    first, last = 0, len(edges) - 1
    while last - first > 1:
        middle = (first + last) // 2
        if edges[middle] <= key:
            first = middle
        else:
            last = middle
    return first


# Numbers are turned back into narrow ones: numba's sums are 64 bits wide, which halves a loop's speed.
@compiled("int64(uint32[::1], uint32[::1], int64, int64, uint32[::1], uint32[::1], int64[::1])")
def _move(own, other, low, high, counts, coarse, edges):  # type: ignore[no-untyped-def]
    """Move the counts of keys [low, high) from `own` and `other`, by bits, to `counts`, by key; how many they were."""
    middle, moved, begun = min(max(low, _ZERO), high), np.int64(0), low
    for first, last in ((_KEYS - middle, _KEYS - low), (max(middle - _ZERO, 0), max(high - _ZERO, 0))):
        mine, more = own[first:last], other[first:last]
        for k in range(len(mine)):
            mine[k] += more[k]
        more[:] = 0
    place = bin_of(edges, low)  # type: ignore[no-untyped-call]
    while begun < high:
        while edges[place + 1] <= begun:
            place += 1
        stop = min(edges[place + 1], begun + _PAGE, middle if begun < middle else high)
        part = own[_KEYS - stop : _KEYS - begun] if begun < middle else own[begun - _ZERO : stop - _ZERO]
        total = np.uint32(0)
        for k in range(len(part)):
            total = np.uint32(total + part[k])
        if total:  # memory that is not written to is not there
            coarse[place] += total
            moved += np.int64(total)
            to, last = counts[begun:stop], stop - begun - 1
            if begun < middle:
                for k in range(len(part)):
                    to[np.uint64(last - k)] += part[k]  # an index that cannot be negative need not be looked at
            else:
                for k in range(len(part)):
                    to[k] += part[k]
        begun = stop
    own[_KEYS - middle : _KEYS - low] = 0
    own[max(middle - _ZERO, 0) : max(high - _ZERO, 0)] = 0
    return moved


@compiled("int64(uint16[::1], int64[:], int64[:], uint32[::1], uint32[::1])")
def _count_bits(bits, known_start, known_end, own, other):  # type: ignore[no-untyped-def]
    """Count what one marker's scores in the stretches are; how many there are.

    Neighbours are alike, and a sum waits for the one before it in the same place: two of them take turns.
    """
    counted = np.int64(0)
    for r in range(len(known_start)):
        half = (known_end[r] - known_start[r]) // 2
        middle = known_start[r] + half
        one, two = bits[known_start[r] : middle], bits[middle : known_end[r]]
        for i in range(half):
            own[one[i]] += np.uint32(1)
            other[two[i]] += np.uint32(1)
        if len(two) > half:
            own[two[half]] += np.uint32(1)
        counted += known_end[r] - known_start[r]
    return counted


@compiled(
    "void(uint16[:,::1], int64[:], int64[:], uint8[::1], int64[::1], int64[::1], int64[::1], int64, int64,"
    "uint32[:,::1], uint32[:,::1], uint32[:,::1], uint32[:,::1], int64[:,:,::1], int64[:,::1], "
    "uint32[::1], uint32[::1])"
)
def count_window(  # type: ignore[no-untyped-def]
    halves, known_start, known_end, known, first_label, label_start, label_end, begin, end,
    everything, positive, coarse_everything, coarse_positive, seen, edges, own, other,
):  # fmt: skip
    """Count the scores of markers [begin, end).

    Parameters
    ----------
    halves
        (T, L) half-precision numbers as their bits.
    known_start, known_end, known
        Stretches of positions that count, and the same as (L,) flags.
    first_label, label_start, label_end
        (T + 1,) where each marker's label intervals begin, and those.
    everything, positive, coarse_everything, coarse_positive
        What is counted: (T, KEYS) by key and (T, bins) by coarse bin.
    seen
        (T, 2, 2) the keys that each marker's scores had so far, from and to, below 0 and above; updated. At first
        (KEYS, 0).
    edges
        (T, bins + 1) keys at which each marker's coarse bins begin, and KEYS.
    own, other
        (KEYS,) zeros, before and after: counts of one marker by bits.
    """
    for t in range(begin, end):
        bits = halves[t]
        left = _count_bits(bits, known_start, known_end, own, other)  # type: ignore[no-untyped-call]
        # Numbers below and above 0 apart: between them lie a great many keys that hardly any score has.
        for side in range(2):
            if seen[t, side, 0] >= seen[t, side, 1]:
                continue
            left -= _move(  # type: ignore[no-untyped-call]
                own, other, seen[t, side, 0], seen[t, side, 1], everything[t], coarse_everything[t], edges[t]
            )
        if left:
            for side in range(2):
                zero = (1 - side) * _ZERO
                first, last = _occupied(own, other, zero, zero + _ZERO)  # type: ignore[no-untyped-call]
                if first < last:
                    _move(  # type: ignore[no-untyped-call]
                        own, other, first, last, everything[t], coarse_everything[t], edges[t]
                    )
                    seen[t, side, 0] = max(min(seen[t, side, 0], first) - _MORE, side * _ZERO)
                    seen[t, side, 1] = min(max(seen[t, side, 1], last) + _MORE, (side + 1) * _ZERO)
        left = np.int64(0)
        for label in range(first_label[t], first_label[t + 1]):
            for i in range(label_start[label], label_end[label]):
                if known[i]:
                    own[bits[i]] += np.uint32(1)
                    left += 1
        if left:
            for side in range(2):
                _move(  # type: ignore[no-untyped-call]
                    own, other, seen[t, side, 0], seen[t, side, 1], positive[t], coarse_positive[t], edges[t]
                )
