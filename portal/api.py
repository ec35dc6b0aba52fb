"""The REST API's frame (DESIGN section 12): tokens, roles, errors. Each app adds its own routes in `portal.urls`."""

from __future__ import annotations

import logging
from typing import Annotated, Any, TypeVar, cast

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as InvalidValue
from django.db import models
from django.forms import CharField, Field
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver
from django.utils import timezone
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer
from pydantic import AfterValidator

from portal import tokens
from portal.audit import Actor
from portal.errors import PortalError
from portal.forms import NameField
from portal.models import ApiToken
from portal.permissions import RANK, Action

log = logging.getLogger("storekeeper")
Row = TypeVar("Row", bound=models.Model)


def _name(value: str) -> str:
    return str(_checked(NameField(), value))


def _text(value: str) -> str:
    return str(_checked(CharField(required=False), value))


def _checked(field: Field, value: str) -> Any:
    """As a form of the portal takes it."""
    try:
        return field.clean(value)
    except InvalidValue as error:
        raise ValueError(" ".join(error.messages)) from None


Name = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, AfterValidator(_text)]


class Problem(Schema):
    """Why something cannot be done: a stable code, and a sentence for people."""

    code: str
    message: str


ERRORS = dict.fromkeys((400, 401, 403, 404, 409, 422, 503), Problem)


class may(HttpBearer):  # noqa: N801 - read in a route as a verb: auth=may(Action.SEE)
    """Lets in who has a working token that may do this."""

    def __init__(self, action: Action) -> None:
        super().__init__()
        self.action = action

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken:
        found = tokens.find(token, timezone.now())
        if not has(found, self.action):
            raise PermissionDenied(f"The role of the token {found} does not allow this.")
        return found


def has(token: ApiToken, action: Action) -> bool:
    """Whether the token may do this in its team."""
    role = tokens.effective_role(token)
    return role is not None and RANK[role] >= RANK[action.least]


def token_of(request: HttpRequest) -> ApiToken:
    """The token that the request was let in with."""
    return cast(ApiToken, request.auth)  # type: ignore[attr-defined]


def actor_of(request: HttpRequest) -> Actor:
    """The token, and who made it: they answer for what it does."""
    token = token_of(request)
    maker = token.created_by
    return Actor(maker, request.META.get("REMOTE_ADDR") or None, f"{maker.email} by token {token}")


def load(request: HttpRequest, model: type[Row], pk: str) -> Row:
    """A row of the token's team; those of others are not there."""
    row = None if "\0" in pk else model._default_manager.filter(pk=pk, team=token_of(request).team).first()
    if row is None:
        raise Http404
    return row


api = NinjaAPI(
    title="Storekeeper",
    version="1",
    description="Certificates, stores and providers of one team. Make a token on the team's page.",
    docs_url=None,  # `portal.api_page` describes it in our own look
    urls_namespace="api",
)


def addresses() -> list[URLPattern | URLResolver]:
    """The routes, open to programs without a session: their tokens guard them. Its description is for who is signed in."""
    patterns: list[URLPattern | URLResolver] = api.urls[0]
    for pattern in patterns:
        if pattern.callback and getattr(pattern.callback, "csrf_exempt", False):
            login_not_required(pattern.callback)
    return patterns


def _answer(request: HttpRequest, status: int, code: str, message: str) -> HttpResponse:
    log.info("refused %s on %s", code, request.resolver_match.view_name if request.resolver_match else "?")
    answer = api.create_response(request, {"code": code, "message": message}, status=status)
    if status == 401:
        answer["WWW-Authenticate"] = "Bearer"  # RFC 6750, section 3
    return answer


@api.exception_handler(PortalError)
def _refused(request: HttpRequest, error: PortalError) -> HttpResponse:
    return _answer(request, error.status, error.code, error.sentence)


@api.exception_handler(AuthenticationError)
def _without_token(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return _answer(
        request,
        401,
        "token_missing",
        "Send a token of your team with the request: Authorization: Bearer skp_...",
    )


@api.exception_handler(PermissionDenied)
def _forbidden(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return _answer(request, 403, "forbidden", str(error))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return _answer(request, 404, "not_found", "There is nothing of this id in the token's team.")


@api.exception_handler(HttpError)
def _unreadable(request: HttpRequest, error: HttpError) -> HttpResponse:
    return _answer(request, error.status_code, "bad_request", str(error))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return _answer(request, 422, "invalid", "; ".join(_told(one) for one in error.errors)[:2000])


def _told(error: dict[str, Any]) -> str:
    """The parameter and what is wrong with it, without the value."""
    return f"{error['loc'][-1]}: {error['msg'].removeprefix('Value error, ')}"
