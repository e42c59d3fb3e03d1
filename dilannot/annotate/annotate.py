"""Annotate a genome with a run: a bigWig of probabilities and a BED of calls per marker, whole or in shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dilannot.annotate.blocks import Block
from dilannot.annotate.estimate import Estimate, Sample, describe, in_words, spread, try_out
from dilannot.annotate.finish import finish_of
from dilannot.annotate.parts import begin, check_begun, forget_if_empty, hidden
from dilannot.annotate.plan import DEFAULTS, EVERYTHING, Scope, Settings
from dilannot.annotate.prepare import Work, prepared, warn_of_thresholds
from dilannot.annotate.publish import check_output, publish
from dilannot.annotate.shards import Shard
from dilannot.annotate.store import Appender, Record
from dilannot.annotate.stream import stream
from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.outputs import check_space, check_writable, locked, make_folder, nearest_folder, removed_if_empty
from dilannot.predict import cores
from dilannot.progress import Progress, Silent, Task
from dilannot.run import Which

_FIRST = 8  # blocks that tell how the others will go
_LESS = "free some space, or write less: --bin, --min-score, --markers, --region"


@dataclass(frozen=True, slots=True)
class Annotation:
    """What was written where; `nucleotides` have a value, N and what was left out have none.

    Of a shard, `tracks` is empty: `merge` makes them.
    """

    folder: Path
    nucleotides: int
    tracks: list[dict[str, Any]]


def annotate(
    run: Path,
    genome: Path | None = None,
    *,
    output: Path,
    scope: Scope = EVERYTHING,
    settings: Settings = DEFAULTS,
    shard: Shard | None = None,
    weights: Which = "best",
    batch_size: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    force: bool = False,
    trust_code: bool = False,
    progress: Progress | None = None,
) -> Annotation:
    """Stream a genome through a run and write its tracks; go on where the same annotation was begun.

    Every position gets the probability that one pass over its whole contig would give it; from a network without a
    finite context (LSTM), that of the window in whose middle half it lies; from a network for windows, that of its bin.
    Unknown bases (N) get none.

    Parameters
    ----------
    run
        Run folder.
    genome
        FASTA; by default the one the run was trained on.
    output
        Folder for `MARKER.bw`, `MARKER.bed`, `calls.bed` and `tracks.json`.
    scope, settings
        What is annotated, and how.
    shard
        Make this part only, and leave it for `merge`.
    weights
        Those of the best or the last epoch.
    batch_size
        Tiles predicted together; by default 1 on a CPU, on a GPU as many as it has memory for, up to 5.
    device
        auto, cpu, cuda or cuda:N.
    threads
        At work at the same time; one per core by default.
    force
        Overwrite tracks, or forget an unfinished annotation, that lie there.
    trust_code
        See `load_network`.

    Raises
    ------
    DilannotError
        Bad input, an output that is taken, or a disk that cannot hold it.
    """
    progress, threads = progress or Silent(), threads or cores()
    check_writable(nearest_folder(output))
    with prepared(
        run, genome, scope, settings, shard,
        weights=weights, batch_size=batch_size, device=device, trust_code=trust_code, progress=progress,
    ) as work:  # fmt: skip
        plan = work.plan
        check_output(output, finish_of(plan.record, hidden(output), []).files(), force=None if shard else force)
        if shard is None or shard.number == 1:
            warn_of_thresholds(plan, progress)
        make_folder(output)
        with ExitStack() as stack:
            stack.enter_context(removed_if_empty(output))
            if shard is None:
                stack.enter_context(locked(output))
            begin(output, plan.record, force=force and shard is None)
            stack.enter_context(_forgotten_if_empty(output))
            stack.enter_context(locked(part := hidden(output) / (shard or Shard(1, 1)).file))
            with _told(part, progress):
                records = _make(part, work, threads, progress)
                rows = publish(output, plan.record, records, threads, progress) if shard is None else []
            return Annotation(output, sum(record.nucleotides for record in records), rows)


def survey(
    run: Path,
    genome: Path | None = None,
    *,
    output: Path,
    scope: Scope = EVERYTHING,
    settings: Settings = DEFAULTS,
    shard: Shard | None = None,
    weights: Which = "best",
    batch_size: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    force: bool = False,
    trust_code: bool = False,
    progress: Progress | None = None,
) -> list[str]:
    """What `annotate` would do with the same arguments, in words: tiles, time, disk and memory; nothing is written.

    Raises
    ------
    DilannotError
        `annotate` would refuse it.
    """
    threads = threads or cores()
    check_writable(nearest_folder(output))
    with prepared(
        run, genome, scope, settings, shard,
        weights=weights, batch_size=batch_size, device=device, trust_code=trust_code, progress=progress or Silent(),
    ) as work:  # fmt: skip
        check_output(output, finish_of(work.plan.record, hidden(output), []).files(), force=None if shard else force)
        check_begun(output, work.plan.record, force=force and shard is None)
        warn_of_thresholds(work.plan, progress or Silent())
        guess = try_out(work.engine, work.plan.blocks, threads)
        _check_disk(nearest_folder(output), guess, hidden(output))
        return [describe(work.engine, work.blocks, threads), in_words(guess), f"into {output}"]


@contextmanager
def _forgotten_if_empty(output: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            forget_if_empty(output)
        raise


@contextmanager
def _told(part: Path, progress: Progress) -> Iterator[None]:
    """When work stops before its end, say that it can go on; where nothing was made yet, leave no file."""
    try:
        yield
    except BaseException as error:
        size = part.stat().st_size if part.exists() else 0
        if size and isinstance(error, KeyboardInterrupt | SystemExit | OSError):
            progress.say(f"{size / 1e6:,.1f} MB are made and kept: the same command goes on")
        elif not size:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        raise


def _make(part: Path, work: Work, threads: int, progress: Progress) -> list[Record]:
    """Make the blocks that the part does not hold; all its records, in genome order."""
    wanted = {block.number for block in work.blocks}
    appender = Appender(part)
    try:
        done = {record.block for record in appender.records} & wanted
        left = [block for block in work.blocks if block.number not in done]
        if appender.damaged:
            progress.warn(f"{part}: {appender.damaged:,} blocks are damaged and made again")
        if done:
            progress.say(f"going on: {len(done):,} of {len(wanted):,} blocks are there")
        if left:
            progress.say(describe(work.engine, left, threads))
        with progress.task("annotating", sum(map(len, left))) as task:
            _append_all(appender, work, left, threads, progress, task)
        found = {record.block: record for record in appender.records if record.block in wanted}
        there = appender.is_there()
    finally:
        appender.close()
    if not there:
        raise DilannotError(
            "was removed or changed while it was written",
            where=part,
            remedy="run the same command again",
            exit_code=ENVIRONMENT,
        )
    return [found[block.number] for block in work.blocks]


def _append_all(
    appender: Appender, work: Work, blocks: Sequence[Block], threads: int, progress: Progress, task: Task
) -> None:
    """Make blocks and append their records; once a few of them from all over are there, say how the rest will go."""
    engine = work.engine
    first = spread(blocks, max(1, min(_FIRST, len(blocks) // 4))) if len(blocks) > 1 else []
    awaited, sample = {block.number for block in first}, Sample(engine)
    rest = [block for block in blocks if block.number not in awaited]
    with closing(stream(engine, [*first, *rest], threads)) as stretches:
        for made in stretches:
            # What was read before a change is right; what may not be is not kept.
            engine.genome.check_unchanged()
            appender.append(made.record)
            sample.add(made)
            if awaited == {made.block.number}:
                _tell(work, blocks, sample, threads, appender, progress)
            awaited.discard(made.block.number)
            task.advance(len(made.block), f"{sample.nucleotides / sample.seconds:,.0f} nt/s")


def _tell(
    work: Work, blocks: Sequence[Block], sample: Sample, threads: int, appender: Appender, progress: Progress
) -> None:
    """Say how the rest will go; where the disk is too small for it, take back what was made."""
    progress.say(in_words(sample.estimate(blocks, threads)))
    try:
        _check_disk(appender.folder, sample.estimate(work.plan.blocks, threads), appender.folder)
    except DilannotError:
        appender.take_back()
        raise


def _check_disk(folder: Path, guess: Estimate, parts: Path) -> None:
    """Records of all shards and the finished files lie there at the same time; some of the records do already."""
    there = sum(path.stat().st_size for path in parts.glob("*.blocks"))
    check_space(folder, int(2 * guess.bytes - there), "this annotation", remedy=_LESS)
