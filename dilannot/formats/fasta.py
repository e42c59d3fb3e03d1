"""Genomes in FASTA, plain, bgzip or gzip, read from the first to the last base with every check."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dilannot.errors import DilannotError
from dilannot.formats.compression import open_bytes
from dilannot.genome.sequence import INVALID, Codes, encode

_MAX_NAME = 255  # bytes
_CHUNK = 1 << 20  # bytes worked on together: they stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Contig:
    """One sequence of a genome and where it lies in the unpacked file.

    `md5` is that of the upper-case sequence, as `samtools dict` writes it; `ambiguous` counts IUPAC letters other
    than N, which are read as N.
    """

    name: str
    length: int
    md5: str
    ambiguous: int
    offset: int
    line_bases: int
    line_width: int


def read_contigs(path: Path, *, digest: bool = True) -> Iterator[tuple[Contig, Codes]]:
    """Read a FASTA file contig by contig: its record, and its codes of shape (length,). Otherwise as `read_blocks`."""
    parts: list[Codes] = []
    for item in read_blocks(path, digest=digest):
        if isinstance(item, Contig):
            yield item, np.concatenate(parts)
            parts = []
        else:
            parts.append(item)


def read_blocks(path: Path, *, digest: bool = True) -> Iterator[Codes | Contig]:
    """Read a FASTA file from its first to its last base, checking everything.

    Parameters
    ----------
    digest
        Compute the MD5 of every contig, which takes as long as all else; its record has none otherwise.

    Yields
    ------
    item
        The codes of the next megabyte, and after the last ones of a contig its record.

    Raises
    ------
    DilannotError
        With file and line: no FASTA, a name twice or missing, no bases, letters that are no nucleotides, lines of
        different length inside a record, a damaged archive.
    """
    seen: set[str] = set()
    record: _Record | None = None
    with open_bytes(path) as stream, ThreadPoolExecutor(1) as beside:
        pieces = _pieces(stream)
        for piece, header in pieces:
            if header is None and record is None:
                if piece.strip() or next(pieces, None):
                    raise DilannotError("does not start with '>': not a FASTA file", where=path, line=1)
                break
            if header is None and record is not None:
                yield record.feed(piece)
                continue
            line, offset = (1, 0) if record is None else (record.next_line, record.next_offset)
            if record is not None:
                yield record.finish(seen)
            record = _Record(path, header or b"", line, offset, _Digest(beside) if digest else None)
        if record is None:
            raise DilannotError("empty: no sequence in it", where=path)
        yield record.finish(seen)


def _pieces(stream: BinaryIO) -> Iterator[tuple[bytes, bytes | None]]:
    """Pieces of sequence lines (with None), and headers (with nothing before) without '>' and line end."""
    header: bytes | None = None
    line_starts = True
    while chunk := stream.read(_CHUNK):
        begin = 0
        while begin < len(chunk):
            if header is not None:
                end = chunk.find(b"\n", begin)
                header += chunk[begin : end if end >= 0 else len(chunk)]
                if end < 0:
                    break
                yield b"", header
                header, begin, line_starts = None, end + 1, True
            elif line_starts and chunk[begin] == ord(">"):
                header, begin = b"", begin + 1
            else:
                end = chunk.find(b">", begin)  # far faster than looking for "\\n>"
                while end > begin and chunk[end - 1] != ord("\n"):
                    end = chunk.find(b">", end + 1)
                end = end if end > begin else len(chunk)
                yield chunk[begin:end], None
                begin, line_starts = end, chunk[end - 1] == ord("\n")
    if header is not None:
        yield b"", header


class _Digest:
    """MD5 of upper-case letters, computed beside the other work, one piece after the other."""

    def __init__(self, beside: ThreadPoolExecutor) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._beside = beside
        self._pending: Future[None] = beside.submit(lambda: None)

    def add(self, letters: bytes) -> None:
        """The next piece."""
        self._pending.result()
        upper = np.frombuffer(letters, np.uint8) & np.uint8(0xDF)
        self._pending = self._beside.submit(self._md5.update, upper.data)

    def result(self) -> str:
        """When all have been added."""
        self._pending.result()
        return self._md5.hexdigest()


class _Record:
    """One contig while it is read; `next_offset` is where the next one begins."""

    def __init__(self, path: Path, header: bytes, line: int, offset: int, digest: _Digest | None) -> None:
        fields = header.split(None, 1)
        if not fields or header[:1].isspace():
            raise DilannotError("a header without a contig name", where=path, line=line)
        if len(fields[0]) > _MAX_NAME:
            raise DilannotError(f"a contig name of more than {_MAX_NAME} characters", where=path, line=line)
        try:
            self._name = fields[0].decode("utf-8")
        except UnicodeDecodeError:
            raise DilannotError("the contig name in this header is not UTF-8", where=path, line=line) from None
        if "\0" in self._name:
            raise DilannotError("a NUL character in the contig name", where=path, line=line)
        self._path, self._line, self._offset = path, line, offset + len(header) + 2
        self.next_offset = self._offset
        self._line_ends = 0  # before the held ones
        self._held = b""  # line ends that more bases may follow, or nothing
        self._length = self._ambiguous = 0
        self._bases = self._width = 0  # of a line; 0 until the first has ended
        self._column = 0  # bytes of the present line so far
        self._digest = digest

    def feed(self, piece: bytes) -> Codes:
        """Take the next bytes and give their codes."""
        self.next_offset += len(piece)
        data = self._held + piece
        body = data.rstrip(b"\r\n")
        self._held = data[len(body) :]
        letters = body.replace(b"\n", b"")
        ends = len(body) - len(letters)
        self._line_ends += ends
        returns = letters.count(b"\r") if b"\r" in letters else 0
        codes, ambiguous = encode(letters.replace(b"\r", b"") if returns else letters)
        if body and (codes.max(initial=0) == INVALID or not self._lines_are_even(body, ends, returns)):
            _explain(self._path, self._offset, self._line + 1, self._name)
        if self._digest:
            self._digest.add(letters.replace(b"\r", b"") if returns else letters)
        self._length += len(codes)
        self._ambiguous += ambiguous
        return codes

    @property
    def next_line(self) -> int:
        """Where the next record begins, when the last piece has been fed."""
        return self._line + 1 + self._line_ends + self._held.count(b"\n")

    def _lines_are_even(self, body: bytes, ends: int, returns: int) -> bool:
        """All lines end alike and are equally long, as far as read; the last may be shorter."""
        if not self._width:
            end = body.find(b"\n")
            if end < 0:
                self._column += len(body)
                return not returns
            self._width = self._column + end + 1
            self._bases = self._width - 1 - (body[end - 1 : end] == b"\r")
        first = self._width - 1 - self._column
        expected = len(range(first, len(body), self._width))
        self._column = (self._column + len(body)) % self._width
        return (
            self._column <= self._bases
            and ends == expected == body[first :: self._width].count(b"\n")
            and returns == (expected if self._width - self._bases == 2 else 0)
            and (not returns or body[first - 1 :: self._width].count(b"\r") == returns)
        )

    def finish(self, seen: set[str]) -> Contig:
        """The contig's record, when its last piece has been fed."""
        if not self._length:
            raise DilannotError(f"contig {self._name!r} has no bases: header only", where=self._path, line=self._line)
        if self._name in seen:
            raise DilannotError(f"duplicate contig name {self._name!r}", where=self._path, line=self._line)
        seen.add(self._name)
        bases, width = (self._bases, self._width) if self._width else (self._column, self._column + 1)
        md5 = self._digest.result() if self._digest else ""
        return Contig(self._name, self._length, md5, self._ambiguous, self._offset, bases, width)


def _explain(path: Path, offset: int, line: int, name: str) -> None:
    """Read a record that is wrong once more, from `offset`, and say what is wrong in which line."""
    with open_bytes(path) as stream:
        stream.seek(offset)
        parts = [b""]
        while chunk := stream.read(_CHUNK):
            parts.append(chunk)
            if b"\n>" in parts[-2][-1:] + chunk:
                break
    body = b"".join(parts).partition(b"\n>")[0].rstrip(b"\r\n")
    codes, _ = encode(body.translate(None, b"\r\n"))
    if codes.max(initial=0) == INVALID:
        _refuse_letter(body, path, line, name)
    _refuse_line(body, path, line, name)


def _refuse_letter(body: bytes, path: Path, line: int, name: str) -> None:
    allowed, _ = encode(bytes(range(256)))
    allowed[[10, 13]] = 0
    at = int(np.argmax(allowed[np.frombuffer(body, np.uint8)] == INVALID))
    symbol = body[at : at + 1]
    hint = (
        "this looks like RNA: replace U by T" if symbol in b"uU" else "only nucleotide letters may stand in a sequence"
    )
    raise DilannotError(
        f"{symbol.decode('latin-1')!r} in the sequence of {name!r} is no nucleotide symbol",
        where=path,
        line=line + body.count(b"\n", 0, at),
        remedy=hint,
    )


def _refuse_line(body: bytes, path: Path, line: int, name: str) -> None:
    lines = body.split(b"\n")
    windows, bases = lines[0].endswith(b"\r"), len(lines[0].removesuffix(b"\r"))
    for number, text in enumerate(lines):
        last = number == len(lines) - 1
        problem, length = "", len(text.removesuffix(b"\r"))
        if not text.strip():
            problem = "a blank line inside the sequence"
        elif not last and text.endswith(b"\r") != windows:
            problem = "Windows and Unix line ends are mixed"
        elif b"\r" in text[:-1]:
            problem = "a stray carriage return"
        elif length > bases or (length < bases and not last):
            problem = f"a line of {length} where the record's lines have {bases} characters"
        if problem:
            raise DilannotError(
                f"{problem} (contig {name!r})",
                where=path,
                line=line + number,
                remedy="rewrap it: samtools faidx needs even lines",
            )
    raise DilannotError(f"stray carriage returns in the sequence of {name!r}", where=path, line=line)
