"""A finished connection test as the probe describes one, without a server: for pages, pictures and comparisons."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from providers.connection import Report, ServerCertificate, Step
from providers.models import ConnectionReport, Provider
from stores.formats.certificates import read_certificate
from tests.material import Minted

HOST = "orders.example.org"
STEPS = (
    Step("address", True, 0.0021, f"{HOST} is 192.0.2.7."),
    Step("TCP", True, 0.0134, "Connected to 192.0.2.7, port 443."),
    Step("TLS", True, 0.0312, "TLSv1.3, TLS_AES_256_GCM_SHA384."),
    Step("server certificate", True, 0.0009, "The chain ends in “Example Root R1” of the trust store."),
    Step("host name", True, 0.0001, f"The certificate names {HOST}."),
    Step("client certificate", True, 0.0001, "Asked for, and ours was sent."),
    Step("HTTP", True, 0.0203, f"HEAD https://{HOST}/v1/services: 200."),
)
FINE = Report(
    ok=True,
    code="ok",
    message=f"Two-way TLS with {HOST} works.",
    protocol="TLSv1.3",
    cipher="TLS_AES_256_GCM_SHA384",
    client_certificate_requested=True,
    client_certificate_sent=True,
    acceptable_cas=("CN=Example Issuing CA 2",),
    http_status=200,
    steps=STEPS,
)
UNTRUSTED = dataclasses.replace(
    FINE,
    ok=False,
    code="untrusted_issuer",
    message=f"The chain of {HOST} ends in “Unknown Root”, which is not in the trust store. Add that root to the trust store.",
    side="ours",
    protocol="TLSv1.2",
    client_certificate_requested=False,
    client_certificate_sent=False,
    acceptable_cas=(),
    http_status=None,
    steps=(*STEPS[:3], Step("server certificate", False, 0.0011, f"Nobody that is trusted issued {HOST}.")),
)


def certificates(*chain: Minted) -> tuple[ServerCertificate, ...]:
    """As the probe describes what a server sent."""
    return tuple(ServerCertificate.of(read_certificate(one.der, "the server")[0]) for one in chain)


def reported(
    provider: Provider,
    now: dt.datetime,
    *chain: Minted,
    anchor: Minted | None = None,
    found: Report = FINE,
    **columns: Any,
) -> ConnectionReport:
    """The row of a test in which the server sent this chain."""
    kept = dataclasses.replace(
        found, server_chain=certificates(*chain), anchor=certificates(anchor)[0] if anchor else None
    ).to_dict()
    values = {
        "team": provider.team,
        "provider": provider,
        "reason": "asked",
        "state": "done",
        "asked_at": now,
        "started_at": now,
        "finished_at": now + dt.timedelta(seconds=1),
        "ok": found.ok,
        "code": found.code,
        "message": found.message,
        "steps": kept["steps"],
        "details": kept,
    }
    return ConnectionReport.objects.create(**(values | columns))
