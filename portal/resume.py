"""An expired session costs a sign-in, and leaving a form for another page a way back: never what was typed."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django_htmx.http import HttpResponseClientRedirect

SESSION_KEY = "typed"
SECRET_FIELDS = ("csrfmiddlewaretoken", "password", "again", "pasted", "secret", "token", "code")
"""Parts of names: `again` repeats a password, a recovery code opens an account."""
MOST_CHARACTERS = 20_000
WAY_BACK = "way_back"
WAY_BACK_SECONDS = 3600
"""Who takes longer has turned to something else."""


class KeepTypedMiddleware(LoginRequiredMiddleware):
    """Sends who is not signed in to the sign-in page, and keeps what they typed, secrets and files aside."""

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> HttpResponseBase:  # type: ignore[override]
        if request.method == "POST":
            _keep(request)
        answer = super().handle_no_permission(request, view_func)
        # A part of a page would show the sign-in page inside the page that it belongs to.
        return HttpResponseClientRedirect(answer.url) if getattr(request, "htmx", False) else answer


def _keep(request: HttpRequest) -> None:
    fields = {
        name: value
        for name, value in request.POST.items()
        if not any(secret in name for secret in SECRET_FIELDS)
    }
    if sum(map(len, map(str, fields.values()))) <= MOST_CHARACTERS:
        request.session[SESSION_KEY] = {"path": request.path, "fields": fields}


def typed(request: HttpRequest) -> dict[str, str]:
    """What was typed at this address before the session expired or its form was left for another, once."""
    kept = request.session.get(SESSION_KEY)
    if not kept or kept["path"] != request.path:
        return {}
    del request.session[SESSION_KEY]
    return dict(kept["fields"])


def leave(request: HttpRequest, address: str) -> None:
    """Keeps the form that was sent, for a page that has to come first; `way_back` then gives `address`, once."""
    _keep(request)
    request.session[WAY_BACK] = {"address": address, "at": time.time()}


def way_back(request: HttpRequest) -> str | None:
    """Where the form is that was left for this; None when none was."""
    left = request.session.pop(WAY_BACK, None)
    return left["address"] if left and time.time() - left["at"] < WAY_BACK_SECONDS else None
