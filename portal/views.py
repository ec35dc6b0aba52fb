"""The team switcher, and the pages that say what went wrong."""

from __future__ import annotations

import sys

from django.contrib.auth.decorators import login_not_required
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import requires_csrf_token
from django.views.decorators.http import require_POST

from portal.logs import database_is_away
from portal.models import Team
from portal.permissions import Action, guarded, teams_of

AWAY = (
    "database_away",
    "The portal cannot reach its database",
    "Nothing was half saved. Wait a minute and try again; if it goes on, tell who runs this portal.",
)
OVERTAKEN = (
    "changed_meanwhile",
    "Somebody else was faster",
    "What this depends on was changed at the same instant. Nothing was saved. Go back, reload the page and try again.",
)
FAILED = (
    "failed",
    "Something went wrong on our side",
    "Nothing was half saved. Try again; if it happens again, tell who runs this portal when it was.",
)


@guarded(Action.SEE)
@require_POST
def switch_team(request: HttpRequest, team: Team) -> HttpResponse:
    """Another team of the user becomes the one that pages show."""
    wanted = request.POST.get("team")
    if wanted not in {one.pk for one in teams_of(request)}:
        raise Http404
    request.session["team"] = wanted
    return redirect("/")


@login_not_required
@cache_control(max_age=86_400, public=True)
def favicon(request: HttpRequest) -> HttpResponse:
    """Browsers ask for it wherever a page does not name the icon itself, as on a download or an answer of the API."""
    return redirect(static("portal/icon.svg"))


@requires_csrf_token
def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What was sent cannot be read: too large, cut off, or no form of ours; or the session has gone meanwhile."""
    if database_is_away(exception):
        return failed(request)
    if isinstance(exception, SessionInterrupted):
        sentence = "You were signed out while this was done. Sign in again and see whether it was."
        return _say(request, 400, "signed_out", "Your session has ended", sentence)
    if isinstance(exception, RequestDataTooBig):
        sentence = (
            "More was sent than this portal reads: one upload has at most 1 MiB. Go back and send less."
        )
        return _say(request, 413, "too_large", "This is too large", sentence)
    if isinstance(exception, TooManyFieldsSent | TooManyFilesSent):
        reason = "More fields or files were sent than any form of this portal has."
    else:
        reason = "What was sent was cut off, or is not from a page of this portal."
    sentence = f"{reason} Go back, reload the page and try again."
    return _say(request, 400, "bad_request", "This cannot be read", sentence)


@requires_csrf_token
def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The role of a member does not suffice."""
    sentence = str(exception) or "Ask an owner of the team."
    return _say(request, 403, "forbidden", "Your role does not allow this", sentence)


@requires_csrf_token
def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Not there, or not for this user: the two look the same."""
    sentence = (
        "It may have been deleted, or it belongs to a team that you are not in. "
        "An upload that is not saved within a day is removed."
    )
    return _say(request, 404, "not_found", "There is nothing at this address", sentence)


@requires_csrf_token
def form_too_old(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form was made before signing in or out elsewhere, or another site sent it."""
    sentence = "The page that this form stood on is out of date. Go back, reload it and send it again; nothing has been changed."
    return _say(request, 403, "form_too_old", "This form is too old", sentence)


@requires_csrf_token
def failed(request: HttpRequest) -> HttpResponse:
    """What nobody foresaw, or a database that is away; the page needs nothing that may be broken."""
    error = sys.exc_info()[1]
    if database_is_away(error):
        status, code, title, sentence = 503, *AWAY
    elif isinstance(error, IntegrityError):
        status, code, title, sentence = 409, *OVERTAKEN
    else:
        status, code, title, sentence = 500, *FAILED
    if request.path.startswith("/api/"):
        return JsonResponse({"code": code, "message": f"{title}. {sentence}"}, status=status)
    return render(None, "500.html", {"title": title, "sentence": sentence}, status=status)


def _say(request: HttpRequest, status: int, code: str, title: str, sentence: str) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse({"code": code, "message": sentence}, status=status)
    return render(request, "portal/error.html", {"title": title, "sentence": sentence}, status=status)
