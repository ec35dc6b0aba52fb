"""The course of a connection test: what is sent to whom, what is told when, and what counts without a path."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from portal.outbound import Policy
from providers.connection import ClientMaterial, Report, Step, Target, probe, probing, tls
from tests.material import NOW, Minted, mint
from tests.running import free_port, wait_for

ROOT = mint("Root", ca=True)
SERVER = mint("server", ROOT)
CLIENT = mint("client", ROOT)
STRANGER = mint("stranger", mint("Other Root", ca=True))
POLICY = Policy((ipaddress.ip_network("127.0.0.0/8"),))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Listener:
    """A server with TLS that notes what it is sent, and answers by `answer`; None leaves it silent until we go."""

    context: ssl.SSLContext
    answer: Callable[[bytes], bytes | None] = lambda _: OK
    resets_after: threading.Event | None = None
    heard: list[bytes] = field(default_factory=list)
    ended: int = 0

    def __post_init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", free_port()))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listening.accept()
                with plain, contextlib.suppress(OSError):
                    plain.settimeout(20)
                    self._one(plain)
                self.ended += 1

    def _one(self, plain: socket.socket) -> None:
        with self.context.wrap_socket(plain, server_side=True) as connection:
            while octets := connection.recv(4096):
                self.heard.append(octets)
                if (answer := self.answer(octets)) is not None:
                    connection.sendall(answer)
                    if self.resets_after and self.resets_after.wait(20):
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return

    def close(self) -> None:
        """Listens no longer."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    """It asks for a certificate below the root, and does without."""
    (tmp_path / "server.pem").write_bytes(SERVER.key_pem + SERVER.pem)
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    context.load_verify_locations(tmp_path / "root.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    # Python's SSLContext has no other way to say at which instant it judges.
    context.verify_flags |= ssl.VerifyFlags(0x200000)
    found = Listener(context)
    yield found
    found.close()


def tried(listener: Listener, on_step: Callable[[Step], None] | None = None, **other: Any) -> Report:
    fields: dict[str, Any] = {"trust": (ROOT.certificate,), "check_host_name": False, **other}
    return probe(Target("127.0.0.1", listener.port, **fields), POLICY, now=NOW, on_step=on_step)


def material(minted: Minted, key: Minted | None = None) -> ClientMaterial:
    return ClientMaterial((key or minted).key, (minted.certificate,))


class TestSilentOnHead:
    """As `openssl s_server -www`, which answers GET alone and says so to nobody."""

    @pytest.fixture(autouse=True)
    def patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(probing, "SILENT_SECONDS", 0.3)
        monkeypatch.setattr(probing, "TOTAL_SECONDS", 3.0)

    def test_it_is_asked_by_get_on_a_fresh_connection(self, listener: Listener) -> None:
        listener.answer = lambda octets: OK if octets.startswith(b"GET") else None
        report = tried(listener, path="/", client=material(CLIENT))
        assert (report.code, report.http_status) == ("ok", 200)
        assert report.client_certificate_sent
        assert [one.split()[0] for one in listener.heard] == [b"HEAD", b"GET"]

    def test_one_that_is_silent_on_both_is_too_slow(self, listener: Listener) -> None:
        listener.answer = lambda octets: None
        assert tried(listener, path="/").code == "timeout"

    def test_without_a_path_nothing_is_asked_again(
        self, listener: Listener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(probing, "NUDGE_SECONDS", 0.3)
        listener.answer = lambda octets: None
        assert tried(listener).ok
        wait_for(lambda: listener.ended, "the end of the connection")
        assert len(listener.heard) == 1


class TestCredentials:
    def test_go_to_a_server_that_has_proved_itself(self, listener: Listener) -> None:
        assert tried(listener, path="/", credentials=("us", "open sesame")).ok
        assert b"Authorization: Basic dXM6b3BlbiBzZXNhbWU=\r\n" in listener.heard[0]

    @pytest.mark.parametrize(
        ("other", "code"),
        [
            ({"trust": (STRANGER.certificate,)}, "untrusted_issuer"),
            ({"trust": None}, "untrusted_issuer"),
            ({"check_host_name": True}, "server_name_mismatch"),
            ({"pins": ("A" * 43 + "=",)}, "pin_mismatch"),
        ],
    )
    def test_and_nothing_at_all_to_any_other(
        self, listener: Listener, other: dict[str, Any], code: str
    ) -> None:
        report = tried(listener, path="/", credentials=("us", "open sesame"), **other)
        assert report.code == code
        wait_for(lambda: listener.ended, "the end of the connection")
        assert listener.heard == []

    def test_are_in_no_text(self, listener: Listener) -> None:
        listener.answer = lambda octets: octets  # an echo
        target: dict[str, Any] = {"path": "/", "credentials": ("us", "open sesame")}
        report = tried(listener, **target)
        assert report.code == "http_error"
        assert "dXM6" not in str(report) and "sesame" not in str(report) + str(target["path"])


class TestSteps:
    def test_each_is_told_in_its_turn(self, listener: Listener) -> None:
        told: list[Step] = []
        report = tried(listener, told.append, path="/", client=material(CLIENT))
        names = ["address", "connection", "tls", "server certificate", "client certificate", "http"]
        assert [step.name for step in told] == names
        assert tuple(told) == report.steps

    def test_nothing_follows_the_one_that_fails(self, listener: Listener) -> None:
        report = tried(listener, trust=(STRANGER.certificate,))
        assert [step.name for step in report.steps if not step.ok] == ["server certificate"]
        assert report.steps[-1].detail == report.message


class TestOurCertificate:
    def test_a_late_refusal_is_waited_for_also_without_a_path(self, listener: Listener) -> None:
        listener.answer = lambda _: None
        report = tried(listener, client=material(STRANGER))
        assert (report.code, report.protocol) == ("client_certificate_unknown_ca", "TLSv1.3")

    def test_is_not_blamed_for_an_end_in_the_middle_of_an_answer(
        self, listener: Listener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listener.answer = lambda _: b"HTTP/1.1 200 OK\r\nConte"
        listener.resets_after = threading.Event()
        read, come = tls.Session.read, listener.resets_after.set
        monkeypatch.setattr(tls.Session, "read", lambda session: (read(session), come())[0])
        assert tried(listener, path="/", client=material(CLIENT)).code == "connection_reset"

    def test_and_its_key_belong_together(self, listener: Listener) -> None:
        report = tried(listener, client=material(CLIENT, key=STRANGER))
        assert (report.code, report.side) == ("client_certificate_refused", "ours")
        assert "key" in report.message

    def test_is_not_needed_here(self, listener: Listener) -> None:
        report = tried(listener, path="/")
        assert report.ok and report.client_certificate_requested and not report.client_certificate_sent
        assert any("optional" in step.detail for step in report.steps)


class TestHttp:
    def test_who_does_not_know_head_is_asked_by_get(self, listener: Listener) -> None:
        refused = b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n"
        listener.answer = lambda octets: OK if octets.startswith(b"GET") else refused
        report = tried(listener, path="/")
        assert (report.code, report.http_status) == ("ok", 200)

    @pytest.mark.parametrize("answer", [b"220 mail.example ESMTP\r\n", b"HTTP/1.1 500 No\r\n\r\n", b""])
    def test_without_a_path_no_answer_is_judged(self, listener: Listener, answer: bytes) -> None:
        listener.answer = lambda _: answer
        assert tried(listener).ok

    def test_without_a_path_silence_is_fine(
        self, listener: Listener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(probing, "NUDGE_SECONDS", 0.2)
        listener.answer = lambda _: None
        report = tried(listener)
        assert report.ok and report.http_status is None

    def test_a_query_in_a_redirect_is_not_told(self, listener: Listener) -> None:
        listener.answer = lambda _: b"HTTP/1.1 302 x\r\nLocation: https://in.example/?token=secret\r\n\r\n"
        report = tried(listener, path="/")
        assert report.code == "http_redirect"
        assert "https://in.example/" in report.message and "secret" not in report.message


def test_an_entry_of_ours_that_has_ended_is_told_as_ours(listener: Listener) -> None:
    ended = mint("Root", key_name="Root", ca=True, end=-1)
    report = tried(listener, trust=(ended.certificate,))
    assert (report.code, report.side) == ("untrusted_issuer", "ours")
    assert "31 May 2026" in report.message
