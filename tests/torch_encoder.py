"""The encoder of a GPU on a machine without one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dilannot.annotate.encode import TileEncoder, encode_with_torch


class WithTorch(TileEncoder):
    """Encodes with torch wherever probabilities lie."""

    def _encode(
        self,
        probabilities: Tensor,
        offset: int,
        unit: int,
        least: NDArray[np.int64],
        thresholds: NDArray[np.float32],
        cut: NDArray[np.float32],
    ) -> None:
        place = self._origin, offset, unit
        runs, stretches = encode_with_torch(probabilities, least, self._rules.steps, thresholds, self._wanted, place)
        self.runs.append(runs)
        self.stretches.append(stretches)
