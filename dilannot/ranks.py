"""Several processes that train one network: who they are, and what they agree on.

`torchrun` says it in RANK, WORLD_SIZE and LOCAL_RANK; SLURM's `srun` in SLURM_PROCID, SLURM_STEP_NUM_TASKS and
SLURM_LOCALID. Without either there is one process, and nothing here does anything.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import NoReturn, Protocol

import numpy as np
import torch

# Imported once processes have met, as optimisers do, its functions would keep their threads in default arguments: one
# in fifteen trainings that had ended well then crashed in destructors.
import torch.distributed.nn.functional
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.distributed.rendezvous import rendezvous

from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.predict import choose_device

_ROWS = 64  # of a histogram that are added up at a time
# Launchers kill the other processes once one has left: the one that has something to say goes first.
_SPOKEN, _SILENT = 0.3, 1.5  # seconds


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among `count`: its `rank`, that on its machine (`local`), and where it computes."""

    rank: int
    count: int
    local: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def sum(self, *values: float) -> list[float]:
        """Each value added up over all processes, in double precision."""
        if self.count == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return [float(value) for value in total.tolist()]

    def sum_counts(self, counts: NDArray[np.uint32]) -> None:
        """Add up a (T, bins) array over all processes, in place; integers, so in any order the same."""
        if self.count == 1:
            return
        # Signed, as torch has no sums of unsigned integers: their bits are the same.
        bits = torch.from_numpy(counts.view(np.int32))
        for begin in range(0, len(bits), _ROWS):
            rows = bits[begin : begin + _ROWS]
            there = rows.to(self.device)
            distributed.all_reduce(there)
            rows.copy_(there)

    def sum_gradients(self, network: nn.Module) -> list[Tensor]:
        """The gradients of a network, each added up over all processes, in place.

        All at once and always in the same order: with torch's DistributedDataParallel, whose order changes after the
        first step, three and more processes would not go on bit for bit from a checkpoint.
        """
        made = [each.grad for each in network.parameters() if each.grad is not None]
        if self.count > 1 and made:
            flat = torch.cat([each.reshape(-1) for each in made])
            distributed.all_reduce(flat)
            ends = accumulate(each.numel() for each in made)
            parts = [flat[end - each.numel() : end].view_as(each) for each, end in zip(made, ends, strict=True)]
            torch._foreach_copy_(made, parts)
        return made

    @torch.no_grad()
    def share(self, network: nn.Module) -> None:
        """Give all processes the weights and buffers of the first; as bytes, whatever their type."""
        if self.count == 1:
            return
        kept = list(network.state_dict().values())
        parts = [each.reshape(-1).view(torch.uint8) for each in kept]
        packed = torch.cat(parts)
        distributed.broadcast(packed, 0)
        for each, part, end in zip(kept, parts, accumulate(map(len, parts)), strict=True):
            each.copy_(packed[end - len(part) : end].clone().view(each.dtype).view(each.shape))

    def of_first(self, values: Sequence[float]) -> list[float]:
        """What the first process has: on another kind of machine the last digits differ, and decisions with them."""
        return self.sum(*(values if self.first else [0.0] * len(values)))

    def gather(self, values: Tensor) -> list[Tensor]:
        """The same tensor of every process, for all of them."""
        if self.count == 1:
            return [values]
        here = values.to(self.device)
        parts = [torch.empty_like(here) for _ in range(self.count)]
        distributed.all_gather(parts, here)
        return [part.cpu() for part in parts]

    def first_does(self, action: Callable[[], object]) -> None:
        """Only the first process does this, the others wait; where it fails, they leave without a word."""
        if self.first:
            try:
                action()
            except BaseException:
                self.sum(1.0)
                raise
        if self.sum(0.0) != [0.0]:
            _leave_silently(1)

    def wait(self) -> None:
        """Until all processes are here."""
        self.sum(0.0)


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """The processes that were started together, each on a GPU of its own where `device` is not a CPU.

    Of an error that several processes meet, one tells.

    Raises
    ------
    DilannotError
        A device this machine does not have, processes that do not find each other, or one that has died.
    """
    rank, count, local = _who(os.environ)
    if count == 1:
        yield Ranks(0, 1, 0, choose_device(device))
        return
    with one_voice():
        ranks = Ranks(rank, count, local, _own_device(device, local))
        notes = _meet(ranks)
    try:
        yield ranks
    except (DilannotError, OSError, RuntimeError) as error:
        _part(error, notes)
        raise
    except (KeyboardInterrupt, SystemExit) as leaving:
        distributed.destroy_process_group()
        _on_signals(signal.SIG_DFL)
        if isinstance(leaving, KeyboardInterrupt) and not ranks.first:
            raise SystemExit(128 + signal.SIGINT) from None
        raise
    distributed.destroy_process_group()


@contextmanager
def one_voice() -> Iterator[None]:
    """An error that all processes of a machine meet alike is told by the first of them."""
    try:
        yield
    except DilannotError as error:
        if _who(os.environ)[2]:
            _leave_silently(error.exit_code)
        raise


def speaks() -> bool:
    """Whether this process is the one that tells how the work goes."""
    return _who(os.environ)[0] == 0


def _own_device(device: str, local: int) -> torch.device:
    where = choose_device(device)
    if where.type != "cuda":
        return where
    # A cluster may show every process its own GPU alone.
    chosen = ":" in device or torch.cuda.device_count() == 1
    where = choose_device(f"cuda:{(where.index or 0) if chosen else local}")
    torch.cuda.set_device(where)
    return where


class _Notes(Protocol):
    """What all processes can write into."""

    def add(self, key: str, amount: int, /) -> int: ...


def _meet(ranks: Ranks) -> _Notes:
    """Find the other processes."""
    try:
        store, _, _ = next(rendezvous("env://", ranks.rank, ranks.count))
        backend = "nccl" if ranks.device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, store=store, rank=ranks.rank, world_size=ranks.count)
        ranks.wait()
    except (RuntimeError, ValueError) as error:
        raise DilannotError(
            f"the {ranks.count} processes of this training do not find each other: {str(error).splitlines()[0]}",
            remedy="start them with torchrun or srun, see docs/how-to/cluster.md",
            exit_code=ENVIRONMENT,
        ) from None
    notes: _Notes = store
    return notes


def _part(error: Exception, notes: _Notes) -> None:
    """Leave the others after an error: returns where this process is to tell it."""
    lost = isinstance(error, RuntimeError) and ("gloo" in str(error) or isinstance(error, distributed.DistError))
    try:
        told = notes.add("dilannot-told", 1) > 1
    except RuntimeError:
        told = False  # whoever kept the notes is dead
    if distributed.get_backend() == "gloo":
        distributed.destroy_process_group()  # what the others notice; with NCCL it would wait for them
    _on_signals(signal.SIG_IGN)  # by which launchers end a process, before it has told
    if told:
        _leave_silently(error.exit_code if isinstance(error, DilannotError) else 1)
    time.sleep(_SPOKEN)  # they read the notes, which this process may keep
    if lost:
        raise DilannotError(
            "lost another process of this training (killed? out of memory?)",
            remedy="go on with --resume; see docs/how-to/cluster.md",
            exit_code=ENVIRONMENT,
        ) from error


def _leave_silently(code: int) -> NoReturn:
    _on_signals(signal.SIG_DFL)
    time.sleep(_SILENT)
    raise SystemExit(code)


def _on_signals(what: signal.Handlers) -> None:
    """As this process leaves, no signal is an exception any more."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, what)


def _who(environment: Mapping[str, str]) -> tuple[int, int, int]:
    """Rank, number of processes, and rank on this machine; SLURM's words become those torch looks for."""
    if "RANK" in environment and "WORLD_SIZE" in environment:
        rank, count = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        return rank, count, int(environment.get("LOCAL_RANK", rank))
    count = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if count == 1 or "SLURM_PROCID" not in environment:
        return 0, 1, 0
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", "localhost")
    os.environ.setdefault("MASTER_ADDR", first_node(nodes))
    os.environ.setdefault("MASTER_PORT", str(_port(environment)))
    return int(environment["SLURM_PROCID"]), count, int(environment.get("SLURM_LOCALID", 0))


def _port(environment: Mapping[str, str]) -> int:
    """Another one for every step of every job, so that two on one machine do not meet; below those given out freely."""
    job, step = (int(environment.get(f"SLURM_{name}_ID", 0)) for name in ("JOB", "STEP"))
    return 10_000 + (job + 7_919 * step) % 20_000


def first_node(nodes: str) -> str:
    """The first of SLURM's list of machines: `gpu01` of `gpu[01-03,07],login2`."""
    found = re.match(r"(?:[^\[,]|\[[^\]]*\])+", nodes)
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", found[0]) if found else nodes
