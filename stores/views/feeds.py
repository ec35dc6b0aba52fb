"""Feeds: made, listed and revoked by people; taken by calendars and readers, which have no account but the secret."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_cache_control
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from portal.audit import actor_of
from portal.errors import PortalError
from portal.forms import StyledForm
from portal.models import Team, User
from portal.permissions import Action, allowed, guarded
from stores import feeds
from stores.feeds import atom, calendar
from stores.feeds.coming import coming
from stores.models import Feed

REFUSED = 422
MOST_SHOWN = 50
HEADERS = {"X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "no-referrer"}


class FeedForm(StyledForm, forms.Form):
    """What a new feed tells of."""

    scope = forms.ChoiceField(
        label="What it tells",
        choices=Feed.Scope.choices,
        help_text="Yours is what you own or have taken; for owners of the team also what nobody owns.",
    )


@guarded(Action.SEE)
@never_cache
def show(request: HttpRequest, team: Team) -> HttpResponse:
    """The feeds that were made; the answer to making one shows its addresses, once."""
    form, made = FeedForm(request.POST or None), None
    if form.is_valid():
        scope = Feed.Scope(form.cleaned_data["scope"])
        try:
            made = feeds.make(team=team, scope=scope, actor=actor_of(request), now=timezone.now())
        except PortalError as error:
            form.add_error(None, error.sentence)
        else:
            form = FeedForm()
    context = {
        "form": form,
        "made": made and _addresses(made[1]),
        "rows": _rows(request, team)[:MOST_SHOWN],
        "working": set(feeds.working().filter(team=team).values_list("pk", flat=True)),
        "may_see_all": allowed(request.user, Action.MANAGE_TEAM, team),
    }
    return render(request, "stores/feeds.html", context, status=REFUSED if form.errors else 200)


def _addresses(token: str) -> list[tuple[str, str]]:
    """What each is for, and the address."""
    kinds = (("calendar", "For your calendar"), ("notices", "For a feed reader"))
    return [
        (words, settings.STOREKEEPER_URL + reverse(f"stores:feed_{name}", args=[token]))
        for name, words in kinds
    ]


def _rows(request: HttpRequest, team: Team) -> QuerySet[Feed]:
    """The person's own, those that work first; owners of the team see everybody's."""
    rows = Feed.objects.filter(team=team).select_related("user")
    if not allowed(request.user, Action.MANAGE_TEAM, team):
        rows = rows.filter(user=cast(User, request.user))
    return rows.order_by(F("revoked_at").desc(nulls_first=True), "-created_at", "-pk")


@guarded(Action.SEE, Feed)
@require_POST
def revoke(request: HttpRequest, feed: Feed) -> HttpResponse:
    """The addresses stop working at once; a feed of somebody else is not there, unless one owns the team."""
    if not _rows(request, feed.team).filter(pk=feed.pk).exists():
        raise Http404
    feeds.revoke(feed=feed, actor=actor_of(request), now=timezone.now())
    messages.success(request, "The feed is revoked: its addresses open nothing any more.")
    return redirect("stores:feeds")


Write = Callable[[Feed], tuple[bytes, str]]


def opened(write: Write) -> Callable[..., HttpResponse]:
    """A view that answers with what the feed of the secret holds, or with 304 to who has just that."""

    @login_not_required
    @require_safe
    @wraps(write)
    def view(request: HttpRequest, token: str) -> HttpResponse:
        feed = feeds.find(token)
        answer: Any = _taken(request, feed, write) if feed else _nothing()
        for name, value in HEADERS.items():
            answer[name] = value
        patch_cache_control(answer, private=True, no_cache=True)
        return cast(HttpResponse, answer)

    return view


def _taken(request: HttpRequest, feed: Feed, write: Write) -> Any:
    feeds.note_taken(feed, timezone.now())
    body, content_type = write(feed)
    answer = HttpResponse(body, content_type=content_type)
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    answer["ETag"] = etag
    return get_conditional_response(request, etag=etag, response=answer)


def _nothing() -> HttpResponse:
    return HttpResponse("This address opens nothing.\n", "text/plain; charset=utf-8", 404)


@opened
def calendar_of(feed: Feed) -> tuple[bytes, str]:
    """What ends, as a calendar."""
    now = timezone.now()
    return calendar.calendar(feed, coming(feed, now), now), calendar.CONTENT_TYPE


@opened
def notices_of(feed: Feed) -> tuple[bytes, str]:
    """What was told, as an Atom feed."""
    return atom.atom(feed), atom.CONTENT_TYPE
