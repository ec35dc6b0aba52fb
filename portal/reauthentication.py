"""Signing in again before something that cannot be taken back."""

from __future__ import annotations

import time
from functools import wraps
from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.core.exceptions import ReauthenticationRequired
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect

from portal.errors import PortalError
from portal.permissions import View


def after_signing_in_again(view: View) -> View:
    """The view behind it is reached by who has given a password or second factor within the last minutes.

    The form is asked for again afterwards: what was posted too late is dropped, since it may hold a secret.
    """

    @wraps(view)
    def guard(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if _is_fresh(request):
            return view(request, *args, **kwargs)
        if request.method == "POST":
            return redirect(request.get_full_path())
        raise ReauthenticationRequired

    return guard


def _is_fresh(request: HttpRequest) -> bool:
    """Who signs in elsewhere, and so has nothing to give here, has to come freshly from there."""
    can_prove = bool(get_adapter().get_reauthentication_methods(request.user))
    earliest = time.time() - app_settings.REAUTHENTICATION_TIMEOUT
    records = get_authentication_records(request, request.user)
    if any(one["at"] > earliest and (one.get("reauthenticated") or not can_prove) for one in records):
        return True
    if not can_prove:
        raise PortalError(
            "sign_in_again",
            "Sign out and sign in again, then come back here within five minutes.",
            status=403,
        )
    return False
