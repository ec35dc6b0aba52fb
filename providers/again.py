"""Tests that say nothing, cut short as when the worker stops or overtaken by an edit: asked for once more where something waits."""

from __future__ import annotations

import datetime as dt

from portal.audit import Actor
from portal.outbound import Policy
from providers import testing
from providers.models import ConnectionReport, Provider
from providers.wording import EDITED_MEANWHILE


def once_more(report: ConnectionReport, now: dt.datetime) -> bool:
    """Asks again for a test of a rehearsal or after an activation that never ran to its end; False where that helps nobody.

    What was cut short is repeated once; what an edit has overtaken each time, while the provider uses the certificate.
    """
    version = report.rehearsal.version if report.rehearsal else report.activated
    if version is None or testing.unreachable(report.provider, Policy.from_settings()):
        return False
    if report.code == EDITED_MEANWHILE:
        if not Provider.objects.that_use([version.certificate]).filter(pk=report.provider_id).exists():
            return False
    elif _was_repeated(report):
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


def _was_repeated(report: ConnectionReport) -> bool:
    same = ConnectionReport.objects.filter(
        provider=report.provider_id, rehearsal=report.rehearsal, activated=report.activated, code=report.code
    )
    return same.exclude(pk=report.pk).exists()
