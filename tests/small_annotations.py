"""The smallest annotations: milliseconds, some blocks, and everything in them that going on must keep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from conftest import make_run, random_sequence, write_fasta

from dilannot.annotate.annotate import Annotation, annotate
from dilannot.annotate.parts import HIDDEN
from dilannot.annotate.plan import Settings
from dilannot.run import load_network, read_run, save_weights

# A block each; one is all N.
CONTIGS = {
    "a": random_sequence(900, 1, ((30, 33), (290, 299))),
    "b": random_sequence(431, 2),
    "c": random_sequence(40, 3, ((0, 40),)),
    "d": random_sequence(777, 4),
    "e": random_sequence(1201, 5),
    "f": random_sequence(350, 6),
}
SETTINGS = Settings(tile=100, min_length=5, merge_gap=5)
# The same on the command line.
OPTIONS = ("--tile", 100, "--min-length", 5, "--merge-gap", 5, "--threads", 2)


def small_genome(folder: Path) -> Path:
    return write_fasta(folder / "genome.fa", CONTIGS)


def small_run(folder: Path, genome: Path, n_markers: int = 3, **more: Any) -> Path:
    """Its last weights are twice its best ones."""
    run = read_run(make_run(folder, genome, "toy-blocks", n_markers, **more))
    loaded = load_network(run, "best")
    weights = {name: 2 * tensor for name, tensor in loaded.network.state_dict().items()}
    save_weights(run, "last", weights, epoch=2, thresholds=loaded.thresholds)
    return folder


def annotated(run: Path, output: Path, *, threads: int = 2, **more: Any) -> Annotation:
    """Some of `more` are settings, the others arguments of `annotate`."""
    fields = {name: more.pop(name) for name in list(more) if name in Settings.__dataclass_fields__}
    return annotate(run, output=output, settings=replace(SETTINGS, **fields), threads=threads, **more)


def contents(output: Path) -> dict[str, bytes]:
    """All files of a folder, by name; also those of its hidden folder."""
    return {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}


def hidden_file(output: Path, name: str = "part-1-of-1.blocks") -> Path:
    return output / HIDDEN / name
