"""A training step of `dilated`: ours against the plain PyTorch loop, in time, memory and gradients.

    python benchmarks/training_step.py [--device cpu] [--batch 8] [--markers 919] [--repeats 5] [--write PAGE]

The plain loop is what one writes first: `nn.Conv1d`, `nn.Dropout`, dense float labels (given ready-made, at no cost),
`BCEWithLogitsLoss`, Adam. Both take the same windows in turns, in one process; figures are medians. The memory of the
head (last layer, loss and their gradients) is measured in a process for each. Goals: a step 1.9 times as fast, a tenth
of the memory, gradients equal to 1e-5. On a GPU both use bfloat16 products, and the share of the GPU's speed in plain
bfloat16 products is told. Exits 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from page import put
from steps import labels
from torch import Tensor, nn

from dilannot.data.batch import Batch
from dilannot.models import build
from dilannot.training.head import head_cross_entropy
from dilannot.training.objective import Objective
from dilannot.training.optimizing import make_optimizer
from dilannot.training.settings import Settings

LENGTH, CHANNELS = 25_000, 125
MARK = "<!-- made by benchmarks/training_step.py -->"
STEP_GOAL, MEMORY_GOAL, GRADIENT_GOAL = 1.9, 10.0, 1e-5
PRODUCTS = 171_857 * 6  # floating-point operations of a step per nt: forward, and twice that backward


class Plain(nn.Module):
    """`dilated` as one writes it first."""

    def __init__(self, markers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        layers: list[nn.Module] = []
        channels = 4
        for filters, dilation in zip((128, 240, 50, 50, 50), (1, 3, 9, 27, 81), strict=True):
            span = 9 * dilation
            pad = [nn.ConstantPad1d((span // 2, span - span // 2), 0.0)] if layers else []
            convolution = nn.Conv1d(channels, filters, 10, stride=1 if layers else 10, dilation=dilation)
            layers += [*pad, convolution, nn.BatchNorm1d(filters), nn.ReLU(), nn.Dropout(dropout)]
            channels = filters
        layers += [nn.ConvTranspose1d(50, 50, 10, stride=10), nn.BatchNorm1d(50), nn.ReLU(), nn.Dropout(dropout)]
        layers += [nn.Conv1d(50, CHANNELS, 1), nn.ReLU(), nn.Dropout(dropout), nn.Conv1d(CHANNELS, markers, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, sequence: Tensor) -> Tensor:
        logits: Tensor = self.layers(self.embedding(sequence.int()).transpose(1, 2))
        return logits


def make_batch(size: int, markers: int, device: torch.device) -> Batch:
    sequence = torch.randint(0, 5, (size, LENGTH), dtype=torch.uint8)
    mask = torch.ones(size, LENGTH, dtype=torch.bool)
    return Batch({"sequence": sequence}, labels(size, markers, LENGTH), mask).to(device)


def dense(batch: Batch, markers: int) -> Tensor:
    made = torch.zeros(len(batch.mask), markers, LENGTH, device=batch.mask.device)
    made.view(-1)[batch.targets.flat_index(markers, LENGTH)] = 1
    return made


def reduced(device: torch.device) -> Any:
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def steppers(
    size: int, markers: int, device: torch.device, dropout: float
) -> tuple[dict[str, nn.Module], dict[str, Callable[[], float]]]:
    """Both networks with the same weights, and one step of each."""
    torch.manual_seed(0)
    ours, plain = build("dilated", markers, dropout=dropout).to(device), Plain(markers, dropout).to(device)
    plain.load_state_dict(dict(zip(plain.state_dict(), ours.state_dict().values(), strict=True)))
    batch = make_batch(size, markers, device)
    wanted, criterion = dense(batch, markers), nn.BCEWithLogitsLoss()
    optimizers = {
        "plain": torch.optim.Adam(plain.parameters()),
        "ours": make_optimizer(ours, Settings(optimizer="adamw").for_task("dense")),
    }
    objective, count = Objective(ours, ["sequence"]), batch.mask.numel() * markers

    def step(name: str) -> float:
        optimizers[name].zero_grad()
        with reduced(device):
            loss = objective(batch) / count if name == "ours" else criterion(plain(batch.inputs["sequence"]), wanted)
        loss.backward()
        optimizers[name].step()
        return float(loss.detach())

    return {"plain": plain, "ours": ours}, {name: lambda name=name: step(name) for name in ("plain", "ours")}


def gradient_error(markers: int, device: torch.device) -> float:
    """Relative difference of all gradients, dropout off."""
    networks, steps = steppers(1, markers, device, 0.0)
    losses = [steps[name]() for name in ("plain", "ours")]
    assert abs(losses[0] - losses[1]) < 1e-5 * losses[0], losses
    pairs = zip(networks["plain"].parameters(), networks["ours"].parameters(), strict=True)
    squares = [(float((a.grad - b.grad).square().sum()), float(a.grad.square().sum())) for a, b in pairs]
    return float((sum(pair[0] for pair in squares) / sum(pair[1] for pair in squares)) ** 0.5)


def head_memory(name: str, size: int, markers: int, device: torch.device) -> float:
    """GB that the last layer, the loss and their gradients add to features that are there already."""
    layer = nn.Conv1d(CHANNELS, markers, 1).to(device)

    def work(batch: Batch, features: Tensor, wanted: Tensor | None) -> None:
        with reduced(device):
            if wanted is not None:
                loss = nn.functional.binary_cross_entropy_with_logits(layer(features), wanted)
            else:
                weight, bias = layer.weight[:, :, 0], layer.bias
                loss = head_cross_entropy(features, weight, bias, batch.targets, batch.mask)  # type: ignore[arg-type]
        loss.backward()

    for windows in (1, size):  # the first time, libraries take memory of their own
        batch = make_batch(windows, markers, device)
        features = torch.rand(windows, CHANNELS, LENGTH, device=device, requires_grad=True)
        before = _now(device)
        work(batch, features, dense(batch, markers) if name == "plain" else None)
    return _peak(device) - before


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.memory_allocated() / 1e9
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e9


def _peak(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    # Not getrusage's figure: a process inherits that of the one that started it.
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024 / 1e9  # type: ignore[index]


def product_rate(device: torch.device) -> float:
    """Floating-point operations a second of large products, bfloat16 on a GPU."""
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    size = 8_192 if device.type == "cuda" else 2_048
    one = torch.rand(size, size, device=device, dtype=kind)
    times = [_timed(lambda: float((one @ one)[0, 0])) for _ in range(6)]
    return 2 * size**3 / min(times)


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def in_a_process(name: str, options: argparse.Namespace) -> float:
    command = [sys.executable, __file__, "--head", name, "--device", options.device]
    command += ["--batch", str(options.batch), "--markers", str(options.markers)]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--markers", type=int, default=919)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    parser.add_argument("--head", help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = torch.device(options.device)
    if options.head:
        print(head_memory(options.head, options.batch, options.markers, device))
        return 0
    error = gradient_error(options.markers, device)
    memory = {name: in_a_process(name, options) for name in ("plain", "ours")}
    _, steps = steppers(options.batch, options.markers, device, 0.01)
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    for name in times:
        steps[name]()
    for _ in range(options.repeats):
        for name, taken in times.items():
            taken.append(_timed(steps[name]))
    median = {name: statistics.median(taken) for name, taken in times.items()}
    nucleotides, rate = options.batch * LENGTH, product_rate(device)
    names = {"plain": "plain PyTorch loop", "ours": "dilannot"}
    table = ["| step | time | nt/s | of the speed of products | memory of the head |", "|---|---:|---:|---:|---:|"]
    for name, shown in names.items():
        speed = nucleotides / median[name]
        table.append(
            f"| {shown} | {median[name]:.2f} s | {speed:,.0f} | {speed * PRODUCTS / rate:.0%} | {memory[name]:.2f} GB |"
        )
    print("\n".join(table))
    if options.write:
        put(options.write, MARK, table)
    faster, smaller = median["plain"] / median["ours"], memory["plain"] / memory["ours"]
    print(f"relative difference of gradients: {error:.1e} (goal {GRADIENT_GOAL:g})")
    print(f"memory of the head: {smaller:.1f}x less (goal {MEMORY_GOAL:g}x)")
    print(f"training step: {faster:.2f}x (goal {STEP_GOAL}x)")
    return 0 if faster >= STEP_GOAL and smaller >= MEMORY_GOAL and error <= GRADIENT_GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
