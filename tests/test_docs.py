"""Docs cannot drift: every command has its page, generated pages are current, names in pages exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import get_args

import pytest
from conftest import REPOSITORY, Inputs, make_run

from dilannot.annotate.annotate import annotate
from dilannot.annotate.plan import Scope
from dilannot.cli import cli
from dilannot.data import schema
from dilannot.formats.calls import COLUMNS
from dilannot.run import FILES
from dilannot.tracks import read_manifest
from dilannot.training.settings import TYPES, Settings

DOCS = REPOSITORY / "docs"
PAGES = [
    *sorted(DOCS.rglob("*.md")),
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "examples" / "README.md",
]


@pytest.mark.parametrize("page", ["cli", "models"])
def test_a_generated_page_is_current(page: str) -> None:
    spec = importlib.util.spec_from_file_location(f"make_{page}_page", DOCS / f"make_{page}_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "reference" / f"{page}.md").read_text() == module.page(), f"run python docs/make_{page}_page.py"


@pytest.mark.parametrize("command", list(cli.commands))
def test_every_command_has_a_page(command: str) -> None:
    page = (DOCS / "how-to" / f"{command}.md").read_text()
    assert f"dilannot {command}" in page


@pytest.mark.parametrize("name", list(cli.commands))
def test_options_in_how_to_pages_exist(name: str) -> None:
    page = (DOCS / "how-to" / f"{name}.md").read_text()
    known = {option for command in cli.commands.values() for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) <= known | {"--help"}


def test_the_page_on_training_gives_the_settings_of_modern() -> None:
    """Those that are numbers, words, or none; every optimiser, schedule and start is named."""
    page = (DOCS / "how-to" / "train.md").read_text()
    settings, checked = Settings(), set()
    for names, given in re.findall(r"^\| ((?:`[a-z0-9_]+`(?:, )?)+) \| ([^|]+) \|", page, re.MULTILINE):
        names = re.findall(r"`([a-z0-9_]+)`", names)
        if not set(names) <= TYPES.keys():
            continue
        checked |= set(names)
        shown = given.replace("`", "").split(", ")
        assert shown == [
            f"{getattr(settings, name):g}" if TYPES[name] is float else str(getattr(settings, name)) for name in names
        ]
    assert {"optimizer", "warmup", "clip", "l1", "initial"} <= checked
    for name in ("optimizer", "schedule", "initial", "watch", "precision"):
        for choice in get_args(TYPES[name]):
            assert f"`{choice}`" in page or f"`--setting {name}={choice}`" in page, choice


def test_the_format_page_names_every_array() -> None:
    page = (DOCS / "reference" / "dataset-format.md").read_text()
    for name in schema.FIELD_SHAPES:
        group, slash, field = name.rpartition("/")
        rows = [line for line in page.splitlines() if line.startswith(f"| `{group}{slash}")]
        assert any(re.search(rf"[`/]{field}`", line) for line in rows), name


def test_the_run_page_names_every_file() -> None:
    page = (DOCS / "reference" / "run-folder.md").read_text()
    assert all(f"`{name}`" in page for name in FILES)


def test_the_tracks_page_names_every_field_and_column(inputs: Inputs, tmp_path: Path) -> None:
    annotate(
        make_run(tmp_path / "run", inputs.genome, "toy-blocks"),
        output=tmp_path / "tracks",
        scope=Scope(regions=["chrM"]),
    )
    record = read_manifest(tmp_path / "tracks")
    page = (DOCS / "reference" / "tracks-folder.md").read_text()
    assert all(f"`{name}`" in page for name in (*record, *record["tracks"][0], *COLUMNS))
    assert f"# The tracks folder, version {record['format_version']}" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_files_that_pages_name_exist(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"`((?:dilannot|docs|tests|benchmarks|examples|\.ci)/[\w./-]*)`", text)
    named += [str(page.parent / target) for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text)]
    for name in named:
        assert (REPOSITORY / name).exists(), name
