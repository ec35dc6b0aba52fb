"""What has to be replaced: the list of cases."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from portal.models import Team, User
from portal.paging import page
from portal.permissions import Action, allowed, guarded
from stores.casebook import rows_of
from stores.figures import figures
from stores.models import Case
from stores.prompts import explained_cases
from stores.querysets import CaseQuerySet
from stores.theirs import their_ends

MOST_OF_THEIRS = 50
MOST_COUNTED = 99


@guarded(Action.SEE)
def cases(request: HttpRequest, team: Team) -> HttpResponse:
    """Open cases of the team, the first to fail first; `?whose=mine` only the user's own, `?state=` the snoozed or the closed ones."""
    now, user = timezone.now(), cast(User, request.user)
    cursor, shown = request.GET.get("cursor", ""), _shown(request)
    mine = shown == "mine"
    rows = explained_cases(_rows(team, user, shown, now))
    is_closed = shown == "closed"
    found = page(rows, F("closed_at" if is_closed else "fails_at"), descending=is_closed, cursor=cursor)
    listed = rows_of(found.rows, now)
    context: dict[str, Any] = {
        "shown": shown, "mine": mine, "page": found, "rows": listed, "prompts": [row.prompt for row in listed],
        "figures": figures(team, {one: (_rows(team, user, one, now), MOST_COUNTED) for one in ("all", "mine", "snoozed")}),
    }  # fmt: skip
    if not cursor and shown in ("all", "mine"):
        addresses = allowed(user, Action.SEE_ADDRESSES, team)
        context["theirs"] = their_ends(
            team, now, MOST_OF_THEIRS, near=True, owner=user if mine else None, addresses=addresses
        )
    return render(request, "stores/cases.html", context)


def _shown(request: HttpRequest) -> str:
    """Which tab the address asks for."""
    state = request.GET.get("state", "")
    if state in ("snoozed", "closed"):
        return state
    return "mine" if request.GET.get("whose") == "mine" else "all"


def _rows(team: Team, user: User, shown: str, now: dt.datetime) -> CaseQuerySet:
    rows = Case.objects.filter(team=team)
    if shown == "closed":
        return rows.filter(closed_at__isnull=False)
    if shown == "snoozed":
        return rows.asleep(now)
    return rows.awake(now).held_by(user) if shown == "mine" else rows.awake(now)
