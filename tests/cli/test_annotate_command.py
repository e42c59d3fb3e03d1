"""`dilannot annotate` as it is typed: every option does something, and every way to get it wrong ends in one line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyBigWig
import pytest
import torch
from by_rule import rows_of_bed, track_of
from conftest import Cli, Result, make_run, random_sequence, write_fasta

from dilannot.annotate.estimate import try_out
from dilannot.annotate.plan import EVERYTHING, Settings
from dilannot.annotate.prepare import prepared
from dilannot.annotate.stream import Engine
from dilannot.cli.annotate import command
from dilannot.formats.indexed_fasta import Genome
from dilannot.metrics.thresholds import RULES
from dilannot.progress import Silent
from dilannot.run import load_network, read_run, save_weights

CONTIGS = {"chr2": random_sequence(3_001, 1, ((0, 90), (700, 1_000))), "chr10": random_sequence(1_200, 2)}
KNOWN = sum(len(sequence) - sequence.count("N") for sequence in CONTIGS.values())
PLAIN = ("--tile", 400, "--min-length", 5, "--merge-gap", 5, "--threads", 1)


@dataclass(frozen=True)
class Tracks:
    """A folder of them, and what was said while they were made."""

    folder: Path
    result: Result

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.folder / "tracks.json").read_text())  # type: ignore[no-any-return]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.manifest["tracks"]  # type: ignore[no-any-return]

    def values(self) -> np.ndarray:
        """(T, all positions), NaN where nothing is said."""
        tracks = []
        for row in self.rows:
            with pyBigWig.open(str(self.folder / row["bigwig"])) as file:
                tracks.append(np.concatenate([track_of(file, name, len(CONTIGS[name])) for name in CONTIGS]))
        return np.stack(tracks)

    def calls(self) -> list[list[str]]:
        return rows_of_bed(self.folder / "calls.bed")

    def lengths(self) -> np.ndarray:
        return np.array([int(row[2]) - int(row[1]) for row in self.calls()])

    def files(self) -> dict[str, bytes]:
        return {name: (self.folder / name).read_bytes() for name in os.listdir(self.folder) if name != "tracks.json"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its last weights are another network than its best ones."""
    folder = tmp_path_factory.mktemp("run")
    genome = write_fasta(folder / "genome.fa", CONTIGS)
    run = make_run(folder / "run", genome, "toy-around", before=9, after=4, stride=4)
    loaded = load_network(read_run(run))
    other = {name: tensor * 0.5 for name, tensor in loaded.network.state_dict().items()}
    save_weights(read_run(run), "last", other, epoch=2, thresholds=loaded.thresholds)
    return run


@pytest.fixture
def plain(cli: Cli, run: Path, tmp_path: Path) -> Tracks:
    result = cli("annotate", run, "-o", tmp_path / "plain", *PLAIN)
    assert result.code == 0, result.err
    return Tracks(tmp_path / "plain", result)


Check = Callable[[Tracks, Tracks], bool]


def same_tracks(one: Tracks, two: Tracks) -> bool:
    return one.files() == two.files()


def only_asked(one: Tracks, two: Tracks, regions: list[str], nucleotides: int) -> bool:
    place = ~np.isnan(two.values())
    inside = (two.values()[place] == one.values()[place]).all()
    return bool(inside) and two.manifest["regions"] == regions and two.manifest["nucleotides"] == nucleotides


def steps_of(values: np.ndarray, step: float) -> bool:
    values = values[~np.isnan(values)] / step
    return bool(np.abs(values - values.round()).max() < 1e-4)


# Option -> what is typed, and what must be other than without it.
OPTIONS: dict[str, tuple[list[str], Check]] = {
    "--region": (
        ["--region", "chr10:101-200", "--region", "chr2:-100"],
        lambda a, b: only_asked(a, b, ["chr2:1-100", "chr10:101-200"], 110),
    ),
    "--regions-file": (["--regions-file", "some.bed"], lambda a, b: only_asked(a, b, ["chr10:11-60"], 50)),
    "--exclude": (
        ["--exclude", "chr2", "--exclude", "some.bed"],
        lambda a, b: only_asked(a, b, ["chr10:1-10", "chr10:61-1,200"], 1_150),
    ),
    "--markers": (["--markers", "G C"], lambda a, b: b.rows == a.rows[2:]),
    "--weights": (
        ["--weights", "last"],
        lambda a, b: b.manifest["epoch"] == 2 and np.nanstd(b.values()) < 0.8 * np.nanstd(a.values()),
    ),
    "--precision": (["--precision", "0.1"], lambda a, b: steps_of(b.values(), 0.1) and not steps_of(a.values(), 0.1)),
    "--min-score": (["--min-score", "0.5"], lambda a, b: np.nanmin(b.values()) >= 0.5 > np.nanmin(a.values())),
    "--bin": (
        ["--bin", "100"],
        lambda a, b: all(len(set(b.values()[:, 1_000 + at : 1_100 + at][0])) == 1 for at in range(0, 500, 100)),
    ),
    "--rc": (["--rc"], lambda a, b: b.manifest["rc"] and not np.array_equal(a.values(), b.values(), equal_nan=True)),
    "--threshold": (
        ["--threshold", "0.9"],
        lambda a, b: {row["threshold"] for row in b.rows} == {0.9} and len(b.calls()) < len(a.calls()),
    ),
    "--merge-gap": (["--merge-gap", "0", "--min-length", "1"], lambda a, b: len(b.calls()) > len(a.calls())),
    "--min-length": (["--min-length", "20"], lambda a, b: b.lengths().min() >= 20 > a.lengths().min()),
    "--bgzip": (["--bgzip"], lambda a, b: {"calls.bed.gz", "calls.bed.gz.tbi"} < set(b.files())),
    "--bigbed": (["--bigbed"], lambda a, b: b.files().keys() - a.files().keys() == {"calls.bb"}),
    "--tile": (
        ["--tile", "800", "--quiet"],
        lambda a, b: same_tracks(a, b) and (a.manifest["tile"], b.manifest["tile"]) == (400, 800),
    ),
    "--window-mode": (
        ["--window-mode"],
        lambda a, b: b.manifest["window_mode"] and not np.array_equal(a.values(), b.values(), equal_nan=True),
    ),
    "--batch-size": (["--batch-size", "3"], same_tracks),
    "--device": (["--device", "cpu"], lambda a, b: same_tracks(a, b) and " on cpu " in b.result.err),
    "--threads": (["--threads", "3"], lambda a, b: same_tracks(a, b) and "3 threads" in flat(b.result.err)),
    "--quiet": (["--quiet"], lambda a, b: same_tracks(a, b) and b.result.err == "" != a.result.err),
}  # fmt: skip
# Looked at in tests of their own: here, in test_own_file.py and in test_shards.py.
ELSEWHERE = {"--call-at", "--output", "--force", "--dry-run", "--trust-code", "--shard"}


def flat(text: str) -> str:
    return " ".join(text.split())


def typed(option: str) -> list[str]:
    """`PLAIN` without what is typed again."""
    given, added = [str(word) for word in PLAIN], OPTIONS[option][0]
    if option == "--window-mode":
        added = [*added, "--tile"]
    pairs = zip(given[::2], given[1::2], strict=True)
    kept = [word for pair in pairs if pair[0] not in added for word in pair]
    return [*kept, *OPTIONS[option][0]]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_does_something(
    cli: Cli, run: Path, plain: Tracks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("some.bed").write_text("chr10\t10\t60\n")
    batches, make = set(), Engine.make
    monkeypatch.setattr(Engine, "make", lambda self, block: batches.add(self.batch_size) or make(self, block))
    result = cli("annotate", run, "-o", "made", *typed(option))
    assert result.code == 0, result.err
    assert OPTIONS[option][1](plain, Tracks(tmp_path / "made", result))
    assert batches == {3 if option == "--batch-size" else 1}


def test_no_option_is_forgotten() -> None:
    known = {opt for parameter in command.params for opt in parameter.opts if opt.startswith("--")}
    assert known - {"--help"} == OPTIONS.keys() | ELSEWHERE


def test_help_names_every_option_and_loads_nothing_slow() -> None:
    code = (
        "import sys; sys.argv = ['dilannot', 'annotate', '--help']; import dilannot.cli\n"
        "try:\n dilannot.cli.main()\n"
        "except SystemExit: print(sorted({'torch', 'numba', 'h5py', 'pyBigWig'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.endswith("[]\n")
    assert all(option in printed for option in [*OPTIONS, *ELSEWHERE])


def test_it_says_what_it_does_and_what_it_wrote(plain: Tracks) -> None:
    lines = flat(plain.result.err)
    assert f"{sum(map(len, CONTIGS.values())):,} nt of genome.fa in 11 tiles of 400 nt, 3 markers, on cpu" in lines
    calls = sum(row["calls"] for row in plain.rows)
    assert f"3 markers, {KNOWN:,} nt, {calls:,} calls; open the .bw and .bed files in IGV" in lines
    assert plain.result.out == ""


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("annotate", run, *PLAIN, "--dry-run")
    assert result.code == 0, result.err
    plan, guess, output = result.out.splitlines()
    assert plan == "4,201 nt of genome.fa in 11 tiles of 400 nt, 3 markers, on cpu (1 thread)"
    assert re.fullmatch(r"about \d+ (s|min), [\d,.]+ [KMG]B of tracks \(.*\), [\d,.]+ [MG]B of memory", guess)
    assert output == "into tracks"
    assert os.listdir() == []
    Path("tracks").write_text("in the way")
    assert cli("annotate", run, "--dry-run").code == 1


def test_an_estimate_is_of_the_right_size(run: Path, plain: Tracks) -> None:
    """Half of it is N-free, all of it is dense: what is written lies within a factor of three."""
    with prepared(run, None, EVERYTHING, Settings(tile=400), None, progress=Silent()) as work:
        guess = try_out(work.engine, work.blocks, 1)
    written = sum(map(len, plain.files().values()))
    assert written / 3 < guess.bytes < written * 3
    assert guess.memory > 1e7
    assert guess.seconds > 0


def test_existing_tracks_are_overwritten_with_force_only(cli: Cli, run: Path, plain: Tracks) -> None:
    before = plain.files()
    refused = cli("annotate", run, "-o", plain.folder, *PLAIN, "-r", "chr10")
    assert refused.code == 1
    assert "exists already" in refused.err
    assert "--force" in refused.err
    assert plain.files() == before
    assert cli("annotate", run, "-o", plain.folder, *PLAIN, "-r", "chr10", "--force").code == 0
    assert plain.manifest["regions"] == ["chr10:1-1,200"]
    assert plain.files().keys() == before.keys()


class Full:
    free = 1_000


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["annotate", "dry run"])
def test_a_disk_that_is_too_small_is_refused(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    monkeypatch.setattr("dilannot.annotate.blocks.LENGTH", 400)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Full)
    result = cli("annotate", run, "-o", tmp_path / "t", *PLAIN, *more)
    assert result.code == 3
    assert all(option in flat(result.err) for option in ("--bin", "--min-score", "--markers", "MB are free"))
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--tile", "0"], ["--tile", "x"], ["--precision", "x"], ["--bin", "0"], ["--bin", "100001"],
        ["--merge-gap", "-1"], ["--min-length", "0"], ["--batch-size", "0"], ["-@", "0"], ["--weights", "middle"],
        ["--shard", "0/2"], ["--shard", "3/2"], ["--shard", "x"], ["--shard", "1/2", "--force"], ["genome.fa", "more"],
        ["--nothing"], ["--region"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_usage_errors_end_with_2(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("annotate", run, *words)
    assert result.code == 2, result.err
    assert "Traceback" not in result.err
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["--precision", "0.3"], r"--precision: a precision of 0\.3; give 1/N"),
        (["--min-score", "1.5"], r"--min-score: a score of 1\.5; give 0 to 1"),
        (["--min-score", "nan"], r"--min-score"),
        (["--threshold", "0"], r"--threshold"),
        (["--tile", "402"], r"--tile: .*give a multiple of 4"),
        (["--window-mode", "--bin", "30"], r"--bin: .*give a divisor of 500"),
        (["--markers", "CTCG"], r"--markers 'CTCG'"),
        (["--exclude", "chr*"], r"nothing is left of what is asked for"),
        (["--device", "cuda:99"], r"no device 'cuda:99'"),
        (["-o", "file"], r"file: exists and is not a directory"),
        (["-o", "full"], r"full: is a folder with other things in it \(mine\)"),
        (["-o", "full", "--force"], r"full: is a folder with other things in it \(mine\)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_in_one_line(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], pattern: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    Path("full").mkdir()
    Path("full/mine").touch()
    for more in ([], ["--dry-run"]):
        result = cli("annotate", run, *words, *more)
        assert result.code == 1
        [line] = [line for line in result.err.splitlines() if line.startswith("error: ")]
        assert re.search(pattern, line), line
        assert sorted(os.listdir()) == ["file", "full"]
        assert os.listdir("full") == ["mine"]


def broken(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("dilannot.walk.pieces", fail)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError("none left")], ids=repr)
def test_too_little_memory_ends_with_3(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    broken(monkeypatch, error)
    # The contig's first tiles are of another shape, and go alone.
    result = cli("annotate", run, "-o", tmp_path / "t", *PLAIN, "-r", "chr2:801-2800", "--batch-size", 2)
    assert result.code == 3
    assert "too little memory for 2 tiles at once; going on with 1" in flat(result.err)
    assert "use a smaller --tile" in flat(result.err)
    assert not (tmp_path / "t").exists()


def test_numbers_that_are_none_end_with_1(cli: Cli, tmp_path: Path) -> None:
    """Weights are checked when they are read; sums of them may still be too large."""
    genome = write_fasta(tmp_path / "genome.fa", CONTIGS)
    run = make_run(tmp_path / "run", genome, "toy-around", stride=4)
    weights = load_network(read_run(run)).network.state_dict()
    weights["weights"].copy_(weights["weights"].sign() * 3e38)
    save_weights(read_run(run), "best", weights, epoch=1, thresholds=dict.fromkeys(RULES, np.full(3, 0.5)))
    result = cli("annotate", run, "-o", tmp_path / "t", *PLAIN)
    assert result.code == 1
    assert "the network gives no numbers: are its weights damaged?" in flat(result.err)
    assert not (tmp_path / "t").exists()


def test_another_genome_is_warned_of_and_annotated(cli: Cli, run: Path, tmp_path: Path) -> None:
    yeast = write_fasta(tmp_path / "yeast.fa", {"chrIV": random_sequence(900, 3)})
    result = cli("annotate", run, yeast, "-o", tmp_path / "t", *PLAIN)
    assert result.code == 0
    assert "whether it is the genome this run was trained on cannot be told; annotating it" in flat(result.err)
    tracks = Tracks(tmp_path / "t", result)
    assert tracks.manifest["nucleotides"] == 900
    with pyBigWig.open(str(tmp_path / "t" / tracks.rows[0]["bigwig"])) as file:
        assert file.chroms() == Genome(yeast).lengths
