"""Bgzip out: gzip in blocks that can be read one by one, and the tabix index of a sorted BED in it."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import pysam
from isal import isal_zlib

from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.formats.compression import compression

_BLOCK = 65_280  # bytes of text in a block, as htslib has it: packed they stay below 64 KB whatever they hold
_HEADER = struct.Struct("<4BI2BH2B2H")
_TAIL = struct.Struct("<2I")
_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_LEVEL = 2  # of 0-3
_TABIX_LIMIT = 1 << 29  # nt: what lies behind has no place in a .tbi


class BgzipWriter:
    """Write bytes to an open file as bgzip; `close` leaves that file open."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._rest = bytearray()

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._rest += data
        whole = len(self._rest) - len(self._rest) % _BLOCK
        for begin in range(0, whole, _BLOCK):
            self._block(bytes(self._rest[begin : begin + _BLOCK]))
        del self._rest[:whole]

    def tell(self) -> int:
        """The virtual offset of what comes next: that of its block in the file, and within the block."""
        return self._handle.tell() << 16 | len(self._rest)

    def close(self) -> None:
        """Write what is left and the mark that the file is whole."""
        if self._rest:
            self._block(bytes(self._rest))
            self._rest.clear()
        self._handle.write(_END)

    def _block(self, data: bytes) -> None:
        packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -15)
        packed = packer.compress(data) + packer.flush()
        size = _HEADER.size + len(packed) + _TAIL.size
        self._handle.write(_HEADER.pack(31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, size - 1))
        self._handle.write(packed + _TAIL.pack(zlib.crc32(data), len(data)))


def index_suffix(lengths: Mapping[str, int]) -> str:
    """`.tbi`, which every tool reads; `.csi` for a genome with a contig too long for that (2^29 nt)."""
    return ".csi" if max(lengths.values(), default=0) > _TABIX_LIMIT else ".tbi"


def index_bed(path: Path, index: Path, lengths: Mapping[str, int]) -> None:
    """Write the tabix index of a sorted bgzip BED, of the kind that `index_suffix` names.

    Raises
    ------
    DilannotError
        The index could not be written (exit code 3).
    """
    try:
        pysam.tabix_index(
            os.fspath(path), force=True, preset="bed", index=os.fspath(index), csi=index_suffix(lengths) == ".csi"
        )
        whole = compression(index) == "bgzip"
    except (OSError, DilannotError) as error:
        raise DilannotError(f"cannot write the index ({error})", where=index, exit_code=ENVIRONMENT) from None
    if not whole:
        raise DilannotError("the index is not whole", where=index, exit_code=ENVIRONMENT)
