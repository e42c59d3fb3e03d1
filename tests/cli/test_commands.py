"""Commands as a user types them: what they print, what they leave, and how they end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Cli, Inputs, make_run

COMMANDS = (
    "markers",
    "download",
    "build-data",
    "import-data",
    "verify",
    "models",
    "train",
    "tune",
    "evaluate",
    "plot",
    "compare",
    "annotate",
    "merge",
    "info",
    "completion",
)


@pytest.fixture
def place(inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(cli: Cli, flag: str) -> None:
    result = cli(flag)
    assert result.code == 0
    assert re.findall(r"^  ([a-z-]+)  ", result.out[result.out.index("Commands:") :], re.M) == list(COMMANDS)
    for command in COMMANDS:
        assert cli(command, flag).code == 0


def test_version(cli: Cli) -> None:
    from dilannot import __version__

    assert cli("--version").out == cli("-V").out == f"dilannot, version {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(cli: Cli, shell: str) -> None:
    assert "_DILANNOT_COMPLETE" in cli("completion", shell).out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["build-data"],
        ["train", "--epochs", "x"],
        ["tune"],
        ["plot", "a", "b"],
        ["compare"],
        ["annotate", "--tile", "0"],
    ],
)
def test_usage_errors_end_with_2(cli: Cli, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert "Traceback" not in result.err


def test_the_four_lines_in_an_empty_folder(cli: Cli, inputs: Inputs, place: Path) -> None:
    (place / "genome.fa").symlink_to(inputs.genome)
    (place / "peaks").symlink_to(inputs.peak_folder)
    built = cli("build-data", "genome.fa", "peaks/", "--window", 500)
    assert built.code == 0, built.err
    assert "3 markers: 1 TFBS, 1 histone, 1 DNase" in built.err
    trained = cli("train", "--epochs", 2, "--max-steps", 6)
    assert trained.code == 0, trained.err
    assert "PR AUC TFBS" in trained.err
    evaluated = cli("evaluate")
    assert evaluated.code == 0, evaluated.err
    assert "GM12878_CTCF\tTFBS" in evaluated.out
    assert "mean of 1\tDNase" in evaluated.out
    annotated = cli("annotate", "--region", "chr2", "-o", "tracks/")
    assert annotated.code == 0, annotated.err
    assert sorted(os.listdir("tracks")) == sorted(
        [
            *(f"{path.stem}{suffix}" for path in inputs.peak_folder.iterdir() for suffix in (".bw", ".bed")),
            "calls.bed",
            "tracks.json",
        ]
    )
    for path, kind in (("dataset.h5", "dataset"), ("run", "run"), ("tracks", "tracks")):
        assert cli("info", path).out.startswith(f"{path}: {kind}\n")
        record = json.loads(cli("info", path, "--json").out)
        assert (record["kind"], record["info_version"]) == (kind, 1)
    record = json.loads(cli("evaluate", "--json", "--force").out)
    assert record["format"] == "dilannot-evaluation"
    assert [marker["marker"] for marker in record["markers"]] == ["GM12878_CTCF", "K562_DNase", "K562_H3K27ac"]


def test_dry_runs_leave_nothing(cli: Cli, inputs: Inputs, dataset: Path, place: Path) -> None:
    run = make_run(place / "run", inputs.genome, "toy-blocks")
    before = sorted(os.listdir())
    built = cli("build-data", inputs.genome, inputs.peak_folder, "--dry-run")
    assert built.out.splitlines()[0] == "GM12878_CTCF\tTFBS\tGM12878_CTCF.narrowPeak"
    assert "steps of 2 x 500 nt" in cli("train", dataset, "-o", "other", "--dry-run").out
    assert "100 nt of" in cli("annotate", run, "-r", "chr2:1-100", "--dry-run").out
    assert sorted(os.listdir()) == before


def test_quiet_says_nothing(cli: Cli, inputs: Inputs, place: Path) -> None:
    result = cli("build-data", inputs.genome, inputs.peak_folder, "--window", 500, "-q")
    assert (result.code, result.out, result.err) == (0, "", "")


def bad_calls() -> list[tuple[list[str], int, str]]:
    """Arguments, exit code, pattern on stderr. `G` is the genome, `P` the peaks, `D` the dataset, `R` a run."""
    return [
        (["build-data", "none.fa", "P"], 1, r"none\.fa: file not found"),
        (["build-data", "G", "none"], 1, r"none: file not found"),
        (["build-data", "G", "empty"], 1, r"empty: no peak files found"),
        (["build-data", "P", "P"], 1, r"is a directory, not a file"),
        (["build-data", "text", "P"], 1, r"text:1: does not start with '>'"),
        (["build-data", "cut.gz", "P"], 1, r"cut\.gz: truncated"),
        (["build-data", "http://127.0.0.1:9/x.fa", "P"], 1, r"URL"),
        (["build-data", "G", "P", "--markers", "none.tsv"], 1, r"none\.tsv"),
        (["build-data", "G", "P", "-o", "none/d.h5"], 3, r"mkdir -p none"),
        (["build-data", "G", "P", "--window", "100000"], 1, r"no window of 100,000 bp is left"),
        (["build-data", "G", "P", "--window", "500", "--split", "chromosomes"], 1, r"no window left for validation"),
        (["train"], 1, r"dataset\.h5: file not found"),
        (["train", "text"], 1, r"text: is not an HDF5 file"),
        (["train", "D", "--device", "tpu"], 1, r"--device: no device 'tpu'"),
        (["train", "D", "--device", "cuda:99"], 1, r"no device 'cuda:99' here"),
        (["tune", "--grid", "thesis-task2"], 1, r"dataset\.h5: file not found"),
        (["tune", "D", "--grid", "thesis-task3"], 1, r"no grid 'thesis-task3', and no such file \(did you mean"),
        (["tune", "D", "--grid", "thesis-task1"], 1, r"is not for model 'dilated'; it fits conv3"),
        (["tune", "D", "--grid", "P"], 1, r"is a directory"),
        (["tune", "D", "--grid", "text"], 1, r"text: is not TOML"),
        (["evaluate"], 1, r"run: run folder not found"),
        (["evaluate", "R", "D"], 1, r"its markers are not those of"),
        (["evaluate", "empty"], 1, r"empty: is not a dilannot run"),
        (["plot"], 1, r"run: run folder not found"),
        (["plot", "R"], 1, r"model: has not finished an epoch; wait for its first one"),
        (["plot", "R", "-o", "picture.pdf"], 1, r"picture\.pdf: .*; call it \.png or \.svg"),
        (["plot", "R", "-o", "none/p.png"], 3, r"mkdir -p none"),
        (["compare", "none"], 1, r"none: run folder not found"),
        (["compare", "R"], 1, r"model: has not finished an epoch"),
        (["annotate"], 1, r"no run in run/ here, and no genome for the network that comes with dilannot"),
        (["annotate", "G", "G"], 1, r"is a file, not a run folder"),
        (["annotate", "R", "-r", "1"], 1, r"region 1: no contig '1' in the genome \(did you mean 'chr1'"),
        (["annotate", "R", "-r", "chr1:5"], 1, r"type chr1:5-5"),
        (["annotate", "R", "none.fa"], 1, r"none\.fa: file not found"),
        (["annotate", "R", "-r", "chrM", "--threshold", "7"], 1, r"--threshold"),
        (["annotate", "R", "-r", "chrM", "--tile", "7"], 1, r"--tile.*multiple of 4"),
        (["annotate", "R", "-r", "chrM", "-o", "text"], 1, r"text: exists and is not a directory"),
        (["train", "text/d.h5"], 1, r"text/d\.h5: file not found"),
        (["evaluate", "R", "D", "-o", "."], 1, r"is no file name"),
        (["info", "none"], 1, r"none: not found"),
        (["info", "empty"], 1, r"neither a run nor a tracks folder"),
        (["info", "text"], 1, r"text: is not an HDF5 file"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "pattern"), bad_calls(), ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_input_gets_one_line(
    cli: Cli, inputs: Inputs, dataset: Path, place: Path, arguments: list[str], code: int, pattern: str
) -> None:
    (place / "empty").mkdir()
    (place / "text").write_text("this is no such file\n")
    (place / "cut.gz").write_bytes(bytes.fromhex("1f8b0800000000000003") + b"\x00\x01")
    names = {"G": inputs.genome, "P": inputs.peak_folder, "D": dataset}
    if "R" in arguments:
        names["R"] = make_run(place / "model", inputs.genome, "toy-blocks")
    before = sorted(os.listdir())
    result = cli(*(names.get(argument, argument) for argument in arguments))
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert result.code == code, result.err
    assert len(errors) == 1
    assert re.search(pattern, errors[0]), errors[0]
    assert len(errors[0]) < 500
    assert "Traceback" not in result.err
    assert sorted(os.listdir()) == before, "something was left behind"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_one_may_not_write_to_ends_with_3(cli: Cli, inputs: Inputs, place: Path) -> None:
    place.chmod(0o555)
    assert cli("build-data", inputs.genome, inputs.peak_folder, "--window", 500).code == 3
    place.chmod(0o755)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_command_cleanly(dataset: Path, place: Path, number: signal.Signals, code: int) -> None:
    command = [sys.executable, "-m", "dilannot", "train", str(dataset), "--epochs", "10000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (place / "run" / "metrics.csv").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert [name for name in os.listdir("run") if name.startswith(".")] == [".checkpoint.safetensors"]
    assert {"best.safetensors", "last.safetensors", "metrics.csv"} <= set(os.listdir("run"))


def test_a_reader_that_goes_away_is_no_error(dataset: Path, place: Path) -> None:
    # More than a pipe holds, so that the writer meets the closed end.
    text = "import dilannot.cli, click; click.Group.get_help = lambda *_: 'x' * 10**6; dilannot.cli.main()"
    command = f"{sys.executable} -c \"import sys; sys.argv[1:] = ['--help']; {text}\" | head -c 10 >/dev/null"
    result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_build_data_reports_in_the_forms_asked_for(cli: Cli, inputs: Inputs, tmp_path: Path) -> None:
    build = ("build-data", inputs.genome, inputs.peak_folder, "--window", 500, "-o", tmp_path / "d.h5")
    result = cli(*build, "--report", tmp_path / "r.html", "--report", tmp_path / "r.txt")
    assert result.code == 0
    assert "GM12878_CTCF" in (tmp_path / "r.html").read_text()
    assert "GM12878_CTCF" in (tmp_path / "r.txt").read_text()
    again = cli(*build, "--force", "--report", tmp_path / "r.pdf")
    assert again.code == 1
    assert "call it .html" in again.err


def test_a_report_that_exists_is_kept_and_nothing_is_built(cli: Cli, inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text("mine")
    build = ("build-data", inputs.genome, inputs.peak_folder, "--window", 500, "-o", tmp_path / "d.h5")
    assert cli(*build, "--report", tmp_path / "r.html").code == 1
    assert (tmp_path / "r.html").read_text() == "mine"
    assert not (tmp_path / "d.h5").exists()


def test_outputs_of_a_build_stand_apart(cli: Cli, inputs: Inputs, tmp_path: Path) -> None:
    peak_file = next(inputs.peak_folder.iterdir())
    before = peak_file.read_bytes()
    build = ("build-data", inputs.genome, inputs.peak_folder, "--window", 500, "--force")
    for output, *reports in (
        ("d.txt", "d.txt"), ("d.h5", "r.html", "r.html"), ("d.h5", "sub/../d.h5.txt", "d.h5.txt"),
    ):  # fmt: skip
        (tmp_path / "sub").mkdir(exist_ok=True)
        options = [word for report in reports for word in ("--report", tmp_path / report)]
        result = cli(*build, "-o", tmp_path / output, *options)
        assert result.code == 1
        assert "another output" in result.err
    assert cli(*build, "-o", peak_file).code == 1
    assert peak_file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["sub"]


def test_the_recorded_command_does_not_name_what_changes_nothing(
    cli: Cli, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build = ("build-data", inputs.genome, inputs.peak_folder, "--window", 500)
    written = []
    for options in ((), ("-@", 2), ("-@1", "-qf"), ("--threads=2", "-f", "-q"), ("--report", "r.txt", "--force")):
        assert cli(*build, *options, *(["-f"] if written and "f" not in "".join(map(str, options)) else [])).code == 0
        written.append((tmp_path / "dataset.h5").read_bytes())
    assert len(set(written)) == 1
