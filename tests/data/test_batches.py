"""In which order windows come, to whom, and that turning and shifting them changes nothing but their place."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from small_datasets import CONTIGS, PEAKS, Small, small_dataset

from dilannot.data.batch import Batch
from dilannot.data.dataset import Dataset
from dilannot.data.order import Augmentation, Order
from dilannot.data.settings import Task

TASKS: tuple[Task, ...] = ("dense", "window")
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


@pytest.fixture(scope="module", params=TASKS)
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dataset]:
    small: Small = small_dataset(tmp_path_factory.mktemp(request.param), request.param)
    with Dataset(small.path) as opened:
        yield opened


def letters(batch: Batch) -> list[str]:
    """The sequence of every window of a batch."""
    return ["".join("NACGT"[code] for code in row) for row in batch.inputs["sequence"].tolist()]


def raster(data: Dataset, batch: Batch) -> np.ndarray:
    """(windows, markers, positions) labels of a batch."""
    shape = (len(batch.mask), len(data.markers), data.positions)
    labels = torch.zeros(shape, dtype=torch.bool)
    labels.view(-1)[batch.targets.flat_index(*shape[1:])] = True
    return labels.numpy()


def window_as_written(data: Dataset, row: int) -> tuple[str, np.ndarray]:
    """Letters of a window and its labels base for base, from the input files' content."""
    contig, start = str(data.contigs[data.contig[row]]["name"]), int(data.start[row])
    sequence = CONTIGS[contig].upper()[start - data.context : start + data.window + data.context]
    labels = np.zeros((len(data.markers), data.window), bool)
    for column, marker in enumerate(data.markers):
        bases = {base for name, first, end in PEAKS[marker.name] if name == contig for base in range(first, end)}
        labels[column] = [start + i in bases for i in range(data.window)]
    if data.task == "window":
        labels = 2 * labels.sum(1, keepdims=True) > data.window
    return sequence, labels


def moved(sequence: str, by: int) -> str:
    margin = "N" * 200
    return (margin + sequence + margin)[200 - by :][: len(sequence)]


def moved_labels(labels: np.ndarray, by: int) -> np.ndarray:
    result = np.zeros_like(labels)
    for position in range(labels.shape[1]):
        if 0 <= position + by < labels.shape[1]:
            result[:, position + by] = labels[:, position]
    return result


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(),
        Augmentation(reverse_complement=True),
        Augmentation(shift=7),
        Augmentation(shift=200),
        Augmentation(reverse_complement=True, shift=13),
    ],
    ids=str,
)
def test_augmented_windows_are_the_windows_turned_and_then_shifted(data: Dataset, augmentation: Augmentation) -> None:
    seen = set()
    for epoch in range(5):
        order = Order.shuffled(data.rows("train"), (11, epoch), augmentation)
        batches = list(data.batches("train", 4, shuffle_seed=(11, epoch), augmentation=augmentation))
        sequences = [sequence for batch in batches for sequence in letters(batch)]
        labels = np.concatenate([raster(data, batch) for batch in batches])
        masks = np.concatenate([batch.mask.numpy() for batch in batches])
        assert len(sequences) == len(order.rows)
        for i, (row, turned, by) in enumerate(zip(order.rows, order.turned, order.shift, strict=True)):
            sequence, expected = window_as_written(data, row)
            if turned:
                sequence = sequence[::-1].translate(COMPLEMENT)
            sequence = moved(sequence, int(by))
            if data.task == "dense":
                expected = moved_labels(expected[:, ::-1] if turned else expected, int(by))
            assert sequences[i] == sequence
            assert (labels[i] == expected).all()
            assert (masks[i] == ([letter != "N" for letter in sequence] if data.task == "dense" else [True])).all()
            seen.add((bool(turned), int(np.sign(by))))
    turns = {False, True} if augmentation.reverse_complement else {False}
    ways = {-1, 0, 1} if augmentation.shift else {0}
    assert {turned for turned, _ in seen} == turns
    assert {way for _, way in seen} >= ways - ({0} if augmentation.shift > 20 else set())


def test_a_window_turned_twice_is_itself(data: Dataset) -> None:
    rows = data.rows("train")
    plain = data.batch(rows)
    order = Order(rows, np.ones(len(rows), bool), np.zeros(len(rows), np.int64))
    turned = data.serve(order)
    assert letters(turned) == [sequence[::-1].translate(COMPLEMENT) for sequence in letters(plain)]
    back = raster(data, turned)[:, :, ::-1] if data.task == "dense" else raster(data, turned)
    assert (back == raster(data, plain)).all()


def test_windows_are_served_in_any_order_and_number(data: Dataset) -> None:
    """Also those that do not begin with a whole byte of packed bases, alone and together."""
    everything = letters(data.batch(np.arange(len(data.split))))
    for row, expected in enumerate(everything):
        assert letters(data.batch(np.array([row]))) == [expected] == [window_as_written(data, row)[0]]
    for first, second in itertools.product(range(len(everything)), repeat=2):
        assert letters(data.batch(np.array([first, second]))) == [everything[first], everything[second]]
    assert letters(data.batch(np.zeros(0, np.intp))) == []


def served(data: Dataset, **options: object) -> list[str]:
    """Sequences of a split in the order they come."""
    options = {"split": "train", "batch_size": 4, **options}
    return [sequence for batch in data.batches(**options) for sequence in letters(batch)]  # type: ignore[arg-type]


def test_batches_cover_a_split_once_in_an_order_the_seed_decides(data: Dataset) -> None:
    plain = served(data)
    assert plain == letters(data.batch(data.rows("train")))
    orders = [served(data, shuffle_seed=seed) for seed in ((1, 1), (1, 1), (1, 2), (2, 1))]
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == sorted(plain) for order in orders)


@pytest.mark.parametrize("shuffle_seed", [None, (3, 5)])
def test_the_order_depends_on_nothing_but_seed_and_epoch(data: Dataset, shuffle_seed: tuple[int, int] | None) -> None:
    augmentation = Augmentation(reverse_complement=True, shift=5)
    expected = served(data, shuffle_seed=shuffle_seed, augmentation=augmentation)
    for batch_size in (1, 3, 5, 16, 1000):
        found = served(data, batch_size=batch_size, shuffle_seed=shuffle_seed, augmentation=augmentation)
        assert found == expected
    assert served(data, shuffle_seed=shuffle_seed, augmentation=augmentation, workers=1) == expected


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("batch_size", [4, 5, 7])
@pytest.mark.parametrize("shuffle_seed", [None, (3, 5)])
def test_ranks_share_every_batch_between_them(
    data: Dataset, ranks: int, batch_size: int, shuffle_seed: tuple[int, int] | None
) -> None:
    def batches(**options: int) -> list[list[str]]:
        return [letters(batch) for batch in data.batches("train", batch_size, shuffle_seed=shuffle_seed, **options)]

    whole = batches()
    parts = [batches(rank=rank, ranks=ranks) for rank in range(ranks)]
    if shuffle_seed is not None:
        steps = len(whole) - (len(whole[-1]) < ranks)
        assert [len(part) for part in parts] == [steps] * ranks
        whole = whole[:steps]
    for step, expected in enumerate(whole):
        here = [part[step] if step < len(part) else [] for part in parts]
        woven = [sequence for column in itertools.zip_longest(*here) for sequence in column if sequence is not None]
        assert woven == expected


@pytest.mark.parametrize("options", [{}, {"ranks": 2, "rank": 1}, {"workers": 1}])
def test_an_interrupted_epoch_goes_on_where_it_stopped(data: Dataset, options: dict[str, int]) -> None:
    def batches(first_step: int = 0) -> list[list[str]]:
        augmentation = Augmentation(reverse_complement=True, shift=5)
        found = data.batches(
            "train", 4, shuffle_seed=(1, 2), augmentation=augmentation, first_step=first_step, **options
        )
        return [letters(batch) for batch in found]

    whole = batches()
    for first_step in range(0, len(whole) + 1, 2 if "workers" in options else 1):
        assert batches(first_step) == whole[first_step:]
    assert batches(len(whole) + 5) == []
