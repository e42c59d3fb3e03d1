"""Downloads from a server that stalls, lies, changes its mind and hangs up: whole files or none."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
from collections.abc import Iterator
from contextlib import nullcontext
from email.utils import formatdate
from pathlib import Path

import file_server
import pytest
from file_server import File, Server

from dilannot.data.download import fetch as fetching
from dilannot.data.download.download import Summary, download, plan
from dilannot.data.download.fetch import Remote
from dilannot.data.download.parallel import map_in_threads
from dilannot.data.download.sources import BLACKLISTS, HG19, peak_files, through_mirror
from dilannot.errors import DilannotError
from dilannot.outputs import locked
from dilannot.progress import Silent

DATA = gzip.compress(random.Random(1).randbytes(300_000), 1, mtime=0)
OTHER = gzip.compress(random.Random(2).randbytes(290_000), 1, mtime=0)
MD5 = hashlib.md5(DATA).hexdigest()
PATH = "/peaks/a.bed.gz"


@pytest.fixture(scope="module")
def one_server() -> Iterator[Server]:
    with file_server.serving() as running:
        yield running


@pytest.fixture
def server(one_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(fetching, "FIRST_DELAY", 0.005)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    one_server.files, one_server.asked = {PATH: File(DATA)}, []
    return one_server


class Listening(Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def get(server: Server, folder: Path, *, md5: str = "", path: str = PATH, **options: object) -> Summary:
    remote = Remote(path.rpartition("/")[2], server.url + path, md5)
    return download([remote], folder, **{"timeout": 2.0, "retries": 3, **options})  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def part_of(server: Server, folder: Path, count: int) -> None:
    """Leave the first `count` bytes behind, as an interrupted run does."""
    server.files[PATH].faults = [file_server.drop_after(count)]
    with pytest.raises(DilannotError, match="connection was closed after"):
        get(server, folder, retries=0)
    assert names(folder) == [".a.bed.gz.part", ".a.bed.gz.part.json"]
    assert (folder / ".a.bed.gz.part").stat().st_size == count


def test_a_whole_file(server: Server, tmp_path: Path) -> None:
    summary = get(server, tmp_path / "new" / "folder", md5=MD5)
    assert (tmp_path / "new/folder/a.bed.gz").read_bytes() == DATA
    assert names(tmp_path / "new/folder") == ["a.bed.gz"]
    assert summary == Summary(fetched=1, there=0, checked=1, bytes=len(DATA))
    assert str(summary) == "fetched 1 (0.3 MB): 1 verified by checksum, 0 by size and gzip"


@pytest.mark.parametrize(
    "faults",
    [
        [file_server.drop_after(0)],
        [file_server.drop_after(1)],
        [file_server.drop_after(len(DATA) - 1)],
        [file_server.drop_after(100_000), file_server.drop_after(100_000)],
        [file_server.promise(len(DATA) + 10)],
        [file_server.status(500), file_server.status(429), file_server.drop_after(5)],
        [lambda handler, _: None],
        [lambda handler, _: handler.send(b"SSH-2.0-OpenSSH\r\n")],
    ],
    ids=["nothing", "one byte", "all but one", "twice", "promises more", "busy", "no answer", "no HTTP"],
)
def test_faults_that_pass(server: Server, tmp_path: Path, faults: list[file_server.Fault]) -> None:
    server.files[PATH].faults = faults
    assert get(server, tmp_path).fetched == 1
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA
    assert names(tmp_path) == ["a.bed.gz"]


def test_a_dropped_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    part_of(server, tmp_path, 200_000)
    get(server, tmp_path)
    assert [each.range for each in server.gets(PATH)] == [None, "bytes=200000-"]
    assert sum(each.sent for each in server.gets(PATH)) == len(DATA)
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA


def test_a_stall_ends_after_the_timeout_and_resumes(server: Server, tmp_path: Path) -> None:
    server.files[PATH].faults = [file_server.stall_after(50_000)]
    began = time.monotonic()
    get(server, tmp_path, timeout=0.3)
    assert 0.25 < time.monotonic() - began < 2
    assert server.gets(PATH)[1].range == "bytes=50000-"
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA


def test_attempts_that_bring_something_do_not_count(server: Server, tmp_path: Path) -> None:
    server.files[PATH].faults = [file_server.drop_after(20_000) for _ in range(10)]
    get(server, tmp_path, retries=1)
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA


def test_a_server_without_ranges_is_asked_for_the_whole(server: Server, tmp_path: Path) -> None:
    part_of(server, tmp_path, 200_000)
    server.files[PATH].ranges = False
    get(server, tmp_path)
    assert server.gets(PATH)[-1].sent == len(DATA)
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA


PLAIN, CHANGED = random.Random(3).randbytes(50_000), random.Random(4).randbytes(50_000)


@pytest.mark.parametrize("fault", ["", "other piece", "no tag"])
def test_a_changed_file_is_never_joined_to_an_old_part(server: Server, tmp_path: Path, fault: str) -> None:
    """Of the same length and without a checksum, so that nothing later would find out."""
    server.files["/a.bed"] = File(PLAIN, faults=[file_server.drop_after(20_000)])
    with pytest.raises(DilannotError, match="connection was closed after"):
        get(server, tmp_path, path="/a.bed", retries=0)
    server.files["/a.bed"] = changed = File(CHANGED, '"two"')
    if fault == "other piece":  # sent although the tag differs
        changed.faults = [file_server.rude(CHANGED[20_000:], 20_000, len(CHANGED))]
    if fault == "no tag":
        changed.tell = False
    get(server, tmp_path, path="/a.bed")
    assert (tmp_path / "a.bed").read_bytes() == CHANGED


def test_a_part_from_another_server_is_not_used(server: Server, tmp_path: Path) -> None:
    server.files["/a.bed"] = File(PLAIN, faults=[file_server.drop_after(20_000)])
    with pytest.raises(DilannotError, match="connection was closed after"):
        get(server, tmp_path, path="/a.bed", retries=0)
    server.files["/mirror/a.bed"] = File(CHANGED)  # its tag is the same
    get(server, tmp_path, path="/mirror/a.bed")
    assert (tmp_path / "a.bed").read_bytes() == CHANGED


@pytest.mark.parametrize("etag", ["", 'W/"one"'])
def test_without_a_validator_nothing_is_resumed(server: Server, tmp_path: Path, etag: str) -> None:
    server.files[PATH].etag = etag
    part_of(server, tmp_path, 200_000)
    get(server, tmp_path)
    assert [each.range for each in server.gets(PATH)] == [None, None]
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA


def test_a_piece_that_was_not_asked_for_starts_over(server: Server, tmp_path: Path) -> None:
    part_of(server, tmp_path, 200_000)
    server.files[PATH].faults = [file_server.rude(DATA[100:], 100, len(DATA))]
    get(server, tmp_path)
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA


def test_a_part_longer_than_the_file_now(server: Server, tmp_path: Path) -> None:
    part_of(server, tmp_path, 200_000)
    server.files[PATH].data = short = gzip.compress(b"chr1\t1\t2\n")  # 416
    get(server, tmp_path)
    assert (tmp_path / "a.bed.gz").read_bytes() == short


def test_a_whole_part_is_only_verified(server: Server, tmp_path: Path) -> None:
    part_of(server, tmp_path, 200_000)
    with open(tmp_path / ".a.bed.gz.part", "ab") as file:
        file.write(DATA[200_000:])
    get(server, tmp_path)
    assert len(server.gets(PATH)) == 1
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA


def test_a_part_whose_record_is_damaged_is_not_used(server: Server, tmp_path: Path) -> None:
    part_of(server, tmp_path, 200_000)
    (tmp_path / ".a.bed.gz.part.json").write_text("[1")
    get(server, tmp_path)
    assert server.gets(PATH)[-1].range is None
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA


def test_more_than_promised(server: Server, tmp_path: Path) -> None:
    part_of(server, tmp_path, 200_000)
    server.files[PATH].faults = [file_server.chunked(DATA[200_000:] + b"more", len(DATA))]
    with pytest.raises(DilannotError, match="more than the"):
        get(server, tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("md5", ["", MD5])
def test_a_length_that_is_too_short_is_found_out(server: Server, tmp_path: Path, md5: str) -> None:
    server.files[PATH].faults = [file_server.promise(len(DATA) - 100)]
    get(server, tmp_path, md5=md5)
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA
    server.files[PATH].faults = [file_server.promise(len(DATA) - 100)] * 2
    with pytest.raises(DilannotError, match="has MD5" if md5 else "truncated gzip"):
        get(server, tmp_path, md5=md5, force=True)
    assert names(tmp_path) == ["a.bed.gz"]


def test_wrong_bytes_are_fetched_once_more_and_then_refused(server: Server, tmp_path: Path) -> None:
    server.files[PATH].faults = [file_server.instead(OTHER)]
    get(server, tmp_path, md5=MD5)
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA
    server.files[PATH] = File(OTHER)
    with pytest.raises(DilannotError) as caught:
        get(server, tmp_path / "b", md5=MD5)
    assert MD5 in str(caught.value)
    assert hashlib.md5(OTHER).hexdigest() in str(caught.value)
    assert caught.value.exit_code == 1
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"", DATA[:-3], DATA[:1000] + b"x" + DATA[1001:]])
def test_what_is_no_gzip_is_refused(server: Server, tmp_path: Path, body: bytes) -> None:
    server.files[PATH] = File(body)
    server.files[PATH].faults = [file_server.instead(body)] * 2
    with pytest.raises(DilannotError, match=r"gzip.*twice"):
        get(server, tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 416, 451])
def test_refusals_end_at_once(server: Server, tmp_path: Path, code: int) -> None:
    server.files[PATH].faults = [file_server.status(code)] * 9
    with pytest.raises(DilannotError, match=rf"{PATH}.*HTTP {code}") as caught:
        get(server, tmp_path)
    assert caught.value.exit_code == 1
    assert len(server.gets(PATH)) == 1


def test_retries_end(server: Server, tmp_path: Path) -> None:
    server.files[PATH].faults = [file_server.status(503)] * 9
    with pytest.raises(DilannotError, match=r"HTTP 503.*3 attempts.*again") as caught:
        get(server, tmp_path, retries=2)
    assert caught.value.exit_code == 3
    assert len(server.gets(PATH)) == 3


@pytest.mark.parametrize("dated", [False, True])
def test_the_server_says_when_to_come_back(server: Server, tmp_path: Path, dated: bool) -> None:
    when = formatdate(time.time() + 2, usegmt=True) if dated else "1"
    server.files[PATH].faults = [file_server.status(503, Retry_After=when)]
    began = time.monotonic()
    get(server, tmp_path)
    assert 0.9 < time.monotonic() - began < 3


def test_nobody_waits_for_a_day(server: Server, tmp_path: Path) -> None:
    server.files[PATH].faults = [file_server.status(503, Retry_After="86400")]
    with pytest.raises(DilannotError, match="asks to wait 86,400 s") as caught:
        get(server, tmp_path)
    assert caught.value.exit_code == 3


def test_redirects(server: Server, tmp_path: Path) -> None:
    server.files["/moved/a.bed.gz"] = File(b"", faults=[file_server.status(302, Location=PATH)] * 3)
    part = file_server.drop_after(100_000)
    server.files[PATH].faults = [part]
    get(server, tmp_path, path="/moved/a.bed.gz")
    assert server.gets(PATH)[1].range == "bytes=100000-"
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA


@pytest.mark.parametrize("target", [PATH, "file:///etc/passwd", "ftp://127.0.0.1/a", "data:,x"])
def test_redirects_that_are_not_followed(server: Server, tmp_path: Path, target: str) -> None:
    server.files[PATH].faults = [file_server.status(301, Location=target)] * 99
    with pytest.raises(DilannotError, match="redirected in circles or away from http") as caught:
        get(server, tmp_path)
    assert caught.value.exit_code == 1
    assert len(server.gets(PATH)) <= 10
    assert names(tmp_path) == []


def test_a_long_chain_of_redirects_ends(server: Server, tmp_path: Path) -> None:
    for step in range(30):
        server.files[f"/{step}/a.bed.gz"] = File(
            b"", faults=[file_server.status(302, Location=f"/{step + 1}/a.bed.gz")]
        )
    with pytest.raises(DilannotError, match="redirected in circles"):
        get(server, tmp_path, path="/0/a.bed.gz")
    assert len([each for each in server.asked if each.method == "GET"]) < 15


def test_through_a_proxy(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.files["http://far.invalid/a.bed.gz"] = File(DATA, faults=[file_server.drop_after(100_000)])
    download([Remote("a.bed.gz", "http://far.invalid/a.bed.gz")], tmp_path)
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA


def test_a_certificate_nobody_vouches_for_is_not_tried_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = ssl.SSLCertVerificationError("self-signed")
    refused.verify_message = "self-signed certificate"

    def fail(*_: object, **__: object) -> None:
        raise urllib.error.URLError(refused)

    monkeypatch.setattr("urllib.request.OpenerDirector.open", fail)
    with pytest.raises(DilannotError, match=r"cannot be verified \(self-signed certificate\)") as caught:
        get(server, tmp_path)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a.gz"])
def test_only_the_web(tmp_path: Path, url: str) -> None:
    with pytest.raises(DilannotError, match="no http or https"):
        download([Remote("a.gz", url)], tmp_path)


def test_what_is_there_and_whole_stays(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path, md5=MD5)
    before = (tmp_path / "a.bed.gz").stat().st_mtime_ns
    server.asked.clear()
    assert get(server, tmp_path, md5=MD5) == Summary(0, 1, 0, 0)
    assert str(get(server, tmp_path)) == "nothing fetched, 1 already there"
    assert server.asked == []
    assert (tmp_path / "a.bed.gz").stat().st_mtime_ns == before
    for stale in (".a.bed.gz.part", ".a.bed.gz.part.json"):
        (tmp_path / stale).touch()
    get(server, tmp_path)
    assert names(tmp_path) == ["a.bed.gz"]
    assert get(server, tmp_path, force=True).fetched == 1


def test_what_is_there_and_is_something_else_stays_too(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bed.gz").write_bytes(OTHER)
    with pytest.raises(DilannotError, match=r"is there already and has MD5.*--force"):
        get(server, tmp_path, md5=MD5)
    assert (tmp_path / "a.bed.gz").read_bytes() == OTHER
    get(server, tmp_path, md5=MD5, force=True)
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA


def test_a_folder_in_the_way(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bed.gz").mkdir()
    with pytest.raises(DilannotError, match="is there already and is no file"):
        get(server, tmp_path)


def many(server: Server, count: int = 12) -> list[Remote]:
    for number in range(count):
        server.files[f"/many/{number}.bed.gz"] = File(gzip.compress(b"%d" % number * 5000))
    return [Remote(f"{number}.bed.gz", f"{server.url}/many/{number}.bed.gz") for number in range(count)]


def test_the_others_go_on_when_some_fail(server: Server, tmp_path: Path) -> None:
    remotes = many(server)
    del server.files["/many/3.bed.gz"]
    server.files["/many/7.bed.gz"].faults = [file_server.status(403)] * 9
    with pytest.raises(DilannotError, match=r"2 of 12 files could not be fetched: 3.bed.gz, 7.bed.gz") as caught:
        download(remotes, tmp_path, retries=0)
    assert caught.value.exit_code == 1
    assert names(tmp_path) == sorted(remote.name for remote in remotes if remote.name[0] not in "37")
    server.files["/many/3.bed.gz"] = File(DATA)
    server.files["/many/7.bed.gz"].faults = []
    assert download(remotes, tmp_path).fetched == 2


def test_a_server_that_cannot_be_reached_is_not_asked_for_every_file(server: Server, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{free.getsockname()[1]}"
    heard = Listening()
    with pytest.raises(DilannotError, match="200 of 200 files") as caught:
        download(through_mirror(many(server, 200), dead), tmp_path / "new", retries=2, progress=heard)
    assert caught.value.exit_code == 3
    assert sum("3 attempts" in warning for warning in heard.warnings) <= 4
    assert sum("not tried" in warning for warning in heard.warnings) >= 196
    assert not (tmp_path / "new").exists()


def test_checksums_beside_the_files(server: Server, tmp_path: Path) -> None:
    remotes = many(server, 4)
    digest = hashlib.md5(server.files["/many/0.bed.gz"].data).hexdigest()
    listed = f"{digest}  0.bed.gz\n{'0' * 32} *./1.bed.gz\nnonsense\n\n{'z' * 32}  2.bed.gz\n"
    server.files["/many/md5sum.txt"] = File(listed.encode())
    with pytest.raises(DilannotError, match=r"1 of 4 files could not be fetched: 1.bed.gz"):
        download(remotes, tmp_path)
    assert len(server.gets("/many/md5sum.txt")) == 1
    assert names(tmp_path) == ["0.bed.gz", "2.bed.gz", "3.bed.gz"]
    summary = download([remote for remote in remotes if remote.name[0] != "1"], tmp_path, force=True)
    assert (summary.fetched, summary.checked) == (3, 1)


def test_the_disk_is_looked_at_first(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(DilannotError, match="MB are free") as caught:
        get(server, tmp_path)
    assert caught.value.exit_code == 3
    assert server.gets(PATH) == []


def test_the_plan(server: Server, tmp_path: Path) -> None:
    remotes = [*many(server, 3), Remote("gone.gz", f"{server.url}/gone.gz")]
    download(remotes[:1], tmp_path)
    (tmp_path / "1.bed.gz").write_bytes(b"x")
    sizes = [len(server.files[f"/many/{number}.bed.gz"].data) for number in range(3)]
    server.asked.clear()
    found = plan(remotes, tmp_path)
    assert [each.here for each in found] == ["there", "differs", "missing", "missing"]
    assert [each.size for each in found] == [*sizes, None]
    assert {each.method for each in server.asked} == {"HEAD"}
    assert names(tmp_path) == ["0.bed.gz", "1.bed.gz"]


def test_sizes_behind_a_redirect_are_asked_not_fetched(server: Server, tmp_path: Path) -> None:
    server.files["/moved.gz"] = moved = File(b"")
    moved.etag = ""

    def head(handler: file_server.Handler) -> None:
        file_server.status(302, Location=PATH)(handler, moved)

    original = file_server.Handler.do_HEAD
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            file_server.Handler,
            "do_HEAD",
            lambda handler: head(handler) if handler.path == "/moved.gz" else original(handler),
        )
        assert plan([Remote("a.gz", f"{server.url}/moved.gz")], tmp_path)[0].size == len(DATA)
    assert server.gets(PATH) == []


def test_another_download_into_the_same_folder_is_refused(server: Server, tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(DilannotError, match="another dilannot"):
        get(server, tmp_path)


def test_mirrors() -> None:
    (moved,) = through_mirror(HG19, "http://localhost:81/ucsc/")
    assert moved.url == "http://localhost:81/ucsc/goldenPath/hg19/bigZips/hg19.fa.gz"
    assert (moved.name, moved.md5) == (HG19[0].name, HG19[0].md5)
    for wrong in ("file:///tmp", "ucsc.edu", "", "http://", "https://a?b", "ftp://a"):
        with pytest.raises(DilannotError, match="--mirror"):
            through_mirror(HG19, wrong)


def test_the_sources() -> None:
    remotes = [*HG19, *BLACKLISTS, *peak_files()]
    assert len(remotes) == 1 + 3 + 919
    assert len({remote.name for remote in remotes}) == len({remote.url for remote in remotes}) == len(remotes)
    assert all(remote.url.startswith("https://") and remote.url.endswith(f"/{remote.name}") for remote in remotes)
    assert all(remote.md5 == "" or len(remote.md5) == 32 for remote in remotes)


def test_progress_adds_up(server: Server, tmp_path: Path) -> None:
    moved: list[float] = []

    class Counting(Silent):
        def task(self, title: str, total: float | None):  # type: ignore[no-untyped-def, override]
            assert total == len(DATA)
            counter = type("Counter", (), {"advance": lambda _, amount, note="": moved.append(amount)})
            return nullcontext(counter())

    part_of(server, tmp_path, 200_000)
    server.files[PATH].faults = [file_server.drop_after(10), file_server.instead(OTHER)]
    get(server, tmp_path, md5=MD5, progress=Counting())
    assert sum(moved) == len(DATA)


def test_threads_are_not_waited_for() -> None:
    stop, held = threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number == 3:
            raise KeyboardInterrupt
        held.wait(20 if number == 2 else 0)
        return number * 2

    assert map_in_threads(work, [0, 1], threads=4, stop=stop) == [0, 2]
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        map_in_threads(work, [0, 1, 2, 3, 1, 1], threads=2, stop=stop)
    assert time.monotonic() - began < 3
    held.set()


def _run(server: Server, folder: Path) -> subprocess.Popen[str]:
    remote = Remote("a.bed.gz", server.url + PATH, MD5)
    code = (
        "import sys; from pathlib import Path; from dilannot.cli.console import start; "
        "from dilannot.data.download.download import download; from dilannot.data.download.fetch import Remote; "
        f"download([{remote!r}], Path({str(folder)!r}), timeout=5, progress=start(quiet=False))"
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("stalled", [False, True])
def test_killed_and_gone_on_with(server: Server, tmp_path: Path, number: signal.Signals, stalled: bool) -> None:
    half = len(DATA) // 2
    fault = file_server.stall_after(half + 1) if stalled else file_server.trickle(10_000, 0.01)
    server.files[PATH].faults = [fault]
    part = tmp_path / ".a.bed.gz.part"
    with _run(server, tmp_path) as process:
        deadline = time.monotonic() + 10
        while not (part.exists() and part.stat().st_size > half):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(number)
        began = time.monotonic()
        error = process.communicate(timeout=10)[1]
        assert time.monotonic() - began < 3
    assert process.returncode != 0
    if number != signal.SIGKILL:
        assert "run the same command again" in error
    assert {".a.bed.gz.part", ".a.bed.gz.part.json"} <= set(names(tmp_path)) <= {
        ".a.bed.gz.part", ".a.bed.gz.part.json", ".dilannot.lock"
    }  # fmt: skip
    kept = part.stat().st_size
    server.asked.clear()
    get(server, tmp_path, md5=MD5)
    assert (tmp_path / "a.bed.gz").read_bytes() == DATA
    assert names(tmp_path) == ["a.bed.gz"]
    assert [(each.range, each.sent) for each in server.gets(PATH)] == [(f"bytes={kept}-", len(DATA) - kept)]


def test_a_checksum_list_that_cannot_be_read_is_said(server: Server, tmp_path: Path) -> None:
    heard = Listening()
    server.files["/peaks/md5sum.txt"] = File(b"", faults=[file_server.status(503)])
    assert get(server, tmp_path, progress=heard).checked == 0
    assert len(heard.warnings) == 1
    assert "md5sum.txt: HTTP 503" in heard.warnings[0]
