"""Write docs/reference/cli.md from the commands themselves; tests/test_docs.py compares."""

from pathlib import Path

import click

from dilannot.cli import cli

PAGE = Path(__file__).parent / "reference" / "cli.md"


def page() -> str:
    parts = ["# Command line\n\nMade by `docs/make_cli_page.py`; every text is what `--help` prints.\n"]
    for name, command in [("", cli), *cli.commands.items()]:
        title = f"dilannot {name}".strip()
        context = click.Context(command, info_name=title, terminal_width=100, max_content_width=100)
        parts.append(f"## {title}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
