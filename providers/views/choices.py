"""What can be chosen in a field, searched while somebody types."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from portal.models import Team
from portal.names import fold
from portal.permissions import Action, guarded
from providers.forms import OFFERS
from providers.picking import label, options


@guarded(Action.CHANGE, Team)
def choices(request: HttpRequest, team: Team) -> HttpResponse:
    """The open list of the field `field` for the text `q`; certificates only of the trust store `store` when one is given."""
    field = request.GET.get("field", "")
    if field not in OFFERS:
        raise Http404
    rows = OFFERS[field](team)
    if store := request.GET.get("store", "").strip():
        rows = rows.filter(store__folded_name=fold(store))
    found, more = options(rows, request.GET.get("q", "")[:100])
    context = {"field": field, "options": [(row, label(row)) for row in found], "more": more}
    return render(request, "providers/choices.html", context)
