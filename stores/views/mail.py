"""What is mailed to whom: a person's own choice, and the way out that every mail offers."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from portal.audit import actor_of
from portal.models import Team, User
from portal.permissions import Action, guarded
from stores.forms_told import PreferencesForm
from stores.notices import preferences as wanted
from stores.notices import unsubscribe as leaving


@guarded(Action.SEE)
def preferences(request: HttpRequest, team: Team) -> HttpResponse:
    """Which mails the user gets, of all their teams."""
    user = cast(User, request.user)
    # A form in which no box is ticked sends nothing but its token.
    form = PreferencesForm(request.POST if request.method == "POST" else None, instance=wanted.of(user))
    if form.is_valid():
        summary = form.cleaned_data["summary"]
        wanted.save(user=user, silent=form.silent, summary=summary, actor=actor_of(request))
        messages.success(request, "Saved.")
        return redirect("stores:preferences")
    return render(request, "stores/preferences.html", {"form": form})


@csrf_exempt
@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Shows a button; posting stops the mails, also when a mail program does it by itself (RFC 8058), which has no session and no form."""
    found = leaving.read(token)
    if found is None:
        answer = render(request, "stores/unsubscribe_gone.html", status=404)
    else:
        if request.method == "POST":
            leaving.act(found, actor_of(request).address)
        done = request.method == "POST" or found.is_done
        answer = render(request, "stores/unsubscribe.html", {"leaving": found, "done": done})
    answer["X-Robots-Tag"] = "noindex, nofollow"
    answer["Referrer-Policy"] = "no-referrer"
    return answer
