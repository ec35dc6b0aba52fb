"""The one kind of error a person can cause, and the one place that answers it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

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


def _form_only(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """For who opens the address of a form's button, as the browser shows it after a refusal, in place of an empty page."""
    said = {
        "title": "This address only takes a form",
        "sentence": "It does something when a button is pressed, and shows nothing by itself. Go back to the page with the button.",
    }
    page = render(request, "portal/error.html", said, status=answer.status_code)
    page.headers["Allow"] = answer.headers["Allow"]
    return page


class PortalErrorMiddleware:
    """Renders a PortalError that no view has shown beside a field, and what is said of addresses that only take forms."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self.get_response(request)
        is_page = request.method == "GET" and not request.path.startswith("/api/")
        return (
            _form_only(request, answer)
            if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED and is_page
            else answer
        )

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
