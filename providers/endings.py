"""What a provider or host depends on, and which of it fails first (DESIGN section 2, "fails at")."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import TypeVar

from django.db.models import (
    Case,
    DateTimeField,
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

from providers.models import Host, Provider
from stores.models import Certificate, Store, Version
from stores.prompts import Prompt, explained_versions, first_to_end, prompts_of

User = Provider | Host
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


def ends_of(user: User, now: dt.datetime, most: int) -> list[Prompt]:
    """The ends of all that it depends on, the first in front, at most `most`; a constant number of queries."""
    versions = Version.objects.current().filter(certificate__in=certificates_of(user), fails_at__isnull=False)
    return prompts_of(list(explained_versions(versions).order_by("fails_at", "pk")[:most]), now)


def first_ends(users: Collection[User], now: dt.datetime) -> dict[str, list[Prompt]]:
    """Id to the first end of what it shows and the first of what it trusts, in order; two queries for all users together."""
    in_store = _first_in_stores(
        {u.trust_store_id for u in users if u.trust_store_id and not trusted_alone(u)}
    )
    parts = {
        u.pk: (u.key_certificate_id, trusted_alone(u) or in_store.get(u.trust_store_id or "")) for u in users
    }
    wanted = {part for pair in parts.values() for part in pair if part}
    versions = Version.objects.current().filter(certificate__in=wanted, fails_at__isnull=False)
    prompts = {
        prompt.certificate.pk: prompt
        for prompt in prompts_of(list(explained_versions(versions)), now, with_uses=False)
    }
    return {pk: first_to_end(prompts[part] for part in pair if part in prompts) for pk, pair in parts.items()}


def _first_in_stores(stores: set[str]) -> dict[str, str]:
    """Store id to the id of its certificate that fails first."""
    rows = Store.objects.filter(pk__in=stores).annotate(first=Subquery(_earliest("pk").values("pk")[:1]))
    return dict(rows.values_list("pk", "first"))


def _earliest(store: str) -> QuerySet[Certificate]:
    return Certificate.objects.filter(store=OuterRef(store), fails_at__isnull=False).order_by(
        "fails_at", "pk"
    )


def with_certificates_in(rows: QuerySet[Row], **certificates: object) -> QuerySet[Row]:
    """Those that depend on a certificate that fits the filter."""
    fitting = Certificate.objects.filter(**certificates)
    whole = Q(trust_store__in=fitting.values("store"))
    if issubclass(rows.model, Provider):
        whole = Q(whole, trust_certificate__isnull=True) | Q(trust_certificate__in=fitting)
    return rows.filter(whole | Q(key_certificate__in=fitting))


def fails_at(model: type[User]) -> Func:
    """An expression: when the first of its certificates fails; `NEVER` where none does."""
    in_store = Subquery(_earliest("trust_store").values("fails_at")[:1])
    if model is not Provider:
        return Least(_or_never(F("key_certificate__fails_at")), _or_never(in_store))
    whole = Case(When(trust_certificate__isnull=True, then=in_store))
    ends: tuple[Combinable, ...] = (F("key_certificate__fails_at"), F("trust_certificate__fails_at"), whole)
    return Least(*[_or_never(end) for end in ends])


def _or_never(end: Combinable) -> Coalesce:
    return Coalesce(end, Value(NEVER), output_field=DateTimeField())
