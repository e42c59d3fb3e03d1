"""`dilannot evaluate` as it is typed."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Cli, Inputs, make_run

from dilannot.data.build import build_dataset
from dilannot.data.dataset import Dataset
from dilannot.data.settings import BuildSettings
from dilannot.metrics.thresholds import RULES
from dilannot.run import load_network, read_run, save_weights


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: Inputs, dataset: Path) -> None:
    """`run/` and `other/`, and nothing else."""
    monkeypatch.chdir(tmp_path)
    with Dataset(dataset) as data:
        make_run(tmp_path / "run", inputs.genome, "toy-blocks", markers=data.markers)
        make_run(tmp_path / "other", inputs.genome, "toy-bases", markers=data.markers)
        for name in ("run", "other"):
            replace(read_run(tmp_path / name), dataset_digest=data.digest).save()


def flat(text: str) -> str:
    return " ".join(text.split())


def test_what_is_asked_for_is_in_the_record(cli: Cli, dataset: Path) -> None:
    result = cli(
        "evaluate", "run", dataset, "--split", "all", "-r", "chr1:1-20,000", "--rc", "--bin", 25, "--markers",
        "TFBS,DNase", "--threshold", 0.5, "--threshold", 0.1, "--intervals", 50, "--seed", 3, "--weights", "last",
        "--batch-size", 7, "--json", "-@", 1,
    )  # fmt: skip
    assert result.code == 0, result.err
    record = json.loads(result.out)
    path = Path("run/evaluation-all-regions-markers-bin25-rc-last.json")
    assert json.loads(path.read_text()) == record
    assert path.with_suffix(".tsv").is_file()
    assert record["split"] == "all"
    assert record["regions"] == ["chr1:1-20,000"]
    assert record["rc"] is True
    assert record["bin"] == 25
    assert record["weights"] == "last"
    assert record["resampling"]["replicates"] == 50
    assert record["resampling"]["seed"] == 3
    assert [row["class"] for row in record["markers"]] == ["TFBS", "DNase"]
    assert {f"precision_at_{rule}" for rule in (*RULES, "0.5", "0.1")} <= record["markers"][0].keys()


@pytest.fixture(scope="module")
def another(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other splits of the same windows."""
    path = tmp_path_factory.mktemp("another") / "mine.h5"
    build_dataset(inputs.genome, [inputs.peak_folder], path, BuildSettings(window=500, seed=1))
    return path


def test_another_dataset_has_files_of_its_own(cli: Cli, dataset: Path, another: Path) -> None:
    """And a copy of the run's own has not."""
    shutil.copy(dataset, "copy.h5")
    for data in ("copy.h5", another):
        assert cli("evaluate", "run", data).code == 0
    assert sorted(path.name for path in Path("run").glob("evaluation*.json")) == [
        "evaluation-test-on-mine.json", "evaluation-test.json",
    ]  # fmt: skip
    digests = [json.loads(path.read_text())["dataset_digest"] for path in sorted(Path("run").glob("evaluation*.json"))]
    assert digests[1] == read_run(Path("run")).dataset_digest != digests[0]


def test_runs_of_one_name_stand_side_by_side(cli: Cli, dataset: Path) -> None:
    for name in "ab":
        Path(name).mkdir()
        shutil.copytree("other" if name == "a" else "run", f"{name}/net")
    result = cli("evaluate", "run", dataset, "--split", "train", "--compare", "a/net", "--compare", "b/net")
    assert result.code == 0, result.err
    assert result.out.splitlines()[0].split("\t")[-2:] == ["PR AUC - a/net", "PR AUC - b/net"]
    assert all(f"against {name}/net: " in flat(result.err) for name in "ab")
    columns = Path("run/evaluation-train-against-net-net.tsv").read_text().splitlines()[0].split("\t")
    assert len(columns) == len(set(columns))


def test_without_intervals_the_words_leave_them_out(cli: Cli, dataset: Path) -> None:
    few = ("-r", "chr1:15001-16500", "--split", "all", "--force")
    for words, arguments in (("", ("--intervals", 0)), ("too little for 10 blocks of the genome", few)):
        result = cli("evaluate", "run", dataset, "--compare", "other", *arguments)
        assert result.code == 0, result.err
        said = flat(result.err)
        assert words in said
        assert ("no intervals" in said) == bool(words)
        assert "PR AUC" in said
        assert "nan" not in said
        assert "replicates" not in said
        assert "0 worse" not in said


def test_the_table_has_means_and_the_words_intervals(cli: Cli, dataset: Path) -> None:
    result = cli("evaluate", "run", dataset, "--split", "train", "--compare", "other")
    assert result.code == 0, result.err
    lines = [line.split("\t") for line in result.out.splitlines()]
    assert lines[0] == ["marker", "class", "ROC AUC", "PR AUC", "base rate", "PR/base", "positives", "PR AUC - other"]
    assert [line[0] for line in lines[1:4]] == ["GM12878_CTCF", "K562_DNase", "K562_H3K27ac"]
    assert {line[1] for line in lines[4:]} == {"TFBS", "histone", "DNase"}
    said = flat(result.err)
    assert re.search(r"TFBS: mean PR AUC 0\.\d{3}, 95 % interval 0\.\d{3} to 0\.\d{3}", said)
    assert re.search(r"DNase: PR AUC [+-]0\.\d{3} against other, 95 % interval \S+ to \S+, better in \d+% of", said)
    assert re.search(r"against other: \d markers better, \d worse, outside their intervals", said)
    assert Path("run/evaluation-train-against-other.tsv").is_file()


def test_pages_and_pictures(cli: Cli, dataset: Path) -> None:
    files = ["r.html", "r.md", "p.svg", "p.png"]
    for report, picture in (files[::2], files[1::2]):
        result = cli(
            "evaluate", "run", dataset, "--report", report, "--picture", picture, "--force", "--compare", "other"
        )
        assert result.code == 0, result.err
        assert f"{report}, {picture}" in flat(result.err)
    assert "GM12878_CTCF" in Path("r.html").read_text()
    assert "GM12878_CTCF" in Path("r.md").read_text()
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in Path("p.svg").read_text()


def test_nothing_is_overwritten_and_nothing_begun_in_vain(cli: Cli, dataset: Path) -> None:
    Path("taken.html").write_text("mine")
    result = cli("evaluate", "run", dataset, "--report", "taken.html")
    assert result.code == 1
    assert "taken.html: exists already" in flat(result.err)
    assert Path("taken.html").read_text() == "mine"
    assert not list(Path("run").glob("evaluation*"))


def test_tracks_are_judged(cli: Cli, inputs: Inputs) -> None:
    """The better the nearer what is called: peaks themselves are perfect."""
    assert cli("annotate", "run", "-o", "tracks", "--min-score", 0, "-r", "chr2", "-q").code == 0
    result = cli("evaluate", "--tracks", "tracks", "--peaks", inputs.peak_folder, "--json", "--bin", 50)
    assert result.code == 0, result.err
    record = json.loads(result.out)
    assert record["scores"] == "probability"
    assert record["bin"] == 50
    assert record["positions"] == 12_345 // 50
    assert json.loads(Path("evaluation-tracks.json").read_text()) == record
    assert not list(Path("tracks").glob("evaluation*"))
    assert cli("evaluate", "--tracks", "tracks", "--peaks", inputs.peak_folder, "--report", "t.html").code == 1
    again = cli("evaluate", "--tracks", "tracks", "--peaks", inputs.peak_folder, "--report", "t.html", "-o", "x")
    assert again.code == 0, again.err
    assert "mean of 1\tTFBS" in again.out
    assert "GM12878_CTCF" in Path("t.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--tracks", "tracks"], 2, "--tracks needs --peaks"),
        (["--peaks", "peaks"], 2, "--peaks goes with --tracks"),
        (["run", "--tracks", "tracks", "--peaks", "peaks"], 2, "leave RUN and --compare out"),
        (["--tracks", "t", "--peaks", "p", "--compare", "run"], 2, "leave RUN and --compare out"),
        (["run", "D", "--threshold", "1.5"], 2, "--threshold: 1.5 is no probability; give a number from 0 to 1"),
        (["run", "D", "--threshold", "nan"], 2, "--threshold: nan is no threshold"),
        (["run", "D", "--threshold", "0.5", "--threshold", "0.50"], 2, "0.5 and 0.5 are the same"),
        (["--tracks", "t", "--peaks", "p", "--threshold", "inf"], 2, "--threshold: inf is no threshold"),
        (["--tracks", "missing", "--peaks", "P", "--threshold", "-4.5"], 1, "missing"),
        *(
            (["--tracks", "t", "--peaks", "p", *each], 2, f"not a run: leave {each[0]} out")
            for each in (
                ["--split", "test"], ["--rc"], ["--weights", "best"], ["--batch-size", "3"], ["--device", "cpu"],
                ["--trust-code"],
            )
        ),
        (["run", "D", "--missing", "zero"], 2, "--missing goes with --tracks"),
        (["run", "D", "--genome", "G"], 1, "--genome: nothing here reads a genome; leave it out"),
        (["run", "D", "--bin", "40"], 1, "--bin: bins of 40 nt; give a divisor of 500"),
        (["run", "D", "-r", "chr1:7001-7003", "--split", "all"], 1, "no position is left to judge"),
        (["--split", "holdout"], 2, "is not one of"),
        (["run", "D", "--report", "r.pdf"], 1, r"r\.pdf: a report with the suffix '\.pdf'; call it \.html"),
        (["run", "D", "--picture", "p.gif"], 1, r"p\.gif: .*suffix '\.gif'; call it \.png or \.svg"),
        (["run", "D", "--report", "run/evaluation-test.tsv"], 1, "a report with the suffix"),
        (["run", "D", "--picture", "p.png", "--report", "r.html", "-o", "r", "-r", "chr9"], 1, "chr9"),
        (["run", "D", "--markers", "nothing"], 1, "nothing"),
        (["run", "D", "--compare", "missing"], 1, "missing: run folder not found"),
        (["run", "D", "--tile", "5"], 2, "No such option"),
        (["--tracks", "missing", "--peaks", "P"], 1, "missing"),
        (["--tracks", "run", "--peaks", "P"], 1, r"run: holds no bigWig file"),
    ],
)  # fmt: skip
def test_mistakes_end_in_one_line(
    cli: Cli, dataset: Path, inputs: Inputs, arguments: list[str], code: int, message: str
) -> None:
    known = {"D": str(dataset), "P": str(inputs.peak_folder), "G": str(inputs.genome)}
    result = cli("evaluate", *(known.get(each, each) for each in arguments))
    assert result.code == code, result.err
    assert re.search(message, flat(result.err)), result.err
    assert "Traceback" not in result.err
    assert not list(Path().glob("*/evaluation*"))


def test_annotate_calls_from_the_threshold_asked_for(cli: Cli) -> None:
    run = read_run(Path("run"))
    network = load_network(run).network
    thresholds = {rule: [0.1 * (place + 2)] * 3 for place, rule in enumerate(RULES)}
    thresholds["fdr-5"] = [float("nan"), 0.25, 0.25]
    import numpy as np

    arrays = {rule: np.array(values) for rule, values in thresholds.items()}
    save_weights(run, "best", network.state_dict(), epoch=1, thresholds=arrays)
    for rule, values in thresholds.items():
        result = cli("annotate", "run", "-o", f"tracks-{rule}", "-r", "chr2", "--call-at", rule, "--min-length", 1)
        assert result.code == 0, result.err
        manifest = json.loads(Path(f"tracks-{rule}/tracks.json").read_text())
        assert manifest["call_at"] == rule
        found = [row["threshold"] for row in manifest["tracks"]]
        assert found == [None if np.isnan(value) else pytest.approx(value, abs=1e-6) for value in values]
        if rule == "fdr-5":
            assert manifest["tracks"][0]["calls"] == 0
            assert "1 of 3 markers reached no fdr-5 threshold on the validation windows" in flat(result.err)
        else:
            assert manifest["tracks"][0]["calls"] > 0
