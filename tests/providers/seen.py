"""What follows from a test in which a provider's server is said to have sent a chain."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from django.db import transaction

from providers import aftermath
from providers.connection.report import Report
from providers.models import ConnectionReport, Provider
from tests.material import NOW, Minted
from tests.providers.reported import FINE, reported


def seen(
    provider: Provider,
    *chain: Minted,
    anchor: Minted | None = None,
    code: str = "ok",
    now: dt.datetime = NOW,
    **columns: Any,
) -> ConnectionReport:
    """A finished report of the drift watch, and all that follows from it."""
    found = dataclasses.replace(FINE, ok=code == "ok", code=code)
    columns.setdefault("reason", "watch")
    report = reported(provider, now, *chain, anchor=anchor, found=found, **columns)
    with transaction.atomic():
        report.provider = Provider.objects.select_for_update().get(pk=provider.pk)
        aftermath.after(report, Report.from_dict(report.details), now)
    return report
