"""What a search varies: published grids on our networks, files, and the points of both."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dilannot.errors import DilannotError
from dilannot.models import build_without_memory, count_parameters, entry, full_arguments, names
from dilannot.training.grids import GRIDS, published_grid, usual_space
from dilannot.training.proposals import FromGrid
from dilannot.training.settings import Settings
from dilannot.training.space import Axis, Range, Space, read_space

OURS = [name for name in names() if not name.startswith("toy-") and entry(name).code is None]
FITTING = {
    "thesis-task1": ["conv3", "deepsea", "dilated3", "dilated6", "dilated6-paper", "cnn-500", "cnn-500-projection"],
    "thesis-task2": [
        "conv1", "conv1-thesis", "conv3-dense", "conv3-dense-thesis", "conv7", "conv7-thesis", "dilated",
        "dilated-thesis", "dilated-pool", "dilated-pool-thesis", "dilated-dilated-pool",
        "dilated-dilated-pool-thesis", "bilstm", "bilstm-thesis",
    ],
}  # fmt: skip
PAIRS = [(grid, model) for grid, models in FITTING.items() for model in models]


def grid_of(grid: str, model: str, **arguments: Any) -> Space:
    return published_grid(grid, model, full_arguments(model, arguments)).without(arguments)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_grid_names_the_networks_it_fits(grid: str) -> None:
    for name in OURS:
        if name in FITTING[grid]:
            assert grid_of(grid, name).name == grid
            continue
        with pytest.raises(DilannotError, match=f"grid '{grid}' is not for model '{name}'; it fits ") as raised:
            grid_of(grid, name)
        assert all(other in str(raised.value) for other in FITTING[grid])


@pytest.mark.parametrize(("grid", "model"), PAIRS)
def test_points_of_the_published_grids_make_networks(grid: str, model: str) -> None:
    """All of a grid's networks where they are few; else each choice of each axis, and some at random."""
    space = grid_of(grid, model)
    chosen = set(np.random.default_rng(0).choice(space.size, min(space.size, 24), replace=False).tolist())
    built = set()
    for index in chosen | {0, space.size - 1}:
        point = space.point(space.values(index))
        arguments = full_arguments(model, point.arguments)
        build_without_memory(model, 5, **arguments)
        Settings().changed(point.settings)
        built.add(str(point))
    assert len(built) == len(chosen | {0, space.size - 1})


@pytest.mark.parametrize(
    ("grid", "model", "size"),
    [
        ("thesis-task1", "dilated3", 3 * 3**3 * 3 * 2 * 3),
        ("thesis-task1", "dilated6-paper", 3 * 3**6 * 3 * 2 * 2 * 3),
        ("thesis-task2", "dilated", 2 * 2 * 2 * 2 * 2 * 2 * 3),
        ("thesis-task2", "dilated-thesis", 2 * 2 * 2 * 2 * 2 * 3),
        ("thesis-task2", "conv1", 2 * 2 * 2 * 3),
        ("thesis-task2", "bilstm", 2 * 2 * 4 * 3 * 3 * 2 * 3),
    ],
)
def test_grids_have_the_published_choices(grid: str, model: str, size: int) -> None:
    assert grid_of(grid, model).size == size


@pytest.mark.parametrize(
    ("grid", "model"),
    [
        ("thesis-task1", "dilated3"), ("thesis-task1", "dilated6"), ("thesis-task1", "dilated6-paper"),
        ("thesis-task2", "dilated"), ("thesis-task2", "conv7-thesis"), ("thesis-task2", "conv1"),
        ("thesis-task2", "bilstm"), ("thesis-task2", "bilstm-thesis"), ("thesis-task2", "conv3-dense-thesis"),
    ],
)  # fmt: skip
def test_the_published_networks_are_points_of_their_grids(grid: str, model: str) -> None:
    """All but Task 1's kernel and Task 2's rate, which the sources report apart, is what was found to be the best."""
    space = grid_of(grid, model)
    usual = full_arguments(model, {})
    values = {}
    for axis in space.axes:
        fitting = [choice for choice in axis.choices if axis.setting or _sets(space, axis, choice, usual)]
        assert fitting, axis
        values[axis.name] = fitting[0]
    assert full_arguments(model, space.point(values).arguments) == usual


def _sets(space: Space, axis: Axis, choice: Any, usual: dict[str, Any]) -> bool:
    one = Space("one", (axis,), space.base).point({axis.name: choice})
    return all(usual[name] == value for name, value in one.arguments.items())


def test_values_of_a_point_reach_every_layer_they_stand_for() -> None:
    space = grid_of("thesis-task2", "dilated")
    values = {
        "f1": 64,
        "f2": 120,
        "f3": 128,
        "hidden": 200,
        "dropout": 0.1,
        "batch_norm_decay": 0.99,
        "learning_rate": 0.1,
    }
    point = space.point(values)
    assert point.arguments == {
        "filters": [64, 120, 128, 128, 128], "deconvolution": 128, "hidden": 200, "dropout": 0.1,
        "batch_norm_decay": 0.99,
    }  # fmt: skip
    assert point.settings == {"learning_rate": 0.1}
    assert full_arguments("dilated", {})["filters"] == [128, 240, 50, 50, 50], "the base stays as it is"
    window = grid_of("thesis-task1", "dilated3")
    point = window.point(
        dict(zip([axis.name for axis in window.axes], (4, 360, 240, 120, 500, 0.01, 0.001), strict=True))
    )
    assert point.arguments == {
        "kernels": 4, "filters": [360, 240, 120], "hidden": [500], "dropouts": 0.01, "hidden_dropout": 0.01,
    }  # fmt: skip


def test_what_is_set_is_not_searched() -> None:
    assert [axis.name for axis in grid_of("thesis-task2", "dilated", hidden=125, filters=[8] * 5).axes] == [
        "dropout", "batch_norm_decay", "learning_rate",
    ]  # fmt: skip
    space = grid_of("thesis-task2", "dilated-thesis")
    assert "batch_norm_decay" not in [axis.name for axis in space.axes], "there is nothing to decay"
    with_norm = grid_of("thesis-task2", "dilated-thesis", batch_norm=True)
    assert "batch_norm_decay" in [axis.name for axis in with_norm.axes]
    with pytest.raises(DilannotError, match="thesis-task2 leaves nothing to search; give several choices"):
        space.without(["filters", "hidden", "dropout", "learning_rate"])


@pytest.mark.parametrize("model", OURS)
def test_the_usual_space_makes_networks(model: str) -> None:
    space = usual_space(full_arguments(model, {}))
    ends = [axis.choices or (axis.range.low, axis.range.high) for axis in space.axes if axis.choices or axis.range]
    sizes = []
    for which in (0, -1):
        values = {axis.name: found[which] for axis, found in zip(space.axes, ends, strict=True)}
        point = space.point(values)
        network = build_without_memory(model, 5, **full_arguments(model, point.arguments))
        sizes.append(count_parameters(network))
        Settings().changed(point.settings)
    assert sizes[0] < sizes[1] or not any(axis.choices for axis in space.axes)


def test_the_order_of_a_grid_is_the_seeds_and_repeats_nothing() -> None:
    space = Space("a", (Axis("x", ("hidden",), (1, 2, 3)), Axis("y", ("seed",), (4, 5), setting=True)), {})
    assert [space.values(index) for index in (0, 1, 5)] == [{"x": 1, "y": 4}, {"x": 1, "y": 5}, {"x": 3, "y": 5}]

    def order(seed: int, count: int | None) -> list[tuple[int, int]]:
        proposer = FromGrid(space, seed, count)
        return [tuple(proposer.propose(number, []).values()) for number in range(1, proposer.count + 1)]

    assert sorted(order(0, None)) == list(itertools.product((1, 2, 3), (4, 5)))
    assert order(0, None) != order(1, None)
    assert order(0, 3) == order(0, None)[:3], "more trials go on with the same order"
    assert len(order(0, 100)) == 6
    huge = Space("huge", tuple(Axis(name, (name,), tuple(range(100))) for name in "abcd"), {})
    with pytest.raises(DilannotError, match=r"huge has 100,000,000 points; search so many with Optuna"):
        FromGrid(huge, 0, 5)


def from_text(folder: Path, text: str, *, ranges: bool = True, model: str = "dilated") -> Space:
    (folder / "s.toml").write_text(text)
    return read_space(folder / "s.toml", model, full_arguments(model, {}), Settings(), ranges=ranges)


def test_a_file_says_choices_and_ranges(tmp_path: Path) -> None:
    space = from_text(
        tmp_path,
        """
        [arguments]
        filters = [[8, 8, 8, 8, 8], [16, 8, 8, 8, 8]]
        hidden = {low = 8, high = 64, log = true}
        [settings]
        learning_rate = {low = 1e-4, high = 1e-1, log = true}
        optimizer = ["adamw", "sgd"]
        """,
    )
    assert [axis.name for axis in space.axes] == ["filters", "hidden", "learning_rate", "optimizer"]
    point = space.point({"filters": [16, 8, 8, 8, 8], "hidden": 9, "learning_rate": 0.01, "optimizer": "sgd"})
    assert point.arguments == {"filters": [16, 8, 8, 8, 8], "hidden": 9}
    assert Settings().changed(point.settings).optimizer == "sgd"
    assert space.axes[1].range == Range(8, 64, log=True)
    assert space.axes[1].range.whole
    assert [str(axis) for axis in space.axes[2:]] == [
        "learning_rate: 0.0001 to 0.1, logarithmic", 'optimizer: "adamw" | "sgd"'
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("[arguments", "s.toml: is not TOML"),
        ("", "names nothing to search"),
        ("hidden = [1, 2]", r"'hidden' is not one of the tables \[arguments\] and \[settings\]"),
        ("[seting]\nx = [1]", r"did you mean 'settings'\?"),
        ("[arguments]\nhiden = [1, 2]", r"takes no argument 'hiden' \(did you mean 'hidden'\?\)"),
        ("[arguments]\nhidden = ['a', 2]", r's.toml: hidden="a" is not a whole number'),
        ("[arguments]\nhidden = 5", r"hidden is no list of choices; write hidden = \[5\]"),
        ("[arguments]\nhidden = []", "hidden is no list of choices"),
        ("[arguments]\nhidden = [5, 5]", "hidden has a choice twice"),
        ("[settings]\nepoch = [5, 6]", r"no setting 'epoch' to search \(did you mean 'epochs'"),
        ("[settings]\nrecipe = ['gupta', 'danq']", "no setting 'recipe' to search"),
        ("[settings]\nepochs = [5, 0]", r"epochs is 1 or more \(got 0\)"),
        ("[settings]\nlearning_rate = {low = 1, heigh = 2}", "learning_rate is no range; write"),
        ("[settings]\nlearning_rate = {low = 2, high = 1}", "learning_rate goes from 2 to 1"),
        ("[settings]\nlearning_rate = {low = 0, high = 1, log = true}", "goes from 0 to 1 by logarithms"),
        ("[settings]\nepochs = {low = 1.5, high = 4}", r"epochs is a whole number \(got 1.5\)"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path: Path, text: str, pattern: str) -> None:
    with pytest.raises(DilannotError, match=pattern) as raised:
        from_text(tmp_path, text)
    assert str(tmp_path) in str(raised.value)


def test_a_grid_has_no_ranges(tmp_path: Path) -> None:
    with pytest.raises(DilannotError, match="learning_rate is a range, and a grid has lists of choices"):
        from_text(tmp_path, "[settings]\nlearning_rate = {low = 1e-3, high = 1e-1}", ranges=False)
    with pytest.raises(DilannotError, match="is a directory"):
        read_space(tmp_path, "dilated", {}, Settings(), ranges=False)
    with pytest.raises(DilannotError, match="file not found"):
        read_space(tmp_path / "none", "dilated", {}, Settings(), ranges=False)
