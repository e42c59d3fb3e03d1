"""Motifs in: MEME text, JASPAR and its older matrices without letters, told apart by content and checked."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from dilannot.errors import DilannotError
from dilannot.formats.compression import open_bytes

_BASES = "ACGT"
_DEFAULT_SITES = 20.0  # MEME's own, where a file does not say
_TOLERANCE = 0.02 + 1e-9  # of a row's sum: published matrices are rounded; 0.98 itself is nearer to 1 than floats say
_MAX_FILE, _MAX_NAME, _MAX_NUMBER = 1 << 25, 255, 1e12  # bytes, bytes, sites
_REMEDY = "give MEME text or JASPAR matrices"
_MATRIX, _MOTIF = b"letter-probability matrix", (b"MOTIF ", b"MOTIF\t")
_AFTER_MATRIX = (_MATRIX, b"log-odds matrix", b"URL", *_MOTIF)
# Possessive, so that a line of megabytes cannot take quadratic time.
_NUMBER = re.compile(rb"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?")
_LIKE_NUMBER = re.compile(rb"[+-]?(?:\.?\d|nan\b|inf)", re.IGNORECASE)
_FIELD = re.compile(rb"\b(\w++)\s*+=\s*+(\S*+)")
_STATISTICS = re.compile(rb"\swidth\s*+=")  # what MEME's full output says behind a motif's name
_ALPHABET = re.compile(rb"ALPHABET(?:\s*=\s*(\S*)|\s|$)")
_QUOTED = re.compile(rb'"[^"]*"')
_COUNTS = re.compile(rb"(?:([ACGTUacgtu])(?![^\s\[]))?\s*+(?:\[([^\[\]]*+)\]|([^\[\]]++))?")


@dataclass(frozen=True, slots=True, eq=False)
class Motif:
    """How often each base stands at each position of a binding site.

    Attributes
    ----------
    identifier, name
        `name` is the identifier where the file gives no other.
    probabilities
        (width, 4) in the order A, C, G, T; rows sum to 1.
    sites
        Number of sites the matrix was counted from.
    """

    identifier: str
    name: str
    probabilities: NDArray[np.float64]
    sites: float

    @property
    def width(self) -> int:
        """Number of positions, bp."""
        return len(self.probabilities)

    def reverse_complement(self) -> Motif:
        """The same motif on the other strand; it keeps its names."""
        return replace(self, probabilities=self.probabilities[::-1, ::-1].copy())  # torch takes no negative strides

    def log_odds(self, pseudocount: float = 1.0) -> NDArray[np.float64]:
        """Log2 of probability over a background of 1/4, shape (width, 4).

        Parameters
        ----------
        pseudocount
            Sites added, spread evenly over the bases; with 0, a base that never occurs gets minus infinity.
        """
        smooth = (self.probabilities * self.sites + pseudocount / 4) / (self.sites + pseudocount)
        with np.errstate(divide="ignore"):
            scores: NDArray[np.float64] = np.log2(smooth * 4)
        return scores

    def information(self) -> NDArray[np.float64]:
        """Bits of each position against a background of 1/4, shape (width,): 0 to 2 (Schneider & Stephens 1990)."""
        occurring = np.where(self.probabilities > 0, self.probabilities, 1.0)
        bits: NDArray[np.float64] = 2 + (occurring * np.log2(occurring)).sum(axis=1)
        return np.clip(bits, 0, 2)


def read_motifs(path: Path) -> list[Motif]:
    """Read the motifs of a MEME text, JASPAR or raw matrix file, plain or compressed, in the order of the file.

    MEME's probabilities are renormalised; its `nsites`, 20 where absent or 0, are the sites. Counts of JASPAR are
    divided by their column's sum, and the mean of these sums are the sites. U is read as T. Lines with '#' and blank
    lines are passed over.

    Raises
    ------
    DilannotError
        With file and line: another kind of file, none or no complete motif, a number that is none, negative or not
        finite, rows that do not fit, probabilities off 1 by more than 0.02, a column without counts, another alphabet
        than that of DNA or RNA, an identifier twice; a damaged archive.
    """
    lines = _Lines(_content(path), path)
    motifs: dict[str, Motif] = {}
    for line, motif in _read_jaspar(lines) if lines.text.startswith(b">") else _read_meme(lines):
        if motif.identifier in motifs:
            lines.refuse(f"motif {motif.identifier!r} is there twice", "remove or rename one", line)
        motifs[motif.identifier] = motif
    if not motifs:
        raise DilannotError("no motif in it", where=path, remedy=_REMEDY)
    return list(motifs.values())


def _content(path: Path) -> bytes:
    """The unpacked bytes, when they can be the text of motifs."""
    with open_bytes(path) as stream:
        data = stream.read(_MAX_FILE + 1).removeprefix(b"\xef\xbb\xbf")  # Windows begins UTF-8 text so
    problems = {
        "empty: no motif in it": not data.strip(),
        "is an HTML or XML page, not a motif file": data.lstrip().startswith(b"<"),
        "is binary or UTF-16, not a motif file": b"\0" in data,
        "is larger than 32 MB, as no motif file is": len(data) > _MAX_FILE,
    }
    if problem := next((problem for problem, found in problems.items() if found), None):
        raise DilannotError(problem, where=path, remedy=_REMEDY)
    return data


class _Lines:
    """The lines that say something, one at a time; `text` is empty after the last."""

    def __init__(self, data: bytes, path: Path) -> None:
        self._path = path
        self._numbered = enumerate(io.BytesIO(data), start=1)
        self.text, self.number = b"", 0
        self.advance()

    def advance(self) -> bool:
        """Go to the next one, if there is one."""
        for number, line in self._numbered:
            self.text, self.number = line.strip(), number
            if self.text and not self.text.startswith(b"#"):
                return True
        self.text = b""
        return False

    def refuse(self, problem: str, remedy: str | None = None, line: int | None = None) -> NoReturn:
        """Name this line, or another."""
        raise DilannotError(problem, where=self._path, line=line or self.number, remedy=remedy)


def _read_meme(lines: _Lines) -> Iterator[tuple[int, Motif]]:
    """Motifs and their lines; whatever is neither alphabet nor motif is passed over."""
    first = lines.number
    while not lines.text.startswith(b"MEME version"):
        if not lines.advance():
            lines.refuse("is no motif file: no 'MEME version' line and no '>' header at its start", _REMEDY, first)
    while lines.text:
        if lines.text.startswith(_MOTIF):
            yield _meme_motif(lines)
        elif lines.text.startswith(_MATRIX):
            lines.refuse("a letter-probability matrix without a MOTIF line of its own")
        else:
            if told := _ALPHABET.match(lines.text):
                _check_alphabet(_defined_letters(lines) if told[1] is None else told[1].upper(), lines)
            lines.advance()


def _check_alphabet(letters: bytes, lines: _Lines) -> None:
    if letters not in (b"ACGT", b"ACGU"):
        kind = "of proteins" if len(letters) == 20 else repr(letters[:40].decode("utf-8", "replace"))
        lines.refuse(f"ALPHABET: is {kind}", "only motifs of DNA (ACGT) or RNA (ACGU) can be read")


def _defined_letters(lines: _Lines) -> bytes:
    """Core symbols, sorted, of an ALPHABET block; lines with '=' define ambiguous ones."""
    begin, symbols = lines.number, list[bytes]()
    while lines.advance() and not lines.text.startswith(b"END ALPHABET"):
        entry = _QUOTED.sub(b"", lines.text)
        if b"=" not in entry:
            symbols += [words[0].upper() for words in map(bytes.split, entry.split(b"~")) if words]
    if not lines.text:
        lines.refuse("ALPHABET: the block has no END ALPHABET", line=begin)
    return b"".join(sorted(symbols))


def _meme_motif(lines: _Lines) -> tuple[int, Motif]:
    begin = lines.number
    identifier, name = _names(_STATISTICS.split(lines.text[len(b"MOTIF") :], maxsplit=1)[0], lines)
    while lines.advance() and not lines.text.startswith((_MATRIX, *_MOTIF)):
        pass
    if not lines.text.startswith(_MATRIX):
        lines.refuse(f"motif {identifier!r} has no letter-probability matrix", line=begin)
    header, told, rows = lines.number, _matrix_header(lines), list[list[float]]()
    while lines.advance() and _is_row(lines.text, complete=len(rows) >= told.get("w", np.inf)):
        rows.append(_probabilities(lines))
    if not rows or len(rows) != told.get("w", len(rows)):
        expected = f" where its header says w= {told['w']:g}" if "w" in told else ""
        lines.refuse(f"w: motif {identifier!r} has {len(rows)} rows{expected}", "is the file complete?", header)
    table = np.array(rows)
    table /= table.sum(axis=1, keepdims=True)
    return begin, Motif(identifier, name, table, told.get("nsites") or _DEFAULT_SITES)


def _matrix_header(lines: _Lines) -> dict[str, float]:
    """Those of alength, w and nsites that are told."""
    fields = {key.decode(): value for key, value in _FIELD.findall(lines.text[len(_MATRIX) :])}
    told = {key: _number(fields[key], key, lines) for key in ("alength", "w", "nsites") if key in fields}
    if (letters := told.get("alength", 4)) != 4:
        kind = ": a protein motif" if letters == 20 else ""
        lines.refuse(f"alength: {letters:g} letters{kind}", "only motifs of DNA or RNA, with 4 letters, can be read")
    return told


def _is_row(text: bytes, *, complete: bool) -> bool:
    """Whether a line belongs to a matrix: with a number where one is expected, at the start where none is."""
    fields = text.split(None, 1)[:1] if complete else text.split(None, 4)
    return not text.startswith(_AFTER_MATRIX) and any(map(_LIKE_NUMBER.match, fields))


def _probabilities(lines: _Lines) -> list[float]:
    fields = lines.text.split(None, 4)
    if len(fields) != 4:
        lines.refuse("a row holds 4 probabilities (A, C, G, T), not fewer or more")
    row = [_number(field, "probability", lines) for field in fields]
    if abs(sum(row) - 1) > _TOLERANCE:
        lines.refuse(f"probabilities sum to {sum(row):.6g}, not to 1", "give probabilities, not counts or scores")
    return row


def _read_jaspar(lines: _Lines) -> Iterator[tuple[int, Motif]]:
    while lines.text:
        if not lines.text.startswith(b">"):
            lines.refuse("a '>' header belongs here, after four rows", "give one row for each of A, C, G and T")
        yield lines.number, _jaspar_motif(lines)


def _jaspar_motif(lines: _Lines) -> Motif:
    begin, (identifier, name) = lines.number, _names(lines.text[1:], lines)
    letters, rows = "", list[list[float]]()
    while lines.advance() and len(rows) < 4 and not lines.text.startswith(b">"):
        letter, counts = _counts(lines)
        if rows and len(counts) != len(rows[0]):
            lines.refuse(f"{len(counts)} counts where the first row of {identifier!r} has {len(rows[0])}")
        letters += letter
        rows.append(counts)
    if len(rows) < 4:
        lines.refuse(f"motif {identifier!r} has {len(rows)} of 4 rows", "is the file complete?", begin)
    if "".join(sorted(letters)) not in ("", _BASES):
        lines.refuse(f"motif {identifier!r} has rows for {letters!r}, not for A, C, G and T", line=begin)
    table = np.array([rows[(letters or _BASES).index(base)] for base in _BASES]).T
    total = table.sum(axis=1)
    if not total.all():
        lines.refuse(f"column {np.argmin(total) + 1} of motif {identifier!r} has no counts", line=begin)
    return Motif(identifier, name, table / total[:, None], float(total.mean()))


def _counts(lines: _Lines) -> tuple[str, list[float]]:
    """The letter of a row, if it has one, and its counts."""
    if len(lines.text) > 1 and lines.text.isalpha():
        lines.refuse("is a sequence: a FASTA file, not a motif file", _REMEDY)
    row = _COUNTS.fullmatch(lines.text)
    if row is None:
        lines.refuse("the brackets of this row do not match", "write it as A [ 1 2 3 ]")
    counts = [_number(field, "count", lines) for field in (row[2] or row[3] or b"").split()]
    if not counts:
        lines.refuse("a row without counts", "is the file complete?")
    return (row[1] or b"").decode().upper().replace("U", "T"), counts


def _number(text: bytes, what: str, lines: _Lines) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else np.nan
    if not 0 <= value <= _MAX_NUMBER:
        lines.refuse(
            f"{what}: is not a number from 0 to {_MAX_NUMBER:g} (got {text[:40].decode('utf-8', 'replace')!r})"
        )
    return value


def _names(text: bytes, lines: _Lines) -> tuple[str, str]:
    """Identifier and name behind it, or the identifier twice."""
    words = text.decode("utf-8", "surrogateescape").split()
    if not words:
        lines.refuse("motif: no identifier")
    if len(text) > _MAX_NAME or not "".join(words).isprintable():
        lines.refuse(f"motif: the name is not UTF-8, has a control character or more than {_MAX_NAME} bytes")
    return words[0], " ".join(words[1:]) or words[0]
