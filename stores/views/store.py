"""Stores: their list, the page of one, and what may be changed of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from django.contrib import messages
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone

from portal.audit import actor_of
from portal.csv import csv_response
from portal.errors import Conflict
from portal.models import Team
from portal.names import fold
from portal.paging import chunks, page
from portal.permissions import Action, guarded
from stores import services
from stores.figures import Figure, counted
from stores.forms_kept import NewStoreForm, StoreForm
from stores.listing import ORDERS, listed, with_what_is_shown
from stores.models import Certificate, Store
from stores.usage import uses_of_store

REFUSED = 422
MOST_COUNTED = 1000
COLUMNS = ("store", "kind", "description", "certificates", "fails_at", "address")


@guarded(Action.SEE)
def stores(request: HttpRequest, team: Team) -> HttpResponse:
    """All stores of the team by name; `?q=` searches name and description, `?kind=` shows one kind."""
    text, kind = request.GET.get("q", "").strip(), request.GET.get("kind", "")
    shown = page(_rows(team, text, kind), F("folded_name"), cursor=request.GET.get("cursor", ""))
    counts = [(row, Figure(cast(Any, row).held, MOST_COUNTED)) for row in shown.rows]
    context = {"page": shown, "listed": counts, "text": text, "kind": kind, "kinds": Store.Kind.choices}
    return render(request, "stores/stores.html", context)


@guarded(Action.SEE)
def stores_csv(request: HttpRequest, team: Team) -> HttpResponseBase:
    """The stores of the list, streamed."""
    found = chunks(
        _rows(team, request.GET.get("q", "").strip(), request.GET.get("kind", "")), F("folded_name")
    )
    lines = (line for rows in found for line in _lines(request, rows))
    return csv_response(f"stores-{team.name}-{timezone.now():%Y-%m-%d}.csv", COLUMNS, lines)


def _rows(team: Team, text: str, kind: str) -> QuerySet[Store]:
    """Stores with how many certificates they hold, and when the first of them fails."""
    held = Certificate.objects.filter(store=OuterRef("pk"))
    first = held.filter(fails_at__isnull=False).order_by("fails_at").values("fails_at")[:1]
    rows = Store.objects.filter(team=team).annotate(
        held=counted(held, MOST_COUNTED), fails_at=Subquery(first)
    )
    if text:
        rows = rows.filter(Q(folded_name__contains=fold(text)) | Q(description__icontains=text))
    return rows.filter(kind=kind) if kind in Store.Kind.values else rows


def _lines(request: HttpRequest, rows: list[Any]) -> Iterator[tuple[object, ...]]:
    for row in rows:
        address = request.build_absolute_uri(row.get_absolute_url())
        yield row.name, row.kind, row.description, Figure(row.held, MOST_COUNTED), row.fails_at, address


@guarded(Action.SEE, Store)
def store(request: HttpRequest, store: Store) -> HttpResponse:
    """What the store holds; what fails first leads."""
    rows = with_what_is_shown(store.certificates.all())
    shown = ORDERS["fails"].page(rows, request.GET.get("cursor", ""))
    context = {"store": store, "page": shown, "listed": listed(shown.rows, timezone.now())}
    return render(request, "stores/store.html", context)


@guarded(Action.CHANGE)
def new(request: HttpRequest, team: Team) -> HttpResponse:
    """An empty store; an upload makes one as well."""
    form = NewStoreForm(request.POST or None, initial={"kind": request.GET.get("kind", Store.Kind.KEY)})
    if request.method == "POST" and form.is_valid():
        try:
            made = services.create_store(team=team, actor=actor_of(request), **form.cleaned_data)
            messages.success(request, f"{made.name} is ready.")
            return redirect(made)
        except Conflict as error:
            form.add_error("name", error.sentence)
    return render(request, "stores/store_edit.html", {"form": form}, status=REFUSED if form.errors else 200)


@guarded(Action.CHANGE, Store)
def edit(request: HttpRequest, store: Store) -> HttpResponse:
    """Another name or description; what refers to the store keeps referring to it."""
    title, present = store.name, {"name": store.name, "description": store.description}
    form = StoreForm(request.POST or None, initial=present)
    if request.method == "POST" and form.is_valid():
        try:
            services.edit_store(store=store, actor=actor_of(request), **form.cleaned_data)
            messages.success(request, "Saved.")
            return redirect(store)
        except Conflict as error:
            form.add_error(error.field, error.sentence)
    context = {"form": form, "store": store, "title": title}
    return render(request, "stores/store_edit.html", context, status=REFUSED if form.errors else 200)


@guarded(Action.DELETE, Store)
def delete(request: HttpRequest, store: Store) -> HttpResponse:
    """Asks once, naming what goes; refused with the list of users while there are any."""
    error: Conflict | None = None
    if request.method == "POST":
        try:
            services.delete_store(store=store, actor=actor_of(request))
            messages.success(request, f"{store.name} was deleted.")
            return redirect("stores:stores")
        except Conflict as refused:
            error = refused
    held = (
        Store.objects.filter(pk=store.pk)
        .values_list(counted(store.certificates.all(), MOST_COUNTED), flat=True)
        .first()
    ) or 0
    context = {
        "store": store,
        "uses": uses_of_store(store),
        "held": Figure(held, MOST_COUNTED),
        "error": error,
    }
    return render(request, "stores/store_delete.html", context, status=error.status if error else 200)
