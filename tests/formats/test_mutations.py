"""Ten thousand damaged files for each text parser: what a slow and plain reader says of them, or an error that names them.

The readers here go line by line and follow the rules as they are documented. They tell the lines that are at fault; the
parsers must name one of those.
"""

from __future__ import annotations

import gzip
import hashlib
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path

import pytest
from conftest import SHARED

from dilannot.data.inputs import find_inputs
from dilannot.data.windows import read_excluded
from dilannot.errors import DilannotError
from dilannot.formats import fasta
from dilannot.formats.bed import read_intervals
from dilannot.formats.fasta import read_contigs
from dilannot.formats.indexed_fasta import Genome
from dilannot.genome.intervals import parse_region
from dilannot.progress import Silent

MUTATIONS = 10_000
LONGEST_SEED = 600  # bytes
CORPUS = SHARED / "bad-inputs"

Mutation = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Good:
    """What a file says."""

    value: object


@dataclass(frozen=True)
class Bad:
    """That a file must be refused, and for which lines; for none where the fault is in no line."""

    lines: frozenset[int] = field(default_factory=frozenset)
    where: str | None = None


@dataclass(frozen=True)
class Damaged:
    """That a compressed file must be refused."""


Judgement = Good | Bad | Damaged


# ---------------------------------------------------------------- mutations

INSERTED = [
    b"\t", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b" ", b"-", b"+", b"0", b"9", b".", b",", b"_", b":", b"#", b">", b"A",
    b"N", b"\x0b", b"\x0c", b"\x1b", b"\x85", b"e3", b"0x1", b"99999999999", b"4294967296", b"\n\n", b"\t\t", b"track\t",
    "٣".encode(), "²".encode(), "\u2028".encode(), "é".encode(), b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b'"',
]  # fmt: skip


def flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def insert(data: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.choice(INSERTED) + data[at:]


def overwrite(data: bytes, chance: random.Random) -> bytes:
    at, new = chance.randint(0, len(data)), chance.choice(INSERTED)
    return data[:at] + new + data[at + len(new) :]


def delete(data: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + data[at + chance.choice((1, 1, 2, 5, 30)) :]


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randint(0, len(data))]


def behead(data: bytes, chance: random.Random) -> bytes:
    return data[chance.randint(0, len(data)) :]


def with_lines(change: Callable[[list[bytes], random.Random], object]) -> Mutation:
    def mutate(data: bytes, chance: random.Random) -> bytes:
        lines = data.split(b"\n")
        change(lines, chance)
        return b"\n".join(lines)

    return mutate


def repeat(lines: list[bytes], chance: random.Random) -> None:
    lines.insert(chance.randint(0, len(lines)), chance.choice(lines))


def exchange(lines: list[bytes], chance: random.Random) -> None:
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def swap_fields(lines: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(lines))
    fields = lines[at].split(b"\t")
    chance.shuffle(fields)
    lines[at] = b"\t".join(fields)


def windows_ends(lines: list[bytes], chance: random.Random) -> None:
    every = chance.random() < 0.5
    lines[:-1] = [line + b"\r" if every or chance.random() < 0.3 else line for line in lines[:-1]]


def join(lines: list[bytes], chance: random.Random) -> None:
    if len(lines) > 1:
        at = chance.randrange(len(lines) - 1)
        lines[at : at + 2] = [lines[at] + lines[at + 1]]


MUTATORS: list[Mutation] = [
    flip, insert, insert, insert, overwrite, delete, delete, cut, behead,
    *map(with_lines, (repeat, exchange, swap_fields, windows_ends, join)),
]  # fmt: skip


def mutated(data: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        data = chance.choice(MUTATORS)(data, chance)
    return data


def bgzip(data: bytes) -> bytes:
    blocks = b""
    for part in [data[at : at + 200] for at in range(0, len(data), 200)] + [b""]:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(part) + packer.flush()
        head = bytes.fromhex("1f8b08040000000000ff060042430200") + struct.pack("<H", len(body) + 25)
        blocks += head + body + struct.pack("<II", zlib.crc32(part), len(part))
    return blocks


def packed(data: bytes, chance: random.Random) -> bytes:
    """Compressed in one of the ways that occur, and half the time damaged afterwards."""
    half = len(data) // 2
    ways: list[Callable[[], bytes]] = [
        lambda: gzip.compress(data, mtime=0),
        lambda: gzip.compress(data[:half], mtime=0) + gzip.compress(data[half:], mtime=0),
        lambda: bgzip(data),
    ]
    archive = chance.choice(ways)()
    return chance.choice((flip, cut, delete, insert))(archive, chance) if chance.random() < 0.5 else archive


def cases(seeds: list[bytes], seed: str) -> list[bytes]:
    """The seeds as they are, then mutations of them; one in six of those as an archive."""
    chance = random.Random(seed)
    made = list(seeds)
    while len(made) < MUTATIONS + len(seeds):
        data = mutated(chance.choice(seeds), chance)
        made.append(packed(data, chance) if chance.random() < 1 / 6 else data)
    return made


def corpus(pattern: str) -> list[bytes]:
    """Files that were given, cut to a length at which ten thousand of them are read quickly."""
    paths = sorted(path for path in CORPUS.glob(pattern) if path.is_file() and path.suffix != ".gzi")
    contents = [path.read_bytes() for path in paths]
    return [data if data.startswith(b"\x1f\x8b") and len(data) < 5_000 else data[:LONGEST_SEED] for data in contents]


# ---------------------------------------------------------------- readers that take their time


def unpacked(data: bytes) -> bytes | None:
    """The content of a file, None where its archive is damaged."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    if data[12:14] == b"BC" and data[3] & 4 and not data.endswith(bgzip(b"")):
        return None
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return None


def decimal(text: bytes) -> int | None:
    if not 1 <= len(text) <= 10 or any(letter not in b"0123456789" for letter in text):
        return None
    return int(text)


def is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def plain_bed(data: bytes) -> Judgement:
    """Rows (contig, start, end, line); blank lines, comments, `track` and `browser` are none."""
    content = unpacked(data)
    if content is None:
        return Damaged()
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b">", b"##fileformat=VCF", b"##gff", b"PK\3\4")):
        return Bad(frozenset({1}))
    nothing = content == b""
    content = content.removeprefix(b"\xef\xbb\xbf")
    rows, bad = [], set()
    for number, line in enumerate(content.split(b"\n"), start=1):
        line = line[:-1] if line.endswith(b"\r") else line
        words = line.split()
        if line.startswith(b"#") or (line[:1] in (b" ", b"\t", b"t", b"b", b"") and not words):
            continue
        if words and line[:1] in (b" ", b"\t", b"t", b"b") and words[0] in (b"#", b"track", b"browser"):
            continue
        fields = line.split(b"\t")
        if len(fields) < 3:
            bad.add(number)
            continue
        name, start, end = fields[0], decimal(fields[1]), decimal(fields[2])
        good_name = 1 <= len(name) <= 255 and is_utf8(name) and name.decode().isprintable()
        good_name = good_name and name.decode() == name.decode().strip()
        if not good_name or start is None or end is None or start >= end:
            bad.add(number)
        else:
            rows.append((name.decode(), start, end, number))
    if bad:
        return Bad(frozenset(bad))
    if not rows and not (nothing and data != b""):
        return Bad()
    return Good(rows)


def plain_fasta(data: bytes) -> Judgement:
    """Contigs with their letters in upper case, and where they lie; faults are those of the first bad record."""
    content = unpacked(data)
    if content is None:
        return Damaged()
    if not content.strip():
        return Bad()
    if not content.startswith(b">"):
        return Bad(frozenset({1}))
    lines = content.split(b"\n")
    heads = [at for at, line in enumerate(lines) if line.startswith(b">")]
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    contigs: dict[str, tuple[object, ...]] = {}
    for head, following in zip(heads, [*heads[1:], len(lines)], strict=True):
        header = lines[head][1:]
        words = header.split()
        if not words or header[:1].isspace() or not is_utf8(words[0]) or b"\0" in words[0]:
            return Bad(frozenset({head + 1}))
        name = words[0].decode()
        body = b"\n".join(lines[head + 1 : following]).rstrip(b"\r\n").split(b"\n")
        bad = uneven_lines(body)
        if bad:
            return Bad(frozenset(head + 2 + at for at in bad))
        letters = b"".join(body).replace(b"\r", b"").upper()
        if not letters or name in contigs:
            return Bad(frozenset({head + 1}))
        bases = len(body[0].rstrip(b"\r"))
        width = len(body[0]) + 1
        ambiguous = sum(letter not in b"ACGTN" for letter in letters)
        md5 = hashlib.md5(letters).hexdigest()
        contigs[name] = (letters, len(letters), md5, ambiguous, offsets[head + 1], bases, width)
    return Good(contigs)


def uneven_lines(body: list[bytes]) -> set[int]:
    """Lines of a record that hold something else than nucleotides, or are not like the first."""
    windows, bases = body[0].endswith(b"\r"), len(body[0].rstrip(b"\r"))
    bad = set()
    for at, line in enumerate(body):
        last = at == len(body) - 1
        if not last and line.endswith(b"\r") != windows:
            bad.add(at)
        text = line[:-1] if not last and line.endswith(b"\r") else line
        if any(letter not in b"ACGTNRYSWKMBDHVacgtnryswkmbdhv" for letter in text):
            bad.add(at)
        if len(text) > bases or (len(text) < bases and not last) or (not text and len(body) > 1):
            bad.add(at)
    return bad


def plain_excluded(data: bytes) -> Judgement:
    """Disjoint, sorted intervals by contig."""
    regions = plain_bed(data)
    if not isinstance(regions, Good):
        return regions
    rows: list[tuple[str, int, int, int]] = regions.value  # type: ignore[assignment]
    merged: dict[str, list[list[int]]] = {}
    for name, start, end, _ in sorted(rows):
        known = merged.setdefault(name, [])
        if known and start <= known[-1][1]:
            known[-1][1] = max(known[-1][1], end)
        else:
            known.append([start, end])
    if merged and not merged.keys() & set(GENOME):
        return Bad(where="--exclude")
    return Good(merged)


PEAK_FILES = ("a.bed", "b.narrowPeak.gz", "E117-DNase.macs2.narrowPeak", "b.broadPeak")
FIELDS = ("name", "class", "cell", "target", "treatment")


def stem(name: str) -> str:
    for suffix in (".gz", ".bgz"):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    while name.lower().endswith((".narrowpeak", ".broadpeak", ".gappedpeak", ".bed")):
        name = name.rpartition(".")[0]
    return name


def plain_table(data: bytes) -> Judgement:
    """(file, name) of every marker."""
    content = unpacked(data)
    if content is None:
        return Damaged()
    if not is_utf8(content):
        wrong = {number for number, line in enumerate(content.split(b"\n"), start=1) if not is_utf8(line)}
        return Bad(frozenset(wrong))
    header, *lines = [line.rstrip("\r").split("\t") for line in content.decode("utf-8-sig").split("\n")]
    columns = [name.strip().lower() for name in header]
    columns[0] = columns[0].lstrip("#")
    if "file" not in columns or any(columns.count(name) > 1 for name in ("file", *FIELDS)):
        return Bad(frozenset({1}))
    markers: list[tuple[str, str]] = []
    bad = set()
    for number, fields in enumerate(lines, start=2):
        if fields[0].startswith("#") or not "".join(fields).strip():
            continue
        if len(fields) != len(columns):
            bad.add(number)
            continue
        row = dict(zip(columns, fields, strict=True))
        given = row["file"].strip()
        fits = [file for file in PEAK_FILES if file == given] or [
            file for file in PEAK_FILES if stem(file) == stem(given)
        ]
        if len(fits) != 1 or fits[0] in [file for file, _ in markers]:
            bad.add(number)
            continue
        name = row.get("name", "").strip() or stem(fits[0])
        told = [row.get(column, "").strip() for column in FIELDS]
        unfit = name in (".", "..") or "/" in name or "\\" in name or len(name) > 1000
        if unfit or not "".join(told).isprintable() or name in [known for _, known in markers]:
            bad.add(number)
        markers.append((fits[0], name))
    if bad:
        return Bad(frozenset(bad))
    return Good(markers) if markers else Bad()


GENOME = {"chr1": 1000, "chr2": 50, "HLA:01:7": 9, "chr1:1-5": 30}


def plain_region(text: str) -> Judgement:
    """(contig, start, end, whether it was clipped), 0-based half-open."""
    if text in GENOME:
        return Good((text, 0, GENOME[text], False))
    contig, colon, positions = text.rpartition(":")
    first, dash, last = positions.partition("-")
    numbers = [number for number in (first, last) if number]
    for number in numbers:
        if number[0] not in "0123456789" or any(letter not in "0123456789," for letter in number) or len(number) > 30:
            return Bad()
    if not colon or contig not in GENOME or not dash or not numbers:
        return Bad()
    length = GENOME[contig]
    begin = int(first.replace(",", "")) if first else 1
    end = int(last.replace(",", "")) if last else length
    if begin < 1 or begin > length or end < begin:
        return Bad()
    return Good((contig, begin - 1, min(end, length), end > length))


# ---------------------------------------------------------------- the comparison


def compare(judged: Judgement, read: Callable[[], object], where: str, *, archive: bool) -> str:
    """Hold what a parser says against what the reader judged; 'good' or 'bad'."""
    try:
        found = read()
    except DilannotError as error:
        compare_refusal(judged, error, where, archive=archive)
        return "bad"
    assert isinstance(judged, Good), f"read, but {judged}"
    assert found == judged.value
    return "good"


def compare_refusal(judged: Judgement, error: DilannotError, where: str, *, archive: bool) -> None:
    message = str(error)
    assert len(message) < 500
    assert message.isprintable()
    assert error.exit_code == 1
    if archive and error.problem.startswith(("corrupt", "truncated")):
        return  # maybe where Python looks less closely: at the head of an archive
    assert isinstance(judged, Bad), f"refused: {message}"
    assert str(error.where) == (judged.where or where)
    if judged.lines:
        assert error.line in judged.lines, message
    else:
        assert error.line in (None, 1), message


def sweep(
    tmp_path: Path, seeds: list[bytes], judge: Callable[[bytes], Judgement], read: Callable[[Path], object], name: str
) -> None:
    path = tmp_path / name
    outcomes = {"good": 0, "bad": 0}
    for data in cases(seeds, name):
        path.write_bytes(data)
        try:
            outcome = compare(judge(data), lambda: read(path), str(path), archive=data[:2] == b"\x1f\x8b")
        except Exception as error:
            raise AssertionError(f"{error!r} for {data!r}") from error
        outcomes[outcome] += 1
    assert sum(outcomes.values()) == MUTATIONS + len(seeds)
    assert min(outcomes.values()) > MUTATIONS / 20, f"mutations are all of one kind: {outcomes}"


BED_SEEDS = [
    b"chr1\t10\t20\nchr2\t0\t5\nchr1\t15\t30\tname\t0\t.\n",
    b"# head\ntrack name=x\nbrowser position chr1:1-2\n\nchr1\t1\t2\n \t \nchr10\t123456789\t1234567890\n",
    b"chr1\t7\t9\r\nchrUn|long name\t00012\t99999999\r\n\r\nchr2\t1\t3\tp\t1000\t+\t1.5\t-1\t-1\t5",
    b"scaffold_with_a_name_of_more_than_sixteen_letters\t1\t2\n1\t1\t2\nX\t3\t4\n" + "größe\t1\t2\n".encode(),
]
FASTA_SEEDS = [
    b">chr1 first\nACGTacgtNN\nRYSWKMbdhv\nACG\n>chr2\nTTTT\n",
    b">a\r\nACGTA\r\nCCCCC\r\nGG\r\n>b\r\nACGTT\r\n",
    b">one\nACGTACGTACGTACGT",
    b">x\nAC\nGT\n\n\n>y z\nNNNNN\nNNNNN\n\n",
]
TABLE_SEEDS = [
    b"file\tname\tclass\na.bed\tA|x|None\ttfbs\nb.narrowPeak.gz\tB\t\n",
    b"#name\tcell\tfile\textra\none\tK562\tE117-DNase.macs2\t1\r\n# comment\n\n\t\ta.bed\t2\n",
    "\ufefffile\ttreatment\nb.broadPeak\tNaïve\nb.narrowPeak.gz\t\na\tx\n".encode(),
]


def test_peak_files(tmp_path: Path) -> None:
    def read(path: Path) -> list[tuple[str, int, int, int]]:
        found = read_intervals(path)
        assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        names = [found.contigs[i] for i in found.contig]
        return list(zip(names, found.start.tolist(), found.end.tolist(), found.line.tolist(), strict=True))

    seeds = BED_SEEDS + corpus("narrowpeak/*/*.narrowPeak*") + corpus("good/peaks/*")
    sweep(tmp_path, seeds, plain_bed, read, "peaks.narrowPeak")


def test_excluded_regions(tmp_path: Path) -> None:
    def read(path: Path) -> dict[str, list[list[int]]]:
        found, unknown = read_excluded([path], list(GENOME), Silent())
        assert set(unknown) == found.keys() - GENOME.keys()
        return {
            name: [[start, end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
            for name, (starts, ends) in found.items()
        }

    sweep(tmp_path, BED_SEEDS + corpus("bed/*.bed"), plain_excluded, read, "excluded.bed")


@pytest.mark.parametrize("chunk", [1 << 20, 7])
def test_genomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(fasta, "_CHUNK", chunk)

    def read(path: Path) -> dict[str, tuple[object, ...]]:
        found = {}
        for contig, codes in read_contigs(path):
            name, *record = astuple(contig)
            assert len(codes) == contig.length
            found[name] = (letters_of(codes.tolist()), *record)
        return found

    def judge(data: bytes) -> Judgement:
        judged = plain_fasta(data)
        if not isinstance(judged, Good):
            return judged
        contigs: dict[str, tuple[bytes, int]] = judged.value  # type: ignore[assignment]
        return Good({name: (as_read(letters), *record) for name, (letters, *record) in contigs.items()})

    given = corpus("fasta/*.fa*") + corpus("good/ref.fa") if chunk > LONGEST_SEED else []
    sweep(tmp_path, FASTA_SEEDS + given, judge, read, f"genome-{chunk}.fa")


def test_genomes_that_are_accepted_read_the_same_at_any_place(tmp_path: Path) -> None:
    chance, path, opened = random.Random("places"), tmp_path / "genome.fa", 0
    for data in cases(FASTA_SEEDS, "places")[:3000]:
        judged = plain_fasta(data)
        if not isinstance(judged, Good):
            continue
        path.write_bytes(data)
        try:
            genome = Genome(path)
        except DilannotError as error:
            assert data[:2] == b"\x1f\x8b", error  # noqa: PT017 (only where an archive has two readers)
            assert error.problem.startswith(("corrupt", "truncated", "samtools cannot index it")), error  # noqa: PT017
            assert error.where == path  # noqa: PT017
            continue
        opened += 1
        contigs: dict[str, tuple[bytes, int]] = judged.value  # type: ignore[assignment]
        assert genome.lengths == {name: length for name, (_, length, *_) in contigs.items()}
        for name, (letters, length, *_) in contigs.items():
            start = chance.randrange(length)
            end = chance.randint(start + 1, length)
            for first, last in ((0, length), (start, end)):
                assert letters_of(genome.fetch(name, first, last).tolist()) == as_read(letters)[first:last], data
    assert opened > 300


def letters_of(codes: list[int]) -> str:
    return "".join(map("NACGT".__getitem__, codes))


def as_read(letters: bytes) -> str:
    """Ambiguous letters are read as N."""
    return "".join(letter if letter in "ACGT" else "N" for letter in letters.decode())


def test_marker_tables(tmp_path: Path) -> None:
    peaks = tmp_path / "peaks"
    peaks.mkdir()
    for name in PEAK_FILES:
        (peaks / name).write_bytes(b"chr1\t1\t2\n")

    def read(path: Path) -> list[tuple[str, str]]:
        found = find_inputs([peaks], [str(path)])
        assert [file.name for file in found.files] == [marker.file for marker in found.markers]
        return [(marker.file, marker.name) for marker in found.markers]

    sweep(tmp_path, TABLE_SEEDS, plain_table, read, "markers.tsv")


def test_regions() -> None:
    seeds = ["chr1", "chr1:1-100", "chr1:1,000-2,000", "chr2:5-", "chr1:-40", "HLA:01:7:2-3", "chr1:1-5:3-9", "chr1:7"]
    chance = random.Random("regions")
    outcomes = {"good": 0, "bad": 0}
    for number in range(MUTATIONS):
        text = mutated(chance.choice(seeds).encode(), chance).decode("utf-8", "surrogateescape") if number else "9"

        def read(text: str = text) -> tuple[str, int, int, bool]:
            interval, warning = parse_region(text, GENOME)
            return interval.contig, interval.start, interval.end, warning is not None

        outcomes[compare(plain_region(text), read, f"region {text}", archive=False)] += 1
    assert min(outcomes.values()) > MUTATIONS / 20, outcomes


def test_a_region_of_five_thousand_digits_is_refused() -> None:
    with pytest.raises(DilannotError, match="cannot read"):
        parse_region("chr1:1-" + "9" * 5000, GENOME)


def test_the_comparison_can_fail(tmp_path: Path) -> None:
    """Negative control: parsers that drop a row, name no line or raise something else are found out."""
    path = tmp_path / "peaks.bed"
    path.write_bytes(BED_SEEDS[0])
    judged = plain_bed(BED_SEEDS[0])

    def no_line() -> None:
        raise DilannotError("somehow wrong", where=path)

    with pytest.raises(AssertionError):
        compare(judged, list, str(path), archive=False)
    with pytest.raises(AssertionError):
        compare(plain_bed(b"chr1\t5\t4\n"), no_line, str(path), archive=False)
    with pytest.raises(AssertionError):
        compare(plain_bed(b"chr1\t5\t4\n"), list, str(path), archive=False)
