"""The windows of the thesis's archives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dilannot.data.imported.alphabet import count_pairs, no_pairs, warn_of_alphabet
from dilannot.data.imported.gather import Gathered, Part, check_marker_count
from dilannot.data.imported.thesis import ArchiveSplit, contig_of, open_archive
from dilannot.errors import DilannotError
from dilannot.progress import Progress


def gather_thesis(files: Sequence[Path], alphabet: str, progress: Progress) -> Gathered:
    """Read the archives; `alphabet` has the letter of every number.

    Raises
    ------
    DilannotError
        See `open_archive`; also archives that do not go together, or more markers than a dataset can have.
    """
    parts: list[Part] = []
    record: dict[str, dict[str, Any]] = {}
    markers: set[int] = set()
    pairs = no_pairs()
    splits = [split for path in files for split in open_archive(path)]
    _check_lengths(splits, files)
    with progress.task("reading archives", sum(split.rows for split in splits)) as task:
        for split in splits:
            part = Part(f"{contig_of(split.path)}-{split.prefix}", split.split, split.length)
            labels = split.labels()
            for codes in split.codes(alphabet):
                pairs += count_pairs(codes)
                found = [next(labels) for _ in range(len(codes))]
                markers.update(count for _, count in found)
                check_marker_count(max(markers), split.path)
                part.add_windows(codes, [window for window, _ in found])
                task.advance(len(codes), split.path.name)
            parts.append(part)
            record[part.name] = {"file": split.path.name, "rows": split.rows, "alphabet": alphabet}
    if len(markers) > 1:
        raise DilannotError(f"matrices have {min(markers)} and {max(markers)} markers", where=files[0])
    _check_names(parts, files)
    warn_of_alphabet(pairs, alphabet, files[0], "numbers", progress)
    return Gathered(parts, markers.pop(), record)


def _check_lengths(splits: Sequence[ArchiveSplit], files: Sequence[Path]) -> None:
    if not splits:
        raise DilannotError("holds no windows", where=files[0])
    for split in splits[1:]:
        if split.length != splits[0].length:
            raise DilannotError(
                f"has {split.length:,} bases a window where {splits[0].path} has {splits[0].length:,}", where=split.path
            )


def _check_names(parts: Sequence[Part], files: Sequence[Path]) -> None:
    name, count = Counter(part.name for part in parts).most_common(1)[0]
    if count > 1:
        raise DilannotError(f"two archives are called {name.rsplit('-', 1)[0]}", where=files[0].parent)
