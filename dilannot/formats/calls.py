"""Calls out, as BED6+3: one file per marker, or one of all markers together.

The columns are contig, start, end, name, score (1000 x the highest probability), strand (none), the highest
probability, the marker's threshold and, as in narrowPeak, where from the start on the highest probability lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dilannot.formats.bgzip import BgzipWriter

COLUMNS = ("contig", "start", "end", "name", "score", "strand", "max", "threshold", "summit")
HEADER = "#" + "\t".join(COLUMNS) + "\n"

CALL = np.dtype([("start", "<u4"), ("end", "<u4"), ("max", "<f4"), ("summit", "<u4")])
Calls = NDArray[np.void]  # of CALL: 0-based half-open, highest probability and where it is first reached

_ROWS_OF_TEXT = 1 << 16  # made at once
_ROWS_OF_ALL = 1 << 20  # of all markers, sorted at once


@dataclass(frozen=True, slots=True)
class Part:
    """Where the rows of one contig begin in a file (a virtual offset in bgzip), and how many there are."""

    offset: int
    rows: int


def write_calls(
    path: Path,
    contigs: Iterable[tuple[str, Calls]],
    *,
    name: str,
    threshold: float,
    lengths: Mapping[str, int],
    bgzip: bool = False,
) -> int:
    """Write the calls of one marker, named NAME_1, NAME_2, ...; returns how many.

    Parameters
    ----------
    path
        Written as it stands: a temporary name is the caller's.
    contigs
        Name and sorted calls of one contig after another, in genome order.
    name, threshold
        Of the marker.
    lengths
        Of the genome's contigs, bp: calls are checked against them.
    bgzip
        Write bgzip.
    """
    written = 0
    with _opened(path, bgzip) as output:
        for contig, calls in contigs:
            _check(contig, calls, lengths)
            for rows in call_rows(contig, calls, name=name, threshold=threshold, first=written + 1):
                output.write(rows)
            written += len(calls)
    return written


def call_rows(contig: str, calls: Calls, *, name: str, threshold: float, first: int = 1) -> Iterator[bytes]:
    """Rows of one marker and contig, many at a time; the first is called NAME_`first`."""
    row = f"{_literal(contig)}\t%d\t%d\t{_literal(name)}_%d\t%d\t.\t%.5g\t{threshold:.5g}\t%d\n"
    for begin in range(0, len(calls), _ROWS_OF_TEXT):
        start, end, score, highest, summit = _columns(calls[begin : begin + _ROWS_OF_TEXT])
        number = range(first + begin, first + begin + len(start))
        rows = map(row.__mod__, zip(start, end, number, score, highest, summit, strict=True))
        yield "".join(rows).encode()


def write_combined(
    path: Path,
    contigs: Iterable[tuple[str, Sequence[Iterable[Calls]]]],
    *,
    names: Sequence[str],
    thresholds: Sequence[float],
    lengths: Mapping[str, int],
    bgzip: bool = False,
) -> dict[str, Part]:
    """Write the calls of all markers, sorted by contig, start, end and marker; rows are called as their marker.

    Parameters
    ----------
    path
        Written as it stands: a temporary name is the caller's.
    contigs
        One contig after another, in genome order: its name and, for each marker, its sorted calls in as many arrays
        as one likes. About a million calls are held beside those.
    names, thresholds
        Of the markers.
    lengths, bgzip
        As for `write_calls`.

    Returns
    -------
    parts
        Where the contigs lie in the file; `write_bigbed` reads them there. Those without calls have none.
    """
    fixed = [f"{threshold:.5g}" for threshold in thresholds]
    parts: dict[str, Part] = {}
    with _opened(path, bgzip) as output:
        for contig, sources in contigs:
            begin, count = output.tell(), 0
            row = f"{_literal(contig)}\t%d\t%d\t%s\t%d\t.\t%.5g\t%s\t%d\n"
            for marker, calls in merged(sources):
                _check(contig, calls, lengths, overlapping=True)
                for rows in _combined_rows(row, marker, calls, names, fixed):
                    output.write(rows)
                count += len(calls)
            if count:
                parts[contig] = Part(begin, count)
    return parts


def merged(sources: Sequence[Iterable[Calls]], at_once: int = _ROWS_OF_ALL) -> Iterator[tuple[NDArray[np.intp], Calls]]:
    """Calls of one contig and all markers, sorted by start, end and marker, with the marker of each.

    About `at_once` are taken from the sources at a time: everything up to the first place at which one of them has to
    be asked for more.
    """
    share = max(1, at_once // max(1, len(sources)))
    queues = [_pieces(source, share) for source in sources]
    waiting = {marker: piece for marker, queue in enumerate(queues) if (piece := next(queue, None)) is not None}
    while waiting:
        border = min(piece["start"][-1] for piece in waiting.values())
        ready: dict[int, Calls] = {}
        for marker, piece in list(waiting.items()):
            count = int(np.searchsorted(piece["start"], border, "right"))
            ready[marker] = piece[:count]
            rest = piece[count:] if count < len(piece) else next(queues[marker], None)
            if rest is None:
                del waiting[marker]
            else:
                waiting[marker] = rest
        # Of records, numpy's concatenate takes 8 us an array.
        calls = np.frombuffer(b"".join(piece.tobytes() for piece in ready.values()), CALL)
        marker_of = np.repeat(np.fromiter(ready, np.intp), [len(piece) for piece in ready.values()])
        # Markers come in their order, and a stable sort leaves them so.
        order = np.argsort(calls["start"].astype(np.uint64) << np.uint64(32) | calls["end"], kind="stable")
        yield marker_of[order], calls[order]


def _pieces(source: Iterable[Calls], share: int) -> Iterator[Calls]:
    for calls in source:
        for begin in range(0, len(calls), share):
            yield calls[begin : begin + share]


def _combined_rows(
    row: str, marker: NDArray[np.intp], calls: Calls, names: Sequence[str], thresholds: Sequence[str]
) -> Iterator[bytes]:
    for begin in range(0, len(calls), _ROWS_OF_TEXT):
        start, end, score, highest, summit = _columns(calls[begin : begin + _ROWS_OF_TEXT])
        of = marker[begin : begin + _ROWS_OF_TEXT].tolist()
        name, threshold = [names[each] for each in of], [thresholds[each] for each in of]
        rows = map(row.__mod__, zip(start, end, name, score, highest, threshold, summit, strict=True))
        yield "".join(rows).encode()


def _columns(calls: Calls) -> tuple[list[Any], ...]:
    score = np.rint(calls["max"].astype(np.float64) * 1000).astype(np.int64)
    columns = calls["start"], calls["end"], score, calls["max"], calls["summit"] - calls["start"]
    return tuple(column.tolist() for column in columns)


def _literal(text: str) -> str:
    """As `%` leaves it."""
    return text.replace("%", "%%")


def _check(contig: str, calls: Calls, lengths: Mapping[str, int], *, overlapping: bool = False) -> None:
    """What no reader of a BED survives is a mistake in here, never the user's."""
    if not len(calls):
        return
    start, end, summit, highest = (calls[field] for field in ("start", "end", "summit", "max"))
    before = start if overlapping else end
    sound = (
        np.all(start < end),
        end.max() <= lengths[contig],
        np.all(start[1:] >= before[:-1]),
        np.all((summit >= start) & (summit < end)),
        np.all((highest >= 0) & (highest <= 1)),  # NaN is neither
    )
    if not all(sound):
        raise ValueError(f"calls on {contig} are not sorted, or lie or reach where none can")


@contextmanager
def _opened(path: Path, bgzip: bool) -> Iterator[BinaryIO | BgzipWriter]:
    """Open for writing; the header stands."""
    with open(path, "wb") as handle:
        output = BgzipWriter(handle) if bgzip else handle
        output.write(HEADER.encode())
        yield output
        if isinstance(output, BgzipWriter):
            output.close()
