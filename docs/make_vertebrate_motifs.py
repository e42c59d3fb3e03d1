"""Choose the motifs that `hybrid` starts from: as different ones as possible of JASPAR's vertebrate collection.

    python docs/make_vertebrate_motifs.py JASPAR2024_CORE_vertebrates.meme.gz

Two motifs are alike where their correlation, of probabilities less 0.25 over their best overlap on either strand, is
0.7 or more. Again and again the motif is taken that stands for most of those that none stands for yet: families first.
Writes 160 of them to dilannot/models/vertebrates.meme. JASPAR is published under CC BY 4.0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dilannot.formats.motifs import Motif, read_motifs

WIDTH, SHIFTS, ALIKE, COUNT = 19, 8, 0.7, 160
PAGE = Path(__file__).parents[1] / "dilannot" / "models" / "vertebrates.meme"
HEADER = """MEME version 4

# {count} motifs of JASPAR 2024 CORE vertebrates (Rauluseviciute et al. 2024, CC BY 4.0), one for each family of alike
# ones; chosen by docs/make_vertebrate_motifs.py.

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25
"""


def core(motif: Motif) -> NDArray[np.float64]:
    """Its columns but uninformative ends, `WIDTH` of them at most."""
    columns, bits = motif.probabilities, motif.information()
    while len(columns) > WIDTH or (len(columns) > 6 and min(bits[0], bits[-1]) < 0.25):
        keep = slice(1, None) if bits[0] < bits[-1] else slice(None, -1)
        columns, bits = columns[keep], bits[keep]
    return columns


def likeness(cores: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Of every two motifs, (n, n)."""
    placed = np.zeros((len(cores), WIDTH, 4))
    for row, columns in zip(placed, cores, strict=True):
        at = (WIDTH - len(columns)) // 2
        row[at : at + len(columns)] = columns - 0.25
    placed /= np.sqrt(np.square(placed).sum((1, 2), keepdims=True))
    most = np.zeros((len(cores), len(cores)))
    for strand in (placed, placed[:, ::-1, ::-1]):
        for shift in range(-SHIFTS, SHIFTS + 1):
            moved = np.zeros_like(strand)
            moved[:, max(shift, 0) : WIDTH + min(shift, 0)] = strand[:, max(-shift, 0) : WIDTH - max(shift, 0)]
            most = np.maximum(most, placed.reshape(len(cores), -1) @ moved.reshape(len(cores), -1).T)
    return most


def text(motif: Motif) -> str:
    rows = "".join(" ".join(f"{value:.4f}" for value in row) + "\n" for row in motif.probabilities)
    size = f"alength= 4 w= {motif.width} nsites= {int(motif.sites)} E= 0"
    return f"\nMOTIF {motif.identifier} {motif.name}\nletter-probability matrix: {size}\n{rows}"


def main() -> None:
    motifs = read_motifs(Path(sys.argv[1]))
    alike = likeness([core(motif) for motif in motifs]) >= ALIKE
    left, chosen = np.ones(len(motifs), bool), list[int]()
    while left.any() and len(chosen) < COUNT:
        chosen.append(int(np.argmax((alike & left).sum(1))))
        left &= ~alike[chosen[-1]]
    PAGE.write_text(HEADER.format(count=len(chosen)) + "".join(text(motifs[i]) for i in chosen))
    print(f"{len(chosen)} of {len(motifs)} motifs in {PAGE}")


if __name__ == "__main__":
    main()
