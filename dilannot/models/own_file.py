"""Networks from a user's own file: `--model my_net.py:MyNet`."""

from __future__ import annotations

import inspect
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

from torch import nn

from dilannot.errors import DilannotError, near
from dilannot.models import registry
from dilannot.models.network import DenseNetwork, WindowNetwork


def resolve(model: str) -> str:
    """The registered name of `NAME`, `FILE.py:CLASS`, `FILE.py:NAME` or `FILE.py`; a file is run.

    Raises
    ------
    DilannotError
        No such name, file or class, a file that registers nothing, or a class that stands under several names.
    """
    file, colon, wanted = model.rpartition(":")
    if not colon or not file.endswith(".py"):
        file, wanted = (model, "") if model.endswith(".py") else ("", "")
    if not file:
        registry.entry(model)
        return model
    path = Path(file)
    found = load_file(path)
    if not found:
        raise DilannotError(
            "registers no network", where=path, remedy='put @register("my-net", output="dense") above its class'
        )
    classes = {name: registry.entry(name).network.__name__ for name in found}
    meant = [wanted] if wanted in found else [name for name in found if wanted in ("", classes[name])]
    if len(meant) == 1:
        return meant[0]
    unknown = f"registers no {wanted!r}{near(wanted, {*found, *classes.values()})}"
    several = "registers several networks" + (f" as {wanted}" if wanted else "")
    choices = " or ".join(f"{path}:{name}" for name in meant or found)
    raise DilannotError(several if meant else unknown, where=path, remedy=f"use {choices}")


def load_file(path: Path) -> list[str]:
    """Run a file of Python; the names it registers.

    Raises
    ------
    DilannotError
        It cannot be read, is not valid Python, or registers what cannot be trained.
    """
    try:
        code = path.read_bytes()
    except FileNotFoundError:
        raise DilannotError("not found", where=path, remedy="--model takes a name or FILE.py:CLASS") from None
    except IsADirectoryError:
        raise DilannotError("is a folder", where=path, remedy="--model takes a name or FILE.py:CLASS") from None
    return run_code(registry.OwnCode(path, code))


def run_code(code: registry.OwnCode) -> list[str]:
    """Run what was read from a file; the names it registers.

    Raises
    ------
    DilannotError
        It is not valid Python, or registers what cannot be trained.
    """
    before = {name: registry.entry(name) for name in registry.names()}
    _run(code)
    found = [name for name in registry.names() if registry.entry(name) is not before.get(name)]
    for name in found:
        _check(name, code.path)
    return found


def _run(code: registry.OwnCode) -> None:
    # Not through importlib: that runs the file's __pycache__ where one lies there, whose digest nobody compared, and
    # writes one beside the file.
    try:
        compiled = compile(code.source, code.path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise DilannotError(f"is not valid Python: {error.msg}", where=code.path, line=error.lineno) from None
    except ValueError as error:  # a null byte
        raise DilannotError(f"is not valid Python: {error}", where=code.path) from None
    module = ModuleType(f"dilannot_own_{code.sha256[:12]}")
    module.__file__ = str(code.path)
    sys.modules[module.__name__] = module
    with registry.reading(code):
        try:
            # What it prints is no answer of the command's.
            with redirect_stdout(sys.stderr):
                exec(compiled, vars(module))
        except ModuleNotFoundError as error:
            remedy = "check the name, or install it; files beside this one cannot be imported: a run keeps it alone"
            raise DilannotError(str(error), where=code.path, remedy=remedy) from None


def _check(name: str, path: Path) -> None:
    """Say at once what would fail where a network is built, trained or recorded."""
    chosen = registry.entry(name)
    network: object = chosen.network
    if not isinstance(network, type) or not issubclass(network, nn.Module):
        raise DilannotError(f"{name!r} is no class of networks", where=path, remedy="derive it from torch.nn.Module")
    for kind, base in (("dense", DenseNetwork), ("window", WindowNetwork)):
        if issubclass(network, base) and chosen.output != kind:
            raise DilannotError(
                f"{name!r} is a {base.__name__} registered as {chosen.output}",
                where=path,
                remedy=f'put output="{kind}" into @register',
            )
    try:
        place, remedy = "__init__", "it takes n_outputs, and has a default for everything else"
        inspect.signature(network).bind(n_outputs=1, **chosen.preset)
        place, remedy = "forward", f"its arguments are called self, {', '.join(chosen.inputs)}"
        inspect.signature(network.forward).bind(None, **dict.fromkeys(chosen.inputs))
        place, remedy = "__init__", "defaults are numbers, texts, lists or None"
        registry.full_arguments(name, {})
    except TypeError as error:
        raise DilannotError(f"{network.__name__}.{place}: {error}", where=path, remedy=f"see that {remedy}") from None
