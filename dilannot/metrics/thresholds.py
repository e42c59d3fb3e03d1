"""Thresholds for calls, and what calls from a threshold on are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dilannot.metrics.keys import HIGHEST, LOWEST, Space
from dilannot.metrics.scores import Floats
from dilannot.metrics.steps import Steps, lower_border, lower_numbers, steps_of

Rule = Literal["break-even", "best-f1", "fdr-5", "fdr-10"]
RULES: tuple[Rule, ...] = ("break-even", "best-f1", "fdr-5", "fdr-10")

_DIGITS = 6  # significant ones, to which a threshold may have been rounded; single precision has more
_CERTAIN = 36.74  # from this logit on a probability is 1 to the last digit
_WITHIN = 0.49  # of a key's width: rounding is never taken for more


@dataclass(frozen=True, slots=True)
class Operating:
    """Precision and recall of calls from a threshold on, (T,) each; NaN where no threshold is known.

    `rule` says where thresholds come from: one of `RULES`, chosen on the validation split, or a
    probability of the user's own as text.
    """

    rule: str
    threshold: Floats
    precision: Floats
    recall: Floats


def thresholds_of(
    everything: NDArray[np.uint32], positive: NDArray[np.uint32], space: Space, shift: Floats | None = None
) -> dict[Rule, Floats]:
    """The least score to call, as a probability where there is one, by each rule.

    `break-even` calls as many positions as are positive, or nearly: there precision is recall. `best-f1` has the
    highest F1. `fdr-5` and `fdr-10` find the most positives among those thresholds at which at most 5 or 10 % of calls
    are wrong. Of equals the highest is taken.

    Parameters
    ----------
    everything, positive
        (T, KEYS) histograms of the scores of all positions and of the positive ones.
    space
        What the scores are.
    shift
        (T,) what was taken from them before they were counted.

    Returns
    -------
    dict
        Rule -> (T,), NaN for markers without positives, and where no threshold does what the rule asks.
    """
    chosen = {rule: np.full(len(everything), np.nan) for rule in RULES}
    for marker, steps in enumerate(steps_of(everything, positive, shift)):
        if not steps.positives:
            continue
        for rule in RULES:
            step = _choose(rule, steps)
            if step is not None:
                moved = 0.0 if shift is None else float(shift[marker])
                chosen[rule][marker] = lower_border(int(steps.keys[step]), space, moved)
    return chosen


def _choose(rule: Rule, steps: Steps) -> int | None:
    """Which step the rule takes, if any."""
    if rule == "break-even":
        return int(np.argmin(np.abs(steps.called - steps.positives)))
    if rule == "best-f1":
        return int(np.argmax(2 * steps.found / (steps.positives + steps.called)))
    wrong = 5 if rule == "fdr-5" else 10
    right = np.where(100 * steps.found >= (100 - wrong) * steps.called, steps.found, 0)  # whole numbers: exact
    best = int(np.argmax(right))
    return best if right[best] else None


def operating_point(
    rule: str,
    threshold: Floats,
    everything: NDArray[np.uint32],
    positive: NDArray[np.uint32],
    space: Space,
    shift: Floats | None = None,
) -> Operating:
    """Precision and recall of calls `score >= threshold`.

    Scores are only known as keys, so that a threshold calls whole keys: the one it lies in, and those above. If it lies
    so little below the next key that rounding to six digits could have brought it there, it is taken for the border
    of that one. Thresholds of `thresholds_of` so give the very counts they were chosen by, and a user's own one calls
    the scores that equal it. (Where keys are narrower than six digits, probabilities above 0.9997 and within 0.002
    of 0.5, it is the nearest border, give or take a few keys.)

    Parameters
    ----------
    rule
        Where the thresholds come from.
    threshold
        (T,), a probability where there is one; NaN where none is known.
    everything, positive
        (T, KEYS) histograms of the scores of all positions and of the positive ones.
    space
        What the scores are.
    shift
        (T,) what was taken from them before they were counted.

    Returns
    -------
    Operating
        Precision is NaN where nothing is called, recall where nothing is positive, both where there is no threshold.
    """
    precision, recall = (np.full(len(threshold), np.nan) for _ in range(2))
    first = lowest_called(threshold, space, shift)
    for marker in np.flatnonzero(~np.isnan(threshold)):
        called, found = (
            int(counts[marker, first[marker] : HIGHEST + 1].sum(dtype=np.int64)) for counts in (everything, positive)
        )
        positives = int(positive[marker].sum(dtype=np.int64))
        precision[marker] = found / called if called else np.nan
        recall[marker] = found / positives if positives else np.nan
    return Operating(rule, threshold, precision, recall)


def lowest_called(threshold: Floats, space: Space, shift: Floats | None = None) -> NDArray[np.int64]:
    """(T,) lowest key that each threshold calls; see `operating_point`."""
    lower = lower_numbers(space)[LOWEST : HIGHEST + 1]
    size = np.where(np.isfinite(threshold), np.abs(threshold), 0)
    last_digit = np.where(size > 0, 10 ** (np.floor(np.log10(np.maximum(size, 1e-300))) - _DIGITS + 1), 0)
    number, lost = threshold, 0.501 * last_digit
    if space == "logit":
        with np.errstate(divide="ignore", invalid="ignore"):
            number = np.minimum(np.log(threshold) - np.log1p(-threshold), _CERTAIN)
            lost = np.nan_to_num(lost / (threshold * (1 - threshold)), nan=0.0)
    number = number if shift is None else number - shift
    highest = len(lower) - 1
    inside = np.clip(np.searchsorted(lower, number, "right") - 1, 0, highest)
    with np.errstate(invalid="ignore"):  # the lowest key reaches to minus infinity
        width = np.where(inside < highest, lower[np.minimum(inside + 1, highest)] - lower[inside], 0)
    nudged = number + np.where(np.isfinite(number), np.minimum(lost, _WITHIN * width), 0)
    inside = np.clip(np.searchsorted(lower, nudged, "right") - 1, 0, highest)
    return np.searchsorted(lower, lower[inside], "left") + LOWEST
