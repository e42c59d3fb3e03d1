"""`dilannot models`: the networks there are, in figures."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from dilannot.cli import options
from dilannot.errors import DilannotError

if TYPE_CHECKING:
    from dilannot.models.describe import Description

MODELS_VERSION = 1
COLUMNS = ("name", "task", "layers", "outputs", "parameters", "receptive field", "stride", "mult-adds/nt", "source")
LAYER_COLUMNS = ("layer", "settings", "output", "parameters", "multiply-adds")


@click.command("models", short_help="The networks there are, their parameters and receptive fields")
@click.argument("name", metavar="[NAME|FILE.py:CLASS]", required=False)
@click.option("--task", type=click.Choice(["dense", "window"]), help="Only those for such datasets.")
@click.option("--outputs", type=click.IntRange(1), help="Markers to count parameters for.  [default: the source's]")
@click.option("--length", type=click.IntRange(1), help="Of an input, nt.  [default: 25,000 dense, 1,000 window]")
@options.model_arguments
@options.as_json
def command(
    name: str | None,
    task: str | None,
    outputs: int | None,
    length: int | None,
    arguments: tuple[str, ...],
    as_json: bool,
) -> None:
    """List the networks that train takes as --model, or show the layers of NAME and the arguments that --set changes.

    Parameters are counted for as many markers as the source has. The receptive field is computed from the layers: nt
    from the first to the last position that the outputs of one block (stride) or window depend on, and how many of
    these positions matter. Multiply-adds are per annotated nt; a window network decides on bins of 200.
    """
    if name is None and arguments:
        raise click.UsageError("--set needs the NAME of a network")
    if name is not None and task is not None:
        raise click.UsageError("--task is for the list; leave it out beside a NAME")
    from dilannot.cli.console import print_json, print_table
    from dilannot.models import names, resolve
    from dilannot.models.arguments import parse_arguments
    from dilannot.models.describe import describe

    if name is None:
        found, unfit = [], []
        for each in names(task):
            try:
                found.append(describe(each, outputs, length))
            except DilannotError:
                if length is None:
                    raise
                unfit.append(each)
        if as_json:
            print_json({"models_version": MODELS_VERSION, "models": [each.as_json() for each in found]})
        else:
            print_table(COLUMNS, overview(found), text_columns=2, whole=True)
        if unfit:
            click.echo(f"left out, not for inputs of {length:,} nt: {', '.join(unfit)}", err=True)
        return
    model = resolve(name)
    found = [describe(model, outputs, length, parse_arguments(model, arguments))]
    if as_json:
        print_json({"models_version": MODELS_VERSION, **found[0].as_json()})
        return
    click.echo("\n".join(facts(found[0])))
    if found[0].layers:
        print_table(LAYER_COLUMNS, layers(found[0]), text_columns=2, whole=True)


def overview(found: Sequence[Description]) -> list[tuple[str, ...]]:
    """A row of `COLUMNS` for each network."""
    return [
        (
            each.name,
            each.output,
            f"{each.weight_layers or ''}",
            f"{each.outputs:,}",
            f"{each.parameters:,}",
            _field(each),
            f"{each.stride:,}",
            _cost(each),
            each.source,
        )
        for each in found
    ]


def layers(each: Description) -> list[tuple[str, ...]]:
    """A row of `LAYER_COLUMNS` for each layer."""
    return [
        (
            2 * layer.depth * " " + layer.kind,
            layer.settings,
            " x ".join(f"{size:,}" for size in layer.shape),
            "shared" if layer.parameters is None else f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
        )
        for layer in each.layers
    ]


def facts(each: Description) -> list[str]:
    """What there is to say of a network besides its layers."""
    from dilannot.models.arguments import write_argument

    published = f"; published: {each.published:,}" if each.published else ""
    arguments = [shlex.quote(f"{key}={write_argument(value)}") for key, value in each.arguments.items()]
    return [
        f"{each.name}: {each.output} network{f', {each.source}' if each.source else ''}",
        f"  parameters: {each.parameters:,} for {each.outputs:,} markers{published}",
        f"  receptive field: {_field(each)}{_reach(each)}",
        f"  stride: blocks of {each.stride:,} nt",
        f"  multiply-adds: {_cost(each)} per annotated nt",
        f"  arguments: {' '.join(arguments) or 'none'}",
    ]


def _field(each: Description) -> str:
    if each.field is None:
        return each.no_field
    matter = "" if each.field.positions == each.field.span else f" ({each.field.positions:,} matter)"
    return f"{each.field.span:,}{matter}"


def _cost(each: Description) -> str:
    return f"{each.multiply_adds:,.0f}" if each.layers else "not known"


def _reach(each: Description) -> str:
    """To either side, counted from a block's first nucleotide; windows have no other side."""
    if each.field is None or each.output != "dense":
        return ""
    return f": {-each.field.first:,} nt before a block's first and {each.field.last:,} after it"
