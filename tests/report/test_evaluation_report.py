"""The report on an evaluation says what was found, keeps quiet about what was not, and needs nothing but itself."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from parsed_pages import HOSTILE, Parsed
from small_evaluations import compared, known_markers, make_evaluation

from dilannot.data.markers import CLASSES, Marker
from dilannot.data.published import published_markers
from dilannot.data.published_scores import ALL, PROTOCOLS, deepsea_means, published_scores
from dilannot.errors import DilannotError
from dilannot.evaluation import Evaluation, Range
from dilannot.metrics.bootstrap import FIGURES
from dilannot.metrics.thresholds import Operating
from dilannot.report import page, text
from dilannot.report.content import Column, Panels, Table, interval, shown
from dilannot.report.evaluation import evaluation_report, write_evaluation_report
from dilannot.report.evaluation_concerns import find_concerns
from dilannot.report.evaluation_published import known_markers as recognised
from dilannot.report.evaluation_words import setting, short_names
from dilannot.report.tiny import HEIGHT, WIDTH, tiny_curves

NAN = float("nan")


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Twenty markers of all classes, one without positives, better than one run and worse than another."""
    markers = known_markers(20)
    others = [
        make_evaluation(markers, better=better, subject=f"/runs/{name}", without_positives=(4,))
        for better, name in ((-0.4, "behind"), (0.4, "ahead"))
    ]
    return compared(make_evaluation(markers, without_positives=(4,)), others)


@pytest.fixture(scope="module")
def parsed(evaluation: Evaluation) -> Parsed:
    return Parsed(page.render(evaluation_report(evaluation)))


def own_markers(count: int, *classes: str) -> list[Marker]:
    return [Marker(f"marker {index}", classes[index % len(classes)]) for index in range(count)]


def titles(evaluation: Evaluation) -> list[str]:
    return [section.title for section in evaluation_report(evaluation).sections]


def test_class_means_are_those_of_the_evaluation(evaluation: Evaluation, parsed: Parsed) -> None:
    assert evaluation.intervals is not None
    header = next(table for table in parsed.tables if table[0][:2] == ["class", "markers"])
    for row, (name, mean) in zip(header[1:], evaluation.means.items(), strict=True):
        known = evaluation.intervals.classes[name]
        assert row == [
            name, f"{mean.markers}", f"{mean.pr_auc:.3f}",
            f"{known['pr_auc'].low:.3f} to {known['pr_auc'].high:.3f}", f"{mean.pr_auc_trapezoid:.3f}",
            f"{mean.base_rate:.4f}", f"{mean.pr_auc / mean.base_rate:,.2f}×", f"{mean.roc_auc:.3f}",
            f"{known['roc_auc'].low:.3f} to {known['roc_auc'].high:.3f}", f"{mean.best_f1:.3f}",
            f"{mean.log_loss:.4f}", f"{mean.calibration_error:.4f}",
        ]  # fmt: skip


def test_every_marker_has_its_row(evaluation: Evaluation, parsed: Parsed) -> None:
    rows = parsed.table("name", "class")
    scores = evaluation.scores
    assert [row["name"] for row in rows] == [marker.name for marker in evaluation.markers]
    for title, values, kind in (
        ("PR AUC", scores.pr_auc, "score"), ("ROC AUC", scores.roc_auc, "score"), ("best F1", scores.best_f1, "score"),
        ("base rate", scores.base_rate, "small"), ("log loss", scores.log_loss, "small"),
        ("calibration error", scores.calibration_error, "small"), ("positives", scores.positives, "count"),
        ("precision, break-even", evaluation.operating[0].precision, "share"),
        ("recall, fdr-10", evaluation.operating[1].recall, "share"),
        ("PR AUC, ahead", evaluation.differences[1].other.scores.pr_auc, "score"),
    ):  # fmt: skip
        assert [row[title] for row in rows] == [shown(value, kind) for value in values.tolist()], title  # type: ignore[arg-type]
    known = {published.marker.name: published for published in published_markers()}
    assert [row["DeepSEA, PR AUC"] for row in rows] == [
        shown(known[marker.name].pr_auc, "score") for marker in evaluation.markers
    ]
    assert rows[4]["PR AUC"] == "–"
    assert rows[4]["positives"] == "0"


def test_other_runs_stand_beside(evaluation: Evaluation, parsed: Parsed) -> None:
    runs = next(table for table in parsed.tables if table[0][0] == "PR AUC" and table[0][1] == "TFBS")
    assert [row[0] for row in runs[1:]] == ["run-a", "behind", "ahead"]
    found = evaluation.differences[0].classes["TFBS"]["pr_auc"]
    against = next(table for table in parsed.tables if table[0][0] == "against")
    assert against[1][:5] == [
        "behind", "TFBS", f"{found[0]:+.3f}", f"{found[1].low:+.3f} to {found[1].high:+.3f}", "97.5 %",
    ]  # fmt: skip
    better, worse = evaluation.differences[1].better()
    assert sum(int(row[5]) for row in against[1:] if row[0] == "ahead") == better
    assert sum(int(row[6]) for row in against[1:] if row[0] == "ahead") == worse
    assert "ahead is better in 3 classes" in parsed.text
    assert "behind is better" not in parsed.text


def test_how_it_was_judged(evaluation: Evaluation) -> None:
    listed = replace(evaluation, protocol={"dataset": "d.h5", "regions": ["chr8", "chr9"], "rc": True, "seed": None})
    found = Parsed(page.render(evaluation_report(listed)))
    rows = next(table for table in found.tables if table[1:2] == [["subject", evaluation.subject]])
    assert rows[2:] == [
        ["dataset", "d.h5"], ["regions", "chr8, chr9"], ["rc", "yes"], ["seed", "none"],
        ["intervals", "200 replicates of 80 blocks of about 50,000 nt, seed 0"],
    ]  # fmt: skip
    assert next(table for table in found.tables if table[0] == ["marker", "class", "positives"])[1:] == [
        [evaluation.markers[4].name, evaluation.markers[4].marker_class, "0"]
    ]


def test_published_means_are_those_of_the_sources() -> None:
    by_name = {(each.source.split(" (")[0], each.system, each.labels): each.pr_auc for each in published_scores()}
    assert by_name["Gupta 2017", "Dilated6", "bins"] == {"TFBS": 0.273, "histone": 0.320, "DNase": 0.390}
    assert by_name["Gupta & Rush 2017", "Dilated", "nucleotides"] == {"TFBS": 0.274, "histone": 0.273, "DNase": 0.179}
    assert by_name["Hawkins-Hooker et al.", "CRNN-700, projection", "bins"] == {ALL: 0.391}
    assert len(published_scores()) == len(by_name) == 21
    assert {each.labels for each in published_scores()} == set(PROTOCOLS)
    means = deepsea_means()
    assert published_scores()[0] == means
    assert [f"{means.pr_auc[name]:.3f}" for name in (*CLASSES, ALL)] == ["0.320", "0.367", "0.444", "0.342"]
    few = deepsea_means(published_markers()[:2])
    assert few.pr_auc == {name: pytest.approx((0.401035 + 0.439494) / 2) for name in ("DNase", ALL)}


def test_published_values_stand_below_ours(evaluation: Evaluation, parsed: Parsed) -> None:
    rows = next(table for table in parsed.tables if table[0][-2:] == ["judged on", "source"])[1:]
    means = evaluation.means
    assert rows[0][:4] == ["run-a, average precision", *(f"{means[name].pr_auc:.3f}" for name in CLASSES)]
    assert rows[1][0] == "run-a, trapezoid"
    assert rows[2][-2:] == ["Task 2: nucleotides", "Gupta & Rush 2017 (arXiv 1710.01278)"]  # the same kind of labels
    assert ["DeepSEA", "0.320", "0.367", "0.444", "0.342"] in [row[:5] for row in rows]
    assert any(row[0] == "DeepSEA, only the 19 markers judged here" for row in rows)
    assert "not comparable one to one" in parsed.text
    bins = replace(evaluation, protocol={**evaluation.protocol, "bin": 200})
    rows = next(
        table
        for table in Parsed(page.render(evaluation_report(bins))).tables
        if table[0][-2:] == ["judged on", "source"]
    )
    assert rows[3][-2] == "Task 1: bins"


def test_markers_are_recognised_by_name_or_file() -> None:
    published = published_markers()[7]
    by_name = Marker(published.marker.name, "DNase")
    by_file = Marker("mine", "DNase", file=published.marker.file.removesuffix(".gz"))
    assert recognised([by_name, by_file, Marker("mine", "DNase")]) == [published, published, None]


@pytest.mark.parametrize("suffix", ["html", "txt", "md"])
def test_the_same_evaluation_gives_the_same_bytes(evaluation: Evaluation, tmp_path: Path, suffix: str) -> None:
    first, second = tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"
    write_evaluation_report(evaluation, first)
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path"}):
        write_evaluation_report(evaluation, second)
    assert first.read_bytes() == second.read_bytes()


def test_a_page_needs_nothing_but_itself(evaluation: Evaluation) -> None:
    found = page.render(evaluation_report(evaluation))
    parsed = Parsed(found)
    assert not re.search(r"https?://|\bsrc=|@import|url\((?!#)", found)
    assert {value[0] for name, value in parsed.attributes if name in ("href", "xlink:href")} == {"#"}
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    ids = [value for name, value in parsed.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value for name, value in parsed.attributes if name == "href"}
    assert {f"#{each}" for each in ids} >= targets
    assert parsed.tags.count("script") == 1
    assert all(value for name, value in parsed.attributes if name == "aria-label")
    assert "nan" not in " ".join(cell for table in parsed.tables for row in table for cell in row if len(cell) < 9)


def hostile() -> Evaluation:
    markers = [Marker(f"{HOSTILE}{i}\x1b[31m", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE) for i in range(3)]
    found = make_evaluation(markers, subject=f"/x/{HOSTILE}", without_positives=(1,))
    found = replace(found, protocol={HOSTILE: HOSTILE, "dataset": HOSTILE, "split": HOSTILE, "weights": [HOSTILE]})
    found = replace(found, operating=[replace(found.operating[0], rule=HOSTILE)])
    return compared(found, [replace(found, subject=f"/y/{HOSTILE}"), replace(found, subject=f"/z/{HOSTILE}")])


def test_hostile_names_are_text() -> None:
    found = page.render(evaluation_report(hostile()))
    parsed = Parsed(found)
    assert parsed.tags.count("script") == 1
    assert [row["name"] for row in parsed.table("name", "class")] == [f"{HOSTILE}{i}\\x1b[31m" for i in range(3)]
    assert "<script>alert" not in found
    assert "\x1b" not in found
    assert "\x1b" not in text.render(evaluation_report(hostile()))


def test_text_and_page_agree(evaluation: Evaluation) -> None:
    report = evaluation_report(evaluation)
    parsed, plain = Parsed(page.render(report)), text.render(report)
    flat = " ".join(plain.split())
    for table in parsed.tables:
        for row in table:
            cells = [cell for cell in row if cell]
            if all(len(cell) < 60 for cell in cells) and "PR" not in row:
                assert " ".join(" ".join(cells).split()) in flat
    for concern in report.concerns:
        assert concern.what in flat
    for fact in report.facts:
        assert fact.value in plain
    assert "<svg" not in plain


ODD: dict[str, Callable[[], Evaluation]] = {
    "one marker": lambda: make_evaluation([Marker("CTCF", "TFBS")], intervals=False, operating=False),
    "unknown": lambda: make_evaluation(own_markers(5, "unknown")),
    "own classes": lambda: make_evaluation(own_markers(40, *(f"class {i}" for i in range(12)))),
    "no positives": lambda: make_evaluation(own_markers(2, "TFBS"), without_positives=(0, 1), intervals=False),
    "no positives, beside another": lambda: compared(
        make_evaluation(own_markers(2, "TFBS"), without_positives=(0, 1)),
        [make_evaluation(own_markers(2, "TFBS"), without_positives=(0, 1), subject="b")],
    ),
    "scores": lambda: make_evaluation(own_markers(6, "x", "y"), space="score"),
    "probabilities": lambda: make_evaluation(own_markers(6, "TFBS"), space="probability"),
    "itself": lambda: compared(make_evaluation(known_markers(4)), [make_evaluation(known_markers(4))]),
    "five others": lambda: compared(
        make_evaluation(known_markers(9)),
        [make_evaluation(known_markers(9), better=0.1 * i, intervals=False, subject=f"{i}") for i in range(1, 6)],
    ),
    "no threshold known": lambda: replace(
        make_evaluation(own_markers(2, "TFBS")), operating=[Operating("0.5", *np.full((3, 2), NAN))]
    ),
    "tracks": lambda: replace(
        make_evaluation(own_markers(2, "TFBS"), space="score"),
        protocol={"tracks": "t", "peaks": ["a/x.bed", "b"], "genome": None, "unmatched": {"tracks": 0, "peaks": 0}},
    ),
    "no protocol": lambda: replace(make_evaluation(own_markers(2, "TFBS")), protocol={}),
    "nothing counted": lambda: _empty(make_evaluation(own_markers(2, "TFBS"))),
    "hostile": hostile,
    "nothing known": lambda: nothing_known(make_evaluation(own_markers(6, "TFBS", "DNase"))),
}


def _empty(evaluation: Evaluation) -> Evaluation:
    shapes = evaluation.shapes
    counts = {name: np.zeros_like(getattr(shapes, name)) for name in ("everything", "positive", "calibration_counts")}
    return replace(evaluation, shapes=replace(shapes, **counts))


@pytest.mark.parametrize("name", ODD)
def test_odd_evaluations_are_rendered(name: str, tmp_path: Path) -> None:
    found = ODD[name]()
    for suffix in ("html", "txt", "md"):
        write_evaluation_report(found, tmp_path / f"r.{suffix}")
        written = (tmp_path / f"r.{suffix}").read_text()
        assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", written), name
    parsed = Parsed((tmp_path / "r.html").read_text())
    assert len(parsed.table("name", "class")) == len(found.markers)


def test_sections_are_there_where_there_is_something_to_say(evaluation: Evaluation) -> None:
    assert titles(evaluation) == [
        "Class means", "Beside other runs", "Curves", "Every marker's curves", "Markers", "Score distributions",
        "Calibration", "Operating points", "Beside published values", "How it was judged",
    ]  # fmt: skip
    assert titles(ODD["one marker"]()) == [
        "Class means", "Curves", "Every marker's curves", "Markers", "Score distributions", "Calibration",
        "How it was judged",
    ]  # fmt: skip
    assert "Calibration" not in titles(ODD["scores"]())
    assert "Calibration" not in titles(ODD["nothing counted"]())
    assert titles(ODD["no positives"]()) == ["Markers", "How it was judged"]
    assert "95 % interval" not in page.render(evaluation_report(ODD["one marker"]()))
    assert "log loss" not in page.render(evaluation_report(ODD["scores"]()))


def sound() -> Evaluation:
    found = make_evaluation(own_markers(6, "TFBS", "DNase"), shift=0.0)
    return replace(found, markers=[replace(marker, name=f"m{i}") for i, marker in enumerate(found.markers)])


def with_scores(evaluation: Evaluation, **values: Any) -> Evaluation:
    return replace(evaluation, scores=replace(evaluation.scores, **values))


def with_blocks(evaluation: Evaluation, blocks: int) -> Evaluation:
    assert evaluation.intervals is not None
    return replace(evaluation, intervals=replace(evaluation.intervals, blocks=blocks))


def with_interval(evaluation: Evaluation, low: float) -> Evaluation:
    assert evaluation.intervals is not None
    classes: Any = {**evaluation.intervals.classes, "TFBS": {"pr_auc": Range(low, 0.9)}}
    return replace(evaluation, intervals=replace(evaluation.intervals, classes=classes))


def unsure(evaluation: Evaluation, rows: list[int]) -> Evaluation:
    """Without intervals of some markers."""
    assert evaluation.intervals is not None
    markers = {figure: values.copy() for figure, values in evaluation.intervals.markers.items()}
    for values in markers.values():
        values[rows] = NAN
    return replace(evaluation, intervals=replace(evaluation.intervals, markers=markers))


def nothing_known(evaluation: Evaluation) -> Evaluation:
    """Beside another, and no interval anywhere though blocks were drawn."""
    every = list(range(len(evaluation.markers)))
    assert evaluation.intervals is not None
    none: Any = {name: dict.fromkeys(FIGURES, Range(NAN, NAN)) for name in evaluation.intervals.classes}
    found = compared(unsure(evaluation, every), [evaluation])
    [difference] = found.differences
    markers = {figure: values * [1, NAN, NAN] for figure, values in difference.markers.items()}
    classes: Any = {
        name: {figure: (value, Range(NAN, NAN), NAN) for figure, (value, _, _) in figures.items()}
        for name, figures in difference.classes.items()
    }
    assert found.intervals is not None
    found = replace(found, intervals=replace(found.intervals, classes=none))
    return replace(found, differences=[replace(difference, markers=markers, classes=classes)])


def test_intervals_that_are_not_known_are_not_shown() -> None:
    found = nothing_known(sound())
    parsed = Parsed(page.render(evaluation_report(found)))
    against = next(table for table in parsed.tables if table[0][0] == "against")
    assert against[1][2:7] == ["+0.000", "–", "–", "–", "–"]
    assert "outside intervals" not in parsed.text
    assert "(None)" not in page.render(evaluation_report(found))
    classes = next(table for table in parsed.tables if table[0][:2] == ["class", "markers"])
    assert {row[3] for row in classes[1:]} == {"–"}


def one_guess(evaluation: Evaluation) -> Evaluation:
    values = evaluation.scores.pr_auc.copy()
    values[2] = evaluation.scores.base_rate[2]
    return with_scores(evaluation, pr_auc=values)


def few_positives(evaluation: Evaluation) -> Evaluation:
    positives = evaluation.scores.positives.copy()
    positives[3] = 12
    return with_scores(evaluation, positives=positives)


def predicted_too_much(evaluation: Evaluation) -> Evaluation:
    shapes = evaluation.shapes
    return replace(
        evaluation,
        shapes=replace(shapes, calibration_predicted=shapes.calibration_predicted * np.array([3, 1] * 3)[:, None]),
    )


def test_nothing_to_worry_about() -> None:
    assert find_concerns(sound()) == []
    assert "Nothing to worry about" in page.render(evaluation_report(sound()))


@pytest.mark.parametrize(
    ("change", "what", "detail"),
    [
        (lambda e: replace(e, protocol={"split": "train"}), "Judged on what it learnt from", ""),
        (lambda e: replace(e, protocol={"split": "all"}), "Judged on what it learnt from, too", ""),
        (
            lambda e: replace(e, protocol={"unmatched": {"tracks": 1, "peaks": 3}}),
            "1 track and 3 peak files without a partner", "not judged",
        ),
        (lambda e: make_evaluation(e.markers, shift=0, without_positives=(1, 5)), "2 markers without positives", "m1, m5."),
        (lambda e: with_scores(e, base_rate=e.scores.pr_auc * np.tile([0.8, 0.1], 3)), "TFBS: hardly better than a guess", "3 markers"),
        (lambda e: with_interval(e, 0.0), "TFBS: the interval of PR AUC reaches down to a guess", "0.000 to 0.900"),
        (lambda e: replace(e, intervals=None), "No intervals", ""),
        (lambda e: with_blocks(e, 6), "Intervals rest on 6 blocks", "50,000 nt"),
        (one_guess, "1 marker no better than a guess", "m2"),
        (lambda e: unsure(e, [2, 4]), "2 markers without intervals", "m2, m4. Positives lie in fewer than 10 blocks"),
        (lambda e: unsure(few_positives(e), [3]), "1 marker without intervals", "m3."),
        (few_positives, "1 marker with fewer than 50 positive positions", "m3 (12)"),
        (predicted_too_much, "Probabilities are far off", "TFBS"),
        (
            lambda e: compared(e, [make_evaluation(e.markers, better=0.5, subject="ahead")]),
            "ahead is better in 2 classes", "TFBS +0.",
        ),
    ],
)  # fmt: skip
def test_concerns(change: Any, what: str, detail: str) -> None:
    found = find_concerns(change(sound()))
    assert len(found) == 1, found
    assert what in found[0].what
    assert detail in found[0].detail


def test_runs_go_by_names_that_tell_them_apart() -> None:
    markers = own_markers(2, "TFBS")
    best = make_evaluation(markers, subject="/a/run")
    assert compared(best, [replace(best, subject="/b/run")]).run_names == ["/a/run", "/b/run"]
    last = replace(best, protocol={"weights": "last", "epoch": 7})
    assert compared(best, [last]).run_names == ["/a/run (best 5)", "/a/run (last 7)"]
    assert compared(best, [best]).run_names == ["/a/run (1)", "/a/run (2)"]
    assert compared(best, [replace(best, subject="/a/run_low")]).run_names == ["/a/run (best 5)", "/a/run_low (best 5)"]
    long = [replace(best, subject=f"/{'a' * 40}/{name}/{'b' * 40}") for name in "xyz"]
    assert len(set(short_names(compared(long[0], long[1:])))) == 3


def test_thresholds_that_were_chosen_on_other_scores_are_said_to_be() -> None:
    def said(**protocol: Any) -> str:
        found = make_evaluation(own_markers(2, "TFBS"))
        return " ".join(text.render(evaluation_report(replace(found, protocol={**found.protocol, **protocol}))).split())

    words = "They were chosen on scores of {}, and are applied unchanged."
    assert "applied unchanged" not in said()
    assert "applied unchanged" not in said(bin=200, output="window")
    assert words.format("one strand") in said(bin=200, output="window", rc=True)
    assert words.format("single nucleotides") in said(bin=200, output="dense")
    assert words.format("single nucleotides and one strand") in said(bin=200, rc=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "none"), (True, "yes"), (12345, "12,345"), (0.5, "0.5"), ([], "none"), (["a", 2], "a, 2"),
        ({"x": [1, 2]}, "x 1, 2"), ("", ""),
    ],
)  # fmt: skip
def test_settings_in_words(value: Any, expected: str) -> None:
    assert setting(value) == expected


def test_numbers_of_an_evaluation_are_shown() -> None:
    assert [shown(value, "small") for value in (0.0, 3e-5, 0.00123, -2.5, NAN)] == [
        "0.0000",
        "<0.0001",
        "0.0012",
        "-2.5000",
        "–",
    ]
    assert [shown(value, "difference") for value in (0.0, -0.01, 0.5)] == ["+0.000", "-0.010", "+0.500"]
    assert interval(0.1, 0.25) == "0.100 to 0.250"
    assert interval(NAN, 1.0) is None
    table = Table([Column("a"), Column("b", "interval")], [["x", "0 to 1"]])
    assert table.without("interval").rows == [["x"]]


def test_tiny_curves_keep_corners_and_drop_what_lies_between() -> None:
    x = np.linspace(0, 1, 21)
    straight = re.findall(r'd="([^"]*)"', tiny_curves((x, np.ones(21)), (x, x)))
    assert straight == [f"M0 {HEIGHT}l{WIDTH}-{HEIGHT}", f"M0 0l{WIDTH} 0"]
    corner = tiny_curves((x, np.where(x < 0.5, 1.0, 0.0)), (x, np.full(21, NAN)))
    assert re.findall(r'd="([^"]*)"', corner) == ["", f"M0 0l54 0 6 {HEIGHT} 60 0"]
    assert re.findall(r'd="([^"]*)"', tiny_curves((x[:1], x[:1]), (x, x)))[1] == ""


def test_many_markers_are_folded_and_few_are_not() -> None:
    def folded(count: int) -> list[bool]:
        report = evaluation_report(make_evaluation(own_markers(count, "TFBS", "DNase")))
        return [part.folded for section in report.sections for part in section.parts if isinstance(part, Panels)]

    assert folded(60) == [False, False]
    assert folded(61) == [True, True]


def test_all_markers_of_deepsea_beside_three_runs(tmp_path: Path) -> None:
    markers = known_markers(919)
    others = [make_evaluation(markers, better=0.1 * i, subject=f"run {i}") for i in range(1, 4)]
    found = compared(make_evaluation(markers, without_positives=(598,)), others)
    began = time.perf_counter()
    write_evaluation_report(found, tmp_path / "report.html")
    assert time.perf_counter() - began < 20  # 1.3 s here
    written = (tmp_path / "report.html").read_text()
    assert len(written) < 4_000_000
    assert len(Parsed(written).table("name", "class")) == 919
    assert written.count('<svg class="tiny"') == 918


@pytest.mark.parametrize("name", ["report", "report.pdf"])
def test_other_suffixes_are_refused(evaluation: Evaluation, tmp_path: Path, name: str) -> None:
    with pytest.raises(DilannotError, match="suffix"):
        write_evaluation_report(evaluation, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_report_needs_no_torch() -> None:
    code = "import sys, dilannot.report.evaluation, dilannot.report.evaluation_picture; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
