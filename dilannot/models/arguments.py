"""Constructor arguments as they are typed on a command line: `--set filters=64,120,50`, checked against annotations."""

from __future__ import annotations

import json
import types
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

from dilannot.errors import DilannotError
from dilannot.models.registry import check_arguments, entry

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}


def parse_arguments(name: str, typed: Sequence[str]) -> dict[str, Any]:
    """`NAME=VALUE` texts to constructor arguments of a registered network.

    Values are JSON (`[[5,1],null]`), or numbers with commas between them.

    Raises
    ------
    DilannotError
        No such argument, or a value of another type.
    """
    arguments: dict[str, Any] = {}
    for text in typed:
        key, equals, value = text.partition("=")
        if not equals:
            raise DilannotError(f"{text!r} has no '='", where="--set", remedy="write NAME=VALUE, as hidden=200")
        key = key.strip().replace("-", "_")
        check_arguments(name, {key: value})
        arguments[key] = _typed(key, value.strip(), _hints(name).get(key, Any))
    return arguments


def _hints(name: str) -> dict[str, Any]:
    return get_type_hints(entry(name).network.__init__)


def _typed(key: str, text: str, hint: Any) -> Any:
    for candidate in _readings(text):
        if _fits(candidate, hint):
            return candidate
    raise DilannotError(f"{key}={text} is not {_described(hint)}", where="--set")


def _readings(text: str) -> list[Any]:
    """What a text may mean: JSON, a list without its brackets, a word."""
    found = []
    for form in (text, text.lower(), f"[{text}]"):
        try:
            found.append(json.loads(form))
        except ValueError:
            continue
    return [*found, text]


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if origin is not None:  # a sequence
        parts = [part for part in get_args(hint) if part is not Ellipsis] or [Any]
        fits_each = (_fits(part, parts[min(i, len(parts) - 1)]) for i, part in enumerate(value or ()))
        return isinstance(value, list) and len(value) > 0 and all(fits_each)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _described(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_described(part) for part in get_args(hint))
    if origin is not None:
        return f"a list, each {_described((get_args(hint) or (Any,))[0])}"
    return _WORDS.get(hint, "of the right type")
