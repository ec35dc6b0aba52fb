"""One HTTP request to an address that somebody typed, and what was answered: bounded in time and size, nothing is followed.

The way there is `outbound`'s. No proxy of the environment is used; TLS is checked against the system's roots and the host's name.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import string
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from portal import outbound
from portal.outbound import OutboundError, Policy

TOTAL_SECONDS = 10.0
"""From the look-up of the name to the end of the answer."""
MOST_READ = 64 * 1024
"""Octets of a body that are read; what comes after is left."""
LONGEST_URL = 2000
_MOST_OCTETS = 4 * MOST_READ
"""Of an answer with its head and all that frames it."""
_PORTS = {"http": 80, "https": 443}
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\x9f\s]")


@dataclass(frozen=True)
class Url:
    """An address that can be asked: http or https, and no user name inside."""

    scheme: str
    host: str
    port: int
    path: str
    """With the query."""

    @classmethod
    def read(cls, text: str) -> Url:
        """Raises OutboundError bad_url, whose sentence says what to type and holds nothing of the text."""
        if len(text) > LONGEST_URL:
            raise _bad(f"is longer than {LONGEST_URL:,} characters")
        if _UNSEEN.search(text):
            raise _bad("has white space in it")
        try:
            parts = urlsplit(text)
            host, port = (parts.hostname or "").encode("idna").decode("ascii"), parts.port
            path = quote(parts.path or "/", safe=string.punctuation)
            query = quote(parts.query, safe=string.punctuation)
        except ValueError:
            raise _bad("has a part that cannot be: type it anew") from None
        if parts.scheme not in _PORTS or not host:
            raise _bad("does not begin with https:// or http:// and the name of a host")
        if "@" in parts.netloc:
            raise _bad("has a user name in it: leave out what stands before the @")
        if port == 0:
            raise _bad("names port 0, where nothing can listen")
        return cls(parts.scheme, host, port or _PORTS[parts.scheme], f"{path}?{query}" if query else path)

    @property
    def authority(self) -> str:
        """Host and port as the header Host has them (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """What of it may be shown to everybody who may see addresses; the rest is often a secret."""
        return f"{self.scheme}://{self.authority}"


def _bad(what: str) -> OutboundError:
    return OutboundError("bad_url", f"This address {what}.")


@dataclass(frozen=True)
class Answer:
    """What was answered, of the body what came in time and within `MOST_READ`."""

    status: int
    body: bytes
    seconds: float

    @property
    def arrived(self) -> bool:
        return 200 <= self.status < 300


def post(
    url: str, body: bytes | None, headers: Mapping[str, str], policy: Policy, *, method: str = "POST"
) -> Answer:
    """Sends one request and reads its answer, whatever its status; a redirect is an answer like another.

    Raises OutboundError: bad_url, those of `outbound`, then tls_failed, timeout, connection_reset or not_http.
    """
    begun = time.monotonic()
    target, deadline = Url.read(url), begun + TOTAL_SECONDS
    until = begun + outbound.CONNECT_SECONDS
    reached = outbound.connect(outbound.resolve(target.host, target.port, policy, until), until).socket
    try:
        with _secured(reached, target, deadline) as secured:
            status, text = _exchange(_Channel(secured, deadline), target, method, body, headers)
    finally:
        reached.close()
    return Answer(status, text, time.monotonic() - begun)


def _secured(connected: socket.socket, target: Url, deadline: float) -> socket.socket:
    """The connection, inside TLS where the address asks for it."""
    connected.settimeout(_left(deadline))
    if target.scheme == "http":
        return connected
    try:
        return ssl.create_default_context().wrap_socket(connected, server_hostname=target.host)
    except ssl.SSLCertVerificationError as error:
        why = f"The certificate of {target.host:.100} is not accepted: {error.verify_message}."
        raise OutboundError("tls_failed", why) from None
    except TimeoutError:
        raise _too_slow(target) from None
    except ssl.SSLError as error:
        why = f"{target.authority:.100} cannot be spoken to by TLS: {error.reason or 'it ended the connection'}."
        raise OutboundError("tls_failed", why) from None
    except OSError:
        raise _reset(target) from None


def _exchange(
    channel: _Channel, target: Url, method: str, body: bytes | None, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    """Status and body of the answer."""
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.auto_open = 0
    connection.sock = channel
    try:
        _send(connection, target, method, body, headers)
        answer = connection.getresponse()
    except TimeoutError:
        raise _too_slow(target) from None
    except (http.client.RemoteDisconnected, OSError):
        raise _reset(target) from None
    except (http.client.HTTPException, ValueError):
        raise OutboundError("not_http", f"{target.authority:.100} answers, but not in HTTP.") from None
    return answer.status, _beginning(answer)


def _send(
    connection: http.client.HTTPConnection,
    target: Url,
    method: str,
    body: bytes | None,
    headers: Mapping[str, str],
) -> None:
    connection.putrequest(method, target.path, skip_host=True)
    common = {"Host": target.authority, "User-Agent": "Storekeeper", "Connection": "close"}
    if body is not None or method == "POST":
        common["Content-Length"] = str(len(body or b""))
    for name, value in (common | dict(headers)).items():
        connection.putheader(name, value)
    try:
        connection.endheaders(body)
    except ConnectionError:
        # Who refuses a message may end the connection before all of it is sent; the answer may say why.
        return


def _beginning(answer: http.client.HTTPResponse) -> bytes:
    """The status is known and counts, so a body that breaks off or does not end is taken as far as it came."""
    octets = b""
    try:
        while len(octets) < MOST_READ and (more := answer.read1(MOST_READ - len(octets))):
            octets += more
    except (http.client.HTTPException, OSError, ValueError):
        pass
    return octets


class _Channel(io.RawIOBase):
    """A connected socket as `http.client` uses one, of which no call lasts beyond the deadline; what it may read is bounded."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        super().__init__()
        self._socket = connected
        self._deadline = deadline
        self._octets = 0

    def sendall(self, octets: bytes) -> None:
        rest = memoryview(octets)
        while rest:
            self._socket.settimeout(_left(self._deadline))
            rest = rest[self._socket.send(rest) :]

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._octets > _MOST_OCTETS:
            raise http.client.LineTooLong("answer")
        self._socket.settimeout(_left(self._deadline))
        try:
            read = self._socket.recv_into(buffer)
        except ssl.SSLEOFError:
            read = 0
        self._octets += read
        return read

    def close(self) -> None:
        """The socket is closed by who opened it: an answer is read after `http.client` has let go of the connection."""


def _left(deadline: float) -> float:
    """Seconds to the deadline. Raises TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _too_slow(target: Url) -> OutboundError:
    return OutboundError(
        "timeout", f"{target.authority:.100} did not answer within {TOTAL_SECONDS:.0f} seconds."
    )


def _reset(target: Url) -> OutboundError:
    return OutboundError(
        "connection_reset", f"{target.authority:.100} ended the connection without an answer."
    )
