"""What every request passes first: who calls, and what the browser may do with the answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

ADMIN_POLICY = {"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}
"""The administration's package draws with inline styles and evaluates the expressions in its own templates."""


class CallerMiddleware:
    """Puts the caller's address into REMOTE_ADDR when proxies of ours stand in front.

    Each proxy appends the address that it saw to X-Forwarded-For, so the entry written by the outermost of ours is the n-th from the
    right; what stands further left was written by the caller and proves nothing.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        if 0 < settings.STOREKEEPER_PROXIES <= len(hops):
            caller = hops[-settings.STOREKEEPER_PROXIES]
            if _is_address(caller):
                request.META["REMOTE_ADDR"] = caller
        return self.get_response(request)


class PlainAddressMiddleware:
    """Answers an address with a NUL in it: there is nothing there, and PostgreSQL must not be asked for such a text."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            raise Http404
        return self.get_response(request)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class ContentPolicyMiddleware(CSPMiddleware):
    """The strict content security policy, with what the administration's pages need added there alone."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.path.startswith("/admin/"):
            response._csp_replace = ADMIN_POLICY  # type: ignore[attr-defined]
        return super().process_response(request, response)
