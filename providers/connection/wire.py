"""A connected socket under limits: an instant at which all ends, and a number of octets that are read at most."""

from __future__ import annotations

import enum
import select
import socket
import time

MOST_OCTETS = 64 * 1024
"""Read from one connection."""
PIECE = 16 * 1024


class WireError(Exception):
    """Nothing more can be had from this connection."""


class TimeUpError(WireError):
    """The instant has come at which it ends."""


class TooMuchError(WireError):
    """The other side sent more than is read."""


class End(enum.Enum):
    """How the other side ended a connection."""

    RESET = "reset"
    """Abruptly (RFC 9293, section 3.5.2)."""
    CUT = "cut"
    """By TCP alone, where TLS should have said it (RFC 8446, section 6.1)."""
    PROPER = "proper"


class ClosedError(WireError):
    """The other side ended the connection."""

    def __init__(self, end: End) -> None:
        super().__init__()
        self.end = end


class Wire:
    """Octets from and to a non-blocking socket; `deadline` is an instant of time.monotonic and may be moved."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self.deadline = deadline
        self.received = 0
        self._reset = False
        self.beginning = b""
        """The first octets that came."""

    def read(self) -> bytes:
        """At least one octet. Raises TimeUpError, TooMuchError or ClosedError."""
        if self.received >= MOST_OCTETS:
            raise TooMuchError
        while True:
            self._wait(select.POLLIN)
            try:
                piece = self._socket.recv(min(PIECE, MOST_OCTETS - self.received))
            except BlockingIOError:
                continue
            except OSError as error:
                raise ClosedError(End.RESET) from error
            if not piece:
                raise ClosedError(End.RESET if self._reset else End.PROPER)
            self.received += len(piece)
            self.beginning = (self.beginning + piece)[:16]
            return piece

    def write(self, octets: bytes) -> None:
        """Sends all of it. A connection that is gone is told by the next `read`, after what it still brings."""
        while octets:
            self._wait(select.POLLOUT)
            try:
                octets = octets[self._socket.send(octets) :]
            except BlockingIOError:
                continue
            except OSError:
                self._reset = True
                return

    def _wait(self, for_what: int) -> None:
        left = self.deadline - time.monotonic()
        poll = select.poll()
        poll.register(self._socket, for_what)
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeUpError

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()
