"""One HTTP/1.1 request and the head of its answer (RFC 9112), bounded and without following anything."""

from __future__ import annotations

import base64
import re
import string
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import quote

from providers.connection.target import Target
from providers.connection.wire import ClosedError, End, WireError

_HEAD_ENDS = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/1\.[01] +([1-5][0-9]{2})(?![0-9])[^\r\n]*\r?\n")
_LOCATION = re.compile(rb"\nlocation:[ \t]*([^\r\n]*)", re.IGNORECASE)
_LONGEST_STATUS_LINE = 8 * 1024


class Channel(Protocol):
    """What a request goes through: the bare wire, or TLS over it."""

    def read(self) -> bytes:
        """At least one octet."""

    def write(self, octets: bytes) -> None:
        """Sends octets."""


class NoHttpError(Exception):
    """What came is no answer of HTTP/1.0 or 1.1. `octets` are its beginning."""

    def __init__(self, octets: bytes) -> None:
        super().__init__()
        self.octets = octets[:200]


@dataclass(frozen=True)
class Answer:
    """Status, where a redirect leads, and what followed the head (only when the body was asked for)."""

    status: int
    location: str = ""
    body: bytes = b""


def ask(channel: Channel, target: Target, method: Literal["HEAD", "GET"], *, body: bool = False) -> Answer:
    """Sends one request and reads the head of its answer, with `body` also what follows until the connection ends.

    Raises NoHttpError, and what the channel raises; a ClosedError only when nothing came before.
    """
    channel.write(_request(target, method))
    octets = _head(channel, b"")
    while (found := _STATUS.match(octets)) and found[1][
        :1
    ] == b"1":  # interim answers (RFC 9110, section 15.2)
        octets = _head(channel, octets[_end_of_head(octets) :])
    if not found:
        raise NoHttpError(octets)
    end = _end_of_head(octets)
    location = _LOCATION.search(octets[:end])
    where = location[1].decode("latin-1").strip() if location else ""
    return Answer(int(found[1]), where, _rest(channel, octets[end:]) if body else b"")


def _request(target: Target, method: str) -> bytes:
    path = quote(target.path or "/", safe=string.punctuation)
    lines = [
        f"{method} {path if path.startswith('/') else f'/{path}'} HTTP/1.1",
        f"Host: {target.authority}",
        "User-Agent: Storekeeper",
        "Accept: */*",
        "Connection: close",
    ]
    if target.credentials:
        pair = base64.b64encode(":".join(target.credentials).encode()).decode()
        lines.append(f"Authorization: Basic {pair}")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii", "replace")


def _end_of_head(octets: bytes) -> int:
    found = _HEAD_ENDS.search(octets)
    return found.end() if found else len(octets)


def _head(channel: Channel, octets: bytes) -> bytes:
    """Octets up to the end of a head, or what came before the connection ended."""
    while not _HEAD_ENDS.search(octets):
        if _is_no_status_line(octets):
            raise NoHttpError(octets)
        try:
            octets += channel.read()
        except ClosedError as error:
            if not octets or error.end is not End.PROPER:
                raise
            return octets
    return octets


def _is_no_status_line(octets: bytes) -> bool:
    beginning = octets[:7]
    unfinished = len(octets) < _LONGEST_STATUS_LINE and b"\n" not in octets
    return beginning != b"HTTP/1."[: len(beginning)] or not (unfinished or _STATUS.match(octets))


def _rest(channel: Channel, octets: bytes) -> bytes:
    """What comes until the connection ends, however it ends: a reason may be in what came before."""
    try:
        while True:
            octets += channel.read()
    except WireError:
        return octets
