"""Says to the stores where a version of a certificate was seen in use: what closes its case (DESIGN section 10).

Of a key store's version: a test that passed in which it was shown. Of a trust store's: the proof of its overlap, else a test that passed
since it is active. Who cannot be reached from here proves nothing and is not waited for.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from django.db.models import F, Q
from django.urls import reverse

from portal.outbound import Policy
from providers.models import ConnectionReport, Overlap, OverlapProof, Provider
from providers.usage import paired
from stores import cases
from stores.models import Case, Certificate, Store, Version
from stores.proof import Standing

BLOCKED = "blocked_by_policy"
Reason, State = ConnectionReport.Reason, ConnectionReport.State


def standings(versions: Sequence[Version]) -> dict[str, list[Standing]]:
    """Id of each version to the providers that use its certificate and can be reached from here, and when each was first seen with it."""
    users = _reachable([version.certificate for version in versions])
    tests = _tests(versions, {one.pk for rows in users.values() for one in rows})
    overlaps = _overlaps(versions)
    return {
        version.pk: [
            _standing(one, seen_at)
            for one in users[version.certificate_id]
            for since in [[test for test in tests[one.pk] if test.at >= _active_since(version)]]
            if (seen_at := _seen(version, since, overlaps.get(version.pk), one)) or not _is_blocked(since)
        ]
        for version in versions
    }


class _Test(NamedTuple):
    """A test that passed, or one that ended because the policy forbids the address, which only a test can tell of a name."""

    at: dt.datetime
    shown: str | None
    ok: bool


class _Overlap(NamedTuple):
    closed_at: dt.datetime | None
    proofs: dict[str, dt.datetime]
    """Id of the provider to when it was seen with what is new alone."""


def _reachable(certificates: Collection[Certificate]) -> dict[str, list[Provider]]:
    """Id of each certificate to the providers that use it and can be reached from here."""
    # Tests come back here with their results.
    from providers.testing import unreachable

    policy = Policy.from_settings()
    users = Provider.objects.that_use(certificates).defer("sealed_password", "description")
    found: defaultdict[str, list[Provider]] = defaultdict(list)
    for user, certificate, _ in paired([one for one in users if not unreachable(one, policy)], certificates):
        if isinstance(user, Provider) and user not in found[certificate]:
            found[certificate].append(user)
    return found


def _tests(versions: Sequence[Version], providers: Collection[str]) -> dict[str, list[_Test]]:
    """Id of each provider to what tests of what is active have said since the first of the versions is, the earliest first."""
    found: defaultdict[str, list[_Test]] = defaultdict(list)
    rows = ConnectionReport.objects.filter(Q(ok=True) | Q(code=BLOCKED), provider__in=providers)
    rows = rows.filter(state=State.DONE, finished_at__gte=min(map(_active_since, versions)))
    told = rows.exclude(reason=Reason.REHEARSAL).order_by("finished_at")
    for provider, at, shown, ok in told.values_list("provider", "finished_at", "shown", "ok"):
        if at is not None:
            found[provider].append(_Test(at, shown, bool(ok)))
    return found


def _active_since(version: Version) -> dt.datetime:
    return version.activated_at or version.created_at


def _overlaps(versions: Sequence[Version]) -> dict[str, _Overlap]:
    """Id of each version to how far the trust in it overlaps with that in the one before."""
    trusting = [one for one in versions if one.certificate.store.kind == Store.Kind.TRUST]
    if not trusting:
        return {}
    rows = Overlap.objects.filter(new__in=trusting, opened_at__gte=F("new__activated_at"))
    latest = {one.new_id: one for one in rows.order_by("opened_at", "pk")}
    proofs: defaultdict[int | str, dict[str, dt.datetime]] = defaultdict(dict)
    for overlap, provider, at in OverlapProof.objects.filter(overlap__in=latest.values()).values_list(
        "overlap", "provider", "seen_at"
    ):
        proofs[overlap][provider] = at
    return {version: _Overlap(one.closed_at, proofs[one.pk]) for version, one in latest.items()}


def _is_blocked(tests: Sequence[_Test]) -> bool:
    """Whether the policy forbids the address to which the name leads, as far as the last test could tell."""
    return bool(tests) and not tests[-1].ok


def _seen(
    version: Version, tests: Sequence[_Test], overlap: _Overlap | None, provider: Provider
) -> dt.datetime | None:
    """When the provider was first seen with the version; None: not yet."""
    good = [test for test in tests if test.ok]
    if version.certificate.store.kind == Store.Kind.KEY:
        good = [test for test in good if test.shown == version.pk]
    elif overlap is not None:
        if provider.pk in overlap.proofs:
            return overlap.proofs[provider.pk]
        good = [test for test in good if overlap.closed_at and test.at >= overlap.closed_at]
    return good[0].at if good else None


def _standing(provider: Provider, seen_at: dt.datetime | None) -> Standing:
    return Standing(
        str(provider), provider.get_absolute_url(), reverse("providers:test", args=[provider.pk]), seen_at
    )


def after(report: ConnectionReport, now: dt.datetime) -> None:
    """A report may be the last proof that a case waited for."""
    if not report.ok or report.reason == Reason.REHEARSAL:
        return
    waiting = Case.objects.open().filter(team=report.team_id, successor__isnull=False).order_by("pk")
    for case in waiting.select_related("certificate"):
        if Provider.objects.that_use([case.certificate]).filter(pk=report.provider_id).exists():
            cases.settle(case, now)
