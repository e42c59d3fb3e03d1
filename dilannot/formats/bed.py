"""Peak files in (narrowPeak, broadPeak, BED), calls out: 0-based half-open on both sides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError
from dilannot.formats.compression import compression, read_bytes
from dilannot.genome.intervals import Positions

_MAX_DIGITS = 10
_MAX_NAME = 255
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
    empty = not data
    data += b"\n" + bytes(8)  # the last line ends, and eight bytes can be read from any place
    text = np.frombuffer(data, np.uint8)
    separator = np.flatnonzero(text - np.uint8(9) < 2)  # tabs and line ends
    ends = np.flatnonzero(text[separator] == 10)
    line_end = separator[ends]
    line_start = np.concatenate((_ZERO, line_end[:-1] + 1))[: len(ends)]
    keep = np.flatnonzero(_record_lines(data, text, line_start, line_end))
    if not len(keep):
        # A failed download leaves nothing or a header; a complete archive of nothing is somebody's filtered file.
        if not empty or compression(path) == "plain":
            raise DilannotError("empty: no peaks in it", where=path, remedy="remove the file or download it again")
        none = np.zeros(0, np.int64)
        return Records([], none, none, none, none, digest)
    number = keep + 1
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
    names, contig = _contigs(data, line_start, first, number, path)
    return Records(names, contig, start, end, number, digest)


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


def _contigs(
    data: bytes, starts: Positions, ends: Positions, number: Positions, path: Path
) -> tuple[list[str], NDArray[np.intp]]:
    width = ends - starts
    if (bad := np.flatnonzero((width < 1) | (width > _MAX_NAME))).size:
        raise DilannotError("contig: empty or longer than 255 characters", where=path, line=int(number[bad[0]]))
    if data.find(b"\0", 0, -8) >= 0:
        nul = np.flatnonzero(np.frombuffer(data, np.uint8)[:-8] == 0)
        row = np.searchsorted(starts, nul, "right") - 1
        if (bad := np.flatnonzero((row >= 0) & (nul < ends[row]))).size:
            raise DilannotError("contig: a NUL character in the name", where=path, line=int(number[row[bad[0]]]))
    words = -(-int(width.max()) // 8)
    letters = np.empty((len(starts), words), np.uint64)
    for place in range(words):
        # Shifting up and down again clears what lies behind the name.
        behind = ((8 - np.clip(width - 8 * place, 0, 8)) * 8).astype(np.uint64)
        letters[:, place] = _words(data, np.minimum(starts + 8 * place, len(data) - 8)) << behind >> behind
    found, row, contig = np.unique(letters.view(f"S{8 * words}").ravel(), return_index=True, return_inverse=True)
    names = []
    for name, at in zip(found.tolist(), row.tolist(), strict=True):
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
