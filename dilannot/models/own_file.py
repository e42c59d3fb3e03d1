"""Networks from a user's own file: `--model my_net.py:MyNet`."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

from dilannot.errors import DilannotError, near
from dilannot.models import registry

_loaded: dict[tuple[str, str], list[str]] = {}  # path and digest -> names it registers


def resolve(model: str) -> str:
    """The registered name of `NAME`, `FILE.py:CLASS`, `FILE.py:NAME` or `FILE.py`; a file is run.

    Raises
    ------
    DilannotError
        No such name, file or class, or a file that registers nothing.
    """
    file, colon, wanted = model.rpartition(":")
    if not colon or not file.endswith(".py"):
        file, wanted = (model, "") if model.endswith(".py") else ("", "")
    if not file:
        registry.entry(model)
        return model
    path = Path(file)
    found = load_file(path)
    classes = {registry.entry(name).network.__name__: name for name in found}
    if not found:
        raise DilannotError(
            "registers no network", where=path, remedy='put @register("my-net", output="dense") above its class'
        )
    if not wanted and len(found) == 1:
        return found[0]
    if wanted in found or wanted in classes:
        return wanted if wanted in found else classes[wanted]
    raise DilannotError(
        f"registers no {wanted!r}{near(wanted, [*found, *classes])}" if wanted else "registers several networks",
        where=path,
        remedy=f"use {path}:NAME with {' or '.join(found)}",
    )


def load_file(path: Path) -> list[str]:
    """Run a file of Python; the names it registers. The same file is run once.

    Raises
    ------
    DilannotError
        It cannot be read, or is no Python.
    """
    try:
        code = path.read_bytes()
    except FileNotFoundError:
        raise DilannotError("not found", where=path, remedy="--model takes a name or FILE.py:CLASS") from None
    key = (str(path.resolve()), digest(code))
    if key not in _loaded:
        _run(path)
        _loaded[key] = [name for name in registry.names() if registry.entry(name).code == path]
    return _loaded[key]


def digest(code: bytes) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(code).hexdigest()


def _run(path: Path) -> None:
    module_name = f"dilannot_own_{digest(str(path.resolve()).encode())[:12]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    with registry.reading(path):
        try:
            spec.loader.exec_module(module)
        except SyntaxError as error:
            raise DilannotError(f"is no Python: {error.msg}", where=path, line=error.lineno) from None
