"""The inner loops of encoding on a CPU. Legend: T markers, n probabilities of a piece, L positions of a tile."""

from __future__ import annotations

import numpy as np

from dilannot.compiled import compiled


@compiled(
    "UniTuple(int64, 2)(float32[:,::1], boolean[:,::1], uint64[:,::1], int64[::1], float32, float32[::1], "
    "boolean[::1], int64, int64, int64, int64, int64[::1], int64[::1], float32[::1], int64[::1], "
    "uint32[::1], uint32[::1], uint16[::1], int64[::1], "
    "int32[::1], uint32[::1], uint32[::1], float32[::1], uint32[::1])"
)
def encode(  # type: ignore[no-untyped-def]
    scores, mask, words, least, steps, threshold, known, origin, offset, unit, gap,
    open_start, open_end, open_max, open_summit,
    run_start, run_end, run_level, run_counts, marker, start, end, highest, summit,
):  # fmt: skip
    """Runs of equal level, and stretches at or above the threshold that have ended; how many of each.

    Score j of a marker stands for columns [offset + j * unit, offset + (j + 1) * unit) of the tile, of which those in
    [0, L) are there; `known` (L,) says which have a base, and column 0 lies at `origin`. Only scores in `mask` are
    looked at; its rows are whole words of eight, and `words` is the same.

    Levels below the marker's `least` are left out. Stretches up to `gap` nt apart are one; what may go on in the next
    piece stays in the (T,) `open_...`, `open_start` -1 where nothing does.
    """
    runs, ended, width = 0, 0, len(known)
    for t in range(scores.shape[0]):
        first_run = runs
        for word in range(words.shape[1]):
            if words[t, word] == 0:
                continue
            for j in range(word * 8, word * 8 + 8):
                if not mask[t, j]:
                    continue
                score = scores[t, j]
                level = np.int64(score * steps + np.float32(0.5))
                begin = offset + j * unit
                for column in range(max(0, begin), min(width, begin + unit)):
                    if not known[column]:
                        continue
                    position = origin + column
                    if level >= least[t]:
                        if runs > first_run and run_end[runs - 1] == position and run_level[runs - 1] == level:
                            run_end[runs - 1] = position + 1
                        else:
                            run_start[runs], run_end[runs], run_level[runs] = position, position + 1, level
                            runs += 1
                    if score < threshold[t]:
                        continue
                    if open_start[t] < 0 or position - open_end[t] > gap:
                        if open_start[t] >= 0:
                            marker[ended], start[ended], end[ended] = t, open_start[t], open_end[t]
                            highest[ended], summit[ended] = open_max[t], open_summit[t]
                            ended += 1
                        open_start[t], open_max[t], open_summit[t] = position, score, position
                    elif score > open_max[t]:
                        open_max[t], open_summit[t] = score, position
                    open_end[t] = position + 1
        run_counts[t] = runs - first_run
    return runs, ended


@compiled(
    "int64(int64[:,::1], uint32[::1], uint32[::1], uint16[::1], uint32[::1], uint32[::1], uint16[::1], int64[::1])"
)
def gather(counts, start, end, level, to_start, to_end, to_level, to_counts):  # type: ignore[no-untyped-def]
    """Runs piece after piece, (pieces, T) `counts` of them, to marker after marker; those that were cut are joined."""
    pieces, markers = counts.shape
    at = np.empty(pieces, np.int64)
    total = 0
    for piece in range(pieces):
        at[piece] = total
        total += counts[piece].sum()
    put = 0
    for t in range(markers):
        before = put
        for piece in range(pieces):
            for i in range(at[piece], at[piece] + counts[piece, t]):
                if put > before and to_end[put - 1] == start[i] and to_level[put - 1] == level[i]:
                    to_end[put - 1] = end[i]
                else:
                    to_start[put], to_end[put], to_level[put] = start[i], end[i], level[i]
                    put += 1
            at[piece] += counts[piece, t]
        to_counts[t] = put - before
    return put
