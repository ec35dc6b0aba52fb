"""A backend that wants two-way TLS, in this process: Python's own TLS, on a port of its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.material import Minted

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
LONGEST_SECONDS = 30.0


class Backend:
    """Listens on `port` of 127.0.0.1; answers 200 to who shows a certificate below `client_ca`.

    `hold` keeps every connection waiting before the handshake, until `go` is set.
    """

    def __init__(self, folder: Path, leaf: Minted, client_ca: Minted, *, hold: bool = False) -> None:
        self.go = threading.Event()
        if not hold:
            self.go.set()
        self.requests: list[bytes] = []
        self.connections = self.most_at_once = 0
        self._open, self._counting = 0, threading.Lock()
        self.client_ca, self._file = client_ca, folder / f"{leaf.sha256[:8]}.pem"
        self._file.write_bytes(leaf.pem + leaf.key_pem)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def trust_only(self, client_ca: Minted) -> None:
        """From now on clients need a certificate below this one."""
        self.client_ca = client_ca

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._file)
        context.load_verify_locations(cadata=self.client_ca.pem.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with self._counted(), connection, contextlib.suppress(OSError):
            connection.settimeout(LONGEST_SECONDS)
            self.go.wait(LONGEST_SECONDS)
            with self._context().wrap_socket(connection, server_side=True) as tls:
                self.requests.append(tls.recv(65_536))
                tls.sendall(ANSWER)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._counting:
            self.connections += 1
            self._open += 1
            self.most_at_once = max(self.most_at_once, self._open)
        yield
        with self._counting:
            self._open -= 1

    def close(self) -> None:
        """Listens no longer, and lets go of who waits."""
        self.go.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
