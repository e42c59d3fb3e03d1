"""Options that several commands share. Regions are 1-based and inclusive, BED is 0-based half-open."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path, readable=False)  # the library says what cannot be read

device = click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:N]", help="Where the network runs."
)
threads = click.option(
    "-@", "--threads", type=click.IntRange(1), default=None, help="CPU threads and processes.  [default: one per core]"
)
seed = click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of everything random."
)
force = click.option("-f", "--force", is_flag=True, help="Overwrite what is there.")
quiet = click.option("-q", "--quiet", is_flag=True, help="No progress; warnings and errors only.")
dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")
weights = click.option(
    "--weights",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Those of the epoch that validated best, or of the last.",
)
trust_code = click.option(
    "--trust-code", is_flag=True, help="Run RUN/network.py, the code of a network that is not dilannot's own."
)
model_arguments = click.option(
    "--set", "arguments", multiple=True, metavar="NAME=VALUE",
    help="Argument of the network, as hidden=200 or filters=64,120; repeatable.",
)  # fmt: skip
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")

_FILTERS = {
    "name": ("names", "K562|CTCF|*"),
    "class": ("classes", "histone"),
    "cell": ("cells", "GM12878"),
    "target": ("targets", "H3K4me?"),
    "treatment": ("treatments", "None"),
}


def marker_filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--name`, `--class`, `--cell`, `--target` and `--treatment`, called as `published.select` calls them."""
    for field, (argument, example) in reversed(_FILTERS.items()):
        text = f"Of this {field}, as {example}; * and ? are wild; repeatable."
        command = click.option(f"--{field}", argument, multiple=True, metavar="TEXT", help=text)(command)
    return command


def set_threads(count: int | None) -> None:
    """Tell torch how many CPU threads to use."""
    if count is not None:
        import torch

        torch.set_num_threads(count)


# What these decide is not in the dataset: the same bytes come out.
_UNRECORDED = {"-@": 1, "--threads": 1, "--report": 1, "--verify": 1, "--force": 0, "--quiet": 0}


def recorded_command() -> str:
    """The command line, without options that do not change the result."""
    kept, skip = ["dilannot"], 0
    for word in sys.argv[1:]:
        option, equals, _ = word.partition("=")
        option = "-@" if word.startswith("-@") else option
        if skip:
            skip -= 1
        elif set(word[1:]) <= {"f", "q"} and word.startswith("-") and len(word) > 1:
            continue
        elif option in _UNRECORDED:
            skip = _UNRECORDED[option] if not equals and word == option else 0
        else:
            kept.append(word)
    return shlex.join(kept)


def next_step(output: Path) -> str:
    """What comes after a dataset."""
    argument = "" if output == Path("dataset.h5") else f" {shlex.quote(str(output))}"
    return f"; next: dilannot train{argument}"
