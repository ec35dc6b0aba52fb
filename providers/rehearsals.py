"""Rehearsals: a version is tried against every provider that uses it before it becomes active."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from functools import partial

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.urls import reverse

from portal import audit
from portal.audit import SYSTEM, Actor
from portal.errors import Conflict, PortalError
from portal.outbound import Policy
from providers import testing
from providers.models import ConnectionReport, Host, Provider, Rehearsal
from providers.wording import EDITED_MEANWHILE
from stores import housekeeping, services
from stores.locking import Gone, locked_version
from stores.models import Certificate, Version

UNJUDGED = ("blocked_by_policy", EDITED_MEANWHILE)
"""Codes of reports that say nothing of the version: the provider is unproven."""
INBOUND = "Callers connect here, so it cannot be tried from here: try it from their side."
MOST_NAMED = 3
Outcome, State = Rehearsal.Outcome, ConnectionReport.State


@transaction.atomic
def begin(*, version: Version, actor: Actor, now: dt.datetime, activates: bool = False) -> Rehearsal:
    """Tries a staged or superseded version against every provider that uses its certificate.

    One runs at a time: begun again, it is given back, and `activates` then holds for it. Conflict when the version is active;
    PortalError when it was discarded or purged, is not valid now, or nothing uses its certificate.
    """
    version = locked_version(version)
    if version.state == Version.State.ACTIVE:
        raise Conflict(
            "active", f"Version {version.number} is active already: test the connections of its providers."
        )
    services.refuse_unusable(version, now)
    if under_way := version.rehearsals.select_for_update().filter(finished_at=None).first():
        return _made_to_activate(under_way, actor) if activates else under_way
    to_try, unproven = _targets(version.certificate)
    if not to_try and not unproven:
        raise PortalError(
            "unused", "No provider uses this certificate yet, so there is nothing to try it against."
        )
    rehearsal = Rehearsal.objects.create(
        team=version.team,
        version=version,
        asked_by=actor.user,
        asked_at=now,
        activates=activates,
        unproven=unproven,
    )
    audit.record(
        actor,
        "version.rehearsed",
        version.certificate,
        team=version.team,
        version=version.number,
        count=len(to_try),
    )
    for provider in to_try:
        testing.ask(
            provider=provider,
            reason=ConnectionReport.Reason.REHEARSAL,
            actor=actor,
            now=now,
            rehearsal=rehearsal,
        )
    if not to_try:
        _finish_on_commit(rehearsal, now)
    return rehearsal


def _made_to_activate(rehearsal: Rehearsal, actor: Actor) -> Rehearsal:
    rehearsal.activates, rehearsal.asked_by = True, actor.user
    rehearsal.save(update_fields=["activates", "asked_by"])
    return rehearsal


def _targets(certificate: Certificate) -> tuple[list[Provider], list[dict[str, str]]]:
    """The providers that can be tried from here, and who cannot, with the reason."""
    policy, to_try, unproven = Policy.from_settings(), [], []
    for provider in Provider.objects.that_use([certificate]).select_related("team"):
        if why := testing.unreachable(provider, policy):
            unproven.append(_unproven(provider, why))
        else:
            to_try.append(provider)
    hosts = Host.objects.that_use([certificate])
    return to_try, unproven + [_unproven(host, INBOUND) for host in hosts]


def _unproven(user: Provider | Host, why: str) -> dict[str, str]:
    return {"id": user.pk, "kind": user._meta.model_name or "", "title": str(user), "why": why}


def can_rehearse(certificate: Certificate) -> bool:
    """Whether a provider that uses the certificate can be tried from here."""
    return bool(_targets(certificate)[0])


def rehearse(version: Version, actor: Actor, now: dt.datetime) -> str:
    """Begins, and gives the address of the page that shows how it goes."""
    return reverse("providers:rehearsal", args=[begin(version=version, actor=actor, now=now).pk])


def last_rehearsal(version: Version, now: dt.datetime) -> bool:
    """Begins the rehearsal that activates the version when all pass; False when nothing can be tried from here."""
    if not can_rehearse(version.certificate):
        return False
    begin(version=version, actor=SYSTEM, now=now, activates=True)
    return True


def after(report: ConnectionReport, now: dt.datetime) -> None:
    """When the report belongs to a rehearsal: judges that one, once the report is written, if it was the last.

    Not in this transaction, which has locked the provider: an activation locks the certificate first.
    """
    if report.rehearsal:
        _finish_on_commit(report.rehearsal, now)


def _finish_on_commit(rehearsal: Rehearsal, now: dt.datetime) -> None:
    transaction.on_commit(partial(finish, rehearsal, now), robust=True)


def finish_complete(now: dt.datetime) -> int:
    """Judges rehearsals of which all reports are done or gone, as a worker that died or a deleted provider leaves them; how many."""
    unfinished = ConnectionReport.objects.filter(rehearsal=OuterRef("pk")).exclude(state=State.DONE)
    rows = Rehearsal.objects.filter(~Exists(unfinished), finished_at=None).select_related("version")
    return sum(finish(rehearsal, now) for rehearsal in rows)


def finish(rehearsal: Rehearsal, now: dt.datetime) -> bool:
    """Judges the rehearsal once, when every report is done, and activates its version if it is meant to; whether it did judge."""
    if ConnectionReport.objects.filter(rehearsal=rehearsal).exclude(state=State.DONE).exists():
        return False
    try:
        with transaction.atomic():
            return _finish(rehearsal, locked_version(rehearsal.version), now)
    except Gone:
        return False


def _finish(rehearsal: Rehearsal, version: Version, now: dt.datetime) -> bool:
    row = Rehearsal.objects.select_for_update().filter(pk=rehearsal.pk, finished_at=None).first()
    if row is None:
        return False
    row.version = version
    reports = reports_of(row)
    _judge(row, reports, now)
    if row.activates:
        _activate(row, reports, now)
    return True


def _judge(rehearsal: Rehearsal, reports: list[ConnectionReport], now: dt.datetime) -> None:
    unjudged = [report for report in reports if report.code in UNJUDGED]
    rehearsal.unproven += [_unproven(report.provider, report.message) for report in unjudged]
    rehearsal.outcome, rehearsal.finished_at = _outcome(reports), now
    rehearsal.save(update_fields=["outcome", "finished_at", "unproven"])
    audit.record(
        SYSTEM,
        f"version.rehearsal_{rehearsal.outcome}",
        rehearsal.version.certificate,
        team=rehearsal.team,
        version=rehearsal.version.number,
        count=len(reports) - len(unjudged),
        reason=f"It fails at {_named(failing(reports))}." if failing(reports) else None,
    )


def _outcome(reports: list[ConnectionReport]) -> str:
    if failing(reports):
        return Outcome.FAILED
    return Outcome.PASSED if any(report.ok for report in reports) else Outcome.UNPROVEN


def reports_of(rehearsal: Rehearsal) -> list[ConnectionReport]:
    """One for each provider: the last, where a test was cut short and asked for again."""
    reports = rehearsal.reports.select_related("provider").order_by("asked_at", "id")
    return list({report.provider_id: report for report in reports}.values())


def failing(reports: Iterable[ConnectionReport]) -> list[ConnectionReport]:
    """Those that failed; a provider of which nothing could be known has not."""
    return [report for report in reports if report.ok is False and report.code not in UNJUDGED]


def failed_before(rehearsal: Rehearsal, reports: Iterable[ConnectionReport]) -> set[str]:
    """Ids of failing providers that failed in the same way in their last test before it: the version is hardly to blame."""
    failed = {report.provider_id: report.code for report in failing(reports)}
    before = ConnectionReport.objects.filter(
        provider__in=failed, state=State.DONE, asked_at__lt=rehearsal.asked_at
    ).exclude(reason=ConnectionReport.Reason.REHEARSAL)
    last = dict(before.order_by("asked_at", "id").values_list("provider", "code"))
    return {provider for provider, code in last.items() if failed[provider] == code}


def _named(reports: list[ConnectionReport]) -> str:
    titles = [str(report.provider) for report in reports]
    more = len(titles) - MOST_NAMED
    return ", ".join(titles[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _activate(rehearsal: Rehearsal, reports: list[ConnectionReport], now: dt.datetime) -> None:
    """Activates the version unless something failed, or somebody has postponed or discarded it meanwhile."""
    version = rehearsal.version
    by_itself = rehearsal.asked_by is None
    if by_itself and not Version.objects.to_activate(now).filter(pk=version.pk).exists():
        return
    try:
        with transaction.atomic():
            if rehearsal.outcome == Outcome.FAILED:
                raise Conflict("held", f"Its last rehearsal failed at {_named(failing(reports))}.")
            housekeeping.refuse_older(version)
            services.activate(version=version, actor=Actor(rehearsal.asked_by), now=now)
    except PortalError as error:
        housekeeping.not_activated(version, error, now)


def held(version: Version) -> str:
    """The gate: why a staged version should not become active now. A superseded one never is: restoring is for emergencies."""
    if version.state != Version.State.STAGED:
        return ""
    if version.rehearsals.filter(finished_at=None).exists():
        return f"Version {version.number} is being tried now. Wait for the outcome of its rehearsal."
    judged = version.rehearsals.filter(outcome__in=(Outcome.PASSED, Outcome.FAILED))
    latest = judged.order_by("-finished_at", "-id").first()
    if latest is None or latest.outcome == Outcome.PASSED:
        return ""
    failed = failing(reports_of(latest))
    where = f" at {_named(failed)}" if failed else ""
    return (
        f"Version {version.number} is held, because its rehearsal failed{where}. Correct the cause and rehearse again, "
        "or ask an owner of the team to activate it anyway."
    )


def activate_anyway(*, rehearsal: Rehearsal, reason: str, actor: Actor, now: dt.datetime) -> Version:
    """Activates the version of a failed rehearsal all the same; the reason is audited. PortalError without one."""
    if not reason.strip():
        raise PortalError(
            "reason_missing", "Say why it becomes active although its rehearsal failed.", field="reason"
        )
    if rehearsal.outcome != Outcome.FAILED:
        raise Conflict(
            "not_failed",
            "This rehearsal holds nothing, so no reason is needed: activate the version as usual.",
        )
    return services.activate(version=rehearsal.version, actor=actor, now=now, despite=reason.strip())
