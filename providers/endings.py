"""What a provider or host depends on, and which of it fails first (DESIGN section 2, "fails at").

Of a provider whose server was seen that is our certificate with its intermediates, the trust entry in which the server's chain
ended, and what the server itself sent; of one that was not seen, anything that it trusts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TypeVar

from django.db.models import (
    Case,
    DateTimeField,
    Exists,
    F,
    Func,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Least
from django.urls import reverse

from portal.models import Team
from portal.models import User as Person
from providers.models import Host, Provider
from providers.trust import believed
from stores import expiry
from stores.models import Certificate, ChainCertificate, Store, Version
from stores.prompts import Prompt, explained_versions, prompts_of
from stores.theirs import TheirEnd
from stores.watch import policy_of

User = Provider | Host
End = Prompt | TheirEnd
Row = TypeVar("Row", bound=Model)
NEVER = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)


def certificates_of(user: User) -> QuerySet[Certificate]:
    """The certificates that it shows and trusts."""
    wanted = Q(pk=user.key_certificate_id) if user.key_certificate_id else Q(pk="")
    alone = trusted_alone(user)
    if alone:
        wanted |= Q(pk=alone)
    elif user.trust_store_id:
        wanted |= Q(store=user.trust_store_id)
    return Certificate.objects.filter(wanted)


def trusted_alone(user: User) -> str | None:
    """Id of the one certificate of the trust store that it trusts; None where it trusts all of them, or has no store."""
    return user.trust_certificate_id if isinstance(user, Provider) else None


def ends_of(user: User, now: dt.datetime, most: int, *, addresses: bool) -> list[End]:
    """The ends of all that it depends on, the first in front, at most `most`; a constant number of queries.

    Only with `addresses` is the server's certificate called by its name.
    """
    anchor = _anchors([user]).get(user.pk)
    certificates = certificates_of(user)
    if anchor:
        certificates = certificates.filter(pk__in=(user.key_certificate_id, anchor.version.certificate_id))
    versions = Version.objects.current().filter(certificate__in=certificates, fails_at__isnull=False)
    prompts = prompts_of(list(explained_versions(versions).order_by("fails_at", "pk")[:most]), now)
    own = [_anchored(prompt, anchor, user, now) for prompt in prompts]
    return _in_order(user, own, now, addresses)[:most]


def first_ends(users: Collection[User], now: dt.datetime, *, addresses: bool) -> dict[str, list[End]]:
    """Id to the first end of what it shows, of what it trusts, and of its server, in order; as `ends_of`.

    Three queries for all users together.
    """
    anchors = _anchors(users)
    in_store = _first_in_stores(
        {u.trust_store_id for u in users if u.trust_store_id and u.pk not in anchors and not trusted_alone(u)}
    )
    parts = {user.pk: _parts(user, anchors, in_store) for user in users}
    wanted = {part for pair in parts.values() for part in pair if part}
    versions = Version.objects.current().filter(certificate__in=wanted, fails_at__isnull=False)
    prompts = {
        prompt.certificate.pk: prompt
        for prompt in prompts_of(list(explained_versions(versions)), now, with_uses=False)
    }
    found: dict[str, list[End]] = {}
    for user in users:
        own = [prompts[part] for part in parts[user.pk] if part in prompts]
        told = [_anchored(one, anchors.get(user.pk), user, now) for one in own]
        found[user.pk] = _in_order(user, told, now, addresses)
    return found


def _parts(
    user: User, anchors: dict[str, ChainCertificate], in_store: dict[str, str]
) -> tuple[str | None, str | None]:
    """Ids of the certificate that it shows and of the one that it trusts and that fails first."""
    anchor = anchors.get(user.pk)
    trusted = anchor.version.certificate_id if anchor else trusted_alone(user)
    return user.key_certificate_id, trusted or in_store.get(user.trust_store_id or "")


def _in_order(user: User, prompts: Iterable[Prompt], now: dt.datetime, addresses: bool) -> list[End]:
    server = their_end(user, now, addresses=addresses) if isinstance(user, Provider) else None
    ends: list[End] = [*prompts, *([server] if server else ())]
    return sorted(ends, key=lambda end: (end.ends_at, end.label))


def their_end(provider: Provider, now: dt.datetime, *, addresses: bool) -> TheirEnd | None:
    """The end of its server's own certificate; None before it was seen."""
    if provider.server_ends_at is None:
        return None
    return TheirEnd(
        label=str(provider),
        url=provider.get_absolute_url(),
        share_url=reverse("providers:share", args=[provider.pk]),
        stage=provider.server_stage,
        ends_at=provider.server_ends_at,
        ends_name=provider.server_ends_name if addresses else "",
        owner=provider.owner,
        now=now,
    )


def their_ends(
    team: Team, now: dt.datetime, most: int, *, near: bool, owner: Person | None, addresses: bool
) -> list[TheirEnd]:
    """The servers of the team's providers whose certificates end first (`stores.theirs`); one query."""
    rows = team.providers.filter(server_ends_at__isnull=False).select_related("owner")
    if near:
        rows = rows.exclude(server_stage="")
    if owner:
        rows = rows.filter(owner=owner)
    first = rows.defer("sealed_password", "description").order_by("server_ends_at", "pk")[:most]
    return [end for provider in first if (end := their_end(provider, now, addresses=addresses))]


def _first_in_stores(stores: set[str]) -> dict[str, str]:
    """Store id to the id of its certificate that fails first."""
    rows = Store.objects.filter(pk__in=stores).annotate(first=Subquery(_earliest("pk").values("pk")[:1]))
    return dict(rows.values_list("pk", "first"))


def _earliest(store: str) -> QuerySet[Certificate]:
    return Certificate.objects.filter(store=OuterRef(store), fails_at__isnull=False).order_by(
        "fails_at", "pk"
    )


def _entries() -> QuerySet[ChainCertificate]:
    """Of a row of Provider: the trust entry in which its server's chain ended, while it is still believed."""
    entries = ChainCertificate.objects.filter(
        version__certificate=Coalesce(OuterRef("trust_certificate"), F("version__certificate")),
        sha256=OuterRef("anchor_sha256"),
        version__in=believed(),
        version__certificate__store=OuterRef("trust_store"),
    )
    return entries.order_by("pk")


def _anchors(users: Collection[User]) -> dict[str, ChainCertificate]:
    """Id of a provider to the trust entry in which its server's chain ended, where it is still believed; at most one query."""
    seen = [
        user for user in users if isinstance(user, Provider) and user.anchor_sha256 and user.trust_store_id
    ]
    if not seen:
        return {}
    rows = ChainCertificate.objects.filter(
        sha256__in={user.anchor_sha256 for user in seen},
        version__in=believed(),
        version__certificate__store__in={user.trust_store_id for user in seen},
    )
    entries = list(
        rows.select_related("version__certificate").defer("der", "version__sealed_key", "version__findings")
    )
    found = {}
    for user in seen:
        fitting = (entry for entry in entries if _is_entry_of(user, entry))
        if first := min(fitting, key=lambda entry: entry.pk, default=None):
            found[user.pk] = first
    return found


def _is_entry_of(user: Provider, entry: ChainCertificate) -> bool:
    certificate = entry.version.certificate
    return (
        entry.sha256 == user.anchor_sha256
        and certificate.store_id == user.trust_store_id
        and user.trust_certificate_id in (None, certificate.pk)
    )


def _anchored(prompt: Prompt, anchor: ChainCertificate | None, user: User, now: dt.datetime) -> Prompt:
    """The prompt of the certificate that holds the entry, told of that entry alone; any other as it is."""
    if anchor is None or anchor.version.certificate_id != prompt.certificate.pk:
        return prompt
    stage = expiry.stage_at(anchor.not_before, anchor.not_after, now, policy_of(user.team))
    name = anchor.common_name
    return replace(prompt, stage=stage or "", ends_at=anchor.not_after, ends_name=name, part="anchor")


def in_stages(rows: QuerySet[Row], team: Team, stages: Collection[str], now: dt.datetime) -> QuerySet[Row]:
    """Those that depend on something that is in one of these stages."""
    fitting = Certificate.objects.filter(team=team, stage__in=stages)
    whole = Q(trust_store__in=fitting.values("store"))
    if not issubclass(rows.model, Provider):
        return rows.filter(whole | Q(key_certificate__in=fitting))
    unseen = Q(whole, trust_certificate__isnull=True) | Q(trust_certificate__in=fitting)
    anchored = Exists(_entries())
    trusts = Q(anchored, anchor_sha256__in=_anchors_in(team, stages, now)) | (~Q(anchored) & unseen)
    return rows.filter(trusts | Q(key_certificate__in=fitting) | Q(server_stage__in=stages))


def _anchors_in(team: Team, stages: Collection[str], now: dt.datetime) -> list[str]:
    """Digests of the trust entries that the team's servers end in and that are in one of these stages."""
    seen = team.providers.exclude(anchor_sha256="").values("anchor_sha256")
    rows = ChainCertificate.objects.filter(sha256__in=seen, version__team=team).order_by().distinct()
    policy = policy_of(team)
    return [
        sha256
        for sha256, begins, ends in rows.values_list("sha256", "not_before", "not_after")
        if expiry.stage_at(begins, ends, now, policy) in stages
    ]


def fails_at(model: type[User]) -> Func:
    """An expression: when the first of what it depends on fails; `NEVER` where nothing does."""
    in_store = Subquery(_earliest("trust_store").values("fails_at")[:1])
    if model is not Provider:
        return Least(_or_never(F("key_certificate__fails_at")), _or_never(in_store))
    whole = Case(When(trust_certificate__isnull=True, then=in_store))
    anchor = Subquery(_entries().values("not_after")[:1])
    trusted = Coalesce(
        anchor, F("trust_certificate__fails_at"), whole, Value(NEVER), output_field=DateTimeField()
    )
    return Least(_or_never(F("key_certificate__fails_at")), trusted, _or_never(F("server_ends_at")))


def _or_never(end: Combinable) -> Coalesce:
    return Coalesce(end, Value(NEVER), output_field=DateTimeField())
