"""Connections that end in the middle, before the real web server: it lives on, and its log has no trace of it."""

from __future__ import annotations

import http.cookiejar
import re
import socket
import struct
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.running import RunningPortal, start, wait_for
from tests.stores.steps import NEW, ROOT

pytestmark = pytest.mark.slow
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset at once."""


@dataclass
class Signed:
    """A browser of the first administrator."""

    portal: RunningPortal
    opener: urllib.request.OpenerDirector
    jar: http.cookiejar.CookieJar

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.portal.port}"

    def get(self, path: str) -> tuple[int, str]:
        answer = self.opener.open(self.origin + path, timeout=30)
        return answer.status, answer.read().decode()

    def token(self, path: str) -> str:
        return str(re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(path)[1])[0])

    def head(self, length: int, *more: str) -> bytes:
        """The head of an upload whose body has this length."""
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.jar)
        lines = (
            f"POST {NEW} HTTP/1.1", f"Host: localhost:{self.portal.port}", f"Cookie: {cookies}", f"Origin: {self.origin}",
            "Content-Type: multipart/form-data; boundary=b", f"Content-Length: {length}", *more,
        )  # fmt: skip
        return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.fixture
def signed(portal_environment: dict[str, str], tmp_path: Path) -> Iterator[Signed]:
    with start(portal_environment, tmp_path / "log") as portal:
        portal.wait_until_ready()
        jar = http.cookiejar.CookieJar()
        found = Signed(portal, urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar)), jar)
        once = urllib.parse.urlsplit(portal.addresses[0]).path
        form = {"email": "ada@example.org", "first_name": "Ada", "password": "correct horse battery staple"}
        body = urllib.parse.urlencode(form | {"csrfmiddlewaretoken": found.token(once)}).encode()
        request = urllib.request.Request(found.origin + once, body, {"Referer": found.origin + once})
        assert found.opener.open(request, timeout=30).status == 200
        yield found


def fields(**texts: str) -> bytes:
    parts = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in texts.items()
    )
    return "".join(parts).encode()


def file(content: bytes, size: int = 0) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.pem"\r\n\r\n'
    return head + content.ljust(size, b"\n") + b"\r\n--b--\r\n"


def send(port: int, octets: bytes, *, reset: bool = False, wait: bool = False) -> bytes:
    """Sends and closes; with `wait` the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as channel:
        channel.sendall(octets)
        if wait:
            return channel.makefile("rb").read()
        if reset:
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    return b""


def test_the_server_lives_on(signed: Signed) -> None:
    port, token = signed.portal.port, signed.token(NEW)
    body = fields(csrfmiddlewaretoken=token, kind="trust", store_name="partners", name="root") + file(
        ROOT.pem
    )
    head = signed.head(len(body), "Connection: close")
    for cut in (
        10,
        len(head) - 2,
        len(head),
        len(head) + 50,
        len(head) + len(body) // 2,
        len(head) + len(body) - 3,
    ):
        for reset in (False, True):
            send(port, (head + body)[:cut], reset=reset)
            send(port, (head + body)[:cut].replace(b"storekeeper_session", b"no_session"), reset=reset)
    send(port, head + body, reset=True)
    large = fields(csrfmiddlewaretoken=token, kind="trust", store_name="partners") + file(ROOT.pem, 20 << 20)
    send(port, signed.head(len(large)) + large[: 3 << 20], reset=True)
    assert b" 422 " in send(port, signed.head(len(large), "Connection: close") + large, wait=True)[:20]
    answer = send(port, head + body, wait=True)
    assert b" 302 " in answer[:20], answer[:2000]
    review = re.findall(rb"(?i)location: (\S+)", answer)[0].decode()
    assert signed.get(review)[0] == 200
    wait_for(lambda: signed.get("/health/live")[0] == 200, "the server")
    assert signed.portal.process.poll() is None
    for word in ("Traceback", "ERROR", "Exception"):
        assert word not in signed.portal.output, signed.portal.output[-3000:]
