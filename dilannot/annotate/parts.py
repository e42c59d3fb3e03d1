"""An annotation that is not finished: a hidden folder in its output, with what it is and the blocks that are there.

.annotation/annotation.json         all that the result depends on; a run that differs is refused
.annotation/part-1-of-4.blocks      records of blocks, one file for each shard
.annotation/files/                  finished files, until all of them move to their final names
.annotation/published.json          files that may lie under final names by then, those of former tracks too
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import resource
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from dilannot.annotate.blocks import Block, shard_of
from dilannot.annotate.store import Record, read_records
from dilannot.errors import DilannotError
from dilannot.outputs import locked, make_folder, write_json
from dilannot.tracks import HIDDEN

_RECORD = "annotation.json"
_PUBLISHED = "published.json"
_SPARE = 100  # open files beside the shards'
_DIGEST = "sha256"  # of the record's other fields: a flipped bit would make other tracks
_PART = re.compile(r"part-(\d+)-of-(\d+)\.blocks")

# What to call a difference, where it is not an option of that name.
_DIFFERENCES = {
    "dilannot": "another version of dilannot",
    "model": "another network",
    "network_sha256": "another network",
    "weights_sha256": "other weights",
    "epoch": "the weights of another epoch",
    "genome": "another genome",
    "contigs": "another genome",
    "regions": "other regions",
    "markers": "other markers",
    "shards": "another number of shards",
}


def hidden(output: Path) -> Path:
    """Where an annotation of `output` keeps what is not finished."""
    return output / HIDDEN


def begin(output: Path, record: dict[str, Any], *, force: bool = False) -> bool:
    """Make the hidden folder, or find that the same annotation was begun in it; whether it was.

    Several processes may do this at the same time.

    Parameters
    ----------
    output
        Folder of the tracks.
    record
        All that the result depends on.
    force
        Forget another annotation that was begun there.

    Raises
    ------
    DilannotError
        Another one was begun there.
    """
    record = json.loads(json.dumps(record))
    if force and _is_another(output, record):
        _begin_anew(output)
    folder = hidden(output)
    make_folder(folder)
    # Not the process alone: containers on several machines may all have the same number.
    own = folder / f".{_RECORD}.{uuid.uuid4().hex}.tmp-{os.getpid()}"
    try:
        write_json(own, record | {_DIGEST: _digest(record)})
        _link(own, folder / _RECORD)
    except FileExistsError:
        check_begun(output, record, force=False)
        return True
    finally:
        own.unlink(missing_ok=True)
    return False


def check_begun(output: Path, record: dict[str, Any], *, force: bool) -> None:
    """Refuse what `begin` would refuse, and change nothing."""
    if was_begun(output) and not force:
        before, record = read_begun(output), json.loads(json.dumps(record))
        if key := _differs(before, record):
            raise _refused(key, before.get(key), record, output)


def _link(own: Path, path: Path) -> None:
    """Give a file a name that no other one has."""
    try:
        os.link(own, path)
    except OSError as error:
        if isinstance(error, FileExistsError) or error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise
        if path.exists():  # no hard links on this disk: not quite at once
            raise FileExistsError from None
        own.rename(path)


def _is_another(output: Path, record: dict[str, Any]) -> bool:
    """Whether what was begun there, if anything was, differs or is damaged."""
    try:
        return was_begun(output) and _differs(read_begun(output), record) is not None
    except DilannotError:
        return True


def _begin_anew(output: Path) -> None:
    """Forget what was begun, but not which files it may have left under final names."""
    published = read_published(output)
    with all_locked(parts_of([output])):  # shards may be at work
        forget(output)
    if published:
        make_folder(hidden(output))
        write_published(output, published)


def read_published(output: Path) -> list[str]:
    """Names that an annotation which is not finished may have given to files."""
    with suppress(OSError, ValueError):
        names = json.loads((hidden(output) / _PUBLISHED).read_text(encoding="utf-8"))
        return [Path(str(name)).name for name in names] if isinstance(names, list) else []
    return []


def write_published(output: Path, names: Sequence[str]) -> None:
    """Keep names, before the first of them is given to a file."""
    write_json(hidden(output) / _PUBLISHED, list(names))


def read_begun(output: Path) -> dict[str, Any]:
    """What was begun in an output folder.

    Raises
    ------
    DilannotError
        Nothing was, or its record is damaged.
    """
    path = hidden(output) / _RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise DilannotError("no annotation was begun here", where=output) from None
    except ValueError:
        record = None
    if not isinstance(record, dict) or record.pop(_DIGEST, None) != _digest(record):
        raise DilannotError("is damaged", where=path, remedy="begin again with --force")
    return record


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def was_begun(output: Path) -> bool:
    """Whether an annotation that is not finished lies there."""
    return (hidden(output) / _RECORD).exists()


def forget_if_empty(output: Path) -> None:
    """Forget what was begun, unless somebody made something of it, or is about to."""
    if all(name == _RECORD for name in os.listdir(hidden(output))):
        forget(output)


def forget(output: Path) -> None:
    """Remove all that is not finished."""
    # All at once: blocks that outlive their record would be taken for those of another annotation.
    aside = output / f"{HIDDEN}.tmp-{os.getpid()}"
    with suppress(FileNotFoundError):
        hidden(output).rename(aside)
        shutil.rmtree(aside)


def _differs(begun: dict[str, Any], asked: dict[str, Any]) -> str | None:
    """The first field in which two annotations differ."""
    return next((key for key in asked if begun.get(key) != asked[key]), None)


def _refused(key: str, before: object, asked: dict[str, Any], output: Path) -> DilannotError:
    now = asked[key]
    force = "use --force" if asked.get("shards") == 1 else f"remove {hidden(output)}"
    option = "--" + key.replace("_", "-")
    if isinstance(now, bool):
        how = f"{'with' if before else 'without'} {option}"
    else:
        detail = f" ({_short(before)}, not {_short(now)})" if not isinstance(now, list) else ""
        how = f"with {_DIFFERENCES.get(key) or f'another {option}'}{detail}"
    return DilannotError(
        f"an annotation that is not finished lies here, {how}",
        where=output,
        remedy=f"go on with its settings, give another -o, or {force} to begin again",
    )


def _short(value: object) -> str:
    text = "the default" if value is None else str(value)
    return text[:12] + "…" if len(text) > 20 else text


def parts_of(folders: Sequence[Path]) -> list[Path]:
    """Files of records in the hidden folders of outputs."""
    return [
        path
        for folder in folders
        for path in sorted(hidden(folder).glob("part-*.blocks"))
        if _PART.fullmatch(path.name)
    ]


@contextmanager
def all_locked(paths: Sequence[Path]) -> Iterator[None]:
    """Nobody writes to these now."""
    _allow_open_files(2 * len(paths) + _SPARE)
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(locked(path))
        yield


def _allow_open_files(count: int) -> None:
    """As far as we may: a thousand shards are more than many systems allow who is not asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def collect(paths: Sequence[Path], blocks: Sequence[Block], shards: int) -> list[Record]:
    """The records of all blocks, in order; of a block that lies in several files, one.

    Raises
    ------
    DilannotError
        Some are in none of the files; the `shards` they belong to are named.
    """
    found: dict[int, Record] = {}
    for path in paths:
        for record in read_records(path):
            found.setdefault(record.block, record)
    missing = {block.number for block in blocks} - found.keys()
    if missing:
        parts = [n for n in range(1, shards + 1) if missing & {block.number for block in shard_of(blocks, n, shards)}]
        shown = ", ".join(map(str, parts[:10])) + (" ..." if len(parts) > 10 else "")
        raise DilannotError(
            f"{len(parts):,} of {shards:,} shards are not complete: {shown}",
            where=paths[0].parent if paths else None,
            remedy="run them (again), then merge",
        )
    return [found[block.number] for block in blocks]
