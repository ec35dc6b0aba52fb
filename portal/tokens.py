"""Tokens for programs that use the API. What a program says is shown once; only its digest is kept."""

from __future__ import annotations

import datetime as dt
import secrets

from django.db import IntegrityError, transaction
from django.db.models import Q

from portal import audit
from portal.audit import Actor
from portal.errors import Conflict, PortalError
from portal.ids import digest
from portal.models import ApiToken, Role, Team
from portal.permissions import RANK, role_in

PREFIX = "skp_"
"""Lets scanners of code and logs find a token that leaked."""
USE_NOTED_EVERY = dt.timedelta(minutes=1)


@transaction.atomic
def make(*, team: Team, name: str, role: Role, actor: Actor) -> tuple[ApiToken, str]:
    """A new token and its text. Conflict when a token of this name works already."""
    if actor.user is None:
        raise ValueError("a token is made by a person")
    text = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(team=team, name=name, role=role, created_by=actor.user, token_sha256=digest(text))
    try:
        with transaction.atomic():
            token.save(force_insert=True)
    except IntegrityError:
        raise Conflict(
            "name_taken", f"A token “{name}” works already. Revoke it, or type another name.", field="name"
        ) from None
    audit.record(actor, "token.created", token, team=team, token_name=name, role=role.value)
    return token, text


@transaction.atomic
def revoke(*, token: ApiToken, actor: Actor, now: dt.datetime) -> None:
    """The token works no longer, from this instant; calling it again changes nothing."""
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        audit.record(actor, "token.revoked", token, team=token.team, token_name=token.name)


def find(text: str, now: dt.datetime) -> ApiToken:
    """The working token of a text; PortalError when there is none. Notes its use, to the minute."""
    token = (
        ApiToken.objects.select_related("team", "created_by")
        .filter(token_sha256=digest(text), revoked_at=None)
        .first()
    )
    if token is None or effective_role(token) is None:
        raise PortalError(
            "bad_token",
            "This token does not work: it is wrong, revoked, or its maker has left the team.",
            status=401,
        )
    unnoted = Q(last_used_at=None) | Q(last_used_at__lte=now - USE_NOTED_EVERY)
    ApiToken.objects.filter(unnoted, pk=token.pk).update(last_used_at=now)
    return token


def effective_role(token: ApiToken) -> Role | None:
    """What it may do: what its role allows, never more than its maker; None when the maker is gone."""
    maker = role_in(token.created_by, token.team) if token.created_by.is_active else None
    return min(Role(token.role), maker, key=RANK.__getitem__) if maker else None
