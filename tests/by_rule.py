"""What an annotation must hold, worked out base by base by the rules in words; and what it does hold."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from dilannot.annotate.store import Reader, Record
from dilannot.genome.sequence import Codes

Say = Callable[[Codes], np.ndarray]  # (L,) codes to (T, L) probabilities of one sequence
Row = tuple[int, int, float, int]  # a call: start, end, highest probability, summit

SLACK = 2e-5  # between two ways to add up float32


def saying(network: torch.nn.Module) -> Say:
    """The network on a whole sequence, as it was trained: no tiles, no pieces, nothing folded."""

    def say(codes: Codes) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(np.ascontiguousarray(codes))[None])[0].sigmoid().double().numpy()

    return say


def other_strand(codes: Codes) -> Codes:
    """Reverse complement; N stays N."""
    return np.where(codes == 0, 0, 5 - codes)[..., ::-1].astype(np.uint8)


def over_both_strands(say: Say, stride: int) -> Say:
    """The mean of both strands, where the other one begins with N if the sequence is no whole number of strides."""

    def both(codes: Codes) -> np.ndarray:
        padded = np.pad(codes, (0, -len(codes) % stride))
        return ((say(padded) + say(other_strand(padded))[:, ::-1]) / 2)[:, : len(codes)]

    return both


def window_after_window(say: Say, codes: Codes, window: int) -> np.ndarray:
    """Each window alone, from the contig's start on."""
    return np.concatenate([say(codes[at : at + window]) for at in range(0, len(codes), window)], axis=1)


def middle_of_windows(say: Say, codes: Codes, window: int, stride: int) -> np.ndarray:
    """Of windows that overlap by half the middle half; what is kept and what is left out are whole strides."""
    margin = window // 4 // stride * stride
    kept = max((window - 2 * margin) // stride, 1) * stride
    parts = []
    for at in range(0, len(codes), kept):
        first = max(0, at - margin)
        parts.append(say(codes[first : at + kept + margin])[:, at - first :][:, :kept])
    return np.concatenate(parts, axis=1)


def bin_after_bin(say: Say, codes: Codes, bin_length: int, length: int) -> np.ndarray:
    """Each bin from `length` nt around it, N beyond the contig's ends; `say` gives (T, 1)."""
    before = (length - bin_length) // 2
    padded = np.pad(codes, (before, length + bin_length))
    said = [say(padded[at : at + length]) for at in range(0, len(codes), bin_length)]
    return np.repeat(np.concatenate(said, axis=1), bin_length, axis=1)[:, : len(codes)]


def means(probability: np.ndarray, known: np.ndarray, width: int) -> np.ndarray:
    """Of each bin of the contig the mean over its known positions; NaN where there is none."""
    result = np.full(probability.shape, np.nan)
    for at in range(0, probability.shape[1], width):
        place = slice(at, at + width)
        if known[place].any():
            result[:, place] = probability[:, place][:, known[place]].mean(axis=1, keepdims=True)
    return result


def calls_of(probability: np.ndarray, inside: np.ndarray, threshold: float, gap: int, shortest: int) -> list[Row]:
    """Calls of one marker, (L,)."""
    found: list[Row] = []
    for place in np.flatnonzero(inside & (probability >= threshold)).tolist():
        score = float(probability[place])
        if found and place - found[-1][1] <= gap:
            start, _, highest, summit = found[-1]
            found[-1] = (start, place + 1, max(highest, score), place if score > highest else summit)
        else:
            found.append((place, place + 1, score, place))
    return [row for row in found if row[1] - row[0] >= shortest]


def clear_thresholds(probability: np.ndarray, quantile: float = 0.7) -> np.ndarray:
    """(T,) near a quantile of (T, L), each in the middle of a wide gap: which side a position is on is beyond doubt.

    Where a marker says one thing only, nothing reaches its threshold.
    """
    found = []
    for values in probability:
        values = np.unique(values[~np.isnan(values)])
        middle = int(quantile * (len(values) - 1))
        near = values[max(0, middle - 25) : middle + 25]
        if len(near) < 2 or np.diff(near).max() <= 2 * SLACK:
            near = np.array([values[-1], 1])
        widest = int(np.argmax(np.diff(near)))
        assert near[widest + 1] - near[widest] > 2 * SLACK
        found.append((near[widest] + near[widest + 1]) / 2)
    return np.array(found)


def assert_track(read: np.ndarray, probability: np.ndarray, inside: np.ndarray, steps: int, least: int) -> None:
    """A track, (L,) and NaN where it says nothing, holds rounded probabilities, and nothing low or outside."""
    said = ~np.isnan(read)
    lowest = (least - 0.5) / steps
    assert not said[~inside].any()
    assert said[inside & (probability >= lowest + SLACK)].all()
    assert not said[inside & (probability < lowest - SLACK)].any()
    assert np.abs(read - probability)[said].max(initial=0) <= 0.5 / steps + SLACK
    assert np.abs(read * steps - np.round(read * steps))[said].max(initial=0) < 2e-3


def assert_calls(found: Sequence[Row], expected: Sequence[Row], probability: np.ndarray) -> None:
    """The same calls; a summit may be any place that is highest but for the last digits."""
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    for (start, end, highest, summit), row in zip(found, expected, strict=True):
        assert abs(highest - row[2]) <= SLACK
        assert start <= summit < end
        assert probability[summit] >= row[2] - SLACK


def painted(records: Sequence[Record], lengths: Sequence[int], marker: int) -> list[np.ndarray]:
    """Of each contig the values of one marker as sections of records hold them, NaN elsewhere; none is said twice."""
    tracks = [np.full(length, np.nan) for length in lengths]
    with Reader(sorted({record.path for record in records})) as reader:
        for record in records:
            [(table, data)] = reader.sections(record, "value", slice(marker, marker + 1))
            at = 0
            for section in table:
                raw = zlib.decompress(data[at : at + int(section["size"])])
                at += int(section["size"])
                head, items = np.frombuffer(raw[:24], "<u4"), np.frombuffer(raw[24:], "<u4").reshape(-1, 3)
                assert (head[1], head[2]) == (section["start"], section["end"]) == (items[0, 0], items[-1, 1])
                assert head[5] >> 16 == section["items"] == len(items)
                for (start, end, _), value in zip(items, items[:, 2].copy().view("<f4"), strict=True):
                    assert start < end
                    assert np.isnan(tracks[head[0]][start:end]).all()
                    tracks[head[0]][start:end] = value
    return tracks


def stretches(records: Sequence[Record], marker: int) -> np.ndarray:
    """The called stretches of one marker, block after block."""
    with Reader(sorted({record.path for record in records})) as reader:
        parts = []
        for record in records:
            [(rows, _)] = reader.rows(record, "stretch_counts", "stretches", slice(marker, marker + 1))
            parts.append(rows)
    return np.concatenate(parts)


def track_of(file: object, contig: str, length: int) -> np.ndarray:
    """(L,) of an open pyBigWig file, NaN where it says nothing."""
    return np.array(file.values(contig, 0, length))  # type: ignore[attr-defined]


def rows_of_bed(path: Path) -> list[list[str]]:
    """Rows of a BED that begins with its header."""
    header, *rows = [line.split("\t") for line in path.read_text().splitlines()]
    assert header[0] == "#contig"
    return rows


def calls_in_bed(path: Path, contig: str) -> list[Row]:
    """Calls of one contig."""
    return [
        (int(row[1]), int(row[2]), float(row[6]), int(row[1]) + int(row[8]))
        for row in rows_of_bed(path)
        if row[0] == contig
    ]
