"""Drift: what changed at a provider's server since its last good report, written down, and told once."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence

from django.urls import reverse

from providers import schedule
from providers.connection.report import Report
from providers.differences import Difference, differences, facts_of, text, title
from providers.models import Alert, Change, ConnectionReport, Provider
from stores import notices

Kind, Reason = Change.Kind, ConnectionReport.Reason


def after(report: ConnectionReport, parsed: Report | None, now: dt.datetime) -> None:
    """Records what differs from the last good report, and makes a report that passed the last good one.

    `parsed` is None for a test that never ran to its end. A rehearsal tries what is not active, and says nothing of drift.
    """
    if report.reason == Reason.REHEARSAL:
        return
    schedule.after(report, now)
    provider = report.provider
    if parsed and (found := _found(provider, parsed)):
        _record(report, found, now)
        _tell(report, found, now)
    if report.ok:
        Provider.objects.filter(pk=provider.pk).update(last_good=report)
        provider.last_good = report


def forget(provider: Provider) -> None:
    """Another server answers from now on: its first good report is where drift begins. Changes the row in memory alone."""
    provider.last_good = None


def _found(provider: Provider, parsed: Report) -> list[Difference]:
    return differences(_known(provider), facts_of(parsed)) if provider.last_good else []


def _known(provider: Provider) -> dict[str, str]:
    """What was seen last of each kind: in the last good report, and in those since that failed."""
    good = provider.last_good
    if good is None or not good.finished_at:
        return {}
    since = Change.objects.filter(provider=provider, seen_at__gt=good.finished_at).order_by("seen_at", "pk")
    return facts_of(Report.from_dict(good.details)) | dict(since.values_list("kind", "after"))


def _record(report: ConnectionReport, found: Sequence[Difference], now: dt.datetime) -> None:
    Change.objects.bulk_create(
        Change(
            team_id=report.team_id, provider=report.provider, report=report, kind=one.kind, before=one.before, after=one.after,
            seen_at=now,
        )
        for one in found
    )  # fmt: skip


def _tell(report: ConnectionReport, found: Sequence[Difference], now: dt.datetime) -> None:
    """Tells all that one report shows together; a failure of which an alert tells already is not told twice."""
    provider = report.provider
    if found[0].kind == Kind.REACHABILITY and Alert.objects.filter(report=report).exists():
        return
    notices.tell(
        team=provider.team,
        people=notices.people_of(provider),
        key=f"change/{provider.pk}/{_digest(report, found)}",
        title=f"{provider}: {title(found)}",
        text=text(found),
        url=reverse("providers:changes", args=[provider.pk]),
        now=now,
    )


def _digest(report: ConnectionReport, found: Sequence[Difference]) -> str:
    """A server that goes to and fro between two certificates is told of once; each fall and each return is new."""
    said = [f"{one.kind} {one.after}" for one in found]
    if found[0].kind == Kind.REACHABILITY:
        said.append(report.pk)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]


def reports_before(provider: Provider, changes: Sequence[Change]) -> list[str]:
    """Of each change the id of the last test before it, "" when that is no longer kept."""
    rows = provider.reports.filter(state=ConnectionReport.State.DONE).exclude(reason=Reason.REHEARSAL)
    kept = list(rows.order_by("-finished_at").values_list("pk", "finished_at"))
    return [next((pk for pk, at in kept if at and at < change.seen_at), "") for change in changes]
