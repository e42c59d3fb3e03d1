"""A rebuilt dataset against "published" files made from itself, with one thing changed at a time."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli, random_sequence, write_fasta
from published_layouts import write_deepsea

from dilannot.data.build import build_dataset
from dilannot.data.dataset import Dataset
from dilannot.data.imported.import_data import import_dataset
from dilannot.data.published import published_markers
from dilannot.data.settings import BuildSettings
from dilannot.data.verify.absence import (
    AT_END,
    EXCLUDED,
    MORE_OFTEN,
    NO_NEIGHBOUR,
    NO_ROOM,
    NO_TFBS,
    NOT_HELD,
    NOT_LOOKED_UP,
    NOT_PUBLISHED,
    NOT_READ,
    ONLY_HALF,
    TOO_MANY_N,
    UNTOLD,
    Places,
    Rules,
    find_places,
    why_not_published,
    why_not_rebuilt,
)  # fmt: skip
from dilannot.data.verify.comparison import Comparison, SplitComparison, aligned, report_lines
from dilannot.data.verify.matching import Windows, pair_windows
from dilannot.data.verify.overlap import PeakOverlap, files_of
from dilannot.data.verify.verify import verify
from dilannot.errors import DilannotError
from dilannot.genome.sequence import encode, reverse_complement

BIN, CONTEXT, LENGTH = 20, 20, 60
TFBS = [each.marker for each in published_markers() if each.marker.marker_class == "TFBS"][:3]
HISTONE = [each.marker for each in published_markers() if each.marker.marker_class == "histone"][:1]
CHOSEN = [*TFBS, *HISTONE]
COLUMN = {each.marker.name: each.index for each in published_markers()}
PREFIX = {"train": "train", "validation": "valid", "test": "test"}
CONTIGS = {
    "chr1": random_sequence(9_000, 11, ((3_000, 3_040),)),
    "chr7": random_sequence(3_000, 12),
    "chr8": random_sequence(3_010, 13),
    "chr20": random_sequence(2_000, 14),
}


@dataclass
class Rebuilt:
    folder: Path
    path: Path
    peaks: Path

    def published(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Codes and 919 label columns of every split, by prefix."""
        found = {}
        with Dataset(self.path) as data:
            columns = [COLUMN[marker.name] for marker in data.markers]
            for split, prefix in PREFIX.items():
                rows = data.rows(split)
                labels = np.zeros((len(rows), 919), bool)
                intervals = data.labels(rows)
                labels[intervals.window.numpy(), np.array(columns)[intervals.marker.numpy()]] = True
                found[prefix] = (data.sequence(rows), labels)
        return found

    def row(self, contig: str, start: int) -> tuple[str, int]:
        """Prefix and row of the window whose bin starts there."""
        with Dataset(self.path) as data:
            names = [entry["name"] for entry in data.contigs]
            row = np.flatnonzero((data.contig == names.index(contig)) & (data.start == start))[0]
            split = list(PREFIX)[data.split[row]]
            return PREFIX[split], int(np.flatnonzero(data.rows(split) == row)[0])


def build(folder: Path, **settings: object) -> Rebuilt:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "peaks").mkdir(exist_ok=True)
    write_fasta(folder / "g.fa", CONTIGS)
    random = np.random.default_rng(3)
    for marker in CHOSEN:
        rows = []
        for contig, sequence in CONTIGS.items():
            for start in random.integers(0, len(sequence) - 400, len(sequence) // 150).tolist():
                rows.append((contig, start, start + int(random.integers(5, 90))))
        rows += [("chr1", 40, 200), ("chr1", 4_000, 4_100)]
        rows += [("chr1", 8_700, 8_710)] * (marker is TFBS[0])  # exactly half of a bin
        text = "".join(f"{contig}\t{start}\t{end}\n" for contig, start, end in rows)
        (folder / "peaks" / marker.file.removesuffix(".gz")).write_text(text)
    values = {"task": "window", "bin": BIN, "context": CONTEXT, "split": "chromosomes", **settings}
    exclude = values.pop("exclude", [])
    output = folder / "d.h5"
    build_dataset(folder / "g.fa", [folder / "peaks"], output, BuildSettings(**values), exclude=exclude, force=True)
    return Rebuilt(folder, output, folder / "peaks")


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Rebuilt:
    return build(tmp_path_factory.mktemp("rebuilt"))


def compare(rebuilt: Rebuilt, folder: Path, splits: dict, *, peaks: bool = False, **how: object) -> Comparison:
    write_deepsea(folder / "published", splits, **how)
    with Dataset(rebuilt.path) as data:
        files = {file.name: file for file in rebuilt.peaks.iterdir()}
        overlap = (
            PeakOverlap([files[marker.file.removesuffix(".gz")] for marker in data.markers], BIN) if peaks else None
        )
        result = verify(data, folder / "published", overlap=overlap)
    assert json.loads(json.dumps(result.as_json()))["agrees"] == result.agrees
    return result


def split_of(result: Comparison, name: str) -> object:
    return next(each for each in result.splits if each.split == name)


def text(result: Comparison) -> str:
    return "\n".join(report_lines(result))


def insert(splits: dict, prefix: str, row: int, codes: np.ndarray, labels: np.ndarray) -> None:
    """Publish one window more."""
    old = splits[prefix]
    splits[prefix] = (np.insert(old[0], row, codes, axis=0), np.insert(old[1], row, labels, axis=0))


def bases(contig: str, start: int) -> np.ndarray:
    return encode(CONTIGS[contig][start - CONTEXT : start + BIN + CONTEXT].encode())[0]


def test_what_is_the_same_agrees(rebuilt: Rebuilt, tmp_path: Path) -> None:
    splits = rebuilt.published()
    result = compare(rebuilt, tmp_path, splits)
    for each in result.splits:
        assert each.equal == each.windows == each.rebuilt == len(splits[PREFIX[each.split]][0])
        assert each.rows == 2 * each.windows
        assert (each.only_published, each.only_rebuilt, each.other_labels, each.other_sequence) == (0, 0, 0, 0)
    assert not result.markers
    assert not result.pairs
    assert all(each.agrees for each in result.splits)
    assert result.compared == len(CHOSEN)
    assert not result.agrees, "915 columns have no counterpart"
    assert "compared 4 of 919 label columns" in text(result)


def test_columns_of_other_numbers_go_by_place(rebuilt: Rebuilt, tmp_path: Path) -> None:
    with Dataset(rebuilt.path) as data:
        columns = [COLUMN[marker.name] for marker in data.markers]
    splits = {name: (codes, labels[:, columns]) for name, (codes, labels) in rebuilt.published().items()}
    result = compare(rebuilt, tmp_path, splits)
    assert result.agrees
    assert text(result).endswith("everything agrees: sequences, labels, splits")
    (tmp_path / "other").mkdir()
    with pytest.raises(DilannotError, match=r"3 label columns, the dataset 4 markers of other names"):
        compare(rebuilt, tmp_path / "other", {"test": (splits["test"][0], splits["test"][1][:, :3])})


@pytest.mark.parametrize("order", ["ACGT", "TGCA", "CAGT"])
def test_another_one_hot_order_is_named(rebuilt: Rebuilt, tmp_path: Path, order: str) -> None:
    result = compare(rebuilt, tmp_path, rebuilt.published(), order=order, strands=1)
    assert result.order == order
    assert all(each.equal == each.rebuilt for each in result.splits)
    assert f"published one-hot order is {','.join(order)}, not A,G,C,T" in text(result)
    assert not result.agrees


def test_the_reverse_strand_is_named(rebuilt: Rebuilt, tmp_path: Path) -> None:
    splits = rebuilt.published()
    splits["test"] = (reverse_complement(splits["test"][0]), splits["test"][1])
    result = compare(rebuilt, tmp_path, splits)
    test = split_of(result, "test")
    assert test.turned == test.equal == test.windows
    assert not test.agrees
    assert f"test: {test.windows:,} published windows are the reverse strand of the rebuilt" in text(result)


def test_permuted_columns_are_named(rebuilt: Rebuilt, tmp_path: Path) -> None:
    splits = rebuilt.published()
    first, second = (COLUMN[marker.name] for marker in TFBS[:2])
    for _, labels in splits.values():
        labels[:, [first, second]] = labels[:, [second, first]]
    result = compare(rebuilt, tmp_path, splits)
    assert [(pair.marker, pair.own, pair.best, pair.correlation) for pair in result.pairs] == [
        (TFBS[0].name, first, second, 1.0), (TFBS[1].name, second, first, 1.0),
    ]  # fmt: skip
    assert f"labels of {TFBS[0].name} go with published column {second}" in text(result)


def test_a_column_under_another_name_is_named(rebuilt: Rebuilt, tmp_path: Path) -> None:
    splits = rebuilt.published()
    own = COLUMN[TFBS[2].name]
    for _, labels in splits.values():
        labels[:, 900], labels[:, own] = labels[:, own], labels[:, 900].copy()
    result = compare(rebuilt, tmp_path, splits)
    assert (TFBS[2].name, own, 900) in [(pair.marker, pair.own, pair.best) for pair in result.pairs]


def test_labels_that_differ_are_counted_and_placed(rebuilt: Rebuilt, tmp_path: Path) -> None:
    splits = rebuilt.published()
    labels = splits["train"][1]
    first, second = COLUMN[TFBS[0].name], COLUMN[TFBS[1].name]
    gone = np.flatnonzero(labels[:, first])[:3]
    come = np.flatnonzero(~labels[:, second])[[5, 9]]
    labels[gone, first], labels[come, second] = False, True
    labels[come[0], first] ^= True
    result = compare(rebuilt, tmp_path, splits)
    changed = sorted({*gone.tolist(), *come.tolist()})
    train = split_of(result, "train")
    assert train.other_labels == len(changed)
    assert [each.row for each in train.first["labels"]] == changed
    totals = {each.marker: (each.only_published, each.only_rebuilt) for each in result.markers}
    assert totals[TFBS[1].name] == (2, 0)
    assert sum(totals[TFBS[0].name]) == 4
    assert result.markers[0].marker == TFBS[0].name, "worst first"
    with Dataset(rebuilt.path) as data:
        row = data.rows("train")[changed[0]]
        place = f"{data.contigs[data.contig[row]]['name']}:{data.start[row] + 1}-{data.start[row] + BIN}"
    assert train.first["labels"][0].place == place
    assert re.search(rf"^ +row {changed[0]}  {place} +only ", text(result), re.M)


def test_a_window_that_only_is_published_is_placed_and_explained(rebuilt: Rebuilt, tmp_path: Path) -> None:
    """In a stretch of bins without a gap: the third is taken out of the rebuild."""
    splits = rebuilt.published()
    nothing = np.zeros(919, bool)
    prefix, row = rebuilt.row("chr1", 4_040)
    assert rebuilt.row("chr1", 4_060) == (prefix, row + 1)
    start = 4_040
    # A copy of the dataset without that window: peaks that end before and begin after it.
    less = build(tmp_path / "less")
    for file in less.peaks.iterdir():
        rows = [line.split("\t") for line in file.read_text().splitlines()]
        kept = [row for row in rows if not (row[0] == "chr1" and int(row[1]) < 4_060 and int(row[2]) > 4_040)]
        kept += [["chr1", "4000", "4040"], ["chr1", "4060", "4100"]]
        file.write_text("".join("\t".join(row) + "\n" for row in kept))
    values = BuildSettings(task="window", bin=BIN, context=CONTEXT, split="chromosomes")
    build_dataset(less.folder / "g.fa", [less.peaks], less.path, values, force=True)
    result = compare(less, tmp_path, splits, peaks=True)
    train = split_of(result, "train")
    assert (train.only_published, train.only_rebuilt) == (1, 0)
    found = train.first["only_published"][0]
    assert (found.row, found.place, found.detail) == (row, f"chr1:{start + 1}-{start + BIN}", NOT_HELD)
    labels = splits[prefix][1]
    labels[row] = nothing
    assert split_of(compare(less, tmp_path, splits), "train").reasons["only_published"] == {NO_TFBS: 1}


def test_reasons_that_need_no_peaks(rebuilt: Rebuilt, tmp_path: Path) -> None:
    splits = rebuilt.published()
    bound = np.zeros(919, bool)
    bound[COLUMN[TFBS[0].name]] = True
    unknown = bases("chr1", 5_000)
    unknown[:7] = 0
    insert(splits, "train", 5, unknown, bound)
    insert(splits, "valid", 0, splits["test"][0][3], splits["test"][1][3])
    insert(splits, "test", len(splits["test"][0]), splits["test"][0][4], splits["test"][1][4])
    insert(splits, "test", len(splits["test"][0]), np.full(LENGTH, 3, np.uint8), bound)
    prefix, row = rebuilt.row("chr1", 4_060)
    insert(splits, prefix, row, np.full(LENGTH, 2, np.uint8), bound)
    result = compare(rebuilt, tmp_path, splits)
    assert split_of(result, "train").reasons["only_published"] == {TOO_MANY_N: 1, NO_ROOM: 1}
    assert [each.place for each in split_of(result, "train").first["only_published"]][1] is None
    assert split_of(result, "validation").reasons["only_published"] == {"rebuilt in another split: test": 1}
    test = split_of(result, "test")
    assert test.reasons["only_published"] == {MORE_OFTEN: 1, NO_NEIGHBOUR: 1}
    assert test.twice == 1
    assert test.first["twice"][0].detail == "the sequence of row 4"
    assert "test: 1 published rows repeat the sequence of another" in text(result)


def test_excluded_windows_and_those_at_the_end(tmp_path: Path) -> None:
    everything = build(tmp_path / "all")
    splits = everything.published()
    bed = tmp_path / "exclude.bed"
    bed.write_text("chr1\t4035\t4065\n")
    less = build(tmp_path / "less", exclude=[bed], max_excluded=0.4)
    result = compare(less, tmp_path, splits)
    # Of 60 bp of input, at least 25 lie in it.
    assert split_of(result, "train").reasons["only_published"] == {EXCLUDED: 3}


def test_places_are_told_by_neighbours(rebuilt: Rebuilt) -> None:
    with Dataset(rebuilt.path) as data:
        near = np.flatnonzero((np.diff(data.start) == 2 * BIN) & (np.diff(data.contig) == 0))[0]
        far = np.flatnonzero((np.diff(data.start) > 2 * BIN) & (np.diff(data.contig) == 0))[0]
        over = np.flatnonzero(np.diff(data.contig))[0]
        first = data.start[near]
        assert (
            find_places(np.array([near, -1, near + 1]), data).text(1, data)
            == f"chr1:{first + BIN + 1}-{first + 2 * BIN}"
        )
        first, last = data.start[far], data.start[far + 1]
        assert find_places(np.array([far, -1, far + 1]), data).text(1, data) == f"within chr1:{first + BIN + 1}-{last}"
        assert find_places(np.array([-1, over, -1, over + 1, -1]), data).contig[[0, 2, 4]].tolist() == [-1, -1, -1]


def test_bins_without_room_for_context_are_at_the_end(rebuilt: Rebuilt) -> None:
    with Dataset(rebuilt.path) as data:
        start = np.array([0, BIN, 8_960, 8_980])
        places = Places(np.zeros(4, np.int64), start, start + BIN, np.ones(4, bool))
        published, nothing = unlike_any(4), unlike_any(0)
        reasons = why_not_rebuilt(np.arange(4), published, places, data, Rules.of(data), {}, nothing, NONE, None)
    assert reasons == [AT_END, NO_TFBS, NO_TFBS, AT_END]


NONE = np.zeros(0, np.int64)


def unlike_any(count: int) -> Windows:
    """Windows without labels, of sequences that are nowhere else."""
    keys = np.arange(count, dtype=np.uint64)
    return Windows(
        np.arange(count), keys, keys + np.uint64(99), np.zeros(count, np.int64), np.zeros(count + 1, np.int64), NONE
    )


def bound(count: int) -> Windows:
    """As those, with the first marker as a label."""
    return replace(unlike_any(count), offsets=np.arange(count + 1), marker=np.zeros(count, np.int32))


def test_windows_beyond_those_looked_up_are_called_so(rebuilt: Rebuilt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dilannot.data.verify.absence.MOST_CHECKED", 3)
    start = np.arange(6) * BIN + 400
    places = Places(np.zeros(6, np.int64), start, start + BIN, np.ones(6, bool))
    windows = bound(6)
    windows.unknown[1] = LENGTH
    with Dataset(rebuilt.path) as data:
        asked: list[int] = []

        def overlap(marker: int, contig: str, start: int) -> float:
            asked.append(start)
            return 0.1 if start == 400 else 0.9

        missing = why_not_rebuilt(np.arange(6), windows, places, data, Rules.of(data), {}, unlike_any(0), NONE, overlap)
        assert missing == [NOT_HELD, TOO_MANY_N, UNTOLD, UNTOLD, NOT_LOOKED_UP, NOT_LOOKED_UP]
        assert asked == [400, 440, 460], "what has another reason is not looked up"
        unread = np.array([4])
        extra = why_not_published(np.arange(6), windows, data, Rules.of(data), {}, unread, lambda *_: 0.5)
        assert extra == [ONLY_HALF] * 3 + [NOT_LOOKED_UP, NOT_READ, NOT_LOOKED_UP]


@pytest.mark.parametrize(("fraction", "most"), [(0.29, 29), (0.57, 57), (0.1, 10)])
def test_limits_are_exact(rebuilt: Rebuilt, tmp_path: Path, fraction: float, most: int) -> None:
    """0.29 of 100 bases are 29: in floating point it is less."""
    built = build(tmp_path, context=40, max_n=fraction, max_excluded=fraction)
    windows = unlike_any(2)
    windows.unknown[:] = most, most + 1
    nowhere = Places(np.full(2, -1), windows.row, windows.row, np.zeros(2, bool))
    with Dataset(built.path) as data:
        rules = Rules.of(data)
        assert (rules.most_n, rules.most_excluded) == (most, most)
        reasons = why_not_rebuilt(np.arange(2), windows, nowhere, data, rules, {}, unlike_any(0), NONE, None)
    assert [reason == TOO_MANY_N for reason in reasons] == [False, True]


def test_windows_at_the_same_place_beyond_those_read_are_called_so(
    rebuilt: Rebuilt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dilannot.data.verify.verify.MOST_READ", 2)
    splits = rebuilt.published()
    codes = splits["train"][0]
    for row in (20, 21, 40, 60):
        codes[row, 3] = codes[row, 3] % 4 + 1
    result = compare(rebuilt, tmp_path, splits, peaks=True)
    train = split_of(result, "train")
    assert (train.other_sequence, train.only_published, train.only_rebuilt) == (2, 2, 2)
    assert train.reasons == {"only_published": {NOT_READ: 2}, "only_rebuilt": {NOT_READ: 2}}
    assert "only the first 1,000 are" in text(result)


def test_every_window_is_counted_once(rebuilt: Rebuilt, tmp_path: Path) -> None:
    """Also where the rebuilt window at the same place is published in another row."""
    splits = rebuilt.published()
    codes, labels = splits["train"]
    insert(splits, "train", 50, codes[12], labels[12])
    codes = splits["train"][0]
    codes[12, 3] = codes[12, 3] % 4 + 1
    train = split_of(compare(rebuilt, tmp_path, splits), "train")
    assert (train.equal, train.only_published, train.other_sequence) == (train.rebuilt, 1, 0)
    same = train.equal + train.other_labels + train.other_sequence
    assert same + train.only_published == train.windows
    assert same + train.only_rebuilt == train.rebuilt


def test_another_genome_is_said_first(rebuilt: Rebuilt, tmp_path: Path) -> None:
    splits = {
        name: (np.random.default_rng(8).integers(1, 5, codes.shape).astype(np.uint8), labels)
        for name, (codes, labels) in rebuilt.published().items()
    }
    lines = report_lines(compare(rebuilt, tmp_path, splits))
    assert lines[0] == "nothing matches: is this the same genome and the same bin size?"
    absent = [line for line in lines if NO_NEIGHBOUR in line and not line.startswith(" ")]
    assert len(absent) == 1, "an equal reason stands once"
    assert re.match(r"\d+ only published \(\d+ train, \d+ validation, \d+ test\): no matched window", absent[0])
    assert lines.count(f"  {NO_NEIGHBOUR}:") == 3
    assert any(re.match(r"    chr1:\d", line) for line in lines)
    elsewhere = rebuilt.published()
    elsewhere["train"], elsewhere["test"] = elsewhere["test"], elsewhere["train"]
    del elsewhere["valid"]
    (tmp_path / "other").mkdir()
    assert "matches" not in report_lines(compare(rebuilt, tmp_path / "other", elsewhere))[0]


def test_columns_of_the_report_line_up() -> None:
    table = list(aligned([("split", "rows"), ("validation", "8,000"), ("test", "1")], [1]))
    assert table == ["split        rows", "validation  8,000", "test            1"]
    one = SplitComparison("train", 10, 5, 5, equal=4)
    lines = report_lines(Comparison("d.h5", "p", "AGCT", 919, 919, [], 0.5, [one]))
    assert not any("\t" in line for line in lines)
    head, row = lines[1:3]
    assert head.index("rows published") + len("rows published") == row.index(" 10 ") + 3


def test_a_sequence_that_differs_at_its_place(rebuilt: Rebuilt, tmp_path: Path) -> None:
    splits = rebuilt.published()
    codes = splits["train"][0]
    codes[20, [3, 9]] = codes[20, [3, 9]] % 4 + 1
    result = compare(rebuilt, tmp_path, splits)
    train = split_of(result, "train")
    assert (train.other_sequence, train.only_published, train.only_rebuilt) == (1, 0, 0)
    assert train.first["sequence"][0].row == 20
    assert train.first["sequence"][0].detail == "2 of its bases differ"


def test_windows_that_only_are_rebuilt(rebuilt: Rebuilt, tmp_path: Path) -> None:
    splits = rebuilt.published()
    codes, labels = splits["train"]
    splits["train"] = (np.delete(codes, 30, 0), np.delete(labels, 30, 0))
    result = compare(rebuilt, tmp_path, splits)
    train = split_of(result, "train")
    assert (train.only_published, train.only_rebuilt) == (0, 1)
    assert train.reasons["only_rebuilt"] == {NOT_PUBLISHED: 1}
    with Dataset(rebuilt.path) as data:
        row = data.rows("train")[30]
        assert train.first["only_rebuilt"][0].place == f"chr1:{data.start[row] + 1}-{data.start[row] + BIN}"


def test_labels_on_exactly_half_a_bin(rebuilt: Rebuilt, tmp_path: Path) -> None:
    """Selene's rule keeps them, the published one does not."""
    least = build(tmp_path / "least", overlap="least")
    result = compare(least, tmp_path, rebuilt.published(), peaks=True)
    train = split_of(result, "train")
    assert train.reasons["only_rebuilt"].get(ONLY_HALF, 0) == train.only_rebuilt >= 1
    checked, half = sum(each.checked for each in result.markers), sum(each.at_half for each in result.markers)
    assert checked == half > 0
    assert (
        f"{half} of {checked} differences have an overlap of exactly 50 %: published rule is 'more than 50 %'"
        in text(result)
    )


def test_a_part_of_the_genome_finds_its_windows(tmp_path: Path) -> None:
    everything = build(tmp_path / "all").published()
    some = build(tmp_path / "some", chroms=("chr20", "chr7", "chr8"))
    train = split_of(compare(some, tmp_path, everything, strands=2), "train")
    assert train.equal == train.rebuilt > 0
    assert train.reasons["only_published"] == {NO_NEIGHBOUR: train.windows - train.rebuilt}


def test_same_sequence_twice_goes_with_its_labels(tmp_path: Path) -> None:
    """Repeats published in another order are no differences while their labels tell them apart."""

    def windows(keys: list[int], labels: list[int]) -> Windows:
        ends = np.arange(len(keys) + 1)
        array = np.array(keys, np.uint64)
        return Windows(np.arange(len(keys)), array, array + np.uint64(100), ends[:-1] * 0, ends, np.array(labels))

    pairs = pair_windows(windows([7, 7, 7, 8], [0, 1, 2, 0]), windows([7, 8, 7, 7], [1, 0, 0, 3]), 4)
    assert pairs.partner.tolist() == [2, 0, 3, 1]
    assert pairs.equal.tolist() == [True, True, False, True]


def test_the_import_of_the_export_agrees(rebuilt: Rebuilt, tmp_path: Path) -> None:
    write_deepsea(tmp_path / "published", rebuilt.published())
    import_dataset([tmp_path / "published"], tmp_path / "d.h5", bin=BIN)
    with Dataset(tmp_path / "d.h5") as data, Dataset(rebuilt.path) as other:
        assert verify(data, tmp_path / "published").agrees
        columns = np.array([COLUMN[marker.name] for marker in other.markers])
        for split in PREFIX:
            for ours, theirs in zip(data.batches(split, 16), other.batches(split, 16), strict=True):
                assert (ours.inputs["sequence"] == theirs.inputs["sequence"]).all()
                assert (ours.mask == theirs.mask).all()
                left = np.stack([ours.targets.window.numpy(), ours.targets.marker.numpy()])
                right = np.stack([theirs.targets.window.numpy(), columns[theirs.targets.marker.numpy()]])
                assert sorted(map(tuple, left.T.tolist())) == sorted(map(tuple, right.T.tolist()))


def test_what_cannot_be_compared(rebuilt: Rebuilt, dataset: Path, tmp_path: Path) -> None:
    with Dataset(dataset) as dense, pytest.raises(DilannotError, match="is dense; DeepSEA published bins"):
        verify(dense, tmp_path)
    with Dataset(rebuilt.path) as data, pytest.raises(DilannotError, match="holds no train.mat"):
        verify(data, tmp_path)
    codes, labels = rebuilt.published()["test"]
    with pytest.raises(DilannotError, match="has windows of 59 bp, the dataset of 60"):
        compare(rebuilt, tmp_path, {"test": (codes[:, 1:], labels)})


def test_the_option(rebuilt: Rebuilt, tmp_path: Path, cli: Cli) -> None:
    with Dataset(rebuilt.path) as data:
        columns = [COLUMN[marker.name] for marker in data.markers]
    splits = {name: (codes, labels[:, columns]) for name, (codes, labels) in rebuilt.published().items()}
    write_deepsea(tmp_path / "published", splits)
    command = [
        "build-data", rebuilt.folder / "g.fa", rebuilt.peaks, "-o", tmp_path / "d.h5", "--task", "window", "--bin", BIN,
        "--context", CONTEXT, "--split", "chromosomes", "--verify", tmp_path / "published", "--force",
    ]  # fmt: skip
    same = cli(*command)
    assert same.code == 0, same.err
    assert "everything agrees" in same.out
    splits["valid"][1][0] ^= True
    write_deepsea(tmp_path / "published", splits)
    other = cli(*command)
    assert other.code == 1
    assert re.search(r"^validation +192 ", other.out, re.M)
    assert "other labels" in other.out
    dense = cli("build-data", rebuilt.folder / "g.fa", rebuilt.peaks, "-o", tmp_path / "e.h5", "--verify", tmp_path)
    assert (dense.code, "use --task window" in dense.err) == (2, True)
    missing = cli(*command[:-3], "--verify", tmp_path / "nothing", "--force")
    assert (missing.code, "file not found" in missing.err) == (1, True)
    (tmp_path / "d.h5").unlink()
    longer = cli(*command, "--context", 30)
    assert (longer.code, "has windows of 60 bp, the dataset of 80; build with other" in longer.err) == (1, True)
    assert not (tmp_path / "d.h5").exists(), "it was built before the windows' length was looked at"


def test_the_command(rebuilt: Rebuilt, tmp_path: Path, cli: Cli) -> None:
    with Dataset(rebuilt.path) as data:
        columns = [COLUMN[marker.name] for marker in data.markers]
    splits = {name: (codes, labels[:, columns]) for name, (codes, labels) in rebuilt.published().items()}
    published = write_deepsea(tmp_path / "published", splits)
    same = cli("verify", rebuilt.path, published)
    assert (same.code, "everything agrees" in same.out) == (0, True), same.err
    splits["valid"][1][0] ^= True
    write_deepsea(published, splits)
    other = cli("verify", rebuilt.path, published, "--json")
    assert other.code == 1
    record = json.loads(other.out)
    assert (record["agrees"], record["splits"][1]["other_labels"]) == (False, 1)
    assert record["markers"][0]["checked"] == 0
    looked_up = cli("verify", rebuilt.path, published, "--peaks", rebuilt.peaks, "--json")
    assert json.loads(looked_up.out)["markers"][0]["checked"] == 1
    some = cli("verify", rebuilt.path, published, "--peaks", next(iter(rebuilt.peaks.iterdir())))
    assert (some.code, "--peaks: no peak file" in some.err) == (1, True)


def test_peaks_are_found_by_name(tmp_path: Path) -> None:
    marker = replace(TFBS[0], file="a.bed")
    assert files_of([marker], [tmp_path / "b.bed", tmp_path / "a.bed"]) == [tmp_path / "a.bed"]
    with pytest.raises(DilannotError, match=r"--peaks: two files are called 'a\.bed'"):
        files_of([marker], [tmp_path / "a.bed", tmp_path / "c" / "a.bed"])
