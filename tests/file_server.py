"""A web server on this machine whose files misbehave as told, request by request."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[["Handler", "File"], None]


@dataclass
class File:
    """What lies at an address; each GET uses up one fault, then the file is served as it should be."""

    data: bytes
    etag: str = '"one"'
    faults: list[Fault] = field(default_factory=list)
    ranges: bool = True
    tell: bool = True  # the ETag


@dataclass
class Asked:
    method: str
    path: str
    range: str | None
    sent: int = 0


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, File] = {}
        self.asked: list[Asked] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def gets(self, path: str) -> list[Asked]:
        return [each for each in self.asked if each.method == "GET" and each.path == path]

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that hangs up is part of the tests


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.asked = Asked("HEAD", self.path, None)
        self.server.asked.append(self.asked)
        file = self.server.files.get(self.path)
        if file is None:
            self.send_error(404)
            return
        self.head(200, len(file.data), file)

    def do_GET(self) -> None:
        self.asked = Asked("GET", self.path, self.headers.get("Range"))
        self.server.asked.append(self.asked)
        file = self.server.files.get(self.path)
        if file is None:
            self.send_error(404)
        elif file.faults:
            file.faults.pop(0)(self, file)
        else:
            self.serve(file)

    def start(self, file: File) -> int:
        """Where the request wants the file from, if it still is the file it knows."""
        wanted = re.fullmatch(r"bytes=(\d+)-", self.asked.range or "")
        same = self.headers.get("If-Range", file.etag) == file.etag
        return int(wanted[1]) if wanted and same and file.ranges else 0

    def serve(self, file: File, *, promised: int | None = None, stop_after: int | None = None) -> None:
        """The file from where it was asked for; `promised` lies about its length, `stop_after` hangs up early."""
        start = self.start(file)
        if start >= len(file.data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(file.data)}")
            self.end_headers()
            return
        body = file.data[start:]
        self.head(206 if start else 200, len(body) if promised is None else promised, file, start)
        self.send(body[:stop_after])

    def head(self, status: int, length: int | None, file: File, start: int = 0) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if file.etag and file.tell:
            self.send_header("ETag", file.etag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(file.data) - 1}/{len(file.data)}")
        self.end_headers()

    def send(self, body: bytes) -> None:
        self.asked.sent += len(body)
        self.wfile.write(body)
        self.wfile.flush()


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


# Faults.


def drop_after(count: int) -> Fault:
    """Hang up midway."""
    return lambda handler, file: handler.serve(file, stop_after=count)


def stall_after(count: int) -> Fault:
    """Send some and then nothing, with the connection open."""

    def fault(handler: Handler, file: File) -> None:
        handler.serve(file, stop_after=count)
        handler.server.over.wait(10)

    return fault


def trickle(block: int, pause: float) -> Fault:
    """Slow enough to be killed midway."""

    def fault(handler: Handler, file: File) -> None:
        start = handler.start(file)
        handler.head(206 if start else 200, len(file.data) - start, file, start)
        for at in range(start, len(file.data), block):
            handler.send(file.data[at : at + block])
            time.sleep(pause)

    return fault


def promise(length: int) -> Fault:
    return lambda handler, file: handler.serve(file, promised=length)


def chunked(body: bytes, total: int) -> Fault:
    """A piece without a length of its own, of a file said to be `total` long."""

    def fault(handler: Handler, file: File) -> None:
        start = handler.start(file)
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(206)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        handler.send_header("ETag", file.etag)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    return fault


def status(code: int, **headers: str) -> Fault:
    def fault(handler: Handler, file: File) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


def instead(other: bytes) -> Fault:
    """The same name and length of headers, other bytes."""

    def fault(handler: Handler, file: File) -> None:
        handler.head(200, len(other), file)
        handler.send(other)

    return fault


def rude(piece: bytes, start: int, total: int) -> Fault:
    """A piece that nobody asked for."""

    def fault(handler: Handler, file: File) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{start + len(piece) - 1}/{total}")
        handler.send_header("Content-Length", str(len(piece)))
        handler.send_header("ETag", file.etag)
        handler.end_headers()
        handler.send(piece)

    return fault
