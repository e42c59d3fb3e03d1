"""What is asked for: which stretches of the genome, and which markers."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from dilannot.data.markers import Marker
from dilannot.errors import DilannotError, near, shorten
from dilannot.formats.bed import Records, read_intervals
from dilannot.genome.intervals import Interval, Positions, merge, parse_region
from dilannot.progress import Progress

_Bounds = dict[str, tuple[Positions, Positions]]  # sorted and disjoint, by contig

_BED_ENDINGS = (".bed", ".bed.gz", ".narrowpeak", ".narrowpeak.gz", ".broadpeak", ".broadpeak.gz")


def scope(
    lengths: Mapping[str, int],
    regions: Sequence[str] = (),
    regions_file: Path | None = None,
    exclude: Sequence[str] = (),
    *,
    progress: Progress,
) -> list[Interval]:
    """Stretches that are asked for: disjoint, in genome order; the whole genome when nothing is asked for.

    Parameters
    ----------
    lengths
        Of the genome's contigs, bp, in its order.
    regions
        `chr1`, `chr1:1,000-2,000`, ... (1-based, inclusive), or names with `*` and `?` for several contigs.
    regions_file
        BED of more of them.
    exclude
        The same kind of regions, or BED files, to leave out of all that.

    Raises
    ------
    DilannotError
        A bad region, file or line, a contig or end that is not in the genome, or nothing left.
    """
    asked = [interval for text in regions for interval in _typed(text, lengths, progress)]
    if regions_file is not None:
        asked += _asked_in(regions_file, lengths)
    elif not regions:
        asked = [Interval(name, 0, length) for name, length in lengths.items()]
    unwanted = [interval for text in exclude for interval in _unwanted(text, lengths, progress)]
    wanted, without = _by_contig(asked), _by_contig(unwanted)
    result = []
    for name in lengths:
        starts, ends = wanted.get(name, _NOTHING)
        starts, ends = _subtract(starts, ends, *without.get(name, _NOTHING))
        result += [Interval(name, *pair) for pair in zip(starts.tolist(), ends.tolist(), strict=True)]
    if not result:
        where = str(regions_file) if not unwanted and regions_file is not None else "--exclude"
        raise DilannotError(
            "nothing is left of what is asked for", where=where, remedy="exclude less, or ask for more regions"
        )
    return result


_NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64))


def _typed(text: str, lengths: Mapping[str, int], progress: Progress) -> list[Interval]:
    """What one region, or one pattern of contig names, means."""
    if fitting := _contigs(text, lengths):
        return [Interval(name, 0, lengths[name]) for name in fitting]
    interval, warning = parse_region(text, lengths)
    if warning:
        progress.warn(warning)
    return [interval]


def _contigs(text: str, lengths: Mapping[str, int]) -> list[str]:
    """Contigs of this name, or that a pattern fits."""
    return [text] if text in lengths else fnmatch.filter(lengths, text) if set(text) & set("*?[") else []


def _asked_in(path: Path, lengths: Mapping[str, int]) -> list[Interval]:
    """All intervals of a file: what was asked for and cannot be given is an error."""
    found = read_intervals(path)
    unknown = np.array([name not in lengths for name in found.contigs], bool)
    if unknown.any():
        row = int(np.argmax(unknown[found.contig]))
        name = found.contigs[found.contig[row]]
        raise DilannotError(
            f"contig: no {name!r} in the genome{near(name, lengths)}", where=path, line=int(found.line[row])
        )
    length = np.array([lengths[name] for name in found.contigs], np.int64)[found.contig]
    if len(past := np.flatnonzero(found.end > length)):
        row = past[0]
        raise DilannotError(
            f"end {found.end[row]} lies beyond the end of {found.contigs[found.contig[row]]} (length {length[row]})",
            where=path,
            line=int(found.line[row]),
            remedy="is this another assembly?",
        )
    return _intervals(found)


def _unwanted(text: str, lengths: Mapping[str, int], progress: Progress) -> list[Interval]:
    """A contig or region wins over a file of that name."""
    contig = text.rpartition(":")[0] or text
    if contig in lengths or _contigs(text, lengths):
        return _typed(text, lengths, progress)
    if set(text) & set("*?[") and "/" not in text:
        progress.warn(f"--exclude {text!r}: no contig of the genome has such a name")
        return []
    path = Path(text)
    if not (path.exists() or "/" in text or text.lower().endswith(_BED_ENDINGS)):
        raise DilannotError(
            f"no contig {contig!r} in the genome{near(contig, lengths)}, and no file {text!r}", where="--exclude"
        )
    found = read_intervals(path)
    unknown = [name for name in found.contigs if name not in lengths]
    if unknown:
        shown = ", ".join(unknown[:5]) + (" ..." if len(unknown) > 5 else "")
        if len(unknown) == len(found.contigs):
            raise DilannotError(
                f"no contig in common with the genome ({shown}){near(unknown[0], lengths)}",
                where=path,
                remedy="use one assembly and its names",
            )
        progress.warn(f"{path}: excluded regions on {len(unknown)} contigs the genome lacks are not used: {shown}")
    intervals = [interval for interval in _intervals(found) if interval.contig in lengths]
    past = sum(interval.end > lengths[interval.contig] for interval in intervals)
    if past:
        progress.warn(f"{path}: {past} excluded regions reach past the end of their contig; is this another assembly?")
    return intervals


def _intervals(found: Records) -> list[Interval]:
    columns = (found.contig.tolist(), found.start.tolist(), found.end.tolist())
    return [Interval(found.contigs[contig], start, end) for contig, start, end in zip(*columns, strict=True)]


def _by_contig(intervals: Iterable[Interval]) -> _Bounds:
    found: dict[str, list[tuple[int, int]]] = {}
    for interval in intervals:
        found.setdefault(interval.contig, []).append((interval.start, interval.end))
    return {name: merge(*np.array(bounds, np.int64).T) for name, bounds in found.items()}


def _subtract(
    starts: Positions, ends: Positions, other_starts: Positions, other_ends: Positions
) -> tuple[Positions, Positions]:
    """What sorted disjoint intervals keep when others, as sorted and disjoint, are taken out of them."""
    # Within both sets: inside the first, outside the second. Between two edges nothing changes.
    edges = np.unique(np.concatenate((starts, ends, other_starts, other_ends)))
    inside = np.searchsorted(starts, edges, "right") > np.searchsorted(ends, edges, "right")
    inside &= np.searchsorted(other_starts, edges, "right") == np.searchsorted(other_ends, edges, "right")
    first = np.flatnonzero(inside[:-1]) if len(edges) else edges
    return merge(edges[first], edges[first + 1])


_FIELDS: dict[str, Callable[[Marker], str]] = {
    "name": lambda marker: marker.name,
    "class": lambda marker: marker.marker_class,
    "cell": lambda marker: marker.cell,
    "target": lambda marker: marker.target,
    "treatment": lambda marker: marker.treatment,
}
_BARE = ("name", "class", "cell", "target")  # what a word without a field is tried as, one after another


def select_markers(markers: Sequence[Marker], asked: Sequence[str]) -> list[int]:
    """Which markers are asked for, by index, in their order; all when nothing is.

    Parameters
    ----------
    markers
        Of a run, or of tracks.
    asked
        Each a name, `class=histone`, `cell=GM12878`, `target=H3K4me*` or `treatment=None`, or several with commas
        between them; what fits one of them is taken. A word alone is a name, or else a class, a cell or a target.
        `*` and `?` are wild; upper and lower case are alike where that leaves no doubt.

    Raises
    ------
    DilannotError
        Something fits no marker, or may mean several.
    """
    if not asked:
        return list(range(len(markers)))
    names = {marker.name for marker in markers}
    # A name with a comma in it is asked for as a whole.
    words = [word for text in asked for word in ([text] if text in names else text.split(","))]
    return sorted({index for word in words for index in _fitting(markers, word.strip())})


def _fitting(markers: Sequence[Marker], word: str) -> list[int]:
    """Indexes of the markers that one word fits."""
    field, equals, value = word.partition("=")
    field = field.strip().lower()
    tried: Sequence[str]
    if equals and field in _FIELDS and not any(marker.name == word for marker in markers):
        tried, value, missing = (field,), value.strip(), f"no marker has this {field}"
    else:
        tried, value, missing = _BARE, word, f"no marker has this {', '.join(_BARE[:-1])} or {_BARE[-1]}"
    for each in tried:
        entries = [_FIELDS[each](marker) for marker in markers]
        fitting = _entries_that_fit(value, entries) if value else set()
        if each == "name" and len(fitting) > 1 and not set(value) & set("*?["):
            shown = " or ".join(map(repr, sorted(fitting)))
            raise DilannotError(f"{value!r} may mean {shown}", where="--markers", remedy="type it as it is written")
        if fitting:
            return [index for index, entry in enumerate(entries) if entry in fitting]
    known = {_FIELDS[each](marker).lower(): _FIELDS[each](marker) for each in reversed(tried) for marker in markers}
    known.pop("", None)
    hint = near(value.lower().strip("*?"), known)
    for lower, entry in known.items():
        hint = hint.replace(repr(lower), repr(entry))
    where = f"--markers {shorten(word, 100)!r}"
    raise DilannotError(f"{missing}{hint}", where=where, remedy="the run's markers.tsv lists them")


def _entries_that_fit(value: str, entries: Sequence[str]) -> set[str]:
    """As it is written, or else whatever the case, or as a pattern."""
    pattern = value.lower()
    folded = {entry for entry in entries if entry.lower() == pattern}
    wild = {entry for entry in entries if fnmatch.fnmatchcase(entry.lower(), pattern)}
    return {value} & folded or folded or wild
