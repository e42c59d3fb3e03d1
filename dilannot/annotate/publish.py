"""From finished blocks to a finished folder: make the files, move them to their names, write the manifest last."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dilannot.annotate.finish import COMBINED, Finish, Written, finish, finish_of
from dilannot.annotate.parts import forget, hidden, read_published, was_begun, write_published
from dilannot.annotate.store import Record
from dilannot.errors import DilannotError
from dilannot.outputs import check_space, sweep, write_json
from dilannot.progress import Progress
from dilannot.tracks import FORMAT, FORMAT_VERSION, MANIFEST, files_of, read_manifest

_FILES = "files"


def check_output(output: Path, files: Sequence[str], *, force: bool | None) -> None:
    """Refuse, before any work, a folder in which anything would be overwritten.

    Parameters
    ----------
    output, files
        The folder, and the names that will be given to files in it.
    force
        Whether what lies there may be overwritten; None where nobody can ask for that.

    Raises
    ------
    DilannotError
        A name is taken (without `force`, and unless the same work was begun here), or by a folder.
    """
    if not os.path.lexists(output):
        return
    if not output.is_dir():
        raise DilannotError("exists and is not a directory", where=output, remedy="give another output folder")
    begun = was_begun(output)
    for name in (MANIFEST, *files):
        if (output / name).is_dir():
            raise DilannotError("is a directory, not a file", where=output / name, remedy="give another output folder")
        if os.path.lexists(output / name) and not force and not begun:
            sweep(output)
            remedy = "give another folder" if force is None else "use --force to overwrite, or another -o"
            raise DilannotError("exists already", where=output / name, remedy=remedy)
    if begun:  # it was looked at then; files that were there may lie beside some of ours by now
        return
    if (output / MANIFEST).exists():
        read_manifest(output)
        return
    others = [name for name in os.listdir(output) if name not in files and not name.startswith(".")]
    if others:
        raise DilannotError(
            f"is a folder with other things in it ({others[0]})", where=output, remedy="give another -o"
        )


def publish(
    output: Path, annotation: dict[str, Any], records: Sequence[Record], threads: int, progress: Progress
) -> list[dict[str, Any]]:
    """Make the tracks of an output from the records of all its blocks; the rows of the manifest.

    Parameters
    ----------
    output
        Where they go; its hidden folder is removed at the end.
    annotation
        What it is.
    records
        Of all blocks, in genome order.
    threads
        At work at the same time.

    Raises
    ------
    DilannotError, OSError
        A disk that is full: what is finished stays for the next time.
    """
    nucleotides = sum(record.nucleotides for record in records)
    if not nucleotides:
        forget(output)
        raise DilannotError("nothing but N in the regions asked for", where=annotation["genome"])
    folder = hidden(output) / _FILES
    needed = sum(sum(record.sizes) for record in records) - _bytes_in(folder)
    check_space(output, needed, "writing the tracks")
    work = finish_of(annotation, folder, records)
    written = finish(work, threads, progress)
    # There is no bigBed without a single call.
    names = [name for name in work.files() if name != f"{COMBINED}.bb" or (folder / name).exists()]
    ours = {*names, *_former(output)}
    # Without a manifest the folder counts as unfinished, whatever happens between here and the last line.
    write_published(output, sorted(ours))
    (output / MANIFEST).unlink(missing_ok=True)
    for name in names:
        os.replace(folder / name, output / name)
    for name in sorted(ours - set(names)):
        if (output / name).is_file():
            (output / name).unlink()
    rows = [_row(work, marker, each) for marker, each in zip(annotation["markers"], written, strict=True)]
    about = {key: value for key, value in annotation.items() if key not in ("markers", "shards")}
    manifest = {"format": FORMAT, "format_version": FORMAT_VERSION, **about, "nucleotides": nucleotides}
    write_json(output / MANIFEST, {**manifest, "tracks": rows, "files": names})
    forget(output)
    return rows


def _bytes_in(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(folder)) if folder.exists() else 0


def _former(output: Path) -> list[str]:
    """Files of tracks that lay there before, also where their manifest is gone since `publish` was killed."""
    try:
        return read_published(output) + files_of(read_manifest(output))
    except DilannotError:
        return read_published(output)


def _row(work: Finish, marker: dict[str, Any], written: Written) -> dict[str, Any]:
    return {
        "marker": marker["marker"],
        "class": marker["class"],
        "bigwig": f"{written.name}.bw",
        "bed": work.bed_files(written.name)[0],
        "peaks": marker.get("peaks", ""),  # shards of an older dilannot do not name it
        "threshold": marker["threshold"],
        "min_score": marker["min_score"],
        "bases": written.bases,
        "calls": written.calls,
        "called_bases": written.called_bases,
    }
