"""Several processes that train one network: who they are, and what they agree on.

`torchrun` says it in RANK, WORLD_SIZE and LOCAL_RANK; SLURM's `srun` in SLURM_PROCID, SLURM_STEP_NUM_TASKS and
SLURM_LOCALID. Without either there is one process, and nothing here does anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed

from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.predict import choose_device

_ROWS = 64  # of a histogram that are added up at a time


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
        for begin in range(0, len(counts), _ROWS):
            rows = torch.from_numpy(counts[begin : begin + _ROWS].astype(np.int64)).to(self.device)
            distributed.all_reduce(rows)
            counts[begin : begin + _ROWS] = rows.cpu().numpy().astype(np.uint32)

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
            raise SystemExit(1)

    def wait(self) -> None:
        """Until all processes are here."""
        self.sum(0.0)


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """The processes that were started together, each on a GPU of its own where `device` is not a CPU.

    Raises
    ------
    DilannotError
        A device this machine does not have, or processes that do not find each other.
    """
    rank, count, local = _who(os.environ)
    where = choose_device(device)
    if count > 1 and where.type == "cuda" and ":" not in device:
        where = choose_device(f"cuda:{local}")
    if count == 1:
        yield Ranks(0, 1, 0, where)
        return
    if where.type == "cuda":
        torch.cuda.set_device(where)
    try:
        distributed.init_process_group("nccl" if where.type == "cuda" else "gloo", rank=rank, world_size=count)
    except (RuntimeError, ValueError) as error:
        raise DilannotError(
            f"the {count} processes of this training do not find each other: {error}",
            remedy="start them with torchrun or srun, see docs/how-to/cluster.md",
            exit_code=ENVIRONMENT,
        ) from None
    try:
        yield Ranks(rank, count, local, where)
    finally:
        distributed.destroy_process_group()


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
    # Another port for every job, so that two on one machine do not meet.
    os.environ.setdefault("MASTER_PORT", str(20_000 + int(environment.get("SLURM_JOB_ID", 0)) % 40_000))
    return int(environment["SLURM_PROCID"]), count, int(environment.get("SLURM_LOCALID", 0))


def first_node(nodes: str) -> str:
    """The first of SLURM's list of machines: `gpu01` of `gpu[01-03,07],login2`."""
    found = re.match(r"([^\[,]+)(?:\[([^\],-]+)[^\]]*\](.*?))?(?:,|$)", nodes)
    return nodes if found is None else found[1] + (found[2] or "") + (found[3] or "")
