"""A real HTTP receiver for tests: keeps what it is sent, and answers what it is told to answer, well or badly."""

from __future__ import annotations

import contextlib
import functools
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.material import Minted

Answering = Callable[[BufferedIOBase], None]


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    """By name in small letters."""
    body: bytes


@dataclass
class Receiver:
    """What came, and the answers to give: one after the other, the last one for ever."""

    requests: list[Request] = field(default_factory=list)
    answers: list[Answering] = field(default_factory=list)
    port: int = 0
    scheme: str = "http"
    end: threading.Event = field(default_factory=threading.Event)
    """Set when the receiver stops, so that nobody waits in it."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/in?key=s3cret-part"

    def take(self, request: Request) -> Answering:
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def status(number: int, body: bytes = b"taken", *headers: str) -> Answering:
    """A proper answer."""
    head = "".join(
        f"{line}\r\n" for line in (f"HTTP/1.1 {number} So", f"Content-Length: {len(body)}", *headers, "")
    )
    return octets(head.encode() + body)


def octets(content: bytes) -> Answering:
    """These octets, whatever they are, then the end."""

    def answer(stream: BufferedIOBase) -> None:
        stream.write(content)

    return answer


def endless(head: bytes, piece: bytes) -> Answering:
    """A head, then one piece after the other until nobody takes them any more."""

    def answer(stream: BufferedIOBase) -> None:
        stream.write(head)
        while True:
            stream.write(piece)

    return answer


def silent(receiver: Receiver) -> Answering:
    """Nothing, until the receiver stops."""

    def answer(stream: BufferedIOBase) -> None:
        receiver.end.wait()

    return answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def __init__(self, receiver: Receiver, *args: object) -> None:
        self.receiver = receiver
        super().__init__(*args)  # type: ignore[arg-type]

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.receiver.take(Request(self.command, self.path, headers, body))
        self.close_connection = True
        with contextlib.suppress(OSError):
            answer(self.wfile)

    do_POST = do_GET = do_HEAD = _take  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Says nothing: tests look at what was kept."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that goes away, or refuses our certificate, is what some tests are about."""


@contextlib.contextmanager
def receiving(*answers: Answering, chain: Sequence[Minted] = ()) -> Iterator[Receiver]:
    """A receiver on a free port of this machine; with a chain, the leaf first, it speaks TLS."""
    receiver = Receiver(answers=list(answers) or [status(200)])
    server = _Server(("127.0.0.1", 0), functools.partial(_Handler, receiver))
    receiver.port = server.server_address[1]
    if chain:
        receiver.scheme = "https"
        server.socket = _context(chain).wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.end.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _context(chain: Sequence[Minted]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        file = Path(folder, "server.pem")
        file.write_bytes(chain[0].key_pem + b"".join(one.pem for one in chain))
        context.load_cert_chain(file)
    return context
