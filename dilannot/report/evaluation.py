"""The report of an evaluation: how well a run does, how sure that is, and where it fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dilannot.evaluation import Evaluation
from dilannot.report.content import Fact, Report, Section, names, shown
from dilannot.report.evaluation_classes import classes_section
from dilannot.report.evaluation_concerns import find_concerns
from dilannot.report.evaluation_curves import curves_section, panels_section
from dilannot.report.evaluation_markers import markers_section
from dilannot.report.evaluation_published import known_markers, published_section
from dilannot.report.evaluation_record import operating_section, record_section
from dilannot.report.evaluation_runs import runs_section
from dilannot.report.evaluation_scores import calibration_section, distributions_section, has_calibration
from dilannot.report.evaluation_words import class_interval, cut, interval_cell, labelled, setting
from dilannot.report.forms import check_report_name as check_report_name
from dilannot.report.forms import write_report

MOST_TILES = 4  # classes in the headline


def write_evaluation_report(evaluation: Evaluation, report: Path) -> None:
    """Write how good an evaluation found its subject to be to `report`.

    The suffix decides the form: a page (.html), plain text (.txt) or Markdown (.md). The same evaluation gives the same
    bytes.

    Raises
    ------
    DilannotError
        The suffix is none of these.
    """
    check_report_name(report)
    write_report(evaluation_report(evaluation), report)


def evaluation_report(evaluation: Evaluation) -> Report:
    """The report, not yet in any form."""
    return Report(
        title="Evaluation report",
        subject=evaluation.name,
        facts=_headline(evaluation),
        concerns=find_concerns(evaluation),
        sections=list(_sections(evaluation)),
    )


def _sections(evaluation: Evaluation) -> Iterator[Section]:
    """Those that there is something to say in."""
    published = known_markers(evaluation.markers)
    some = bool(evaluation.classes)
    if some:
        yield classes_section(evaluation)
        if evaluation.differences:
            yield runs_section(evaluation)
        yield curves_section(evaluation)
        yield panels_section(evaluation)
    yield markers_section(evaluation, published)
    if some:
        yield distributions_section(evaluation)
        if has_calibration(evaluation):
            yield calibration_section(evaluation)
        if evaluation.operating:
            yield operating_section(evaluation)
        if any(published):
            yield published_section(evaluation, published)
    yield record_section(evaluation)


def _headline(evaluation: Evaluation) -> list[Fact]:
    protocol, means = evaluation.protocol, evaluation.means
    facts = []
    for name in list(means)[:MOST_TILES]:
        mean, known = means[name], interval_cell(class_interval(evaluation, name, "pr_auc"))
        detail = f"95 %: {known}; " if known else ""
        detail += f"base rate {shown(mean.base_rate, 'small')}; ROC AUC {shown(mean.roc_auc, 'score')}"
        facts.append(Fact(f"PR AUC, {cut(name, 40)}", shown(mean.pr_auc, "score"), detail))
    counts = [f"{mean.markers:,} {cut(name, 40)}" for name, mean in means.items()]
    if evaluation.undefined:
        counts.append(f"{len(evaluation.undefined):,} without positives")
    facts.append(Fact("Markers", f"{len(evaluation.markers):,}", names(counts, 6)))
    where = [f"windows {setting(protocol['windows'])}"] if protocol.get("windows") else []
    if evaluation.intervals is not None:
        where.append(f"{evaluation.intervals.blocks:,} blocks to resample")
    facts.append(
        Fact(f"{labelled(evaluation).capitalize()} judged", f"{evaluation.scores.positions:,}", ", ".join(where))
    )
    dataset = protocol.get("dataset") or protocol.get("peaks")
    if dataset:
        said = [f"{key} {setting(protocol[key])}" for key in ("weights", "epoch") if protocol.get(key) is not None]
        split = f", {setting(protocol['split'])}" if protocol.get("split") else ""
        files = [Path(str(each)).name for each in (dataset if isinstance(dataset, (list, tuple)) else [dataset])]
        facts.append(Fact("Judged on", cut(names(files, 2), 80) + split, ", ".join(said)))
    return facts
