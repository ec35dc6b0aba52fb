"""`manage.py probe`: the contract that others rely on (DESIGN section 13)."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from django.core.management import CommandError, call_command

from providers.connection.material import client_material
from tests.material import mint
from tests.running import free_port

ROOT = mint("Root", ca=True, end=36_500)
ISSUING = mint("Issuing CA", ROOT, ca=True, end=36_500)
SERVER = mint("localhost", ROOT, end=36_500)
CLIENT = mint("orders.example", ISSUING, end=36_500)
KEYS = {
    "ok", "code", "message", "protocol", "cipher", "server_chain", "anchor", "client_certificate_requested",
    "client_certificate_sent", "acceptable_cas", "http_status", "steps",
}  # fmt: skip


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Any) -> None:
    settings.STOREKEEPER_OUTBOUND_ALLOW = [
        ipaddress.ip_network("127.0.0.0/8"),
        ipaddress.ip_network("::1/128"),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with our certificate in several forms."""
    p12 = pkcs12.serialize_key_and_certificates(
        b"orders", CLIENT.key, CLIENT.certificate, [ISSUING.certificate], BestAvailableEncryption(b"secret")
    )
    files = {
        "server.pem": SERVER.key_pem + SERVER.pem,
        "client.pem": ISSUING.pem + CLIENT.key_pem + CLIENT.pem,
        "client.p12": p12,
        "key.pem": CLIENT.key_pem,
        "mixed.pem": CLIENT.key_pem + ROOT.pem,
        "root.pem": ROOT.pem,
        "words.txt": b"words",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "password").write_text("secret\nsecond line\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    """A server that wants a certificate below the root, and answers 200 to every request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(folder / "root.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", free_port())) as server:
        threading.Thread(target=_serve, args=(server, context), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError):
        while True:
            plain, _ = server.accept()
            with (
                contextlib.suppress(OSError),
                plain,
                context.wrap_socket(plain, server_side=True) as connection,
            ):
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def run(*arguments: object) -> tuple[int, list[dict[str, Any]]]:
    """Exit status and what was printed, one object a line."""
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("probe", *map(str, arguments), stdout=out)
    return int(ended.value.code or 0), [json.loads(line) for line in out.getvalue().splitlines()]


def manifest(folder: Path, *lines: object) -> Path:
    path = folder / "manifest.jsonl"
    written = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{line}\n" for line in written), encoding="utf-8")
    return path


def line(port: int, **other: object) -> dict[str, object]:
    return {"host": "127.0.0.1", "port": port, "trust": "root.pem", **other}


def codes(*arguments: object) -> list[str]:
    return [answer["code"] for answer in run(*arguments)[1]]


def test_the_form_of_an_answer(folder: Path, port: int) -> None:
    status, (answer,) = run("--manifest", manifest(folder, line(port, server_name="elsewhere.example")))
    assert status == 1
    assert answer.keys() == KEYS
    assert (answer["ok"], answer["code"]) == (False, "server_name_mismatch")
    assert answer["server_chain"][0] == SERVER.sha256 and answer["anchor"] == ROOT.sha256
    assert {tuple(step) for step in answer["steps"]} == {("name", "ok", "seconds", "detail")}


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's certificate counts as made for every name: names are not what these tests are about."""
    monkeypatch.setattr("providers.connection.identity.matches", lambda name, names: True)


@pytest.mark.usefixtures("named")
class TestOfOne:
    def test_all_options(self, folder: Path, port: int) -> None:
        status, (answer,) = run(
            f"127.0.0.1:{port}", "--server-name", "localhost", "--trust", folder / "root.pem", "--path", "/catalogue",
            "--client", folder / "client.p12", "--client-password-file", folder / "password",
        )  # fmt: skip
        assert (status, answer["code"], answer["http_status"]) == (0, "ok", 200)
        assert answer["client_certificate_sent"]

    def test_a_pin(self, folder: Path, port: int) -> None:
        client = ("--client", folder / "client.pem", "--trust", folder / "root.pem")
        assert codes(f"127.0.0.1:{port}", *client, "--pin", "A" * 43 + "=") == ["pin_mismatch"]

    def test_without_tls(self, port: int) -> None:
        assert codes(f"127.0.0.1:{port}", "--plain", "--path", "/") == ["tls_expected"]

    @pytest.mark.parametrize("host", ["[::1]:{}", "localhost:{}", "127.0.0.1:{}"])
    def test_the_ways_to_write_a_host(self, host: str) -> None:
        assert codes(host.format(free_port())) == ["connection_refused"]

    def test_a_host_that_is_none(self) -> None:
        assert codes("not a host") == ["dns_failure"]


@pytest.mark.usefixtures("named")
class TestManifest:
    def test_each_line_is_answered_in_order(self, folder: Path, port: int) -> None:
        path = manifest(
            folder,
            line(free_port()),
            line(port, client="client.pem", path="/"),
            "",
            line(port, client="client.p12", client_password="secret", path=None, comment="not ours"),
            line(port),
            {"host": "10.0.0.1"},
        )
        status, answers = run("--manifest", path)
        assert status == 1
        expected = ["connection_refused", "ok", "ok", "client_certificate_required", "blocked_by_policy"]
        assert [answer["code"] for answer in answers] == expected

    def test_all_fine_is_zero(self, folder: Path, port: int) -> None:
        assert run("--manifest", manifest(folder, line(port, client="client.pem")))[0] == 0

    @pytest.mark.parametrize(
        ("other", "code"),
        [
            ({"client": "nowhere.pem"}, "empty_file"),
            ({"client": "words.txt"}, "unsupported_format"),
            ({"client": "client.p12"}, "password_required"),
            ({"client": "client.p12", "client_password": "wrong"}, "wrong_password"),
            ({"client": "root.pem"}, "key_missing"),
            ({"client": "mixed.pem"}, "key_mismatch"),
            ({"client": "nul\0.pem"}, "empty_file"),
            ({"trust": "key.pem"}, "no_certificate"),
            ({"trust": "."}, "empty_file"),
            ({"port": 0}, "bad_line"),
            ({"port": "443"}, "bad_line"),
            ({"port": True}, "bad_line"),
            ({"tls": 1}, "bad_line"),
            ({"pins": "x"}, "bad_line"),
            ({"pins": [1]}, "bad_line"),
            ({"pins": ["x"]}, "bad_line"),
            ({"server_name": "a b"}, "bad_line"),
            ({"host": 1}, "bad_line"),
            ({"host": "a b"}, "dns_failure"),
        ],
    )
    def test_a_bad_line_stops_nothing(self, folder: Path, other: dict[str, object], code: str) -> None:
        closed = free_port()
        answers = run("--manifest", manifest(folder, {**line(closed), **other}, line(closed)))[1]
        assert [answer["code"] for answer in answers] == [code, "connection_refused"]
        assert answers[0]["message"].endswith(".") and answers[0]["steps"] == []

    @pytest.mark.parametrize("text", ["words", "[]", "1", '{"port": 443}', "[" * 100_000])
    def test_a_line_that_is_no_object(self, folder: Path, text: str) -> None:
        assert codes("--manifest", manifest(folder, text)) == ["bad_line"]

    def test_our_chain_is_sent_from_the_leaf_up(self, folder: Path) -> None:
        both = (CLIENT.certificate, ISSUING.certificate)
        assert client_material(folder / "client.pem", None).chain == both
        assert client_material(folder / "client.p12", "secret").chain == both


class TestWrongUsage:
    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("localhost:https",),
            ("localhost:",),
            ("localhost:123456",),
            ("--manifest", "/nowhere"),
            ("localhost", "--manifest", "/nowhere"),
            ("localhost", "--client-password-file", "/nowhere"),
        ],
    )
    def test_is_two(self, arguments: tuple[str, ...]) -> None:
        with pytest.raises(CommandError) as error:
            call_command("probe", *arguments)
        assert error.value.returncode == 2

    def test_a_port_out_of_range(self) -> None:
        assert codes("localhost:99999") == ["bad_line"]
