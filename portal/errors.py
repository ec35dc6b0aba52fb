"""The one kind of error a person can cause, and the one place that answers it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

log = logging.getLogger("storekeeper")


class PortalError(Exception):
    """Something a person asked for that cannot be done.

    `code` is stable, `sentence` says what is wrong and what to do, `status` is the HTTP status of the answer, `field` the form
    field it belongs to. The sentence never holds a secret.
    """

    status = 400

    def __init__(
        self, code: str, sentence: str, *, status: int | None = None, field: str | None = None
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.status = status or self.status
        self.field = field


class Conflict(PortalError):
    """Somebody else was first, or something still depends on the object."""

    status = 409


class Unavailable(PortalError):
    """A part that the portal depends on does not answer; trying again later makes sense."""

    status = 503


class PortalErrorMiddleware:
    """Renders a PortalError that no view has shown beside a field."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, PortalError):
            return None
        log.info(
            "refused %s on %s",
            error.code,
            request.resolver_match.view_name if request.resolver_match else "?",
        )
        if request.path.startswith("/api/"):
            return JsonResponse({"code": error.code, "message": error.sentence}, status=error.status)
        return render(request, "portal/refused.html", {"error": error}, status=error.status)
