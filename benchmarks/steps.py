"""One training step of every network of the sources, at its published batch size: time, speed and memory.

    python benchmarks/steps.py [NAME...] [--device cpu] [--repeats 3] [--write docs/reference/performance.md]

Each network is a process of its own, so that memory is its own: built for as many markers as its source has, given
random bases and labels, one step to warm up, then the median of the others. A step is forward, loss, backward, and
AdamW. The last line counts the networks whose number of parameters is the published one. Takes some ten minutes on two
cores.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from page import put

from dilannot.data.batch import Batch, LabelIntervals
from dilannot.models import build, count_parameters, entry, names
from dilannot.models.describe import LENGTHS
from dilannot.training.objective import Objective
from dilannot.training.optimizing import make_optimizer
from dilannot.training.settings import Settings

MARK = "<!-- made by benchmarks/steps.py -->"
# Windows a step: thesis and paper Task 2; Hawkins-Hooker et al. 2018; Kelley et al. 2016. Else DanQ's 100, also where
# the source says none.
BATCH = {"dense": 8, "crnn": 256, "cnn-500": 256, "danq-500": 256, "basset": 128}


def batch_of(name: str) -> int:
    stem = next((stem for stem in BATCH if name.startswith(stem)), entry(name).output)
    return BATCH.get(stem, 100)


def labels(batch: int, markers: int, length: int) -> LabelIntervals:
    """About 2 % of positions, in stretches of 300 nt or whole bins."""
    width = min(300, length)
    places = batch * markers * (length // width)
    chosen = torch.randperm(places)[: max(1, places // 50)].sort().values
    start = chosen % (length // width) * width
    marker = chosen // (length // width)
    return LabelIntervals(marker // markers, marker % markers, start, start + width)


def measure(name: str, device: torch.device, repeats: int) -> dict[str, Any]:
    torch.manual_seed(0)
    chosen, batch = entry(name), batch_of(name)
    length, markers = LENGTHS[chosen.output], chosen.source.outputs
    network = build(name, markers).to(device).train()
    sequence = torch.randint(0, 5, (batch, length), dtype=torch.uint8)
    positions = length if chosen.output == "dense" else 1
    mask = torch.ones(batch, positions, dtype=torch.bool)
    made = Batch({"sequence": sequence}, labels(batch, markers, positions), mask).to(device)
    optimizer = make_optimizer(network, Settings(optimizer="adamw").for_task("dense"))
    objective = Objective(network, chosen.inputs)
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = objective(made) / (made.mask.numel() * markers)
        loss.backward()
        optimizer.step()
        float(loss.detach())  # waits for the device
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    memory = (
        torch.cuda.max_memory_allocated()
        if device.type == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "name": name,
        "parameters": count_parameters(network),
        "published": chosen.source.parameters,
        "batch": batch,
        "nt": batch * length,
        "seconds": statistics.median(times[1:]),
        "memory": memory / 1e9,
    }


HEAD = """| network | parameters | published | windows a step | step | nt/s | memory |
|---|---:|---:|---:|---:|---:|---:|"""


def line(row: dict[str, Any]) -> str:
    published = f"{row['published']:,}" if row["published"] else ""
    return (
        f"| `{row['name']}` | {row['parameters']:,} | {published} | {row['batch']} | {row['seconds']:.2f} s "
        f"| {row['nt'] / row['seconds']:,.0f} | {row['memory']:.1f} GB |"
    )


def write(page: Path, rows: list[dict[str, Any]]) -> None:
    """Put the rows into the page's table, in place of those of the same networks."""
    inside = page.read_text().split(MARK)[1]
    lines = {text.split("`")[1]: text for text in inside.splitlines() if "`" in text}
    lines |= {row["name"]: line(row) for row in rows}
    put(page, MARK, [HEAD, *(lines[name] for name in names() if name in lines)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(measure(options.names[0], torch.device(options.device), options.repeats)))
        return 0
    if options.write and options.write.read_text().count(MARK) != 2:
        parser.error(f"{options.write} has no two lines {MARK}")
    chosen, rows = options.names or names(), []
    for name in chosen:
        command = [
            sys.executable,
            __file__,
            name,
            "--alone",
            "--device",
            options.device,
            "--repeats",
            str(options.repeats),
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(f"{name}: {rows[-1]['seconds']:.2f} s a step, {rows[-1]['memory']:.1f} GB", flush=True)
    print("\n".join([HEAD, *map(line, rows)]))
    if options.write:
        write(options.write, rows)
    stated = [row for row in rows if row["published"]]
    exact = sum(row["parameters"] == row["published"] for row in stated)
    print(f"exact parameter counts: {exact} (goal {len(stated)})")
    return int(exact < len(stated))


if __name__ == "__main__":
    sys.exit(main())
