from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Inputs, make_run
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from dilannot.data.build import build_dataset
from dilannot.data.dataset import Dataset
from dilannot.data.settings import BuildSettings
from dilannot.data.splits import SPLITS
from dilannot.errors import DilannotError
from dilannot.evaluate.evaluate import check_same_positions, evaluate
from dilannot.evaluate.protocol import Protocol, check_thresholds
from dilannot.evaluate.written import as_json, check_files, write_evaluation
from dilannot.evaluation import Evaluation
from dilannot.formats.indexed_fasta import Genome
from dilannot.predict import predicting
from dilannot.progress import Silent
from dilannot.run import load_network, read_run
from dilannot.training.settings import Settings
from dilannot.training.train import train

CONTIGS = ("chr1", "chr2", "chrM")


class Listener(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def run(inputs: Inputs, dataset: Path, tmp_path: Path) -> Path:
    """A toy network over the dataset's own markers."""
    return toy(inputs, dataset, tmp_path / "run", "toy-around", before=30, after=41, stride=4)


def toy(inputs: Inputs, dataset: Path, folder: Path, model: str, **arguments: object) -> Path:
    with Dataset(dataset) as data:
        return make_run(folder, inputs.genome, model, markers=data.markers, **arguments)


@pytest.fixture(scope="module")
def bins(inputs: Inputs) -> Path:
    """Bins of 200 bp in 500 bp, those with a TFBS label."""
    path = inputs.folder / "bins.h5"
    build_dataset(
        inputs.genome, [inputs.peak_folder], path, BuildSettings(task="window", bin=200, context=150, split="blocks")
    )
    return path


Truth = dict[str, np.ndarray]  # contig -> (T, length)


@pytest.fixture(scope="module")
def labels(inputs: Inputs, dataset: Path) -> Truth:
    """Of every base, painted peak by peak."""
    found = {name: np.zeros((3, len(sequence)), bool) for name, sequence in inputs.contigs.items()}
    with Dataset(dataset) as data:
        for marker, each in enumerate(data.markers):
            for contig, start, end in inputs.peaks[each.file.split(".")[0]]:
                found[contig][marker, start:end] = True
    return found


def codes_of(inputs: Inputs) -> dict[str, np.ndarray]:
    genome = Genome(inputs.genome)
    return {name: genome.fetch(name, 0, genome.contigs[name].length) for name in CONTIGS}


def other_strand(codes: np.ndarray) -> np.ndarray:
    back = codes[..., ::-1]
    return np.where(back == 0, back, 5 - back)


def predict(run: Path, codes: np.ndarray, rc: bool) -> np.ndarray:
    """(N, L) codes -> (N, T, L or 1) probabilities, plainly."""
    network = load_network(read_run(run)).network
    with predicting(network):
        forward = network(torch.from_numpy(np.ascontiguousarray(codes))).sigmoid().double().numpy()
        if not rc:
            return forward
        padded = np.pad(codes, ((0, 0), (0, -codes.shape[1] % 4)))
        behind = network(torch.from_numpy(np.ascontiguousarray(other_strand(padded)))).sigmoid().double().numpy()
        return (forward + behind[:, :, ::-1][:, :, : forward.shape[2]]) / 2


def check(result: Evaluation, scores: np.ndarray, truth: np.ndarray) -> None:
    """Against scikit-learn on what is not rounded; (T, positions) probabilities and labels."""
    assert result.scores.positions == scores.shape[1]
    assert result.scores.positives.tolist() == truth.sum(axis=1).tolist()
    checked = 0
    for marker in np.flatnonzero(result.scores.defined):
        # Ten digits are left of what equal scores are the same in; eleven bits decide about others.
        pair = truth[marker], np.round(scores[marker], 10)
        assert result.scores.roc_auc[marker] == pytest.approx(roc_auc_score(*pair), abs=5e-4)
        assert result.scores.pr_auc[marker] == pytest.approx(average_precision_score(*pair), abs=1e-3)
        assert result.scores.base_rate[marker] == pytest.approx(truth[marker].mean(), rel=1e-12)
        checked += 1
    assert checked


def binned(probabilities: np.ndarray, truth: np.ndarray, known: np.ndarray, width: int) -> tuple[np.ndarray, ...]:
    """(T, L) in bins of which every base is known."""
    count = probabilities.shape[1] // width
    cut = slice(count * width)
    kept = known[cut].reshape(count, width).all(axis=1)
    means = probabilities[:, cut].reshape(3, count, width).mean(axis=2)
    positive = truth[:, cut].reshape(3, count, width).mean(axis=2) > 0.5
    return means[:, kept], positive[:, kept]


@pytest.mark.parametrize("split", [*SPLITS, "all"])
@pytest.mark.parametrize("rc", [False, True])
@pytest.mark.parametrize("width", [1, 50])
def test_windows_are_judged_as_scikit_learn_does(
    run: Path, dataset: Path, inputs: Inputs, labels: Truth, split: str, rc: bool, width: int
) -> None:
    result = evaluate(run, dataset, protocol=Protocol(split, both_strands=rc, bin_length=width))
    codes, parts = codes_of(inputs), []
    with Dataset(dataset) as data:
        for row in np.arange(len(data.split)) if split == "all" else data.rows(split):
            name, start = CONTIGS[data.contig[row]], int(data.start[row])
            here = codes[name][start : start + 500]
            probabilities, truth = predict(run, here[None], rc)[0], labels[name][:, start : start + 500]
            known = here != 0
            parts.append(
                (probabilities[:, known], truth[:, known]) if width == 1 else binned(probabilities, truth, known, width)
            )
    check(result, *(np.concatenate(each, axis=1) for each in zip(*parts, strict=True)))


def test_only_positions_in_the_regions_count(run: Path, dataset: Path, inputs: Inputs, labels: Truth) -> None:
    bed = inputs.folder / "regions.bed"
    bed.write_text("chr2\t3100\t3250\n")
    protocol = Protocol("all", regions=["chr1:1,101-6,777"], regions_file=bed, exclude=["chr1:2001-2100"])
    result = evaluate(run, dataset, protocol=protocol)
    codes, parts = codes_of(inputs), []
    asked = {name: np.zeros(len(codes[name]), bool) for name in CONTIGS}
    asked["chr1"][1100:6777], asked["chr2"][3100:3250] = True, True
    asked["chr1"][2000:2100] = False
    with Dataset(dataset) as data:
        for row in range(len(data.split)):
            name, start = CONTIGS[data.contig[row]], int(data.start[row])
            here = slice(start, start + 500)
            kept = (codes[name][here] != 0) & asked[name][here]
            probabilities = predict(run, codes[name][None, here], rc=False)[0]
            parts.append((probabilities[:, kept], labels[name][:, here][:, kept]))
    check(result, *(np.concatenate(each, axis=1) for each in zip(*parts, strict=True)))
    assert result.protocol["regions"] == ["chr1:1,101-6,777", str(bed)]


def test_no_window_in_the_regions(run: Path, dataset: Path) -> None:
    with pytest.raises(DilannotError, match=r"holds no test windows in these regions; try --split all"):
        evaluate(run, dataset, protocol=Protocol(regions=["chrM"]))


@pytest.mark.parametrize("rc", [False, True])
def test_networks_for_bins_on_bins(bins: Path, inputs: Inputs, tmp_path: Path, rc: bool) -> None:
    run = toy(inputs, bins, tmp_path / "run", "toy-places")
    result = evaluate(run, bins, protocol=Protocol("all", both_strands=rc))
    with Dataset(bins) as data:
        batch = data.batch(np.arange(len(data.split)))
        codes = batch.inputs["sequence"].numpy()
        truth = np.zeros((3, len(codes)), bool)
        truth[batch.targets.marker, batch.targets.window] = True
    network = load_network(read_run(run)).network
    scores = network(torch.from_numpy(codes)).sigmoid().double().detach().numpy()[:, :, 0]
    if rc:
        behind = network(torch.from_numpy(other_strand(codes).copy())).sigmoid().double().detach().numpy()[:, :, 0]
        scores = (scores + behind) / 2
    check(result, scores.T, truth)
    assert result.protocol["bin"] == 200


@pytest.fixture(scope="module")
def two_bins(inputs: Inputs) -> Path:
    """Dense windows that hold two bins of 200 nt each."""
    path = inputs.folder / "two-bins.h5"
    build_dataset(inputs.genome, [inputs.peak_folder], path, BuildSettings(window=400))
    return path


def test_networks_for_bins_on_windows_of_nucleotides(
    two_bins: Path, inputs: Inputs, labels: Truth, tmp_path: Path
) -> None:
    """Outside of a window there is N for them, as for a dense network."""
    run = toy(inputs, two_bins, tmp_path / "run", "toy-places")
    with pytest.raises(DilannotError, match=r"decides on bins of 200 nt.*; use --bin 200"):
        evaluate(run, two_bins)
    result = evaluate(run, two_bins, protocol=Protocol("all", bin_length=200))
    codes, parts = codes_of(inputs), []
    with Dataset(two_bins) as data:
        for row in range(len(data.split)):
            name, start = CONTIGS[data.contig[row]], int(data.start[row])
            here = codes[name][start : start + 400]
            around = np.pad(here, 150)
            probabilities = predict(run, np.stack([around[:500], around[200:700]]), rc=False)[:, :, 0].T
            every = np.repeat(probabilities, 200, axis=1)
            parts.append(binned(every, labels[name][:, start : start + 400], here != 0, 200))
    check(result, *(np.concatenate(each, axis=1) for each in zip(*parts, strict=True)))


def test_dense_networks_and_those_for_bins_are_judged_on_the_same_bins(
    run: Path, bins: Path, two_bins: Path, inputs: Inputs, tmp_path: Path
) -> None:
    """On either kind of dataset, each as if it were alone."""
    other = toy(inputs, bins, tmp_path / "bins", "toy-places")
    for data, protocol in ((bins, Protocol("all")), (two_bins, Protocol("all", bin_length=200))):
        for first, second in ((run, other), (other, run)):
            result = evaluate(first, data, protocol=protocol, others=[second])
            alone = evaluate(second, data, protocol=protocol)
            [difference] = result.differences
            np.testing.assert_array_equal(difference.other.scores.pr_auc, alone.scores.pr_auc)
            assert difference.other.scores.positives.tolist() == result.scores.positives.tolist()
            wanted = result.scores.pr_auc - alone.scores.pr_auc
            np.testing.assert_array_equal(difference.markers["pr_auc"][:, 0], wanted)
            assert result.protocol["bin"] == difference.other.protocol["bin"] == 200
        read = {result.protocol["genome"], difference.other.protocol["genome"]}
        assert read == ({None, str(inputs.genome)} if data == bins else {None})


def test_bins_that_windows_do_not_hold_whole_are_refused(
    run: Path, dataset: Path, two_bins: Path, inputs: Inputs, tmp_path: Path
) -> None:
    with pytest.raises(DilannotError, match="--bin: bins of 40 nt; give a divisor of 500"):
        evaluate(run, dataset, protocol=Protocol(bin_length=40))
    other = toy(inputs, dataset, tmp_path / "bins", "toy-places")
    for width in (1, 50, 200):
        with pytest.raises(DilannotError, match="bins of 200 nt, and the windows of .* hold 500; .*multiple of 200"):
            evaluate(run, dataset, protocol=Protocol(bin_length=width), others=[other])


def test_a_genome_that_nothing_reads_is_refused(
    run: Path, dataset: Path, bins: Path, inputs: Inputs, tmp_path: Path
) -> None:
    other = toy(inputs, bins, tmp_path / "bins", "toy-places")
    for judged, data in ((run, dataset), (other, bins)):
        with pytest.raises(DilannotError, match="--genome: nothing here reads a genome; leave it out"):
            evaluate(judged, data, genome=inputs.genome)
    assert evaluate(other, bins, genome=inputs.genome, others=[run]).differences


def test_without_any_position_there_is_nothing_to_judge(run: Path, dataset: Path, bins: Path) -> None:
    """All is N there, or part of a bin."""
    with Dataset(bins) as known:
        name, start = CONTIGS[known.contig[0]], int(known.start[0])
    for data, regions in ((dataset, ["chr1:7001-7003"]), (bins, [f"{name}:{start + 1}-{start + 100}"])):
        with pytest.raises(DilannotError, match="no position is left to judge; ask for more regions"):
            evaluate(run, data, protocol=Protocol("all", regions=regions))


def test_all_runs_are_looked_at_before_the_first_is_scored(
    run: Path, dataset: Path, bins: Path, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("dilannot.evaluate.evaluate._judge", judged)
    good = toy(inputs, dataset, tmp_path / "good", "toy-blocks")
    missing = toy(inputs, dataset, tmp_path / "missing", "toy-blocks")
    (missing / "best.safetensors").unlink()
    with pytest.raises(DilannotError, match="weights not found"):
        evaluate(good, dataset, others=[missing])
    lost = toy(inputs, dataset, tmp_path / "lost", "toy-blocks")
    replace(read_run(lost), genome=str(tmp_path / "lost.fa")).save()
    with pytest.raises(DilannotError, match=r"lost\.fa any more"):
        evaluate(good, bins, others=[lost])


def test_runs_that_were_judged_on_other_positions_are_not_compared(run: Path, dataset: Path) -> None:
    one, other = evaluate(run, dataset), evaluate(run, dataset, protocol=Protocol("train"))
    check_same_positions(one, one)
    with pytest.raises(AssertionError, match="judged on different positions"):
        check_same_positions(one, other)
    positives = one.scores.positives + 1
    with pytest.raises(AssertionError, match="judged on different positions"):
        check_same_positions(one, replace(one, scores=replace(one.scores, positives=positives)))


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ([float("nan")], "nan is no threshold"), ([0.5, float("inf")], "inf is no threshold"),
        ([-0.1], "-0.1 is no probability; give a number from 0 to 1"), ([0.5, 0.5], "0.5 and 0.5 are the same"),
        ([0.12345678, 0.12345679], "0.12345678 and 0.12345679 are the same, or alike in six digits; give one"),
    ],
)  # fmt: skip
def test_thresholds_are_probabilities_that_differ(
    run: Path, dataset: Path, thresholds: list[float], message: str
) -> None:
    with pytest.raises(DilannotError, match=f"--threshold: {message}"):
        evaluate(run, dataset, protocol=Protocol(thresholds=thresholds))


def test_scores_of_tracks_have_any_threshold() -> None:
    check_thresholds([-3, 12.5, 1e9], probabilities=False)
    with pytest.raises(DilannotError, match="nan is no threshold"):
        check_thresholds([float("nan")], probabilities=False)


def test_other_ways_to_judge_have_other_names() -> None:
    some = Protocol("all", regions=["chr1"], markers=["TFBS"], bin_length=20, both_strands=True)
    assert Protocol().file_name() == "evaluation-test"
    name = some.file_name([Path("a/b")], Path("data/hg38.h5"), "last")
    assert name == "evaluation-all-on-hg38-regions-markers-bin20-rc-last-against-b"


def test_the_record_says_what_was_judged(run: Path, dataset: Path, inputs: Inputs) -> None:
    result = evaluate(run, dataset, protocol=Protocol(markers=["DNase"]))
    with Dataset(dataset) as data:
        assert result.protocol["dataset_digest"] == data.digest
    assert result.protocol["weights_sha256"] == load_network(read_run(run)).sha256
    assert result.protocol["markers_asked"] == ["DNase"]
    assert result.protocol["genome"] is None
    assert result.protocol["output"] == "dense"


def test_runs_of_one_name_have_columns_of_their_own(run: Path, dataset: Path, inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    others = [
        toy(inputs, dataset, tmp_path / name / "net", model)
        for name, model in zip("ab", ("toy-blocks", "toy-bases"), strict=True)
    ]
    result = evaluate(run, dataset, protocol=Protocol("all"), others=others)
    record = as_json(result)
    assert [each["name"] for each in record["differences"]] == list(map(str, others))
    for other, difference in zip(others, result.differences, strict=True):
        found = [row[f"pr_auc_minus_{other}"] for row in record["markers"]]
        assert found == difference.markers["pr_auc"][:, 0].tolist()
    assert len({tuple(difference.markers["pr_auc"][:, 0]) for difference in result.differences}) == 2


def test_names_that_differ_by_an_ending_of_a_column_are_told_apart(run: Path, dataset: Path) -> None:
    result = evaluate(run, dataset, others=[run])
    [difference] = result.differences
    others = [replace(difference, other=replace(difference.other, subject=name)) for name in ("x", "x_low")]
    names = replace(result, differences=others).run_names
    rows = as_json(replace(result, differences=others))["markers"]
    assert {f"pr_auc_minus_{name}{end}" for name in names[1:] for end in ("", "_low", "_high")} <= rows[0].keys()
    assert len(names) == len(set(names)) == 3


def test_without_intervals_nobody_is_better_or_worse(run: Path, dataset: Path) -> None:
    result = evaluate(run, dataset, protocol=Protocol(replicates=0), others=[run])
    [difference] = as_json(result)["differences"]
    assert difference["markers_better"] == difference["markers_worse"] == {"roc_auc": None, "pr_auc": None}
    assert result.differences[0].known() == 0


@pytest.mark.parametrize("rc", [False, True])
def test_dense_networks_on_bins_read_the_genome_around_them(
    run: Path, bins: Path, inputs: Inputs, rc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dilannot.evaluate.genome_bins._STRETCH", 3_000)
    monkeypatch.setattr("dilannot.evaluate.genome_bins._AT_ONCE", 3)
    result = evaluate(run, bins, protocol=Protocol("all", both_strands=rc))
    codes = codes_of(inputs)
    whole = {name: predict(run, each[None], rc)[0] for name, each in codes.items()}
    with Dataset(bins) as data:
        batch = data.batch(np.arange(len(data.split)))
        truth = np.zeros((3, len(batch.mask)), bool)
        truth[batch.targets.marker, batch.targets.window] = True
        places = [(CONTIGS[contig], int(start)) for contig, start in zip(data.contig, data.start, strict=True)]
    scores = np.stack([whole[name][:, start : start + 200].mean(axis=1) for name, start in places], axis=1)
    check(result, scores, truth)


def test_dense_networks_on_bins_want_the_right_genome(run: Path, bins: Path, inputs: Inputs, tmp_path: Path) -> None:
    other = tmp_path / "other.fa"
    other.write_text(inputs.genome.read_text().replace("A", "C", 1))
    with pytest.raises(DilannotError, match=r"other\.fa: is not the genome of .*bins\.h5: its chr. has another seq"):
        evaluate(run, bins, genome=other, protocol=Protocol("all"))
    with pytest.raises(DilannotError, match="--bin: bins of 50 nt"):
        evaluate(run, bins, protocol=Protocol("all", bin_length=50))


def test_markers_are_chosen(run: Path, dataset: Path) -> None:
    whole = evaluate(run, dataset)
    one = evaluate(run, dataset, protocol=Protocol(markers=["DNase"]))
    [at] = [i for i, marker in enumerate(whole.markers) if marker.marker_class == "DNase"]
    assert [marker.name for marker in one.markers] == [whole.markers[at].name]
    assert one.scores.pr_auc[0] == whole.scores.pr_auc[at]


def test_markers_that_only_one_side_has_are_left_out(inputs: Inputs, run: Path, dataset: Path, tmp_path: Path) -> None:
    peaks = sorted(inputs.peak_folder.iterdir())
    build_dataset(
        inputs.genome, [*peaks[1:], _copied(peaks[0], tmp_path)], tmp_path / "d.h5", BuildSettings(window=500)
    )
    listener = Listener()
    some, whole = evaluate(run, tmp_path / "d.h5", progress=listener), evaluate(run, dataset)
    assert [marker.name for marker in some.markers] == ["K562_DNase", "K562_H3K27ac"]
    assert any("2 of the 3 markers of" in said for said in listener.said)
    number = {marker.name: i for i, marker in enumerate(whole.markers)}
    chosen = [number[marker.name] for marker in some.markers]
    assert some.scores.pr_auc.tolist() == whole.scores.pr_auc[chosen].tolist()


def _copied(file: Path, folder: Path) -> Path:
    """The same peaks under a name of their own."""
    other = folder / "HeLa_MAX.narrowPeak"
    other.write_bytes(file.read_bytes())
    return other


def test_means_leave_out_markers_without_positives(run: Path, inputs: Inputs, tmp_path: Path) -> None:
    names = [path.name for path in sorted(inputs.peak_folder.iterdir())]
    rows = "".join(f"{name}\t{name.split('.')[0]}\tTFBS\n" for name in names)
    (tmp_path / "markers.tsv").write_text("file\tname\tclass\n" + rows)
    (tmp_path / names[0]).write_text("chr1\t20000\t20100\n")
    peaks = [tmp_path / names[0], *(inputs.peak_folder / name for name in names[1:])]
    build_dataset(
        inputs.genome, peaks, tmp_path / "d.h5", BuildSettings(window=500), markers=[str(tmp_path / "markers.tsv")]
    )
    with Dataset(tmp_path / "d.h5") as data:
        [splits_with] = np.flatnonzero(data.positives[0])
    split = "test" if splits_with != 2 else "validation"
    result = evaluate(run, tmp_path / "d.h5", protocol=Protocol(split))
    assert result.undefined == [names[0].split(".")[0]]
    classes = [marker.marker_class for marker in result.markers]
    for name, mean in result.means.items():
        kept = [i for i, each in enumerate(classes) if each == name and result.scores.defined[i]]
        assert mean.markers == len(kept)
        assert mean.pr_auc == pytest.approx(result.scores.pr_auc[kept].mean())


def test_thresholds_of_validation_and_of_the_user(run: Path, dataset: Path) -> None:
    result = evaluate(run, dataset, protocol=Protocol(thresholds=[0.25]))
    rules = {point.rule: point for point in result.operating}
    assert list(rules) == ["break-even", "best-f1", "fdr-5", "fdr-10", "0.25"]
    assert rules["best-f1"].threshold.tolist()[:2] == [0.5, 0.6]
    assert np.isnan(rules["best-f1"].threshold[2])
    network = load_network(read_run(run)).network
    with Dataset(dataset) as data, predicting(network):
        batch = data.batch(data.rows("test"))
        scores = network(**batch.inputs).sigmoid()
        truth = torch.zeros(scores.shape, dtype=torch.bool)
        truth.view(-1)[batch.targets.flat_index(*scores.shape[1:])] = True
        for marker in range(3):
            pair = truth[:, marker][batch.mask].numpy(), (scores[:, marker][batch.mask] >= 0.25).numpy()
            # Scores that round to just below the threshold, or up to it, are few.
            assert rules["0.25"].precision[marker] == pytest.approx(precision_score(*pair), abs=5e-3)
            assert rules["0.25"].recall[marker] == pytest.approx(recall_score(*pair), abs=1e-2)


def test_table_and_record_hold_the_same(run: Path, dataset: Path, tmp_path: Path) -> None:
    result = evaluate(run, dataset, others=[run])
    files = check_files(tmp_path / "e", [], force=False)
    write_evaluation(result, *files)
    record = json.loads(files[1].read_text())
    with open(files[0], newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["marker"] for row in rows] == [marker["marker"] for marker in record["markers"]]
    for row, marker in zip(rows, record["markers"], strict=True):
        assert row.keys() == marker.keys()
        for name, value in marker.items():
            assert (
                row[name] == "NA"
                if value is None
                else row[name] == value or float(row[name]) == pytest.approx(value, rel=1e-5)
            )
    assert record["class_means"]["TFBS"]["pr_auc"] == pytest.approx(result.means["TFBS"].pr_auc)
    assert record["format_version"] == 2
    for stem in (tmp_path / "e", tmp_path / "e.json"):
        with pytest.raises(DilannotError, match="exists already"):
            check_files(stem, [], force=False)
    assert check_files(tmp_path / "e.tsv", [], force=True) == files
    with pytest.raises(DilannotError, match="another output"):
        check_files(tmp_path / "new", [tmp_path / "new.json"], force=False)


@pytest.mark.parametrize(
    "change", [lambda protocol: protocol, lambda protocol: replace(protocol, both_strands=True, bin_length=20)]
)
def test_neither_batch_size_nor_threads_matter(
    run: Path, dataset: Path, change: Callable[[Protocol], Protocol]
) -> None:
    protocol, tables = change(Protocol("all")), []
    for size, threads in ((1, 1), (5, 2), (1000, 2)):
        torch.set_num_threads(threads)
        result = evaluate(run, dataset, protocol=protocol, batch_size=size)
        assert result.intervals is not None
        tables.append((result.scores.pr_auc.tolist(), result.intervals.markers["pr_auc"].tolist()))
    torch.set_num_threads(2)
    assert tables[0] == tables[1] == tables[2]


def test_a_run_is_as_good_as_itself(run: Path, dataset: Path) -> None:
    [difference] = evaluate(run, dataset, protocol=Protocol("all"), others=[run]).differences
    assert (difference.markers["pr_auc"] == 0).all()
    assert difference.better() == (0, 0)


def test_a_run_that_knows_is_better_than_one_that_guesses(
    dataset: Path, run: Path, inputs: Inputs, tmp_path: Path
) -> None:
    """The better one was trained on what is judged."""
    with Dataset(dataset) as data:
        other = make_run(tmp_path / "guess", inputs.genome, "toy-bases", markers=data.markers)
    train(
        dataset, tmp_path / "knows",
        model="dilated", arguments={"filters": [32, 32], "dilations": [1, 3], "hidden": 32},
        settings=Settings(epochs=40, batch_size=4, learning_rate=5e-3),
    )  # fmt: skip
    [difference] = evaluate(tmp_path / "knows", protocol=Protocol("train"), others=[other]).differences
    for name in ("TFBS", "histone", "DNase"):
        value, interval, share = difference.classes[name]["pr_auc"]
        assert interval.low < value < interval.high
        assert interval.low > 0
        assert share > 0.95
    assert difference.better()[0] == 3


def test_a_dataset_of_other_markers_is_refused(inputs: Inputs, dataset: Path, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", inputs.genome, "toy-blocks")
    with pytest.raises(DilannotError, match=r"its markers are not those of .* where the run has 'A\|1'"):
        evaluate(folder, dataset)


def test_a_dataset_that_changed_since_training_is_refused(inputs: Inputs, tmp_path: Path) -> None:
    path = tmp_path / "d.h5"
    build_dataset(inputs.genome, [inputs.peak_folder], path, BuildSettings(window=500))
    train(
        path,
        tmp_path / "run",
        model="dilated",
        settings=Settings(epochs=1, max_steps=1),
        arguments={"filters": [4], "dilations": [1], "hidden": 3},
    )
    build_dataset(inputs.genome, [inputs.peak_folder], path, BuildSettings(window=500, seed=1), force=True)
    with pytest.raises(DilannotError, match="its windows or splits differ"):
        evaluate(tmp_path / "run")
    listener = Listener()
    evaluate(tmp_path / "run", path, progress=listener)
    assert "may have been trained on" in listener.said[0]


def test_a_class_without_positives_has_no_mean(run: Path, inputs: Inputs, tmp_path: Path) -> None:
    names = [path.name for path in sorted(inputs.peak_folder.iterdir())]
    (tmp_path / names[1]).write_text("chr1\t20000\t20100\n")  # the DNase marker, in one window
    peaks = [inputs.peak_folder / names[0], tmp_path / names[1], inputs.peak_folder / names[2]]
    build_dataset(inputs.genome, peaks, tmp_path / "d.h5", BuildSettings(window=500))
    with Dataset(tmp_path / "d.h5") as data:
        [split] = np.flatnonzero(data.positives[1])
    result = evaluate(run, tmp_path / "d.h5", protocol=Protocol("test" if split != 2 else "validation"))
    assert set(result.means) == {"TFBS", "histone"}
