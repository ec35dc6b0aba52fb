"""Reports of connection tests that never ran: what a provider's server is said to have sent."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import transaction

from providers import aftermath
from providers.connection.report import Report, ServerCertificate
from providers.models import ConnectionReport, Provider
from stores.formats.certificates import read_certificate
from tests.material import NOW, Minted


def sent(*chain: Minted) -> tuple[ServerCertificate, ...]:
    return tuple(ServerCertificate.of(read_certificate(one.der, "the server")[0]) for one in chain)


def seen(
    provider: Provider, *chain: Minted, anchor: Minted | None = None, code: str = "ok", now: dt.datetime = NOW, **columns: Any
) -> ConnectionReport:  # fmt: skip
    """A finished report in which the server sent this chain, and all that follows from it."""
    parsed = Report(
        ok=code == "ok",
        code=code,
        message="As expected.",
        server_chain=sent(*chain),
        anchor=sent(anchor)[0] if anchor else None,
    )
    report = ConnectionReport.objects.create(
        team=provider.team,
        provider=provider,
        state="done",
        asked_at=now,
        finished_at=now,
        ok=parsed.ok,
        code=code,
        message=parsed.message,
        details=parsed.to_dict(),
        **({"reason": "watch"} | columns),
    )
    with transaction.atomic():
        report.provider = Provider.objects.select_for_update().get(pk=provider.pk)
        aftermath.after(report, parsed, now)
    return report
