"""What lets a reader find its way in a bigWig file: the header, the tree of contigs, the trees of sections."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x888FFC26
CONTIG_MAGIC, SECTION_MAGIC = 0x78CA8C91, 0x2468ACE0
_VERSION = 4

CHILDREN = 256  # of a node of either tree, at most; what UCSC's own tools write

HEADER_SIZE, ZOOM_HEADER_SIZE, _TREE_HEADER_SIZE = 64, 24, 48
_NODE_HEADER_SIZE = 4

LONGEST_NAME, LONGEST_CONTIG = 255, (1 << 32) - 1

PLACE = np.dtype(
    [("contig", "<u4"), ("start", "<u4"), ("to", "<u4"), ("end", "<u4"), ("offset", "<u8"), ("size", "<u8")]
)
"""From `start` on `contig` to `end` on contig `to` (bp, half-open): where in the file that is, and its bytes."""

BRANCH = np.dtype(PLACE.descr[:-1])


@dataclass(frozen=True, slots=True)
class Zoom:
    """A zoom level: nt of a record, where its sections begin, and where their tree lies."""

    reduction: int
    data: int
    index: int


def header(*, contigs: int, data: int, index: int, summary: int, largest: int, zooms: list[Zoom]) -> bytes:
    """The first bytes of the file: the header and the zoom levels.

    Parameters
    ----------
    contigs, data, index, summary
        Where in the file the tree of contigs, the count of sections, their tree and the summary lie.
    largest
        Bytes of the largest section before compression.
    zooms
        From fine to coarse.
    """
    made = struct.pack("<IHHQQQHHQQIQ", MAGIC, _VERSION, len(zooms), contigs, data, index, 0, 0, 0, summary, largest, 0)
    return made + b"".join(struct.pack("<IIQQ", zoom.reduction, 0, zoom.data, zoom.index) for zoom in zooms)


def contig_tree(lengths: dict[str, int], at: int) -> bytes:
    """The B+ tree from names to numbers and lengths.

    Names are sorted, as readers search by them; numbers are places in `lengths`.

    Parameters
    ----------
    lengths
        In bp.
    at
        Where in the file the tree will lie.

    Raises
    ------
    ValueError
        A name or a contig too long for the format.
    """
    names = [name.encode() for name in lengths]
    longest = max((len(name) for name in names), default=1)
    if longest > LONGEST_NAME or min(map(len, names), default=1) < 1:
        raise ValueError(f"a contig's name has 1 to {LONGEST_NAME} bytes in a bigWig")
    if any(not 0 < length <= LONGEST_CONTIG for length in lengths.values()):
        raise ValueError(f"a contig has 1 to {LONGEST_CONTIG:,} bp in a bigWig")
    children = max(1, min(CHILDREN, len(names)))
    items = np.zeros(len(names), [("name", f"S{longest}"), ("number", "<u4"), ("length", "<u4")])
    items["name"], items["number"], items["length"] = names, np.arange(len(names)), list(lengths.values())
    items = items[sorted(range(len(names)), key=names.__getitem__)]
    levels: list[NDArray[np.void]] = [items]
    while len(levels[-1]) > children:
        below = levels[-1][::children]
        branch = np.zeros(len(below), [("name", f"S{longest}"), ("offset", "<u8")])
        branch["name"] = below["name"]
        levels.append(branch)
    start = struct.pack("<IIIIQQ", CONTIG_MAGIC, children, longest, 8, len(names), 0)
    return start + _nodes(levels, at + len(start), children, whole=True)


def section_tree(sections: NDArray[np.void], at: int, items: int) -> bytes:
    """The R-tree from stretches of the genome to sections.

    Parameters
    ----------
    sections
        (S,) `PLACE`, in genome order.
    at
        Where in the file the tree will lie: right behind the sections.
    items
        Of a section, as its header says.
    """
    levels: list[NDArray[np.void]] = [sections]
    while len(levels[-1]) > CHILDREN:
        below = levels[-1]
        first = np.arange(0, len(below), CHILDREN)
        last = np.minimum(first + CHILDREN, len(below)) - 1
        branch = np.zeros(len(first), BRANCH)
        branch["contig"], branch["start"] = below["contig"][first], below["start"][first]
        branch["to"], branch["end"] = below["to"][last], below["end"][last]
        levels.append(branch)
    low = (int(sections["contig"][0]), int(sections["start"][0])) if len(sections) else (0, 0)
    high = (int(sections["to"][-1]), int(sections["end"][-1])) if len(sections) else (0, 0)
    start = struct.pack("<IIQIIIIQII", SECTION_MAGIC, CHILDREN, len(sections), *low, *high, at, items, 0)
    return start + _nodes(levels, at + len(start), CHILDREN, whole=False)


def _nodes(levels: list[NDArray[np.void]], at: int, children: int, *, whole: bool) -> bytes:
    """All nodes, from the root down; `whole`: the last one of a level is filled up with zeros, too."""
    counts = [max(1, -(-len(level) // children)) for level in levels]
    sizes = [
        _NODE_HEADER_SIZE * count + level.itemsize * (count * children if whole else len(level))
        for count, level in zip(counts, levels, strict=True)
    ]
    for up in range(1, len(levels)):
        below = at + sum(sizes[up:])  # the level below comes right after this one
        step = _NODE_HEADER_SIZE + children * levels[up - 1].itemsize
        levels[up]["offset"] = below + step * np.arange(len(levels[up]))
    made = []
    for up in range(len(levels) - 1, -1, -1):
        node = np.dtype([("leaf", "u1"), ("zero", "u1"), ("count", "<u2"), ("items", levels[up].dtype, (children,))])
        nodes = np.zeros(counts[up], node)
        padded = np.zeros(counts[up] * children, levels[up].dtype)
        padded[: len(levels[up])] = levels[up]
        nodes["leaf"], nodes["items"] = up == 0, padded.reshape(counts[up], children)
        nodes["count"] = np.minimum(len(levels[up]) - children * np.arange(counts[up]), children)
        made.append(nodes.tobytes()[: sizes[up]])
    return b"".join(made)
