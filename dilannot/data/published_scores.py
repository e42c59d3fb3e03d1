"""PR AUC of published systems on the 919 markers: means over the markers of a class, as their sources print them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files
from statistics import fmean

from dilannot.data.markers import CLASSES
from dilannot.data.published import PublishedMarker, published_markers

TABLE = "published_scores.tsv"
ALL = "all"

# What was judged, by the word that the table has for it: in short, and in full.
TASKS = {"bins": "Task 1: bins", "nucleotides": "Task 2: nucleotides"}
PROTOCOLS = {
    "bins": "Task 1 and DeepSEA judge bins of 200 bp that hold at least one TFBS event, on chr8 and chr9",
    "nucleotides": "Task 2 judges every nucleotide of windows of 25,000 bp, a random tenth of all windows",
}


@dataclass(frozen=True, slots=True)
class PublishedScores:
    """One published system.

    Attributes
    ----------
    source, system
        Who printed the figures, and what the network is called there.
    labels
        What was judged: a key of `TASKS` and `PROTOCOLS`.
    pr_auc
        Class, or `ALL` for all markers together -> mean PR AUC, where the source has it.
    """

    source: str
    system: str
    labels: str
    pr_auc: dict[str, float]


@cache
def published_scores() -> tuple[PublishedScores, ...]:
    """DeepSEA by its own table of markers first, then the others as their sources order them."""
    lines = package_files("dilannot.data").joinpath(TABLE).read_text(encoding="utf-8").splitlines()
    return deepsea_means(), *(_read(line.split("\t")) for line in lines[1:])


def _read(row: list[str]) -> PublishedScores:
    source, system, labels, *values = row
    found = {name: float(value) for name, value in zip((*CLASSES, ALL), values, strict=True) if value != "-"}
    return PublishedScores(source, system, labels, found)


def deepsea_means(markers: Iterable[PublishedMarker] | None = None) -> PublishedScores:
    """Means of DeepSEA's PR AUCs over some of its markers (default: all that have one)."""
    found: dict[str, list[float]] = {}
    for published in published_markers() if markers is None else markers:
        if published.pr_auc is not None:
            for name in (published.marker.marker_class, ALL):
                found.setdefault(name, []).append(published.pr_auc)
    means = {name: fmean(found[name]) for name in (*CLASSES, ALL) if name in found}
    return PublishedScores("Zhou & Troyanskaya 2015, table of markers", "DeepSEA", "bins", means)
