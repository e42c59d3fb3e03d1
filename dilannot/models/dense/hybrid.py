"""The house model: motif filters at every nucleotide, gentle down-sampling, residual dilated blocks, skips back.

N batch, L positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import nn

from dilannot.formats.motifs import read_motifs
from dilannot.models.blocks import CHANNELS, OneHot, activation, same_padding
from dilannot.models.layers import BatchNorm, BatchRenorm, Dropout, Logits, Pointwise
from dilannot.models.motifs import write_filters
from dilannot.models.network import BothStrands, DenseNetwork, Sum
from dilannot.models.registry import register

_VERTEBRATES = Path(__file__).parents[1] / "vertebrates.meme"


@register("hybrid")
class Hybrid(DenseNetwork):
    """Made to be better than the published dense networks on all three classes of markers, at about their cost.

    Motif filters read every nucleotide; the best match of each in `pools[0]` nt goes through a learned projection
    (Hawkins-Hooker et al. 2018). Residual blocks whose dilations begin at 1 again and again see every nucleotide they
    span, at two resolutions. The way back adds what was seen at each. The first batch norm stands behind its pool,
    where it costs a fifth.

    Parameters
    ----------
    n_outputs
        Markers.
    motifs, motif_width
        Filters of the first convolution, and their width in nt.
    known_motifs
        Start the filters from 160 motifs of vertebrate transcription factors (JASPAR 2024), more of them at random.
        `--motifs` puts others in the place of the first; without known ones the rest is random.
    motif_threshold
        At the start, a filter's matches count from so many standard deviations above their mean on: what is seen of
        most motifs at most places is nothing, not noise.
    projection
        Channels that the best matches are projected to; 0 is none.
    pools
        How many positions become one, three times: by their largest values.
    filters
        Of the convolution between the first two pools, which is `kernel` wide.
    width
        Channels of the residual blocks.
    dilations, coarse_dilations, last_dilations
        Of the residual blocks: between the second and the third pool, behind the third, and after the way back from
        there. Without coarse ones there is no third pool.
    kernel, residual_kernel
        Widths of the convolution between the first two pools, and of those in residual blocks.
    hidden
        Channels at each nucleotide that the markers are decided from.
    skips
        Add what was seen between the first two pools, and at each nucleotide, on the way back.
    skip_kernel
        Width of the convolution that looks at the nucleotides themselves.
    both_strands
        Read the reverse complement too, with the same weights, and add up what is seen on the two.
    batch_renorm
        Normalise in training with what is predicted with; else plain batch norm.
    batch_norm_decay
        How much of the running statistics a step keeps.
    dropout
        After every residual block, and at the end.
    """

    def __init__(
        self,
        n_outputs: int,
        *,
        motifs: int = 160,
        motif_width: int = 19,
        known_motifs: bool = True,
        motif_threshold: float = 2.0,
        projection: int = 48,
        pools: Sequence[int] = (5, 2, 10),
        filters: int = 64,
        kernel: int = 5,
        width: int = 64,
        dilations: Sequence[int] = (1, 3, 9, 27, 81),
        coarse_dilations: Sequence[int] = (1, 3, 9, 27),
        last_dilations: Sequence[int] = (1, 9, 81),
        residual_kernel: int = 3,
        hidden: int = 64,
        skips: bool = True,
        skip_kernel: int = 15,
        both_strands: bool = True,
        batch_renorm: bool = True,
        batch_norm_decay: float = 0.98,
        dropout: float = 0.1,
    ) -> None:
        if len(pools) != 3 or min(pools) < 1:
            raise ValueError("pools are three widths, as in 5,2,10")
        first, second, third = pools
        norm = partial(_norm, kind=BatchRenorm if batch_renorm else BatchNorm, decay=batch_norm_decay)
        drop = [Dropout(dropout)] if dropout else []
        scan = _convolution(CHANNELS, motifs, motif_width)
        if known_motifs and not scan[1].weight.is_meta:
            write_filters(scan[1], read_motifs(_VERTEBRATES))

        def blocks(dilations: Sequence[int]) -> list[nn.Module]:
            convolutions = [_convolution(width, width, residual_kernel, dilation) for dilation in dilations]
            return [Sum([], [*convolution, *norm(width), *drop]) for convolution in convolutions]

        near = [
            *scan, nn.MaxPool1d(first), *norm(motifs, bias=-motif_threshold),
            *([Pointwise(motifs, projection)] if projection else []),
            *_convolution(projection or motifs, filters, kernel), *norm(filters),
        ]  # fmt: skip
        coarse = [nn.MaxPool1d(third), *blocks(coarse_dilations), _spread(width, width, third), *norm(width)]
        far = [
            nn.MaxPool1d(second), *([Pointwise(filters, width)] if width != filters else []),
            *blocks(dilations), *([Sum([], coarse)] if coarse_dilations else []), *blocks(last_dilations),
            _spread(width, hidden, second),
        ]  # fmt: skip
        # Each way back is added to what its resolution has seen.
        strand = [*near, Sum(far, [Pointwise(filters, hidden)]) if skips else nn.Sequential(*far)]
        trunk = [*([BothStrands(strand)] if both_strands else strand), *norm(hidden), _spread(hidden, hidden, first)]
        trunk = [Sum(trunk, _convolution(CHANNELS, hidden, skip_kernel))] if skips else trunk
        head = [*norm(hidden), *drop, Logits(hidden, n_outputs)]
        block = first * second * (third if coarse_dilations else 1)
        super().__init__([OneHot(), *trunk], head, stride=block, places=block)


def _norm(channels: int, *, kind: type[BatchNorm], decay: float, bias: float = 0.0) -> list[nn.Module]:
    layer = kind(channels, momentum=1 - decay)
    nn.init.constant_(layer.bias, bias)
    return [layer, activation()]


def _convolution(channels: int, filters: int, kernel: int, dilation: int = 1) -> tuple[nn.Module, nn.Conv1d]:
    """One that keeps the length, behind its padding."""
    return same_padding(kernel, dilation), nn.Conv1d(channels, filters, kernel, dilation=dilation)


def _spread(channels: int, filters: int, positions: int) -> nn.ConvTranspose1d:
    """One position becomes so many."""
    return nn.ConvTranspose1d(channels, filters, positions, stride=positions)
