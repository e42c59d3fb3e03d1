"""Constructor arguments as they are typed on a command line: `--set filters=64,120,50`, checked against annotations."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Sequence
from math import isfinite
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dilannot.errors import DilannotError, shorten
from dilannot.models.registry import check_arguments, entry, full_arguments

_WORDS: dict[Any, tuple[str, str]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("a text", "texts"),
    type(None): ("null", "null"),
}
_LARGEST = 2**31 - 1  # torch takes no sizes far beyond it, and no network has them


def parse_arguments(name: str, typed: Sequence[str]) -> dict[str, Any]:
    """`NAME=VALUE` texts to constructor arguments of a registered network.

    Values are JSON (`[[5,1],null]`), or numbers or words with commas between them.

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
        arguments[key] = _parse(name, key, value.strip())
    return arguments


def write_argument(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, str) and _readings(value.strip())[0] == value:
        return value
    text = json.dumps(value, separators=(",", ":"))
    flat = isinstance(value, list) and len(value) > 1 and not any(isinstance(part, list | str) for part in value)
    return text[1:-1] if flat else text


def _parse(name: str, key: str, text: str) -> Any:
    hint = _hints(name).get(key, Any)
    for candidate in _readings(text):
        if _fits(candidate, hint):
            return candidate
    usual = full_arguments(name, {})
    raise DilannotError(
        f"{key}={shorten(text, 60)} is not {_described(hint)}",
        where="--set",
        remedy=f"its default is {key}={write_argument(usual[key])}" if key in usual else None,
    )


def _hints(name: str) -> dict[str, Any]:
    try:
        return get_type_hints(entry(name).network.__init__)
    except NameError:  # a user's annotations, of names imported for type checkers only
        return {}


def _readings(text: str) -> list[Any]:
    """What a text may mean: JSON, a list without its brackets, a word, or words with commas between them."""
    plain = re.sub(r"(?<![\w.])\.(?=\d)", "0.", text)  # .5
    forms = (text, plain, re.sub(r"\bnone\b", "null", plain.lower()))
    found = []
    for form in (*forms, *(f"[{form}]" for form in forms)):
        try:
            found.append(json.loads(form))
        except (ValueError, RecursionError):
            continue
    return [*found, text, text.split(",")]


def _fits(value: Any, hint: Any) -> bool:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if (isinstance(origin, type) and issubclass(list, origin)) or origin is tuple:
        each = [part for part in parts if part is not Ellipsis] or [Any]
        if not isinstance(value, list) or (len(each) > 1 and len(value) != len(each)):
            return False
        return all(_fits(part, each[min(i, len(each) - 1)]) for i, part in enumerate(value))
    if hint in (int, float):
        number = type(value) is int and abs(value) <= _LARGEST
        return number or (hint is float and type(value) is float and isfinite(value))
    # Of types that a command line has no way to write, the network itself says what is wrong.
    return isinstance(value, hint) if hint in _WORDS or hint in (list, dict) else True


def _described(hint: Any, *, several: bool = False) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(write_argument(part) for part in parts)
    if origin in (Union, types.UnionType):
        return (" or " if several else ", or ").join(_described(part, several=several) for part in parts)
    if origin is not None:
        return f"{'lists' if several else 'a list'} of {_described((parts or (Any,))[0], several=True)}"
    return _WORDS.get(hint, ("of the right type", "the right type"))[several]
