"""Commands in processes of their own that cost no imports: one process has imported everything, and forks for each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

# A command gets its own process group, as from a shell; `before` is run in it first.
SERVER = """
import gc, json, os, sys
import torch
import torch._dynamo, safetensors.torch, numpy.random  # what optimisers, weights and orders import when they are made
import dilannot.cli.console, dilannot.training.train

torch.set_num_threads(1)
gc.freeze()  # children end sooner
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.chdir(job["folder"])
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(os.open(job["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.argv = ["dilannot", *job["arguments"]]
        exec(job["before"])
        dilannot.cli.main()
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass
class Running:
    """A command that runs: its process, and what it says on stderr so far."""

    server: subprocess.Popen[str]
    pid: int
    said: Path
    code: int | None = None

    def wait(self) -> int:
        """Its exit code; minus the signal that killed it."""
        assert self.server.stdout
        if self.code is None:
            self.code = int(self.server.stdout.readline())
        return self.code

    @property
    def errors(self) -> list[str]:
        """Its lines that begin with error:, and all of a traceback."""
        lines = self.said.read_text().splitlines()
        return lines if any("Traceback" in line for line in lines) else [s for s in lines if s.startswith("error: ")]


class Commands:
    """Starts commands in a folder, one after the other."""

    def __init__(self, server: subprocess.Popen[str], folder: Path) -> None:
        self._server, self.folder, self._count = server, folder, 0

    def start(self, *arguments: object, before: str = "") -> Running:
        self._count += 1
        said = self.folder / f".said-{self._count}"
        job = {"folder": str(self.folder), "said": str(said), "arguments": [*map(str, arguments)], "before": before}
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        return Running(self._server, int(self._server.stdout.readline()), said)

    def run(self, *arguments: object, before: str = "") -> Running:
        running = self.start(*arguments, before=before)
        running.wait()
        return running


@contextmanager
def command_server() -> Iterator[subprocess.Popen[str]]:
    """The process that forks; it ends with its stdin."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        yield server
        assert server.stdin
        server.stdin.close()


def until(condition: object, seconds: float = 60) -> None:
    """Wait for what must happen."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def kill(pid: int, number: int, *, group: bool = False) -> None:
    """Send a signal to a process that may have ended, or to all of its group."""
    with suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(pid, number)
