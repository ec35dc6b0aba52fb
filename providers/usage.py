"""Says to the stores who uses their certificates: providers and hosts."""

from __future__ import annotations

import functools
import operator
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Coalesce, NullIf
from django.urls import reverse

from portal.models import Team
from providers.models import Host, Provider
from stores.models import Certificate, Store
from stores.usage import Hit, Use

SHOWS, TRUSTS = "shows", "trusts"
MOST_HITS = 10
User = Provider | Host


def find(certificates: Collection[Certificate]) -> list[Use]:
    """All uses of these certificates by providers and hosts, in two queries."""
    users: Iterable[User] = (
        *Provider.objects.that_use(certificates).defer("sealed_password", "description"),
        *Host.objects.that_use(certificates).defer("description"),
    )
    return [_use(user, one, how) for user, one, how in paired(users, certificates)]


def paired(users: Iterable[User], certificates: Collection[Certificate]) -> Iterator[tuple[User, str, str]]:
    """Each user beside the id of each of these certificates that it uses, and how."""
    known = {certificate.pk for certificate in certificates}
    in_store: defaultdict[str, list[str]] = defaultdict(list)
    for certificate in certificates:
        in_store[certificate.store_id].append(certificate.pk)
    for user in users:
        yield from ((user, one, how) for one, how in _pairs(user, in_store) if one in known)


def find_of_store(store: Store) -> list[Use]:
    """All users of a store or of a certificate in it, in two queries."""
    how = SHOWS if store.kind == Store.Kind.KEY else TRUSTS
    users: Iterable[User] = (
        *Provider.objects.that_use_store(store).defer("sealed_password", "description"),
        *Host.objects.that_use_store(store).defer("description"),
    )
    return [_use(user, "", how) for user in users]


def _use(user: User, certificate_id: str, how: str) -> Use:
    kind = user._meta.model_name or ""
    owner = user.owner_id if isinstance(user, Provider) else None
    return Use(certificate_id, kind, user.pk, str(user), user.get_absolute_url(), how, user.address, owner)


def _pairs(user: User, in_store: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Ids of the certificates that this one uses, each with how."""
    if user.key_certificate_id:
        yield user.key_certificate_id, SHOWS
    alone = user.trust_certificate_id if isinstance(user, Provider) else None
    if alone:
        yield alone, TRUSTS
    elif user.trust_store_id:
        for one in in_store.get(user.trust_store_id, ()):
            yield one, TRUSTS


def used() -> Q:
    """The condition on a row of Certificate that a provider or host uses it."""
    whole = {"trust_store": OuterRef("store")}
    queries = (
        Provider.objects.filter(key_certificate=OuterRef("pk")),
        Provider.objects.filter(trust_certificate=OuterRef("pk")),
        Provider.objects.filter(**whole, trust_certificate__isnull=True),
        Host.objects.filter(key_certificate=OuterRef("pk")),
        Host.objects.filter(**whole),
    )
    return functools.reduce(operator.or_, (Q(Exists(query)) for query in queries))


def search(team: Team, text: str) -> list[Hit]:
    """The first providers and hosts of the team whose name or title contains the text; never by their addresses."""
    shown = Coalesce(NullIf("title", Value("")), "name")
    providers = Provider.objects.named_like(team, text).annotate(kind=Value("provider"), shown=shown)
    hosts = Host.objects.named_like(team, text).annotate(kind=Value("host"), shown=F("name"))
    columns = ("kind", "pk", "shown")
    rows = providers.order_by().values_list(*columns).union(hosts.order_by().values_list(*columns), all=True)
    return [
        Hit(kind, title, reverse(f"providers:{kind}", args=[pk]))
        for kind, pk, title in rows.order_by("shown")[:MOST_HITS]
    ]
