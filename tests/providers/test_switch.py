"""The main job before a real nginx: the backend takes only a new client CA, and the switch is tried, made and watched.

A steady stream of requests shows the material that the portal would give at each instant, so that it is seen what happened when.
"""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from django.db import connections
from django.urls import reverse
from django.utils import timezone

from portal.audit import SYSTEM
from portal.errors import Conflict
from providers import rehearsals, testing
from providers.models import Alert, Provider
from providers.targets import target_of
from stores import services
from stores.models import Version
from tests.cast import client_of
from tests.material import SERVER, Minted, mint
from tests.providers.backends import Switch, days, run_tests
from tests.running import free_port, wait_for

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/local/sbin:/usr/sbin:/sbin")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]


class Nginx:
    """A backend that takes client certificates of certain CAs, and learns of others by a reload."""

    def __init__(self, folder: Path, root: Minted, *takes: Minted) -> None:
        self.folder, self.port = folder, free_port()
        shown = mint(
            "backend.test", root, begin=days(-3), end=days(300), usages=(SERVER,), hosts=("127.0.0.1",)
        )
        (folder / "server.pem").write_bytes(shown.pem + shown.key_pem)
        self._trust(*takes)
        places = "".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log info; worker_processes 1;\n"
            f"events {{}}\nhttp {{ access_log off; {places}\n"
            f"server {{ listen 127.0.0.1:{self.port} ssl; keepalive_timeout 0;\n"
            f"ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;\n"
            f"ssl_verify_client on; ssl_client_certificate {folder}/cas.pem; ssl_session_cache off; ssl_session_tickets off;\n"
            "location / { return 200 'here'; } } }\n"
        )
        self._process = subprocess.Popen(
            [str(NGINX), "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._listens, "nginx listens")

    def _listens(self) -> bool:
        assert self._process.poll() is None, (self.folder / "error.log").read_text()
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def _trust(self, *takes: Minted) -> None:
        (self.folder / "cas.pem").write_bytes(b"".join(one.pem for one in takes))

    def take(self, *takes: Minted) -> None:
        """Trusts only these from now on; the workers of before have ended when it returns."""
        before = self._workers()
        self._trust(*takes)
        self._process.send_signal(signal.SIGHUP)
        wait_for(lambda: (now := self._workers()) and not now & before, "nginx has reloaded")

    def _workers(self) -> set[str]:
        rows = subprocess.run(["ps", "-eo", "ppid=,pid="], capture_output=True, text=True, check=True)
        pairs = (row.split() for row in rows.stdout.splitlines())
        return {pid for parent, pid in pairs if parent == str(self._process.pid)}

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@dataclass
class Stream:
    """Requests one after the other, each with the material that the portal has active at that instant."""

    provider: Provider
    root: Minted
    folder: Path
    seen: list[tuple[int, bool]] = field(default_factory=list)
    """The number of the version that was shown, and whether the backend answered 200."""

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self.seen.append(self._request())
                time.sleep(0.01)
        finally:
            connections.close_all()

    def _request(self) -> tuple[int, bool]:
        prepared = target_of(Provider.objects.get(pk=self.provider.pk), now=timezone.now())
        client, shown = prepared.target.client, prepared.shown
        assert client
        assert shown
        file = self.folder / "stream.pem"
        form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        pem = serialization.Encoding.PEM
        file.write_bytes(
            client.key.private_bytes(pem, form, bare)
            + b"".join(one.public_bytes(pem) for one in client.chain)
        )
        context = ssl.create_default_context(cadata=self.root.pem.decode())
        context.load_cert_chain(file)
        try:
            with (
                socket.create_connection(("127.0.0.1", self.provider.port), 20) as plain,
                context.wrap_socket(plain, server_hostname="127.0.0.1") as talk,
            ):
                talk.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return shown.number, b" 200 " in talk.recv(4096)
        except OSError:
            return shown.number, False

    def wait(self, number: int, ok: bool) -> None:
        """Until a request has shown this version with this outcome since now."""
        start = len(self.seen)
        wait_for(lambda: (number, ok) in self.seen[start:], f"version {number} {'passes' if ok else 'fails'}")

    def close(self) -> list[tuple[int, bool]]:
        """Ends it; what happened, runs of the same taken together."""
        self._ended.set()
        self._thread.join(60)
        return [one for at, one in enumerate(self.seen) if at == 0 or one != self.seen[at - 1]]


@pytest.fixture
def nginx(switch: Switch, tmp_path: Path) -> Iterator[Nginx]:
    running = Nginx(tmp_path, switch.root, switch.old_ca)
    yield running
    running.close()


@pytest.fixture
def provider(switch: Switch, nginx: Nginx) -> Provider:
    return Provider.objects.create(
        team=switch.cast.team,
        name="orders backend",
        host="127.0.0.1",
        port=nginx.port,
        key_certificate=switch.certificate,
        trust_store=switch.trust_store,
    )


@pytest.fixture
def stream(switch: Switch, provider: Provider, tmp_path: Path) -> Iterator[Stream]:
    running = Stream(provider, switch.root, tmp_path)
    yield running
    running.close()


def rehearsed(version: Version) -> str:
    """The outcome of a rehearsal."""
    rehearsal = rehearsals.begin(version=version, actor=SYSTEM, now=timezone.now())
    run_tests()
    rehearsal.refresh_from_db()
    return rehearsal.outcome


def probed(provider: Provider) -> str:
    """The code of a test with what is active."""
    report = testing.ask(provider=provider, reason="asked", actor=SYSTEM, now=timezone.now())
    run_tests()
    report.refresh_from_db()
    return report.code


def test_the_backend_takes_only_the_new_ca_and_the_switch_is_one_click(
    switch: Switch, nginx: Nginx, provider: Provider, stream: Stream
) -> None:
    stream.wait(1, ok=True)
    nginx.take(switch.new_ca)
    stream.wait(1, ok=False)
    assert probed(provider) == "client_certificate_unknown_ca", "the old version fails"
    staged = switch.stage()
    assert rehearsed(staged) == "passed", "the new one passes while the old one is in use"
    stream.wait(1, ok=False)
    answer = client_of(switch.cast.editor).post(reverse("stores:version_activate", args=[staged.pk]))
    assert answer.status_code == 302
    stream.wait(2, ok=True)
    run_tests()
    assert provider.reports.first().ok  # type: ignore[union-attr]
    assert not Alert.objects.exists()
    assert rehearsed(switch.old) == "failed"
    stream.close()
    first_seen = list(dict.fromkeys(stream.seen))  # while nginx reloads, its old and new workers take turns
    assert first_seen == [(1, True), (1, False), (2, True)], "the switch itself lost no request"


def test_a_backend_that_takes_both_loses_no_request(
    switch: Switch, nginx: Nginx, provider: Provider, stream: Stream
) -> None:
    nginx.take(switch.old_ca, switch.new_ca)
    stream.wait(1, ok=True)
    staged = switch.stage()
    assert rehearsed(staged) == "passed"
    services.activate(version=staged, actor=SYSTEM, now=timezone.now())
    stream.wait(2, ok=True)
    nginx.take(switch.new_ca)
    stream.wait(2, ok=True)
    assert stream.close() == [(1, True), (2, True)]


def test_a_switch_too_early_is_held_and_one_made_anyway_is_put_right_with_one_click(
    switch: Switch, nginx: Nginx, provider: Provider, stream: Stream
) -> None:
    assert probed(provider) == "ok"
    staged = switch.stage()
    assert rehearsed(staged) == "failed"
    with pytest.raises(Conflict, match="is held"):
        services.activate(version=staged, actor=SYSTEM, now=timezone.now())
    stream.wait(1, ok=True)
    owner = client_of(switch.cast.owner)
    address = reverse("providers:activate_anyway", args=[staged.rehearsals.get().pk])
    assert owner.post(address, {"reason": "The old one ends today."}).status_code == 302
    stream.wait(2, ok=False)
    run_tests()
    alert = Alert.objects.get()
    assert owner.post(reverse("providers:alert_restore", args=[alert.pk])).status_code == 302
    stream.wait(1, ok=True)
    assert stream.close() == [(1, True), (2, False), (1, True)]
