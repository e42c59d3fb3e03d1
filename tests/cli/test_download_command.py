"""`dilannot download` as a user types it, against a server on this machine."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import file_server
import pytest
from conftest import Cli
from file_server import File, Server

from dilannot.data.download import fetch as fetching
from dilannot.data.download import sources
from dilannot.data.download.sources import BLACKLISTS, HG19, peak_files

DATA = gzip.compress(b"chr1\t10\t20\n" * 100)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fetching, "FIRST_DELAY", 0.005)
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    with file_server.serving() as running:
        for remote in (*peak_files(), *BLACKLISTS[1:]):
            running.files[f"/mirror{urlsplit(remote.url).path}"] = File(DATA)
        yield running


def test_a_choice_of_peak_files(cli: Cli, server: Server) -> None:
    arguments = (
        "download",
        "deepsea-peaks",
        "--mirror",
        f"{server.url}/mirror/",
        "--cell",
        "GM12878",
        "--target",
        "ctcf",
    )
    dry = cli(*arguments, "--dry-run")
    assert dry.code == 0, dry.err
    assert dry.out.splitlines()[0] == "file\tstate\tbytes here\tbytes"
    assert dry.out.splitlines()[1] == f"wgEncodeAwgTfbsBroadGm12878CtcfUniPk.narrowPeak.gz\tmissing\t0\t{len(DATA)}"
    assert dry.out.splitlines()[-1] == "total: 4 files, 0.0 MB, of which 0.0 MB to fetch"
    assert not Path("peaks").exists()
    result = cli(*arguments, "-j", "2")
    assert result.code == 0, result.err
    assert len(list(Path("peaks").iterdir())) == 4
    assert "peaks: fetched 4 (0.0 MB): 0 verified by checksum, 4 by size and gzip" in result.err
    assert "next: dilannot build-data hg19.fa.gz peaks/" in result.err
    assert result.out == ""
    again = cli(*arguments)
    assert "nothing fetched, 4 already there" in again.err
    assert "\tthere\t" in cli(*arguments, "--dry-run").out
    listed = cli("markers", "peaks")
    assert [line.split("\t")[1] for line in listed.out.splitlines()[1:]] == [
        "GM12878|CTCF|None", *(f"GM12878|CTCF|None.{number}" for number in (2, 3, 4))
    ]  # fmt: skip


def test_the_genome(cli: Cli, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["/goldenPath/hg19/bigZips/hg19.fa.gz"] = File(gzip.compress(b">chr1\nACGT\n"))
    result = cli("download", "hg19", "--mirror", server.url)
    assert result.code == 1
    assert result.err.startswith("error: ")
    assert HG19[0].md5 in result.err
    assert not list(Path().iterdir())
    monkeypatch.setattr(sources, "HG19", (sources.replace(HG19[0], md5=""),))
    result = cli("download", "hg19", "--mirror", server.url, "-o", "genomes")
    assert result.code == 0, result.err
    assert result.err.endswith("next: dilannot build-data genomes/hg19.fa.gz peaks/\n")
    assert cli("download", "hg19", "--mirror", server.url, "-o", "genomes", "-q", "--force").err == ""


def test_blacklists_of_which_one_is_gone(cli: Cli, server: Server) -> None:
    result = cli("download", "blacklist", "--mirror", f"{server.url}/mirror", "--retries", 0)
    assert result.code == 1
    assert "warning: " in result.err
    assert "HTTP 404" in result.err
    assert "error: blacklist: 1 of 3 files could not be fetched: hg19-blacklist.v2.bed.gz" in result.err
    assert len(list(Path("blacklist").iterdir())) == 2
    dry = cli("download", "blacklist", "--mirror", f"{server.url}/mirror", "--dry-run")
    assert "hg19-blacklist.v2.bed.gz\tmissing\t0\tunknown" in dry.out
    assert "the size of 1 is unknown" in dry.out


def test_nobody_there(cli: Cli, server: Server) -> None:
    server.server_close()
    result = cli("download", "hg19", "--mirror", server.url, "--retries", 1)
    assert result.code == 3
    assert "cannot be reached" in result.err
    assert "2 attempts" in result.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["hg18"], 2),
        ([], 2),
        (["hg19", "--cell", "K562"], 2),
        (["hg19", "--jobs", "0"], 2),
        (["hg19", "--timeout", "0"], 2),
        (["hg19", "--mirror", "file:///tmp"], 1),
        (["deepsea-peaks", "--cell", "K563"], 1),
    ],
)
def test_what_is_refused_at_once(cli: Cli, server: Server, arguments: list[str], code: int) -> None:
    result = cli("download", *arguments)
    assert (result.code, result.out) == (code, "")
    assert not list(Path().iterdir())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(server: Server, number: signal.Signals, code: int) -> None:
    server.files["/goldenPath/hg19/bigZips/hg19.fa.gz"] = File(DATA, faults=[file_server.stall_after(20)])
    arguments = [sys.executable, "-m", "dilannot", "download", "hg19", "--mirror", server.url]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        while not (part := Path(".hg19.fa.gz.part")).exists() or part.stat().st_size < 20:
            time.sleep(0.01)
        process.send_signal(number)
        error = process.communicate(timeout=5)[1]
    assert process.returncode == code
    assert "run the same command again" in error
    assert "Traceback" not in error
    assert part.stat().st_size == 20
