"""The inbox: what the watch told the signed-in user."""

from __future__ import annotations

from typing import cast

from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.models import Team, User
from portal.paging import page
from portal.permissions import Action, allowed, guarded
from stores.models import Notice
from stores.notices.items import items_of
from stores.prompts import HEAVY, explained_notices
from stores.querysets import NoticeQuerySet

MOST_FAILED = 20


@guarded(Action.SEE)
def notices(request: HttpRequest, team: Team) -> HttpResponse:
    """The user's notices of the team, the newest first, `?show=unread` only those; for owners also what could not be told."""
    unread = request.GET.get("show") == "unread"
    inbox = _inbox(request, team)
    rows = explained_notices(inbox.unread() if unread else inbox)
    shown = page(rows, F("created_at"), descending=True, cursor=request.GET.get("cursor", ""))
    items = items_of(shown.rows, timezone.now())
    context = {
        "page": shown,
        "rows": zip(shown.rows, items, strict=True),
        "unread": unread,
        "failed": _failed(request, team),
    }
    return render(request, "stores/notices.html", context)


def _failed(request: HttpRequest, team: Team) -> list[Notice]:
    """The last notices of the team that were given up, for those who can do something about it."""
    if not allowed(request.user, Action.MANAGE_TEAM, team):
        return []
    rows = Notice.objects.filter(team=team, state=Notice.State.FAILED)
    heavy = [f"flag__version__{name}" for name in (*HEAVY, "certificate__search_text")]
    rows = rows.select_related("flag__version__certificate", "webhook").defer(*heavy)
    return list(rows.order_by("-attempted_at", "-pk")[:MOST_FAILED])


@guarded(Action.SEE)
@require_POST
def read_all(request: HttpRequest, team: Team) -> HttpResponse:
    """Marks all notices of the team as read."""
    _inbox(request, team).unread().update(read_at=timezone.now())
    return redirect("stores:notices")


@guarded(Action.SEE, Notice)
@require_POST
def read(request: HttpRequest, notice: Notice) -> HttpResponse:
    """Marks one notice as read; a notice of somebody else is not there."""
    mine = _inbox(request, notice.team).filter(pk=notice.pk)
    if not mine.exists():
        raise Http404
    mine.unread().update(read_at=timezone.now())
    return redirect("stores:notices")


def _inbox(request: HttpRequest, team: Team) -> NoticeQuerySet:
    return Notice.objects.inbox(cast(User, request.user)).filter(team=team)
