"""What a file or folder of dilannot's is, without loading a network."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from dilannot.data import schema
from dilannot.data.markers import class_order
from dilannot.data.splits import SPLITS
from dilannot.errors import DilannotError
from dilannot.history import read_rows
from dilannot.run import METRICS, RECORD, STATE, WEIGHTS, read_run
from dilannot.tracks import HIDDEN, MANIFEST, files_of, read_manifest

INFO_VERSION = 1


def describe(path: Path) -> dict[str, Any]:
    """Describe a dataset, run folder or tracks folder; the field `kind` says which.

    Raises
    ------
    DilannotError
        It is none of them, or damaged.
    """
    if not path.exists():
        raise DilannotError("not found", where=path)
    if not path.is_dir():
        kind, record = "dataset", _dataset(path)
    elif (path / RECORD).is_file():
        kind, record = "run", _run(path)
    elif (path / MANIFEST).is_file():
        kind, record = "tracks", _tracks(path)
    elif (path / HIDDEN).is_dir():
        raise DilannotError(
            "holds an annotation that is not finished",
            where=path,
            remedy="run the same dilannot annotate again, or dilannot merge where its shards are done",
        )
    else:
        raise DilannotError(
            "is neither a run nor a tracks folder", where=path, remedy=f"they hold {RECORD} or {MANIFEST}"
        )
    return {"info_version": INFO_VERSION, "kind": kind, "path": str(path), **record}


def _by_class(classes: list[str]) -> dict[str, int]:
    counts = Counter(classes)
    return {name: counts[name] for name in class_order(counts)}


def _dataset(path: Path) -> dict[str, Any]:
    with schema.open_dataset(path) as file, schema.reading(path):
        markers = schema.read_markers(file)
        positives = file["markers/positives"][:]
        split = file["windows/split"][:]
        window = schema.window_length(file)
        names = schema.texts(file["contigs/name"][:])
        used = [names[i] for i in sorted(set(file["windows/contig"][:].tolist()))]
        return {
            "format_version": int(file.attrs["format_version"]),
            "task": schema.task_of(file),
            "window": window,
            "context": int(file.attrs["context"]),
            "bytes": path.stat().st_size,
            "windows": {name: int((split == i).sum()) for i, name in enumerate(SPLITS)},
            "nucleotides": len(split) * window,
            "contigs": used,
            "markers": len(markers),
            "classes": _by_class([marker.marker_class for marker in markers]),
            "intervals": len(file["labels/marker"]),
            "without_positives": {
                name: [marker.name for marker, count in zip(markers, positives[:, i], strict=True) if not count]
                for i, name in enumerate(SPLITS)
            },
            "provenance": schema.provenance(file),
        }


def _run(path: Path) -> dict[str, Any]:
    run = read_run(path)
    rows = read_rows(path / METRICS)
    return {
        "model": run.model,
        "arguments": run.arguments,
        "output": run.output,
        "code": run.code,
        "window": run.window,
        "length": run.length,
        "motifs": run.motifs,
        "markers": len(run.markers),
        "classes": _by_class([marker.marker_class for marker in run.markers]),
        "ended": bool(rows) and not (path / STATE).is_file(),
        "epochs": len(rows),
        "last_epoch": {key: _number(value, path / METRICS) for key, value in rows[-1].items()} if rows else None,
        "weights": [name for name, file in WEIGHTS.items() if (path / file).is_file()],
        "settings": run.settings,
        "genome": str(run.path_of(run.genome)) if run.genome else None,
        "dataset": str(run.path_of(run.dataset)),
        "contigs": len(run.contigs),
    }


def _number(text: str, path: Path) -> float | int | None:
    """A figure of `metrics.csv`; None for NaN, which JSON does not know."""
    try:
        value = float(text)
    except ValueError:
        raise DilannotError(f"{text!r} is no figure", where=path, remedy="train it again") from None
    return int(text) if text.isdigit() else None if math.isnan(value) else value


def _tracks(path: Path) -> dict[str, Any]:
    record = read_manifest(path)
    files = [path / name for name in files_of(record)]
    return {
        **{key: value for key, value in record.items() if key != "format"},
        "contigs": [name for name, _, _ in record["contigs"]],
        "classes": _by_class([row["class"] for row in record["tracks"]]),
        "bytes": sum(file.stat().st_size for file in files if file.is_file()),
        "missing": [file.name for file in files if not file.is_file()],
    }
