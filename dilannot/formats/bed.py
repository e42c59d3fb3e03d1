"""Peak files (narrowPeak, broadPeak, BED): 0-based half-open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError
from dilannot.formats.compression import compression, read_bytes
from dilannot.genome.intervals import Positions

_MAX_DIGITS = 10
_MAX_NAME, _USUAL_NAME = 255, 32  # bytes
_BLOCK = 1 << 25  # bytes of text worked on together
_HEADERS = (b"#", b"track", b"browser")
_FOREIGN = {
    b"##fileformat=VCF": "a VCF file", b"##gff": "a GFF file", b">": "a FASTA file", b"\x89HDF": "an HDF5 file",
    b"\x26\xfc\x8f\x88": "a bigWig file", b"\xeb\xf2\x89\x87": "a bigBed file", b"BAM\1": "a BAM file",
    b"\xff\xfe": "UTF-16 text", b"\xfe\xff": "UTF-16 text", b"PK\3\4": "a zip archive",
}  # fmt: skip
_ZERO = np.zeros(1, np.int64)


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
        Digest of the file as it lies there.
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
    data, digest = read_bytes(path)
    for magic, name in _FOREIGN.items():
        if data.startswith(magic):
            raise DilannotError(f"is {name}, not BED or narrowPeak", where=path, line=1, remedy="convert it")
    parts, contigs, first_line = [], _Names(path), 1
    for block in _blocks(data.removeprefix(b"\xef\xbb\xbf")):  # Windows begins UTF-8 text so
        lines, *part = _parse(block, first_line, contigs, path)
        parts.append(part)
        first_line += lines
    if not sum(len(part[0]) for part in parts):
        # A failed download leaves nothing or a header; a complete archive of nothing is somebody's filtered file.
        if data or compression(path) == "plain":
            raise DilannotError("empty: nothing in it", where=path, remedy="remove the file or download it again")
        none = np.zeros(0, np.int64)
        return Records([], none, none, none, none, digest)
    contig, start, end, line = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    return Records(list(contigs.index), contig, start, end, line, digest)


def _blocks(data: bytes) -> Iterator[bytes]:
    """Whole lines, some 32 MB together, with eight bytes after the last: parsing takes many times their memory."""
    begin = 0
    while begin < len(data):
        end = data.find(b"\n", begin + _BLOCK) + 1 or len(data)
        yield data[begin:end] + (bytes(8) if data[end - 1] == 10 else b"\n" + bytes(8))
        begin = end


def _parse(
    data: bytes, first_line: int, contigs: _Names, path: Path
) -> tuple[int, NDArray[np.intp], Positions, Positions, Positions]:
    """How many lines a block has; contig, start, end and line of every interval in it."""
    text = np.frombuffer(data, np.uint8)
    separator = np.flatnonzero(text - np.uint8(9) < 2)  # tabs and line ends
    ends = np.flatnonzero(text[separator] == 10)
    line_end = separator[ends]
    line_start = np.concatenate((_ZERO, line_end[:-1] + 1))
    keep = np.flatnonzero(_record_lines(data, text, line_start, line_end))
    number = keep + first_line
    if not len(keep):
        return len(ends), keep, number, number, number
    field = np.concatenate((_ZERO, ends[:-1] + 1))[keep]
    if (bad := np.flatnonzero(ends[keep] - field < 2)).size:
        raise DilannotError(
            "fewer than 3 tab-separated columns (contig, start, end)", where=path, line=int(number[bad[0]])
        )
    line_start, line_end = line_start[keep], line_end[keep]
    first, second = separator[field], separator[field + 1]
    third = np.minimum(separator[field + 2], line_end - (text[line_end - 1] == 13))
    start = _integers(data, first + 1, second, "start", number, path)
    end = _integers(data, second + 1, third, "end", number, path)
    if (bad := np.flatnonzero(start >= end)).size:
        row = bad[0]
        raise DilannotError(
            f"end: the interval is empty (start {start[row]}, end {end[row]})", where=path, line=int(number[row])
        )
    return len(ends), contigs.number(data, line_start, first, number), start, end, number


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


def _words(data: bytes, at: Positions) -> NDArray[np.uint64]:
    """The eight bytes from each place on, as a number whose lowest byte is the first."""
    return np.ndarray((len(data) - 7,), "<u8", data, strides=(1,))[at]


def _integers(data: bytes, begin: Positions, end: Positions, field: str, number: Positions, path: Path) -> Positions:
    """Plain ASCII digits to int64, all rows at once."""
    width = end - begin
    value, wrong = _eight_digits(_words(data, np.maximum(begin, end - 8)), np.clip(width, 0, 8))
    wrong |= (width < 1) | (width > _MAX_DIGITS)
    longer = np.flatnonzero((width > 8) & ~wrong)
    if len(longer):
        high, bad = _eight_digits(_words(data, begin[longer]), width[longer] - 8)
        value[longer] += high * 100_000_000
        wrong[longer] |= bad
    if wrong.any():
        row = int(np.argmax(wrong))
        found = data[begin[row] : end[row]].decode("utf-8", "replace")
        _refuse_integer(found, field, path, int(number[row]))
    return value


def _eight_digits(word: NDArray[np.uint64], width: Positions) -> tuple[Positions, NDArray[np.bool_]]:
    """The number that the first `width` characters of each word write, and whether any is no digit.

    Pairs of digits are joined within one 64-bit number, then pairs of pairs, then those (D. Lemire, 2018).
    """
    shift = ((8 - width) * 8).astype(np.uint64)
    digits = (word ^ np.uint64(0x3030303030303030)) << shift  # leading zeros take the place of what is not there
    wrong = ((digits + np.uint64(0x0606060606060606)) | digits) & np.uint64(0xF0F0F0F0F0F0F0F0) != 0
    digits = digits * np.uint64(1 + (10 << 8)) >> np.uint64(8) & np.uint64(0x00FF00FF00FF00FF)
    digits = digits * np.uint64(1 + (100 << 16)) >> np.uint64(16) & np.uint64(0x0000FFFF0000FFFF)
    digits = digits * np.uint64(1 + (10_000 << 32)) >> np.uint64(32)
    return digits.astype(np.int64), wrong


def _refuse_integer(found: str, field: str, path: Path, line: int) -> NoReturn:
    hint = "a header line must start with '#'" if line == 1 and found[:1].isalpha() else None
    kind = "is negative" if found.startswith("-") else "is not an integer"
    raise DilannotError(f"{field} {kind} (got {found[:40]!r})", where=path, line=line, remedy=hint)


class _Names:
    """Contig names of one file, numbered as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.index: dict[str, int] = {}

    def number(self, data: bytes, starts: Positions, ends: Positions, line: Positions) -> NDArray[np.intp]:
        """The number of the name that stands at each place."""
        width = ends - starts
        if (bad := np.flatnonzero((width < 1) | (width > _MAX_NAME))).size:
            self._refuse("empty or longer than 255 characters", line[bad[0]])
        if data.find(b"\0", 0, -8) >= 0:
            nul = np.flatnonzero(np.frombuffer(data, np.uint8)[:-8] == 0)
            row = np.searchsorted(starts, nul, "right") - 1
            if (bad := np.flatnonzero((row >= 0) & (nul < ends[row]))).size:
                self._refuse("a NUL character in the name", line[row[bad[0]]])
        if width.max(initial=0) <= _USUAL_NAME:
            return self._number(data, starts, width, line)
        numbers = np.empty(len(starts), np.intp)
        # Apart: one long name would widen the table of all.
        for rows in (np.flatnonzero(width <= _USUAL_NAME), np.flatnonzero(width > _USUAL_NAME)):
            if len(rows):
                numbers[rows] = self._number(data, starts[rows], width[rows], line[rows])
        return numbers

    def _number(self, data: bytes, starts: Positions, width: Positions, line: Positions) -> NDArray[np.intp]:
        """The same for names of about one width, set side by side in words of eight."""
        words = -(-int(width.max(initial=1)) // 8)
        letters = np.empty((len(starts), words), np.uint64)
        for place in range(words):
            # Shifting up and down again clears what lies behind the name.
            behind = ((8 - np.clip(width - 8 * place, 0, 8)) * 8).astype(np.uint64)
            letters[:, place] = _words(data, np.minimum(starts + 8 * place, len(data) - 8)) << behind >> behind
        found, row, which = np.unique(letters.view(f"S{8 * words}").ravel(), return_index=True, return_inverse=True)
        known = [self._add(name, line[at]) for name, at in zip(found.tolist(), row.tolist(), strict=True)]
        return np.array(known, np.intp)[which.reshape(-1)]

    def _add(self, name: bytes, line: int) -> int:
        try:
            text = name.decode("utf-8")
        except UnicodeDecodeError:
            self._refuse("the name is not UTF-8", line)
        if text != text.strip() or not text.isprintable():
            self._refuse(f"a blank or control character in the name {text!r}", line)
        return self.index.setdefault(text, len(self.index))

    def _refuse(self, problem: str, line: int) -> NoReturn:
        raise DilannotError(f"contig: {problem}", where=self._path, line=int(line))
