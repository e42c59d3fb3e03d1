"""A tracks folder: a bigWig and a BED per marker, a BED of all, and the manifest `tracks.json`, written last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dilannot.errors import DilannotError

FORMAT = "dilannot-tracks"
FORMAT_VERSION = 3
MANIFEST = "tracks.json"
HIDDEN = ".annotation"  # folder of an annotation that is not finished
KINDS = ("bigwig", "bed")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished tracks folder.

    Raises
    ------
    DilannotError
        There is none, or it is damaged or of another version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DilannotError(f"is no finished tracks folder: it holds no {MANIFEST}", where=folder)
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DilannotError(f"is damaged: {error}", where=path) from None
    if not isinstance(record, dict) or record.get("format") != FORMAT or record.get("format_version") != FORMAT_VERSION:
        raise DilannotError(f"is not a manifest of dilannot's, version {FORMAT_VERSION}", where=path)
    rows = record.get("tracks")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and {*KINDS, "class"} <= row.keys() for row in rows):
        raise DilannotError("is damaged: it lists no tracks", where=path)
    if not isinstance(record.get("files"), list):
        raise DilannotError("is damaged: it lists no files", where=path)
    return record


def files_of(record: dict[str, Any]) -> list[str]:
    """All file names in a manifest, without any folder a manifest from elsewhere may have put there."""
    return [Path(str(name)).name for name in record["files"]]
