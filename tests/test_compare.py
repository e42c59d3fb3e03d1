"""`compare`: what is known of runs, side by side, and what keeps them from being compared."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import toy_models
from conftest import EXAMPLES, Cli
from small_runs import write_run

from dilannot.compare import Comparison, compare
from dilannot.data.markers import Marker
from dilannot.errors import DilannotError
from dilannot.models import registry
from dilannot.progress import Silent
from dilannot.run import TIMING
from dilannot.trust import keep_code

HEADER = (
    "run\tmodel\tparameters\tmarkers\tepochs\tbest epoch\tvalidation loss\tPR AUC TFBS\tPR AUC histone\tPR AUC DNase"
)
TOY = 3 * (toy_models.ToyBlocks.BEFORE + toy_models.ToyBlocks.AFTER + 1)  # parameters for three markers


class Listener(Silent):
    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, message: str) -> None:
        self.warned.append(message)


def write_evaluation(
    folder: Path,
    epoch: int = 3,
    positions: int = 1000,
    protocol: dict[str, object] | None = None,
    **pr_auc: float | None,
) -> None:
    means = {name: {"markers": 1, "roc_auc": 0.5, "pr_auc": value, "base_rate": 0.1} for name, value in pr_auc.items()}
    record = {"format": "dilannot-evaluation", "epoch": epoch, "positions": positions, "class_means": means}
    record |= protocol or {}
    (folder / "evaluation-test.json").write_text(json.dumps(record))


def compared(*folders: Path) -> tuple[Comparison, list[str]]:
    listener = Listener()
    result = compare(folders, progress=listener)
    assert result.warnings == listener.warned
    return result, listener.warned


def test_a_table_of_runs_in_the_order_given(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(Path("b"), watch="loss")
    write_run(Path("a"), {"TFBS": [0.1], "histone": [float("nan")]}, [0.5])
    Path("a", TIMING).unlink()
    result = cli("compare", "b", "a")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        HEADER + "\tnt/s",
        f"b\ttoy-blocks\t{TOY}\t3\t3\t3\t0.3000\t0.200\t0.500\t0.300\t2,000",
        f"a\ttoy-blocks\t{TOY}\t3\t1\t1\t0.5000\t0.100\tNA\tNA\tNA",
    ]


def test_what_train_and_evaluate_leave(cli: Cli, dataset: Path, tmp_path: Path) -> None:
    thin = ("--model", "dilated", "--set", "filters=4", "--set", "dilations=1", "--set", "hidden=3")
    trained = cli("train", dataset, "-o", tmp_path / "run", "--epochs", 3, "--batch-size", 8, *thin)
    assert trained.code == 0, trained.err
    assert cli("evaluate", tmp_path / "run").code == 0
    result = cli("compare", tmp_path / "run", "--json")
    assert (result.code, result.err) == (0, "")  # so the weights are those of the epoch taken for the best
    [row] = json.loads(result.out)["runs"]
    assert (row["epochs"], row["markers"]) == (3, 3)
    assert row["nt_per_s"] > 0
    assert set(row["test_pr_auc"]) == set(row["validation_pr_auc"]) == {"TFBS", "histone", "DNase"}
    assert cli("plot", tmp_path / "run").code == 0


def test_test_figures_have_columns_once_there_are_any(cli: Cli, tmp_path: Path) -> None:
    for name in "ab":
        write_run(tmp_path / name)
    write_evaluation(tmp_path / "b", TFBS=0.25, DNase=None)
    header, first, second = (
        line.split("\t") for line in cli("compare", tmp_path / "a", tmp_path / "b").out.splitlines()
    )
    assert header == [*HEADER.split("\t"), "test PR AUC TFBS", "test PR AUC DNase", "nt/s"]
    assert first[-3:-1] == ["NA", "NA"]
    assert second[-3:-1] == ["0.250", "NA"]


def test_json_says_all_of_it(cli: Cli, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"TFBS": [0.125, 0.3], "histone": [0.2, float("nan")]}, [0.5, float("nan")])
    write_evaluation(run.folder, epoch=2, TFBS=0.2)
    result = cli("compare", run.folder, "--json")
    assert json.loads(result.out) == {
        "compare_version": 1,
        "warnings": [],
        "runs": [
            {
                "run": str(run.folder), "model": "toy-blocks", "parameters": TOY, "markers": 3, "epochs": 2,
                "best_epoch": 2, "validation_loss": None, "validation_pr_auc": {"TFBS": 0.3, "histone": None},
                "test_pr_auc": {"TFBS": 0.2}, "nt_per_s": 1500.0,
            }
        ],
    }  # fmt: skip


def test_runs_of_other_windows_or_markers_are_warned_of(cli: Cli, tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", digest="other", markers=[Marker("x", "TFBS")])
    result = cli("compare", tmp_path / "a", tmp_path / "b")
    assert result.code == 0
    assert len(result.out.splitlines()) == 3
    windows, markers = result.err.splitlines()
    assert windows.startswith(f"warning: {tmp_path / 'b'} learnt from other windows or splits than {tmp_path / 'a'}")
    assert "learnt other markers than" in markers
    assert json.loads(cli("compare", tmp_path / "a", tmp_path / "b", "--json").out)["warnings"][1] in result.err


def test_test_figures_that_do_not_belong_are_warned_of(tmp_path: Path) -> None:
    for name in "ab":
        write_run(tmp_path / name, watch="loss")
        write_evaluation(tmp_path / name, TFBS=0.2)
    assert compared(tmp_path / "a", tmp_path / "b")[1] == []
    write_evaluation(tmp_path / "b", epoch=1, positions=10, TFBS=0.9)
    windows, epoch = compared(tmp_path / "a", tmp_path / "b")[1]
    assert windows == "the runs were tested on different windows: test figures are not comparable"
    assert epoch.startswith(f"{tmp_path / 'b'}: its test figures are of epoch 1, not of the best, 3; dilannot evaluate")


@pytest.mark.parametrize(
    ("field", "one", "other", "said"),
    [
        ("dataset_digest", "a", "b", "datasets"), ("bin", 1, 200, "bins"), ("rc", False, True, "strands"),
        ("regions", None, ["chr1"], "regions"), ("exclude", None, ["chr1"], "regions"),
        ("markers_asked", None, ["CTCF"], "markers"),
    ],
)  # fmt: skip
def test_test_figures_made_in_different_ways_are_warned_of(
    tmp_path: Path, field: str, one: object, other: object, said: str
) -> None:
    for name, value in (("a", one), ("b", one), ("c", other)):
        write_run(tmp_path / name, watch="loss")
        write_evaluation(tmp_path / name, protocol={field: value}, TFBS=0.2)
    write_run(tmp_path / "old", watch="loss")
    write_evaluation(tmp_path / "old", TFBS=0.2)  # before evaluations said how they were made
    assert compared(tmp_path / "a", tmp_path / "b", tmp_path / "old")[1] == []
    [warning] = compared(tmp_path / "a", tmp_path / "old", tmp_path / "c")[1]
    assert warning == f"the runs were tested on different {said}: test figures are not comparable"


def test_all_that_differs_is_in_one_warning(tmp_path: Path) -> None:
    for name, protocol in (("a", {"bin": 1, "rc": False}), ("b", {"bin": 50, "rc": True})):
        write_run(tmp_path / name, watch="loss")
        write_evaluation(
            tmp_path / name, positions=100 + len(protocol) * (name == "b"), protocol=dict(protocol), TFBS=0.2
        )
    [warning] = compared(tmp_path / "a", tmp_path / "b")[1]
    assert warning == "the runs were tested on different bins and strands: test figures are not comparable"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"epoch": 1, "positions": 3, "class_means": {"TFBS": 3}}', "\x00"])
def test_an_evaluation_that_is_none_is_an_error(tmp_path: Path, text: str) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run" / "evaluation-test.json").write_text(text)
    with pytest.raises(DilannotError, match=r"evaluation-test\.json: is no evaluation"):
        compare([tmp_path / "run"])


def test_parameters_of_own_code_are_counted_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_NETWORKS", dict(registry._NETWORKS))
    source = (EXAMPLES / "add_a_model.py").read_bytes() + b"\n# for test_compare\n"
    code = {"file": "add_a_model.py", "sha256": hashlib.sha256(source).hexdigest()}
    run = write_run(tmp_path / "run", model="my-net", code=code)
    (run.folder / "network.py").write_bytes(source)
    assert compare([run.folder]).rows[0].parameters is None
    keep_code(run.folder / "network.py", source)
    assert (compare([run.folder]).rows[0].parameters or 0) > 1000
    (run.folder / "network.py").write_bytes(source + b"#")
    assert compare([run.folder]).rows[0].parameters is None


def test_a_network_nobody_knows_has_no_parameters(tmp_path: Path) -> None:
    write_run(tmp_path / "run", model="gone")
    assert compare([tmp_path / "run"]).rows[0].parameters is None


def test_every_run_must_be_one_with_an_epoch(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    with pytest.raises(DilannotError, match="none: run folder not found"):
        compare([tmp_path / "run", tmp_path / "none"])
    write_run(tmp_path / "new", loss=[])
    with pytest.raises(DilannotError, match="new: has not finished an epoch"):
        compare([tmp_path / "run", tmp_path / "new"])
