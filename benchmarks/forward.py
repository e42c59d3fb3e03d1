"""The forward pass of `dilated` for annotation: ours against plain PyTorch modules, in turns in one process.

    python benchmarks/forward.py [--device cpu] [--markers 919] [--repeats 5] [--write PAGE]

Everything ends with probabilities, marker by marker, of one tile. Plain is what one writes first (`nn.Conv1d`,
`nn.BatchNorm1d`, sigmoid), once as it is and once with the last layers as `nn.Linear` on positions x channels,
transposed at the end. Run whole, then crop: the plain network on a tile with its context, of which the centre is kept.
Ours is `for_inference` and `pieces` of the kept centre. Figures are medians; on a CPU of the CPU time of one thread, on
a GPU of the clock, in bfloat16 products for all. Goals: 1.6 times plain modules (the quicker ones) on 25 kb without
context, 2.4 times run whole, then crop. Exits 1 when a goal is missed, or when probabilities differ by 1e-5 (0.02 in
bfloat16).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from page import put
from torch import Tensor, nn
from training_step import Plain, reduced

from dilannot.models import build, context_of
from dilannot.models.inference import for_inference
from dilannot.models.pieces import bias_of, pieces

KEPT = (25_000, 50_000, 100_000, 250_000)
MARK = "<!-- made by benchmarks/forward.py -->"
FORWARD_GOAL, CROP_GOAL = 1.6, 2.4


class PlainRows(nn.Module):
    """The same plain network with its last two layers as `nn.Linear`."""

    def __init__(self, plain: Plain) -> None:
        super().__init__()
        self.embedding, self.trunk = plain.embedding, plain.layers[:-4]
        linear = []
        for convolution in (plain.layers[-4], plain.layers[-1]):
            assert isinstance(convolution, nn.Conv1d)
            layer = nn.Linear(convolution.in_channels, convolution.out_channels)
            layer.load_state_dict({"weight": convolution.weight[:, :, 0], "bias": convolution.bias})
            linear.append(layer)
        self.last = nn.Sequential(linear[0], nn.ReLU(), linear[1])

    def forward(self, sequence: Tensor) -> Tensor:
        features = self.trunk(self.embedding(sequence.int()).transpose(1, 2))
        logits: Tensor = self.last(features.transpose(1, 2))
        return logits


def networks(markers: int, device: torch.device) -> tuple[nn.Module, Plain, PlainRows]:
    """All with the same weights, and batch norms that do something."""
    torch.manual_seed(0)
    ours = build("dilated", markers).eval()
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
    plain = Plain(markers, 0.01).eval()
    plain.load_state_dict(dict(zip(plain.state_dict(), ours.state_dict().values(), strict=True)))
    return for_inference(ours).to(device), plain.to(device), PlainRows(plain).eval().to(device)


def probabilities(network: nn.Module, sequence: Tensor, start: int, end: int) -> Tensor:
    """Ours, every piece in place as annotation reads it; gives the last piece."""
    bias = bias_of(network)
    assert bias is not None
    for piece in pieces(network, sequence, start, end):
        last = piece.logits.add_(bias[:, None]).sigmoid_()
    return last


def taken(action: Callable[[], Tensor], device: torch.device) -> tuple[float, Tensor]:
    """Seconds of an action, and what it gave."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = clock()
    made = action()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - began, made


def medians(actions: dict[str, Callable[[], Tensor]], repeats: int, device: torch.device) -> dict[str, float]:
    """Of each, run in turns."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for repeat in range(repeats + 1):
        for name, action in actions.items():
            seconds, _ = taken(action, device)
            times[name] += [seconds] if repeat else []  # the first time warms up
    return {name: statistics.median(each) for name, each in times.items()}


def difference(actions: dict[str, Callable[[], Tensor]]) -> float:
    """Largest difference of a probability between the last actions' results and ours, on ours' last piece."""
    *others, ours = (action() for action in actions.values())
    return max(float((other[:, :, -ours.shape[2] :].float() - ours.float()).abs().max()) for other in others)


def tables(options: argparse.Namespace, device: torch.device) -> tuple[list[str], float, float, float]:
    """The table, the two factors that have a goal, and the largest difference of a probability."""
    fast, plain, rows = networks(options.markers, device)
    context = context_of(build("dilated", 1))
    assert context is not None
    left, right = -(-context.left // context.stride) * context.stride, context.right
    kept = KEPT[0]
    sequences = {k: torch.randint(0, 5, (1, left + k + right), dtype=torch.uint8, device=device) for k in KEPT}
    alone, whole = sequences[kept][:, :kept].contiguous(), sequences[kept]
    bare: dict[str, Callable[[], Tensor]] = {
        "plain modules": lambda: torch.sigmoid(plain(alone)),
        "plain modules, last layers nn.Linear": lambda: torch.sigmoid(rows(alone)).transpose(1, 2).contiguous(),
        "dilannot": lambda: probabilities(fast, alone, 0, kept),
    }
    cropped: dict[str, Callable[[], Tensor]] = {
        "run whole, then crop": lambda: torch.sigmoid(plain(whole))[:, :, left : left + kept].contiguous(),
        "dilannot, kept centre": lambda: probabilities(fast, whole, left, left + kept),
    }
    longer = {
        f"dilannot, kept centre of {k:,}": partial(probabilities, fast, sequences[k], left, left + k) for k in KEPT[1:]
    }
    differs = max(difference(bare), difference(cropped))
    per_length = {**dict.fromkeys((*bare, *cropped), kept), **dict(zip(longer, KEPT[1:], strict=True))}
    found = medians({**bare, **cropped, **longer}, options.repeats, device)
    table = ["| forward pass | read, nt | kept, nt | us/nt kept | nt/s |", "|---|---:|---:|---:|---:|"]
    for name, seconds in found.items():
        k = per_length[name]
        read = k if name in bare else left + k + right
        table.append(f"| {name} | {read:,} | {k:,} | {seconds / k * 1e6:.2f} | {k / seconds:,.0f} |")
    quicker = min(found[name] for name in list(bare)[:-1])
    crop = found["run whole, then crop"] / found["dilannot, kept centre"]
    return table, quicker / found["dilannot"], crop, differs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--markers", type=int, default=919)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(1)
    with torch.inference_mode(), reduced(device):
        table, faster, crop, differs = tables(options, device)
    print("\n".join(table))
    if options.write:
        put(options.write, MARK, table)
    allowed = 1e-5 if device.type == "cpu" else 0.02
    print(f"largest difference of a probability: {differs:.1e} (at most {allowed:g})")
    print(f"run whole, then crop: {crop:.2f}x (goal {CROP_GOAL})")
    print(f"forward: {faster:.2f}x (goal {FORWARD_GOAL})")
    return 0 if faster >= FORWARD_GOAL and crop >= CROP_GOAL and differs <= allowed else 1


if __name__ == "__main__":
    sys.exit(main())
