"""Peak files in (narrowPeak, broadPeak, BED), calls out: 0-based half-open on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError
from dilannot.formats.compression import compression, open_bytes
from dilannot.genome.intervals import Positions

_MAX_DIGITS = 10
_MAX_NAME = 255
_HEADERS = (b"#", b"track", b"browser")


@dataclass(frozen=True, slots=True)
class Records:
    """Intervals of one file, in file order.

    Attributes
    ----------
    contigs
        Contig names that occur.
    contig
        (n,) index into `contigs`.
    start, end
        (n,) bp, 0-based half-open; 0 <= start < end holds.
    line
        (n,) 1-based line in the file.
    sha256
        Digest of the unpacked text.
    """

    contigs: list[str]
    contig: NDArray[np.intp]
    start: Positions
    end: Positions
    line: Positions
    sha256: str


def read_intervals(path: Path) -> Records:
    """Read the first three columns of a BED-like file, plain or compressed, sorted or not.

    `track`, `browser`, '#' and blank lines are passed over; Windows line ends are fine; further columns are ignored.

    Raises
    ------
    DilannotError
        With file and line: fewer than three tab-separated columns, a start or end that is no plain integer, an
        empty or negative interval; a damaged archive; no interval at all.
    """
    with open_bytes(path) as stream:
        data = stream.read()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DilannotError("is UTF-16 text, not plain text", where=path, line=1, remedy="save it as plain text")
    if data and not data.endswith(b"\n"):
        data += b"\n"
    text = np.frombuffer(data, np.uint8)
    line_end = np.flatnonzero(text == 10)
    line_start = np.concatenate(([0], line_end[:-1] + 1)) if len(line_end) else line_end
    keep = _record_lines(data, text, line_start, line_end)
    line_start, line_end, number = line_start[keep], line_end[keep], np.flatnonzero(keep) + 1
    if not len(number):
        # A failed download leaves nothing or a header; a complete archive of nothing is somebody's filtered file.
        if data or compression(path) == "plain":
            raise DilannotError("empty: no peaks in it", where=path, remedy="remove the file or download it again")
        none = np.zeros(0, np.int64)
        return Records([], none, none, none, none, hashlib.sha256(data).hexdigest())
    first, second, third = _field_ends(text, line_start, line_end, number, path)
    start = _integers(text, first + 1, second, "start", number, path)
    end = _integers(text, second + 1, third, "end", number, path)
    if (bad := np.flatnonzero(start >= end)).size:
        row = bad[0]
        raise DilannotError(
            f"end: the interval is empty (start {start[row]}, end {end[row]})", where=path, line=int(number[row])
        )
    names, contig = _contigs(text, line_start, first, number, path)
    return Records(names, contig, start, end, number, hashlib.sha256(data).hexdigest())


def _record_lines(data: bytes, text: NDArray[np.uint8], starts: Positions, ends: Positions) -> NDArray[np.bool_]:
    """Lines that hold an interval: neither blank nor a header."""
    length = ends - starts - ((ends > starts) & (text[ends - 1] == 13))
    keep: NDArray[np.bool_] = length > 0
    suspects = np.flatnonzero(keep & np.isin(text[starts], np.frombuffer(b"#tb \t", np.uint8)))
    for row in suspects:
        line = data[starts[row] : ends[row]]
        word = line.split(None, 1)[0] if line.strip() else b""
        if not word or line.startswith(b"#") or word in _HEADERS:
            keep[row] = False
    return keep


def _field_ends(
    text: NDArray[np.uint8], starts: Positions, ends: Positions, number: Positions, path: Path
) -> tuple[Positions, Positions, Positions]:
    """Where the first three fields end."""
    tabs = np.append(np.flatnonzero(text == 9), [len(text)] * 3)
    at = np.searchsorted(tabs, starts)
    stop = ends - (text[ends - 1] == 13)
    first, second, third = tabs[at], tabs[at + 1], np.minimum(tabs[at + 2], stop)
    if (bad := np.flatnonzero(second > ends)).size:
        raise DilannotError(
            "fewer than 3 tab-separated columns (contig, start, end)", where=path, line=int(number[bad[0]])
        )
    return first, second, third


def _integers(
    text: NDArray[np.uint8], begin: Positions, end: Positions, field: str, number: Positions, path: Path
) -> Positions:
    """Plain ASCII digits to int64, all rows at once."""
    width = end - begin
    value = np.zeros(len(begin), np.int64)
    wrong = (width < 1) | (width > _MAX_DIGITS)
    for place in range(min(int(width.max(initial=0)), _MAX_DIGITS)):
        inside = place < width
        digit = text[np.where(inside, begin + place, 0)].astype(np.int64) - 48
        wrong |= inside & ((digit < 0) | (digit > 9))
        value = np.where(inside, value * 10 + digit, value)
    if wrong.any():
        row = int(np.argmax(wrong))
        found = text[begin[row] : end[row]].tobytes().decode("utf-8", "replace")
        _refuse_integer(found, field, path, int(number[row]))
    return value


def _refuse_integer(found: str, field: str, path: Path, line: int) -> NoReturn:
    hint = "a header line must start with '#'" if line == 1 and found[:1].isalpha() else None
    kind = "is negative" if found.startswith("-") else "is not an integer"
    raise DilannotError(f"{field} {kind} (got {found[:40]!r})", where=path, line=line, remedy=hint)


def _contigs(
    text: NDArray[np.uint8], starts: Positions, ends: Positions, number: Positions, path: Path
) -> tuple[list[str], NDArray[np.intp]]:
    width = ends - starts
    if (bad := np.flatnonzero((width < 1) | (width > _MAX_NAME))).size:
        raise DilannotError("contig: empty or longer than 255 characters", where=path, line=int(number[bad[0]]))
    letters = np.zeros((len(starts), int(width.max())), np.uint8)
    for place in range(letters.shape[1]):
        inside = place < width
        letters[:, place] = np.where(inside, text[np.where(inside, starts + place, 0)], 0)
        if (bad := np.flatnonzero(inside & (letters[:, place] == 0))).size:
            raise DilannotError("contig: a NUL character in the name", where=path, line=int(number[bad[0]]))
    found, row, contig = np.unique(letters.view(f"S{letters.shape[1]}").ravel(), return_index=True, return_inverse=True)
    names = []
    for name, at in zip(found.tolist(), row, strict=True):
        try:
            names.append(name.decode("utf-8"))
        except UnicodeDecodeError:
            raise DilannotError("contig: the name is not UTF-8", where=path, line=int(number[at])) from None
    return names, contig.reshape(-1)


def bed_line(contig: str, start: int, end: int, name: str, score: float) -> str:
    """One BED6 row without strand; `score` is a probability, written as 0-1000."""
    return f"{contig}\t{start}\t{end}\t{name}\t{round(1000 * score)}\t.\n"


def write_bed(path: Path, lines: Iterable[str]) -> None:
    """Write rows made by `bed_line`, under a comment that names the columns."""
    with open(path, "w", encoding="utf-8") as handle:
        handle.write("#contig\tstart\tend\tname\tscore\tstrand\n")
        handle.writelines(lines)
