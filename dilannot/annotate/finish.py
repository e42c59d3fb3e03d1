"""Finish an annotation: copy the sections of its blocks into one bigWig per marker, and join its calls into BEDs.

A few markers at a time, so that neither open files nor memory grow with their number: each group reads every block
once, in genome order. Markers that were finished before a kill are not made again.
"""

from __future__ import annotations

import json
import os
import resource
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from dilannot.annotate.blocks import Block, blocks_of
from dilannot.annotate.calls import STRETCH, CallRule, joined
from dilannot.annotate.store import Reader, Record
from dilannot.formats.bgzip import index_bed, index_suffix
from dilannot.formats.bigbed import write_bigbed
from dilannot.formats.bigwig import BigWigWriter, check_whole
from dilannot.formats.bigwig_sections import SUMMARY, ZOOM
from dilannot.formats.calls import Calls, Part, write_calls, write_combined
from dilannot.genome.intervals import Interval
from dilannot.outputs import named, to_disk
from dilannot.progress import Progress

COMBINED = "calls"
_MEMORY = 400e6  # bytes of all threads for records of zooms that are not compressed yet
_GROUP = 16  # markers that one thread makes at the same time
_SPARE = 8  # files that others may open meanwhile
_JOURNAL = "finished.jsonl"


@dataclass(frozen=True, slots=True)
class Track:
    """What to write for one marker.

    Attributes
    ----------
    name
        Its file name without extension.
    marker
        The marker's own name.
    rule
        What counts as a call.
    """

    name: str
    marker: str
    rule: CallRule


@dataclass(frozen=True, slots=True)
class Written:
    """What was written for one track: bases with a value, calls and the bases they cover."""

    name: str
    bases: int
    calls: int
    called_bases: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Everything that the files are made from.

    Attributes
    ----------
    folder
        Where they are made; they are moved to their final place together.
    records
        Of all blocks, in genome order.
    blocks
        The blocks themselves.
    tracks
        In the order of the records' markers.
    lengths
        Of the genome's contigs, bp.
    bgzip, bigbed
        Write BEDs as bgzip with a tabix index; write a bigBed of all calls.
    """

    folder: Path
    records: Sequence[Record]
    blocks: Sequence[Block]
    tracks: Sequence[Track]
    lengths: dict[str, int]
    bgzip: bool
    bigbed: bool

    def bed_files(self, name: str) -> list[str]:
        """Names of a BED and its index."""
        if not self.bgzip:
            return [f"{name}.bed"]
        return [f"{name}.bed.gz", f"{name}.bed.gz{index_suffix(self.lengths)}"]

    def files(self) -> list[str]:
        """Names of all files."""
        of_tracks = [file for track in self.tracks for file in (f"{track.name}.bw", *self.bed_files(track.name))]
        return [*of_tracks, *self.bed_files(COMBINED), *([f"{COMBINED}.bb"] if self.bigbed else [])]


def finish_of(annotation: dict[str, Any], folder: Path, records: Sequence[Record]) -> Finish:
    """What the files of an annotation are made from, by its record alone: neither run nor genome are needed."""
    lengths = {name: length for name, length, _ in annotation["contigs"]}
    tracks = [
        Track(
            marker["file"],
            marker["marker"],
            CallRule(_threshold(marker), annotation["merge_gap"], annotation["min_length"]),
        )
        for marker in annotation["markers"]
    ]
    return Finish(folder, records, blocks_in(annotation), tracks, lengths, annotation["bgzip"], annotation["bigbed"])


def _threshold(marker: dict[str, Any]) -> float:
    """A marker without one is never called."""
    return float("inf") if marker["threshold"] is None else float(marker["threshold"])


def blocks_in(annotation: dict[str, Any]) -> list[Block]:
    """The blocks of an annotation, by its record."""
    lengths = {name: length for name, length, _ in annotation["contigs"]}
    return blocks_of([_region(text) for text in annotation["regions"]], list(lengths), annotation["tile"])


def _region(text: str) -> Interval:
    """What `str` made of an interval; typed, it may also be the name of another contig."""
    contig, _, positions = text.rpartition(":")
    first, last = positions.replace(",", "").split("-")
    return Interval(contig, int(first) - 1, int(last))


def finish(work: Finish, threads: int, progress: Progress) -> list[Written]:
    """Make all files, in order of the tracks; those that `work.folder` has already, and its journal knows, stay.

    Raises
    ------
    DilannotError, OSError
        A disk that is full.
    """
    work.folder.mkdir(exist_ok=True)
    done = _read_journal(work.folder / _JOURNAL)
    left = [i for i, track in enumerate(work.tracks) if track.name not in done or not _is_there(work, track)]
    with Reader(sorted({record.path for record in work.records})) as reader:
        threads, size = _at_once(threads, sum(record.bytes_of("coarse") for record in work.records) / len(work.tracks))
        groups = _groups(left, size)
        with progress.task("writing tracks", len(left)) as task, ThreadPoolExecutor(threads) as pool:
            combined = pool.submit(_combine, work, reader)
            try:
                for made in as_completed([pool.submit(_finish_group, work, reader, group) for group in groups]):
                    _append_to_journal(work.folder / _JOURNAL, made.result())
                    done |= {written.name: written for written in made.result()}
                    task.advance(len(made.result()))
                parts = combined.result()
            except BaseException:
                reader.stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    if work.bigbed:
        # Here, because signals that come meanwhile have to wait, and they come to this thread.
        path = work.folder / f"{COMBINED}.bb"
        if write_bigbed(path, work.folder / work.bed_files(COMBINED)[0], parts, work.lengths):
            to_disk(path)
    return [done[track.name] for track in work.tracks]


def _is_there(work: Finish, track: Track) -> bool:
    return all((work.folder / name).exists() for name in (f"{track.name}.bw", *work.bed_files(track.name)))


def _at_once(threads: int, zooms: float) -> tuple[int, int]:
    """Threads, and markers of each, for which there are file handles and memory, `zooms` bytes a marker."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = allowed - len(os.listdir("/dev/fd")) - _SPARE if allowed != resource.RLIM_INFINITY else 1 << 16
    threads = max(1, min(threads, free // 2))
    return threads, max(1, min(_GROUP, free // threads - 1, int(_MEMORY / (threads * (zooms + 1)))))


def _groups(markers: Sequence[int], size: int) -> list[slice]:
    """Markers that follow each other, `size` at a time."""
    rows = [list(row) for _, row in groupby(enumerate(markers), key=lambda pair: pair[1] - pair[0])]
    stretches = [(row[0][1], row[-1][1] + 1) for row in rows]
    return [slice(at, min(at + size, end)) for begin, end in stretches for at in range(begin, end, size)]


def _finish_group(work: Finish, reader: Reader, group: slice) -> list[Written]:
    bases = _write_bigwigs(work, reader, group)
    return [
        Written(track.name, count, *_write_bed(work, track, contigs))
        for track, count, contigs in zip(work.tracks[group], bases, _calls(work, reader, group), strict=True)
        if reader.is_wanted()
    ]


def _write_bigwigs(work: Finish, reader: Reader, group: slice) -> list[int]:
    """Copy sections; bases with a value of each track."""
    names = [f"{track.name}.bw" for track in work.tracks[group]]
    contigs = [block.contig for block in work.blocks]
    coarse = [bytearray() for _ in names]
    with ExitStack() as stack:
        writers = [stack.enter_context(BigWigWriter(work.folder / name, work.lengths)) for name in names]
        for record, contig in zip(work.records, contigs, strict=True):
            for writer, (table, data) in zip(writers, reader.sections(record, "value", group), strict=True):
                writer.add_values(contig, table, data)
        for record, contig in zip(work.records, contigs, strict=True):
            for writer, (table, data) in zip(writers, reader.sections(record, "zoom", group), strict=True):
                writer.add_zooms(contig, table, data)
            for rows, (table, _) in zip(coarse, reader.rows(record, "coarse_counts", "coarse", group), strict=True):
                rows += table.tobytes()
        summaries = [reader.summary(record, group) for record in work.records]
        blocks = np.stack(summaries) if summaries else np.zeros((0, len(names)), SUMMARY)
        for at, writer in enumerate(writers):
            writer.finish(np.frombuffer(coarse[at], ZOOM), blocks[:, at])
    bases = [int(total) for total in blocks["bases"].sum(axis=0)]
    for name, total in zip(names, bases, strict=True):
        to_disk(work.folder / name)
        check_whole(work.folder / name, total)
    return bases


def _calls(work: Finish, reader: Reader, group: slice) -> list[list[tuple[str, Calls]]]:
    """Calls of each track, contig by contig."""
    of_contigs = [(contig, _calls_on(work, reader, records, group)) for contig, records in _contigs(work)]
    return [[(contig, calls[at]) for contig, calls in of_contigs] for at in range(group.stop - group.start)]


def _calls_on(work: Finish, reader: Reader, records: Sequence[Record], group: slice) -> list[Calls]:
    """Calls of each track on the contig of these records."""
    stretches = [bytearray() for _ in work.tracks[group]]
    for record in records:
        for into, (rows, _) in zip(stretches, reader.rows(record, "stretch_counts", "stretches", group), strict=True):
            into += rows.tobytes()
    return [
        joined(np.frombuffer(each, STRETCH), track.rule)
        for each, track in zip(stretches, work.tracks[group], strict=True)
    ]


def _contigs(work: Finish) -> Iterator[tuple[str, list[Record]]]:
    pairs = groupby(zip(work.records, work.blocks, strict=True), key=lambda pair: pair[1].name)
    for contig, of_contig in pairs:
        yield contig, [record for record, _ in of_contig]


def _write_bed(work: Finish, track: Track, contigs: list[tuple[str, Calls]]) -> tuple[int, int]:
    """The BED of a track; how many calls, and bases they cover."""
    bed, *index = work.bed_files(track.name)
    with named(work.folder / bed):
        count = write_calls(
            work.folder / bed, contigs, name=track.name, threshold=track.rule.threshold, lengths=work.lengths,
            bgzip=work.bgzip,
        )  # fmt: skip
    _complete(work, bed, index)
    return count, sum(int((calls["end"].astype(np.int64) - calls["start"]).sum()) for _, calls in contigs)


def _combine(work: Finish, reader: Reader) -> dict[str, Part]:
    """One sorted BED of all tracks, and where its contigs lie; a contig's calls are in memory together."""
    bed, *index = work.bed_files(COMBINED)
    groups = _groups(range(len(work.tracks)), _GROUP)
    contigs = (
        (contig, [[calls] for group in groups for calls in _calls_on(work, reader, records, group)])
        for contig, records in _contigs(work)
    )
    with named(work.folder / bed):
        parts = write_combined(
            work.folder / bed,
            contigs,
            names=[track.marker for track in work.tracks],
            thresholds=[track.rule.threshold for track in work.tracks],
            lengths=work.lengths,
            bgzip=work.bgzip,
        )
    _complete(work, bed, index)
    return parts


def _complete(work: Finish, bed: str, index: Sequence[str]) -> None:
    """A BED is written: give the disk all of it, and make its index where it has one."""
    to_disk(work.folder / bed)
    for name in index:
        index_bed(work.folder / bed, work.folder / name, work.lengths)
        to_disk(work.folder / name)


def _read_journal(path: Path) -> dict[str, Written]:
    """Tracks that were finished; a line that was cut or changed is one that was not."""
    done = {}
    with suppress(FileNotFoundError):
        for line in path.read_bytes().split(b"\n"):
            checksum, _, text = line.partition(b" ")
            if checksum == _checksum(text):
                written = Written(**json.loads(text))
                done[written.name] = written
    return done


def _append_to_journal(path: Path, made: Sequence[Written]) -> None:
    lines = [json.dumps(asdict(each)).encode() for each in made]
    with named(path), open(path, "ab") as handle:
        # Line ends come first: what was cut does not spoil what follows.
        handle.write(b"".join(b"\n" + _checksum(line) + b" " + line for line in lines))
        handle.flush()
        os.fsync(handle.fileno())


def _checksum(line: bytes) -> bytes:
    return b"%08x" % zlib.crc32(line)
