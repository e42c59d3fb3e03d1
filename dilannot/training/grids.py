"""The grids that were searched for the published networks, and a space for any network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dilannot.errors import DilannotError, near
from dilannot.models import entry, full_arguments, names
from dilannot.training.space import Axis, Range, Space

SEARCHED = {"dense": "dilated", "window": "deepsea"}  # with a published grid, where no network is named
_DROPOUTS = ("dropout", "dropouts", "hidden_dropout")


def published_grid(grid: str, model: str, arguments: Mapping[str, Any]) -> Space:
    """A grid of Gupta 2017 as the arguments of one of our networks.

    `arguments` are all those of the network. Where the source has one number for several layers (`f3`), one axis
    changes several places; axes that would change nothing (the decay of batch norm in a network without it) are left
    out.

    Raises
    ------
    DilannotError
        A network with other arguments than those of the grid.
    """
    axes = GRIDS[grid](model, arguments)
    if axes is None:
        fitting = [each for each in names() if entry(each).code is None and GRIDS[grid](each, full_arguments(each, {}))]
        raise DilannotError(
            f"grid {grid!r} is not for model {model!r}",
            where="--grid",
            remedy=f"it fits {', '.join(fitting)}; a grid of your own is a file, see docs/how-to/tune.md",
        )
    return Space(grid, (*axes, *_common(arguments)), arguments)


def check_grid(name: str) -> None:
    """Refuse a name that is no grid.

    Raises
    ------
    DilannotError
        It is none.
    """
    if name not in GRIDS:
        raise DilannotError(
            f"no grid {name!r}, and no such file{near(name, GRIDS)}",
            where="--grid",
            remedy=f"choose {' or '.join(GRIDS)}, or give a TOML file",
        )


def _task1(model: str, arguments: Mapping[str, Any]) -> list[Axis] | None:
    """Convolutions over a window: the filters of each layer are chosen on their own, as the published ones were."""
    filters, hidden = arguments.get("filters"), arguments.get("hidden")
    if entry(model).output != "window" or "kernels" not in arguments or "state" in arguments:
        return None
    if not isinstance(filters, list) or not isinstance(hidden, list) or len(hidden) != 1:
        return None
    widths = [Axis(f"f{at + 1}", (f"filters[{at}]",), (120, 240, 360)) for at in range(len(filters))]
    return [Axis("k", ("kernels",), (4, 8, 12)), *widths, Axis("hidden", ("hidden[0]",), (500, 919, 1500))]


def _task2(model: str, arguments: Mapping[str, Any]) -> list[Axis] | None:
    """Convolutions or an LSTM over nucleotides, with a transposed convolution at the end (f3 as those before it)."""
    filters = arguments.get("filters")
    if entry(model).output != "dense" or not {"filters", "hidden", "deconvolution"} <= arguments.keys():
        return None
    up = ("deconvolution",) if arguments["deconvolution"] else ()
    if "state" in arguments:
        return [
            Axis("f1", ("filters",), (64, 128)),
            Axis("f3", up, (50, 128)),
            Axis("stride", ("stride",), (10, 20, 50, 100)),
            Axis("state", ("state",), (20, 40, 80)),
            Axis("hidden", ("hidden",), (64, 125, 200)),
        ]
    if not isinstance(filters, list):
        return None
    places = tuple(f"filters[{at}]" for at in range(len(filters)))
    return [
        Axis("f1", places[:1], (64, 128)),
        Axis("f2", places[1:2], (120, 240)),
        Axis("f3", places[2:] + up, (50, 128)),
        Axis("hidden", ("hidden",), (125, 200)),
    ]


def _common(arguments: Mapping[str, Any]) -> list[Axis]:
    """What both grids have."""
    norms = arguments.get("batch_norm") or arguments.get("hidden_batch_norm")
    return [
        Axis("dropout", tuple(name for name in _DROPOUTS if name in arguments), (0.1, 0.01)),
        Axis("batch_norm_decay", ("batch_norm_decay",) if norms else (), (0.9, 0.99)),
        Axis("learning_rate", ("learning_rate",), (1e-3, 1e-2, 1e-1), setting=True),
    ]


GRIDS: dict[str, Callable[[str, Mapping[str, Any]], list[Axis] | None]] = {
    "thesis-task1": _task1,
    "thesis-task2": _task2,
}


def usual_space(arguments: Mapping[str, Any]) -> Space:
    """For any network: learning rate and dropout, and half, as many and twice the units of its layers."""
    axes = [Axis("learning_rate", ("learning_rate",), range=Range(1e-4, 1e-1, log=True), setting=True)]
    dropouts = tuple(name for name in _DROPOUTS if name in arguments)
    axes += [Axis("dropout", dropouts, range=Range(0.0, 0.5))] if dropouts else []
    for name in ("filters", "width", "state", "hidden"):
        if arguments.get(name):
            choices = tuple(_scaled(arguments[name], factor) for factor in (0.5, 1, 2))
            axes.append(Axis(name, (name,), choices))
    return Space("the usual space", tuple(axes), arguments)


def _scaled(units: int | list[int], factor: float) -> int | list[int]:
    if isinstance(units, list):
        return [max(1, round(each * factor)) for each in units]
    return max(1, round(units * factor))
