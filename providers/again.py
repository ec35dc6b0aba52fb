"""Tests that were cut short, as when the worker stops: asked for once more, where something waits for their outcome."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from portal.audit import Actor
from portal.outbound import Policy
from providers import testing
from providers.models import ConnectionReport

if TYPE_CHECKING:
    from providers.connection.report import Report


def once_more(report: ConnectionReport, parsed: Report | None, now: dt.datetime) -> bool:
    """Asks again for a test of a rehearsal or after an activation that was cut short; False for others, and the second time."""
    if parsed is not None or not (report.rehearsal or report.activated):
        return False
    same = ConnectionReport.objects.filter(
        provider=report.provider_id, rehearsal=report.rehearsal, activated=report.activated, code=report.code
    )
    if same.exclude(pk=report.pk).exists() or testing.unreachable(report.provider, Policy.from_settings()):
        return False
    testing.ask(
        provider=report.provider,
        reason=report.reason,
        actor=Actor(report.asked_by),
        now=now,
        rehearsal=report.rehearsal,
        activated=report.activated,
    )
    return True
