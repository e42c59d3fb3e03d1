"""`dilannot completion`: the script that completes commands and options in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion", short_help="Shell completion for bash, zsh or fish")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
      eval "$(dilannot completion bash)"             # in ~/.bashrc
      eval "$(dilannot completion zsh)"              # in ~/.zshrc
      dilannot completion fish | source              # in config.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "dilannot", "_DILANNOT_COMPLETE").source())
