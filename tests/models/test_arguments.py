"""`--set NAME=VALUE`: what a text means, what is refused, and that what is printed can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from conftest import EXAMPLES, Cli, Inputs
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import nn

from dilannot.data.build import build_dataset
from dilannot.data.settings import BuildSettings
from dilannot.errors import DilannotError
from dilannot.models import entry, names, parameters_of, registry
from dilannot.models.arguments import parse_arguments, write_argument
from dilannot.models.describe import describe
from dilannot.training.settings import Settings
from dilannot.training.train import train

OURS = [name for name in names() if not name.startswith("toy-") and entry(name).code is None]


class Everything(nn.Module):
    """An argument of every type there is."""

    def __init__(
        self,
        n_outputs: int,
        *,
        whole: int = 1,
        number: float = 0.5,
        flag: bool = False,
        word: str = "relu",
        maybe: int | None = None,
        several: Sequence[int] = (1, 2),
        rates: Sequence[float] = (0.1,),
        either: Sequence[int] | int = 3,
        nested: Sequence[Sequence[int] | None] = ((4, 4), None),
        words: Sequence[str] = ("a", "b"),
        choice: Literal["max", "mean"] = "max",
        pair: tuple[int, int] = (1, 2),
        untyped=None,
    ) -> None:
        super().__init__()


@pytest.fixture(autouse=True)
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registered for a test only."""
    monkeypatch.setattr(registry, "_NETWORKS", dict(registry._NETWORKS))
    registry.register("toy-everything")(Everything)


def parsed(*typed: str) -> dict[str, Any]:
    return parse_arguments("toy-everything", typed)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("whole=7", 7),
        (" whole = 7 ", 7),
        ("whole=-7", -7),
        ("number=0.25", 0.25),
        ("number=.25", 0.25),
        ("number=1e-3", 0.001),
        ("number=2", 2),
        ("flag=true", True),
        ("flag=True", True),
        ("flag=FALSE", False),
        ("word=gelu", "gelu"),
        ("word=5", "5"),
        ("word=a=b", "a=b"),
        ('word="gelu"', "gelu"),
        ("word=", ""),
        ("maybe=null", None),
        ("maybe=None", None),
        ("maybe=4", 4),
        ("several=64,120,50", [64, 120, 50]),
        ("several=64, 120,  50", [64, 120, 50]),
        ("several=[64,120,50]", [64, 120, 50]),
        ("several=64", [64]),
        ("several=", []),
        ("several=[]", []),
        ("rates=.1,0,0.3", [0.1, 0, 0.3]),
        ("either=5", 5),
        ("either=5,7", [5, 7]),
        ("either=[5]", [5]),
        ("nested=[[5,1],null]", [[5, 1], None]),
        ("nested=[5,1],null,None", [[5, 1], None, None]),
        ("nested=null", [None]),
        ("words=x,y", ["x", "y"]),
        ("words=x", ["x"]),
        ('words=["x,y"]', ["x,y"]),
        ("choice=mean", "mean"),
        ("pair=3,4", [3, 4]),
        ("untyped=3", 3),
        ("untyped=text", "text"),
    ],
)
def test_a_text_means(text: str, value: object) -> None:
    (found,) = parsed(text).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("whole=a", "whole=a is not a whole number; its default is whole=1"),
        ("whole=2.5", "is not a whole number"),
        ("whole=true", "is not a whole number"),
        ("whole=1,2", "is not a whole number"),
        ("whole=", "is not a whole number"),
        ("whole=" + "9" * 30, "is not a whole number"),
        ("whole=" + "9" * 6000, "is not a whole number"),
        ("number=high", "number=high is not a number; its default is number=0.5"),
        ("number=NaN", "is not a number"),
        ("number=Infinity", "is not a number"),
        ("number=1e999", "is not a number"),
        ("number=true", "is not a number"),
        ("flag=1", "flag=1 is not true or false; its default is flag=false"),
        ("maybe=a", "is not a whole number, or null; its default is maybe=null"),
        ("several=a", "several=a is not a list of whole numbers; its default is several=1,2"),
        ("several=1,2.5", "is not a list of whole numbers"),
        ("several=1,000", "is not a list of whole numbers"),
        ("several=1,null", "is not a list of whole numbers"),
        ("several=(1,2)", "is not a list of whole numbers"),
        ("rates=.1,high", "is not a list of numbers; its default is rates=[0.1]"),
        ("either=a", "is not a list of whole numbers, or a whole number; its default is either=3"),
        ("nested=5", "is not a list of lists of whole numbers or null; its default is nested=[[4,4],null]"),
        ("nested=[[5,a]]", "is not a list of lists of whole numbers or null"),
        ("nested=" + "[" * 100_000, "is not a list of lists"),
        ("choice=median", "choice=median is not max or mean; its default is choice=max"),
        ("pair=1,2,3", "is not a list of whole numbers"),
        ("whole", "--set: 'whole' has no '='; write NAME=VALUE"),
        ("whoel=3", "takes no argument 'whoel' (did you mean 'whole'?); it takes whole, number"),
        ("=3", "takes no argument ''"),
        ("n_outputs=3", "takes no argument 'n_outputs'"),
    ],
    ids=lambda text: text[:40],
)
def test_another_type_or_name_is_refused(text: str, message: str) -> None:
    with pytest.raises(DilannotError) as error:
        parsed(text)
    assert message in str(error.value)


def test_dashes_are_underscores() -> None:
    assert parse_arguments("dilated", ["batch-norm-decay=0.99"]) == {"batch_norm_decay": 0.99}


def test_the_last_of_several_counts() -> None:
    assert parsed("whole=1", "number=2", "whole=3") == {"whole": 3, "number": 2}


def test_annotations_that_only_a_type_checker_can_read_are_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Everything.__init__.__annotations__, "whole", "OnlyForTypeCheckers")
    assert parsed("several=1,2", "word=gelu") == {"several": [1, 2], "word": "gelu"}


VALUES = {
    "whole": st.integers(-(2**31) + 1, 2**31 - 1),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "flag": st.booleans(),
    "word": st.text(),
    "maybe": st.none() | st.integers(0, 9),
    "several": st.lists(st.integers(-9, 9)),
    "rates": st.lists(st.floats(0, 1)),
    "either": st.integers(0, 9) | st.lists(st.integers(0, 9)),
    "nested": st.lists(st.none() | st.lists(st.integers(0, 9))),
    "words": st.lists(st.text()),
    "choice": st.sampled_from(["max", "mean"]),
    "pair": st.tuples(st.integers(0, 9), st.integers(0, 9)).map(list),
}


@hypothesis_settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries(VALUES))
def test_what_is_written_is_read_back(arguments: dict[str, Any]) -> None:
    assert parsed(*(f"{key}={write_argument(value)}" for key, value in arguments.items())) == arguments


@pytest.mark.parametrize("name", OURS)
def test_the_arguments_that_models_prints_give_the_same_network(cli: Cli, name: str) -> None:
    (line,) = (line for line in cli("models", name).out.splitlines() if line.startswith("  arguments: "))
    typed = shlex.split(line.removeprefix("  arguments: "))
    assert [text.split("=")[0] for text in typed] == list(parameters_of(name))
    usual = describe(name)
    assert replace(describe(name, arguments=parse_arguments(name, typed)), published=usual.published) == usual


@pytest.mark.parametrize(
    ("name", "typed", "message"),
    [
        ("dilated", ["filters=0,1,1,1,1"], "filters, kernel, stride and dilation are 1 or more"),
        ("dilated", ["kernel=-3"], "filters, kernel, stride and dilation are 1 or more"),
        ("dilated", ["stride=0"], "filters, kernel, stride and dilation are 1 or more"),
        ("dilated", ["hidden=0"], "1 or more"),
        ("dilated", ["dropout=2"], "between 0 and 1"),
        ("dilated", ["batch-norm-decay=7"], "a batch norm decay of 7 is not between 0 and 1"),
        ("dilated", ["filters=64,120"], "one of each per convolution"),
        ("dilated", ["pools=[[5,1]]"], "one of each per convolution"),
        ("id-cnn", ["applications=0"], "1 to 100 applications"),
        ("id-cnn", ["dilations=1"], "with a dilation each"),
        ("conv3", ["length=20", "same=false"], "windows of 20 bp are too short"),
        ("conv3", ["kernels=8,8"], "kernels has 2 entries, and there are 3 convolutions"),
        ("conv3", ["dropouts=.1,.1"], "dropouts has 2 entries, and there are 3 convolutions"),
        ("conv3", ["pools=null"], "pools has 1 entries, and there are 3 convolutions"),
        ("conv3", ["hidden-dropout=-1"], "between 0 and 1"),
        ("cnn-500", ["length=400"], "windows of 400 bp have no central 500 bp"),
        ("mlp", ["hidden=0"], "a hidden layer has 1 unit or more"),
        ("kmer", ["k=0"], "k-mers of 0 bases; use 1 to 10"),
        ("kmer", ["k=40"], "k-mers of 40 bases; use 1 to 10"),
        ("pssm", ["motifs=0"], "a scan needs a motif"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_values_that_make_no_network_get_one_line(cli: Cli, name: str, typed: list[str], message: str) -> None:
    result = cli("models", name, *(word for text in typed for word in ("--set", text)))
    assert (result.code, result.out) == (1, "")
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith(f"error: model '{name}' cannot be built: ")
    assert message in result.err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dilated", "pools=[[0,1],null,null,null,null]"),
        ("dilated", "pools=[[5,0],null,null,null,null]"),
        ("dilated", "embedding=0"),
        ("dilated", "embedding=-1"),
        ("bilstm", "embedding=-1"),
        ("conv3", "pools=[[4,0],null,null]"),
        ("conv3", "pools=[[4],null,null]"),
        ("conv3", "projection=-1"),
    ],
)
def test_values_that_only_torch_notices_are_refused(name: str, text: str) -> None:
    with pytest.raises(DilannotError):
        describe(name, 3, arguments=parse_arguments(name, [text]))


def test_a_dense_network_without_convolutions_is_refused() -> None:
    with pytest.raises(DilannotError):
        describe("dilated", 3, arguments=parse_arguments("dilated", ["filters=", "dilations="]))


@pytest.fixture(scope="module")
def bins(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bins of 50 bp in 200 bp of sequence."""
    path = tmp_path_factory.mktemp("bins") / "bins.h5"
    settings = BuildSettings(task="window", bin=50, context=75, split="blocks")
    build_dataset(inputs.genome, [inputs.peak_folder], path, settings)
    return path


@pytest.mark.parametrize(
    ("model", "text"), [("logistic", "length=100"), ("pssm", "motifs=5"), ("pssm", "motif_width=5")]
)
def test_arguments_that_do_not_fit_the_data_are_refused(bins: Path, tmp_path: Path, model: str, text: str) -> None:
    motifs = EXAMPLES / "motifs.meme" if model == "pssm" else None
    settings = Settings(epochs=1, max_steps=1, batch_size=8)
    with pytest.raises(DilannotError):
        train(bins, tmp_path / "run", model=model, arguments=[text], motifs=motifs, settings=settings)
