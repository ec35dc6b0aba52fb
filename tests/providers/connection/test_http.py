"""The request that is sent, and what is read as an answer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from providers.connection.http import Answer, NoHttpError, ask
from providers.connection.target import Target
from providers.connection.wire import ClosedError, End, TimeUpError, WireError

HERE = Target("orders.example.org", path="/catalogue")


class Script:
    """A channel that brings what it is told, and then ends."""

    def __init__(self, *pieces: bytes, end: WireError | None = None) -> None:
        self.pieces = list(pieces)
        self.sent = b""
        self._end = end or ClosedError(End.PROPER)

    def read(self) -> bytes:
        if not self.pieces:
            raise self._end
        return self.pieces.pop(0)

    def write(self, octets: bytes) -> None:
        self.sent += octets


def answer(*pieces: bytes, body: bool = False) -> Answer:
    return ask(Script(*pieces), HERE, "GET" if body else "HEAD", body=body)


def request(target: Target) -> list[str]:
    channel = Script(b"HTTP/1.1 200 OK\r\n\r\n")
    ask(channel, target, "HEAD")
    return channel.sent.decode("ascii").split("\r\n")


class TestRequest:
    def test_is_whole(self) -> None:
        lines = request(HERE)
        assert lines[0] == "HEAD /catalogue HTTP/1.1"
        assert "Host: orders.example.org" in lines and "Connection: close" in lines
        assert lines[-2:] == ["", ""]
        assert not any(line.startswith("Authorization") for line in lines)

    @pytest.mark.parametrize(
        ("target", "host"),
        [
            (Target("a.example", 8443), "a.example:8443"),
            (Target("a.example", 80, tls=False), "a.example"),
            (Target("10.0.0.1", server_name="a.example"), "a.example"),
            (Target("2001:db8::1", 444), "[2001:db8::1]:444"),
        ],
    )
    def test_names_the_host(self, target: Target, host: str) -> None:
        assert f"Host: {host}" in request(target)

    def test_has_the_credentials(self) -> None:
        lines = request(Target("a.example", path="/", credentials=("Jürgen", "ge:heim")))
        assert "Authorization: Basic SsO8cmdlbjpnZTpoZWlt" in lines

    @pytest.mark.parametrize(
        ("path", "sent"),
        [
            (None, "/"),
            ("catalogue", "/catalogue"),
            ("/a b\r\nX: y", "/a%20b%0D%0AX:%20y"),
            ("/Ü?q=%20", "/%C3%9C?q=%20"),
        ],
    )
    def test_cannot_be_split_by_its_path(self, path: str | None, sent: str) -> None:
        assert request(Target("a.example", path=path))[0] == f"HEAD {sent} HTTP/1.1"


class TestAnswer:
    @pytest.mark.parametrize(
        "pieces",
        [
            [b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"],
            [b"HTTP/1.0 204\r\n\r\n"],
            [b"HTTP/1.1 204 x\n\n"],
            [bytes([octet]) for octet in b"HTTP/1.1 204 slow\r\nA: b\r\n\r\n"],
            [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n", b"L: x\r\n\r\nHTTP/1.1 204 x\r\n\r\n"],
            [b"HTTP/1.1 204 cut\r\nA:"],
        ],
    )
    def test_has_a_status(self, pieces: Sequence[bytes]) -> None:
        assert answer(*pieces).status == 204

    def test_says_where_a_redirect_leads(self) -> None:
        found = answer(b"HTTP/1.1 301 Moved\r\nX: y\r\nLOCATION:  https://b.example/ \r\n\r\nlocation: no")
        assert found.location == "https://b.example/"

    def test_has_a_body_only_when_it_is_wished_for(self) -> None:
        pieces = (b"HTTP/1.1 400 Bad\r\n\r\nrea", b"son")
        assert answer(*pieces, body=True).body == b"reason"
        assert answer(*pieces).body == b""

    @pytest.mark.parametrize(
        "octets",
        [b"SSH-2.0-x\r\n", b"\x15\x03\x01\x00\x02\x02\x46", b"HTTP/2 200\r\n", b"HTTP/1.1 20\r\n\r\n", b"HTTP/1.1 2000 x\r\n\r\n",
         b"HTTP/1.1 600 x\r\n\r\n", b"<html>", b"HTT", b"HTTP/1.1 2", b"HTTP/1.1 " + b"2" * 10_000],
    )  # fmt: skip
    def test_what_is_none(self, octets: bytes) -> None:
        with pytest.raises(NoHttpError):
            answer(octets)

    @pytest.mark.parametrize("end", [ClosedError(End.PROPER), ClosedError(End.RESET), TimeUpError()])
    def test_an_end_before_it_is_the_channels(self, end: WireError) -> None:
        with pytest.raises(type(end)):
            ask(Script(end=end), HERE, "HEAD")

    @pytest.mark.parametrize("end", [ClosedError(End.RESET), ClosedError(End.CUT), TimeUpError()])
    def test_an_end_within_it_is_the_channels(self, end: WireError) -> None:
        with pytest.raises(type(end)):
            ask(Script(b"HTTP/1.1 200 OK\r\n", end=end), HERE, "HEAD")
