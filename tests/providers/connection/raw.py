"""Servers in this process: Python's own TLS, and what no honest server does."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.providers.connection.listeners import Listener
from tests.running import free_port

Behaviour = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LONGEST_SECONDS = 60.0
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Raw:
    """Listens on a port, and does to each connection, in a thread of its own, what `behave` says."""

    def __init__(self, behave: Behaviour) -> None:
        self.port = free_port()
        self._behave = behave
        self._listening = socket.create_server(("127.0.0.1", self.port), backlog=100)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        connection.settimeout(_LONGEST_SECONDS)
        with connection, contextlib.suppress(OSError):
            self._behave(connection)

    def close(self) -> None:
        """Listens no longer."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


class Closed:
    """A port that is taken, so that nobody else can, and on which nothing listens."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Gives the port back."""
        self._socket.close()


class BlackHole:
    """A port whose backlog is full: the system answers nobody any more."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.port = port or free_port()
        self._sockets = [socket.create_server((address, self.port), backlog=0)]
        while self._fits(address):
            pass

    def _fits(self, address: str) -> bool:
        """Whether one more connection was taken. On this machine that takes far less than the second it is given."""
        one = socket.socket()
        self._sockets.append(one)
        one.settimeout(1)
        try:
            one.connect((address, self.port))
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        for one in self._sockets:
            one.close()


def behaviours(folder: Path) -> dict[str, Behaviour]:
    """Each misbehaviour by its name."""
    old, new = context(folder, Listener(versions=("1.2",))), context(folder, Listener(versions=("1.3",)))
    without_tickets = context(folder, Listener(versions=("1.3",), client="optional"))
    without_tickets.num_tickets = 0
    wanting = context(folder, Listener(versions=("1.3",), client="required"))
    head = b"HTTP/1.1 200 OK\r\n"
    return {
        "reset after accept": _reset,
        "reset after ClientHello": _after_hello(b"", _reset),
        "reset in mid-handshake": _after_flight(old, 1.0, _reset),
        "reset in half a flight": _after_flight(new, 0.5, _reset),
        "reset after the handshake 1.2": _inside(old, _reset),
        "reset after the handshake 1.3": _inside(new, _reset),
        "reset in mid-answer": _inside(new, _answering(head + b"Content-Le", _reset)),
        "close after accept": _nothing,
        "close after ClientHello": _after_hello(b"", _nothing),
        "close after the request": _inside(new, _answering(b"", _nothing)),
        "reset instead of a refusal": _inside(without_tickets, _reset),
        "late refusal": _refusing_late(wanting, 1.0),
        "garbage": _after_hello(bytes(range(256)) * 4, _nothing),
        "banner of SSH": _say(b"SSH-2.0-OpenSSH_9.2\r\n"),
        "plain 400": _after_hello(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", _nothing),
        "garbage instead of HTTP": _inside(new, _answering(b"\x00\x01nonsense\r\n\r\n", _nothing)),
        "silent": _wait_for_end,
        "silent after the handshake": _inside(new, _wait_for_end),
        "slow handshake": _after_flight(new, 1.0, _nothing, every=0.2),
        "slow answer": _inside(new, _answering(head, _drip)),
        "endless header": _inside(new, _answering(head + b"X-Long: ", _flood)),
        "interim answers": _inside(new, _answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, _nothing)),
    }


def context(folder: Path, listener: Listener) -> ssl.SSLContext:
    """Python's TLS for one listener."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(folder / f"{listener.show.replace(' ', '-')}.pem")
    made.minimum_version, made.maximum_version = (
        _VERSIONS[listener.versions[0]],
        _VERSIONS[listener.versions[-1]],
    )
    if listener.client:
        made.verify_mode = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL}[listener.client]
        made.load_verify_locations(folder / f"{listener.client_cas}.pem")
    return made


def honest(folder: Path, listener: Listener) -> Behaviour:
    """One request and its answer over Python's TLS."""
    return _inside(context(folder, listener), _answering(OK, _nothing))


def slow(seconds: float) -> Behaviour:
    """Answers nothing for so long, then ends."""

    def behave(connection: socket.socket) -> None:
        connection.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            _wait_for_end(connection)

    return behave


def _nothing(connection: socket.socket) -> None:
    pass


def _reset(connection: socket.socket) -> None:
    """Ends the connection abruptly: lingering for no time sends RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _say(octets: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(octets)
        _wait_for_end(connection)

    return behave


def _wait_for_end(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def _after_hello(octets: bytes, then: Behaviour) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.recv(16384)
        connection.sendall(octets)
        then(connection)

    return behave


def _after_flight(made: ssl.SSLContext, share: float, then: Behaviour, every: float = 0.0) -> Behaviour:
    """Sends a share of the server's first flight, with `every` so many seconds between its octets; the rest is `then`."""

    def behave(connection: socket.socket) -> None:
        flight = _flight(made, connection.recv(16384))
        if every:
            _trickle(connection, flight, every)
        connection.sendall(flight[: int(len(flight) * share)])
        if share == 1.0:
            connection.recv(16384)
        then(connection)

    return behave


def _flight(made: ssl.SSLContext, hello: bytes) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(hello)
    with contextlib.suppress(ssl.SSLWantReadError):
        made.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    return outgoing.read()


def _trickle(connection: socket.socket, octets: bytes, every: float) -> None:
    for octet in octets:
        connection.sendall(bytes([octet]))
        time.sleep(every)


def _inside(made: ssl.SSLContext, then: Behaviour) -> Behaviour:
    """After the handshake."""

    def behave(connection: socket.socket) -> None:
        with made.wrap_socket(connection, server_side=True) as secured:
            then(secured)

    return behave


def _refusing_late(made: ssl.SSLContext, seconds: float) -> Behaviour:
    """The alert of a refused handshake comes so late: in TLS 1.3 the client has long been through (RFC 8446, section 4.4.2.4)."""

    def behave(connection: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        secured = made.wrap_bio(incoming, outgoing, server_side=True)
        while octets := connection.recv(16384):
            incoming.write(octets)
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
            except ssl.SSLError:
                time.sleep(seconds)
                connection.sendall(outgoing.read())
                _wait_for_end(connection)

    return behave


def _answering(octets: bytes, then: Behaviour) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            piece = connection.recv(4096)
            if not piece:
                return
            request += piece
        connection.sendall(octets)
        then(connection)

    return behave


def _drip(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"X-Slow: 1\r\n")
        time.sleep(0.2)


def _flood(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"a" * 4096)
