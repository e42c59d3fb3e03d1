"""What a careful colleague would say about an evaluation before anybody quotes its figures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dilannot.evaluation import Evaluation
from dilannot.metrics.bootstrap import LEAST_BLOCKS
from dilannot.report.content import Concern, interval, names, plural, shown
from dilannot.report.evaluation_scores import has_calibration, mean_probabilities
from dilannot.report.evaluation_words import class_interval, labelled, short_names

FEW_BLOCKS = 20
FEW_POSITIVES = 50
HARDLY = 1.5  # times the base rate
GUESS = 1.1  # times the base rate, for one marker
_UNMATCHED = {"tracks": "track", "peaks": "peak file"}
FAR_OFF = 1.5  # times as much predicted as there is, or as little


def find_concerns(evaluation: Evaluation) -> list[Concern]:
    """All of them, those that spoil most first."""
    return [
        *_learnt(evaluation),
        *_unmatched(evaluation),
        *_undefined(evaluation),
        *_hardly(evaluation),
        *_better(evaluation),
        *_blocks(evaluation),
        *_guesses(evaluation),
        *_few(evaluation),
        *_calibration(evaluation),
    ]


def _learnt(evaluation: Evaluation) -> Iterator[Concern]:
    split = evaluation.protocol.get("split")
    if split in ("train", "all"):
        what = "Judged on what it learnt from" if split == "train" else "Judged on what it learnt from, too"
        yield Concern(what, f"The split is {split}: figures on windows never seen will be lower.")


def _unmatched(evaluation: Evaluation) -> Iterator[Concern]:
    found = evaluation.protocol.get("unmatched")
    counts = {kind: int(count) for kind, count in found.items() if count} if isinstance(found, dict) else {}
    if counts:
        said = " and ".join(plural(count, _UNMATCHED.get(kind, kind)) for kind, count in counts.items())
        yield Concern(f"{said} without a partner", "They were not judged: a track and a peak file go by one name.")


def _undefined(evaluation: Evaluation) -> Iterator[Concern]:
    found = evaluation.undefined
    if len(found) == len(evaluation.markers):
        yield Concern(
            "Nothing could be judged", f"No marker has both positives and negatives among these {labelled(evaluation)}."
        )
    elif found:
        yield Concern(
            f"{plural(len(found), 'marker')} without positives here, or without negatives",
            f"{names(found)}. They are in no mean.",
        )


def _hardly(evaluation: Evaluation) -> Iterator[Concern]:
    for name, mean in evaluation.means.items():
        known = class_interval(evaluation, name, "pr_auc")
        if mean.pr_auc < HARDLY * mean.base_rate:
            said = f"PR AUC {shown(mean.pr_auc, 'score')}, base rate {shown(mean.base_rate, 'small')}"
            yield Concern(f"{name}: hardly better than a guess", f"{said}, mean of {plural(mean.markers, 'marker')}.")
        elif known is not None and known[0] <= mean.base_rate:
            yield Concern(
                f"{name}: the interval of PR AUC reaches down to a guess",
                f"{interval(*known)}, base rate {shown(mean.base_rate, 'small')}.",
            )


def _better(evaluation: Evaluation) -> Iterator[Concern]:
    for difference, said in zip(evaluation.differences, short_names(evaluation)[1:], strict=True):
        worse = []
        for name in evaluation.classes:
            found = difference.classes.get(name, {}).get("pr_auc")
            if found is not None and found[1].high < 0:
                value, known, _ = found
                worse.append(
                    f"{name} {shown(-value, 'difference')} ({interval(-known.high, -known.low, 'difference')})"
                )
        if worse:
            yield Concern(
                f"{said} is better in {plural(len(worse), 'class', 'classes')}", f"PR AUC: {', '.join(worse)}."
            )


def _blocks(evaluation: Evaluation) -> Iterator[Concern]:
    drawn = evaluation.intervals
    if drawn is None:
        yield Concern(
            "No intervals",
            "Nothing was resampled, for lack of blocks or because nobody asked: how far figures are off is not known.",
        )
    elif drawn.blocks < FEW_BLOCKS:
        yield Concern(
            f"Intervals rest on {plural(drawn.blocks, 'block')} of the genome",
            f"Of about {drawn.block_length:,} nt each. Take them as a hint: from so few they come out too narrow.",
        )


def _guesses(evaluation: Evaluation) -> Iterator[Concern]:
    scores = evaluation.scores
    with np.errstate(invalid="ignore"):
        found = np.flatnonzero(scores.defined & (scores.pr_auc < GUESS * scores.base_rate))
    if len(found):
        worst = found[np.argsort(scores.pr_auc[found] / scores.base_rate[found], kind="stable")]
        yield Concern(
            f"{plural(len(found), 'marker')} no better than a guess",
            f"PR AUC below {GUESS:g} times the base rate: "
            f"{names([evaluation.markers[row].name for row in worst.tolist()])}.",
        )


def _few(evaluation: Evaluation) -> Iterator[Concern]:
    positives, drawn = evaluation.scores.positives, evaluation.intervals
    unsure = np.zeros(len(positives), bool)
    if drawn is not None:
        unsure = evaluation.scores.defined & np.isnan(drawn.markers["pr_auc"][:, 0])
    if unsure.any():
        yield Concern(
            f"{plural(int(unsure.sum()), 'marker')} without intervals",
            f"{names([evaluation.markers[row].name for row in np.flatnonzero(unsure).tolist()])}. Positives lie in "
            f"fewer than {LEAST_BLOCKS} blocks of the genome, or scores are too much alike to be resampled.",
        )
    few = np.flatnonzero(evaluation.scores.defined & ~unsure & (positives < FEW_POSITIVES))
    if len(few):
        least = few[np.argsort(positives[few], kind="stable")].tolist()
        said = names([f"{evaluation.markers[row].name} ({positives[row]:,})" for row in least])
        yield Concern(
            f"{plural(len(few), 'marker')} with fewer than {FEW_POSITIVES} positive {labelled(evaluation)}",
            f"{said}. Their figures rest on a handful.",
        )


def _calibration(evaluation: Evaluation) -> Iterator[Concern]:
    if not has_calibration(evaluation):
        return
    far = []
    for name in evaluation.classes:
        predicted, observed = mean_probabilities(evaluation, name)
        ratio = predicted / observed if observed else float("nan")
        if ratio > FAR_OFF or ratio < 1 / FAR_OFF:
            values = f"{shown(predicted, 'small')} predicted, {shown(observed, 'small')} positive"
            far.append(f"{name} {values} ({shown(ratio, 'ratio')})")
    if far:
        yield Concern(
            "Probabilities are far off",
            f"On average: {'; '.join(far)}. Ranks, and so AUCs, do not depend on it; "
            "thresholds given as probabilities do.",
        )
