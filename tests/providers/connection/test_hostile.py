"""Whatever a server sends, there is a report, in time and without an exception."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.outbound import Policy
from providers.connection import ClientMaterial, Report, Target, probe, probing
from providers.connection.report import CODES
from tests.material import NOW, mint
from tests.running import free_port

ROOT = mint("Root", ca=True)
SERVER = mint("server", ROOT)
CLIENT = mint("client", ROOT)
OURS = ClientMaterial(CLIENT.key, (CLIENT.certificate,))
POLICY = Policy((ipaddress.ip_network("127.0.0.0/8"),))
ANSWERS = (
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 100 Go on\r\n\r\n" * 3,
    b"HTTP/1.1 \xff\x00\r\n",
    b"\x00" * 30,
    b"HTTP/1.1 302 x\r\nLocation: \x1b[2J\xff\r\n\r\n",
)


class Damaging:
    """A server that speaks TLS, and damages what it says: each connection in another way, each run in the same ones."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._random = random.Random(seed)
        (folder / "server.pem").write_bytes(SERVER.key_pem + SERVER.pem)
        (folder / "root.pem").write_bytes(ROOT.pem)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.pem")
        self._context.load_verify_locations(folder / "root.pem")
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._context.maximum_version = self._random.choice([ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
        self._listening = socket.create_server(("127.0.0.1", free_port()))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(10)
                    self._speak(connection)

    def _speak(self, connection: socket.socket) -> None:
        come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(come, go, server_side=True)
        stands = False
        while True:
            try:
                if stands:
                    tls.read(4096)
                    tls.write(self._random.choice(ANSWERS))
                else:
                    tls.do_handshake()
                    stands = True
                    continue
            except ssl.SSLWantReadError:
                pass
            connection.sendall(self._damaged(bytearray(go.read())))
            if not (octets := connection.recv(65_536)):
                return
            come.write(octets)

    def _damaged(self, octets: bytearray) -> bytearray:
        chance = self._random
        for _ in range(chance.choice([0, 1, 1, 3, 20]) if octets else 0):
            place = chance.randrange(len(octets) + 1)
            match chance.randrange(4):
                case 0:
                    octets[place : place + 1] = chance.randbytes(1)
                case 1:
                    octets[place:place] = chance.randbytes(3)
                case 2:
                    del octets[place : place + 3]
                case _:
                    octets[place : place + 1] = bytes([chance.choice([0, 1, 0x7F, 0x80, 0xFF])])
        return octets

    def close(self) -> None:
        """Listens no longer."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "TOTAL_SECONDS", 0.5)
    monkeypatch.setattr(probing, "NUDGE_SECONDS", 0.2)


@pytest.fixture(params=range(40))
def damaging(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Damaging]:
    server = Damaging(tmp_path, request.param)
    yield server
    server.close()


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("path", [None, "/"])
def test_there_is_a_report(damaging: Damaging, path: str | None) -> None:
    target = Target(
        "127.0.0.1",
        damaging.port,
        trust=(ROOT.certificate,),
        check_host_name=False,
        client=OURS,
        path=path,
        credentials=("us", "open sesame"),
    )
    report = probe(target, POLICY, now=NOW)
    assert report.code in CODES and report.ok == (report.code == "ok")
    assert report.message.isprintable() and all(step.detail.isprintable() for step in report.steps)
    assert report.ok or [step.ok for step in report.steps].count(False) == 1
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report
