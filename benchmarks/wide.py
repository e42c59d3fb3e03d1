"""A trained run with its markers repeated: what it says is what a trained network says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dilannot.run import Run, load_network, save_weights


def widened(run: Run, folder: Path, markers: int) -> Run:
    """A run like another one, with its last layer repeated."""
    loaded = load_network(run)
    rows = np.arange(markers) % len(run.markers)
    tensors = loaded.network.state_dict()
    tensors |= {name: tensors[name][rows] for name in list(tensors)[-2:]}
    named = [replace(run.markers[row], name=f"{run.markers[row].name}_{i}") for i, row in enumerate(rows.tolist())]
    folder.mkdir()
    wide = replace(run, folder=folder, markers=named)
    wide.save()
    thresholds = {rule: values[rows] for rule, values in loaded.thresholds.items()}
    save_weights(wide, "best", tensors, epoch=loaded.epoch, thresholds=thresholds)
    return wide
