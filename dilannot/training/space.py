"""What a search varies: axes with choices or a range, the points on them, and the TOML files that say them."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

from dilannot.errors import DilannotError, near
from dilannot.models.arguments import parse_arguments
from dilannot.models.registry import check_arguments
from dilannot.training.settings import TYPES, Settings

_DIGITS = 3  # of a number drawn from a range: enough to try, short enough to type
_TABLES = ("arguments", "settings")


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included; `log` is evenly by their logarithm. Two integers: integers."""

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether these are integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def rounded(self, value: float) -> float:
        """A number of the range, short enough to be typed."""
        return value if self.whole else min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that is varied.

    Attributes
    ----------
    name
        As tables and pictures call it.
    targets
        The arguments of the network that get its value, `filters[0]` being a place in a list; or one setting.
    choices, range
        Its values in order, or a range of numbers.
    setting
        Whether the target is a setting of the training.
    """

    name: str
    targets: tuple[str, ...]
    choices: tuple[Any, ...] = ()
    range: Range | None = None
    setting: bool = False

    def record(self) -> dict[str, Any]:
        """For `tune.json`."""
        if self.range is None:
            return {"choices": list(self.choices), "sets": list(self.targets)}
        return {"low": self.range.low, "high": self.range.high, "log": self.range.log, "sets": list(self.targets)}

    def names(self) -> set[str]:
        """Of the arguments or settings it decides, at least in part."""
        return {_split(target)[0] for target in self.targets}

    def __str__(self) -> str:
        if self.range is None:
            return f"{self.name}: {' | '.join(json.dumps(choice) for choice in self.choices)}"
        return f"{self.name}: {self.range.low:g} to {self.range.high:g}{', logarithmic' if self.range.log else ''}"


@dataclass(frozen=True, slots=True)
class Point:
    """A value on each axis, and the arguments and settings that follow from them."""

    values: dict[str, Any]
    arguments: dict[str, Any]
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Space:
    """The axes of a search.

    Attributes
    ----------
    name
        Of the grid or file, for people.
    axes
        One or more.
    base
        The network's arguments where no axis decides them.
    """

    name: str
    axes: tuple[Axis, ...]
    base: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Points of the grid."""
        return math.prod(len(axis.choices) for axis in self.axes)

    def values(self, index: int) -> dict[str, Any]:
        """Those of a point of the grid, counted from 0; the last axis changes first."""
        found = []
        for axis in reversed(self.axes):
            index, choice = divmod(index, len(axis.choices))
            found.append((axis.name, axis.choices[choice]))
        return dict(reversed(found))

    def point(self, values: Mapping[str, Any]) -> Point:
        """What values on the axes mean for network and training."""
        arguments: dict[str, Any] = {}
        settings: dict[str, Any] = {}
        for axis in self.axes:
            for target in axis.targets:
                name, place = _split(target)
                if axis.setting:
                    settings[name] = values[axis.name]
                elif place is None:
                    arguments[name] = values[axis.name]
                else:
                    arguments.setdefault(name, list(self.base[name]))[place] = values[axis.name]
        return Point(dict(values), arguments, settings)

    def without(self, fixed: Collection[str]) -> Space:
        """Less the axes that would change what is fixed, those of one value, and those that change nothing.

        Raises
        ------
        DilannotError
            Nothing is left to search.
        """
        axes = tuple(
            axis
            for axis in self.axes
            if axis.targets and not axis.names() & set(fixed) and (axis.range or len(axis.choices) > 1)
        )
        if not axes:
            raise DilannotError(
                f"{self.name} leaves nothing to search",
                remedy="give several choices of something that --set and --setting do not fix",
            )
        return replace(self, axes=axes)

    def record(self) -> dict[str, Any]:
        """For `tune.json`."""
        return {axis.name: axis.record() for axis in self.axes}


def read_space(path: Path, model: str, base: Mapping[str, Any], settings: Settings, *, ranges: bool) -> Space:
    """Axes from a TOML file: `[arguments]` and `[settings]`, whose values are lists of choices, or ranges.

    Parameters
    ----------
    path
        The file.
    model, base, settings
        The network, its arguments and the training whose values are changed.
    ranges
        Whether `{low = 1e-4, high = 1e-1, log = true}` may stand for a list.

    Raises
    ------
    DilannotError
        No such file, no TOML, a name or value that network or training do not take.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DilannotError("file not found", where=path) from None
    except IsADirectoryError:
        raise DilannotError("is a directory, not a file", where=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DilannotError(f"is not TOML: {error}", where=path) from None
    for name, table in tables.items():
        if name not in _TABLES or not isinstance(table, dict):
            raise DilannotError(
                f"{name!r} is not one of the tables [arguments] and [settings]{near(name, _TABLES)}",
                where=path,
                remedy="write [arguments] above what --set takes, [settings] above what --setting takes",
            )
    axes = []
    for kind in _TABLES:
        for name, given in tables.get(kind, {}).items():
            axis = _axis(name, given, path, setting=kind == "settings", ranges=ranges)
            _check(axis, model, settings, path)
            axes.append(axis)
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise DilannotError(f"{name!r} is an argument and a setting; vary one of them", where=path)
    if not axes:
        raise DilannotError("names nothing to search", where=path, remedy="see docs/how-to/tune.md")
    return Space(path.name, tuple(axes), base)


def _axis(name: str, given: Any, path: Path, *, setting: bool, ranges: bool) -> Axis:
    if isinstance(given, list) and given:
        texts = [json.dumps(choice) for choice in given]
        if len(set(texts)) < len(texts):
            raise DilannotError(f"{name} has a choice twice", where=path)
        return Axis(name, (name,), tuple(given), setting=setting)
    if not isinstance(given, dict):
        raise DilannotError(f"{name} is no list of choices", where=path, remedy=f"write {name} = [{_sample(given)}]")
    if not ranges:
        raise DilannotError(
            f"{name} is a range, and a grid has lists of choices", where=path, remedy="search it with --space --trials"
        )
    return Axis(name, (name,), range=_range(name, given, path), setting=setting)


def _range(name: str, given: dict[str, Any], path: Path) -> Range:
    low, high, log = given.get("low"), given.get("high"), given.get("log", False)
    if given.keys() - {"low", "high", "log"} or not _is_number(low) or not _is_number(high) or type(log) is not bool:
        raise DilannotError(
            f"{name} is no range", where=path, remedy=f"write {name} = {{low = 1e-4, high = 1e-1, log = true}}"
        )
    if not low < high or (log and low <= 0):
        raise DilannotError(f"{name} goes from {low:g} to {high:g}{' by logarithms' * log}", where=path)
    return Range(low, high, log)


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and math.isfinite(value)


def _check(axis: Axis, model: str, settings: Settings, path: Path) -> None:
    """Every choice, or both ends, is something that network or training takes."""
    values = axis.choices if axis.range is None else (axis.range.low, axis.range.high)
    try:
        if not axis.setting:
            check_arguments(model, {axis.name: None})
        elif axis.name not in TYPES or axis.name == "recipe":
            raise DilannotError(f"no setting {axis.name!r} to search{near(axis.name, TYPES)}")
        for value in values:
            if axis.setting:
                settings.changed({axis.name: value})
            else:
                parse_arguments(model, [f"{axis.name}={json.dumps(value)}"])
    except DilannotError as error:
        known = error.where if error.where in TYPES else ""
        raise DilannotError(f"{known} {error.problem}".strip(), where=path, remedy=error.remedy) from None


def _sample(value: Any) -> str:
    return json.dumps(value) if isinstance(value, int | float | str) else "1, 2"


def _split(target: str) -> tuple[str, int | None]:
    name, bracket, place = target.partition("[")
    return name, int(place[:-1]) if bracket else None
