"""A provider whose two-way TLS works with a server in this process, and what tests it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from portal.audit import SYSTEM, Actor
from providers import testing
from providers.models import ConnectionReport, Provider
from stores.models import Version
from tests.cast import Cast, kept
from tests.material import Minted, mint
from tests.providers.backend import Backend
from tests.providers.backends import LOOPBACK
from tests.providers.conftest import Register

State, Reason = ConnectionReport.State, ConnectionReport.Reason


def days(number: float) -> dt.datetime:
    """From the real instant: TLS libraries have no other clock."""
    return timezone.now() + dt.timedelta(days=number)


@pytest.fixture
def client_ca() -> Minted:
    return mint("Client Root", ca=True, begin=days(-30), end=days(3000), key_usage=True)


@pytest.fixture
def server_ca() -> Minted:
    return mint("Backend Root", ca=True, begin=days(-30), end=days(3000), key_usage=True)


@pytest.fixture
def backend(tmp_path: Path, server_ca: Minted, client_ca: Minted, settings: Any) -> Iterator[Backend]:
    settings.STOREKEEPER_OUTBOUND_ALLOW = LOOPBACK
    leaf = mint("backend", server_ca, begin=days(-1), end=days(90), hosts=("127.0.0.1",))
    one = Backend(tmp_path, leaf, client_ca)
    yield one
    one.close()


@pytest.fixture
def shown(cast: Cast, client_ca: Minted) -> Version:
    leaf = mint("orders", client_ca, begin=days(-1), end=days(300))
    return kept(cast, leaf, client_ca, now=timezone.now())


@pytest.fixture
def trusted(cast: Cast, server_ca: Minted) -> Version:
    return kept(cast, server_ca, name="backend-root", store="partners", kind="trust", now=timezone.now())


@pytest.fixture
def orders(register: Register, backend: Backend, shown: Version, trusted: Version) -> Provider:
    """A provider whose two-way TLS works, with a password to sign in."""
    return register(
        host="127.0.0.1", port=backend.port, key_certificate=shown.certificate, trust_store=trusted.certificate.store,
        path_prefix="/v1", collection_path="/services", authentication="basic", user_name="storekeeper", password="open sesame",
    )  # fmt: skip


def ask(
    provider: Provider, actor: Actor = SYSTEM, reason: str = Reason.ASKED, **more: Any
) -> ConnectionReport:
    return testing.ask(provider=provider, reason=reason, actor=actor, now=timezone.now(), **more)


def report_of(provider: Provider, **more: Any) -> ConnectionReport:
    report = ask(provider, **more)
    testing.run([report.pk], now=timezone.now())
    report.refresh_from_db()
    return report
