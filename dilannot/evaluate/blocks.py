"""Blocks of the genome that are drawn again and again for intervals."""

from __future__ import annotations

_BLOCK = 100_000  # nt: peaks and what surrounds them are shorter
_FEWEST, _MOST = 20, 100  # blocks, where there is that much


def block_length_of(total: int, least: int) -> int:
    """How long the blocks are that `total` judged nt are cut into: 100,000 nt where that makes 20 to 100 of them.

    Parameters
    ----------
    least
        They are not shorter: the nt of a window, or of a bin.
    """
    return max(least, -(-total // _MOST), min(_BLOCK, total // _FEWEST))
