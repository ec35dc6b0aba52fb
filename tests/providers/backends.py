"""Backends that want client certificates, and whose mind about whom they take can be changed while they run."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.utils import timezone

from portal.audit import SYSTEM, Actor
from providers import rehearsals, testing
from providers.models import Provider, Rehearsal
from stores import services
from stores.models import Certificate, Store, Version
from tests.cast import Cast, kept
from tests.material import SERVER, Minted, mint

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]
"""Where backends of tests are; in production nobody connects there unless the setting allows it."""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def days(number: float) -> dt.datetime:
    """From the real instant: servers have no other clock."""
    return timezone.now() + dt.timedelta(days=number)


def authority(name: str) -> Minted:
    return mint(name, ca=True, begin=days(-300), end=days(3000))


def client(name: str, issuer: Minted) -> Minted:
    """A client certificate with a key of its own."""
    return mint(
        name, issuer, key_name=f"{name} by {issuer.certificate.subject}", begin=days(-3), end=days(300)
    )


class Backend:
    """An HTTPS server of 127.0.0.1 that answers 200 to those whose certificate one of `takes` has issued."""

    def __init__(self, root: Minted, takes: Sequence[Minted]) -> None:
        self.takes = tuple(takes)
        self.shown = mint(
            "backend.test",
            root,
            begin=days(-3),
            end=days(300),
            usages=(SERVER,),
            hosts=("127.0.0.1", "backend.test"),
        )
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._socket.accept()
                threading.Thread(target=self._answer, args=(one, self._context()), daemon=True).start()

    def _context(self) -> ssl.SSLContext:
        """With the minds of this instant."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=b"".join(one.pem for one in self.takes).decode())
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "shown.pem"
            file.write_bytes(self.shown.pem + self.shown.key_pem)
            context.load_cert_chain(file)
        return context

    def _answer(self, one: socket.socket, context: ssl.SSLContext) -> None:
        one.settimeout(20)
        with contextlib.suppress(OSError), context.wrap_socket(one, server_side=True) as talk:
            while b"\r\n\r\n" not in (got := talk.recv(4096)) and got:
                pass
            talk.sendall(ANSWER)

    def close(self) -> None:
        self._socket.close()


@dataclass
class Switch:
    """A key store certificate whose CA changes: version 1 by the old one, the next by the new one; and who uses it."""

    cast: Cast
    old_ca: Minted = field(default_factory=lambda: authority("Old Client CA"))
    new_ca: Minted = field(default_factory=lambda: authority("New Client CA"))
    root: Minted = field(default_factory=lambda: authority("Backend Root"))
    backends: list[Backend] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.old = self.keep(self.old_ca)
        self.trust_store: Store = kept(
            self.cast, self.root, name="backends", store="trusted", kind="trust", now=timezone.now()
        ).certificate.store

    @property
    def certificate(self) -> Certificate:
        return Certificate.objects.get(pk=self.old.certificate_id)

    def keep(self, issuer: Minted, *, at_once: bool = True) -> Version:
        """The next version, by this CA."""
        return kept(self.cast, client("orders", issuer), issuer, now=timezone.now(), at_once=at_once)

    def stage(self, issuer: Minted | None = None) -> Version:
        return self.keep(issuer or self.new_ca, at_once=False)

    def provider(self, name: str, *takes: Minted, **fields: object) -> Provider:
        """A provider whose backend takes what these CAs issue; by default the old and the new one."""
        backend = Backend(self.root, takes or (self.old_ca, self.new_ca))
        self.backends.append(backend)
        values = {"host": "127.0.0.1", "port": backend.port, "key_certificate": self.certificate}
        return Provider.objects.create(
            team=self.cast.team, name=name, **(values | {"trust_store": self.trust_store} | fields)
        )

    def close(self) -> None:
        for backend in self.backends:
            backend.close()


def run_tests() -> int:
    """Runs all tests that wait, and those that follow from them; how many."""
    count = 0
    while ran := testing.run(now=timezone.now()):
        count += ran
    return count


def begin(version: Version, actor: Actor = SYSTEM, *, activates: bool = False) -> Rehearsal:
    """A rehearsal that waits for `run_tests`."""
    return rehearsals.begin(version=version, actor=actor, now=timezone.now(), activates=activates)


def outcome(rehearsal: Rehearsal) -> str:
    """As it is kept now."""
    rehearsal.refresh_from_db()
    return rehearsal.outcome


def activate(version: Version) -> Version:
    """As the portal itself, unless it is held."""
    return services.activate(version=version, actor=SYSTEM, now=timezone.now())


def state(version: Version) -> str:
    """As it is kept now."""
    return Version.objects.get(pk=version.pk).state
