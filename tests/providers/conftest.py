"""What the tests of this app share: one key certificate, one trust store, and a form filled in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from providers import services, testing
from providers.models import Host, Provider
from stores.models import Certificate, Store
from tests.cast import Cast, kept
from tests.material import mint
from tests.providers.backends import LOOPBACK, Switch


@pytest.fixture
def key_certificate(cast: Cast) -> Certificate:
    """outbound / orders-client."""
    return kept(cast).certificate


@pytest.fixture
def trusted(cast: Cast) -> Certificate:
    """Partner CAs / acme-root."""
    root = mint("Acme Root", ca=True, end=3000)
    return kept(cast, root, name="acme-root", store="Partner CAs", kind="trust").certificate


@pytest.fixture
def trust_store(trusted: Certificate) -> Store:
    return trusted.store


Register = Callable[..., Provider]


@pytest.fixture
def register(cast: Cast) -> Register:
    """Registers a provider of the team, as the owner."""

    def do(
        name: str = "orders", host: str = "orders.example.org", password: str = "", **fields: Any
    ) -> Provider:
        provider = Provider(team=cast.team, name=name, host=host, **fields)
        return services.create_provider(provider=provider, password=password, actor=cast.actor)

    return do


@pytest.fixture
def register_host(cast: Cast) -> Callable[..., Host]:
    def do(name: str = "public-api", host_name: str = "api.example.org", **fields: Any) -> Host:
        fields.setdefault("client_certificate", "off" if fields.get("trust_store") is None else "required")
        return services.create_host(
            host=Host(team=cast.team, name=name, host_name=host_name, **fields), actor=cast.actor
        )

    return do


@pytest.fixture
def typed() -> dict[str, str]:
    """What a person types for a provider with two-way TLS."""
    return {
        "name": "orders", "title": "Orders API", "description": "Takes orders.", "type": "internet", "host": "orders.example.org",
        "port": "443", "use_tls": "on", "key_certificate": "outbound / orders-client", "trust_store": "Partner CAs",
        "check_host_name": "on", "path_prefix": "/v1", "collection_path": "/services", "authentication": "basic",
        "user_name": "storekeeper", "password": "open sesame", "do": "save",
    }  # fmt: skip


@pytest.fixture
def switch(cast: Cast, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Switch]:
    """A certificate whose CA changes, and its backends; tests run what waits themselves (`run_tests`)."""
    monkeypatch.setattr(testing, "queue", lambda: None)
    settings.STOREKEEPER_OUTBOUND_ALLOW = LOOPBACK
    made = Switch(cast)
    yield made
    made.close()
