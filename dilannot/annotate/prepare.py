"""Check what is asked of an annotation, load its network, and plan it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dilannot.annotate.blocks import Block, shard_of
from dilannot.annotate.plan import FINEST, Plan, Scope, Settings, find_target, make_plan
from dilannot.annotate.shards import Shard
from dilannot.annotate.stream import Engine
from dilannot.errors import DilannotError
from dilannot.formats import bigbed
from dilannot.models import context_of
from dilannot.models.inference import for_inference
from dilannot.models.pieces import fixed_output
from dilannot.models.some_markers import for_markers
from dilannot.predict import choose_device, full_precision, predicting
from dilannot.progress import Progress
from dilannot.run import Which, load_network, read_run
from dilannot.walk import walk_of

_ON_A_GPU = 5  # tiles together: a block of 250,000 nt


@dataclass(frozen=True, slots=True)
class Work:
    """An annotation that may begin.

    Attributes
    ----------
    plan
        All that its result depends on.
    blocks
        To be made: all, or those of a shard.
    engine
        Makes them.
    """

    plan: Plan
    blocks: Sequence[Block]
    engine: Engine


@contextmanager
def prepared(
    run: Path,
    genome: Path | None,
    scope: Scope,
    settings: Settings,
    shard: Shard | None,
    *,
    weights: Which = "best",
    batch_size: int | None = None,
    device: str = "auto",
    trust_code: bool = False,
    progress: Progress,
) -> Iterator[Work]:
    """Check all that was asked for and load the network; see `annotate`."""
    settings.check()
    record, where = read_run(run), choose_device(device)
    if settings.bigbed:
        bigbed.check_can_write()
    if settings.bin_length > 1 and record.output == "window":
        raise DilannotError(f"this network decides on bins of {record.window} nt anyway", where="--bin")
    target = find_target(record, genome, scope, progress)
    loaded = load_network(record, weights, trust_code=trust_code)
    network = for_markers(for_inference(loaded.network), target.chosen, len(record.markers)).to(where)
    context = None if record.output == "window" else context_of(loaded.network)
    walk = walk_of(
        network, record, context, settings.tile, training_windows=settings.training_windows,
        both_strands=settings.both_strands, bin_length=settings.bin_length,
    )  # fmt: skip
    together = batch_size or (1 if where.type == "cpu" else _ON_A_GPU)
    plan = make_plan(record, target, settings, loaded, walk.size, together, where.type, shard.count if shard else 1)
    blocks = shard_of(plan.blocks, shard.number, shard.count) if shard else plan.blocks
    engine = Engine(walk, target.genome, plan.rules, where, together, progress)
    with predicting(network), fixed_output(network), full_precision():
        yield Work(plan, blocks, engine)


def warn_of_thresholds(plan: Plan, progress: Progress) -> None:
    """Say how many markers are never called, or from so little that their tracks cannot show it."""
    never = int(np.isinf(plan.rules.thresholds).sum())
    if never:
        progress.warn(
            f"{never} of {len(plan.rules.thresholds)} markers reached no {plan.settings.call_at} threshold on the "
            "validation windows: they get no calls"
        )
    low = int((plan.rules.thresholds < 1 / plan.rules.steps).sum())
    finer = f"; --precision {0.1 / plan.rules.steps:g} shows more" if plan.rules.steps * 10 <= FINEST else ""
    if low:
        progress.warn(
            f"{low} of {len(plan.rules.thresholds)} markers are called below {1 / plan.rules.steps:g}, the step of a "
            f"track: their bigWigs show little, their BEDs are complete{finer}"
        )
