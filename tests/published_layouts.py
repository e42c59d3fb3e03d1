"""Small files in the layouts that DeepSEA and the thesis published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import scipy.sparse

from dilannot.genome.sequence import ALPHABET, reverse_complement

MATLAB_HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"


def random_windows(rows: int, length: int, markers: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Base codes with stretches of N, and labels."""
    random = np.random.default_rng(seed)
    codes = random.integers(1, 5, (rows, length)).astype(np.uint8)
    codes[1, :3] = 0
    codes[rows // 2, -1] = 0
    codes[rows // 2 + 1, : length // 2] = 0
    return codes, random.random((rows, markers)) < 0.3


def both_strands(codes: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([codes, reverse_complement(codes)]), np.concatenate([labels, labels])


def one_hot(codes: np.ndarray, order: str = "AGCT") -> np.ndarray:
    """(rows, 4, bases) uint8; N has no 1."""
    return np.stack([codes == ALPHABET.index(letter) for letter in order], axis=1).astype(np.uint8)


def write_v5(path: Path, **arrays: np.ndarray) -> Path:
    scipy.io.savemat(path, arrays, do_compression=True)
    return path


def write_v73(path: Path, chunks: bool = True, **arrays: np.ndarray) -> Path:
    """As MATLAB writes it: HDF5 behind 512 bytes of its own, and h5py sees the axes reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            options = {"chunks": True, "compression": "gzip"} if chunks else {}
            file.create_dataset(name, data=array.T if array.ndim == 2 else array.transpose(2, 1, 0), **options)
    with open(path, "r+b") as handle:
        handle.write(MATLAB_HEADER)
    return path


def write_deepsea(
    folder: Path, splits: dict[str, tuple[np.ndarray, np.ndarray]], order: str = "AGCT", strands: int = 2
) -> Path:
    """`splits` by prefix: train (7.3), valid and test (older), codes and labels of the forward strand."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, (codes, labels) in splits.items():
        codes, labels = both_strands(codes, labels) if strands == 2 else (codes, labels)
        arrays = {f"{prefix}xdata": one_hot(codes, order), f"{prefix}data": labels.astype(np.uint8)}
        (write_v73 if prefix == "train" else write_v5)(folder / f"{prefix}.mat", **arrays)
    return folder


def sparse_outputs(labels: Sequence[np.ndarray], kind: str = "csr_matrix") -> np.ndarray:
    outputs = np.empty(len(labels), object)
    for row, window in enumerate(labels):
        outputs[row] = getattr(scipy.sparse, kind)(window.astype(np.float32))
    return outputs


def write_thesis(
    path: Path, splits: dict[str, tuple[np.ndarray, np.ndarray]], alphabet: str = "NACTG", kind: str = "csr_matrix"
) -> Path:
    """`splits` by prefix: codes (n, L) and labels (n, L, markers)."""
    number = np.array([alphabet.index(letter) for letter in ALPHABET])
    arrays = {}
    for prefix, (codes, labels) in splits.items():
        arrays[f"{prefix}_inputs"] = number[codes]
        arrays[f"{prefix}_outputs"] = sparse_outputs(labels, kind) if kind != "dense" else labels
    np.savez(path, **arrays)
    return path
