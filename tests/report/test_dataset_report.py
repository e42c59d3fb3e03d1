"""The report on a dataset says what the dataset holds, raises what it must, and needs nothing but itself."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import Cli
from parsed_pages import HOSTILE, Parsed

from dilannot.data import schema
from dilannot.data.markers import FIELDS, Marker
from dilannot.errors import DilannotError
from dilannot.report import page, plots, text
from dilannot.report.content import NUMBERS, Column, Table, shown
from dilannot.report.dataset import dataset_report, write_dataset_report
from dilannot.report.dataset_concerns import find_concerns
from dilannot.report.dataset_facts import DatasetFacts, read_facts
from dilannot.report.dataset_windows import full_height, split_shares


@pytest.fixture(scope="module")
def facts(dataset: Path) -> DatasetFacts:
    return read_facts(dataset)


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


def sound(facts: DatasetFacts) -> DatasetFacts:
    """The same dataset as a careful colleague would like it."""
    markers = 12
    return replace(
        facts,
        unit=25_000,
        record={"settings": {"split": "blocks"}, "windows_dropped": {"n": 10, "border": 5}},
        split=np.repeat(np.arange(3, dtype=np.uint8), (800, 100, 100)),
        contig=np.zeros(1000, np.int64),
        start=np.arange(1000) * 25_000,
        contig_lengths=np.array([26_000_000, 10, 10]),
        markers=[Marker(f"marker {i}", ("TFBS", "histone")[i % 2], file=f"{i}.bed") for i in range(markers)],
        sha256=[f"{i:064x}" for i in range(markers)],
        positives=np.tile([80_000, 10_000, 11_000], (markers, 1)),
        counts={name: np.full(markers, 500) for name in facts.counts},
    )


def test_numbers_are_those_of_the_dataset(dataset: Path, tmp_path: Path) -> None:
    write_dataset_report(dataset, tmp_path / "report.html")
    parsed = Parsed((tmp_path / "report.html").read_text())
    with h5py.File(dataset) as file:
        windows = np.bincount(file["windows/split"][:], minlength=3).tolist()
        columns = {title: file[f"markers/{name}"][:].tolist() for title, name in (
            ("peaks read", "peaks_read"), ("merged", "peaks_merged"), ("used", "peaks_used"),
            ("bases covered", "bases_covered"),
        )}  # fmt: skip
        positives = file["markers/positives"][:]
        names = schema.texts(file["markers/name"][:])
        record = schema.provenance(file)
    rows = parsed.table("name", "class")
    assert [row["name"] for row in rows] == names
    for title, values in columns.items():
        assert [number(row[title]) for row in rows] == values
    for index, split in enumerate(("train", "validation", "test")):
        assert [number(row[split]) for row in rows] == positives[:, index].tolist()
    assert [row["base rate"] for row in rows] == [
        f"{100 * total / (500 * sum(windows)):.3f} %" for total in positives.sum(axis=1)
    ]
    kept = parsed.table("windows", "count")
    assert [number(row["count"]) for row in kept[:3]] == windows
    assert number(kept[-1]["count"]) == sum(windows) + sum(
        record["windows_dropped"][key] for key in ("n", "excluded", "border")
    )
    drawn = parsed.table("contig", "", "length, bp")
    assert {row["contig"]: number(row["windows"]) for row in drawn} == {
        name: int((np.array(read_facts(dataset).contig) == i).sum()) for i, name in enumerate(("chr1", "chr2", "chrM"))
    }
    assert f"{record['intervals']:,}" in parsed.text
    assert "1 contig not drawn" not in parsed.text  # chrM is longer than 1 % of chr1
    assert {row["file"] for row in parsed.table("file", "SHA-256 of the file")} == {
        f"{name}.narrowPeak" for name in names
    }


def test_the_same_dataset_gives_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    for suffix in ("html", "txt", "md"):
        first, second = tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"
        write_dataset_report(dataset, first)
        write_dataset_report(dataset, second)
        assert first.read_bytes() == second.read_bytes()


def test_user_settings_of_matplotlib_change_nothing(facts: DatasetFacts) -> None:
    import matplotlib

    before = page.render(dataset_report(facts))
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "figure.dpi": 10}):
        assert page.render(dataset_report(facts)) == before
        assert matplotlib.rcParams["font.size"] == 30


def test_a_page_needs_nothing_but_itself(facts: DatasetFacts) -> None:
    found = page.render(dataset_report(facts))
    parsed = Parsed(found)
    assert not re.search(r"https?://|\bsrc=|@import|url\((?!#)", found)
    assert {value[0] for name, value in parsed.attributes if name in ("href", "xlink:href")} == {"#"}
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    ids = [value for name, value in parsed.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    policy = found.split('Content-Security-Policy" content="')[1]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert parsed.tags.count("svg") >= 4
    assert parsed.tags.count("script") == 1
    assert all(value for name, value in parsed.attributes if name == "aria-label")


def test_hostile_names_are_text(facts: DatasetFacts) -> None:
    hostile = replace(
        facts,
        name=f"{HOSTILE}.h5",
        markers=[Marker(f"{HOSTILE}{i}", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE) for i in range(3)],
        contig_names=[HOSTILE, "b\x1b[31m", "c"],
        positives=np.zeros_like(facts.positives),
        record={
            "command": HOSTILE, "genome": HOSTILE, "exclude": [HOSTILE], "settings": {HOSTILE: [HOSTILE]},
            "windows_dropped": {HOSTILE: 5}, "peaks_on_unknown_contigs": {HOSTILE: 900},
            "files_left_out": [HOSTILE], "markers_left_out": {HOSTILE: 3}, "excluded_contigs_unknown": [HOSTILE],
        },
    )  # fmt: skip
    found = page.render(dataset_report(hostile))
    parsed = Parsed(found)
    assert parsed.tags.count("script") == 1
    assert [row["name"] for row in parsed.table("name", "class")] == [f"{HOSTILE}{i}" for i in range(3)]
    assert "\x1b" not in found
    assert "\x1b" not in text.render(dataset_report(hostile))


def test_text_and_page_agree(facts: DatasetFacts) -> None:
    report = dataset_report(facts)
    parsed, plain = Parsed(page.render(report)), text.render(report)
    flat = " ".join(plain.split())
    for table in parsed.tables:
        for row in table:
            shown_cells = [cell for cell in row if cell and len(cell) < 60]
            assert " ".join(" ".join(shown_cells).split()) in flat
    for concern in report.concerns:
        assert concern.what in flat
        assert concern.what in parsed.text
    for fact in report.facts:
        assert fact.value in plain
    assert plain.count("\n") < 200
    assert plain.index("All markers") > plain.index("How it was made")


def test_markdown_keeps_columns_in_code(facts: DatasetFacts) -> None:
    written = text.render(dataset_report(facts), markdown=True)
    assert written.count("```") % 2 == 0
    assert next(line for line in written.splitlines() if line.startswith("## ")) == "## Dataset report"


def test_nothing_to_worry_about(facts: DatasetFacts) -> None:
    report = dataset_report(sound(facts))
    assert report.concerns == []
    assert "Nothing to worry about" in page.render(report)
    assert "Nothing to worry about" in text.render(report)


def changed(facts: DatasetFacts, **record: Any) -> DatasetFacts:
    return replace(facts, record={**facts.record, **record})


def with_counts(facts: DatasetFacts, name: str, value: int) -> DatasetFacts:
    values = facts.counts[name].copy()
    values[0] = value
    return replace(facts, counts={**facts.counts, name: values})


def with_positives(facts: DatasetFacts, *row: int) -> DatasetFacts:
    positives = facts.positives.copy()
    positives[0] = row
    return replace(facts, positives=positives)


@pytest.mark.parametrize(
    ("change", "concern"),
    [
        (lambda f: changed(f, peaks_on_unknown_contigs={"chrUn": 600}), "10.0 % of all peaks lie on contigs"),
        (
            lambda f: changed(f, windows_dropped={"n": 900, "other_contigs": 9_000}),
            "47.4 % of the windows were dropped",
        ),
        (lambda f: replace(f, split=np.repeat(np.arange(3, dtype=np.uint8), (600, 100, 300))), "far from 80 / 10 / 10"),
        (
            lambda f: replace(f, unit=2_000, positives=f.positives // 100),
            "less than 1,000,000 bases for validation and test",
        ),
        (lambda f: changed(f, settings={"split": "windows"}), "Neighbouring windows are in different splits"),
        (lambda f: with_positives(with_counts(f, "peaks_read", 0), 0, 0, 0), "1 marker without any peak"),
        (lambda f: with_positives(f, 0, 0, 0), "1 marker with peaks, but none in a window that is kept"),
        (lambda f: with_positives(f, 80_000, 10_000, 0), "1 marker without positives in test"),
        (lambda f: with_counts(f, "peaks_used", 7), "1 marker with fewer than 50 peaks"),
        (lambda f: with_positives(f, 80_000, 10_000, 90_000), "differ more than 5 times"),
        (lambda f: with_positives(f, 80_000, 10_000, 1_000), "differ more than 5 times"),
        (lambda f: with_positives(f, 15_000_000, 1_900_000, 1_900_000), "positive in more than half of all bases"),
        (lambda f: replace(f, sha256=[f.sha256[1], *f.sha256[1:]]), "2 markers share their peak file"),
        (lambda f: replace(f, markers=[Marker("x", "unknown"), *f.markers[1:]]), "1 marker of unknown class"),
        (lambda f: changed(f, excluded_contigs_unknown=["chrQ"]), "excluded regions dropped no window"),
    ],
)
def test_concerns(facts: DatasetFacts, change: Any, concern: str) -> None:
    found = find_concerns(change(sound(facts)))
    assert len(found) == 1, found
    assert concern in found[0].what


@pytest.mark.parametrize(
    "record",
    [
        {"peaks_on_unknown_contigs": {"chrUn": 50}},
        {"windows_dropped": {"no_tfbs": 90_000, "other_contigs": 9_000, "border": 900, "tail_bases": 10**9}},
        {"windows_dropped": {"n": 900, "no_tfbs": 90_000}},
        {"settings": None, "windows_dropped": None, "files_left_out": None},
        {"excluded_contigs_unknown": ["chrQ"], "windows_dropped": {"excluded": 1}},
    ],
)
def test_what_is_no_concern(facts: DatasetFacts, record: dict[str, Any]) -> None:
    report = dataset_report(changed(sound(facts), **record))
    assert report.concerns == []
    page.render(report)


def test_empty_files_are_no_duplicates(facts: DatasetFacts) -> None:
    good = sound(facts)
    peaks = good.counts["peaks_read"].copy()
    peaks[:2] = 0
    found = find_concerns(
        replace(good, sha256=[good.sha256[0]] * 2 + good.sha256[2:], counts={**good.counts, "peaks_read": peaks})
    )
    assert [concern.what for concern in found] == ["2 markers without any peak"]


def test_a_window_dataset_counts_bins(facts: DatasetFacts) -> None:
    bins = replace(sound(facts), task="window", unit=200, positives=np.tile([80, 10, 10], (12, 1)))
    bins = changed(bins, settings={"task": "window", "bin": 200, "context": 400})
    parsed = Parsed(page.render(dataset_report(bins)))
    assert {row["base rate"] for row in parsed.table("name", "class")} == {"10.000 %"}
    assert "Positive bins in each split" in parsed.text
    assert "400 bp on either side" in parsed.text
    assert [concern.what for concern in find_concerns(bins)] == [
        "Little data to judge by: less than 1,000 bins for validation and test"
    ]


def test_shares_of_the_map_are_exact(facts: DatasetFacts) -> None:
    shares = split_shares(facts, 0, 7)
    length = int(facts.contig_lengths[0])
    expected = np.zeros((length, 3))
    for start, contig, code in zip(facts.start, facts.contig, facts.split, strict=True):
        if contig == 0:
            expected[start : start + facts.unit, code] = 1
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(expected, axis=0)])
    edges = np.linspace(0, length, 8)
    per_column = [np.diff(np.interp(edges, np.arange(length + 1), sums[:, code])) for code in range(3)]
    np.testing.assert_allclose(shares, np.stack(per_column, axis=1) / np.diff(edges)[:, None], atol=1e-9)


def test_sparse_windows_are_drawn_to_a_scale_of_their_own() -> None:
    assert full_height(np.full(100, 0.9)) == 1
    assert full_height(np.concatenate([np.zeros(50), np.full(50, 0.08)])) == 0.08
    assert full_height(np.zeros(3)) == 1


def test_bands_draw_runs_not_columns() -> None:
    shares = np.zeros((900, 2))
    shares[:400, 0], shares[400:700, 1] = 1, 1
    assert [d.count("M") for d in re.findall(r' d="([^"]*)"', plots.bands(shares, ["train", "test"], 1))] == [1, 1]


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (1234567, "count", "1,234,567"), (None, "count", "–"), (float("nan"), "ratio", "–"), (0.0, "rate", "0.000 %"),
        (1e-9, "rate", "<0.001 %"), (0.12345, "share", "12.3 %"), (1.5, "ratio", "1.50×"), ("a", "text", "a"),
    ],
)  # fmt: skip
def test_values_are_shown(value: Any, kind: Any, expected: str) -> None:
    assert shown(value, kind) == expected


def test_text_columns_line_up() -> None:
    lines = list(text.aligned(Table([Column("name"), Column("n", NUMBERS[0])], [["a", 5], ["long", 1234]])))
    assert lines == ["name      n", "a         5", "long  1,234"]


def test_bars_are_logarithmic_and_never_longer_than_their_cell() -> None:
    table = Table([Column("n", "count", bar="train")], [[0], [1], [100], [10_000]])
    assert page.bars(table) == [[0, 7, 53, 100]]
    assert page.bars(Table([Column("n", "count", bar="train")], [[0]])) == [[0]]


@pytest.mark.parametrize("name", ["report", "report.pdf"])
def test_other_suffixes_are_refused(dataset: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(DilannotError, match="suffix"):
        write_dataset_report(dataset, tmp_path / name)
    assert not list(tmp_path.iterdir())


def write_synthetic(path: Path, n_markers: int, n_windows: int, window: int) -> None:
    """A dataset by the letter of the schema: split at random, so that the map has no long runs."""
    random = np.random.default_rng(0)
    contigs = 24
    packed = n_windows * window // 4
    sizes = {
        "contigs": contigs, "windows": n_windows, "markers": n_markers, "splits": 3, "one": 1, "intervals": 50_000,
        "packed": packed, "blocks": -(-packed // schema.CHECKED_BLOCK), "n_runs": 5,
    }  # fmt: skip
    per_contig = -(-n_windows // contigs)
    row = np.arange(n_windows)
    values: dict[str, Any] = {
        "contigs/name": schema.as_bytes([f"chr{i + 1}" for i in range(contigs)]),
        "contigs/length": np.full(contigs, per_contig * window),
        "windows/contig": row // per_contig,
        "windows/start": row % per_contig * window,
        "windows/split": random.choice(3, n_windows, p=[0.8, 0.1, 0.1]).astype(np.uint8),
        "markers/positives": random.lognormal(10, 2, (n_markers, 3)).astype(np.int64),
        "markers/sha256": schema.as_bytes([f"{i:064x}" for i in range(n_markers)]),
        "provenance": schema.as_bytes(
            [json.dumps({"genome": "genome.fa", "settings": {"task": "dense"}, "windows_dropped": {"n": 9_000}})]
        ),
    }
    for field in FIELDS:
        values[f"markers/{field}"] = schema.as_bytes(
            [f"wgEncodeAwgTfbsSomething{i}UniPk.narrowPeak.gz" for i in range(n_markers)]
        )
    values["markers/class"] = schema.as_bytes([("TFBS", "histone", "DNase")[i % 3] for i in range(n_markers)])
    with h5py.File(path, "w") as file:
        for name, (kinds, dimensions) in schema.FIELD_SHAPES.items():
            shape = [sizes[part.partition("+")[0]] + part.endswith("+1") for part in dimensions]
            dtype = "S32" if "S" in kinds else np.int64 if "i" in kinds else np.uint8
            data = values.get(name, np.ones(shape, dtype))
            file.create_dataset(name, data=data, compression="gzip" if data.size > 10**5 else None)
        file.attrs.update(
            format=schema.FORMAT, format_version=schema.FORMAT_VERSION, task="dense", window=window, complete=1
        )
        file.attrs["context"] = 0


def test_a_genome_and_all_markers_of_deepsea(tmp_path: Path) -> None:
    write_synthetic(tmp_path / "large.h5", 919, 94_000, 400)
    began = time.perf_counter()
    write_dataset_report(tmp_path / "large.h5", tmp_path / "report.html")
    assert time.perf_counter() - began < 15  # 1.5 s here
    found = (tmp_path / "report.html").read_text()
    assert len(found) < 3_000_000
    assert len(Parsed(found).table("name", "class")) == 919


def test_an_existing_dataset_can_be_reported(cli: Cli, dataset: Path, tmp_path: Path) -> None:
    assert cli("info", dataset, "--report", tmp_path / "r.txt").code == 0
    write_dataset_report(dataset, tmp_path / "again.txt")
    assert (tmp_path / "r.txt").read_bytes() == (tmp_path / "again.txt").read_bytes()
    assert cli("info", dataset, "--report", tmp_path / "r.txt").code == 1
