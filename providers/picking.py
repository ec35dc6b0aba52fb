"""Choosing a certificate or store of the team by search, or by typing its name."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import CharField, Count, Min, Q, QuerySet, Value
from django.db.models.functions import Concat

from portal.models import Team
from portal.names import fold
from stores.models import Certificate, Store
from stores.querysets import normalise_search

MOST_SHOWN = 20
"""Options in the list that opens below the field."""
MOST_LISTED = 200
"""Options written into the page for browsers without JavaScript."""
MOST_SUGGESTED = 3
HINTS = {Certificate: "Search by name, subject or fingerprint", Store: "Search by name"}
BETWEEN = " / "
Row = TypeVar("Row", Certificate, Store)


def key_certificates(team: Team) -> QuerySet[Certificate]:
    return _certificates(team, Store.Kind.KEY)


def trust_certificates(team: Team) -> QuerySet[Certificate]:
    return _certificates(team, Store.Kind.TRUST)


def _certificates(team: Team, kind: str) -> QuerySet[Certificate]:
    rows = Certificate.objects.filter(team=team, store__kind=kind).select_related("store")
    folded = Concat("store__folded_name", Value(BETWEEN), "folded_name", output_field=CharField())
    return rows.defer("search_text", "description").annotate(folded_label=folded).order_by("folded_label")


def trust_stores(team: Team) -> QuerySet[Store]:
    """Each with how many certificates it holds and when the first of them fails."""
    rows = Store.objects.filter(team=team, kind=Store.Kind.TRUST)
    return rows.annotate(held=Count("certificates"), fails_at=Min("certificates__fails_at")).order_by(
        "folded_name"
    )


def label(row: Certificate | Store) -> str:
    """How it is written in the field: "outbound / orders-client"."""
    return f"{row.store.name}{BETWEEN}{row.name}" if isinstance(row, Certificate) else row.name


def search(rows: QuerySet[Row], text: str) -> QuerySet[Row]:
    """Those in which every word is found: in a name, and of certificates in subject, alternative name, serial number or fingerprint."""
    wanted = Q()
    for word in fold(text).replace(BETWEEN, " ").split():
        wanted &= _has(rows, word)
    if issubclass(rows.model, Certificate) and normalise_search(text):
        wanted |= Q(search_text__contains=normalise_search(text))
    return rows.filter(wanted)


def _has(rows: QuerySet[Any], word: str) -> Q:
    if issubclass(rows.model, Store):
        return Q(folded_name__contains=word)
    in_name = Q(folded_name__contains=word) | Q(store__folded_name__contains=word)
    return in_name | Q(search_text__contains=word)


def named(rows: QuerySet[Row], text: str) -> Row:
    """The one of this name, letter case ignored, with or without its store; ValidationError says which there are."""
    by_name = Q(folded_name=fold(text))
    if issubclass(rows.model, Certificate):
        by_name |= Q(folded_label=fold(text))
    found = list(rows.filter(by_name))
    exact = [row for row in found if text in (label(row), row.name)]
    for choice in (found, exact):
        if len(choice) == 1:
            return choice[0]
    similar = found or list(search(rows, text)[:MOST_SUGGESTED])
    hint = ", ".join(f"“{label(row)}”" for row in similar[:MOST_SUGGESTED])
    if found:
        raise ValidationError(f"More than one is called “{text}”: type its store as well, as in {hint}.")
    raise ValidationError(
        f"Your team has no “{text[:100]}” here. {f'Do you mean {hint}?' if hint else 'Choose one of the list, or upload it.'}"
    )


class PickWidget(forms.TextInput):
    """A text field with a list of what can be chosen; a script makes it a combobox that searches on the server."""

    template_name = "providers/pick.html"
    rows: QuerySet[Any] = Certificate.objects.none()

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        attrs = {**(attrs or {}), "autocomplete": "off", "placeholder": HINTS[self.rows.model]}
        context = super().get_context(name, value, attrs | {"list": f"{attrs.get('id', name)}_list"})
        context["options"] = [label(row) for row in self.rows[:MOST_LISTED]]
        return context


class PickField(forms.CharField):
    """A row of the team by its name; cleaned it is the row, or None. The form calls `offer`."""

    widget = PickWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=250, **kwargs)

    def offer(self, rows: QuerySet[Any]) -> None:
        """Says what can be chosen."""
        self.rows = cast(PickWidget, self.widget).rows = rows

    def prepare_value(self, value: Any) -> Any:
        return label(value) if isinstance(value, Certificate | Store) else value

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return named(self.rows, text) if text else None


def options(rows: QuerySet[Row], text: str) -> tuple[list[Row], bool]:
    """What the open list shows for `text`, and whether there are more."""
    found = list(search(rows, text)[: MOST_SHOWN + 1])
    return found[:MOST_SHOWN], len(found) > MOST_SHOWN
