"""One row each of what connection tests leave behind, for the tests that visit every page."""

from __future__ import annotations

import datetime as dt

from django.db import models
from django.utils import timezone

from providers.gateway.scope import wanted
from providers.models import (
    Alert,
    Change,
    ConnectionReport,
    Gateway,
    GatewaySecret,
    GatewayToken,
    Host,
    Overlap,
    Provider,
    Rehearsal,
)
from stores.models import Version

WHY = "Failed to load private key from <inline>, Cause: error:06000080:public key routines:OPENSSL_internal:UNSUPPORTED_ALGORITHM"
REFUSED = "The server does not know the CA that issued our certificate. Give its people “Example Root R1”, and test again."


def samples_of(version: Version, provider: Provider) -> list[models.Model]:
    """A rehearsal of the version that failed, its report, an open alert of the provider about the version, a change, and an overlap."""
    now, certificate = timezone.now(), version.certificate
    rehearsal = Rehearsal.objects.create(
        team=certificate.team,
        version=version,
        asked_at=now,
        finished_at=now,
        outcome="failed",
        unproven=[
            {"id": provider.pk, "kind": "provider", "title": str(provider), "why": "It is on premise."}
        ],
    )
    report = ConnectionReport.objects.create(
        team=certificate.team,
        provider=provider,
        reason="rehearsal",
        rehearsal=rehearsal,
        shown=version,
        asked_at=now,
        started_at=now,
        finished_at=now,
        state="done",
        ok=False,
        code="client_certificate_unknown_ca",
        message=REFUSED,
    )
    alert = Alert.objects.create(
        team=certificate.team,
        provider=provider,
        certificate=certificate,
        version=version,
        previous=certificate.versions.filter(state="superseded").first(),
        report=report,
        code=report.code,
        message=report.message,
        opened_at=now,
    )
    change = Change.objects.create(
        team=certificate.team,
        provider=provider,
        report=report,
        kind="chain",
        before="The server's own, issued by CN=Example Issuing CA 2, until 3 Mar 2026, SHA-256 0f0f0f0f0f0f0f0f…",
        after="The server's own, issued by CN=Example Issuing CA 3, until 3 Mar 2027, SHA-256 1e1e1e1e1e1e1e1e…",
        seen_at=now,
    )
    overlap = Overlap.objects.create(
        team=certificate.team, certificate=certificate, old=version, new=version, opened_at=now
    )
    return [rehearsal, report, alert, change, overlap]


def gateway_of(host: Host, provider: Provider) -> Gateway:
    """A gateway that was heard of a minute ago: all is live there but the certificate of the host, which it refused."""
    now = timezone.now()
    gateway = Gateway.objects.create(
        team=host.team,
        name="edge-1",
        first_heard_at=now - dt.timedelta(days=9),
        last_heard_at=now - dt.timedelta(minutes=1),
    )
    gateway.hosts.set([host])
    gateway.providers.set([provider])
    GatewayToken.objects.create(
        team=host.team, gateway=gateway, token_sha256="1" * 64, created_at=now, last_used_at=now
    )
    for one in wanted(gateway).values():
        sent = {
            "gateway": gateway,
            "name": one.name,
            "sent_version": one.version,
            "sent_at": now,
            "sent_info": one.info,
        }
        said: dict[str, object] = {"refused_info": one.info, "refused_at": now, "refused_why": WHY}
        if one.version is None or one.version.certificate_id != host.key_certificate_id:
            said = {"acked_info": one.info, "acked_version": one.version, "acked_at": now}
        GatewaySecret.objects.create(**sent, **said)
    return gateway
