"""What a dataset file says about itself, in memory: windows, markers, counts and the record of its build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dilannot.data import schema
from dilannot.data.markers import Marker, class_order
from dilannot.data.splits import SPLITS

COUNTS = ("peaks_read", "peaks_merged", "peaks_used", "bases_covered")

# What `windows_dropped` counts that are no windows.
NOT_WINDOWS = ("short_contigs", "tail_bases")
# Windows that were not wanted in the first place.
CHOSEN = ("other_contigs", "no_tfbs", "border")


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """A dataset without its sequence and labels.

    Attributes
    ----------
    name, bytes
        Of the file.
    task, unit
        `dense` or `window`, and the labelled bases of a window, bp.
    record
        The provenance.
    contig_names, contig_lengths, contig_md5
        All contigs of the genome.
    contig, start, split
        (windows,) the window table.
    markers, sha256, positives
        The marker table; positives (markers, splits) are bases, or bins for task `window`.
    counts
        `COUNTS` -> (markers,).
    intervals
        Labels stored.
    digest
        Of its windows and splits, as a run records it.
    """

    name: str
    bytes: int
    task: str
    unit: int
    record: Mapping[str, Any]
    contig_names: list[str]
    contig_lengths: NDArray[np.int64]
    contig_md5: list[str]
    contig: NDArray[np.int64]
    start: NDArray[np.int64]
    split: NDArray[np.uint8]
    markers: list[Marker]
    sha256: list[str]
    positives: NDArray[np.int64]
    counts: Mapping[str, NDArray[np.int64]]
    intervals: int
    digest: str

    @property
    def windows(self) -> NDArray[np.int64]:
        """(splits,) windows kept."""
        return np.bincount(self.split, minlength=len(SPLITS)).astype(np.int64)

    @property
    def possible(self) -> NDArray[np.int64]:
        """(splits,) how many positives a marker could have: bases, or bins."""
        return self.windows * (1 if self.task == "window" else self.unit)

    @property
    def rates(self) -> NDArray[np.float64]:
        """(markers, splits) the part of the possible positives that are; NaN in a split without windows."""
        return self.positives / np.where(self.possible, self.possible, np.nan)

    @property
    def labelled(self) -> str:
        """What positives count."""
        return "bins" if self.task == "window" else "bases"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of the build."""
        return self.mapping("settings")

    @property
    def classes(self) -> list[str]:
        """The classes that occur."""
        return class_order(marker.marker_class for marker in self.markers)

    @property
    def dropped(self) -> dict[str, int]:
        """Windows that were dropped, by reason, most first."""
        found = {key: int(count) for key, count in self.mapping("windows_dropped").items() if key not in NOT_WINDOWS}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def mapping(self, key: str) -> Mapping[str, Any]:
        """A part of the record that is an object; empty where it is none."""
        found = self.record.get(key)
        return found if isinstance(found, dict) else {}

    def listed(self, key: str) -> list[str]:
        """A part of the record that is a list of names."""
        found = self.record.get(key)
        return [str(item) for item in found] if isinstance(found, list) else []

    def of_class(self, name: str) -> NDArray[np.intp]:
        """Rows of the markers of a class."""
        return np.flatnonzero([marker.marker_class == name for marker in self.markers])


def read_facts(path: Path) -> DatasetFacts:
    """Read them.

    Raises
    ------
    DilannotError
        The file is no dataset, or damaged.
    """
    with schema.open_dataset(path) as file, schema.reading(path):
        record = schema.provenance(file)
        return DatasetFacts(
            name=path.name,
            bytes=path.stat().st_size,
            task=schema.task_of(file),
            unit=schema.window_length(file),
            record=record,
            contig_names=schema.texts(file["contigs/name"][:]),
            contig_lengths=file["contigs/length"][:].astype(np.int64),
            contig_md5=schema.texts(file["contigs/md5"][:]),
            contig=file["windows/contig"][:].astype(np.int64),
            start=file["windows/start"][:].astype(np.int64),
            split=file["windows/split"][:],
            markers=schema.read_markers(file),
            sha256=schema.texts(file["markers/sha256"][:]),
            positives=file["markers/positives"][:].astype(np.int64),
            counts={name: file[f"markers/{name}"][:].astype(np.int64) for name in COUNTS},
            intervals=len(file["labels/marker"]),
            digest=schema.digest(file),
        )
