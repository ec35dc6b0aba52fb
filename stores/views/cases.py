"""What has to be replaced."""

from __future__ import annotations

from typing import cast

from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from portal.models import Team, User
from portal.paging import page
from portal.permissions import Action, allowed, guarded
from stores.models import Case
from stores.prompts import explained_cases, prompts_of
from stores.theirs import their_ends

MOST_OF_THEIRS = 50


@guarded(Action.SEE)
def cases(request: HttpRequest, team: Team) -> HttpResponse:
    """Open cases of the team, the first to end first; `?whose=mine` only the user's own."""
    rows, mine = Case.objects.open().filter(team=team), request.GET.get("whose") == "mine"
    if mine:
        rows = rows.filter(owner=cast(User, request.user))
    shown = page(explained_cases(rows), F("fails_at"), cursor=request.GET.get("cursor", ""))
    now, user = timezone.now(), cast(User, request.user)
    context = {"page": shown, "prompts": prompts_of(shown.rows, now), "mine": mine}
    if not request.GET.get("cursor"):
        addresses = allowed(user, Action.SEE_ADDRESSES, team)
        context["theirs"] = their_ends(
            team, now, MOST_OF_THEIRS, near=True, owner=user if mine else None, addresses=addresses
        )
    return render(request, "stores/cases.html", context)
