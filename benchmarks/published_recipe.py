"""Three networks of the thesis with its recipe, the same steps each: loss curves as a picture, PR AUC as a table.

    python benchmarks/published_recipe.py CHR20 FOLDER [--epochs 5] [--threads 1] [--picture docs/published-recipe.png]

CHR20 holds chr20.fa.gz, peaks/ and markers.tsv (264 markers); the dataset is its first 24 Mb, without N, split by
blocks. Everything goes to FOLDER; run again after an interruption, it goes on. The last line says how often the
thesis's order, `dilated` before the two others, appears in its three classes. Takes an hour on a core.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

NETWORKS = ("dilated", "conv7", "bilstm")
END, LENGTH = 24_000_000, 63_025_520


def dilannot(*words: object) -> str:
    command = [sys.executable, "-m", "dilannot", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chr20", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    dataset, skipped = options.folder / "c20.h5", options.folder / "skip.bed"
    if not dataset.exists():
        skipped.write_text(f"chr20\t{END}\t{LENGTH}\n")
        genome, markers = options.chr20 / "chr20.fa.gz", options.chr20 / "markers.tsv"
        dilannot(
            "build-data", genome, options.chr20 / "peaks", "--markers", markers, "--exclude", skipped, "-o", dataset
        )
    runs = [options.folder / f"run-{name}" for name in NETWORKS]
    for name, run in zip(NETWORKS, runs, strict=True):
        how = ("--recipe", "gupta", "--epochs", options.epochs, "-@", options.threads, "--resume")
        dilannot("train", dataset, "-o", run, "--model", name, *how)
        dilannot("evaluate", run, "--split", "validation", "--force", "-q")
    print(dilannot("compare", *runs))
    rates = json.loads((runs[0] / "evaluation-validation.json").read_text())["class_means"]
    print("base rates: " + ", ".join(f"{name} {mean['base_rate']:.4f}" for name, mean in rates.items()))
    if options.picture:
        dilannot("plot", *runs, "-o", options.picture, "--force")
    found = json.loads(dilannot("compare", *runs, "--json"))["runs"]
    scores = [run["validation_pr_auc"] for run in found]
    first = [name for name in scores[0] if scores[0][name] == max(each[name] for each in scores)]
    print(
        f"classes in which dilated comes first: {len(first)} ({', '.join(first) or 'none'}; the thesis: TFBS, histone)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
