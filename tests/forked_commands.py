"""Commands in processes of their own that cost no imports: one process has imported everything, and forks for each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# A command gets its own process group, as from a shell; `before` is run in it first. Its process stays, as a zombie,
# until the next one starts: nobody else can have its number while signals are sent to it.
SERVER = """
import gc, json, os, sys
import torch
import torch._dynamo, safetensors.torch, numpy.random  # what optimisers, weights and orders import when they are made
import dilannot.cli.console, dilannot.training.train

torch.set_num_threads(1)
for module in sys.argv[1:]:
    __import__(module)
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
    print("began", child, flush=True)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    sys.stdin.readline()
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Running:
    """A command that runs: its process, and what it says on stderr so far."""

    def __init__(self, server: subprocess.Popen[str], job: dict[str, object], said: Path) -> None:
        self._server, self.said = server, said
        self.code: int | None = None
        self._tell(json.dumps(job))
        self.pid = self._hear("began")

    def wait(self) -> int:
        """Its exit code; minus the signal that killed it."""
        if self.code is None:
            self._tell("")
            self.code = self._hear("ended")
        return self.code

    def kill(self, number: int) -> None:
        """Send it a signal; it may have ended."""
        assert self.code is None, "this process is no longer ours"
        os.kill(self.pid, number)

    @property
    def errors(self) -> list[str]:
        """Its lines that begin with error:, and all of a traceback."""
        lines = self.said.read_text().splitlines()
        return lines if any("Traceback" in line for line in lines) else [s for s in lines if s.startswith("error: ")]

    def _tell(self, line: str) -> None:
        assert self._server.stdin
        self._server.stdin.write(line + "\n")
        self._server.stdin.flush()

    def _hear(self, what: str) -> int:
        assert self._server.stdout
        said, number = self._server.stdout.readline().split()
        assert said == what
        return int(number)


class Commands:
    """Starts commands in a folder, one after the other."""

    def __init__(self, server: subprocess.Popen[str], folder: Path) -> None:
        self._server, self.folder, self._last = server, folder, list[Running]()

    def start(self, *arguments: object, before: str = "") -> Running:
        assert not self._last or self._last[-1].code is not None, "the one before still runs"
        said = self.folder / f".said-{len(self._last)}"
        job = {"folder": str(self.folder), "said": str(said), "arguments": [*map(str, arguments)], "before": before}
        self._last.append(Running(self._server, job, said))
        return self._last[-1]

    def run(self, *arguments: object, before: str = "") -> Running:
        running = self.start(*arguments, before=before)
        running.wait()
        return running

    def close(self) -> None:
        """End what a failed test has left."""
        if self._last and self._last[-1].code is None:
            self._last[-1].kill(signal.SIGKILL)
            self._last[-1].wait()


@contextmanager
def command_server(*modules: str) -> Iterator[subprocess.Popen[str]]:
    """The process that forks, with more modules in it; it ends with its stdin."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, *modules],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as server:  # fmt: skip
        yield server
        assert server.stdin
        server.stdin.close()


# In the process of a command: others, all at once, whose codes are written down.
TOGETHER = """
import json, time
began, children = time.monotonic() + 0.1, []
for number, arguments in enumerate(json.loads({arguments!r})):
    child = os.fork()
    if not child:
        os.dup2(os.open(f".said-by-{{number}}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.argv = ["dilannot", *arguments]
        {before}
        time.sleep(max(0, began - time.monotonic()))
        dilannot.cli.main()
    children.append(child)
codes = [[child, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])] for child in children]
open(".codes", "w").write(json.dumps(codes))
os._exit(0)
"""


def together(
    commands: Commands, arguments: Sequence[Sequence[object]], before: str = "pass"
) -> list[tuple[int, int, str]]:
    """Commands that all begin in the same moment: process, exit code and stderr of each."""
    text = json.dumps([[*map(str, each)] for each in arguments])
    running = commands.run(before=TOGETHER.format(arguments=text, before=before))
    assert running.code == 0, running.errors
    codes = json.loads((commands.folder / ".codes").read_text())
    said = [(commands.folder / f".said-by-{number}").read_text() for number in range(len(codes))]
    return [(pid, code, words) for (pid, code), words in zip(codes, said, strict=True)]


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
