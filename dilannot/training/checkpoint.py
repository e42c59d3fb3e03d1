"""Where an interrupted training goes on: everything that decides its next step, in one file of tensors.

Weights, averages, optimiser state, random numbers of every process; and, in the header, place and figures so far. The
file holds no code and is never unpickled. The same machine, threads and processes go on bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from dilannot.data.dataset import Dataset
from dilannot.errors import DilannotError
from dilannot.outputs import check_space
from dilannot.progress import Progress
from dilannot.ranks import Ranks
from dilannot.run import STATE, Run
from dilannot.tensors import Layout, check_layout, read_tensors, write_tensors
from dilannot.training.muon import Muon
from dilannot.training.step import Stepper

FORMAT = "dilannot-training-state"
FORMAT_VERSION = 1

_KINDS = ("network", "average", "optimizer", "random")
_OPTIMIZED: dict[type, tuple[str, ...]] = {
    torch.optim.AdamW: ("step", "exp_avg", "exp_avg_sq"),
    torch.optim.Adam: ("step", "exp_avg", "exp_avg_sq"),
    torch.optim.RMSprop: ("step", "square_avg"),
    torch.optim.SGD: ("momentum_buffer",),
}  # what an optimiser keeps of a parameter
_GENERATOR = 100_000  # bytes of a generator of random numbers, at most
_THREADS, _MOST = 1_000, 2**53  # of what counts threads, and other things

_Any = TypeVar("_Any")


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

    def check(record: dict[str, Any], found: Layout) -> None:
        _check_record(record, data, path)
        _check_tensors(stepper, found, path)

    tensors, record, _ = read_tensors(path, check)
    try:
        place = _place(record["place"])
        micro_batch, threads, count = (_number(record, key, 1) for key in ("micro_batch", "threads", "ranks"))
        same_machine = (count, record["device"]) == (ranks.count, ranks.device.type)
        kept = _by_kind(tensors)
        stepper.network.load_state_dict(kept["network"], strict=True)
        stepper.optimizer.load_state_dict(_optimizer_state(stepper.optimizer, kept["optimizer"]))
        for name, each in stepper.average.weights.items() if stepper.average else ():
            each.copy_(kept["average"][name])
        if same_machine:
            _set_random(kept["random"], ranks)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DilannotError(f"is not the checkpoint of this training ({error})", where=path) from None
    stepper.micro_batch = micro_batch
    if not threads_given:
        torch.set_num_threads(threads)
    if torch.get_num_threads() != threads or not same_machine:
        progress.warn(
            f"it ran on {count} x {record['device']} with {threads} threads: the weights will not be the same bit for "
            "bit"
        )
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
            remedy=f"build it as before, or begin {path.parent} anew with --force",
        )


def _check_tensors(stepper: Stepper, found: Layout, path: Path) -> None:
    """Refuse tensors that this training would not have kept, before they are read."""
    kinds = _by_kind(found)
    check_layout(stepper.network.state_dict(), kinds["network"], path)
    check_layout(stepper.average.weights if stepper.average else {}, kinds["average"], path)
    check_layout(_optimizer_tensors(stepper.optimizer, kinds["optimizer"]), kinds["optimizer"], path)
    generators = all(len(shape) == 1 and shape[0] <= _GENERATOR for shape, _ in kinds["random"].values())
    if len(kinds) > len(_KINDS) or not generators:
        raise DilannotError("is not a dilannot checkpoint", where=path)


def _optimizer_tensors(optimizer: torch.optim.Optimizer, found: Iterable[str]) -> dict[str, Tensor]:
    """What the state has, in tensors of its shapes: of each parameter that was ever learnt, all or nothing."""
    learnt = {name.partition("/")[0] for name in found}
    parameters = enumerate((parameter, group) for group in optimizer.param_groups for parameter in group["params"])
    return {
        f"{index}/{name}": torch.zeros(()) if name == "step" else parameter
        for index, (parameter, group) in parameters
        if str(index) in learnt
        for name in (Muon.kept(group) if isinstance(optimizer, Muon) else _OPTIMIZED[type(optimizer)])
    }


def _place(record: dict[str, Any]) -> Place:
    """What the header says, where a training can go on from it: who wrote the file can have made its digest too."""
    place = Place(**_with_nan(record))
    for name, usual in asdict(Place()).items():
        if name not in record:
            raise ValueError(f"no {name}")
        value = getattr(place, name)
        if type(usual) is int:
            _number(record, name, 0)
        elif name not in ("rows", "times") and not (_is_finite(value) or (name, value) == ("best", None)):
            raise ValueError(f"{name} is {value!r}")
    for row in place.rows + place.times:
        if not isinstance(row, dict) or any(type(value) not in (int, float) for value in row.values()):
            raise ValueError(f"the figures of an epoch are {row!r}")
    if not len(place.rows) == len(place.times) == place.epoch - 1:
        raise ValueError(f"epoch {place.epoch} comes after {len(place.rows)}")
    return place


def _is_finite(value: object) -> bool:
    return type(value) is float and math.isfinite(value)


def _number(record: dict[str, Any], name: str, least: int) -> int:
    value: object = record[name]
    if type(value) is not int or not least <= value <= (_THREADS if name == "threads" else _MOST):
        raise ValueError(f"{name} is {value!r}")
    return value


def _random(ranks: Ranks) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if ranks.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(ranks.device)
    return states


def _set_random(states: dict[str, Tensor], ranks: Ranks) -> None:
    torch.set_rng_state(states[f"cpu/{ranks.rank}"])
    if ranks.device.type == "cuda":
        torch.cuda.set_rng_state(states[f"cuda/{ranks.rank}"], ranks.device)


def _by_kind(tensors: Mapping[str, _Any]) -> dict[str, dict[str, _Any]]:
    kinds: dict[str, dict[str, _Any]] = {kind: {} for kind in _KINDS}
    for name, each in tensors.items():
        kind, _, rest = name.partition("/")
        kinds.setdefault(kind, {})[rest] = each
    return kinds


def _optimizer_state(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """As torch wants it."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, each in tensors.items():
        index, _, key = name.partition("/")
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
