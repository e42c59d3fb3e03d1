"""The safe way to leave files behind: temporary name, fsync, rename, fsync of the folder, under a lock."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dilannot.errors import ENVIRONMENT, DilannotError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it over `path` when the block ends well, remove it when not."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with named(path):
            yield temporary
            move_into_place(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Errors of writes and fsync do not say where they happened: say it."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def move_into_place(finished: Path, path: Path) -> None:
    """Give a finished file its final name in the same folder, so that a crash leaves one of the two, whole."""
    to_disk(finished)
    os.replace(finished, path)
    to_disk(path.parent)


@contextmanager
def signals_deferred() -> Iterator[list[int]]:
    """Hold SIGINT and SIGTERM back while C code calls Python that must not raise; they take effect afterwards.

    Yields the list that those which have come are in.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came  # only the main thread gets signals
        return
    # One that is ignored stays so, as Ctrl-C in what a shell runs in the background.
    heeded = [each for each in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.signal(each, lambda number, _: came.append(number)) for each in heeded}
    try:
        yield came
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def working_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder inside an output folder, for files that are not finished; it goes when the block ends."""
    work = folder / f".work.tmp-{os.getpid()}"
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work)


@contextmanager
def removed_if_empty(folder: Path) -> Iterator[None]:
    """Take an output folder away again when the block failed and left nothing in it."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise


def unfinished(work: Path, name: str) -> Path:
    """Where in a working folder the file lies that `publish` will call `name`."""
    return work / f"{name}.tmp"


def publish(work: Path, folder: Path, names: Iterable[str]) -> None:
    """Move finished files from a working folder to their final names."""
    names = list(names)
    for name in names:
        to_disk(unfinished(work, name))
    for name in names:
        os.replace(unfinished(work, name), folder / name)
    to_disk(folder)


def write_text(path: Path, text: str) -> None:
    """Write a small text file the safe way."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, record: object) -> None:
    """Write `record` as indented JSON the safe way."""
    write_text(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def to_disk(path: Path) -> None:
    """Return when the disk has all of a file, or of a folder's names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with named(path):
            os.fsync(handle)
    finally:
        os.close(handle)


def check_new_file(path: Path, *, force: bool) -> None:
    """Refuse, before any work, an output that exists (without `force`), is a folder, or cannot be made.

    Raises
    ------
    DilannotError
        The name is taken (exit code 1), or its folder is missing or not writable (3).
    """
    if path.is_dir():
        raise DilannotError("is a directory, not a file", where=path, remedy="give another output name")
    if not path.parent.is_dir():
        raise DilannotError(
            "its folder does not exist", where=path, remedy=f"mkdir -p {path.parent}", exit_code=ENVIRONMENT
        )
    if path.exists() and not path.is_file():
        raise DilannotError("exists and is not a regular file", where=path, remedy="give another output name")
    if os.path.lexists(path) and not force:
        raise DilannotError("exists already", where=path, remedy="use --force to overwrite it, or another output name")
    check_writable(path.parent)


def check_distinct(output: Path, inputs: Iterable[Path]) -> None:
    """Refuse, whatever `--force` says, to overwrite what is read, or what else is written.

    Raises
    ------
    DilannotError
        `output` is one of `inputs`, under any name.
    """
    for path in inputs:
        same = os.path.realpath(output) == os.path.realpath(path)
        with suppress(OSError):
            same = same or os.path.samefile(output, path)
        if same:
            raise DilannotError("is an input, or another output, too", where=output, remedy="give another output name")


def make_folder(path: Path) -> None:
    """Make an output folder and its parents, or say why it cannot be."""
    if os.path.lexists(path) and not path.is_dir():
        raise DilannotError("exists and is not a directory", where=path, remedy="give another output folder")
    path.mkdir(parents=True, exist_ok=True)
    check_writable(path)


def check_writable(folder: Path) -> None:
    """Refuse a folder in which nothing can be made (exit code 3)."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DilannotError(
            "the folder is not writable", where=folder, remedy="choose another output", exit_code=ENVIRONMENT
        )


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the first above it that is there."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.is_dir())


def check_space(
    folder: Path, needed: int, what: str, *, remedy: str = "free some space or write to another disk"
) -> None:
    """Refuse to start writing what cannot fit on the disk.

    Some libraries below crash or hang on a full disk, so this is asked first.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DilannotError(
            f"{what} needs about {needed / 1e6:,.1f} MB and {free / 1e6:,.1f} MB are free",
            where=folder,
            remedy=remedy,
            exit_code=ENVIRONMENT,
        )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the output `path` (file or folder) for this process, and sweep what dead runs left of it.

    The lock is an flock on `.NAME.lock` beside the file, or inside the folder; it dies with its process.

    Raises
    ------
    DilannotError
        Another process holds it; its pid and host are named (exit code 3).
    """
    folder, name = (path, "dilannot") if path.is_dir() else (path.parent, path.name)
    lock = folder / f".{name}.lock"
    handle = _acquire(lock, path)
    try:
        _sweep(folder, None if path.is_dir() else name)
        yield
    finally:
        try:
            lock.unlink(missing_ok=True)
        finally:
            os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what dead runs left in a finished output, where we may."""
    with suppress(OSError, DilannotError), locked(folder):
        pass


def _acquire(lock: Path, path: Path) -> int:
    while True:
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            raise DilannotError(
                "no file can be made here", where=lock.parent, remedy="choose another output", exit_code=ENVIRONMENT
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(handle)
            os.close(handle)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise DilannotError(
                f"another dilannot is writing here ({holder})",
                where=path,
                remedy="wait for it, or give another output",
                exit_code=ENVIRONMENT,
            ) from None
        # The holder unlinks its lock: what we locked may no longer be the file of that name.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(lock)):
                break
        os.close(handle)
    try:
        with named(lock):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _holder(lock: int) -> str:
    """Who holds a lock, as it says itself; it may have come by it just now."""
    for _ in range(50):
        if found := os.pread(lock, 300, 0).decode("utf-8", "replace").strip():
            return found
        time.sleep(0.01)
    return "just started"


def _sweep(folder: Path, name: str | None) -> None:
    """Remove temporaries of runs that died: in the whole folder, or those of one file."""
    pattern = re.compile(rf"\.{re.escape(name) if name else '.+'}\.tmp-(\d+)")
    for entry in os.scandir(folder):
        found = pattern.fullmatch(entry.name)
        if found and not _alive(int(found[1])):
            shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def cache_folder() -> Path:
    """What can be made again: DILANNOT_CACHE, else XDG_CACHE_HOME/dilannot, else ~/.cache/dilannot."""
    if own := os.environ.get("DILANNOT_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dilannot"
