"""What the benchmarks share: a command timed, its memory, and the table of figures and goals."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Measured:
    seconds: float
    memory: float  # GB


def resident(pid: int) -> int:
    """Bytes of a process and all below it."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(resident(int(child)) for child in children)


def measure(*arguments: object) -> Measured:
    """Run a dilannot command; its time from start to end, and its memory looked at ten times a second."""
    command = [sys.executable, "-m", "dilannot", *map(str, arguments)]
    print("$ dilannot", *arguments, flush=True)
    began, most = time.monotonic(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            most = max(most, resident(process.pid))
            time.sleep(0.1)
    if process.returncode:
        sys.exit(f"the command ended with {process.returncode}")
    result = Measured(time.monotonic() - began, most / 1e9)
    print(result, flush=True)
    return result


def report(title: str, rows: Sequence[tuple[str, float, str, float]], *, at_least: bool = False) -> int:
    """Print figures beside their goals, most (or least) allowed; 1 when one is missed."""
    missed = 0
    for name, figure, unit, goal in rows:
        bad = figure < goal if at_least else figure > goal
        missed += bad
        sign = "≥" if at_least else "≤"
        print(f"{name:40s} {figure:12,.2f} {unit:12s} goal {sign} {goal:g}{'  MISSED' if bad else ''}")
    name, figure, unit, goal = rows[0]
    print(f"{title}: {figure:,.2f} {unit} (goal {goal:g}); {len(rows) - missed} of {len(rows)} goals held")
    return int(missed > 0)
