"""Many files from web servers into one folder: what is missing, how large it is, if it fits, and then all of it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from dilannot.data.download.fetch import AGAIN, Manner, Part, Remote, fetch, verify
from dilannot.data.download.parallel import map_in_threads
from dilannot.data.download.web import PassingError, PastEndError, content_length, request
from dilannot.errors import BAD_INPUT, ENVIRONMENT, DilannotError
from dilannot.outputs import check_space, locked, make_folder, removed_if_empty
from dilannot.progress import Progress, Silent, Task

_CHECKSUMS = "md5sum.txt"  # UCSC's lists, one a folder
_MOST_LISTED = 1 << 22  # bytes of such a list


@dataclass(frozen=True, slots=True)
class Planned:
    """A file before it is fetched: its size there (None if the server does not say) and what is here."""

    remote: Remote
    size: int | None
    here: Literal["there", "differs", "part", "missing"]
    bytes_here: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What a download did; `checked` counts the fetched files whose MD5 was known."""

    fetched: int
    there: int
    checked: int
    bytes: int

    def __str__(self) -> str:
        there = f", {self.there} already there" if self.there else ""
        if not self.fetched:
            return f"nothing fetched{there}"
        verified = f"{self.checked} verified by checksum, {self.fetched - self.checked} by size and gzip"
        return f"fetched {self.fetched} ({self.bytes / 1e6:,.1f} MB): {verified}{there}"


def plan(remotes: Sequence[Remote], folder: Path, *, jobs: int = 4, timeout: float = 30.0) -> list[Planned]:
    """Ask for the sizes and look at what is here; nothing is written."""
    manner = Manner(timeout=timeout)

    def look(remote: Remote) -> Planned:
        size, final, part = _size(remote, manner), folder / remote.name, Part(folder / remote.name)
        if final.exists():
            here = final.stat().st_size
            return Planned(remote, size, "there" if size in (None, here) else "differs", here)
        return Planned(remote, size, "part" if part.size else "missing", part.size)

    return map_in_threads(look, remotes, threads=jobs, stop=manner.stop)


def _size(remote: Remote, manner: Manner) -> int | None:
    """What a HEAD request says; a server that gives no answer is not asked again."""
    host = urlsplit(remote.url).netloc
    if host in manner.silent_hosts:
        return None
    try:
        with request(remote.url, timeout=manner.timeout, method="HEAD") as response:
            return content_length(response)
    except PassingError as reason:
        if not reason.reached:
            manner.silent_hosts.add(host)
    except (DilannotError, PastEndError):
        pass  # fetching it will say what is wrong; some servers only refuse HEAD
    return None


def download(
    remotes: Sequence[Remote],
    folder: Path,
    *,
    jobs: int = 4,
    retries: int = 5,
    timeout: float = 30.0,
    force: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Fetch what is not there yet, several files at a time; what an earlier run left unfinished is gone on with.

    Parameters
    ----------
    remotes
        The files.
    folder
        Made if it is not there.
    jobs
        Connections at a time.
    retries
        Attempts in a row that may bring nothing before a file is given up.
    timeout
        Seconds without a byte.
    force
        Fetch again what is there.

    Raises
    ------
    DilannotError
        At the end, when files could not be fetched (exit code 3 if trying again may help); others are there then.
    """
    progress, manner = progress or Silent(), Manner(retries, timeout)
    new = not folder.exists()
    make_folder(folder)
    with removed_if_empty(folder) if new else nullcontext(), locked(folder):
        try:
            run = _Run(folder, jobs, manner, progress)
            missing = list(remotes) if force else run.missing(remotes)
            return run.fetch(missing, len(remotes))
        except (KeyboardInterrupt, SystemExit):
            progress.say(f"stopped; {AGAIN}")
            raise


class _Run:
    """One call of `download`: its stages share the folder, the threads and what failed."""

    def __init__(self, folder: Path, jobs: int, manner: Manner, progress: Progress) -> None:
        self.folder, self.jobs, self.manner, self.progress = folder, jobs, manner, progress
        self.failed: dict[str, DilannotError] = {}
        self._lock = threading.Lock()

    def missing(self, remotes: Sequence[Remote]) -> list[Remote]:
        """Those that are not there; a file that is there and damaged is the user's to replace."""

        def is_missing(remote: Remote) -> bool:
            path = self.folder / remote.name
            if not path.exists():
                return True
            problem = "is no file" if path.is_dir() else verify(path, remote, again=True)
            if problem is None:
                Part(path).discard()
            else:
                self.failed[remote.name] = DilannotError(
                    f"is there already and {problem}", where=path, remedy="use --force to fetch it again"
                )
            return False

        found = map_in_threads(is_missing, remotes, threads=self.jobs, stop=self.manner.stop)
        return [remote for remote, absent in zip(remotes, found, strict=True) if absent]

    def fetch(self, missing: Sequence[Remote], wanted: int) -> Summary:
        there = wanted - len(missing) - len(self.failed)
        missing = self._with_checksums(missing)
        sizes = map_in_threads(
            lambda remote: _size(remote, self.manner), missing, threads=self.jobs, stop=self.manner.stop
        )
        self.manner.silent_hosts.clear()  # from here on with retries
        had = sum(Part(self.folder / remote.name).size for remote in missing)
        known = sum(size or 0 for size in sizes)
        check_space(self.folder, known - had, f"downloading {len(missing)} file(s)")
        with self.progress.task("downloading", known if None not in sizes else None) as task:
            task.advance(had)
            done = map_in_threads(
                lambda remote: self._fetch_one(remote, task), missing, threads=self.jobs, stop=self.manner.stop
            )
        fetched = [remote for remote, well in zip(missing, done, strict=True) if well]
        size = sum((self.folder / remote.name).stat().st_size for remote in fetched)
        summary = Summary(len(fetched), there, sum(bool(remote.md5) for remote in fetched), size)
        self._raise_failures(wanted, summary)
        return summary

    def _fetch_one(self, remote: Remote, task: Task) -> bool:
        def moved(count: int) -> None:
            with self._lock:  # a bar knows no threads
                task.advance(count, remote.name)

        try:
            fetch(remote, self.folder, self.manner, moved)
        except DilannotError as error:
            self.failed[remote.name] = error
            return False
        return True

    def _with_checksums(self, remotes: Sequence[Remote]) -> list[Remote]:
        """Fill in MD5s from the lists that lie in the folders of the files."""
        folders = list(dict.fromkeys(remote.url.rpartition("/")[0] for remote in remotes if not remote.md5))
        lists = map_in_threads(self._checksums, folders, threads=self.jobs, stop=self.manner.stop)
        known = dict(zip(folders, lists, strict=True))
        return [
            remote if remote.md5 else replace(remote, md5=known[remote.url.rpartition("/")[0]].get(remote.name, ""))
            for remote in remotes
        ]

    def _checksums(self, url: str) -> dict[str, str]:
        """MD5 by file name; nothing where the server has no such list or does not give it."""
        try:
            with request(f"{url}/{_CHECKSUMS}", timeout=self.manner.timeout) as response:
                text = response.read(_MOST_LISTED).decode("utf-8", "replace")
        except (DilannotError, PastEndError):
            return {}
        except (PassingError, OSError, http.client.HTTPException) as reason:
            self.progress.warn(f"{url}/{_CHECKSUMS}: {reason}; its files are verified by size and gzip only")
            return {}
        rows = (line.split() for line in text.splitlines())
        return {row[1].lstrip("*").removeprefix("./"): row[0].lower() for row in rows if _is_checksum(row)}

    def _raise_failures(self, wanted: int, summary: Summary) -> None:
        if not self.failed:
            return
        if wanted == 1:
            raise next(iter(self.failed.values()))
        self.progress.say(str(summary))
        for name in sorted(self.failed):
            self.progress.warn(str(self.failed[name]))
        passing = any(error.exit_code == ENVIRONMENT for error in self.failed.values())
        names = ", ".join(sorted(self.failed)[:3]) + (", …" if len(self.failed) > 3 else "")
        raise DilannotError(
            f"{len(self.failed)} of {wanted} files could not be fetched: {names}",
            where=self.folder,
            remedy=AGAIN if passing else "the warnings say why; what was fetched is kept",
            exit_code=ENVIRONMENT if passing else BAD_INPUT,
        )


def _is_checksum(row: list[str]) -> bool:
    return len(row) == 2 and len(row[0]) == 32 and not set(row[0].lower()) - set("0123456789abcdef")
