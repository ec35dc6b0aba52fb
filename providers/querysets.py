"""Questions to the tables of providers and hosts, in the words of the domain."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q

from portal.models import Team, User
from portal.names import fold

if TYPE_CHECKING:
    from providers.models import Host, Provider  # noqa: F401
    from stores.models import Certificate, Store


class ProviderQuerySet(models.QuerySet["Provider"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(team__memberships__user=user)

    def that_use(self, certificates: Collection[Certificate]) -> Self:
        """Providers that show one of these certificates, or trust it alone or with its whole store."""
        stores = {certificate.store_id for certificate in certificates}
        return self.filter(
            Q(key_certificate__in=certificates)
            | Q(trust_certificate__in=certificates)
            | Q(trust_store__in=stores, trust_certificate__isnull=True)
        )

    def that_use_store(self, store: Store) -> Self:
        """Providers that refer to the store or to a certificate in it."""
        return self.filter(Q(trust_store=store) | Q(key_certificate__store=store))

    def named_like(self, team: Team, text: str, *, addresses: bool = False) -> Self:
        """Those of the team whose name or title contains the text; with `addresses` also the host."""
        wanted = Q(folded_name__contains=fold(text)) | Q(title__icontains=text)
        if addresses:
            wanted |= Q(host__icontains=text) | Q(server_name__icontains=text)
        return self.filter(wanted, team=team)

    def to_test(self, now: dt.datetime) -> Self:
        """Those that the drift watch tests by now, the longest overdue first; read from a partial index."""
        return self.filter(next_test_at__isnull=False, next_test_at__lte=now).order_by("next_test_at", "id")

    def unplanned(self) -> Self:
        """Those that are to be watched, and of which nobody has said when."""
        return self.filter(is_watched=True, type="internet", next_test_at__isnull=True)


class HostQuerySet(models.QuerySet["Host"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(team__memberships__user=user)

    def that_use(self, certificates: Collection[Certificate]) -> Self:
        """Hosts that show one of these certificates or trust its store."""
        stores = {certificate.store_id for certificate in certificates}
        return self.filter(Q(key_certificate__in=certificates) | Q(trust_store__in=stores))

    def that_use_store(self, store: Store) -> Self:
        """Hosts that refer to the store or to a certificate in it."""
        return self.filter(Q(trust_store=store) | Q(key_certificate__store=store))

    def named_like(self, team: Team, text: str, *, addresses: bool = False) -> Self:
        """Those of the team whose name contains the text; with `addresses` also the host name."""
        wanted = Q(folded_name__contains=fold(text))
        if addresses:
            wanted |= Q(host_name__icontains=text)
        return self.filter(wanted, team=team)
