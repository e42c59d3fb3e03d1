"""One request to a web server: http and https only, few redirects, and every failure is either worth a retry or not."""

from __future__ import annotations

import email.utils
import http.client
import ssl
import urllib.error
import urllib.request
from email.message import Message
from time import time
from typing import IO, cast
from urllib.parse import urlsplit

import dilannot
from dilannot.errors import ENVIRONMENT, DilannotError, printable, shorten

REDIRECTS = 8
_SCHEMES = ("http", "https")
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # statuses that may be gone a moment later


class PassingError(Exception):
    """A failure that may pass.

    Parameters
    ----------
    reason
        For the user.
    after
        Seconds the server asks to wait.
    reached
        Whether the server answered at all.
    """

    def __init__(self, reason: str, *, after: float | None = None, reached: bool = True) -> None:
        super().__init__(reason)
        self.after = after
        self.reached = reached


class PastEndError(Exception):
    """The server says that the file ends before the first byte asked for."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = REDIRECTS
    max_repeats = 2

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in _SCHEMES:
            raise urllib.error.HTTPError(newurl, code, "leads away from http", headers, fp)
        new = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if new is not None and req.get_method() == "HEAD":
            new.method = "HEAD"  # urllib would fetch the file
        return new


def _opener() -> urllib.request.OpenerDirector:
    """Proxies of the environment, http and https; no handler of files, FTP or data URLs is there to be used."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def request(
    url: str, *, timeout: float, method: str = "GET", headers: dict[str, str] | None = None
) -> http.client.HTTPResponse:
    """Send a request and return the response, whose body is to be read and closed by the caller.

    Raises
    ------
    PassingError
        No connection, no answer in `timeout` seconds, or a status like 503.
    PastEndError
        Status 416.
    DilannotError
        Anything that will not pass: 404, 403, a redirect to elsewhere, a certificate nobody vouches for.
    """
    agent = f"dilannot/{dilannot.__version__}"
    asked = urllib.request.Request(url, method=method, headers={"User-Agent": agent, **(headers or {})})
    if asked.type not in _SCHEMES:
        raise DilannotError("is no http or https address", where=url)
    try:
        return cast(http.client.HTTPResponse, _opener().open(asked, timeout=timeout))
    except urllib.error.HTTPError as answer:
        with answer:
            raise _refusal(url, answer) from None
    except urllib.error.URLError as error:
        raise _unreachable(url, error.reason) from None
    except (OSError, http.client.HTTPException) as error:
        raise PassingError(describe(error, timeout)) from None


def describe(error: Exception, timeout: float) -> str:
    """What went wrong on the wire, in words."""
    if isinstance(error, TimeoutError):
        return f"nothing came for {timeout:g} s"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the server closed the connection without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was closed midway"
    if isinstance(error, http.client.HTTPException):
        return f"the answer is not HTTP ({type(error).__name__})"
    return printable(shorten(str(error), 120))


def _refusal(url: str, answer: urllib.error.HTTPError) -> Exception:
    status = f"HTTP {answer.code} {printable(shorten(str(answer.reason), 60))}".rstrip()
    if answer.code == 416:
        return PastEndError()
    if answer.code in _PASSING:
        return PassingError(status, after=_seconds(answer.headers.get("Retry-After")))
    if 300 <= answer.code < 400:
        return DilannotError(f"is redirected in circles or away from http, to {answer.url}", where=url)
    return DilannotError(f"the server refuses it: {status}", where=url, remedy="try another --mirror, or later")


def _unreachable(url: str, reason: object) -> Exception:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DilannotError(
            f"the certificate of the server cannot be verified ({reason.verify_message})",
            where=url,
            remedy="check the clock and the proxy",
            exit_code=ENVIRONMENT,
        )
    host = urlsplit(url).netloc
    return PassingError(f"{host} cannot be reached: {printable(shorten(str(reason), 120))}", reached=False)


def _seconds(header: str | None) -> float | None:
    """Retry-After: seconds, or a date."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time())
    except ValueError:
        return None


def content_length(response: http.client.HTTPResponse) -> int | None:
    """Bytes of the body, where the server says."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and len(text) < 16 else None
