"""One request to an address that somebody typed: against a real receiver that answers well and badly."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import threading
import time
from io import BufferedIOBase
from pathlib import Path

import pytest

from portal import posting
from portal.outbound import OutboundError, Policy
from portal.posting import Url, post
from tests.material import Minted, mint
from tests.receiver import Answering, Receiver, endless, octets, receiving, silent, status
from tests.running import free_port

LOOPBACK = Policy((ipaddress.ip_network("127.0.0.0/8"),))
REAL_NOW = dt.datetime.now(dt.UTC)
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def ask(receiver: Receiver, body: bytes | None = b"{}", method: str = "POST") -> posting.Answer:
    return post(receiver.url, body, {"Content-Type": "application/json"}, LOOPBACK, method=method)


def failure(url: str, body: bytes = b"{}", policy: Policy = LOOPBACK) -> OutboundError:
    with pytest.raises(OutboundError) as error:
        post(url, body, {}, policy)
    assert error.value.sentence.endswith(".") and error.value.sentence.isprintable()
    assert "s3cret-part" not in error.value.sentence
    return error.value


class TestUrl:
    @pytest.mark.parametrize(
        ("text", "host", "port", "path", "origin"),
        [
            ("https://hooks.example.org", "hooks.example.org", 443, "/", "https://hooks.example.org"),
            ("HTTPS://Hooks.Example.org:443/a", "hooks.example.org", 443, "/a", "https://hooks.example.org"),
            ("http://[2001:db8::1]:8080/a?b=%20c#d", "2001:db8::1", 8080, "/a?b=%20c", "http://[2001:db8::1]:8080"),
            ("https://bücher.example/ä?ö", "xn--bcher-kva.example", 443, "/%C3%A4?%C3%B6", "https://xn--bcher-kva.example"),
        ],
    )  # fmt: skip
    def test_is_read(self, text: str, host: str, port: int, path: str, origin: str) -> None:
        url = Url.read(text)
        assert (url.host, url.port, url.path, url.origin) == (host, port, path, origin)

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("ftp://example.org/s3cret-part", "https://"),
            ("file:///etc/s3cret-part", "https://"),
            ("example.org/s3cret-part", "https://"),
            ("https:///s3cret-part", "https://"),
            ("", "https://"),
            ("https://me:s3cret-part@example.org/", "before the @"),
            ("https://example.org\\@inside.example/s3cret-part", "before the @"),
            ("https://example.org/s3cret-part here", "white space"),
            ("https://example.org/s3cret-part\r\nX-Injected: 1", "white space"),
            ("https://example.org/s3cret-part\0", "white space"),
            ("https://example.org:0/s3cret-part", "port 0"),
            ("https://example.org:99999/s3cret-part", "cannot be"),
            ("https://example.org:ssl/s3cret-part", "cannot be"),
            ("https://[::1/s3cret-part", "cannot be"),
            ("https://example.org/s3cret-part\ud800", "cannot be"),
            (f"https://{'a' * 64}.example/s3cret-part", "cannot be"),
            ("https://example.org/s3cret-part" + "a" * 2000, "2,000"),
        ],
    )
    def test_is_refused_in_words(self, text: str, what: str) -> None:
        error = failure(text)
        assert error.code == "bad_url" and what in error.sentence


class TestRequest:
    def test_arrives_as_it_was_sent(self) -> None:
        with receiving(status(202, b"thanks")) as receiver:
            answer = ask(receiver, b'{"a": 1}')
            request = receiver.requests[0]
        assert (answer.status, answer.body, answer.arrived) == (202, b"thanks", True)
        assert 0 < answer.seconds < 5
        assert (request.method, request.path, request.body) == ("POST", "/in?key=s3cret-part", b'{"a": 1}')
        assert request.headers["content-type"] == "application/json"
        assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
        assert request.headers["user-agent"] == "Storekeeper"
        assert request.headers["accept-encoding"] == "identity"

    @pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
    def test_may_have_no_body(self, method: str) -> None:
        with receiving(status(200, b"" if method == "HEAD" else b"pong")) as receiver:
            answer = ask(receiver, None, method)
        assert answer.arrived
        assert receiver.requests[0].method == method
        assert receiver.requests[0].headers.get("content-length") == ("0" if method == "POST" else None)

    def test_no_proxy_of_the_environment_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
        with receiving() as receiver:
            assert ask(receiver).arrived

    @pytest.mark.parametrize("number", [301, 302, 307, 308])
    def test_a_redirect_is_not_followed(self, number: int) -> None:
        with receiving() as other, receiving(status(number, b"", f"Location: {other.url}")) as receiver:
            answer = ask(receiver)
        assert (answer.status, answer.arrived, other.requests) == (number, False, [])

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"])
    def test_a_private_address_needs_to_be_allowed(self, host: str) -> None:
        with receiving() as receiver:
            error = failure(f"http://{host}:{receiver.port}/", policy=Policy())
        assert (error.code, receiver.requests) == ("blocked_by_policy", [])

    def test_what_was_judged_is_connected_to(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name that leads elsewhere when asked again (DNS rebinding) is asked only once."""
        asked: list[str] = []

        def answer(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
            asked.append(host)
            return [(0, 0, 0, "", ("127.0.0.1" if len(asked) == 1 else "10.0.0.1", 0))]

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        with receiving() as receiver:
            assert post(f"http://hooks.test:{receiver.port}/", b"", {}, LOOPBACK).arrived
        assert asked == ["hooks.test"]
        assert receiver.requests[0].headers["host"] == f"hooks.test:{receiver.port}"


class TestAnswers:
    def test_only_the_beginning_of_a_long_one_is_read(self) -> None:
        with receiving(endless(HEAD, b"x" * 10_000)) as receiver:
            answer = ask(receiver)
        assert answer.arrived and answer.body == b"x" * posting.MOST_READ

    def test_in_pieces(self) -> None:
        content = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        with receiving(octets(content)) as receiver:
            assert ask(receiver).body == b"abcde"

    @pytest.mark.parametrize(
        "content",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\nzz\r\n",
            b"HTTP/1.0 200 OK\r\n\r\nbegun",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbegun",
        ],
    )
    def test_what_breaks_off_counts_by_its_status(self, content: bytes) -> None:
        with receiving(octets(content)) as receiver:
            answer = ask(receiver)
        assert answer.arrived and answer.body == b"begun"

    @pytest.mark.parametrize(
        ("answering", "code"),
        [
            (octets(b""), "connection_reset"),
            (octets(b"SSH-2.0-OpenSSH_9.6\r\n"), "not_http"),
            (octets(b"\x15\x03\x01\x00\x02\x02\x50"), "not_http"),
            (octets(b"HTTP/1.1 two hundred\r\n\r\n"), "not_http"),
            (octets(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 70_000 + b"\r\n\r\n"), "not_http"),
            (endless(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 60_000 + b"\r\n"), "not_http"),
            (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "not_http"),
        ],
    )
    def test_what_is_none(self, answering: Answering, code: str) -> None:
        with receiving(answering) as receiver:
            assert failure(receiver.url).code == code

    def test_nothing_listens(self) -> None:
        assert failure(f"http://127.0.0.1:{free_port()}/").code == "connection_refused"

    def test_given_before_all_was_taken(self) -> None:
        """As of a server that refuses a long message by its head."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/"

            def refuse() -> None:
                connection, _ = listening.accept()
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 413 Too long\r\nContent-Length: 0\r\n\r\n")
                connection.close()

            thread = threading.Thread(target=refuse, daemon=True)
            thread.start()
            assert post(url, b"x" * 5_000_000, {}, LOOPBACK).status == 413
            thread.join()


class TestTime:
    """The limit is short here, and real."""

    @pytest.fixture(autouse=True)
    def limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(posting, "TOTAL_SECONDS", 0.5)

    def test_nobody_waits_for_an_answer(self) -> None:
        with receiving() as receiver:
            receiver.answers = [silent(receiver)]
            begun = time.monotonic()
            assert failure(receiver.url).code == "timeout"
        assert time.monotonic() - begun < 2

    def test_one_octet_after_the_other_does_not_stretch_it(self) -> None:
        with receiving() as receiver:
            receiver.answers = [_dribble(receiver, b"HTTP/1.1 200 OK\r\nX: ")]
            begun = time.monotonic()
            assert failure(receiver.url).code == "timeout"
        assert time.monotonic() - begun < 2

    def test_a_slow_body_is_taken_as_far_as_it_came(self) -> None:
        with receiving() as receiver:
            receiver.answers = [_dribble(receiver, HEAD)]
            answer = ask(receiver)
        assert answer.arrived and set(answer.body) == {ord("y")}

    def test_a_receiver_that_takes_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
            assert failure(url, b"x" * 20_000_000).code == "timeout"

    def test_a_receiver_that_takes_little_by_little(self) -> None:
        end = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def sip() -> None:
                connection, _ = listening.accept()
                with connection:
                    while not end.wait(0.05):
                        connection.recv(500_000)

            thread = threading.Thread(target=sip, daemon=True)
            thread.start()
            begun = time.monotonic()
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
            assert failure(url, b"x" * 60_000_000).code == "timeout"
            end.set()
            thread.join()
        assert time.monotonic() - begun < 3

    def test_a_handshake_that_does_not_go_on(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            assert failure(f"https://127.0.0.1:{listening.getsockname()[1]}/").code == "timeout"


class TestTls:
    @pytest.fixture
    def root(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Minted:
        """A root that counts among those of the system."""
        root = mint(
            "Hooks Root",
            ca=True,
            begin=REAL_NOW - dt.timedelta(1),
            end=REAL_NOW + dt.timedelta(9),
            key_usage=True,
        )
        (tmp_path / "roots.pem").write_bytes(root.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
        return root

    def leaf(self, root: Minted, host: str = "127.0.0.1", end: float = 5) -> Minted:
        begin, until = REAL_NOW - dt.timedelta(1), REAL_NOW + dt.timedelta(end)
        return mint("hooks", root, begin=begin, end=until, hosts=(host,))

    def test_a_certificate_of_a_known_root_is_accepted(self, root: Minted) -> None:
        with receiving(chain=[self.leaf(root)]) as receiver:
            assert ask(receiver).arrived
            assert ask(receiver).body == b"taken"

    @pytest.mark.parametrize(
        ("host", "end", "why"), [("other.example", 5, "not valid for"), ("127.0.0.1", -0.5, "expired")]
    )
    def test_of_another_host_or_time_it_is_not(self, root: Minted, host: str, end: float, why: str) -> None:
        with receiving(chain=[self.leaf(root, host, end)]) as receiver:
            error = failure(receiver.url)
        assert error.code == "tls_failed" and why in error.sentence
        assert receiver.requests == []

    def test_of_an_unknown_root_it_is_not(self) -> None:
        stranger = mint(
            "Stranger",
            ca=True,
            begin=REAL_NOW - dt.timedelta(1),
            end=REAL_NOW + dt.timedelta(9),
            key_usage=True,
        )
        with receiving(chain=[self.leaf(stranger)]) as receiver:
            error = failure(receiver.url)
        assert error.code == "tls_failed" and receiver.requests == []

    def test_the_server_does_not_speak_it(self) -> None:
        with receiving(octets(b"HTTP/1.1 400 Bad\r\n\r\n")) as receiver:
            assert failure(receiver.url.replace("http:", "https:")).code == "tls_failed"


def _dribble(receiver: Receiver, head: bytes) -> Answering:
    def answer(stream: BufferedIOBase) -> None:
        stream.write(head)
        while not receiver.end.wait(0.1):
            stream.write(b"y")

    return answer
