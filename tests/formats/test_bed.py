from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dilannot.errors import DilannotError
from dilannot.formats.bed import read_intervals

ROWS = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr10", "1", "scaffold|7"]), st.integers(0, 10**9), st.integers(1, 10**6)),
    min_size=1,
    max_size=20,
)


def read(path: Path) -> list[tuple[str, int, int]]:
    found = read_intervals(path)
    names = [found.contigs[i] for i in found.contig]
    return list(zip(names, found.start.tolist(), found.end.tolist(), strict=True))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, extra=st.integers(0, 17), crlf=st.booleans(), last=st.booleans())
def test_what_is_written_is_read(
    tmp_path: Path, rows: list[tuple[str, int, int]], extra: int, crlf: bool, last: bool
) -> None:
    end = "\r\n" if crlf else "\n"
    lines = [f"{name}\t{start}\t{start + width}" + "\tx" * extra for name, start, width in rows]
    path = tmp_path / "peaks.bed"
    path.write_bytes((end.join(lines) + end * last).encode())
    assert read(path) == [(name, start, start + width) for name, start, width in rows]


def test_headers_and_blank_lines_are_passed_over_and_lines_still_counted(tmp_path: Path) -> None:
    path = tmp_path / "peaks.bed"
    path.write_bytes(
        b"# comment\ntrack name=x\nbrowser position chr1\n\nchr1\t1\t2\n \t \nbrowserish\t3\t4\ntrackless\t5\t6\r\n"
    )
    found = read_intervals(path)
    assert found.line.tolist() == [5, 7, 8]
    assert read(path) == [("chr1", 1, 2), ("browserish", 3, 4), ("trackless", 5, 6)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"chr1\t-5\t10", "start is negative"),
        (b"chr1\t+5\t10", "start is not an integer"),
        (b"chr1\t1e3\t2000", "start is not an integer"),
        (b"chr1\t1_0\t20", "start is not an integer"),
        ("chr1\t٣\t20".encode(), "start is not an integer"),
        (b"chr1\t5\t", "end is not an integer"),
        (b"chr1\t5\t99999999999", "end is not an integer"),
        (b"chr1\t5\t5", "the interval is empty"),
        (b"chr1\t9\t5", "the interval is empty"),
        (b"chr1 5 9", "fewer than 3 tab-separated columns"),
        (b"chr1\t5", "fewer than 3 tab-separated columns"),
        (b"\t5\t9", "contig: empty"),
        (b"ch\x00r\t5\t9", "NUL"),
        (b"ch\xff\t5\t9", "not UTF-8"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "bad.bed"
    path.write_bytes(b"chr1\t1\t2\n" + line + b"\nchr1\t3\t4\n")
    with pytest.raises(DilannotError, match=message) as error:
        read_intervals(path)
    assert error.value.line == 2


def test_nothing_is_used_of_a_damaged_archive(tmp_path: Path) -> None:
    path = tmp_path / "peaks.bed.gz"
    data = gzip.compress(b"chr1\t1\t2\n" * 500, mtime=0)
    for cut in range(1, len(data)):
        path.write_bytes(data[:cut])
        with pytest.raises(DilannotError):
            read_intervals(path)
    path.write_bytes(data[:-6] + bytes([data[-6] ^ 1]) + data[-5:])
    with pytest.raises(DilannotError, match="corrupt"):
        read_intervals(path)


def test_an_empty_file_is_a_failed_download_but_an_empty_archive_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.bed").write_bytes(b"")
    with pytest.raises(DilannotError, match="empty"):
        read_intervals(tmp_path / "a.bed")
    (tmp_path / "b.bed.gz").write_bytes(gzip.compress(b""))
    assert len(read_intervals(tmp_path / "b.bed.gz").start) == 0
