"""Write docs/reference/cli.md from the commands themselves; tests/test_docs.py compares."""

from pathlib import Path

import click

from dilannot.cli import cli

PAGE = Path(__file__).parent / "reference" / "cli.md"


def page() -> str:
    parts = ["# Command line\n\nMade by `docs/make_cli_page.py`; every text is what `--help` prints.\n"]
    top = click.Context(cli, info_name="dilannot", terminal_width=100, max_content_width=100, **cli.context_settings)
    parts.append(f"## dilannot\n\n```\n{cli.get_help(top)}\n```\n")
    for name, command in cli.commands.items():
        context = click.Context(command, parent=top, info_name=name)
        parts.append(f"## dilannot {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
