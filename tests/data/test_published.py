"""DeepSEA's 919 markers: complete, in order, found by file name and by filter."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dilannot.data.markers import Marker, check_markers, class_order, stem
from dilannot.data.published import published_markers, recognise, select
from dilannot.errors import DilannotError

ALL = published_markers()
MARKERS = [published.marker for published in ALL]


def test_the_table_is_deepseas() -> None:
    assert [published.index for published in ALL] == list(range(919))
    assert [marker.marker_class for marker in MARKERS] == ["DNase"] * 125 + ["TFBS"] * 690 + ["histone"] * 104
    assert class_order(marker.marker_class for marker in MARKERS) == ["TFBS", "histone", "DNase"]
    assert MARKERS[0].row() == (
        "8988T|DNase|None", "DNase", "8988T", "DNase", "None", "wgEncodeAwgDnaseDuke8988tUniPk.narrowPeak.gz"
    )  # fmt: skip
    assert MARKERS[918].name == "Osteoblasts|H3K9me3|None"
    assert (ALL[918].roc_auc, ALL[918].pr_auc) == (0.807281, 0.103371)


def test_names_are_unique_and_repeated_ones_numbered() -> None:
    check_markers(MARKERS, Path("published"))
    assert len({marker.name.lower() for marker in MARKERS}) == 919
    repeated = Counter(marker.name.rpartition(".")[0] for marker in MARKERS if marker.name[-2:-1] == ".")
    repeated = Counter({name: count for name, count in repeated.items() if name.count("|") == 2})
    assert (len(repeated), sum(repeated.values())) == (54, 75)
    assert [marker.name for marker in MARKERS if marker.name.startswith("K562|CTCF|None")] == [
        "K562|CTCF|None", *(f"K562|CTCF|None.{number}" for number in (2, 3, 4, 5))
    ]  # fmt: skip


def test_every_row_is_whole() -> None:
    assert len({marker.file for marker in MARKERS}) == len({published.url for published in ALL}) == 919
    for published in ALL:
        assert all(published.marker.row())
        assert all(value == value.strip() and value.isascii() for value in published.marker.row())
        assert published.url.endswith(f"/{published.marker.file}")
    assert [each.index for each in ALL if each.roc_auc is None or each.pr_auc is None] == [598]  # no test peaks
    assert all(0 < each.pr_auc < each.roc_auc < 1 for each in ALL if each.roc_auc and each.pr_auc)


def test_recognise() -> None:
    name = "wgEncodeAwgTfbsBroadGm12878CtcfUniPk.narrowPeak"
    files = [Path("b", f"{name}.gz"), Path(name), Path(f"{name}.bgz"), Path("other.bed"), Path(f"{name.lower()}.gz")]
    found = recognise(files)
    assert list(found) == files[:3]
    assert {published.marker.name for published in found.values()} == {"GM12878|CTCF|None"}
    assert recognise([Path(f"{stem(name)}.bed.gz")]) == {}
    assert recognise([]) == {}


def names(**filters: list[str]) -> list[str]:
    return [marker.name for marker in select(MARKERS, **filters)]  # type: ignore[arg-type]


def test_select() -> None:
    assert select(MARKERS) == MARKERS
    assert len(names(classes=["HISTONE"])) == 104
    assert len(names(classes=["histone", "dnase"])) == 229
    assert names(cells=["gm12878"], targets=["ctcf"], names=["*none.?"]) == [
        "GM12878|CTCF|None.2", "GM12878|CTCF|None.3", "GM12878|CTCF|None.4"
    ]  # fmt: skip
    assert names(targets=["Pol2(phosphoS2)"], cells=["K562"])[0] == "K562|Pol2(phosphoS2)|None"
    assert {marker.treatment for marker in select(MARKERS, treatments=["EtOH*"])} == {
        "EtOH_0.02pct", "EtOH_0.01pct", "EtOH_0.01pct_4hr", "EtOH_0.01pct_12hr"
    }  # fmt: skip
    assert select([Marker("a[1]", "TFBS"), Marker("a1", "TFBS")], names=["a[1]"]) == [
        Marker("a[1]", "TFBS"), Marker("a1", "TFBS")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"cells": ["K563"]}, r"K563: no marker has this cell \(did you mean .*'K562'"),
        ({"classes": ["TFBS", "histones"]}, r"histones: no marker has this class \(did you mean 'histone'"),
        ({"targets": ["h3k4me9*"]}, r"this target \(did you mean 'H3K4me"),
        ({"treatments": [""]}, r"'': no marker has this treatment"),
        (
            {"cells": ["Osteoblasts"], "classes": ["DNase", "TFBS"], "targets": ["CTCF"]},
            "no marker fits all of: class 'DNase' or",
        ),
    ],
)
def test_filters_that_find_nothing(filters: dict[str, list[str]], message: str) -> None:
    with pytest.raises(DilannotError, match=message):
        names(**filters)
