"""Random access to genomes in FASTA, plain, bgzip or gzip.

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
from dataclasses import asdict
from pathlib import Path

import pyfaidx
import pysam

from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.formats.compression import check_input, compression
from dilannot.formats.fasta import Contig, read_blocks, read_contigs
from dilannot.genome.sequence import INVALID, Codes, encode
from dilannot.outputs import cache_folder
from dilannot.progress import Progress, Silent

_INDEX_VERSION = 1
_PACKED_NAMES = (".gz", ".bgz", ".zip", ".bz2", ".xz", ".zst")


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
        self._identity = _identity(path)
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

    def check_unchanged(self) -> None:
        """Refuse to go on where the file is not the one that was opened.

        Raises
        ------
        DilannotError
            Somebody wrote to it, or put another one in its place.
        """
        if self._identity != _identity(self.path):
            raise DilannotError(
                "changed while it was being read",
                where=self.path,
                remedy="restore it and run the same command again, or begin anew with --force",
            )

    def _from_stream(self, contig: str) -> Codes:
        """Plain gzip has no random access: go on to the contig, from the start again when it lies behind."""
        while self._streamed is None or self._streamed[0] != contig:
            found = next(self._stream, None)
            if found is None:
                self._stream = read_contigs(self.path, digest=False)
            else:
                self._streamed = found[0].name, found[1]
        return self._streamed[1]

    def _index(self, progress: Progress) -> Path:
        """The cache folder of this file's index, made if it is not there."""
        identity = f"{_INDEX_VERSION} {self._identity}"
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
        contigs = [item for item in read_blocks(self.path) if isinstance(item, Contig)]
        fai, gzi = folder / "genome.fai", folder / "genome.gzi"
        if self._compression == "bgzip":
            _index_blocks(self.path, fai, gzi)
        rows = [f"{c.name}\t{c.length}\t{c.offset}\t{c.line_bases}\t{c.line_width}\n" for c in contigs]
        fai.write_text("".join(rows), encoding="utf-8")
        (folder / "contigs.json").write_text(json.dumps([asdict(contig) for contig in contigs]), encoding="utf-8")


def _identity(path: Path) -> str:
    """Another one for every file that was ever here, as far as the file system knows."""
    status = os.stat(path)
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _index_blocks(genome: Path, fai: Path, gzi: Path) -> None:
    """Let samtools index a bgzip file; it is stricter about the end of a record's last line than we are."""
    loudness = pysam.set_verbosity(0)
    try:
        pysam.faidx(str(genome), "--fai-idx", str(fai), "--gzi-idx", str(gzi))
    except pysam.utils.SamtoolsError:
        raise DilannotError(
            "samtools cannot index it: Windows and Unix line ends are mixed, or lines are uneven",
            where=genome,
            remedy="unpack it, or rewrite it with even lines",
        ) from None
    finally:
        pysam.set_verbosity(loudness)


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
