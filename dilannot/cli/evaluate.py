"""`dilannot evaluate`: how well a run, or a folder of tracks, predicts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dilannot.cli import options

if TYPE_CHECKING:
    from dilannot.evaluate.tracks.counting import Missing
    from dilannot.evaluation import Evaluation
    from dilannot.progress import Progress
    from dilannot.run import Which


@click.command("evaluate", short_help="ROC AUC, PR AUC, calibration per marker and class; a report")
@click.argument("run", type=options.PATH, required=False)
@click.argument("dataset", type=options.PATH, required=False)
@click.option(
    "--split", type=click.Choice(["train", "validation", "test", "all"]), default="test", show_default=True,
    help="Windows to score.",
)  # fmt: skip
@click.option(
    "-r", "--region", "regions", multiple=True, metavar="REGION",
    help="Only there: chr8, chr8:1,000-2,000 (1-based, inclusive), 'chr?'; repeatable.",
)  # fmt: skip
@click.option("--regions-file", type=options.PATH, metavar="BED", help="More regions.")
@click.option("--exclude", multiple=True, metavar="REGION|BED", help="Leave out; repeatable.")
@click.option(
    "--markers", multiple=True, metavar="TEXT",
    help="Some markers: names, 'K562|*', histone, class=TFBS, cell=GM12878, with commas between; repeatable.",
)  # fmt: skip
@click.option("--rc", "both_strands", is_flag=True, help="Average over both strands; takes twice the time.")
@click.option(
    "--bin", "bin_length", type=click.IntRange(1, 100_000), default=1, metavar="N",
    help="Judge means over bins of N nt: 200 to compare with networks for bins.",
)  # fmt: skip
@click.option(
    "--threshold", "thresholds", multiple=True, type=float, metavar="X",
    help="Precision and recall of calls from this probability (of tracks, this score) on, too; repeatable.",
)  # fmt: skip
@click.option(
    "--compare", "others", multiple=True, type=options.PATH, metavar="RUN",
    help="Another run, on the same positions: is RUN better? Repeatable.",
)  # fmt: skip
@click.option(
    "--tracks", type=options.PATH, metavar="FOLDER",
    help="Judge bigWig tracks, ours or another tool's, instead of a run; needs --peaks.",
)  # fmt: skip
@click.option(
    "--peaks", multiple=True, type=options.PATH, metavar="PEAKS",
    help="Peak files or folders for --tracks, as for build-data; repeatable.",
)  # fmt: skip
@click.option(
    "--missing", type=click.Choice(["zero", "skip"]), default="zero", show_default=True,
    help="What a position without a value in a track is.",
)  # fmt: skip
@click.option(
    "--genome", type=options.PATH, metavar="FASTA",
    help="With --tracks: N does not count. Else: what a dense run reads around the bins of a window dataset.  "
    "[default: the run's]",
)  # fmt: skip
@options.weights
@click.option(
    "--intervals", "replicates", type=click.IntRange(0, 100_000), default=1000, show_default=True, metavar="N",
    help="How often blocks of the genome are drawn for 95 % intervals; 0 makes none.",
)  # fmt: skip
@options.seed
@click.option(
    "-o", "--output", type=options.PATH,
    help="Name of the .tsv and .json files, without extension.  [default: RUN/evaluation-SPLIT]",
)  # fmt: skip
@click.option("--report", type=options.PATH, metavar="FILE", help="A page (.html), text (.txt) or Markdown (.md).")
@click.option("--picture", type=options.PATH, metavar="FILE", help="Curves and class means as a .png or .svg.")
@click.option("--batch-size", type=click.IntRange(1), help="Windows a step.")
@options.device
@options.threads
@options.as_json
@options.trust_code
@options.force
@options.quiet
def command(
    run: Path | None, dataset: Path | None, others: tuple[Path, ...], tracks: Path | None, peaks: tuple[Path, ...],
    missing: Missing, genome: Path | None, weights: Which, output: Path | None, report: Path | None,
    picture: Path | None, batch_size: int | None, device: str, threads: int | None, as_json: bool, trust_code: bool,
    force: bool, quiet: bool, **values: Any,
) -> None:  # fmt: skip
    """Score RUN (default: run/) on DATASET (default: the one it was trained on), or tracks on peaks.

    Prints ROC AUC, PR AUC (average precision) and base rate per marker, and their means per class with 95 %
    intervals; writes these and more to a TSV and a JSON file. A guess has PR AUC = base rate. Markers without
    positives are listed and left out of the means.
    """
    from dilannot.cli.console import start
    from dilannot.evaluate.evaluate import evaluate
    from dilannot.evaluate.protocol import Protocol, check_thresholds, other_dataset
    from dilannot.evaluate.tracks.evaluate import evaluate_tracks
    from dilannot.evaluate.written import check_files, write_evaluation
    from dilannot.run import read_run
    from dilannot.shipped import FOLDER

    _check_usage(run, tracks, peaks, others)
    check_thresholds(values["thresholds"], probabilities=tracks is None)
    protocol, run, progress = Protocol(**values), run or Path("run"), start(quiet=quiet)
    drawn = _drawn(report, picture)
    if tracks is not None:
        default = Path(f"evaluation-{tracks.resolve().name}")
    else:
        other = other_dataset(read_run(run), dataset)  # before its folder is found lacking
        name = protocol.file_name(others, other, weights)
        default = Path(name) if run.resolve() == FOLDER.resolve() else run / name  # its own scores stay
    table, record = check_files(output or default, list(drawn), force)
    options.set_threads(threads)
    if tracks is not None:
        result = evaluate_tracks(
            tracks, peaks, protocol=protocol, genome=genome, missing=missing, threads=threads, progress=progress
        )
    else:
        result = evaluate(
            run, dataset, protocol=protocol, others=others, genome=genome, weights=weights, batch_size=batch_size,
            device=device, trust_code=trust_code, progress=progress,
        )  # fmt: skip
    write_evaluation(result, table, record)
    for path, write in drawn.items():
        write(result, path)
    _print(result, protocol.replicates, as_json, progress)
    progress.say("wrote " + ", ".join(map(str, (table, record, *drawn))))


def _drawn(report: Path | None, picture: Path | None) -> dict[Path, Callable[[Evaluation, Path], None]]:
    """What is drawn, and how; refuses names that say no form."""
    from dilannot.report.evaluation import check_report_name, write_evaluation_report
    from dilannot.report.evaluation_picture import check_picture_name, draw_evaluation

    found: dict[Path, Callable[[Evaluation, Path], None]] = {}
    if report is not None:
        check_report_name(report)
        found[report] = write_evaluation_report
    if picture is not None:
        check_picture_name(picture)
        found[picture] = draw_evaluation
    return found


_OF_RUNS = {
    "split": "--split", "both_strands": "--rc", "weights": "--weights", "batch_size": "--batch-size",
    "device": "--device", "trust_code": "--trust-code",
}  # fmt: skip


def _check_usage(run: Path | None, tracks: Path | None, peaks: tuple[Path, ...], others: tuple[Path, ...]) -> None:
    """An option that says nothing about what is judged would be passed over without a word."""
    if tracks is None:
        if peaks:
            raise click.UsageError("--peaks goes with --tracks")
        if _typed("missing"):
            raise click.UsageError("--missing goes with --tracks")
        return
    if not peaks:
        raise click.UsageError("--tracks needs --peaks: a folder of peak files")
    if run is not None or others:
        raise click.UsageError("--tracks judges tracks, not a run: leave RUN and --compare out")
    for name, option in _OF_RUNS.items():
        if _typed(name):
            raise click.UsageError(f"--tracks judges tracks, not a run: leave {option} out")


def _typed(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _print(result: Evaluation, replicates: int, as_json: bool, progress: Progress) -> None:
    from dilannot.cli.console import print_json, print_table
    from dilannot.evaluate.written import as_json as record_of

    if as_json:
        print_json(record_of(result))
        return
    columns = ["marker", "class", "ROC AUC", "PR AUC", "base rate", "PR/base", "positives"]
    columns += [f"PR AUC - {name}" for name in result.run_names[1:]]
    scores, rows = result.scores, []
    for i, marker in enumerate(result.markers):
        if scores.defined[i]:
            figures = scores.roc_auc[i], scores.pr_auc[i], scores.base_rate[i]
            more = [f"{difference.markers['pr_auc'][i, 0]:+.3f}" for difference in result.differences]
            rows.append([marker.name, marker.marker_class, *_figures(*figures), f"{scores.positives[i]}", *more])
    for name, mean in result.means.items():
        more = [f"{difference.classes[name]['pr_auc'][0]:+.3f}" for difference in result.differences]
        rows.append([f"mean of {mean.markers}", name, *_figures(mean.roc_auc, mean.pr_auc, mean.base_rate), "", *more])
    print_table(columns, rows, title=_title(result), text_columns=2)
    if not sys.stdout.isatty():  # there it stands above the table
        progress.say(_title(result))
    for line in _said(result, replicates):
        progress.say(line)
    if result.undefined:
        click.echo(f"without positives or negatives, left out: {', '.join(result.undefined)}", err=True)


def _title(result: Evaluation) -> str:
    told = result.protocol
    if "split" not in told:
        return f"{result.subject}: {told['positions']:,} positions"
    learnt = " (the network learnt from these)" if told["split"] in ("train", "all") else ""
    return (
        f"{told['split']} split{learnt}: {told['windows']:,} windows, {told['positions']:,} "
        f"{'positions' if told['bin'] == 1 else 'bins'}, weights of epoch {told['epoch']}"
    )


def _figures(roc: float, pr: float, base: float) -> list[str]:
    return [f"{roc:.3f}", f"{pr:.3f}", f"{base:.4f}", f"{pr / base:.1f}" if base else "NA"]


def _said(result: Evaluation, replicates: int) -> Iterator[str]:
    """Class means and differences, with their intervals where there are any."""
    if replicates and result.intervals is None:
        yield "no intervals: what is judged is too little for 10 blocks of the genome"
    for name, figures in result.intervals.classes.items() if result.intervals else ():
        ends = figures["pr_auc"]
        around = f", 95 % interval {ends.low:.3f} to {ends.high:.3f}" if ends.known else ""
        yield f"{name}: mean PR AUC {result.means[name].pr_auc:.3f}{around}"
    for difference, other in zip(result.differences, result.run_names[1:], strict=True):
        for name, differences in difference.classes.items():
            value, ends, share = differences["pr_auc"]
            around = f", 95 % interval {ends.low:+.3f} to {ends.high:+.3f}" if ends.known else ""
            around += f", better in {share:.0%} of replicates" if ends.known else ""
            yield f"{name}: PR AUC {value:+.3f} against {other}{around}"
        if difference.known():
            better, worse = difference.better()
            chance = f"by chance alone about {0.025 * difference.known():.0f} of either"
            yield f"against {other}: {better} markers better, {worse} worse, outside their intervals ({chance})"
