"""Every network goes the whole way through the same loop, loss and commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyBigWig
import pytest
import torch
from conftest import EXAMPLES, Inputs

from dilannot.annotate.annotate import annotate
from dilannot.annotate.plan import Scope
from dilannot.data.build import build_dataset
from dilannot.data.settings import BuildSettings
from dilannot.errors import DilannotError
from dilannot.evaluate.evaluate import evaluate
from dilannot.evaluate.protocol import Protocol
from dilannot.models import entry, full_arguments, names
from dilannot.models.describe import describe
from dilannot.run import load_network, read_run
from dilannot.training.settings import Settings
from dilannot.training.train import train

OURS = [name for name in names() if not name.startswith("toy-") and entry(name).code is None]
MOTIFS = EXAMPLES / "motifs.meme"


@pytest.fixture(scope="module")
def bins(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bins of 200 bp in 1,000 bp of sequence."""
    path = tmp_path_factory.mktemp("bins") / "bins.h5"
    build_dataset(inputs.genome, [inputs.peak_folder], path, BuildSettings(task="window", split="blocks"))
    return path


def thin(name: str) -> dict[str, Any]:
    """The arguments of a network with an eighth of the filters, so that many are quick."""
    arguments = full_arguments(name, {})
    few = {key: [max(4, width // 8) for width in arguments[key]] for key in ("filters", "hidden") if key in arguments
           and isinstance(arguments[key], list)}  # fmt: skip
    return few | ({"state": 8} if "state" in arguments else {})


@pytest.mark.parametrize("name", OURS)
def test_it_trains_evaluates_and_annotates(name: str, dataset: Path, bins: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(
        dataset if entry(name).output == "dense" else bins,
        run,
        model=name,
        arguments=thin(name),
        motifs=MOTIFS if entry(name).needs_motifs else None,
        settings=Settings(epochs=1, max_steps=2, batch_size=4),
    )
    assert evaluate(run, protocol=Protocol("validation")).scores.positions > 0
    result = annotate(run, output=tmp_path / "tracks", scope=Scope(["chr2:1,001-2,345"]))
    assert result.nucleotides == 1_345
    with pyBigWig.open(str(tmp_path / "tracks" / result.tracks[0]["bigwig"])) as track:
        values = track.values("chr2", 1_000, 2_345, numpy=True)
    assert ((values >= 0) & (values <= 1)).all()


def test_a_network_that_needs_motifs_says_so(bins: Path, tmp_path: Path) -> None:
    with pytest.raises(DilannotError, match="starts from known motifs; give --motifs FILE"):
        train(bins, tmp_path / "run", model="danq-jaspar")


def test_a_scan_keeps_its_motifs_through_training(bins: Path, tmp_path: Path) -> None:
    run = train(
        bins, tmp_path / "run", model="pssm", motifs=MOTIFS, settings=Settings(epochs=1, max_steps=2, batch_size=4)
    )
    assert run.motifs is not None
    assert run.motifs["file"] == "motifs.meme"
    assert run.arguments["motifs"] == run.motifs["count"] == 20
    matrices = load_network(read_run(tmp_path / "run")).network.chain[1].matrices
    assert matrices.count_nonzero() > 500
    assert not matrices.requires_grad


def test_arguments_typed_and_given_make_the_same_run(bins: Path, tmp_path: Path) -> None:
    settings = Settings(epochs=1, max_steps=1, batch_size=4)
    typed = train(bins, tmp_path / "a", model="mlp", arguments=["hidden=7,5", "dropout=0.01"], settings=settings)
    given = train(bins, tmp_path / "b", model="mlp", arguments={"hidden": [7, 5], "dropout": 0.01}, settings=settings)
    assert typed.arguments == given.arguments
    weights = (load_network(read_run(tmp_path / name)).network.state_dict() for name in "ab")
    for one, other in zip(*(each.values() for each in weights), strict=True):
        assert torch.equal(one, other)


def test_bins_of_another_geometry_are_not_evaluated(bins: Path, inputs: Inputs, tmp_path: Path) -> None:
    train(bins, tmp_path / "run", model="kmer", settings=Settings(epochs=1, max_steps=1, batch_size=4))
    for name, settings in (("bin", {"bin": 100}), ("context", {"context": 300})):
        other = tmp_path / f"{name}.h5"
        build_dataset(
            inputs.genome, [inputs.peak_folder], other, BuildSettings(task="window", split="blocks", **settings)
        )
        with pytest.raises(DilannotError, match="learnt from 200 in 1,000; build it with the same --bin and --context"):
            evaluate(tmp_path / "run", other, protocol=Protocol("validation"))


def test_the_record_says_how_long_a_window_was(bins: Path, tmp_path: Path) -> None:
    train(bins, tmp_path / "run", model="kmer", settings=Settings(epochs=1, max_steps=1, batch_size=4))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["output"], record["window"], record["length"], record["code"]) == ("window", 200, 1_000, None)


def test_a_window_of_one_is_no_obstacle_to_batch_norm(bins: Path, tmp_path: Path) -> None:
    train(
        bins, tmp_path / "run", model="basset", arguments=thin("basset"),
        settings=Settings(epochs=1, max_steps=2, batch_size=1),
    )  # fmt: skip
    weights = load_network(read_run(tmp_path / "run")).network.state_dict().values()
    assert all(each.isfinite().all() for each in weights)


# Every value of the published grids, and what the rest of the network does not allow it to change.
GRIDS = [
    ("conv3", "kernels", (4, 8, 12)),
    ("dilated3", "filters", ([120] * 3, [240] * 3, [360] * 3)),
    ("dilated6", "hidden", ([500], [919], [1500])),
    ("conv3", "dropouts", (0.1, 0.01)),
    ("dilated", "filters", ([64, 120, 50, 50, 50], [128, 240, 128, 128, 128])),
    ("dilated", "stride", (1, 10, 20)),
    ("dilated", "hidden", (125, 200)),
    ("dilated", "batch_norm_decay", (0.9, 0.99)),
    ("dilated", "dropout", (0.1, 0.01)),
    ("bilstm", "stride", (10, 20, 50, 100)),
    ("bilstm", "hidden", (64, 125, 200)),
    ("bilstm", "state", (20, 40, 80)),
    ("conv3-dense-thesis", "stride", (1, 10)),
    ("danq-500", "filters", ([300], [500], [750], [1000])),
    ("cnn-500-projection", "dropouts", (0.0, 0.2)),
    ("kmer", "k", (4, 6)),
]


@pytest.mark.parametrize(("name", "argument", "values"), GRIDS)
def test_values_of_the_published_grids_can_be_asked_for(name: str, argument: str, values: tuple[Any, ...]) -> None:
    found = [describe(name, arguments={argument: value}) for value in values]
    assert [each.arguments[argument] for each in found] == list(values)
    assert len({each.layers for each in found}) == len(values), "each makes another network"


def test_a_window_that_dilations_pass_over_is_refused() -> None:
    """After four pools of 1,000 bp, 60 positions are left: all taps of the last convolution lie outside them."""
    wide = {"dilations": [1, 3, 9, 27, 81, 243]}
    with pytest.raises(DilannotError, match="in windows of 1,000 bp, a dilated convolution sees nothing but padding"):
        describe("dilated6", arguments=wide)
    assert describe("dilated6", length=2_000, arguments=wide).field is not None


def test_plain_and_strided_networks_have_as_many_parameters() -> None:
    strided, plain = (describe("conv3-dense-thesis", arguments={"stride": stride}) for stride in (10, 1))
    assert strided.parameters == plain.parameters == 554_675
    assert "ConvTranspose1d" not in {layer.kind for layer in plain.layers}
