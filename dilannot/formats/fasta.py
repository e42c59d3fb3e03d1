"""Genomes in FASTA, plain, bgzip or gzip: read whole once with every check, then at random.

A `.fai` that lies beside the file is never used: a foreign or stale one gives wrong bases without an error. The
index made here lives in the cache folder, under the file's identity (path, size, times, inode).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyfaidx
import pysam

from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.formats.compression import check_input, compression, open_bytes
from dilannot.genome.sequence import INVALID, Codes, encode
from dilannot.progress import Progress, Silent

_CHUNK = 1 << 24
_INDEX_VERSION = 1
_PACKED_NAMES = (".gz", ".bgz", ".zip", ".bz2", ".xz", ".zst")


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


def read_contigs(path: Path) -> Iterator[tuple[Contig, Codes]]:
    """Read a FASTA file from its first to its last base, one contig at a time, checking everything.

    Yields
    ------
    contig, codes
        In file order; `codes` has shape (length,).

    Raises
    ------
    DilannotError
        With file and line: no FASTA, a name twice or missing, no bases, letters that are no nucleotides, lines of
        different length inside a record, a damaged archive.
    """
    seen: set[str] = set()
    with open_bytes(path) as stream:
        line, offset = 1, 0
        for record in _records(stream):
            contig, codes = _parse(record, path, line, offset)
            if contig.name in seen:
                raise DilannotError(f"duplicate contig name {contig.name!r}", where=path, line=line)
            seen.add(contig.name)
            line += record.count(b"\n")
            offset += len(record)
            yield contig, codes
    if not seen:
        raise DilannotError("empty: no sequence in it", where=path)


def _records(stream: BinaryIO) -> Iterator[bytes]:
    """Cut a stream before every '>' that starts a line."""
    parts: list[bytes] = []
    last = b"\n"
    while chunk := stream.read(_CHUNK):
        begin = 0
        position = 0 if last == b"\n" and chunk.startswith(b">") else chunk.find(b"\n>") + 1 or -1
        while position >= 0:
            parts.append(chunk[begin:position])
            if any(parts):
                yield b"".join(parts)
            parts, begin = [], position
            position = chunk.find(b"\n>", position) + 1 or -1
        parts.append(chunk[begin:])
        last = chunk[-1:]
    if any(parts):
        yield b"".join(parts)


def _parse(record: bytes, path: Path, line: int, offset: int) -> tuple[Contig, Codes]:
    if not record.startswith(b">"):
        if not record.strip():
            raise DilannotError("empty: no sequence in it", where=path)
        raise DilannotError("does not start with '>': not a FASTA file", where=path, line=line)
    header, _, rest = record.partition(b"\n")
    fields = header[1:].split(None, 1)
    if not fields or header[1:2].isspace():
        raise DilannotError("a header without a contig name", where=path, line=line)
    try:
        name = fields[0].decode("utf-8")
    except UnicodeDecodeError:
        raise DilannotError("the contig name in this header is not UTF-8", where=path, line=line) from None
    body = rest.rstrip(b"\r\n")
    if not body:
        raise DilannotError(f"contig {name!r} has no bases: header only", where=path, line=line)
    letters = body.translate(None, b"\r\n")
    codes, ambiguous = encode(letters)
    if codes.max() == INVALID:
        _refuse_letter(body, path, line + 1, name)
    bases, width = _line_shape(body)
    if not _even_lines(body, bases, width):
        _refuse_line(body, path, line + 1, name)
    digest = hashlib.md5(letters.upper(), usedforsecurity=False).hexdigest()
    return Contig(name, len(codes), digest, ambiguous, offset + len(header) + 1, bases, width), codes


def _line_shape(body: bytes) -> tuple[int, int]:
    """Bases and bytes of the first line."""
    end = body.find(b"\n")
    if end < 0:
        return len(body), len(body) + 1
    return end - (body[end - 1 : end] == b"\r"), end + 1


def _even_lines(body: bytes, bases: int, width: int) -> bool:
    """All lines end alike and are equally long; the last may be shorter."""
    ends = len(range(width - 1, len(body), width))
    returns = ends if width - bases == 2 else 0
    return body.count(b"\n") == ends == body[width - 1 :: width].count(b"\n") and body.count(b"\r") == returns == (
        body[bases::width].count(b"\r") if returns else 0
    )


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
    first = lines[0]
    for number, text in enumerate(lines):
        last = number == len(lines) - 1
        problem = ""
        if not text.strip():
            problem = "a blank line inside the sequence"
        elif not last and text.endswith(b"\r") != first.endswith(b"\r"):
            problem = "Windows and Unix line ends are mixed"
        elif len(text) > len(first) or (len(text) < len(first) and not last):
            problem = f"a line of {len(text)} where the record's lines have {len(first)} characters"
        if problem:
            raise DilannotError(
                f"{problem} (contig {name!r})",
                where=path,
                line=line + number,
                remedy="rewrap it: samtools faidx needs even lines",
            )
    raise DilannotError(f"stray carriage returns in the sequence of {name!r}", where=path, line=line)


class Genome:
    """Random access to a FASTA file. Open one in each process: handles must not be shared across a fork.

    Attributes
    ----------
    path
        The file.
    contigs
        By name, in file order.
    """

    def __init__(self, path: Path, progress: Progress | None = None) -> None:
        check_input(path)
        self.path = path
        self._compression = compression(path)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        folder = self._index(progress or Silent())
        records = json.loads((folder / "contigs.json").read_text(encoding="utf-8"))
        self.contigs = {record["name"]: Contig(**record) for record in records}
        self._stream: Iterator[tuple[Contig, Codes]] = iter(())
        self._streamed: tuple[str, Codes] | None = None
        self._plain: pyfaidx.Faidx | None = None
        self._blocked: pysam.FastaFile | None = None
        fai, gzi = str(folder / "genome.fai"), str(folder / "genome.gzi")
        # pyfaidx judges compression by the name.
        if self._compression == "plain" and path.suffix.lower() not in _PACKED_NAMES:
            self._plain = pyfaidx.Faidx(
                str(path), indexname=fai, as_raw=True, strict_bounds=True, rebuild=False, build_index=False
            )
        elif self._compression != "gzip":
            self._blocked = pysam.FastaFile(
                str(path), filepath_index=fai, filepath_index_compressed=gzi if self._compression == "bgzip" else None
            )

    @property
    def lengths(self) -> dict[str, int]:
        """Contig lengths in bp, in file order."""
        return {contig.name: contig.length for contig in self.contigs.values()}

    def fetch(self, contig: str, start: int, end: int) -> Codes:
        """Codes of `contig:[start, end)` (0-based half-open), shape (end - start,).

        Raises
        ------
        DilannotError
            The file gives fewer bases than its index says: it changed under us.
        """
        if not 0 <= start < end <= self.contigs[contig].length:
            raise ValueError(f"{contig}:{start}-{end} is outside the contig")
        if self._plain is not None:
            letters = self._plain.fetch(contig, start + 1, end).encode("ascii", "replace")
        elif self._blocked is not None:
            letters = self._blocked.fetch(contig, start, end).encode("ascii", "replace")
        else:
            return self._from_stream(contig)[start:end]
        codes, _ = encode(letters)
        if len(codes) != end - start or codes.max() == INVALID:
            raise DilannotError("changed while it was being read", where=self.path, remedy="start again")
        return codes

    def _from_stream(self, contig: str) -> Codes:
        """Plain gzip has no random access: go on to the contig, from the start again when it lies behind."""
        while self._streamed is None or self._streamed[0] != contig:
            found = next(self._stream, None)
            if found is None:
                self._stream = read_contigs(self.path)
            else:
                self._streamed = found[0].name, found[1]
        return self._streamed[1]

    def _index(self, progress: Progress) -> Path:
        """The cache folder of this file's index, made if it is not there."""
        status = os.stat(self.path)
        times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
        identity = f"{_INDEX_VERSION} {self.path.resolve()} {status.st_size} {times} {status.st_ino}"
        folder = cache_folder() / "genomes" / hashlib.sha256(os.fsencode(identity)).hexdigest()[:24]
        if (folder / "contigs.json").exists():
            return folder
        progress.say(f"reading {self.path.name} once to check and index it")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            making = Path(tempfile.mkdtemp(prefix=".index.", dir=folder.parent))
        except OSError:
            # No cache to be had (read-only home): the index lives as long as this object.
            self._temporary = _temporary_folder(self.path)
            self._write_index(Path(self._temporary.name))
            return Path(self._temporary.name)
        try:
            self._write_index(making)
            os.rename(making, folder)
        except OSError:
            if not (folder / "contigs.json").exists():  # another process was faster otherwise
                raise
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return folder

    def _write_index(self, folder: Path) -> None:
        contigs = [contig for contig, _ in read_contigs(self.path)]
        fai, gzi = folder / "genome.fai", folder / "genome.gzi"
        if self._compression == "bgzip":
            pysam.faidx(str(self.path), "--fai-idx", str(fai), "--gzi-idx", str(gzi))
        rows = [f"{c.name}\t{c.length}\t{c.offset}\t{c.line_bases}\t{c.line_width}\n" for c in contigs]
        fai.write_text("".join(rows), encoding="utf-8")
        (folder / "contigs.json").write_text(json.dumps([asdict(contig) for contig in contigs]), encoding="utf-8")


def _temporary_folder(genome: Path) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="dilannot-")
    except OSError:
        raise DilannotError(
            "its index can be kept nowhere: neither the cache nor a temporary folder can be written to",
            where=genome,
            remedy="free some space, or set DILANNOT_CACHE to a folder that can",
            exit_code=ENVIRONMENT,
        ) from None


def cache_folder() -> Path:
    """Where indices of genomes are kept: DILANNOT_CACHE, else XDG_CACHE_HOME/dilannot, else ~/.cache/dilannot."""
    if own := os.environ.get("DILANNOT_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dilannot"
