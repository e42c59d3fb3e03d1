"""An evaluation as files: a table of markers, and a JSON record of everything but the curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dilannot.errors import DilannotError, printable
from dilannot.evaluation import FORMAT, FORMAT_VERSION, Difference, Evaluation, Range
from dilannot.metrics.bootstrap import FIGURES
from dilannot.outputs import check_distinct, check_new_file, check_writable, nearest_folder, write_json, write_text

SUFFIXES = (".tsv", ".json")
COLUMNS = (
    "roc_auc", "pr_auc", "pr_auc_trapezoid", "base_rate", "positives", "best_f1", "best_f1_threshold", "log_loss",
    "calibration_error",
)  # fmt: skip


def check_files(stem: Path, others: Sequence[Path], force: bool) -> tuple[Path, Path]:
    """The table and the record, `stem` with either extension.

    Parameters
    ----------
    stem
        Their name, with or without an extension.
    others
        Files that are written too.
    force
        Whether they may be there.

    Raises
    ------
    DilannotError
        Some may not be written, or two are one.
    """
    if stem.suffix in SUFFIXES:
        stem = stem.with_suffix("")
    if not stem.name:
        raise DilannotError("is no file name", where=f"--output {stem}", remedy="give a name without extension")
    table, record = (stem.with_name(stem.name + suffix) for suffix in SUFFIXES)
    files = [table, record, *others]
    for folder in {nearest_folder(file.parent) for file in files}:
        check_writable(folder)
    for number, file in enumerate(files):
        check_new_file(file, force=force)
        check_distinct(file, files[:number])
    return table, record


def write_evaluation(evaluation: Evaluation, table: Path, record: Path) -> None:
    """Write the markers to `table`, tab-separated with six digits and NA, and everything to `record`."""
    rows = marker_rows(evaluation)
    lines = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    write_text(table, "".join("\t".join(line) + "\n" for line in lines))
    write_json(record, as_json(evaluation))


def marker_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Every marker with all its figures, by name of the column; the same columns for all."""
    scores, rows, others = evaluation.scores, [], other_names(evaluation)
    for i, marker in enumerate(evaluation.markers):
        row: dict[str, Any] = {"marker": marker.name, "class": marker.marker_class}
        row |= {name: getattr(scores, name)[i].item() for name in COLUMNS}
        if evaluation.intervals is not None:
            for figure in FIGURES:
                low, high = evaluation.intervals.markers[figure][i].tolist()
                row |= {f"{figure}_low": low, f"{figure}_high": high}
        for point in evaluation.operating:
            for name in ("threshold", "precision", "recall"):
                row[f"{name}_at_{point.rule}"] = getattr(point, name)[i].item()
        for difference, other in zip(evaluation.differences, others, strict=True):
            for figure in FIGURES:
                values = difference.markers[figure][i].tolist()
                names = (f"{figure}_minus_{other}{end}" for end in ("", "_low", "_high"))
                row |= dict(zip(names, values, strict=True))
        rows.append(row)
    return rows


def other_names(evaluation: Evaluation) -> list[str]:
    """Of the runs it is compared to, as columns end with them: no two are the same."""
    return [printable(name) for name in evaluation.run_names[1:]]


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """The whole result; undefined values are null."""
    around = evaluation.intervals
    resampling = None
    if around is not None:
        resampling = {name: getattr(around, name) for name in ("blocks", "block_length", "replicates", "seed")}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **evaluation.protocol,
        "scores": evaluation.space,
        "resampling": resampling,
        "class_means": {name: _class(evaluation, name) for name in evaluation.means},
        "without_positives": evaluation.undefined,
        "markers": [_finite(row) for row in marker_rows(evaluation)],
        "differences": [
            _difference(each, name) for each, name in zip(evaluation.differences, other_names(evaluation), strict=True)
        ],
    }


def _class(evaluation: Evaluation, name: str) -> dict[str, Any]:
    found: dict[str, Any] = asdict(evaluation.means[name])
    if evaluation.intervals is not None:
        for key, each in evaluation.intervals.classes[name].items():
            found |= _ends(key, each)
    return _finite(found)


def _difference(difference: Difference, name: str) -> dict[str, Any]:
    # Without any interval, none is left to be outside of.
    better = {figure: difference.better(figure) if difference.known(figure) else (None, None) for figure in FIGURES}
    return {
        "name": name,
        **difference.other.protocol,
        "class_means": {name: _finite(asdict(mean)) for name, mean in difference.other.means.items()},
        "class_differences": {
            name: {
                figure: _finite({"difference": value, **_ends("", ends), "share_better": share})
                for figure, (value, ends, share) in figures.items()
            }
            for name, figures in difference.classes.items()
        },
        "markers_better": {figure: pair[0] for figure, pair in better.items()},
        "markers_worse": {figure: pair[1] for figure, pair in better.items()},
    }


def _ends(name: str, ends: Range) -> dict[str, float]:
    return {f"{name}_low".lstrip("_"): ends.low, f"{name}_high".lstrip("_"): ends.high}


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in values.items()
    }


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else "NA"
    return str(value)
