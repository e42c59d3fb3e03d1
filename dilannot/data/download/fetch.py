"""One file from a web server: resumed where it stopped, verified, and under its name only then."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dilannot.data.download.web import PassingError, PastEndError, content_length, describe, request
from dilannot.errors import ENVIRONMENT, DilannotError
from dilannot.formats.compression import compression, open_bytes
from dilannot.outputs import check_space, move_into_place, write_json

BLOCK = 1 << 18  # bytes
FIRST_DELAY = 1.0  # seconds before the second attempt; each further one waits twice as long
LONGEST_DELAY = 60.0
LONGEST_ASKED = 600.0  # seconds a server may ask to wait (Retry-After)
AGAIN = "run the same command again: it goes on where this stopped"


@dataclass(frozen=True, slots=True)
class Remote:
    """A file to fetch: its name here, its address, and its MD5 where that is known."""

    name: str
    url: str
    md5: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How to fetch: attempts in a row that may bring nothing, seconds without a byte, and what all threads share."""

    retries: int = 5
    timeout: float = 30.0
    stop: threading.Event = field(default_factory=threading.Event)
    silent_hosts: set[str] = field(default_factory=set)

    def check_stopped(self) -> None:
        """End this thread's work when the main thread has given up."""
        if self.stop.is_set():
            raise DilannotError("stopped", exit_code=ENVIRONMENT)


class Part:
    """The unfinished file, `.NAME.part`, and beside it which version of the remote file it is the beginning of."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.with_name(f".{final.name}.part")
        self._record = final.with_name(f".{final.name}.part.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def origin(self) -> dict[str, Any]:
        """`url`, `validator` (ETag or date) and `total` (bytes) as far as they were recorded."""
        try:
            record = json.loads(self._record.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def begin(self, url: str, validator: str, total: int | None) -> None:
        self.discard()
        write_json(self._record, {"url": url, "validator": validator, "total": total})
        self.path.touch()

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._record.unlink(missing_ok=True)

    def finish(self) -> None:
        move_into_place(self.path, self.final)
        self.discard()


Moved = Callable[[int], None]  # told how many bytes came; negative when some were thrown away


def fetch(remote: Remote, folder: Path, manner: Manner, moved: Moved) -> None:
    """Fetch `remote` into `folder`, going on with what an earlier attempt or run left there.

    A server that has another file by now, or knows no ranges, is asked for the whole again. A file that comes out
    damaged is fetched once more from its start.

    Raises
    ------
    DilannotError
        The server refuses it (exit code 1), sends something else than its checksum says (1), or cannot be reached (3).
    """
    part = Part(folder / remote.name)
    for last in (False, True):
        _receive_all(remote, part, manner, moved)
        problem = verify(part.path, remote)
        if problem is None:
            part.finish()
            return
        moved(-part.size)
        part.discard()
        if last:
            raise DilannotError(
                f"{problem}, twice", where=remote.url, remedy="try again later or another --mirror"
            ) from None


def verify(path: Path, remote: Remote, *, again: bool = False) -> str | None:
    """What is wrong with a whole file: another MD5 than expected, or a .gz that does not unpack to its end.

    `again` leaves out the unpacking where the MD5 says enough: for a genome it takes most of the time.
    """
    if remote.md5:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != remote.md5:
            return f"has MD5 {found}, not {remote.md5}"
    if not remote.name.endswith(".gz") or (again and remote.md5):
        return None
    try:
        if compression(path) == "plain":
            return "is not gzip"
        with open_bytes(path) as stream:
            while stream.read(BLOCK):
                pass
    except DilannotError as error:
        return f"is damaged: {error.problem}"
    return None


def _receive_all(remote: Remote, part: Part, manner: Manner, moved: Moved) -> None:
    """Attempts until the part is whole; those that brought something new do not count."""
    host, failures, furthest = urlsplit(remote.url).netloc, 0, part.size
    while True:
        manner.check_stopped()
        if host in manner.silent_hosts:
            raise DilannotError(f"not tried: {host} does not answer", where=remote.url, exit_code=ENVIRONMENT)
        try:
            _receive(remote, part, manner, moved)
            return
        except PassingError as reason:
            if part.size > furthest:
                failures, furthest = 0, part.size
            failures += 1
            if failures > manner.retries:
                if not reason.reached:
                    manner.silent_hosts.add(host)
                attempts = f"{failures} attempt{'s' if failures > 1 else ''}"
                raise DilannotError(
                    f"{reason} ({attempts})", where=remote.url, remedy=AGAIN, exit_code=ENVIRONMENT
                ) from None
            manner.stop.wait(_delay(failures, reason.after, remote.url))


def _delay(failures: int, asked: float | None, url: str) -> float:
    if asked is not None and asked > LONGEST_ASKED:
        raise DilannotError(
            f"the server is busy and asks to wait {asked:,.0f} s", where=url, remedy=AGAIN, exit_code=ENVIRONMENT
        )
    # Many clients that failed together should not come back together.
    own = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 10)) * random.uniform(0.5, 1.0)
    return own if asked is None else max(asked, own)


def _receive(remote: Remote, part: Part, manner: Manner, moved: Moved) -> None:
    """One request, from where the part ends if that is safe."""
    origin, offset = part.origin(), part.size
    validator = origin.get("validator") if origin.get("url") == remote.url else None
    if offset and validator and origin.get("total") == offset:
        return
    ranged = {"Range": f"bytes={offset}-", "If-Range": str(validator)} if offset and validator else {}
    try:
        response = request(remote.url, timeout=manner.timeout, headers=ranged)
    except PastEndError:
        if not ranged:
            raise DilannotError("the server refuses it: HTTP 416", where=remote.url) from None
        _start_over(part, moved, "the file on the server is shorter than what came of it")
    with response:
        total = _total(response, offset if ranged else 0)
        if response.status == 206 and not (ranged and total and _is_same(response, origin, total)):
            _start_over(part, moved, "the server sent another piece than asked for")
        if response.status != 206:
            moved(-offset)
            part.begin(remote.url, _validator(response), total)
        check_space(part.path.parent, (total or 0) - part.size, remote.name)
        _copy(response, remote, part, total, manner, moved)


def _start_over(part: Part, moved: Moved, reason: str) -> None:
    moved(-part.size)
    part.discard()
    raise PassingError(reason)


def _validator(response: http.client.HTTPResponse) -> str:
    """What tells two versions of a file apart; a weak ETag does not."""
    tag = str(response.headers.get("ETag", ""))
    return tag if tag.startswith('"') else str(response.headers.get("Last-Modified", ""))


def _total(response: http.client.HTTPResponse, offset: int) -> int | None:
    """Bytes of the whole file; None if the server does not say, or says what contradicts the request."""
    length = content_length(response)
    if response.status != 206:
        return length
    said = re.fullmatch(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})", response.headers.get("Content-Range", ""), re.ASCII)
    if said is None:
        return None
    first, last, total = map(int, said.groups())
    fits = first == offset and last == total - 1 and length in (None, total - offset)
    return total if fits else None


def _is_same(response: http.client.HTTPResponse, origin: dict[str, Any], total: int) -> bool:
    """A server may send a piece of a changed file although asked not to."""
    return _validator(response) in ("", origin.get("validator")) and origin.get("total") in (None, total)


def _copy(
    response: http.client.HTTPResponse, remote: Remote, part: Part, total: int | None, manner: Manner, moved: Moved
) -> None:
    size = part.size
    with open(part.path, "ab") as file:
        # No further than promised: a server that keeps the connection open would be waited for.
        while total is None or size < total or (response.chunked and size == total):
            try:
                block = response.read1(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise PassingError(describe(error, manner.timeout)) from None
            manner.check_stopped()
            if not block:
                break
            file.write(block)
            file.flush()
            size += len(block)
            moved(len(block))
    if total is not None and size > total:
        moved(-size)
        part.discard()
        raise DilannotError(f"the server sent more than the {total:,} bytes it promised", where=remote.url)
    if total is not None and size < total:
        raise PassingError(f"the connection was closed after {size:,} of {total:,} bytes")
