"""Figures of a training for TensorBoard, which is asked for and not installed by default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dilannot.errors import DilannotError
from dilannot.run import BOARD


class Board:
    """Writes into a folder of the run."""

    def __init__(self, run: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise DilannotError(
                "TensorBoard is not installed", where="--tensorboard", remedy="pip install 'dilannot[tensorboard]'"
            ) from None
        self._writer = SummaryWriter(str(run / BOARD))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def add(self, row: Mapping[str, Any]) -> bool:
        """One row of the metrics; training goes on."""
        for name, value in row.items():
            if name not in ("epoch", "step"):
                self._writer.add_scalar(name, value, row["step"])
        self._writer.flush()
        return True
