"""The place of a benchmark's figures in a page: between two lines that name what makes them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def put(page: Path, mark: str, lines: Sequence[str]) -> None:
    """Replace what stands between the marks."""
    parts = page.read_text().split(mark)
    if len(parts) != 3:
        sys.exit(f"{page} has no two lines {mark}")
    page.write_text("\n".join([f"{parts[0]}{mark}", *lines, f"{mark}{parts[2]}"]))
