"""The house model against the published networks on chr20: same blocks, markers and budget, three seeds, test scores.

    python benchmarks/race.py CHR20 FOLDER [--group dense|bins|ablations] [--budget 46800000] [--patience 0]
        [--search BUDGET] [--bin-budget BUDGET] [--known FOUND] [--seeds 3] [--only NETWORKS] [--jobs 2]
        [--device cpu] [--write PAGE] [--picture FILE]

CHR20 holds chr20.fa.gz, peaks/ and markers.tsv. Every network is trained with the recipe `modern` and each of a few
optimisers and learning rates on a quarter of the budget (or --search); with those of the best validation PR AUC (mean
over classes) it is trained anew, with each seed, until it has seen --budget nucleotides (an epoch has 46.8 million).
FOLDER belongs to one version of the networks: what was trained there is not trained again.
All are then judged on the test windows, which nothing has seen: class means of PR AUC and ROC AUC, their 95 %
intervals, and those of the difference to `hybrid`, from resampled blocks of the genome.

dense       conv7, dilated, dilated-pool, id-cnn, bilstm, hybrid, judged nucleotide by nucleotide
bins        networks of one output per 200-bp bin, and dense ones by their means over bins, judged on bins of the same
            test windows. Bin networks learn from all bins of the training windows (but 800 nt at the ends of blocks),
            as many labelled nucleotides as the others, or --bin-budget; they read each five times, with its context;
            every fourth bin of the validation windows validates them
ablations   hybrid, with one thing changed at a time, trained as hybrid is; and with the better rate of AdamW

Everything goes to FOLDER; run again after an interruption, it goes on. With --patience the networks are trained until
they have not improved for so many passes, or have seen the budget; their rates fall as if they saw all of it. The last
two lines say in which classes hybrid is better than every other outside the 95 % interval of the difference, with every
seed, and the least ratio, over classes, of hybrid's PR AUC to the best other network's; exits 1 when that misses the
goal (2 at an equal budget, 1.3 with --patience).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from page import put

CLASSES = ("TFBS", "histone", "DNase")
HOUSE = "hybrid"
DENSE = ("conv7", "dilated", "dilated-pool", "id-cnn", "bilstm")
BINS = ("deepsea", "conv3", "danq", "crnn-700-projection")
ABLATIONS = {
    "no known motifs": ("known_motifs=false",),
    "no threshold on matches": ("motif_threshold=0",),
    "one strand": ("both_strands=false",),
    "no skips": ("skips=false",),
    "no projection": ("projection=0",),
    "plain batch norm": ("batch_renorm=false",),
    "no coarse level": ("coarse_dilations=",),
    "no dilations": ("dilations=1,1,1,1,1", "coarse_dilations=1,1,1,1", "last_dilations=1,1,1"),
}


@dataclass(frozen=True)
class Tuned:
    """How a network is trained."""

    optimizer: str
    rate: float


@dataclass(frozen=True)
class Entrant:
    """A network of the race: its name there, the registered one, and arguments."""

    name: str
    model: str
    arguments: tuple[str, ...] = ()
    bins: bool = False
    tried: tuple[Tuned, ...] = ()  # none: trained as hybrid is


MUON = tuple(Tuned("muon", rate) for rate in (0.012, 0.006, 0.002))
ADAMW = tuple(Tuned("adamw", rate) for rate in (0.005, 0.002, 0.0007))
FOR_BINS = tuple(Tuned("adamw", rate) for rate in (0.002, 0.0007, 0.0002))


@dataclass(frozen=True)
class Race:
    """What all share."""

    folder: Path
    budget: int
    bin_budget: int
    trial: int  # the budget of the search; 0 for a quarter of the other
    patience: int
    device: str

    def nucleotides(self, entrant: Entrant, *, trial: bool) -> int:
        whole = self.bin_budget if entrant.bins else self.budget
        return (self.trial or whole // 4) if trial else whole

    def run(self, entrant: Entrant, how: Tuned, seed: int, *, trial: bool = False) -> Path:
        name, size = entrant.name.replace(" ", "-"), f"{self.nucleotides(entrant, trial=trial) / 1e6:g}M"
        patience = f"-p{self.patience}" if self.patience and not trial else ""
        return self.folder / f"{name}-{size}{patience}-{how.optimizer}-{how.rate:g}-s{seed}"

    def train(self, entrant: Entrant, how: Tuned, seed: int, *, trial: bool = False) -> Path:
        """A run, new or gone on with."""
        run = self.run(entrant, how, seed, trial=trial)
        per_step = 100 * 200 if entrant.bins else 2 * 25_000  # nt that are labelled
        steps = self.nucleotides(entrant, trial=trial) // per_step
        words = ["--epochs", 100, "--max-steps", steps, "--setting", f"optimizer={how.optimizer}"]
        words += ["--learning-rate", how.rate, "--seed", seed, "--device", self.device, "-@", 1]
        words += ["--patience", self.patience] if self.patience and not trial else []
        for argument in entrant.arguments:
            words += ["--set", argument]
        data = self.folder / ("bins.h5" if entrant.bins else "dense.h5")
        dilannot("train", data, "-o", run, "--model", entrant.model, *words, "--resume", "-q")
        print(f"{run.name}: validation {max(validations(run)):.4f}", flush=True)
        return run

    def score(self, run: Path, bins: bool, other: Path | None = None) -> dict[str, Any]:
        """The record of a run on the test windows of the dense dataset, less another's."""
        extra = (["--bin", 200] if bins else []) + (["--compare", other] if other else [])
        name = f"test{'-bins' if bins else ''}{f'-against-{other.name}' if other else ''}"
        record = run / f"{name}.json"
        if not record.exists():
            dense = self.folder / "dense.h5"
            dilannot("evaluate", run, dense, *extra, "-o", run / name, "-q", "--device", self.device, "-@", 1)
        found: dict[str, Any] = json.loads(record.read_text())
        return found


def dilannot(*words: object) -> str:
    command = [sys.executable, "-m", "dilannot", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def validations(run: Path) -> list[float]:
    """Of each epoch, PR AUC on the validation windows, mean over classes."""
    header, *rows = (line.split(",") for line in (run / "metrics.csv").read_text().splitlines())
    columns = [i for i, name in enumerate(header) if name.startswith("pr_auc_")]
    return [fmean(float(row[i]) for i in columns) for row in rows]


def cost(run: Path) -> tuple[float, float]:
    """Mnt until the best epoch ended, and minutes of all epochs without their validation."""
    _, *rows = (line.split(",") for line in (run / "timing.log").read_text().splitlines())
    found = validations(run)
    best = found.index(max(found)) + 1
    return sum(int(row[1]) for row in rows[:best]) / 1e6, sum(float(row[2]) for row in rows) / 60


def build(chr20: Path, folder: Path, bins: bool) -> None:
    """The dense dataset, and that of the bins of its training and validation windows."""
    given = (chr20 / "chr20.fa.gz", chr20 / "peaks", "--markers", chr20 / "markers.tsv", "-q")
    dense, binned, held_out = folder / "dense.h5", folder / "bins.h5", folder / "held-out.bed"
    if not dense.exists():
        dilannot("build-data", *given, "-o", dense)
    if bins and not binned.exists():
        starts, splits, length = windows(dense)
        held_out.write_text("".join(f"chr20\t{start}\t{end}\n" for start, end in gaps(starts, length)))
        whole = (*given, "--task", "window", "--all-bins", "--split", "windows", "--exclude", held_out)
        dilannot("build-data", *whole, "-o", partial_file(binned), "--force")
        with h5py.File(partial_file(binned), "r+") as file:
            at = file["windows/start"][:].astype(np.int64)
            own = splits[np.searchsorted(starts, at, "right") - 1]
            own[(own == 1) & (at // 200 % 4 > 0)] = 2  # every fourth is enough to validate on
            file["windows/split"][:] = own
            positives = np.zeros(file["markers/positives"].shape, np.int64)
            of_label = np.repeat(own, np.diff(file["labels/offsets"][:].astype(np.int64)))
            np.add.at(positives, (file["labels/marker"][:], of_label), 1)
            file["markers/positives"][:] = positives
        partial_file(binned).rename(binned)


def partial_file(path: Path) -> Path:
    return path.with_name(f"unsplit-{path.name}")


def windows(dense: Path) -> tuple[NDArray[np.int64], NDArray[np.uint8], int]:
    """Starts of the windows that train or validate, which of the two they do, their length in nt."""
    with h5py.File(dense) as file:
        starts, splits = file["windows/start"][:].astype(np.int64), file["windows/split"][:]
        length = int(file.attrs["window"])
    seen = np.flatnonzero(splits < 2)
    order = seen[np.argsort(starts[seen])]
    return starts[order], splits[order], length


def gaps(starts: NDArray[np.int64], length: int) -> Iterable[tuple[int, int]]:
    """What lies between the windows, with the bins' context: no bin reads another split's sequence."""
    at = 0
    for start in [*starts.tolist(), 10**9]:
        if start > at:
            yield max(0, at - 500), start + 500
        at = start + length


def search(race: Race, entrants: Sequence[Entrant], pool: ThreadPoolExecutor) -> dict[str, Tuned]:
    """How each is trained best."""
    jobs = [(each, how, 0) for each in entrants for how in each.tried]
    list(pool.map(lambda job: race.train(*job, trial=True), jobs))
    return {each.name: max(each.tried, key=partial(_tried, race, each)) for each in entrants if each.tried}


def _tried(race: Race, entrant: Entrant, how: Tuned) -> float:
    return max(validations(race.run(entrant, how, 0, trial=True)))


@dataclass(frozen=True)
class Result:
    """Test figures of an entrant, seed by seed."""

    entrant: Entrant
    how: Tuned
    records: list[dict[str, Any]]
    against: list[dict[str, Any]]  # hybrid's records, compared with it
    mnt: float  # the best weights had learnt from
    minutes: float  # a training took

    def mean(self, kind: str, figure: str = "pr_auc") -> float:
        return fmean(record["class_means"][kind][figure] for record in self.records)

    def spread(self, kind: str, figure: str) -> float:
        values = [record["class_means"][kind][figure] for record in self.records]
        return stdev(values) if len(values) > 1 else 0.0

    def interval(self, kind: str, figure: str = "pr_auc") -> tuple[float, float]:
        """The mean over seeds of the ends."""
        return self.mean(kind, f"{figure}_low"), self.mean(kind, f"{figure}_high")

    def beaten(self, kind: str) -> tuple[int, int]:
        """In how many seeds hybrid is better outside the interval of the difference, and of how many."""
        found = [each["differences"][0]["class_differences"][kind]["pr_auc"] for each in self.against]
        return sum(each["low"] > 0 for each in found), len(found)

    def surely_beaten(self, kind: str) -> bool:
        surely, seeds = self.beaten(kind)
        return surely == seeds


def judge(
    race: Race, entrants: Sequence[Entrant], chosen: dict[str, Tuned], seeds: int, jobs: int, bins: bool
) -> list[Result]:
    def runs(entrant: Entrant) -> list[Path]:
        return [race.run(entrant, chosen[entrant.name], seed) for seed in range(seeds)]

    house = runs(next(each for each in entrants if each.name == HOUSE))
    results = []
    with ThreadPoolExecutor(jobs) as pool:
        for entrant in entrants:
            own = list(pool.map(partial(race.score, bins=bins), runs(entrant)))
            pairs = [] if entrant.name == HOUSE else list(zip(house, runs(entrant), strict=True))
            against = list(pool.map(lambda pair: race.score(pair[0], bins, pair[1]), pairs))
            mnt, minutes = map(fmean, zip(*map(cost, runs(entrant)), strict=True))
            results.append(Result(entrant, chosen[entrant.name], own, against, mnt, minutes))
    return results


def table(results: Sequence[Result]) -> list[str]:
    """Markdown: PR AUC, in how many seeds hybrid is surely better, cost; then ROC AUC."""
    ordered = sorted(results, key=lambda each: fmean(each.mean(kind) for kind in CLASSES))
    rates = results[0].records[0]["class_means"]
    heads = [f"{kind}, {rates[kind]['base_rate']:.4f}" for kind in CLASSES]
    lines = [
        f"| PR AUC; what a guess gets | {' | '.join(heads)} | hybrid surely better | trained with | Mnt | minutes |",
        "|---|" + "---:|" * len(CLASSES) + "---|---|---:|---:|",
    ]
    for each in ordered:
        better = ", ".join("{} of {}".format(*each.beaten(kind)) for kind in CLASSES) if each.against else ""
        how = f"{each.how.optimizer} {each.how.rate:g}"
        cost = f"{each.mnt:.3g} | {each.minutes:.0f}"
        lines.append(f"| {each.entrant.name} | {cells(each, 'pr_auc')} | {better} | {how} | {cost} |")
    lines += ["", "| ROC AUC | TFBS | histone | DNase |", "|---|" + "---:|" * len(CLASSES)]
    return lines + [f"| {each.entrant.name} | {cells(each, 'roc_auc')} |" for each in ordered]


def cells(result: Result, figure: str) -> str:
    """By class: mean over seeds, interval, spread of the seeds."""
    texts = []
    for kind in CLASSES:
        low, high = result.interval(kind, figure)
        spread = f" ±{result.spread(kind, figure):.3f}" if len(result.records) > 1 else ""
        texts.append(f"{result.mean(kind, figure):.3f} ({low:.3f}–{high:.3f}){spread}")
    return " | ".join(texts)


def ratios(results: Sequence[Result]) -> dict[str, float]:
    """By class: hybrid's mean PR AUC over the best other one."""
    house = next(each for each in results if each.entrant.name == HOUSE)
    others = [each for each in results if each is not house]
    return {kind: house.mean(kind) / max(each.mean(kind) for each in others) for kind in CLASSES}


def draw(results: Sequence[Result], picture: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(CLASSES), figsize=(11, 0.6 + 0.34 * len(results)), layout="constrained")
    ordered = sorted(results, key=lambda each: fmean(each.mean(kind) for kind in CLASSES))
    for panel, kind in zip(panels, CLASSES, strict=True):
        for row, each in enumerate(ordered):
            low, high = each.interval(kind)
            colour = "#b2182b" if each.entrant.name == HOUSE else "#4d6a8a"
            panel.barh(row, each.mean(kind), color=colour, alpha=0.85, height=0.7)
            panel.plot([low, high], [row, row], color="#222222", linewidth=1.2)
            values = [record["class_means"][kind]["pr_auc"] for record in each.records]
            panel.plot(values, [row] * len(values), "o", color="white", markeredgecolor="#222222", markersize=4)
        guess = ordered[0].records[0]["class_means"][kind]["base_rate"]
        panel.axvline(guess, color="#888888", linestyle=":", linewidth=1)
        panel.set_title(kind)
        panel.set_xlabel("test PR AUC, class mean")
        panel.set_yticks(range(len(ordered)), [each.entrant.name for each in ordered] if panel is panels[0] else [])
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=110, metadata={"Software": None})


def entrants_of(group: str, only: str | None) -> list[Entrant]:
    def dense(name: str) -> Entrant:
        return Entrant(name, name, tried=MUON + ADAMW)

    if group == "ablations":
        changed = [Entrant(name, HOUSE, arguments) for name, arguments in ABLATIONS.items()]
        everyone = [dense(HOUSE), *changed, Entrant("AdamW instead of Muon", HOUSE, tried=ADAMW)]
    elif group == "bins":
        binned = [Entrant(name, name, bins=True, tried=FOR_BINS) for name in BINS]
        everyone = [dense(HOUSE), dense("dilated"), *binned]
    else:
        everyone = [dense(name) for name in (HOUSE, *DENSE)]
    names = [each.name for each in everyone]
    if unknown := set(only.split(",") if only else ()) - set(names):
        sys.exit(f"--only: no {', '.join(sorted(unknown))} among {', '.join(names)}")
    return [each for each in everyone if not only or each.name in only.split(",")]


def found_before(text: str, entrants: Sequence[Entrant]) -> dict[str, Tuned]:
    """What --known says of some of these."""
    pairs = [pair.partition("=")[::2] for pair in text.split(",") if pair]
    if unknown := {name for name, _ in pairs} - {each.name for each in entrants}:
        sys.exit(f"--known: no {', '.join(sorted(unknown))} among {', '.join(each.name for each in entrants)}")
    return {name: Tuned(optimizer, float(rate)) for name, how in pairs for optimizer, rate in [how.split(":")]}


def train_all(
    race: Race, entrants: Sequence[Entrant], known: dict[str, Tuned], seeds: int, jobs: int
) -> dict[str, Tuned]:
    """Search, then train with every seed; how each was trained."""
    with ThreadPoolExecutor(jobs) as pool:
        tuned = known | search(race, [each for each in entrants if each.name not in known], pool)
        chosen = {each.name: tuned.get(each.name) or tuned[HOUSE] for each in entrants}
        everything = [(each, chosen[each.name], seed) for each in entrants for seed in range(seeds)]
        list(pool.map(lambda job: race.train(*job), everything))
    return chosen


def conclude(results: Sequence[Result], group: str, goal: float) -> int:
    found = ratios(results)
    sure = [kind for kind in CLASSES if all(each.surely_beaten(kind) for each in results if each.against)]
    print(f"hybrid better than every other, outside the intervals, with every seed: {', '.join(sure) or 'no class'}")
    print("PR AUC of hybrid over the best other: " + ", ".join(f"{kind} {value:.2f}" for kind, value in found.items()))
    print(f"least ratio of PR AUC, {group}: {min(found.values()):.2f} (goal {goal:g})")
    return int(min(found.values()) < goal)


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chr20", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--group", choices=("dense", "bins", "ablations"), default="dense")
    parser.add_argument("--budget", type=int, default=46_800_000)
    parser.add_argument("--search", type=int, default=0, metavar="BUDGET", help="of the search, instead of a quarter")
    parser.add_argument("--bin-budget", type=int, metavar="BUDGET", help="of networks for bins; else as the others")
    parser.add_argument("--known", default="", help="what a search found, as dilated=muon:0.006,conv7=adamw:0.002")
    parser.add_argument("--patience", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", help="some networks, with commas between; judged when hybrid is among others")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--write", type=Path)
    return parser.parse_args()


def main() -> int:
    options = asked()
    options.folder.mkdir(parents=True, exist_ok=True)
    bins = options.group == "bins"
    build(options.chr20, options.folder, bins)
    bin_budget = options.bin_budget or options.budget
    race = Race(options.folder, options.budget, bin_budget, options.search, options.patience, options.device)
    entrants = entrants_of(options.group, options.only)
    known = found_before(options.known, entrants)
    chosen = train_all(race, entrants, known, options.seeds, options.jobs)
    if HOUSE not in chosen or len(chosen) == 1:
        return 0  # one to compare with is still to come
    results = judge(race, entrants, chosen, options.seeds, options.jobs, bins)
    print("\n".join(table(results)))
    if options.write:
        name = f"{options.group}, {'up to ' if options.patience else ''}{options.budget / 1e6:g} Mnt"
        name += f", {options.only}" if options.only else ""
        put(options.write, f"<!-- made by benchmarks/race.py, {name} -->", table(results))
    if options.picture:
        draw(results, options.picture)
    return conclude(results, options.group, 1.0 if options.group == "ablations" else 1.3 if options.patience else 2.0)


if __name__ == "__main__":
    sys.exit(main())
