"""Which version runs on which gateway, beside the active one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Q

from providers.gateway.scope import Wanted, has_trust, name_of_certificate, name_of_trust, wanted
from providers.models import Gateway, GatewaySecret, Host, Provider
from stores.models import Certificate, Version
from stores.running import Running

LAGS_AFTER = dt.timedelta(minutes=2)
"""From the activation."""
SILENT_AFTER = dt.timedelta(minutes=2)
"""From the last time it was heard of."""
TIMES_UNTIL_REFUSED = 4
"""Sent so often without being taken, it is refused: over REST, Envoy says so by nothing else than asking again."""
UNSAID = "The gateway asks again and again, and does not take it. Its log says why."


@dataclass(frozen=True)
class Standing:
    """One secret of a gateway."""

    name: str
    title: str
    url: str
    what: str
    """What it is for, as words."""
    active: Version | None
    """Of a certificate."""
    runs: Version | None
    state: str
    """As the portal's pages draw it."""
    word: str
    why: str = ""
    since: dt.datetime | None = None


def standings(gateway: Gateway, now: dt.datetime) -> list[Standing]:
    """All that its hosts and providers need, certificates first; in a constant number of queries."""
    found = wanted(gateway)
    rows = {row.name: row for row in gateway.secrets.select_related("acked_version")}
    hosts = gateway.hosts.select_related("key_certificate").order_by("folded_name")
    providers = gateway.providers.select_related("key_certificate").order_by("folded_name")
    users: list[Host | Provider] = [*hosts, *providers]
    return [
        _standing(place, found.get(place.name), rows.get(place.name), now)
        for place in (*_certificates(users), *_trust(users))
    ]


@dataclass(frozen=True)
class _Place:
    name: str
    title: str
    url: str
    what: str


def _certificates(users: Iterable[Host | Provider]) -> Iterator[_Place]:
    shown: dict[str, tuple[Certificate, list[str]]] = {}
    for user in users:
        if one := user.key_certificate:
            shown.setdefault(one.pk, (one, []))[1].append(str(user))
    for pk, (one, titles) in shown.items():
        yield _Place(
            name_of_certificate(pk), one.name, one.get_absolute_url(), f"shown by {', '.join(titles)}"
        )


def _trust(users: Iterable[Host | Provider]) -> Iterator[_Place]:
    for user in users:
        if has_trust(user):
            what = (
                "whose servers it believes" if isinstance(user, Provider) else "which callers it recognises"
            )
            yield _Place(name_of_trust(user), f"Trust of {user}", user.get_absolute_url(), what)


def _standing(place: _Place, one: Wanted | None, row: GatewaySecret | None, now: dt.datetime) -> Standing:
    runs = row.acked_version if row else None
    if one is None:
        state, word, why, since = "warning", "Nothing to serve", "No version is active.", None
    else:
        state, word, why, since = _judged(one, row, now)
    about = (place.name, place.title, place.url, place.what)
    return Standing(*about, one.version if one else None, runs, state, word, why, since)


def _judged(
    one: Wanted, row: GatewaySecret | None, now: dt.datetime
) -> tuple[str, str, str, dt.datetime | None]:
    """State, word, why and since when."""
    if row and row.acked_info == one.info:
        return "valid", "Live", "", row.acked_at
    if row and row.refused_info == one.info:
        return "expired", "Refused", row.refused_why or UNSAID, row.refused_at
    if row and row.sent_info == one.info and row.times >= TIMES_UNTIL_REFUSED:
        return "expired", "Refused", UNSAID, row.sent_at
    versions = (one.version,) if one.version else one.trusted
    begun = max((version.activated_at for version in versions if version.activated_at), default=None)
    if row and row.acked_info and begun and now - begun > LAGS_AFTER:
        return "warning", "Lags", "It runs an older one.", begun
    return "info", "On its way" if row else "Not fetched yet", "", None


def is_silent(gateway: Gateway, now: dt.datetime) -> bool:
    """Whether it was heard of, but not lately."""
    return gateway.last_heard_at is not None and now - gateway.last_heard_at > SILENT_AFTER


def running(certificate: Certificate) -> list[Running]:
    """For the page of a certificate: every gateway that shows it and has it, and the version that runs there; in one query."""
    showing = Q(hosts__key_certificate=certificate) | Q(providers__key_certificate=certificate)
    gateways = Gateway.objects.filter(showing, team=certificate.team_id)
    rows = GatewaySecret.objects.filter(name=name_of_certificate(certificate.pk), gateway__in=gateways)
    rows = rows.select_related("gateway", "acked_version")
    return [
        Running(
            title=str(row.gateway),
            url=row.gateway.get_absolute_url(),
            number=row.acked_version.number if row.acked_version else None,
            since=row.acked_at,
        )
        for row in rows.order_by("gateway__folded_name")
    ]
