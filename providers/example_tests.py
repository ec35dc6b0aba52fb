"""Connection tests of the example team: written down, never run, since its servers do not exist."""

from __future__ import annotations

import dataclasses
import datetime as dt

from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction

from providers import aftermath
from providers.connection import Report, ServerCertificate, Step
from providers.example_material import Minted
from providers.models import ConnectionReport, Provider
from stores.formats.certificates import read_certificate
from stores.models import Version

HOST, ADDRESS = "orders.example.org", "192.0.2.7"
STEPS = (
    Step("address", True, 0.0024, f"{HOST} is {ADDRESS}."),
    Step("TCP", True, 0.0118, f"Connected to {ADDRESS}, port 443."),
    Step("TLS", True, 0.0293, "TLSv1.3, TLS_AES_256_GCM_SHA384."),
    Step("server certificate", True, 0.0009, "The chain ends in an entry of the trust store."),
    Step("host name", True, 0.0001, f"The certificate names {HOST}."),
)
PASSED = Report(
    ok=True,
    code="ok",
    message=f"Two-way TLS with {HOST} works, and the catalogue answers.",
    protocol="TLSv1.3",
    cipher="TLS_AES_256_GCM_SHA384",
    client_certificate_requested=True,
    client_certificate_sent=True,
    acceptable_cas=("CN=Example Root",),
    http_status=200,
    steps=(*STEPS, Step("HTTP", True, 0.0187, f"HEAD https://{HOST}/orders/v1: 200.")),
)


@transaction.atomic
def tell(provider: Provider, server: Minted, now: dt.datetime) -> ConnectionReport:
    """One test that passed at `now`, with all that follows from it; the server sent its own certificate only."""
    root = server.above[-1]
    leaf, anchor = (_facts(one.public_bytes(Encoding.DER)) for one in (server.certificate, root))
    found = dataclasses.replace(PASSED, server_chain=(leaf,), anchor=anchor)
    kept = found.to_dict()
    report = ConnectionReport.objects.create(
        team=provider.team,
        provider=provider,
        reason=ConnectionReport.Reason.WATCH,
        state=ConnectionReport.State.DONE,
        shown=Version.objects.current().filter(certificate=provider.key_certificate).first(),
        asked_at=now,
        started_at=now,
        finished_at=now,
        ok=found.ok,
        code=found.code,
        message=found.message,
        steps=kept["steps"],
        details=kept,
    )
    aftermath.after(report, found, now)
    return report


def _facts(der: bytes) -> ServerCertificate:
    return ServerCertificate.of(read_certificate(der, "the example")[0])
