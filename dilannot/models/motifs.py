"""Known motifs as the start of a network's first filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dilannot.errors import DilannotError
from dilannot.formats.motifs import Motif
from dilannot.models.blocks import CHANNELS, OneHot
from dilannot.models.network import Network, inner_leaves
from dilannot.models.registry import entry
from dilannot.models.scan import MotifScan

_MARGIN = 3  # positions of a filter that stay free on either side of a motif
_BACKGROUND = 0.25


def arguments_for(name: str, motifs: Sequence[Motif]) -> dict[str, Any]:
    """Constructor arguments that depend on the motifs: how many a network scans for."""
    sized_for = getattr(entry(name).network, "sized_for", None)
    return {} if sized_for is None else dict(sized_for(motifs))


def start_from_motifs(network: nn.Module, motifs: Sequence[Motif]) -> int:
    """Write motifs into the layer that reads one-hot bases; how many of its filters got one.

    A scan takes log-odds scores in bits. A convolution starts as DanQ-JASPAR: one motif a filter, probability - 0.25,
    at a random place (3 positions stay free on either side where there is room), its bias from U(-1, 0); the rest of
    the filter, and all other filters, keep the weights they have. A motif wider than the filter gives its most
    informative stretch; motifs beyond the number of filters are left out. Random numbers come from torch's own
    generator.

    Raises
    ------
    DilannotError
        The network's first layer does not read one-hot bases.
    """
    layers = list(inner_leaves(network.layers())) if isinstance(network, Network) else []
    reads = [layer for layer in layers if isinstance(layer, nn.Conv1d | MotifScan)][:1]
    if not any(isinstance(layer, OneHot) for layer in layers) or not reads or not motifs:
        raise DilannotError("has no filters that can start from motifs", where="--motifs", remedy="leave --motifs out")
    layer = reads[0]
    with torch.no_grad():
        if isinstance(layer, MotifScan):
            return _write_scores(layer, motifs)
        return write_filters(layer, motifs)


def _write_scores(scan: MotifScan, motifs: Sequence[Motif]) -> int:
    scan.matrices.zero_()
    for i, motif in enumerate(motifs):
        scan.matrices[i, :, : motif.width] = _filter(motif.log_odds(), scan.matrices)
        scan.widths[i] = motif.width
    return len(motifs)


@torch.no_grad()
def write_filters(convolution: nn.Conv1d, motifs: Sequence[Motif]) -> int:
    """Motifs into the filters of a convolution, see `start_from_motifs`; how many got one."""
    weights, bias = convolution.weight, convolution.bias
    assert weights.shape[1] == CHANNELS
    width = weights.shape[2]
    count = min(len(motifs), len(weights))
    for row, motif in zip(weights, motifs, strict=False):
        part = _widest(motif, width)
        margin = _MARGIN if len(part) <= width - 2 * _MARGIN else 0
        at = int(torch.randint(margin, width - margin - len(part) + 1, ()))
        row[:, at : at + len(part)] = _filter(part - _BACKGROUND, row)
    if bias is not None:
        bias[:count].uniform_(-1, 0)
    return count


def _widest(motif: Motif, width: int) -> NDArray[np.float64]:
    """The whole motif, or its most informative `width` positions."""
    if motif.width <= width:
        return motif.probabilities
    sums = np.convolve(motif.information(), np.ones(width), mode="valid")
    first = int(np.argmax(sums))
    return motif.probabilities[first : first + width]


def _filter(columns: NDArray[np.float64], like: Tensor) -> Tensor:
    """(width, 4) as a filter has it: (4, width). torch does not flip kernels, so the motif is not turned either."""
    return torch.from_numpy(columns.T.copy()).to(like)
