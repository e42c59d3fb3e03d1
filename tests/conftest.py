"""Small genomes and peaks made from a seed, and one way to run a command as a user would."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import dilannot.cli
from dilannot.data.build import build_dataset
from dilannot.data.markers import Marker
from dilannot.data.settings import BuildSettings

sys.path.insert(0, str(Path(__file__).parent))

REPOSITORY = Path(__file__).parents[1]
EXAMPLES = REPOSITORY / "examples"
SHARED = REPOSITORY.parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Genome indices of tests stay out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DILANNOT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def two_threads() -> Iterator[None]:
    """Results depend on the number of threads in the last digits: keep it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For trainings so small that threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_sequence(length: int, seed: int, n_runs: tuple[tuple[int, int], ...] = ()) -> str:
    letters = np.random.default_rng(seed).choice(list("ACGTacgt"), length)
    for start, end in n_runs:
        letters[start:end] = "N"
    return "".join(letters)


def write_fasta(path: Path, contigs: dict[str, str], width: int = 60) -> Path:
    with open(path, "w") as file:
        for name, sequence in contigs.items():
            file.write(f">{name} made for a test\n")
            file.writelines(sequence[at : at + width] + "\n" for at in range(0, len(sequence), width))
    return path


@dataclass(frozen=True)
class Inputs:
    """A folder with `genome.fa` and `peaks/`, and what is in them."""

    folder: Path
    contigs: dict[str, str]
    peaks: dict[str, list[tuple[str, int, int]]]

    @property
    def genome(self) -> Path:
        return self.folder / "genome.fa"

    @property
    def peak_folder(self) -> Path:
        return self.folder / "peaks"


MARKERS = ("GM12878_CTCF", "K562_H3K27ac", "K562_DNase")


def make_inputs(folder: Path) -> Inputs:
    contigs = {
        "chr1": random_sequence(30_011, 1, ((0, 950), (7_000, 7_003), (12_000, 14_500))),
        "chr2": random_sequence(12_345, 2),
        "chrM": random_sequence(400, 3),
    }
    random = np.random.default_rng(7)
    peaks = {}
    for name in MARKERS:
        rows = []
        for contig, sequence in contigs.items():
            starts = random.integers(0, len(sequence) - 1, len(sequence) // 500 + 1)
            ends = np.minimum(starts + random.integers(1, 700, len(starts)), len(sequence))
            rows += [(contig, int(start), int(end)) for start, end in zip(starts, ends, strict=True)]
        random.shuffle(rows)
        peaks[name] = [tuple(row) for row in rows]
    (folder / "peaks").mkdir(parents=True)
    write_fasta(folder / "genome.fa", contigs)
    for name, rows in peaks.items():
        lines = (f"{contig}\t{start}\t{end}\tp\t0\t.\t1\t-1\t-1\t0\n" for contig, start, end in rows)
        (folder / "peaks" / f"{name}.narrowPeak").write_text("".join(lines))
    return Inputs(folder, contigs, peaks)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def dataset(inputs: Inputs) -> Path:
    """Windows of 500 bp: some 80 of them."""
    path = inputs.folder / "dataset.h5"
    build_dataset(inputs.genome, [inputs.peak_folder], path, BuildSettings(window=500))
    return path


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Cli = Callable[..., Result]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process: its exit code and what it printed."""

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(dilannot.cli, "_exit", leave)
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["dilannot", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            dilannot.cli.main()
        captured = capsys.readouterr()
        return Result(int(ended.value.code or 0), captured.out, captured.err)

    return run


def make_run(
    folder: Path, genome: Path, model: str, n_markers: int = 3, markers: list[Marker] | None = None, **arguments: object
) -> Path:
    """A run folder with the weights a network starts with, of `markers` or of three whose names are difficult."""
    import torch
    import toy_models  # noqa: F401 (registers)

    from dilannot.formats.fasta import read_contigs
    from dilannot.metrics.thresholds import RULES
    from dilannot.models import build, entry
    from dilannot.run import Run, save_weights

    torch.manual_seed(0)
    network = build(model, n_markers, **arguments)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
    markers = markers or [Marker(name, "TFBS", file=f"{name}.bed") for name in ("A|1", "a|1", "G C")[:n_markers]]
    contigs = [{"name": c.name, "length": c.length, "md5": c.md5} for c, _ in read_contigs(genome)]
    folder.mkdir()
    run = Run(
        folder=folder,
        model=model,
        output=entry(model).output,
        arguments=dict(arguments),
        markers=markers,
        window=200 if entry(model).output == "window" else 500,
        length=arguments.get("length", 500),
        genome=str(genome),
        dataset=str(genome.with_name("dataset.h5")),
        dataset_digest="",
        contigs=contigs,
        settings={},
    )
    run.save()
    thresholds = dict.fromkeys(RULES, np.resize([0.5, 0.6, np.nan], n_markers))
    save_weights(run, "best", network.state_dict(), epoch=1, thresholds=thresholds)
    save_weights(run, "last", network.state_dict(), epoch=1, thresholds=thresholds)
    return folder
