"""What an HTTP answer, or the lack of one, means."""

from __future__ import annotations

from providers.connection import failures
from providers.connection.http import Answer
from providers.connection.problem import Problem
from providers.connection.wire import TimeUpError, TooMuchError, WireError
from stores.rules.wording import quoted

HEAD_NOT_KNOWN = (405, 501)
"""What servers answer that know GET alone (RFC 9110, sections 15.5.6 and 15.6.2)."""
_TLS_WANTED = (b"HTTPS", b"SSL-enabled", b"TLS")
"""What servers write to who speaks plain HTTP to their TLS port: nginx, Go and Node; Apache."""


def check_status(answer: Answer) -> str:
    """What a good status says. Raises Problem for any other (RFC 9110, section 15)."""
    status = answer.status
    if 200 <= status < 300:
        return f"HTTP {status}."
    if status in (401, 403):
        text = f"HTTP {status}: the connection is fine, but the server lets nobody in with these credentials. Check user name and password."
        raise Problem("http_unauthorized", text, "ours")
    if 300 <= status < 400:
        where = f" to {quoted(answer.location.partition('?')[0])}" if answer.location else ""
        text = f"HTTP {status}: the server sends callers elsewhere{where}. Use that address if it is the right one; it was not followed."
        raise Problem("http_redirect", text, "ours")
    if status == 404:
        text = "HTTP 404: the connection is fine, but there is nothing under this path. Check the catalogue path."
        raise Problem("http_not_found", text, "ours")
    text = f"HTTP {status}: the connection is fine, but the server fails to answer this request. Ask the people who run it."
    raise Problem("http_error", text, "theirs")


def wants_tls(answer: Answer) -> bool:
    """Whether an answer to plain HTTP says that the port speaks TLS."""
    return any(word in answer.body for word in _TLS_WANTED)


def tls_expected(port: int) -> Problem:
    """Plain was asked, and the port speaks TLS."""
    text = f"Port {port} speaks TLS, but TLS is switched off here. Switch it on, or choose the plain port."
    return Problem("tls_expected", text, "ours")


def no_answer(error: WireError, alert: int | None) -> Problem:
    """The connection stood, and then it ended, said too much, or nothing in time."""
    if alert is not None:
        return failures.ended_by_alert(alert)
    if isinstance(error, TimeUpError):
        return failures.timed_out("the HTTP answer")
    if isinstance(error, TooMuchError):
        text = (
            "The server's answer does not end within 64 KiB. Ask its people what answers under this address."
        )
        return Problem("http_error", text, "theirs")
    return failures.closed("before the HTTP answer was whole")


def no_http(octets: bytes) -> Problem:
    """What came is no HTTP answer; `octets` are its beginning."""
    seen = f"begins with {failures.printable(octets)}" if octets else "ended before its first line did"
    text = f"What answers is not HTTP/1.1: it {seen}. Check the port, and ask the people who run the server."
    return Problem("http_error", text, "theirs")
