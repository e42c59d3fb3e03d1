"""The compiled loop that counts scores: 0.4 ns for each, because a marker's own counts stay in the second cache."""

from __future__ import annotations

import numpy as np

from dilannot.compiled import compiled


# Numbers are turned back into narrow ones throughout: numba's sums are 64 bits wide, which halves a loop's speed.
@compiled(
    "void(int16[:,::1], int64[:], int64[:], uint8[::1], int64[::1], int64[::1], int64[::1], int64, int64,"
    "uint32[:,::1], uint32[:,::1], uint32[:,::1], uint32[:,::1], int64[::1], uint8[::1], "
    "uint32[::1], uint32[::1], uint16[::1])"
)
def count_window(  # type: ignore[no-untyped-def]
    halves, known_start, known_end, known, first_label, label_start, label_end, begin, end,
    everything, positive, coarse_everything, coarse_positive, edges, bin_of, own, other, keys,
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
    edges, bin_of
        (bins + 1,) keys at which coarse bins begin, and (KEYS,) the bin of each key.
    own, other, keys
        (KEYS,) zeros, before and after; room for (L,) keys.
    """
    for t in range(begin, end):
        bits = halves[t]
        low, high = np.int16(32767), np.int16(-32768)
        for r in range(len(known_start)):
            some, made = bits[known_start[r] : known_end[r]], keys[known_start[r] : known_end[r]]
            for i in range(len(some)):
                # Negative numbers are larger the smaller they are; 0x8000 makes the order one of unsigned numbers.
                ordered = np.int16(some[i] ^ ((some[i] >> 15) & 0x7FFF))
                low, high = min(low, ordered), max(high, ordered)
                made[i] = np.uint16(ordered ^ 0x8000)
        for r in range(len(known_start)):
            # Neighbours are alike, and a sum waits for the one before it in the same place: two of them take turns.
            half = (known_end[r] - known_start[r]) // 2
            middle = known_start[r] + half
            one, two = keys[known_start[r] : middle], keys[middle : known_end[r]]
            for i in range(half):
                own[one[i]] += np.uint32(1)
                other[two[i]] += np.uint32(1)
            if len(two) > half:
                own[two[half]] += np.uint32(1)
        first, last = np.int64(low) + 0x8000, np.int64(high) + 0x8001
        mine, more, all_of_marker, begun = own[first:last], other[first:last], everything[t, first:last], first
        for k in range(len(mine)):
            mine[k] += more[k]
        more[:] = 0
        while begun < last:
            place = bin_of[begun]
            stop = min(edges[place + 1], last)
            part, total = own[begun:stop], np.uint32(0)
            for k in range(len(part)):
                total = np.uint32(total + part[k])
            coarse_everything[t, place] += total
            begun = stop
        for k in range(len(mine)):
            all_of_marker[k] += mine[k]
        mine[:] = 0
        for label in range(first_label[t], first_label[t + 1]):
            for i in range(label_start[label], label_end[label]):
                if known[i]:
                    positive[t, keys[i]] += np.uint32(1)
                    coarse_positive[t, bin_of[keys[i]]] += np.uint32(1)
