"""The windows of DeepSEA's files, without those that are another's reverse complement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dilannot.data.imported.alphabet import count_pairs, no_pairs, warn_of_alphabet
from dilannot.data.imported.deepsea import PublishedSplit, open_published, windows_of
from dilannot.data.imported.gather import Gathered, Part, check_marker_count
from dilannot.progress import Progress


def gather_deepsea(files: Sequence[Path], order: str, progress: Progress) -> Gathered:
    """Read the published splits; `order` is that of the one-hot columns.

    Raises
    ------
    DilannotError
        See `open_published`; also more label columns than a dataset can have.
    """
    with open_published(files) as splits:
        check_marker_count(splits[0].markers, splits[0].path)
        read = [_strands(split.ordered(order), order, progress) for split in splits]
        return Gathered([part for part, _ in read], splits[0].markers, {part.name: row for part, row in read})


def _strands(split: PublishedSplit, order: str, progress: Progress) -> tuple[Part, dict[str, Any]]:
    """The windows of a split; those of the second half that are the first half's other strand are left out."""
    first, second = (Part(f"deepsea-{split.prefix}", split.split, split.length) for _ in range(2))
    half, paired = split.rows // 2, split.rows % 2 == 0
    pairs = no_pairs()
    if rows := split.slow():
        progress.warn(
            f"{split.path} is packed in chunks of {rows:,} rows: reading takes long; h5repack can change that"
        )
    with progress.task(f"reading {split.path.name}", half if paired else split.rows) as task:
        for place, block in windows_of(split):
            forward = not paired or place[0] < half
            (first if forward else second).add_bins(block.codes, block.labels)
            pairs += count_pairs(block.codes)
            task.advance(len(place) if forward else 0, split.prefix)
    warn_of_alphabet(pairs, order, split.path, "one-hot columns", progress)
    _say_of_strands(split, second.windows, paired, progress)
    first.blocks.extend(second.blocks)
    row = {
        "file": split.path.name,
        "rows": split.rows,
        "order": order,
        "windows": first.windows,
        "other_strand": split.rows - first.windows,
    }
    return first, row


def _say_of_strands(split: PublishedSplit, own: int, paired: bool, progress: Progress) -> None:
    name, half = split.path.name, split.rows // 2
    if not paired or own == half:
        progress.warn(
            f"{name}: the second half of {split.prefix}xdata is not the reverse complement of the first; "
            f"all {split.rows:,} rows are kept"
        )
    elif own:
        progress.warn(
            f"{name}: {own:,} of {half:,} rows in the second half are not the reverse complement of theirs in the "
            "first, or have other labels; these are kept too"
        )
    else:
        progress.say(f"{name}: {split.rows:,} rows are {half:,} windows and their reverse complements")
