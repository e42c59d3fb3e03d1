from __future__ import annotations

import csv
import json
import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import toy_models  # noqa: F401 (registers)
from conftest import Inputs
from safetensors import safe_open
from small_trainings import HYBRID

from dilannot.data.build import build_dataset
from dilannot.data.dataset import Dataset
from dilannot.data.settings import BuildSettings
from dilannot.errors import DilannotError
from dilannot.evaluate.evaluate import evaluate
from dilannot.evaluate.validation import score_split
from dilannot.evaluate.written import write_evaluation
from dilannot.info import describe
from dilannot.models import registry
from dilannot.progress import Silent
from dilannot.run import load_network, read_run
from dilannot.training import train as training
from dilannot.training.losses import interval_cross_entropy_sum
from dilannot.training.prepare import plan
from dilannot.training.settings import Settings

THIN = {
    "filters": (8, 12, 6), "dilations": (1, 1, 3), "deconvolution": 6, "hidden": 7, "kernel": 5, "stride": 5,
}  # fmt: skip
SETTINGS = Settings(epochs=2, batch_size=8, learning_rate=1e-2)


def train(dataset: Path, output: Path, **given: Any) -> None:
    """A `dilated`, where no other network is named."""
    training.train(dataset, output, **{"model": "dilated"} | given)


def metrics(run: Path) -> list[dict[str, str]]:
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_same_seed_gives_the_same_metrics_file_and_weights(dataset: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        settings = Settings(epochs=2, batch_size=8, learning_rate=1e-2, seed=seed)
        train(dataset, tmp_path / name, arguments=THIN, settings=settings, device="cpu")
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir() if path.name != "timing.log"}
        for name in "abc"
    ]
    assert files[0] == files[1]
    assert files[0]["metrics.csv"] != files[2]["metrics.csv"]


def test_a_run_says_what_happened(dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path / "run", arguments=THIN, settings=SETTINGS)
    rows = metrics(tmp_path / "run")
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert set(rows[0]) == {
        "epoch", "step", "learning_rate", "train_loss", "validation_loss", "pr_auc_TFBS", "pr_auc_histone", "pr_auc_DNase"
    }  # fmt: skip
    record = describe(tmp_path / "run")
    assert record["kind"] == "run"
    assert record["epochs"] == 2
    assert record["settings"]["learning_rate"] == 1e-2
    assert Path(record["dataset"]) == dataset
    assert Path(record["genome"]) == dataset.with_name("genome.fa")


def test_training_lowers_the_loss(dataset: Path, tmp_path: Path) -> None:
    settings = Settings(epochs=6, batch_size=4, learning_rate=1e-2)
    train(dataset, tmp_path / "run", arguments=THIN | {"dropout": 0.0}, settings=settings)
    losses = [float(row["train_loss"]) for row in metrics(tmp_path / "run")]
    assert losses[-1] < losses[0]


def test_a_network_learns_what_can_be_learnt(inputs: object, tmp_path: Path) -> None:
    """Peaks on every run of G and C: the network finds them, so the whole way from peaks to PR AUC is right."""
    import numpy as np
    from conftest import write_fasta

    random = np.random.default_rng(0)
    letters = np.where(np.repeat(random.random(2000) < 0.2, 50), random.choice(list("GC"), 100_000), "")
    sequence = np.where(letters == "", random.choice(list("AT"), 100_000), letters)
    genome = write_fasta(tmp_path / "g.fa", {"c": "".join(sequence)})
    rich = np.flatnonzero(letters[::50] != "")
    (tmp_path / "gc.bed").write_text("".join(f"c\t{at * 50}\t{at * 50 + 50}\n" for at in rich))
    build_dataset(genome, [tmp_path / "gc.bed"], tmp_path / "d.h5", BuildSettings(window=1000))
    settings = Settings(epochs=8, batch_size=4, learning_rate=1e-2)
    train(tmp_path / "d.h5", tmp_path / "run", arguments=THIN, settings=settings)
    result = evaluate(tmp_path / "run")
    assert result.scores.pr_auc[0] > 0.95
    assert result.scores.base_rate[0] < 0.4


def test_max_steps_ends_the_training(dataset: Path, tmp_path: Path) -> None:
    settings = Settings(epochs=50, max_steps=3, batch_size=8)
    planned = plan(dataset, settings, output=tmp_path / "run", model="dilated")
    assert planned.startswith("dilated, 515,797 parameters, 3 steps")
    train(dataset, tmp_path / "run", arguments=THIN, settings=settings)
    assert [row["step"] for row in metrics(tmp_path / "run")] == ["3"]


def test_the_saved_network_is_the_trained_one(dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path / "run", arguments=THIN, settings=SETTINGS)
    last, again = (load_network(read_run(tmp_path / "run"), "last") for _ in range(2))
    assert last.epoch == 2
    assert last.sha256 == again.sha256
    sequence = torch.randint(0, 5, (1, 500))
    assert torch.equal(last.network.eval()(sequence), again.network.eval()(sequence))
    assert load_network(read_run(tmp_path / "run"), "best").epoch in (1, 2)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_weights(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = registry._NETWORKS["dilated"].network.forward
    steps = 0

    def diverge(self: torch.nn.Module, sequence: torch.Tensor, keep: tuple[int, int] | None = None) -> torch.Tensor:
        nonlocal steps
        steps += self.training
        result: torch.Tensor = forward(self, sequence, keep)
        return result * float("nan") if steps > 12 and self.training else result

    monkeypatch.setattr(registry._NETWORKS["dilated"].network, "forward", diverge)
    with pytest.raises(DilannotError, match="loss is nan at step 13"):
        train(dataset, tmp_path / "run", arguments=THIN, settings=SETTINGS)
    assert load_network(read_run(tmp_path / "run")).epoch == 1


def test_an_existing_run_is_kept_without_force(dataset: Path, tmp_path: Path) -> None:
    settings = Settings(epochs=1, max_steps=1)
    train(dataset, tmp_path / "run", arguments=THIN, settings=settings)
    with pytest.raises(DilannotError, match="holds a run already"):
        train(dataset, tmp_path / "run", arguments=THIN, settings=settings)
    train(dataset, tmp_path / "run", arguments=THIN, settings=settings, force=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").write_text("mine")
    for force in (False, True):
        with pytest.raises(DilannotError, match="other things in it"):
            train(dataset, tmp_path / "other", arguments=THIN, settings=settings, force=force)


def test_a_step_that_breaks_the_gradient_is_noticed_before_the_weights_are(dataset: Path, tmp_path: Path) -> None:
    settings = Settings(epochs=1, max_steps=2, learning_rate=1e30)
    with pytest.raises(DilannotError, match="is nan|is inf"):
        train(dataset, tmp_path / "run", arguments=THIN, settings=settings)
    assert not (tmp_path / "run" / "best.safetensors").exists()


def test_a_new_run_does_not_keep_the_figures_of_the_old(dataset: Path, tmp_path: Path) -> None:
    settings = Settings(epochs=1, max_steps=1)
    train(dataset, tmp_path / "run", arguments=THIN, settings=settings)
    files = [tmp_path / "run" / f"evaluation-test-rc{suffix}" for suffix in (".tsv", ".json")]
    write_evaluation(evaluate(tmp_path / "run"), *files)
    train(dataset, tmp_path / "run", arguments=THIN, settings=settings, force=True)
    assert not any(file.exists() for file in files)


def test_what_a_killed_training_leaves_is_no_obstacle(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "markers.tsv").write_text("half")
    train(dataset, tmp_path / "run", arguments=THIN, settings=Settings(epochs=1, max_steps=1))
    assert read_run(tmp_path / "run").model == "dilated"


def test_run_dataset_and_genome_move_together(inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "here"
    place.mkdir()
    shutil.copy(inputs.genome, place / "genome.fa")
    monkeypatch.chdir(place)
    build_dataset(Path("genome.fa"), [inputs.peak_folder], Path("dataset.h5"), BuildSettings(window=500))
    train(Path("dataset.h5"), Path("run"), arguments=THIN, settings=Settings(epochs=1, max_steps=1))
    place.rename(tmp_path / "there")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    # A link to the run folder, with a file of the dataset's name beside it that is not the one.
    Path("run").symlink_to(tmp_path / "there" / "run")
    Path("dataset.h5").write_text("not this one")
    assert evaluate(Path("run")).scores.positions > 0
    run = read_run(Path("run"))
    assert run.path_of(run.genome).resolve() == (tmp_path / "there" / "genome.fa").resolve()


def test_the_record_holds_every_argument(dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path / "run", arguments=THIN, settings=Settings(epochs=1, max_steps=1))
    arguments = read_run(tmp_path / "run").arguments
    assert arguments == {
        "filters": [8, 12, 6], "dilations": [1, 1, 3], "pools": None, "deconvolution": 6, "kernel": 5, "stride": 5,
        "hidden": 7, "batch_norm": True,
        "batch_norm_decay": 0.9, "dropout": 0.01, "embedding": 4,
    }  # fmt: skip


def test_window_datasets_train_and_evaluate_through_the_same_loop(inputs: Inputs, tmp_path: Path) -> None:
    bins = BuildSettings(task="window", bin=50, context=75, split="blocks")
    build_dataset(inputs.genome, [inputs.peak_folder], tmp_path / "d.h5", bins)
    settings = Settings(epochs=2, batch_size=16, reverse_complement=True, shift=5)
    train(tmp_path / "d.h5", tmp_path / "run", model="toy-bin", settings=settings)
    result = evaluate(tmp_path / "run")
    assert result.protocol["windows"] == result.scores.positions > 0
    with Dataset(tmp_path / "d.h5") as data:
        assert result.scores.positives.tolist() == data.positives[:, 2].tolist()


def test_where_no_network_is_named_a_dense_dataset_trains_hybrid(dataset: Path, tmp_path: Path) -> None:
    settings = Settings(epochs=1, max_steps=1, batch_size=8)
    assert plan(dataset, settings, output=tmp_path / "run").startswith("hybrid, ")
    training.train(dataset, tmp_path / "run", arguments=HYBRID, settings=settings)
    run = read_run(tmp_path / "run")
    assert run.model == "hybrid"
    assert HYBRID.items() <= run.arguments.items()


def test_a_network_of_the_other_task_is_refused(inputs: Inputs, dataset: Path, tmp_path: Path) -> None:
    bins = BuildSettings(task="window", bin=50, context=75, split="blocks")
    build_dataset(inputs.genome, [inputs.peak_folder], tmp_path / "d.h5", bins)
    with pytest.raises(DilannotError, match=r"d\.h5: is a window dataset, and model 'dilated' learns from dense ones"):
        train(tmp_path / "d.h5", tmp_path / "run", model="dilated")
    with pytest.raises(DilannotError, match="dilannot models --task dense"):
        train(dataset, tmp_path / "run", model="toy-bin")
    assert not (tmp_path / "run").exists()


def test_workers_do_not_change_the_result(dataset: Path, tmp_path: Path) -> None:
    settings = Settings(epochs=1, batch_size=4, reverse_complement=True, shift=40)
    for workers in (0, 2):
        train(dataset, tmp_path / f"run{workers}", arguments=THIN, settings=settings, workers=workers)
    assert (tmp_path / "run0/metrics.csv").read_bytes() == (tmp_path / "run2/metrics.csv").read_bytes()
    assert (tmp_path / "run0/best.safetensors").read_bytes() == (tmp_path / "run2/best.safetensors").read_bytes()


def test_patience_ends_a_training_that_no_longer_gets_better(dataset: Path, tmp_path: Path) -> None:
    """Without a rate worth the name nothing changes after the first epoch."""
    settings = Settings(epochs=9, batch_size=8, learning_rate=1e-20, patience=2, watch="loss")
    train(dataset, tmp_path / "run", arguments=THIN | {"batch_norm": False}, settings=settings, device="cpu")
    assert [row["epoch"] for row in metrics(tmp_path / "run")] == ["1", "2", "3"]
    assert load_network(read_run(tmp_path / "run")).epoch == 1
    assert load_network(read_run(tmp_path / "run"), "last").epoch == 3


def test_a_plateau_lowers_the_rate(dataset: Path, tmp_path: Path) -> None:
    settings = Settings(
        epochs=6, batch_size=8, learning_rate=1e-20, warmup=0.0, watch="loss",
        schedule="plateau", plateau_patience=2, plateau_factor=0.5,
    )  # fmt: skip
    train(dataset, tmp_path / "run", arguments=THIN | {"batch_norm": False}, settings=settings)
    rates = [float(row["learning_rate"]) for row in metrics(tmp_path / "run")]
    assert rates == pytest.approx([1e-20, 1e-20, 1e-20, 5e-21, 5e-21, 2.5e-21], rel=1e-9, abs=0)


def test_who_listens_sees_every_epoch_and_can_end_the_training(dataset: Path, tmp_path: Path) -> None:
    seen: list[dict[str, object]] = []

    def listen(row: Mapping[str, Any]) -> bool:
        seen.append(dict(row))
        return len(seen) < 2

    settings = Settings(epochs=5, batch_size=8)
    train(dataset, tmp_path / "run", arguments=THIN, settings=settings, after_epoch=listen)
    assert [row["epoch"] for row in seen] == [1, 2]
    assert [row["epoch"] for row in metrics(tmp_path / "run")] == ["1", "2"]


def test_tensorboard_gets_the_figures_of_the_metrics(dataset: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(dataset, tmp_path / "run", arguments=THIN, settings=SETTINGS, tensorboard=True)
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    rows = metrics(tmp_path / "run")
    assert set(events.Tags()["scalars"]) == set(rows[0]) - {"epoch", "step"}
    losses = events.Scalars("validation_loss")
    assert [event.value for event in losses] == pytest.approx([float(row["validation_loss"]) for row in rows], rel=1e-5)
    assert [event.step for event in losses] == [int(row["step"]) for row in rows]
    train(dataset, tmp_path / "run", arguments=THIN, settings=SETTINGS, force=True)
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_without_tensorboard_it_says_what_to_install(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(DilannotError, match="pip install"):
        train(dataset, tmp_path / "run", arguments=THIN, settings=SETTINGS, tensorboard=True)


def test_averaged_weights_are_validated_and_kept(dataset: Path, tmp_path: Path) -> None:
    for name, ema in (("plain", 0.0), ("averaged", 0.5)):
        settings = Settings(epochs=2, batch_size=8, learning_rate=1e-2, ema=ema)
        train(dataset, tmp_path / name, arguments=THIN | {"dropout": 0.0}, settings=settings)
    rows = [metrics(tmp_path / name) for name in ("plain", "averaged")]
    assert [row["train_loss"] for row in rows[0]] == [row["train_loss"] for row in rows[1]]
    assert [row["validation_loss"] for row in rows[0]] != [row["validation_loss"] for row in rows[1]]
    with Dataset(dataset) as data:
        loaded = load_network(read_run(tmp_path / "averaged"), "last").network
        _, loss = score_split(
            loaded, data, "validation", batch_size=4, device=torch.device("cpu"), progress=Silent(), loss=interval_cross_entropy_sum
        )  # fmt: skip
    assert loss == pytest.approx(float(rows[1][-1]["validation_loss"]), rel=1e-5)


def test_the_speed_is_kept_apart(dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path / "run", arguments=THIN, settings=SETTINGS)
    with open(tmp_path / "run" / "timing.log", newline="") as file:
        rows = list(csv.DictReader(file))
    with Dataset(dataset) as data:
        nucleotides = len(data.rows("train")) * data.length
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row in rows:
        assert int(row["nt"]) == nucleotides
        assert float(row["nt_per_s"]) == pytest.approx(nucleotides / float(row["seconds"]), rel=1e-4)
        assert float(row["memory_gb"]) > 0


def test_published_start_weights_do_not_know_base_rates(dataset: Path, tmp_path: Path) -> None:
    losses = {}
    for initial in ("base-rates", "published", "default"):
        settings = Settings(epochs=1, max_steps=1, batch_size=8, learning_rate=1e-20, initial=initial)
        train(dataset, tmp_path / initial, arguments=THIN, settings=settings)
        losses[initial] = float(metrics(tmp_path / initial)[0]["train_loss"])
    assert losses["base-rates"] < min(losses["default"], losses["published"]) - 0.01
    assert losses["default"] != losses["published"]


def test_the_weights_say_all_that_is_known_of_them(dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path / "run", arguments=THIN, settings=SETTINGS)
    with safe_open(tmp_path / "run" / "best.safetensors", "pt") as file:
        record = json.loads(file.metadata()["dilannot"])
    assert record["run"] == json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["settings"] == tomllib.loads((tmp_path / "run" / "settings.toml").read_text())
    assert record["markers"] == [marker.name for marker in read_run(tmp_path / "run").markers]
    assert len(record["sha256"]) == 64
