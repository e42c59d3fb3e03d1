"""Run a network forward and leave it as it was found, on what this machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dilannot.errors import DilannotError


@contextmanager
def predicting(network: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The network in evaluation mode, without gradients; its modes come back afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.inference_mode():
            yield network
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def full_precision() -> Iterator[None]:
    """Float32 on GPUs as on CPUs: their products of fewer digits would show in results, and cost no less time here."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def choose_device(name: str) -> torch.device:
    """`auto` is the first GPU where there is one; else what is asked for.

    Raises
    ------
    DilannotError
        A device this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and (kind == "cpu" or not index.isdigit())):
        raise DilannotError(f"no device {name!r}", where="--device", remedy="use auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise DilannotError(
            f"no device {name!r} here ({torch.cuda.device_count()} GPUs found)",
            where="--device",
            remedy="use --device cpu",
        )
    return torch.device(name)


def cores() -> int:
    """CPU cores for this process: those it may use, shared with others that a launcher started beside it."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    beside = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, allowed // int(beside)) if beside.isdigit() and int(beside) else allowed
