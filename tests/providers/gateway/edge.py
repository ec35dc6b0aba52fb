"""A real Envoy with the bootstrap of its gateway's page, callers before it and a backend behind it."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from django.utils import timezone

from providers.gateway import registry, tokens
from providers.gateway.bootstrap import bootstrap
from providers.models import Gateway, GatewayToken, Host, Provider
from stores.models import Certificate, Version
from tests.cast import Cast, kept
from tests.material import SERVER, Minted, mint
from tests.providers.backends import Backend, authority, client, days
from tests.providers.connection.programs import envoy_program
from tests.running import free_port, wait_for

NAME = "api.example.org"


@dataclass
class Edge:
    """A host and a provider of one gateway, with all that they show and trust."""

    cast: Cast
    server_ca: Minted = field(default_factory=lambda: authority("Server CA"))
    caller_ca: Minted = field(default_factory=lambda: authority("Caller CA"))
    client_ca: Minted = field(default_factory=lambda: authority("Client CA"))
    backend_ca: Minted = field(default_factory=lambda: authority("Backend CA"))

    def __post_init__(self) -> None:
        self.backend = Backend(self.backend_ca, [self.client_ca])
        shown = self.replace("first")
        callers = self.keep(self.caller_ca, name="callers", store="callers", kind="trust")
        outbound = self.keep(client("orders", self.client_ca), name="orders", store="outbound")
        backends = self.keep(self.backend_ca, name="backends", store="backends", kind="trust")
        self.host = Host.objects.create(
            team=self.cast.team,
            name="api",
            host_name=NAME,
            port=free_port(),
            key_certificate=shown.certificate,
            trust_store=callers.certificate.store,
        )
        self.provider = Provider.objects.create(
            team=self.cast.team,
            name="orders",
            host="127.0.0.1",
            port=self.backend.port,
            server_name="backend.test",
            key_certificate=outbound.certificate,
            trust_store=backends.certificate.store,
        )
        self.gateway = registry.register(
            gateway=Gateway(team=self.cast.team, name="edge"),
            hosts=[self.host],
            providers=[self.provider],
            actor=self.cast.actor,
        )
        self.token, self.text = self.make_token()

    def make_token(self) -> tuple[GatewayToken, str]:
        return tokens.make(gateway=self.gateway, actor=self.cast.actor, now=timezone.now())

    def keep(self, *chain: Minted, name: str, store: str, kind: str = "key") -> Version:
        return kept(self.cast, *chain, name=name, store=store, kind=kind, now=timezone.now())  # type: ignore[arg-type]

    def replace(self, key: str, kind: str = "p256") -> Version:
        """The next version of what callers see, with a key of this name and kind."""
        ends = days(300)
        leaf = mint(
            NAME,
            self.server_ca,
            key_name=key,
            kind=kind,
            begin=days(-3),
            end=ends,
            usages=(SERVER,),
            hosts=(NAME,),
        )
        return self.keep(leaf, self.server_ca, name="server", store="inbound")

    @property
    def shown(self) -> Certificate:
        return Certificate.objects.get(pk=self.host.key_certificate_id)

    @contextlib.contextmanager
    def envoy(self, folder: Path) -> Iterator[Path]:
        """Runs Envoy; gives its log."""
        file, log = folder / "envoy.json", folder / "envoy.log"
        file.write_text(bootstrap(self.gateway, self.text), "utf-8")
        quiet = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "info"]
        with log.open("wb") as out:
            process = subprocess.Popen([envoy_program(), "-c", str(file), *quiet], stdout=out, stderr=out)
        try:
            wait_for(lambda: self.serial() or process.poll() is not None, f"Envoy, see {log}", 30)
            assert process.poll() is None, log.read_text("utf-8", "replace")[-3000:]
            yield log
        finally:
            process.terminate()
            process.wait(20)

    def call(self, caller: Minted | None = None) -> int | None:
        """Status of the answer; None when the handshake is refused."""
        with contextlib.suppress(OSError), self.connection(caller) as connection:
            connection.request("GET", "/", headers={"Host": NAME})
            return connection.getresponse().status
        return None

    @contextlib.contextmanager
    def connection(self, caller: Minted | None) -> Iterator[http.client.HTTPSConnection]:
        context = ssl.create_default_context(cadata=self.server_ca.pem.decode())
        context.check_hostname = False
        if caller:
            with tempfile.NamedTemporaryFile() as file:
                file.write(caller.pem + caller.key_pem)
                file.flush()
                context.load_cert_chain(file.name)
        connection = http.client.HTTPSConnection("127.0.0.1", self.host.port, timeout=5, context=context)
        try:
            yield connection
        finally:
            connection.close()

    def serial(self) -> int | None:
        """Of the certificate that callers see; None while there is none."""
        with contextlib.suppress(OSError):
            text = ssl.get_server_certificate(("127.0.0.1", self.host.port), timeout=5)
            return x509.load_pem_x509_certificate(text.encode()).serial_number
        return None

    def close(self) -> None:
        self.backend.close()


def serial_of(version: Version) -> int:
    return x509.load_der_x509_certificate(bytes(version.chain.all()[0].der)).serial_number


def since(begun: dt.datetime) -> float:
    return (timezone.now() - begun).total_seconds()
