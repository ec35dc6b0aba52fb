"""Alerts: a provider that passed before an activation and fails since."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import QuerySet

from portal import audit
from portal.audit import SYSTEM, Actor
from portal.errors import Conflict
from portal.outbound import Policy
from providers import testing
from providers.models import Alert, ConnectionReport, Provider
from providers.wording import EDITED_MEANWHILE
from stores import notices, services
from stores.expiry import Stage
from stores.locking import locked_version
from stores.models import Certificate, Version

Closed, Reason = Alert.Closed, ConnectionReport.Reason


def follow(version: Version, previous: Version | None, actor: Actor, now: dt.datetime) -> None:
    """After an activation: what it put right is closed, and every provider that uses the certificate is tested again."""
    if previous:
        open_alerts = Alert.objects.filter(certificate=version.certificate, closed_at=None)
        _close(open_alerts.filter(previous=version), Closed.RESTORED, now)
        _close(open_alerts, Closed.REPLACED, now)
    users, policy = Provider.objects.that_use([version.certificate]), Policy.from_settings()
    if not users.exists():  # most often, and asked in half the time
        return
    for provider in users.select_related("team"):
        if not testing.unreachable(provider, policy):
            _ask_again(provider, version, actor, now)


def _ask_again(provider: Provider, version: Version, actor: Actor, now: dt.datetime) -> None:
    """A test that still waits since the activation before serves this one as well."""
    waiting = provider.reports.filter(
        reason=Reason.ACTIVATION,
        state=ConnectionReport.State.WAITING,
        activated__certificate=version.certificate_id,
    )
    if not waiting.update(activated=version):
        testing.ask(provider=provider, reason=Reason.ACTIVATION, actor=actor, now=now, activated=version)


def after(report: ConnectionReport, now: dt.datetime) -> None:
    """Closes the alerts of a provider that passes again; opens one when it fails since an activation, and passed before."""
    if report.reason == Reason.REHEARSAL:
        return
    if report.ok:
        _close(Alert.objects.filter(provider=report.provider_id, closed_at=None), Closed.PASSES, now)
    elif report.activated_id:
        _open(report, now)


def _open(report: ConnectionReport, now: dt.datetime) -> None:
    """Opens one alert, while the version is still the active one: who activates another waits for this row, and then closes it.

    The certificate is locked before its version, as by who activates one: an alert refers to both.
    """
    list(
        Certificate.objects.select_for_update(of=("self",), no_key=True).filter(versions=report.activated_id)
    )
    version = (
        Version.objects.select_for_update(of=("self",), no_key=True)
        .select_related("certificate")
        .filter(pk=report.activated_id, state=Version.State.ACTIVE)
        .first()
    )
    if version is None:
        return
    earlier = _replaced_by(version, report.provider)
    if earlier is None and not _passed_before(report, version):
        return
    alert, is_new = Alert.objects.get_or_create(
        provider=report.provider,
        certificate=version.certificate,
        closed_at=None,
        defaults={
            "team": report.team,
            "version": version,
            "previous": earlier.previous if earlier else _superseded_by(version),
            "report": report,
            "code": report.code,
            "message": report.message,
            "opened_at": now,
        },
    )
    if is_new:
        _say(alert, now)


def _replaced_by(version: Version, provider: Provider) -> Alert | None:
    """The alert that the version was to put right, which goes on when it did not."""
    rows = Alert.objects.filter(provider=provider, certificate=version.certificate, closed=Closed.REPLACED)
    return rows.filter(closed_at=version.activated_at).first()


def _superseded_by(version: Version) -> Version | None:
    """The version that was active until this one became so."""
    return version.certificate.versions.filter(
        state=Version.State.SUPERSEDED, superseded_at=version.activated_at
    ).first()


def _passed_before(report: ConnectionReport, version: Version) -> bool:
    """What the last test before the activation said; without one, whether any was good, or the rehearsal of this version."""
    reports = ConnectionReport.objects.filter(
        provider=report.provider_id, finished_at__lte=version.activated_at
    ).order_by("-finished_at")
    last = reports.exclude(reason=Reason.REHEARSAL).exclude(code=EDITED_MEANWHILE).first()
    if last is not None:
        return bool(last.ok)
    return (
        report.provider.last_good_id is not None
        or reports.filter(rehearsal__version=version, ok=True).exists()
    )


def _say(alert: Alert, now: dt.datetime) -> None:
    audit.record(
        SYSTEM,
        "alert.opened",
        alert.provider,
        team=alert.team,
        certificate=alert.certificate.name,
        version=alert.version.number,
        because=alert.code,
    )
    way_back = f" One click restores version {alert.previous.number}." if alert.previous else ""
    notices.tell(
        team=alert.team,
        people=notices.people_of(alert.provider),
        key=f"alert {alert.pk}",
        title=f"{alert.provider} fails since version {alert.version.number} of {alert.certificate} is active",
        text=f"{alert.headline}. The connection passed before.{way_back}",
        url=alert.provider.get_absolute_url(),
        now=now,
        severity=Stage.URGENT,
    )


def _close(rows: QuerySet[Alert], how: str, now: dt.datetime) -> int:
    return rows.filter(closed_at=None).update(closed_at=now, closed=how)


@transaction.atomic
def restore(*, alert: Alert, actor: Actor, now: dt.datetime) -> Version:
    """Makes the version active again that was so before; the alert closes by that. Safe to repeat.

    Conflict when the alert was closed otherwise, or there is nothing to go back to; PortalError as `services.activate`.
    """
    if alert.previous is None:
        raise Conflict("nothing_before", "There is no version before this one. Upload one that works.")
    previous = locked_version(alert.previous)
    alert.refresh_from_db()
    if alert.closed not in ("", Closed.RESTORED):
        raise Conflict(
            "alert_closed",
            f"This alert was closed meanwhile ({alert.get_closed_display().lower()}). Nothing was changed.",
        )
    if alert.closed:
        return previous
    return services.activate(version=previous, actor=actor, now=now)


@transaction.atomic
def dismiss(*, alert: Alert, actor: Actor, now: dt.datetime) -> None:
    """Closes the alert although the connection fails on; safe to repeat."""
    if _close(Alert.objects.filter(pk=alert.pk), Closed.DISMISSED, now):
        audit.record(
            actor,
            "alert.dismissed",
            alert.provider,
            team=alert.team,
            certificate=alert.certificate.name,
            version=alert.version.number,
        )
