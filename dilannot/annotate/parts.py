"""An annotation that is not finished: a hidden folder in its output, with what it is and the blocks that are there.

.annotation/annotation.json         all that the result depends on; a run that differs is refused
.annotation/part-1-of-4.blocks      records of blocks, one file for each shard
.annotation/files/                  finished files, until all of them move to their final names
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dilannot.annotate.store import Record, read_records
from dilannot.errors import DilannotError
from dilannot.outputs import locked, make_folder

HIDDEN = ".annotation"
_RECORD = "annotation.json"
_PART = re.compile(r"part-(\d+)-of-(\d+)\.blocks")

# What to call a difference: options where there is one.
_OPTIONS = {"regions": "regions", "markers": "markers", "contigs": "genome", "genome": "genome", "shards": "--shard"}
_WORDS = {"weights_sha256": "weights", "dilannot": "version of dilannot", "model": "network", "epoch": "epoch"}


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
    folder = hidden(output)
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    if force and was_begun(output) and _differs(read_begun(output), json.loads(text)):
        forget(output)
    make_folder(folder)
    own = folder / f".{_RECORD}.tmp-{os.getpid()}"
    try:
        own.write_text(text, encoding="utf-8")
        os.link(own, folder / _RECORD)
    except FileExistsError:
        if key := _differs(read_begun(output), json.loads(text)):
            raise _is_another(key, read_begun(output).get(key), record[key], output) from None
        return True
    finally:
        own.unlink(missing_ok=True)
    return False


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
    except FileNotFoundError:
        raise DilannotError("no annotation was begun here", where=output) from None
    except ValueError as error:
        raise DilannotError(f"is damaged: {error}", where=path, remedy="begin again with --force") from None
    if not isinstance(record, dict):
        raise DilannotError("is damaged", where=path, remedy="begin again with --force")
    return record


def was_begun(output: Path) -> bool:
    """Whether an annotation that is not finished lies there."""
    return (hidden(output) / _RECORD).exists()


def forget(output: Path) -> None:
    """Remove all that is not finished."""
    if hidden(output).exists():
        # The record goes first: what is left without it is no annotation.
        (hidden(output) / _RECORD).unlink(missing_ok=True)
        shutil.rmtree(hidden(output))


def _differs(begun: dict[str, Any], asked: dict[str, Any]) -> str | None:
    """The first field in which two annotations differ."""
    return next((key for key in asked if begun.get(key) != asked[key]), None)


def _is_another(key: str, before: object, now: object, output: Path) -> DilannotError:
    name = _OPTIONS.get(key) or _WORDS.get(key) or "--" + key.replace("_", "-")
    detail = f" ({_short(before)}, not {_short(now)})" if not isinstance(now, list) else ""
    return DilannotError(
        f"an annotation that is not finished lies here, with another {name}{detail}",
        where=output,
        remedy="use its settings to go on, --force to begin again, or another -o",
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
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(locked(path))
        yield


def collect(paths: Sequence[Path], count: int) -> list[Record]:
    """The records of all blocks, in order; of a block that lies in several files, one.

    Raises
    ------
    DilannotError
        Some of the `count` blocks are in none of the files.
    """
    found: dict[int, Record] = {}
    for path in paths:
        for record in read_records(path):
            found.setdefault(record.block, record)
    missing = [number for number in range(count) if number not in found]
    if missing:
        shown = ", ".join(path.name for path in paths) or "no part"
        raise DilannotError(
            f"{len(missing):,} of {count:,} blocks are missing; {shown} found",
            where=paths[0].parent if paths else None,
            remedy="run the shards that are not done, then merge",
        )
    return [found[number] for number in range(count)]
