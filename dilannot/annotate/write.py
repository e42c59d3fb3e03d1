"""Write the bigWig and the BED of each marker, several at a time, each in a process of its own.

Processes, because pyBigWig holds the interpreter while it works; this file imports no torch, so that they start fast.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from dilannot.annotate.calls import CallRule, call
from dilannot.annotate.compress import CALLED, LEVELS, joined
from dilannot.annotate.store import Piece, read_runs
from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.formats.bed import bed_line, write_bed
from dilannot.formats.bigwig import Runs, write_bigwig
from dilannot.outputs import unfinished


@dataclass(frozen=True, slots=True)
class Track:
    """What to write for one marker; `name` is its file name without extension."""

    marker: int
    name: str
    rule: CallRule


@dataclass(frozen=True, slots=True)
class Written:
    """What was written for one marker."""

    marker: int
    bases: int
    calls: int
    called_bases: int


def write_tracks(
    folder: Path,
    stage: Path,
    tracks: Sequence[Track],
    pieces: Sequence[list[Piece]],
    lengths: dict[str, int],
    processes: int,
) -> Iterator[Written]:
    """Write all tracks into a working folder; yields as they are finished, in any order.

    With more than one process, a script that calls this needs the usual `if __name__ == "__main__":`.

    Raises
    ------
    DilannotError
        A disk that is full, or a writer that was killed.
    """
    jobs = [(folder, stage, track, pieces[track.marker], lengths) for track in tracks]
    processes = min(processes, len(jobs))
    if processes == 1:
        yield from (_write_track(*job) for job in jobs)
        return
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_ignore_interrupts)
    try:
        for done in as_completed([pool.submit(_write_track, *job) for job in jobs]):
            yield done.result()
    except BrokenProcessPool:
        raise DilannotError(
            "a process that wrote tracks died (killed? out of memory?)", where=folder, exit_code=ENVIRONMENT
        ) from None
    except BaseException:
        # Interrupted, or out of space: what is being written is not wanted any more.
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ctrl-C reaches the whole process group; the parent decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write_track(folder: Path, stage: Path, track: Track, pieces: list[Piece], lengths: dict[str, int]) -> Written:
    lines: list[str] = []
    called = 0

    def contigs() -> Iterator[Runs]:
        """Runs for the bigWig; calls are made as they pass."""
        nonlocal called
        for contig, starts, ends, codes in read_runs(stage, pieces):
            start, end, highest = call(starts, ends, codes, track.rule)
            called += int((end - start).sum())
            for first, last, level in zip(start.tolist(), end.tolist(), highest.tolist(), strict=True):
                lines.append(bed_line(contig, first, last, f"{track.name}_{len(lines) + 1}", level / LEVELS))
            starts, ends, levels = joined(starts, ends, codes % CALLED)
            yield contig, starts, ends, levels / LEVELS

    bases = write_bigwig(unfinished(folder, f"{track.name}.bw"), lengths, contigs())
    write_bed(unfinished(folder, f"{track.name}.bed"), lines)
    return Written(track.marker, bases, len(lines), called)
