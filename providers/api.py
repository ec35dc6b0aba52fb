"""The REST API of providers: read."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, QueryDict
from django.utils import timezone
from ninja import Query, Router, Schema

from portal.api import ERRORS, has, may, token_of
from portal.permissions import Action
from providers.listing import listing
from providers.models import Provider
from stores.models import Certificate, Store

router = Router(tags=["providers"])


class Reference(Schema):
    """A certificate or a store."""

    id: str
    name: str


class ProviderOut(Schema):
    """An API provider. Address and user name are told to editors only; the password to nobody."""

    id: str
    name: str
    title: str
    description: str
    type: str
    address: str | None
    use_tls: bool
    key_certificate: Reference | None
    trust_store: Reference | None
    trust_certificate: Reference | None
    trust_public: bool
    server_name: str | None
    check_host_name: bool
    path_prefix: str
    collection_path: str
    authentication: str
    user_name: str | None


class ProvidersOut(Schema):
    """Some providers; give `next` as `cursor` for those that follow, an empty one is the end."""

    providers: list[ProviderOut]
    next: str


class ProviderFilter(Schema):
    """As in the address of the page of providers."""

    q: str = ""
    type: str = ""
    state: str = ""
    sort: str = ""
    cursor: str = ""


@router.get("/providers", auth=may(Action.SEE), response={200: ProvidersOut, **ERRORS})
def providers(request: HttpRequest, wanted: Query[ProviderFilter]) -> dict[str, Any]:
    """Providers of the team, a page at a time."""
    token = token_of(request)
    sees_addresses = has(token, Action.SEE_ADDRESSES)
    query = QueryDict(mutable=True)
    query.update(wanted.dict(exclude={"cursor"}))
    shown = listing(Provider, token.team, query, timezone.now(), addresses=sees_addresses).page(wanted.cursor)
    return {"providers": [_provider(one, sees_addresses) for one in shown.rows], "next": shown.next}


def _provider(one: Provider, sees_addresses: bool) -> dict[str, Any]:
    plain = (
        "name",
        "title",
        "description",
        "type",
        "use_tls",
        "trust_public",
        "check_host_name",
        "path_prefix",
        "collection_path",
        "authentication",
    )
    facts = {name: getattr(one, name) for name in plain}
    named = {
        name: _reference(getattr(one, name))
        for name in ("key_certificate", "trust_store", "trust_certificate")
    }
    hidden = {"address": one.address, "server_name": one.server_name, "user_name": one.user_name}
    return (
        facts
        | named
        | {"id": one.pk}
        | {name: value if sees_addresses else None for name, value in hidden.items()}
    )


def _reference(row: Certificate | Store | None) -> dict[str, str] | None:
    return {"id": row.pk, "name": row.name} if row else None
