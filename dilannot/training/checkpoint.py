"""Where an interrupted training goes on: everything that decides its next step, in one file of tensors.

Weights, averages, optimiser state, random numbers of every process; and, in the header, place and figures so far. The
file holds no code and is never unpickled. The same machine, threads and processes go on bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dilannot.data.dataset import Dataset
from dilannot.errors import DilannotError
from dilannot.outputs import check_space
from dilannot.progress import Progress
from dilannot.ranks import Ranks
from dilannot.run import STATE, Run
from dilannot.tensors import Layout, check_layout, read_tensors, write_tensors
from dilannot.training.step import Stepper

FORMAT = "dilannot-training-state"
FORMAT_VERSION = 1


@dataclass(slots=True)
class Place:
    """How far a training has come.

    Attributes
    ----------
    epoch, epoch_step, step
        The epoch it is in, from 1, the steps done of it, and of all.
    loss, windows, seconds
        Of the epoch so far: mean losses times windows added up, windows, and time.
    recent, lowest
        Mean loss of the last steps, and the smallest it ever was.
    best, best_epoch, plateau, scale
        How good the best epoch was, and which; epochs since the learning rate was lowered or a better one came; what
        plateaus made of the rate.
    rows, times
        Of `metrics.csv` and `timing.csv`.
    """

    epoch: int = 1
    epoch_step: int = 0
    step: int = 0
    loss: float = 0.0
    windows: int = 0
    seconds: float = 0.0
    recent: float = 0.0
    lowest: float = 0.0
    best: float | None = None
    best_epoch: int = 0
    plateau: int = 0
    scale: float = 1.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    times: list[dict[str, Any]] = field(default_factory=list)


def save_state(run: Run, place: Place, stepper: Stepper, data: Dataset, ranks: Ranks) -> None:
    """Write the checkpoint; all processes call it, the first writes.

    Raises
    ------
    DilannotError
        The disk is full (exit code 3); the checkpoint before this one is intact.
    """
    tensors = {f"network/{name}": each for name, each in stepper.network.state_dict().items()}
    if stepper.average:
        tensors |= {f"average/{name}": each for name, each in stepper.average.weights.items()}
    for index, state in stepper.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": each for name, each in state.items() if isinstance(each, Tensor)}
    for name, each in _random(ranks).items():
        tensors |= {f"random/{name}/{rank}": part for rank, part in enumerate(ranks.gather(each))}
    if not ranks.first:
        return
    record = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "place": _without_nan(asdict(place)),
        "micro_batch": stepper.micro_batch,
        "dataset": data.digest,
        "labels": data.labels_digest(),
        "threads": torch.get_num_threads(),
        "ranks": ranks.count,
        "device": ranks.device.type,
    }
    check_space(run.folder, sum(each.numel() * each.element_size() for each in tensors.values()), "the checkpoint")
    write_tensors(run.folder / STATE, tensors, record)


def load_state(
    run: Run, stepper: Stepper, data: Dataset, ranks: Ranks, progress: Progress, *, threads_given: bool
) -> Place:
    """Go back to the last checkpoint, which is compared with the dataset and the network before it is read.

    Raises
    ------
    DilannotError
        No checkpoint of this training, a damaged one, or a dataset that has changed since.
    """
    path = run.folder / STATE
    wanted = stepper.network.state_dict()

    def check(record: dict[str, Any], found: Layout) -> None:
        _check_record(record, data, path)
        ours = {name.removeprefix("network/"): what for name, what in found.items() if name.startswith("network/")}
        check_layout(wanted, ours, path)

    tensors, record, _ = read_tensors(path, check)
    try:
        place = Place(**_with_nan(record["place"]))
        micro_batch, threads, count, device = (record[key] for key in ("micro_batch", "threads", "ranks", "device"))
        kept = _by_kind(tensors)
        stepper.network.load_state_dict(kept["network"], strict=True)
        stepper.optimizer.load_state_dict(_optimizer_state(stepper.optimizer, kept.get("optimizer", {})))
        if stepper.average:
            stepper.average.weights = {name: each.to(ranks.device) for name, each in kept["average"].items()}
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DilannotError(f"is not the checkpoint of this training ({error})", where=path) from None
    stepper.micro_batch = int(micro_batch)
    if not threads_given:
        torch.set_num_threads(int(threads))
    if (torch.get_num_threads(), ranks.count, ranks.device.type) != (threads, count, device):
        progress.warn(
            f"it ran on {count} x {device} with {threads} threads: the weights will not be the same bit for bit"
        )
    if count == ranks.count and device == ranks.device.type:
        _set_random(kept["random"], ranks)
    return place


def _check_record(record: dict[str, Any], data: Dataset, path: Path) -> None:
    if record.get("format") != FORMAT:
        raise DilannotError("is not a dilannot checkpoint", where=path)
    if record.get("format_version") != FORMAT_VERSION:
        raise DilannotError(
            f"has format version {record.get('format_version')}; this dilannot reads version {FORMAT_VERSION}",
            where=path,
            remedy="use the matching dilannot",
        )
    if record.get("dataset") != data.digest or record.get("labels") != data.labels_digest():
        raise DilannotError(
            "has changed since this training began: its windows, splits or labels differ",
            where=data.path,
            remedy=f"build it as before, or begin anew with --force: {path.parent} cannot go on with it",
        )


def _random(ranks: Ranks) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if ranks.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(ranks.device)
    return states


def _set_random(states: dict[str, Tensor], ranks: Ranks) -> None:
    torch.set_rng_state(states[f"cpu/{ranks.rank}"])
    if ranks.device.type == "cuda":
        torch.cuda.set_rng_state(states[f"cuda/{ranks.rank}"], ranks.device)


def _by_kind(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    kinds: dict[str, dict[str, Tensor]] = {}
    for name, each in tensors.items():
        kind, _, rest = name.partition("/")
        kinds.setdefault(kind, {})[rest] = each
    return kinds


def _optimizer_state(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """As torch wants it. Shapes are checked here: torch would take any."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, each in tensors.items():
        index, _, key = name.partition("/")
        if each.dim() and each.shape != parameters[int(index)].shape:
            raise ValueError(f"{name} has shape {tuple(each.shape)}")
        state.setdefault(int(index), {})[key] = each
    return {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: an undefined PR AUC is written as "nan"."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_nan(each) for each in value]
    return math.nan if value == "nan" else value
