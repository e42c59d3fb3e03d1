"""`dilannot evaluate`: how well a run, or a folder of tracks, predicts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dilannot.cli import options

if TYPE_CHECKING:
    from dilannot.evaluation import Evaluation
    from dilannot.progress import Progress


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
    "--threshold", "thresholds", multiple=True, type=click.FloatRange(0, 1), metavar="X",
    help="Precision and recall of calls from this probability on, too; repeatable.",
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
    help="With --tracks: N does not count. Else: what a dense run reads around a dataset's bins.  "
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
    run: Path | None,
    dataset: Path | None,
    others: tuple[Path, ...],
    tracks: Path | None,
    peaks: tuple[Path, ...],
    missing: str,
    genome: Path | None,
    weights: str,
    output: Path | None,
    report: Path | None,
    picture: Path | None,
    batch_size: int | None,
    device: str,
    threads: int | None,
    as_json: bool,
    trust_code: bool,
    force: bool,
    quiet: bool,
    **values: Any,
) -> None:
    """Score RUN (default: run/) on DATASET (default: the one it was trained on), or tracks on peaks.

    Prints ROC AUC, PR AUC (average precision) and base rate per marker, and their means per class with 95 %
    intervals; writes these and more to a TSV and a JSON file. A guess has PR AUC = base rate. Markers without
    positives are listed and left out of the means.
    """
    from dilannot.cli.console import print_json, start
    from dilannot.evaluate.evaluate import evaluate
    from dilannot.evaluate.protocol import Protocol
    from dilannot.evaluate.tracks import evaluate_tracks
    from dilannot.evaluate.written import check_files, write_evaluation
    from dilannot.report.evaluation import check_report_name, write_evaluation_report
    from dilannot.report.evaluation_picture import check_picture_name, draw_evaluation
    from dilannot.run import read_run

    _check_usage(run, tracks, peaks, others)
    protocol, run = Protocol(**values), run or Path("run")
    for path, check in ((report, check_report_name), (picture, check_picture_name)):
        if path is not None:
            check(path)
    if tracks is None:
        read_run(run)  # before its folder is found lacking
    default = Path(f"evaluation-{tracks.resolve().name}") if tracks else run / protocol.file_name(others)
    table, record = check_files(output or default, [path for path in (report, picture) if path], force)
    options.set_threads(threads)
    progress = start(quiet=quiet)
    if tracks is not None:
        result = evaluate_tracks(
            tracks, peaks, protocol=protocol, genome=genome, missing=missing,  # type: ignore[arg-type]
            threads=threads, progress=progress,
        )  # fmt: skip
    else:
        result = evaluate(
            run, dataset, protocol=protocol, others=others, genome=genome, weights=weights,  # type: ignore[arg-type]
            batch_size=batch_size, device=device, trust_code=trust_code, progress=progress,
        )  # fmt: skip
    write_evaluation(result, table, record)
    for path, write in ((report, write_evaluation_report), (picture, draw_evaluation)):
        if path is not None:
            write(result, path)
    if as_json:
        from dilannot.evaluate.written import as_json as record_of

        print_json(record_of(result))
    else:
        _print(result, progress)
    progress.say("wrote " + ", ".join(str(path) for path in (table, record, report, picture) if path))


def _check_usage(run: Path | None, tracks: Path | None, peaks: tuple[Path, ...], others: tuple[Path, ...]) -> None:
    if tracks is None:
        if peaks:
            raise click.UsageError("--peaks goes with --tracks")
        return
    if not peaks:
        raise click.UsageError("--tracks needs --peaks: a folder of peak files")
    if run is not None or others:
        raise click.UsageError("--tracks judges tracks, not a run: leave RUN and --compare out")


def _print(result: Evaluation, progress: Progress) -> None:
    from dilannot.cli.console import print_table

    columns = ["marker", "class", "ROC AUC", "PR AUC", "base rate", "PR/base", "positives"]
    columns += [f"PR AUC - {difference.other.name}" for difference in result.differences]
    scores, rows = result.scores, []
    for i, marker in enumerate(result.markers):
        if scores.positives[i]:
            figures = scores.roc_auc[i], scores.pr_auc[i], scores.base_rate[i]
            more = [f"{difference.markers['pr_auc'][i, 0]:+.3f}" for difference in result.differences]
            rows.append([marker.name, marker.marker_class, *_figures(*figures), f"{scores.positives[i]}", *more])
    for name, mean in result.means.items():
        more = [f"{difference.classes[name]['pr_auc'][0]:+.3f}" for difference in result.differences]
        rows.append([f"mean of {mean.markers}", name, *_figures(mean.roc_auc, mean.pr_auc, mean.base_rate), "", *more])
    print_table(columns, rows, title=_title(result), text_columns=2)
    for line in _said(result):
        progress.say(line)
    if result.undefined:
        click.echo(f"without positives, left out: {', '.join(result.undefined)}", err=True)


def _title(result: Evaluation) -> str:
    told = result.protocol
    if "split" not in told:
        return f"{result.subject}: {told['positions']:,} positions"
    return f"{told['split']} split: {told['windows']:,} windows, weights of epoch {told['epoch']}"


def _figures(roc: float, pr: float, base: float) -> list[str]:
    return [f"{roc:.3f}", f"{pr:.3f}", f"{base:.4f}", f"{pr / base:.1f}" if base else "NA"]


def _said(result: Evaluation) -> Iterator[str]:
    """Class means with their intervals, and differences."""
    if result.intervals is None:
        yield "too little for intervals: they need 10 blocks of the genome"
    else:
        for name, figures in result.intervals.classes.items():
            mean, ends = result.means[name].pr_auc, figures["pr_auc"]
            yield f"{name}: mean PR AUC {mean:.3f}, 95 % interval {ends.low:.3f} to {ends.high:.3f}"
    for difference in result.differences:
        other = difference.other.name
        for name, differences in difference.classes.items():
            value, ends, share = differences["pr_auc"]
            yield (
                f"{name}: PR AUC {value:+.3f} against {other}, 95 % interval {ends.low:+.3f} to {ends.high:+.3f}, "
                f"better in {share:.0%} of replicates"
            )
        better, worse = difference.better()
        yield f"against {other}: {better} markers better, {worse} worse, outside their intervals"
