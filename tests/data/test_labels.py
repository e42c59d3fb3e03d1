from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import torch
from conftest import MARKERS, Inputs

from dilannot.data.dataset import Dataset
from dilannot.data.splits import SPLITS
from dilannot.genome.sequence import encode


def brute_force(inputs: Inputs, marker: str) -> dict[str, np.ndarray]:
    """Every base of every contig, one peak after the other."""
    labels = {name: np.zeros(len(sequence), bool) for name, sequence in inputs.contigs.items()}
    for contig, start, end in inputs.peaks[marker]:
        labels[contig][start:end] = True
    return labels


def window_table(dataset: Path) -> tuple[np.ndarray, np.ndarray]:
    with h5py.File(dataset) as file:
        return file["windows/contig"][:], file["windows/start"][:]


def test_labels_equal_a_brute_force_raster(inputs: Inputs, dataset: Path) -> None:
    with Dataset(dataset) as data:
        names = [marker.name for marker in data.markers]
        assert sorted(names) == sorted(MARKERS)
        contig, start = window_table(dataset)
        rows = np.random.default_rng(0).permutation(len(start))
        batch = data.batch(rows)
        dense = torch.zeros(len(rows), len(names), data.window, dtype=torch.bool)
        dense.view(-1)[batch.targets.flat_index(len(names), data.window)] = True
        positives = np.zeros((len(names), len(SPLITS)), int)
        for column, name in enumerate(names):
            labels = brute_force(inputs, name)
            for i, row in enumerate(rows):
                here = labels[data.contigs[contig[row]]["name"]][start[row] : start[row] + data.window]
                assert (dense[i, column].numpy() == here).all()
                positives[column, data.split[row]] += here.sum()
        assert (positives == data.positives).all()


def test_sequence_and_mask_equal_the_genome(inputs: Inputs, dataset: Path) -> None:
    with Dataset(dataset) as data:
        contig, start = window_table(dataset)
        rows = np.arange(len(start))
        batch = data.batch(rows)
        for row in rows:
            sequence = inputs.contigs[data.contigs[contig[row]]["name"]][start[row] : start[row] + data.window]
            codes = encode(sequence.encode())[0]
            assert (batch.inputs["sequence"][row].numpy() == codes).all()
            assert (batch.mask[row].numpy() == (codes != 0)).all()
