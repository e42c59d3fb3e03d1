"""Shards of an annotation: which part this process makes, as it is told or as its launcher says."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from dilannot.errors import USAGE, DilannotError

_ASKED = re.compile(r"([0-9]{1,9})/([0-9]{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number`, from 1 on, of `count`; `local` is its place among those on this machine, from 0 on."""

    number: int
    count: int
    local: int | None = None

    @property
    def file(self) -> str:
        """Name of its records."""
        return f"part-{self.number}-of-{self.count}.blocks"

    def device(self, asked: str) -> str:
        """A GPU of its own, where several processes of a machine are told no other."""
        import torch

        if self.local is None or asked not in ("auto", "cuda") or torch.cuda.device_count() < 2:
            return asked
        return f"cuda:{self.local % torch.cuda.device_count()}"

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def shard_asked(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard | None:
    """The shard that `--shard` means, or that the launcher means without it; None for all.

    torchrun's and srun's processes are shards by themselves: they would stand in each other's way. A job of a SLURM
    array may well annotate something else than its neighbours, so arrays are asked only with `auto`.

    Parameters
    ----------
    text
        `I/N`, I from 1 on; `auto`; or None.
    environment
        Of this process.

    Raises
    ------
    DilannotError
        It is none of them, or `auto` without a launcher (exit code 2).
    """
    if text in (None, "auto"):
        found = _ranks(environment) or (_array(environment) if text else None)
        if text and found is None:
            raise _refused("auto", "neither torchrun, srun nor a SLURM array started this: give I/N")
        return found
    match = _ASKED.fullmatch(text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise _refused(text, "give I/N, I from 1 to N, or auto")
    return Shard(int(match[1]), int(match[2]))


def _ranks(environment: Mapping[str, str]) -> Shard | None:
    for rank, count, local in (
        ("RANK", "WORLD_SIZE", "LOCAL_RANK"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    ):  # fmt: skip
        if rank in environment and _integer(environment, count, 1) > 1:
            number = _integer(environment, rank)
            shard = Shard(number + 1, _integer(environment, count), _integer(environment, local, number))
            return _checked(shard, environment, rank)
    return None


def _array(environment: Mapping[str, str]) -> Shard | None:
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return None
    here, first, last, step = (
        _integer(environment, f"SLURM_ARRAY_TASK_{name}", other)
        for name, other in (("ID", 0), ("MIN", 0), ("MAX", 0), ("STEP", 1))
    )
    count = (last - first) // max(step, 1) + 1
    if (here - first) % max(step, 1) or count != _integer(environment, "SLURM_ARRAY_TASK_COUNT", count):
        raise _refused("auto", "the numbers of this array are not evenly spaced: give I/N")
    return _checked(Shard((here - first) // max(step, 1) + 1, count), environment, "SLURM_ARRAY_TASK_ID")


def _integer(environment: Mapping[str, str], name: str, other: int = 0) -> int:
    text = environment.get(name, str(other))
    if not re.fullmatch("[0-9]{1,9}", text):
        raise _refused(f"{name}={text}", "give I/N")
    return int(text)


def _checked(shard: Shard, environment: Mapping[str, str], name: str) -> Shard:
    if not 1 <= shard.number <= shard.count:
        raise _refused(f"{name}={environment[name]}, of {shard.count}", "give I/N")
    return shard


def _refused(text: str, remedy: str) -> DilannotError:
    return DilannotError(f"no shard {text!r}", where="--shard", remedy=remedy, exit_code=USAGE)
