"""The sections of an evaluation's report on thresholds for calls, and on how it was judged."""

from __future__ import annotations

import numpy as np

from dilannot.evaluation import Evaluation
from dilannot.metrics.thresholds import RULES
from dilannot.report.content import Column, Part, Section, Table, Value, plural
from dilannot.report.evaluation_words import class_colours, labelled, setting

RULES_SAID = {
    "break-even": "as many calls as positives, so that precision equals recall",
    "best-f1": "the highest F1",
    "fdr-5": "at most 5 % of the calls false",
    "fdr-10": "at most 10 % of the calls false",
}


def operating_section(evaluation: Evaluation) -> Section:
    """What calls from a threshold on are worth, mean over the markers of each class."""
    rows: list[list[Value]] = []
    swatches, colours = [], class_colours(evaluation)
    for name in evaluation.classes:
        of_class = evaluation.of_class(name)
        for operating in evaluation.operating:
            known = of_class[np.isfinite(operating.threshold[of_class])]
            values = (operating.threshold[known], operating.precision[known], operating.recall[known])
            rows.append([name, _rule(operating.rule), len(known), *map(_mean, values)])
            swatches.append(colours[name])
    columns = [
        Column("class"), Column("threshold"), Column("markers", "count"), Column("mean threshold", "small", minor=True),
        Column("precision", "share"), Column("recall", "share"),
    ]  # fmt: skip
    chosen = [rule.rule for rule in evaluation.operating if rule.rule in RULES]
    said = "Precision and recall of calls, mean over the markers of a class that have a threshold and positives."
    if chosen:
        said += (
            " Thresholds were chosen on the validation split, each marker its own; here is what they are worth on what "
            "was judged. " + "; ".join(f"{rule}: {RULES_SAID[rule]}" for rule in chosen) + "."
        )
        if unlike := _unlike(evaluation):
            said += f" They were chosen on {unlike}, and are applied unchanged."
    return Section("Operating points", [said, Table(columns, rows, swatches=swatches)])


def _unlike(evaluation: Evaluation) -> str:
    """Which scores thresholds were chosen on, where they are not of the kind that was judged."""
    protocol = evaluation.protocol
    binned = labelled(evaluation) == "bins" and protocol.get("output") != "window"
    kinds = ["single nucleotides"] * binned + ["one strand"] * bool(protocol.get("rc"))
    return f"scores of {' and '.join(kinds)}" if kinds else ""


def _rule(rule: str) -> str:
    return rule if rule in RULES else f"from {rule} on"


def _mean(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def record_section(evaluation: Evaluation) -> Section:
    """The protocol, and what each figure means."""
    rows: list[list[Value]] = [["subject", evaluation.subject]]
    rows += [[key.replace("_", " "), setting(value)] for key, value in evaluation.protocol.items()]
    drawn = evaluation.intervals
    if drawn is not None:
        blocks = f"{plural(drawn.blocks, 'block')} of about {drawn.block_length:,} nt"
        rows.append(["intervals", f"{plural(drawn.replicates, 'replicate')} of {blocks}, seed {drawn.seed}"])
    parts: list[Part] = [Table([Column(""), Column("", "code")], rows)]
    if evaluation.undefined:
        missing: list[list[Value]] = [
            [marker.name, marker.marker_class, int(positives)]
            for marker, defined, positives in zip(
                evaluation.markers, evaluation.scores.defined, evaluation.scores.positives, strict=True
            )
            if not defined
        ]
        columns = [Column("marker"), Column("class"), Column("positives", "count")]
        parts.append(Table(columns, missing, "Markers that could not be judged", folded=len(missing) > 30))
    parts.append(Table([Column("figure"), Column("what it is")], _definitions(evaluation), "What the figures are"))
    return Section("How it was judged", parts)


def _definitions(evaluation: Evaluation) -> list[list[Value]]:
    what = labelled(evaluation)
    found: list[list[Value]] = [
        ["base rate", f"positive {what} / all {what}; what a guess gets as PR AUC"],
        ["PR AUC", "average precision: the mean precision over positives, as scikit-learn's average_precision_score"],
        [
            "trapezoid",
            "area under straight lines between the points of the PR curve, as in Gupta 2017",
        ],
        [
            "ROC AUC",
            "chance that a positive scores above a negative, as scikit-learn's roc_auc_score; a guess gets 0.5",
        ],
        ["best F1", "highest harmonic mean of precision and recall of any threshold, chosen with hindsight"],
    ]
    if evaluation.space != "score":
        found += [
            ["log loss", "mean cross-entropy, nats"],
            ["calibration error", "mean |predicted - positive| over 15 equal bins of probability (Guo et al. 2017)"],
        ]
    if evaluation.intervals is not None:
        found.append(["95 % interval", "2.5th to 97.5th percentile over resampled blocks of the genome"])
    if evaluation.differences:
        found.append(["better in", "share of the replicates in which this run has the higher PR AUC"])
    return found
