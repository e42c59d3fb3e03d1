"""Write docs/reference/models.md from what `dilannot models` says; tests/test_docs.py compares."""

from pathlib import Path

from dilannot.cli.models import COLUMNS, LAYER_COLUMNS, facts, layers, overview
from dilannot.models import entry, names
from dilannot.models.describe import Description, describe

PAGE = Path(__file__).parent / "reference" / "models.md"
INTRODUCTION = """# Models

Made by `docs/make_models_page.py` from what `dilannot models` and `dilannot models NAME` print. How to choose one,
change it or add your own: `docs/how-to/models.md`.

Parameters are trainable ones, for as many outputs as the source counted with; where the source states a number, it is
this one, and a test says so. The receptive field is computed from the layers: from the first to the last nucleotide
that the outputs of one block (the stride) depend on, and how many of them matter where dilations leave gaps; for
window networks, within their 1,000 bp. Below, activations, dropouts and paddings are left out of the layers;
`dilannot models NAME` shows the first two. The multiply-adds are those of a forward pass, per nucleotide of the track;
a window network computes 1,000 bp for a bin of 200.

Sources: Gupta 2017 is the thesis (Harvard), Gupta & Rush 2017 arXiv:1710.01278, Hawkins-Hooker et al. 2018 bioRxiv
412734 (the projection paper), Kundaje & Zou 2017 lecture 3 of CS273B. Task 1 of the thesis is window networks, Task 2
dense ones. `NAME-thesis` is a network as in the thesis where the paper has another of that name.

What the sources say and no network can have:

- The paper's 631,263 for `dilated` and its two variants with pools count a vector of 50 that no layer uses.
- The paper's CNN3 for Task 1 (155,159,839; the projection paper repeats the number for DeepSEA) and its Dilated3
  (37,056,519) fit no network of the published grids. `conv3`, `deepsea` and `dilated3` are the thesis's and DeepSEA's.
- The CRNNs have 96 filters in their second convolution by their counts, and 128 by the text.
- Thesis counts are without batch norm, though its prose has it, and those of Task 2 are for 917 outputs.
- The thesis gives neither the dilations nor the places of the pools of `dilated6`; its count leaves 60 positions. Its
  dilations 1, 3, 9, 27, 81, 243 (`--set dilations=1,3,9,27,81,243`) pass over all of them: they need windows of
  2,000 bp, and are refused where nothing is seen.
- No count is published for `basset` at 1,000 bp and 919 markers, `kmer`, `pssm` (here with the 879 motifs of JASPAR
  2024), and the `danq-500` pair.
"""


def page() -> str:
    found = [describe(name) for name in names() if entry(name).code is None and not name.startswith("toy-")]
    parts = [INTRODUCTION, table(COLUMNS, overview(found))]
    return "\n".join([*parts, *map(section, found)])


def section(found: Description) -> str:
    """One network: its facts, and its layers but for activations and dropouts."""
    rows = [row for row in layers(found) if row[0] not in ("ReLU", "LeakyReLU", "Dropout")]
    says = "\n".join(facts(found))
    return f"\n## {found.name}\n\n```\n{says}\n```\n\n{table(LAYER_COLUMNS, rows)}"


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """In markdown; the first two columns are words."""
    sides = ["---"] * 2 + ["---:"] * (len(columns) - 2)
    lines = [columns, sides, *(cells(row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cells(row: tuple[str, ...]) -> tuple[str, ...]:
    return (f"`{row[0]}`", *row[1:])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
