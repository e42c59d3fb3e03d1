"""Finish an annotation: copy the sections of its blocks into one bigWig per marker, and join its calls into BEDs.

A few markers at a time, so that neither open files nor memory grow with their number: each group reads every block
once, in genome order. Markers that were finished before a kill are not made again.
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterable, Iterator, Sequence
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
from dilannot.formats.bigwig import BigWigWriter
from dilannot.formats.bigwig_sections import SUMMARY, ZOOM
from dilannot.formats.calls import Calls, write_calls, write_combined
from dilannot.genome.intervals import parse_region
from dilannot.outputs import move_into_place
from dilannot.progress import Progress

COMBINED = "calls"
_GROUP = 16  # markers that one thread makes at the same time
_SPARE = 40  # files that are open for other reasons
_JOURNAL = "finished.jsonl"
_CALLS_AT_ONCE = 4096


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
            CallRule(marker["threshold"], annotation["merge_gap"], annotation["min_length"]),
        )
        for marker in annotation["markers"]
    ]
    return Finish(folder, records, blocks_in(annotation), tracks, lengths, annotation["bgzip"], annotation["bigbed"])


def blocks_in(annotation: dict[str, Any]) -> list[Block]:
    """The blocks of an annotation, by its record."""
    lengths = {name: length for name, length, _ in annotation["contigs"]}
    regions = [parse_region(text, lengths)[0] for text in annotation["regions"]]
    return blocks_of(regions, list(lengths), annotation["tile"])


def finish(work: Finish, threads: int, progress: Progress) -> list[Written]:
    """Make all files, in order of the tracks; those that `work.folder` has already stay.

    Raises
    ------
    DilannotError, OSError
        A disk that is full.
    """
    work.folder.mkdir(exist_ok=True)
    done = _read_journal(work.folder / _JOURNAL)
    left = [i for i, track in enumerate(work.tracks) if track.name not in done]
    groups = _groups(left, _group_size(threads, len({record.path for record in work.records})))
    with progress.task("writing tracks", len(left)) as task, ThreadPoolExecutor(threads) as pool:
        try:
            for made in as_completed([pool.submit(_finish_group, work, group) for group in groups]):
                _append_to_journal(work.folder / _JOURNAL, made.result())
                done |= {written.name: written for written in made.result()}
                task.advance(len(made.result()))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    _combine(work)
    return [done[track.name] for track in work.tracks]


def _group_size(threads: int, parts: int) -> int:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = (allowed if allowed != resource.RLIM_INFINITY else 1 << 16) - _SPARE
    return max(1, min(_GROUP, (free // threads - parts) // 2))


def _groups(markers: Sequence[int], size: int) -> list[slice]:
    """Markers that follow each other, `size` at a time."""
    rows = [list(row) for _, row in groupby(enumerate(markers), key=lambda pair: pair[1] - pair[0])]
    stretches = [(row[0][1], row[-1][1] + 1) for row in rows]
    return [slice(at, min(at + size, end)) for begin, end in stretches for at in range(begin, end, size)]


def _finish_group(work: Finish, group: slice) -> list[Written]:
    with Reader(sorted({record.path for record in work.records})) as reader:
        bases = _write_bigwigs(work, reader, group)
        return [
            Written(track.name, count, *_write_bed(work, track, contigs))
            for track, count, contigs in zip(work.tracks[group], bases, _calls(work, reader, group), strict=True)
        ]


def _write_bigwigs(work: Finish, reader: Reader, group: slice) -> list[int]:
    """Copy sections; bases with a value of each track."""
    names = [f"{track.name}.bw" for track in work.tracks[group]]
    contigs = [block.contig for block in work.blocks]
    coarse = [bytearray() for _ in names]
    with ExitStack() as stack:
        writers = [stack.enter_context(BigWigWriter(_temporary(work.folder, name), work.lengths)) for name in names]
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
    for name in names:
        move_into_place(_temporary(work.folder, name), work.folder / name)
    return [int(total) for total in blocks["bases"].sum(axis=0)]


def _calls(work: Finish, reader: Reader, group: slice) -> list[list[tuple[str, Calls]]]:
    """Calls of each track, contig by contig."""
    tracks = work.tracks[group]
    calls: list[list[tuple[str, Calls]]] = [[] for _ in tracks]
    of_contig = groupby(zip(work.records, work.blocks, strict=True), key=lambda pair: pair[1].kept.contig)
    for contig, pairs in of_contig:
        parts = [bytearray() for _ in tracks]
        for record, _ in pairs:
            for part, (rows, _) in zip(parts, reader.rows(record, "stretch_counts", "stretches", group), strict=True):
                part += rows.tobytes()
        for into, part, track in zip(calls, parts, tracks, strict=True):
            into.append((contig, joined(np.frombuffer(part, STRETCH), track.rule)))
    return calls


def _write_bed(work: Finish, track: Track, contigs: list[tuple[str, Calls]]) -> tuple[int, int]:
    """The track's BED, and for the one of all tracks its calls as they are; how many, and bases they cover."""
    bed, *index = work.bed_files(track.name)
    count = write_calls(
        _temporary(work.folder, bed), contigs, name=track.name, threshold=track.rule.threshold, lengths=work.lengths,
        bgzip=work.bgzip,
    )  # fmt: skip
    move_into_place(_temporary(work.folder, bed), work.folder / bed)
    if index:
        index_bed(work.folder / bed, work.folder / index[0], work.lengths)
    with open(_binary(work, track), "wb") as handle:
        handle.write(np.array([len(calls) for _, calls in contigs], np.int64).tobytes())
        for _, calls in contigs:
            handle.write(calls.tobytes())
    rows = np.concatenate([np.zeros(0, STRETCH), *(calls for _, calls in contigs)])
    return count, int((rows["end"].astype(np.int64) - rows["start"]).sum())


def _combine(work: Finish) -> None:
    """One sorted BED of all tracks, from the calls each left, and a bigBed of it."""
    bed, *index = work.bed_files(COMBINED)
    parts = write_combined(
        _temporary(work.folder, bed),
        _contigs_of_all(work),
        names=[track.marker for track in work.tracks],
        thresholds=[track.rule.threshold for track in work.tracks],
        lengths=work.lengths,
        bgzip=work.bgzip,
    )
    move_into_place(_temporary(work.folder, bed), work.folder / bed)
    if index:
        index_bed(work.folder / bed, work.folder / index[0], work.lengths)
    if work.bigbed:
        write_bigbed(work.folder / f"{COMBINED}.bb", work.folder / bed, parts, work.lengths)


def _contigs_of_all(work: Finish) -> Iterator[tuple[str, list[Iterable[Calls]]]]:
    """Contig after contig, the calls of every track a few at a time."""
    contigs = _contigs(work)
    counts = np.stack([np.fromfile(_binary(work, track), np.int64, len(contigs)) for track in work.tracks])
    first = np.cumsum(counts, axis=1) - counts
    for at, contig in enumerate(contigs):
        sources: list[Iterable[Calls]] = [()] * len(work.tracks)
        for i in np.flatnonzero(counts[:, at]).tolist():
            path, offset = _binary(work, work.tracks[i]), 8 * len(contigs) + int(first[i, at]) * STRETCH.itemsize
            sources[i] = _read_calls(path, offset, int(counts[i, at]))
        yield contig, sources


def _contigs(work: Finish) -> list[str]:
    return list(dict.fromkeys(block.kept.contig for block in work.blocks))


def _read_calls(path: Path, offset: int, count: int) -> Iterator[Calls]:
    for at in range(0, count, _CALLS_AT_ONCE):
        size = min(_CALLS_AT_ONCE, count - at)
        yield np.fromfile(path, STRETCH, size, offset=offset + at * STRETCH.itemsize)


def _binary(work: Finish, track: Track) -> Path:
    return work.folder / f"{track.name}.calls"


def _temporary(folder: Path, name: str) -> Path:
    return folder / f"{name}.tmp"


def _read_journal(path: Path) -> dict[str, Written]:
    """Tracks that were finished; a line that was cut is one that was not."""
    done = {}
    with suppress(FileNotFoundError):
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, TypeError):
                written = Written(**json.loads(line))
                done[written.name] = written
    return done


def _append_to_journal(path: Path, made: Sequence[Written]) -> None:
    with open(path, "a", encoding="utf-8") as handle:
        # Line ends come first: what was cut does not spoil what follows.
        handle.write("".join("\n" + json.dumps(asdict(each)) for each in made))
        handle.flush()
        os.fsync(handle.fileno())
