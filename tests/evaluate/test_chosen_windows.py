"""Which windows and positions of a dataset are judged where regions are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Inputs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from published_layouts import random_windows, write_deepsea

from dilannot.data.build import build_dataset
from dilannot.data.dataset import Dataset
from dilannot.data.imported.import_data import import_dataset
from dilannot.data.settings import BuildSettings
from dilannot.errors import DilannotError
from dilannot.evaluate.protocol import Protocol
from dilannot.evaluate.windows import choose_windows
from dilannot.progress import Silent


@pytest.fixture(scope="module")
def bins(inputs: Inputs) -> Path:
    path = inputs.folder / "chosen_bins.h5"
    build_dataset(
        inputs.genome, [inputs.peak_folder], path, BuildSettings(task="window", bin=200, context=150, split="blocks")
    )
    return path


REGIONS = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(1, 6_000), st.integers(1, 3_000)), min_size=1, max_size=6
)


@pytest.mark.parametrize("kind", ["windows", "bins"])
@given(asked=REGIONS)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_lies_in_regions_counts(
    kind: str, asked: list[tuple[str, int, int]], dataset: Path, bins: Path, inputs: Inputs
) -> None:
    """Against a mask of the genome: nucleotides one by one, a bin if all of it is in regions."""
    masks = {name: np.zeros(len(sequence), bool) for name, sequence in inputs.contigs.items()}
    for name, first, width in asked:
        masks[name][first - 1 : first - 1 + width] = True
    regions = [f"{name}:{first}-{min(first - 1 + width, len(masks[name]))}" for name, first, width in asked]
    with Dataset(dataset if kind == "windows" else bins) as data:
        names = [str(contig["name"]) for contig in data.contigs]
        places = [(names[contig], int(start)) for contig, start in zip(data.contig, data.start, strict=True)]
        inside = np.array([masks[name][start : start + data.window] for name, start in places])
        if not inside.any():
            with pytest.raises(DilannotError, match="holds no windows in these regions; ask for more"):
                choose_windows(data, Protocol("all", regions=regions), np.arange(3), Silent())
            return
        windows = choose_windows(data, Protocol("all", regions=regions), np.arange(3), Silent())
        rows = np.concatenate(windows.blocks)
        assert rows.tolist() == np.flatnonzero(inside.any(axis=1)).tolist()
        assert windows.count == len(rows)
        expected = inside[rows] if kind == "windows" else inside[rows].all(axis=1, keepdims=True)
        np.testing.assert_array_equal(windows.batch(rows).mask, data.batch(rows).mask.numpy() & expected)
        back = rows[::-1].copy()
        np.testing.assert_array_equal(windows.batch(back).mask, data.batch(back).mask.numpy() & expected[::-1])


def test_imported_windows_lie_nowhere_in_a_genome(tmp_path: Path) -> None:
    folder = write_deepsea(tmp_path / "bundle", {"test": random_windows(7, 23, 3)})
    import_dataset([folder], tmp_path / "d.h5", bin=5)
    with Dataset(tmp_path / "d.h5") as data:
        assert choose_windows(data, Protocol(), np.arange(3), Silent()).count == 7
        for protocol in (Protocol(regions=["deepsea-test"]), Protocol(exclude=["deepsea-test:1-50"])):
            with pytest.raises(DilannotError, match="does not know where in the genome its windows lie"):
                choose_windows(data, protocol, np.arange(3), Silent())
