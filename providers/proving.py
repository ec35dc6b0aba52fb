"""Says to the stores where a version of a certificate was seen in use: what closes its case (DESIGN section 10).

Of a key store's version: a test that passed in which it was shown. Of a trust store's: the proof of its overlap, else a test that passed
since it is active. Who cannot be reached from here proves nothing and is not waited for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from django.db.models import Min, QuerySet

from portal.outbound import Policy
from providers.models import ConnectionReport, Overlap, OverlapProof, Provider
from stores import cases
from stores.models import Case, Store, Version
from stores.proof import Standing

BLOCKED = "blocked_by_policy"
Reason, State = ConnectionReport.Reason, ConnectionReport.State


def standings(version: Version) -> list[Standing]:
    """Each provider that uses the certificate and can be reached from here, and when it was first seen with the version."""
    # Tests come back here with their results.
    from providers.testing import unreachable

    policy = Policy.from_settings()
    users = Provider.objects.that_use([version.certificate]).defer("sealed_password", "description")
    reachable = [one for one in users if not unreachable(one, policy)]
    seen, blocked = _seen(version, reachable), _blocked(version, reachable)
    return [
        Standing(str(one), one.get_absolute_url(), seen.get(one.pk))
        for one in reachable
        if one.pk in seen or one.pk not in blocked
    ]


def _seen(version: Version, providers: Collection[Provider]) -> dict[str, dt.datetime]:
    """Id of the provider to when it was first seen with the version."""
    good = _since(version, providers).filter(ok=True)
    if version.certificate.store.kind == Store.Kind.KEY:
        return _first(good.filter(shown=version))
    overlap = Overlap.objects.filter(new=version).order_by("-opened_at").first()
    if overlap is None:
        return _first(good)
    proofs = OverlapProof.objects.filter(overlap=overlap, provider__in=providers)
    alone = _first(good.filter(finished_at__gte=overlap.closed_at)) if overlap.closed_at else {}
    return alone | dict(proofs.values_list("provider", "seen_at"))


def _first(reports: QuerySet[ConnectionReport]) -> dict[str, dt.datetime]:
    return dict(reports.order_by().values_list("provider").annotate(Min("finished_at")))


def _blocked(version: Version, providers: Collection[Provider]) -> set[str]:
    """Those whose name leads to an address that the policy forbids, which only a test can tell."""
    return set(_since(version, providers).filter(code=BLOCKED).values_list("provider_id", flat=True))


def _since(version: Version, providers: Collection[Provider]) -> QuerySet[ConnectionReport]:
    """What tests of what is active have said since the version is."""
    rows = ConnectionReport.objects.filter(provider__in=providers, state=State.DONE)
    return rows.filter(finished_at__gte=version.activated_at).exclude(reason=Reason.REHEARSAL)


def after(report: ConnectionReport, now: dt.datetime) -> None:
    """A report may be the last proof that a case waited for."""
    if not report.ok or report.reason == Reason.REHEARSAL:
        return
    waiting = Case.objects.open().filter(team=report.team_id, successor__isnull=False)
    for case in waiting.select_related("certificate"):
        if Provider.objects.that_use([case.certificate]).filter(pk=report.provider_id).exists():
            cases.settle(case, now)
