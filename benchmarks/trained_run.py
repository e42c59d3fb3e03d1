"""The run that comes with dilannot, trained anew: whether its scores are those of the one that ships.

    python benchmarks/trained_run.py CHR20 FOLDER [--seed 0] [--threads 1] [--ship]

CHR20 holds chr20.fa.gz, peaks/ and markers.tsv. The commands of the model card (dilannot/trained/hg19-chr20) are run in
FOLDER, which takes an hour of one core; run again after an interruption, it goes on. Another seed needs another folder.
With --ship, what they left replaces the run that ships, and its scores those in the card. Else the last line says in
how many classes the mean PR AUC on the test windows lies within the 95 % interval of the shipped run; exits 1 when one
does not.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from page import put

from dilannot.shipped import CARD, FOLDER

EPOCHS = 6
CLASSES = ("TFBS", "histone", "DNase")
SHIPPED = (
    "run.json", "markers.tsv", "settings.toml", "metrics.csv", "best.safetensors",
    "evaluation-test.tsv", "evaluation-test.json",
)  # fmt: skip
MARK = "<!-- made by benchmarks/trained_run.py -->"


def make(chr20: Path, folder: Path, seed: int, threads: int) -> Path:
    """The run folder. Paths are relative to FOLDER, so that what is recorded of them holds anywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs, run = Path("hg19-chr20"), Path("run")
    if not (folder / inputs).exists():
        shutil.copytree(chr20, folder / inputs)

    def dilannot(*words: object) -> None:
        print("$ dilannot", *words, flush=True)
        subprocess.run([sys.executable, "-m", "dilannot", *map(str, words)], cwd=folder, check=True)

    if not (folder / "chr20.h5").exists():
        given = (inputs / "chr20.fa.gz", inputs / "peaks", "--markers", inputs / "markers.tsv")
        dilannot("build-data", *given, "-o", "chr20.h5", "-q")
    dilannot("train", "chr20.h5", "-o", run, "--epochs", EPOCHS, "--seed", seed, "-@", threads, "--resume")
    dilannot("evaluate", run, "chr20.h5", "-@", threads, "-f", "-q")
    return folder / run


def means(run: Path) -> dict[str, dict[str, Any]]:
    """Test figures by class."""
    found: dict[str, dict[str, Any]] = json.loads((run / "evaluation-test.json").read_text())["class_means"]
    return found


def table(run: Path) -> list[str]:
    markers = json.loads((run / "evaluation-test.json").read_text())["markers"]
    head = ("PR AUC (95 % interval)", "base rate", "ROC AUC", "best F1", "precision of calls", "recall of calls")
    lines = [f"| | markers | {' | '.join(head)} |", "|---|" + "---:|" * (1 + len(head))]
    for kind, row in means(run).items():
        own = [marker for marker in markers if marker["class"] == kind and marker["pr_auc"] is not None]
        calls = (median(marker[f"{name}_at_break-even"] or 0 for marker in own) for name in ("precision", "recall"))
        pr_auc = f"{row['pr_auc']:.3f} ({row['pr_auc_low']:.3f} to {row['pr_auc_high']:.3f})"
        base, rest = f"{row['base_rate']:.4f}", f"{row['roc_auc']:.3f} | {row['best_f1']:.3f}"
        lines.append(
            f"| {kind} | {row['markers']} | {pr_auc} | {base} | {rest} | {' | '.join(map('{:.2f}'.format, calls))} |"
        )
    bad = [marker["marker"] for marker in markers if marker["pr_auc"] is not None and marker["pr_auc"] < 0.01]
    none = json.loads((run / "evaluation-test.json").read_text())["without_positives"]
    return [
        *lines,
        "",
        "Precision and recall: medians over markers, nucleotide by nucleotide, of the calls that `annotate` makes by "
        "default.",
        "",
        f"Do not use: {', '.join(bad)} (PR AUC below 0.01).",
        f"No peak on the test windows, and no score: {', '.join(none)}.",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chr20", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ship", action="store_true")
    options = parser.parse_args()
    run = make(options.chr20.resolve(), options.folder, options.seed, options.threads)
    print("\n".join(table(run)))
    if options.ship:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name in SHIPPED:
            shutil.copyfile(run / name, FOLDER / name)
        put(CARD, MARK, table(run))
        return 0
    new, old = means(run), means(FOLDER)
    within = [kind for kind in CLASSES if old[kind]["pr_auc_low"] <= new[kind]["pr_auc"] <= old[kind]["pr_auc_high"]]
    print(f"classes within the intervals of the shipped run: {len(within)} (goal {len(CLASSES)})")
    return int(len(within) < len(CLASSES))


if __name__ == "__main__":
    sys.exit(main())
