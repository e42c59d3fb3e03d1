"""Builds with random genomes, peaks, exclusions and settings, held against a raster of every base."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_fasta

from dilannot.data.build import build_dataset
from dilannot.data.dataset import Dataset
from dilannot.data.settings import BuildSettings
from dilannot.data.splits import SPLITS
from dilannot.errors import DilannotError

Rows = list[tuple[str, int, int]]
BUILDS = 200
# What random inputs may rightly lead to.
NOT_POSSIBLE = (
    "no window of",
    "no window left",
    "no bin has a TFBS label",
    "is of class TFBS",
    "no peak of any marker lies",
)


@dataclass(frozen=True)
class Case:
    contigs: dict[str, str]
    peaks: dict[str, Rows]
    excluded: Rows
    settings: BuildSettings


def random_case(seed: int) -> Case:
    chance = random.Random(seed)
    contigs = {f"c{number}": random_contig(chance) for number in range(chance.randint(1, 4))}
    markers = ("m_ctcf", "n_dnase", "o_tfbs")[: chance.randint(1, 3)]
    peaks = {marker: random_rows(contigs, chance, chance.randint(1, 30)) for marker in markers}
    excluded = random_rows(contigs, chance, chance.randint(1, 5)) if chance.random() < 0.4 else []
    settings = BuildSettings(
        task=chance.choice(("dense", "window")),
        window=chance.randint(1, 60),
        bin=chance.randint(1, 30),
        context=chance.choice((0, chance.randint(0, 40))),
        max_n=chance.choice((0, 0.1, 0.5, 1)),
        max_excluded=chance.choice((0, 0.1, 0.5, 1)),
        min_overlap=chance.choice((0, 0.25, 0.5, 0.99)),
        overlap=chance.choice(("more", "least")),
        all_bins=chance.random() < 0.5,
        split=chance.choice(("windows", "blocks")),
        seed=seed,
    )
    return Case(contigs, peaks, excluded, settings)


def random_contig(chance: random.Random) -> str:
    letters = chance.choices("ACGTacgt", k=chance.choice((chance.randint(1, 40), chance.randint(200, 900))))
    for _ in range(chance.randint(0, 4)):
        start = chance.randrange(len(letters))
        end = min(len(letters), start + chance.randint(1, 60))
        letters[start:end] = chance.choice("NnR") * (end - start)
    return "".join(letters)


def random_rows(contigs: dict[str, str], chance: random.Random, count: int) -> Rows:
    rows = []
    for _ in range(count):
        name = chance.choice(list(contigs))
        length = len(contigs[name])
        start = chance.randrange(length)
        rows.append(
            (name, start, min(length, start + chance.choice((1, chance.randint(1, 20), chance.randint(1, 300)))))
        )
    return rows


def raster(contigs: dict[str, str], rows: Rows) -> dict[str, np.ndarray]:
    bases = {name: np.zeros(len(letters), bool) for name, letters in contigs.items()}
    for name, start, end in rows:
        bases[name][start:end] = True
    return bases


def expected_windows(case: Case) -> Iterator[tuple[tuple[str, int], str, np.ndarray]]:
    """(contig, start), letters and labels (markers, positions) of every window that is good."""
    settings = case.settings
    peaks = {marker: raster(case.contigs, rows) for marker, rows in sorted(case.peaks.items())}
    excluded = raster(case.contigs, case.excluded)
    for name, letters in case.contigs.items():
        known = "".join(letter if letter in "ACGT" else "N" for letter in letters.upper())
        for start in range(0, len(known) - settings.unit + 1, settings.unit):
            first, last = start - settings.reach, start + settings.unit + settings.reach
            if first < 0 or last > len(known):
                continue
            if known[first:last].count("N") > settings.max_n * (last - first):
                continue
            if excluded[name][first:last].sum() > settings.max_excluded * (last - first):
                continue
            labels = np.array([bases[name][start : start + settings.unit] for bases in peaks.values()])
            if settings.task == "window":
                labels = positive_bins(labels.sum(1, keepdims=True), settings)
                bound = [row[0] for marker, row in zip(peaks, labels, strict=True) if "dnase" not in marker]
                if not settings.all_bins and not any(bound):
                    continue
            yield (name, start), known[first:last], labels


def positive_bins(bases: np.ndarray, settings: BuildSettings) -> np.ndarray:
    needed = settings.min_overlap * settings.bin
    return (bases > needed) if settings.overlap == "more" else (bases >= needed) & (bases > 0)


def build(case: Case, folder: Path) -> Path:
    (folder / "peaks").mkdir()
    for marker, rows in case.peaks.items():
        (folder / "peaks" / f"{marker}.bed").write_text(bed(rows))
    (folder / "excluded.bed").write_text(bed(case.excluded))
    genome = write_fasta(folder / "genome.fa", case.contigs, 61)
    exclude = [folder / "excluded.bed"] if case.excluded else []
    build_dataset(genome, [folder / "peaks"], folder / "dataset.h5", case.settings, exclude=exclude)
    return folder / "dataset.h5"


def bed(rows: Rows) -> str:
    return "".join(f"{name}\t{start}\t{end}\n" for name, start, end in rows)


def check(case: Case, path: Path) -> None:
    expected = {place: (letters, labels) for place, letters, labels in expected_windows(case)}
    with Dataset(path) as data:
        places = [
            (str(data.contigs[contig]["name"]), int(start))
            for contig, start in zip(data.contig, data.start, strict=True)
        ]
        assert places == sorted(places)
        assert set(places) <= expected.keys()
        assert case.settings.split == "blocks" or len(places) == len(expected)
        assert [marker.name for marker in data.markers] == sorted(case.peaks)
        batch = data.batch(np.arange(len(places)))
        labels = torch.zeros(len(places), len(case.peaks), data.positions, dtype=torch.bool)
        labels.view(-1)[batch.targets.flat_index(*labels.shape[1:])] = True
        positives = np.zeros_like(data.positives)
        for row, place in enumerate(places):
            letters, wanted = expected[place]
            assert "".join("NACGT"[code] for code in batch.inputs["sequence"][row].tolist()) == letters
            assert (labels[row].numpy() == wanted).all()
            positives[:, data.split[row]] += wanted.sum(1)
        assert (positives == data.positives).all()
        assert set(data.split.tolist()) == set(range(len(SPLITS)))
        if case.settings.split == "blocks":
            near = data.window + 2 * data.context
            for one, other in zip(range(len(places)), range(1, len(places)), strict=False):
                apart = places[one][0] != places[other][0] or places[other][1] - places[one][1] > near
                assert apart or data.split[one] == data.split[other], "splits touch"


def test_datasets_hold_what_a_raster_of_every_base_holds(tmp_path: Path) -> None:
    built = 0
    for seed in range(BUILDS):
        case, folder = random_case(seed), tmp_path / str(seed)
        folder.mkdir()
        try:
            path = build(case, folder)
        except DilannotError as error:
            if error.problem.startswith(NOT_POSSIBLE):
                continue
            raise
        try:
            check(case, path)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {case.settings}") from error
        built += 1
    assert built > BUILDS / 2


def test_the_check_can_fail(tmp_path: Path) -> None:
    """Negative control: a peak that the raster has and the dataset lacks is noticed."""
    case = random_case(next(seed for seed in range(BUILDS) if random_case(seed).settings.max_n == 1))
    path = build(case, tmp_path)
    check(case, path)
    name = next(iter(case.contigs))
    more = Case(
        case.contigs, {marker: [(name, 0, len(case.contigs[name]))] for marker in case.peaks}, [], case.settings
    )
    with pytest.raises(AssertionError):
        check(more, path)
