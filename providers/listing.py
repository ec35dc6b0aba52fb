"""The lists of providers and hosts: what is searched, filtered and sorted, and how they look as CSV."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import F, QuerySet
from django.db.models.expressions import Combinable

from portal.forms import StyledForm
from portal.models import Team
from portal.paging import Page, chunks, page
from providers import endings
from providers.endings import End
from providers.models import Host, Provider
from stores.expiry import Stage
from stores.theirs import TheirEnd

User = Provider | Host
STATES = (
    ("", "Any state"),
    ("flagged", "Ends soon, or has ended"),
    (Stage.NOTICE.value, "Expires soon"),
    (Stage.WARNING.value, "Warning"),
    (Stage.URGENT.value, "Urgent"),
    (Stage.EXPIRED.value, "Expired"),
)
SORTS = (("name", "Name"), ("-name", "Name, from Z"), ("fails", "Fails first"), ("new", "Newest first"))


class FilterForm(StyledForm, forms.Form):
    """What the address asks for; what it cannot ask for is ignored."""

    q = forms.CharField(label="Search", required=False, max_length=100)
    type = forms.ChoiceField(required=False, choices=(("", "Any type"), *Provider.Type.choices))
    state = forms.ChoiceField(label="State of what it depends on", required=False, choices=STATES)
    sort = forms.ChoiceField(required=False, choices=SORTS)


@dataclass(frozen=True)
class Listing:
    """One list as asked for by an address."""

    rows: QuerySet[Any]
    by: Combinable
    descending: bool
    form: FilterForm

    @property
    def is_filtered(self) -> bool:
        return any(self.form.cleaned_data.get(name) for name in ("q", "type", "state"))

    def page(self, cursor: str) -> Page[Any]:
        name = self.form.cleaned_data.get("sort") or "name"
        return page(self.rows, self.by, descending=self.descending, name=name, cursor=cursor)

    def chunks(self) -> Iterator[list[Any]]:
        return chunks(self.rows, self.by, descending=self.descending)


def listing(model: type[User], team: Team, query: Any, now: dt.datetime, *, addresses: bool) -> Listing:
    """The list that `query` (the parameters of an address) asks for. Only with `addresses` are host names searched."""
    form = FilterForm(query)
    if model is Host:
        del form.fields["type"]
    form.full_clean()
    asked = form.cleaned_data
    rows: QuerySet[Any] = model.objects.named_like(team, asked.get("q", ""), addresses=addresses)
    if asked.get("type"):
        rows = rows.filter(type=asked["type"])
    if asked.get("state"):
        stages = list(Stage) if asked["state"] == "flagged" else [asked["state"]]
        rows = endings.in_stages(rows, team, stages, now)
    by, descending = _order(asked.get("sort", ""), model)
    return Listing(_related(rows, model), by, descending, form)


def _related(rows: QuerySet[Any], model: type[User]) -> QuerySet[Any]:
    """With what a line names, without what it does not show."""
    names = ["key_certificate__store", "trust_store"]
    heavy = ["key_certificate__search_text"]
    if model is Provider:
        names += ["trust_certificate", "team", "owner"]
        heavy += ["trust_certificate__search_text", "sealed_password"]
    return rows.select_related(*names).defer(*heavy)


def _order(sort: str, model: type[User]) -> tuple[Combinable, bool]:
    if sort == "fails":
        return endings.fails_at(model), False
    if sort == "new":
        return F("created_at"), True
    return F("folded_name"), sort == "-name"


PROVIDER_COLUMNS = (
    "name",
    "title",
    "type",
    "owner",
    "shows",
    "trusts",
    "only",
    "public CAs",
    "fails at",
    "because",
    "state",
    "description",
)
PROVIDER_ADDRESSES = ("host", "port", "server name", "location", "catalogue", "user name")
HOST_COLUMNS = (
    "name",
    "shows",
    "client certificate",
    "trusts",
    "fails at",
    "because",
    "state",
    "description",
)
HOST_ADDRESSES = ("host name", "port")


def csv_header(model: type[User], *, addresses: bool) -> tuple[str, ...]:
    """The columns of the CSV; those with addresses only for those who may see them."""
    if model is Host:
        return HOST_COLUMNS + (HOST_ADDRESSES if addresses else ())
    return PROVIDER_COLUMNS + (PROVIDER_ADDRESSES if addresses else ())


def csv_rows(listed: Listing, now: dt.datetime, *, addresses: bool) -> Iterator[tuple[object, ...]]:
    """All rows of the list."""
    for rows in listed.chunks():
        ends = endings.first_ends(rows, now, addresses=addresses)
        for row in rows:
            first = next(iter(ends[row.pk]), None)
            yield (
                _host_row(row, first, addresses)
                if isinstance(row, Host)
                else _provider_row(row, first, addresses)
            )


def _end(first: End | None) -> tuple[object, ...]:
    if first is None:
        return None, "", ""
    because = first.because if isinstance(first, TheirEnd) else f"{first.certificate.name}: {first.ends_name}"
    return first.ends_at, because, first.stage or "valid"


def _provider_row(row: Provider, first: End | None, addresses: bool) -> tuple[object, ...]:
    public = row.has_tls and (row.trust_public or row.trust_store is None)
    shown = (
        row.name, row.title, row.get_type_display(), row.owner, row.key_certificate, row.trust_store, row.trust_certificate,
        "yes" if public else "no", *_end(first), row.description,
    )  # fmt: skip
    return shown + (
        (row.host, row.port, row.server_name, row.location_id, row.catalogue_url, row.user_name)
        if addresses
        else ()
    )


def _host_row(row: Host, first: End | None, addresses: bool) -> tuple[object, ...]:
    shown = (
        row.name,
        row.key_certificate,
        row.get_client_certificate_display(),
        row.trust_store,
        *_end(first),
        row.description,
    )
    return shown + ((row.host_name, row.port) if addresses else ())
