"""Imports point down, torch stays where it belongs, and no file grows into a drawer."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dilannot

PACKAGE = Path(dilannot.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Layer of every package and module of the top level; docs/explain/architecture.md draws them.
LAYERS = {
    "cli": 5, "__main__": 6,
    "evaluate": 4, "training": 4, "annotate": 4, "info": 4, "report": 4, "compare": 4,
    "run": 3, "history": 3, "trials": 3, "tensors": 3, "ranks": 3, "trust": 3, "predict": 3, "metrics": 3, "tracks": 3, "walk": 3, "scope": 3, "names": 1, "shipped": 3, "evaluation": 3,
    "data": 2, "models": 2,
    "formats": 1,
    "genome": 0, "errors": 0, "progress": 0, "outputs": 0, "compiled": 0, "__init__": 0,
}  # fmt: skip
ALLOWED_SIBLINGS = {
    ("training", "evaluate"), ("run", "trust"), ("run", "tensors"), ("history", "run"), ("ranks", "predict"), ("walk", "run"), ("shipped", "run"), ("evaluation", "metrics"),
    ("outputs", "errors"), ("genome", "errors"), ("formats", "formats"),
}  # fmt: skip
READING = ("batch.py", "dataset.py", "workers.py")  # of data/
NO_TORCH = {
    "cli", "info", "formats", "genome", "errors", "progress", "outputs", "compiled", "tracks", "report", "history", "trials",
}  # fmt: skip


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, *, inside_functions: bool) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if inside_functions else [n for n in tree.body if not isinstance(n, ast.If)]
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = room(path)
    assert here in LAYERS, "give the new room a layer"
    for name in imports(path, inside_functions=True):
        parts = name.split(".")
        if parts[0] != "dilannot" or len(parts) < 2 or parts[1] not in LAYERS or parts[1] == here:
            continue
        down = LAYERS[parts[1]] < LAYERS[here]
        assert down or (here, parts[1]) in ALLOWED_SIBLINGS, f"{here} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_click_and_rich_stay_in_their_rooms(path: Path) -> None:
    everywhere = {name.split(".")[0] for name in imports(path, inside_functions=True)}
    at_import = {name.split(".")[0] for name in imports(path, inside_functions=False)}
    here = room(path)
    assert here in ("cli", "__main__") or not everywhere & {"click", "rich"}
    assert "rich" not in everywhere or path.name == "console.py"
    if here in NO_TORCH or (here == "data" and path.name not in READING):
        assert "torch" not in at_import


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_small_and_say_what_they_are(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 450
    assert ast.get_docstring(ast.parse(text))
    assert path.stem not in ("utils", "util", "helpers", "misc", "common")


@pytest.mark.parametrize("statement", ["import dilannot.cli", "import dilannot.annotate.finish"])
def test_torch_is_not_imported_before_it_is_needed(statement: str) -> None:
    code = f"import sys; {statement}; print(sorted({{'torch', 'h5py', 'matplotlib'}} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"
