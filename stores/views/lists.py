"""The list of certificates: what fails first, found by any part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from portal.csv import csv_response
from portal.models import Team, User
from portal.names import fold
from portal.permissions import Action, guarded
from stores.listing import CertificateFilter, Listed, listed
from stores.models import ChainCertificate, Store
from stores.usage import Hit, search_users

MOST_HITS = 5
COLUMNS = (
    "store", "kind", "certificate", "description", "state", "fails_at", "because", "owner", "used_by",
    "subject", "serial", "sha256", "key", "address",
)  # fmt: skip
NO_LEAF = ("",) * 4


@guarded(Action.SEE)
def certificates(request: HttpRequest, team: Team) -> HttpResponse:
    """What fails first leads. A text also finds stores, providers and hosts by their name."""
    form = CertificateFilter(request.GET, team=team, user=cast(User, request.user))
    rows = form.rows()
    shown = form.order.page(rows, request.GET.get("cursor", ""))
    text = form.cleaned_data.get("q", "")
    context = {
        "form": form,
        "page": shown,
        "listed": listed(shown.rows, timezone.now()),
        "search_text": text,
        "hits": _found_by_name(form, text) if text and not request.GET.get("cursor") else [],
    }
    return render(request, "stores/certificates.html", context)


def _found_by_name(form: CertificateFilter, text: str) -> list[Hit]:
    """Stores, providers and hosts whose name contains the text; stores are looked for among those read for the filter."""
    wanted = fold(text)
    stores: Iterable[tuple[str, str]] = form.stores
    if not form.has_all_stores:
        rows = Store.objects.filter(team=form.team, folded_name__contains=wanted)
        stores = rows.order_by("folded_name").values_list("pk", "name")[:MOST_HITS]
    found = [(pk, name) for pk, name in stores if wanted in fold(name)][:MOST_HITS]
    hits = [Hit("store", name, reverse("stores:store", args=[pk])) for pk, name in found]
    return hits + search_users(form.team, text)


@guarded(Action.SEE)
def certificates_csv(request: HttpRequest, team: Team) -> HttpResponseBase:
    """Every certificate of the filter, streamed in the order of the list."""
    form = CertificateFilter(request.GET, team=team, user=cast(User, request.user))
    now = timezone.now()
    pages = form.order.chunks(form.rows())
    lines = (line for rows in pages for line in _lines(listed(rows, now), request.build_absolute_uri))
    return csv_response(f"certificates-{team.name}-{now:%Y-%m-%d}.csv", COLUMNS, lines)


def _lines(rows: list[Listed], absolute: Callable[[str], str]) -> Iterator[tuple[object, ...]]:
    leaves = _leaves(rows)
    for row in rows:
        one = row.certificate
        yield (
            one.store.name, one.store.kind, one.name, one.description, row.state, one.fails_at, row.prompt.because if row.prompt else "",
            one.owner and one.owner.email, ", ".join(use.title for use in row.uses), *leaves.get(one.pk, NO_LEAF),
            absolute(one.get_absolute_url()),
        )  # fmt: skip


def _leaves(rows: list[Listed]) -> dict[str, tuple[str, ...]]:
    """Certificate id to what is told of the leaf of its active version; only key stores have one."""
    keys = [row.certificate.pk for row in rows if row.certificate.store.kind == Store.Kind.KEY]
    leaves = ChainCertificate.objects.filter(
        version__certificate__in=keys, version__state="active", position=0
    )
    facts = leaves.values_list("version__certificate", "subject", "serial", "sha256", "key_type")
    return {certificate: tuple(leaf) for certificate, *leaf in facts}
