"""What runs and a dataset must have in common to be judged together: markers, bins, windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dilannot.data.dataset import Dataset
from dilannot.data.markers import Marker
from dilannot.errors import DilannotError
from dilannot.evaluate.protocol import Protocol
from dilannot.progress import Progress
from dilannot.run import Run, check_same_markers
from dilannot.scope import select_markers


def check_dataset(run: Run, data: Dataset, *, given: bool, progress: Progress) -> None:
    """Other windows or another split than in training: a test window may be one the network has learnt.

    Raises
    ------
    DilannotError
        The dataset is not what the run was trained on, though nobody named another; or its bins are others.
    """
    if data.digest == run.dataset_digest:
        return
    if data.task == run.output == "window" and (data.window, data.length) != (run.window, run.length):
        raise DilannotError(
            f"has bins of {data.window:,} in {data.length:,} bp, and {run.folder} learnt from {run.window:,} in "
            f"{run.length:,}",
            where=data.path,
            remedy="build it with the same --bin and --context",
        )
    if not given:
        raise DilannotError(
            f"is not the dataset {run.folder} was trained on: its windows or splits differ",
            where=data.path,
            remedy="build it as before, or name it as DATASET if the change is meant",
        )
    progress.warn(
        f"{data.path} is not the dataset {run.folder} was trained on: its test windows may have been trained on"
    )


def check_bins(runs: Sequence[Run], data: Dataset, bin_length: int) -> None:
    """Refuse bins that the windows of a dataset, or a network, do not have.

    A window holds whole bins, so that none of its positions is left out and bins are those of tracks, too.

    Raises
    ------
    DilannotError
        Saying which bins there are.
    """
    if data.task == "window":
        if bin_length not in (1, data.window):
            raise DilannotError(
                f"bins of {bin_length} nt", where="--bin", remedy=f"leave it out: those of {data.path} are judged"
            )
        return
    for run in runs:
        if run.output == "window" and data.window % run.window:
            raise DilannotError(
                f"decides on bins of {run.window:,} nt, and the windows of {data.path} hold {data.window:,}",
                where=run.folder,
                remedy=f"build it with a --window that is a multiple of {run.window}",
            )
        if run.output == "window" and bin_length != run.window:
            raise DilannotError(
                f"decides on bins of {run.window:,} nt, and {data.path} has a label for every nucleotide",
                where=run.folder,
                remedy=f"use --bin {run.window}",
            )
    if data.window % bin_length:
        raise DilannotError(f"bins of {bin_length} nt", where="--bin", remedy=f"give a divisor of {data.window:,}")


def reads_genome(run: Run, data: Dataset) -> bool:
    """Whether it looks at the genome around the bins of a dataset."""
    return run.output == "dense" and data.task == "window"


def common_markers(
    runs: Sequence[Run], data: Dataset, protocol: Protocol, *, given: bool, progress: Progress
) -> list[Marker]:
    """Those of the first run that the others and the dataset have too, as far as they are asked for.

    Raises
    ------
    DilannotError
        There are none; or the dataset is the run's own (not `given`), and its markers are others.
    """
    first, known = runs[0], {marker.name for marker in data.markers}
    common = [marker for marker in first.markers if marker.name in known]
    if not given or not common:
        check_same_markers(first, data.markers, data.path)
    if len(common) < len(first.markers):
        progress.warn(f"{len(common):,} of the {len(first.markers):,} markers of {first.folder} are in {data.path}")
    for other in runs[1:]:
        known = {marker.name for marker in other.markers}
        kept = [marker for marker in common if marker.name in known]
        if not kept:
            check_same_markers(other, first.markers, first.folder)
        if len(kept) < len(common):
            progress.warn(f"{len(kept):,} of {len(common):,} markers are in {other.folder}: only those are judged")
        common = kept
    return [common[index] for index in select_markers(common, protocol.markers)]


def columns_of(data: Dataset, markers: Sequence[Marker]) -> NDArray[np.int64]:
    """(markers of the dataset,) which of the judged markers each is, -1 for those that are not."""
    number = {marker.name: index for index, marker in enumerate(markers)}
    return np.array([number.get(marker.name, -1) for marker in data.markers], np.int64)
