"""A network in a file of the user's own: found or refused with a reason, trained, kept, and run only where trusted."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import EXAMPLES, Cli, Inputs

from dilannot.annotate.annotate import annotate
from dilannot.annotate.plan import Scope
from dilannot.data.build import build_dataset
from dilannot.data.settings import BuildSettings
from dilannot.errors import DilannotError
from dilannot.evaluate.evaluate import evaluate
from dilannot.models import build, context_of, entry, names, registry, resolve
from dilannot.models.describe import describe
from dilannot.predict import predicting
from dilannot.run import Run, load_network, read_run
from dilannot.training.settings import Settings
from dilannot.training.train import train
from dilannot.walk import ExactTiles, OverlappingWindows, walk_of

SHORT = Settings(epochs=1, max_steps=2, batch_size=8)
EXAMPLE = EXAMPLES / "add_a_model.py"

# forward(sequence) and nothing else that dilannot knows of.
PLAIN = """\
from torch import nn

from dilannot.models import register


@register("plain")
class Plain(nn.Module):
    def __init__(self, n_outputs, channels=3):
        super().__init__()
        self.embed = nn.Embedding(5, channels)
        self.last = nn.Conv1d(channels, n_outputs, 5, padding=2)

    def forward(self, sequence):
        return self.last(self.embed(sequence.int()).transpose(1, 2))
"""

SEVERAL = """\
from dilannot.models import register
from dilannot.models.blocks import Embed
from dilannot.models.network import DenseNetwork
from torch import nn

@register("wide", channels=8)
@register("narrow")
class Presets(DenseNetwork):
    def __init__(self, n_outputs, channels=2):
        super().__init__([Embed(channels)], [nn.Conv1d(channels, n_outputs, 1)])

@register("other")
class Other(Presets):
    pass
"""

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "_NETWORKS", dict(registry._NETWORKS))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write `my_net.py` into an empty working folder."""
    monkeypatch.chdir(tmp_path)

    def file(text: str) -> Path:
        Path("my_net.py").write_text(text)
        return Path("my_net.py")

    return file


def refusal(model: str) -> str:
    with pytest.raises(DilannotError) as error:
        resolve(model)
    return str(error.value)


# Which network is meant.


def test_a_file_with_one_network_needs_no_name(write: Write) -> None:
    write(PLAIN)
    assert {resolve(f"my_net.py{which}") for which in ("", ":", ":Plain", ":plain")} == {"plain"}


def test_one_of_several_is_chosen_by_class_or_name(write: Write) -> None:
    write(SEVERAL)
    assert resolve("my_net.py:Other") == resolve("my_net.py:other") == "other"
    assert (resolve("my_net.py:wide"), entry("wide").preset) == ("wide", {"channels": 8})


def test_several_without_a_name_are_listed(write: Write) -> None:
    write(SEVERAL)
    assert refusal("my_net.py") == (
        "my_net.py: registers several networks; use my_net.py:wide or my_net.py:narrow or my_net.py:other"
    )


def test_a_class_of_several_names_does_not_say_which(write: Write) -> None:
    write(SEVERAL)
    assert refusal("my_net.py:Presets") == (
        "my_net.py: registers several networks as Presets; use my_net.py:wide or my_net.py:narrow"
    )


@pytest.mark.parametrize(("typed", "meant"), [("Otter", "Other"), ("wdie", "wide"), ("other2", "other")])
def test_near_matches_are_named(write: Write, typed: str, meant: str) -> None:
    write(SEVERAL)
    message = refusal(f"my_net.py:{typed}")
    assert message.startswith(f"my_net.py: registers no {typed!r} (did you mean {meant!r}")
    assert message.endswith("; use my_net.py:wide or my_net.py:narrow or my_net.py:other")


def test_a_name_without_a_file_is_one_of_dilannots() -> None:
    assert resolve("dilated") == "dilated"
    assert "no model called 'dilatd' (did you mean 'dilated'" in refusal("dilatd")


def test_paths_may_hold_colons_and_be_absolute(tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    path = tmp_path / "a:b" / "my:net.py"
    path.write_text(PLAIN)
    assert resolve(f"{path}:Plain") == resolve(str(path)) == "plain"
    assert entry("plain").code.path == path


# Files that give none.


def test_no_file(write: Write) -> None:
    assert refusal("none.py:Net") == "none.py: not found; --model takes a name or FILE.py:CLASS"


def test_a_folder(write: Write) -> None:
    Path("folder.py").mkdir()
    assert refusal("folder.py:Net").startswith("folder.py: is a folder")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"x = 1\ndef f(:\n    pass\n", "my_net.py:2: is not valid Python: "),
        (b"if True:\nx = 1\n", "my_net.py:2: is not valid Python: expected an indented block"),
        (b"x = '\xff'\n", "my_net.py:1: is not valid Python: "),
        (b"x = 1\0\n", "my_net.py: is not valid Python: source code string cannot contain null bytes"),
    ],
)
def test_a_syntax_error_is_one_line_with_its_place(write: Write, cli: Cli, code: bytes, message: str) -> None:
    write("").write_bytes(code)
    result = cli("models", "my_net.py:Net")
    assert result.code == 1
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith(f"error: {message}")


def test_an_exception_keeps_its_traceback(write: Write) -> None:
    write("def helper():\n    return 1 / 0\n\nhelper()\n")
    with pytest.raises(ZeroDivisionError) as error:
        resolve("my_net.py:Net")
    frames = traceback.extract_tb(error.value.__traceback__)[-2:]
    assert [(frame.filename, frame.lineno, frame.line) for frame in frames] == [
        ("my_net.py", 4, "helper()"),
        ("my_net.py", 2, "return 1 / 0"),
    ]


def test_a_file_that_registers_nothing_says_how(write: Write) -> None:
    write(PLAIN.replace('@register("plain")\n', ""))
    message = 'my_net.py: registers no network; put @register("my-net", output="dense") above its class'
    assert refusal("my_net.py:Plain") == refusal("my_net.py") == message


def test_the_name_of_one_of_dilannots_is_taken(write: Write) -> None:
    before = entry("dilated")
    write(PLAIN.replace('"plain"', '"dilated"'))
    assert refusal("my_net.py").startswith("my_net.py: 'dilated' is the name of another network")
    assert entry("dilated") is before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_outputs, channels=3", "outputs, channels=3", "Plain.__init__: missing a required argument: 'outputs'"),
        ("n_outputs, channels=3", "channels=3", "Plain.__init__: got an unexpected keyword argument 'n_outputs'"),
        ("channels=3", "channels", "Plain.__init__: missing a required argument: 'channels'"),
        ('("plain")', '("plain", chanels=4)', "Plain.__init__: got an unexpected keyword argument 'chanels'"),
        ("channels=3", "channels=nn.ReLU", "defaults are numbers, texts, lists or None"),
        ("def forward(self, sequence)", "def forward(self, x)", "its arguments are called self, sequence"),
        ("def forward", "def forwards", "Plain.forward"),
        ("Plain(nn.Module)", "Plain(dict)", "'plain' is no class of networks; derive it from torch.nn.Module"),
    ],
)
def test_a_class_that_could_not_be_trained_is_refused(write: Write, old: str, new: str, message: str) -> None:
    write(PLAIN.replace(old, new))
    refused = refusal("my_net.py")
    assert refused.startswith("my_net.py: ")
    assert message in refused


# What runs is the file as it is.


def test_a_changed_file_is_run_anew(write: Write) -> None:
    path = write(PLAIN)
    assert build(resolve("my_net.py"), 2).embed.weight.shape == (5, 3)
    stat = path.stat()
    write(PLAIN.replace("channels=3", "channels=7"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # edited within the clock's tick, and as long as before
    assert build(resolve("my_net.py"), 2).embed.weight.shape == (5, 7)
    write(PLAIN)
    assert build(resolve("my_net.py"), 2).embed.weight.shape == (5, 3)


def test_a_name_that_left_the_file_is_not_found_in_it(write: Write) -> None:
    write(PLAIN)
    assert resolve("my_net.py") == "plain"
    write(PLAIN.replace('"plain"', '"plainer"'))
    assert resolve("my_net.py") == "plainer"
    assert "registers no 'plain' (did you mean" in refusal("my_net.py:plain")


def test_two_files_may_use_one_name(write: Write, tmp_path: Path) -> None:
    one = write(PLAIN)
    other = tmp_path / "other.py"
    other.write_text(PLAIN.replace("channels=3", "channels=7"))
    for path, channels in ((one, 3), (other, 7), (one, 3)):
        assert build(resolve(str(path)), 2).embed.weight.shape == (5, channels)


def test_compiled_code_beside_the_file_is_neither_run_nor_written(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util
    import py_compile

    monkeypatch.setattr("sys.dont_write_bytecode", False)
    write("raise SystemExit('compiled')\n")
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    cached = Path(importlib.util.cache_from_source("my_net.py"))
    py_compile.compile("my_net.py", str(cached), invalidation_mode=unchecked)
    write(PLAIN)
    assert resolve("my_net.py") == "plain"
    shutil.rmtree(cached.parent)
    assert resolve("my_net.py") == "plain"
    assert [path.name for path in tmp_path.iterdir()] == ["my_net.py"]


def test_what_a_file_may_expect_of_a_module_is_there(write: Write) -> None:
    """Its own name and file, dataclasses (which look their module up), annotations that are values."""
    head = """\
from dataclasses import dataclass
import pathlib, sys

@dataclass
class Shape:
    channels: int = 3

assert Shape.__annotations__ == {"channels": int}
assert sys.modules[__name__].Shape is Shape
assert pathlib.Path(__file__).name == "my_net.py"
assert __name__ != "__main__"
"""
    write(head + PLAIN)
    assert resolve("my_net.py") == "plain"


# Training, evaluation, annotation.


@pytest.fixture(scope="module")
def bins(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bins") / "bins.h5"
    settings = BuildSettings(task="window", bin=50, context=75, split="blocks")
    build_dataset(inputs.genome, [inputs.peak_folder], path, settings)
    return path


def test_a_plain_module_goes_the_whole_way(write: Write, dataset: Path, tmp_path: Path) -> None:
    write(PLAIN)
    run = train(dataset, tmp_path / "run", model="my_net.py:Plain", arguments=["channels=4"], settings=SHORT)
    assert (run.model, run.output, run.arguments) == ("plain", "dense", {"channels": 4})
    assert evaluate(tmp_path / "run").scores.positions > 0
    network = load_network(read_run(tmp_path / "run")).network
    assert isinstance(walk_of(network, run, context_of(network)), OverlappingWindows)
    assert (
        annotate(tmp_path / "run", output=tmp_path / "tracks", scope=Scope(["chr2:1,001-2,345"])).nucleotides == 1_345
    )


def test_a_plain_module_for_windows_goes_the_whole_way(write: Write, bins: Path, tmp_path: Path) -> None:
    pooled = PLAIN.replace('"plain"', '"plain", "window"').replace("transpose(1, 2))", "transpose(1, 2)).amax(2, True)")
    write(pooled)
    run = train(bins, tmp_path / "run", model="my_net.py", settings=SHORT)
    assert run.output == "window"
    assert evaluate(tmp_path / "run").scores.positions > 0
    assert (
        annotate(tmp_path / "run", output=tmp_path / "tracks", scope=Scope(["chr2:1,001-2,345"])).nucleotides == 1_345
    )


def test_of_a_plain_module_nothing_is_made_up(write: Write, cli: Cli) -> None:
    write(PLAIN)
    lines = cli("models", "my_net.py").out.splitlines()
    assert lines == [
        "plain: dense network",
        "  parameters: 14,719 for 919 markers",
        "  receptive field: not known",
        "  stride: blocks of 1 nt",
        "  multiply-adds: not known per annotated nt",
        "  arguments: channels=3",
    ]


@pytest.mark.parametrize(
    ("output", "shape"),
    [
        ("self.last(self.embed(sequence.int()).transpose(1, 2))[:, :, 5:-5]", r"\(1, 3, 490\)"),
        ("self.last(self.embed(sequence.int()).transpose(1, 2)).transpose(1, 2)", r"\(1, 500, 3\)"),
        ("None", r"\(\)"),
    ],
    ids=["cropped", "transposed", "nothing"],
)
def test_logits_of_another_shape_are_refused_before_training(
    write: Write, dataset: Path, tmp_path: Path, output: str, shape: str
) -> None:
    """They would train as if nothing were wrong, and shift every track."""
    write(PLAIN.replace("self.last(self.embed(sequence.int()).transpose(1, 2))", output))
    with pytest.raises(DilannotError, match=rf"my_net\.py: model 'plain' gives {shape} .* = \(1, 3, 500\)"):
        train(dataset, tmp_path / "run", model="my_net.py")
    assert not (tmp_path / "run").exists()


def test_what_a_file_prints_is_no_answer(write: Write, cli: Cli) -> None:
    write("print('hello')\n" + PLAIN)
    result = cli("models", "my_net.py", "--json")
    assert json.loads(result.out)["name"] == "plain"
    assert "hello" in result.err


def test_inputs_that_a_dataset_does_not_have_are_refused(write: Write, dataset: Path, tmp_path: Path) -> None:
    text = PLAIN.replace('"plain"', '"plain", inputs=("sequence", "signal")')
    write(text.replace("forward(self, sequence)", "forward(self, sequence, signal)"))
    with pytest.raises(DilannotError, match=r"dataset\.h5: has no 'signal', which model 'plain' takes as an input"):
        train(dataset, tmp_path / "run", model="my_net.py")
    assert not (tmp_path / "run").exists()


def test_a_network_for_the_other_kind_of_dataset_is_refused(write: Write, bins: Path, tmp_path: Path) -> None:
    write(PLAIN)
    with pytest.raises(DilannotError, match=r"is a window dataset, and model 'plain' learns from dense ones"):
        train(bins, tmp_path / "run", model="my_net.py")


# A run of it.


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `my_net.py`, CRLF and all, and `run/`, which knows it by a relative path."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_NETWORKS", dict(registry._NETWORKS))
        patch.chdir(folder)
        Path("my_net.py").write_bytes(PLAIN.replace("\n", "\r\n").encode() + b"# \xc3\xa9 \t")
        train(dataset, Path("run"), model="my_net.py:Plain", settings=SHORT)
    return folder


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """The same, moved elsewhere."""
    return Path(shutil.copytree(trained, tmp_path / "moved"))


@pytest.fixture
def run(place: Path) -> Run:
    return read_run(place / "run")


def change(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n# another comment\n")


def rewrite_record(run: Run, code: dict[str, str]) -> Run:
    record = run.folder / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"code": code}))
    return read_run(run.folder)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_copy_is_exact_and_recorded(place: Path, run: Run) -> None:
    copy = place / "run" / "network.py"
    assert copy.read_bytes() == (place / "my_net.py").read_bytes()
    assert run.code == {"file": "my_net.py", "sha256": sha256(copy)}


@pytest.mark.parametrize("spoil", [Path.unlink, change], ids=["gone", "changed"])
def test_a_run_of_ones_own_moves_and_needs_its_file_no_more(
    place: Path, run: Run, spoil: Callable[[Path], None]
) -> None:
    spoil(place / "my_net.py")
    network = load_network(run).network
    assert network(torch.zeros(1, 20, dtype=torch.uint8)).shape == (1, 3, 20)
    assert entry("plain").code.path == place / "run" / "network.py"


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another user, or another machine: one that has never trained with this code."""
    monkeypatch.setenv("DILANNOT_CACHE", str(tmp_path / "another-cache"))


@pytest.mark.usefixtures("stranger")
def test_the_code_of_another_needs_trust(place: Path, run: Run) -> None:
    with pytest.raises(
        DilannotError, match="you have not trained with it here; read it, then say --trust-code"
    ) as error:
        load_network(run)
    assert str(place / "run" / "network.py") in str(error.value)
    assert "plain" not in names()
    assert load_network(run, trust_code=True).network(torch.zeros(1, 20)).shape == (1, 3, 20)
    with pytest.raises(DilannotError, match="--trust-code"):
        load_network(run)


@pytest.mark.usefixtures("stranger")
def test_trust_is_given_on_the_command_line(place: Path, cli: Cli) -> None:
    run = place / "run"
    for command in (["evaluate", run], ["annotate", run, "-r", "chr2:1-300", "-o", place / "tracks"]):
        refused = cli(*command)
        assert refused.code == 1
        assert re.fullmatch(r"error: .*network\.py: .*; read it, then say --trust-code", refused.err.splitlines()[-1])
        trusted = cli(*command, "--trust-code")
        assert trusted.code == 0, trusted.err


def test_without_a_cache_training_works_and_trust_is_asked_for(
    write: Write, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(PLAIN)
    (tmp_path / "file").touch()
    monkeypatch.setenv("DILANNOT_CACHE", str(tmp_path / "file" / "cache"))
    run = train(dataset, tmp_path / "run", model="my_net.py", settings=SHORT)
    with pytest.raises(DilannotError, match="--trust-code"):
        load_network(run)
    load_network(run, trust_code=True)


@pytest.mark.parametrize("spoil", [Path.unlink, change], ids=["gone", "tampered"])
def test_a_copy_that_is_not_the_trained_code_is_refused_even_if_trusted(
    place: Path, run: Run, spoil: Callable[[Path], None]
) -> None:
    spoil(place / "run" / "network.py")
    for trust_code in (False, True):
        with pytest.raises(DilannotError, match=r"network\.py: is not the code this run was trained with"):
            load_network(run, trust_code=trust_code)
    assert "plain" not in names()


def test_trusting_a_run_leaves_nothing_in_it(place: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    before = sorted(place.rglob("*"))
    load_network(run, trust_code=True)
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("command", [["info"], ["info", "--json"], ["annotate", "--dry-run"]], ids=" ".join)
def test_looking_at_a_run_runs_no_code(place: Path, run: Run, cli: Cli, command: list[str]) -> None:
    copy = place / "run" / "network.py"
    copy.write_text(f"import pathlib\npathlib.Path({str(place / 'ran')!r}).touch()\n")
    rewrite_record(run, {"file": "my_net.py", "sha256": sha256(copy)})
    result = cli(command[0], place / "run", *command[1:])
    if command[0] == "annotate":  # how long it takes is tried out
        assert result.code == 1
        assert "--trust-code" in result.err
    else:
        assert result.code == 0, result.err
    assert not (place / "ran").exists()
    with pytest.raises(DilannotError):
        load_network(read_run(place / "run"), trust_code=True)
    assert (place / "ran").exists(), "the trap does not work"


def test_code_that_came_with_the_run_is_not_its_own_witness(place: Path, run: Run) -> None:
    """A record can name any file beside it, with its right digest."""
    copy = place / "run" / "network.py"
    change(copy)
    for name in ("network.py", "../my_net.py", str(copy)):
        with pytest.raises(DilannotError, match="--trust-code"):
            load_network(rewrite_record(run, {"file": name, "sha256": sha256(copy)}))


def test_buffers_that_are_not_saved_come_back_with_the_run(write: Write, dataset: Path, tmp_path: Path) -> None:
    """Tables and positional encodings are registered so."""
    buffer = 'self.register_buffer("scale", torch.arange(1.0, 1 + n_outputs)[:, None], persistent=False)\n        '
    text = "import torch\n" + PLAIN.replace("self.embed =", f"{buffer}self.embed =")
    write(text.replace("return self.last(", "return self.scale * self.last("))
    train(dataset, tmp_path / "run", model="my_net.py", settings=SHORT)
    assert evaluate(tmp_path / "run").scores.positions > 0


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ("nn.Conv1d(channels, n_outputs, 9, padding=4)", "the head does not make 1 nt of every block by itself"),
        ("nn.ConvTranspose1d(channels, n_outputs, 5, stride=5)", "the head makes 5 nt of a block, and the stride is 1"),
        (
            "nn.InstanceNorm1d(channels), nn.Conv1d(channels, n_outputs, 1)",
            "the head has a InstanceNorm1d, which may look",
        ),
    ],
)
def test_a_head_that_looks_beyond_its_block_is_refused(write: Write, layer: str, reason: str) -> None:
    write(SEVERAL.replace("[nn.Conv1d(channels, n_outputs, 1)]", f"[{layer}]"))
    with pytest.raises(DilannotError, match=reason):
        build(resolve("my_net.py:other"), 2)


def test_a_trunk_that_makes_other_blocks_than_the_stride_says_is_refused(write: Write) -> None:
    write(
        SEVERAL.replace(
            "[nn.Conv1d(channels, n_outputs, 1)]", "[nn.ConvTranspose1d(channels, n_outputs, 5, stride=5)], 5"
        )
    )
    with pytest.raises(DilannotError, match=r"the trunk makes 5,000 positions of 5,000 nt, not 1 for a stride of 5"):
        build(resolve("my_net.py:other"), 2)


def test_a_forward_of_its_own_has_no_context_by_the_layers(write: Write) -> None:
    write(SEVERAL + "\n    def forward(self, sequence, keep=None):\n        return super().forward(sequence, keep)\n")
    assert context_of(build(resolve("my_net.py:other"), 2)) is None


# The example.


def test_the_example_is_described_in_full() -> None:
    found = describe(resolve(f"{EXAMPLE}:MyNet"), outputs=40)
    assert (found.output, found.stride, found.arguments["filters"]) == ("dense", 20, 48)
    assert found.field is not None
    assert 1_000 < found.field.span < 5_000
    assert found.layers[-1].shape == (40, 25_000)
    assert found.parameters == sum(layer.parameters or 0 for layer in found.layers)
    of_windows = describe(resolve(f"{EXAMPLE}:MyWindowNet"), outputs=40)
    assert (of_windows.output, of_windows.layers[-1].shape) == ("window", (40,))
    assert of_windows.field is not None


def test_the_example_goes_the_whole_way(dataset: Path, tmp_path: Path) -> None:
    model, motifs = f"{EXAMPLE}:MyNet", EXAMPLES / "motifs.meme"
    run = train(dataset, tmp_path / "run", model=model, arguments={"filters": 24}, motifs=motifs, settings=SHORT)
    assert run.motifs is not None
    assert evaluate(tmp_path / "run").scores.positions > 0
    assert (
        annotate(tmp_path / "run", output=tmp_path / "tracks", scope=Scope(["chr2:1,001-2,345"])).nucleotides == 1_345
    )
    network = load_network(run).network
    assert isinstance(walk_of(network, run, context_of(network)), ExactTiles)


def test_the_example_for_windows_trains(bins: Path, tmp_path: Path) -> None:
    train(bins, tmp_path / "run", model=f"{EXAMPLE}:MyWindowNet", arguments={"filters": 9}, settings=SHORT)
    assert evaluate(tmp_path / "run").scores.positions > 0


def test_the_example_tiles_exactly() -> None:
    torch.manual_seed(0)
    network = build(resolve(f"{EXAMPLE}:MyNet"), 2, filters=6, hidden=5)
    context = context_of(network)
    assert context is not None
    sequence = torch.randint(0, 5, (1, 12_000))
    start, end = 6_000, 6_040
    first = (start - context.left) // context.stride * context.stride
    with predicting(network):
        whole = network(sequence)[:, :, start:end]
        tile = network(sequence[:, first : end + context.right], keep=(start - first, end - first))
    torch.testing.assert_close(tile, whole)


def test_the_example_says_how_to_use_it() -> None:
    """Every command of its docstring exists, with the options it is given."""
    from dilannot.cli import cli as group

    lines = re.findall(r"^    dilannot ([a-z-]+)(.*)$", EXAMPLE.read_text(), re.M)
    assert {command for command, _ in lines} == {"build-data", "models", "train", "evaluate", "annotate"}
    for command, rest in lines:
        known = {option for parameter in group.commands[command].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known
    assert set(re.findall(r"add_a_model\.py:(\w+)", EXAMPLE.read_text())) == {"MyNet"}
