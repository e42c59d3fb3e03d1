"""Make the tracks of an annotation whose shards are all there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dilannot
from dilannot.annotate.annotate import Annotation
from dilannot.annotate.finish import blocks_in, finish_of
from dilannot.annotate.parts import all_locked, begin, collect, hidden, parts_of, read_begun, was_begun
from dilannot.annotate.publish import check_output, publish
from dilannot.errors import DilannotError
from dilannot.outputs import locked, make_folder, removed_if_empty
from dilannot.predict import cores
from dilannot.progress import Progress, Silent
from dilannot.tracks import MANIFEST


def merge(
    output: Path, others: Sequence[Path] = (), *, threads: int | None = None, progress: Progress | None = None
) -> Annotation:
    """Copy the blocks of all shards into tracks, which are those of an annotation without shards.

    Parameters
    ----------
    output
        Folder that `annotate` was given, where the tracks go; or a new one.
    others
        More that it was given, with shards that were made elsewhere; they stay as they are.
    threads
        At work at the same time; one per core by default.

    Raises
    ------
    DilannotError
        Nothing to merge, shards of different annotations, one that is still written or not complete, or a full disk.
    """
    progress = progress or Silent()
    if (output / MANIFEST).exists() and not was_begun(output) and not others:
        raise DilannotError("is finished: there is nothing to merge", where=output)
    others = [other for path, other in {each.resolve(): each for each in others}.items() if path != output.resolve()]
    first = output if was_begun(output) or not others else others[0]
    annotation = read_begun(first)
    for other in others:
        if read_begun(other) != annotation:
            raise DilannotError(f"holds shards of another annotation than {first}", where=other)
    if annotation.get("dilannot") != dilannot.__version__:
        raise DilannotError(
            f"its shards are of dilannot {annotation.get('dilannot')}, this is {dilannot.__version__}",
            where=first,
            remedy="merge with that version, or make them again",
        )
    check_output(output, finish_of(annotation, hidden(output), []).files(), force=None)
    make_folder(output)
    with removed_if_empty(output), locked(output), all_locked(parts := parts_of([output, *others])):
        records = collect(parts, blocks_in(annotation), annotation["shards"])
        begin(output, annotation)
        rows = publish(output, annotation, records, threads or cores(), progress)
    return Annotation(output, sum(record.nucleotides for record in records), rows)
