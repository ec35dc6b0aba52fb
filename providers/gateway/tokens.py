"""Tokens of gateways. What a gateway says is shown once; only its digest is kept.

Two work at once, so that a new one can be put into place before the old one is revoked.
"""

from __future__ import annotations

import datetime as dt
import secrets

from django.db import transaction

from portal import audit
from portal.audit import Actor
from portal.errors import Conflict, PortalError
from portal.ids import digest
from portal.models import only
from providers.models import Gateway, GatewayToken

PREFIX = "skg_"
"""Lets scanners of code and logs find a token that leaked."""
MOST_WORKING = 2


@transaction.atomic
def make(*, gateway: Gateway, actor: Actor, now: dt.datetime) -> tuple[GatewayToken, str]:
    """A new token and its text. Conflict when two work already, or the gateway is gone."""
    if Gateway.objects.select_for_update().filter(pk=gateway.pk).first() is None:
        raise Conflict("gone", f"“{gateway}” was deleted meanwhile.")
    if gateway.tokens.filter(revoked_at=None).count() >= MOST_WORKING:
        raise Conflict(
            "two_work",
            "Two tokens work already: revoke the one that is no longer in use, then make a new one.",
        )
    text = PREFIX + secrets.token_urlsafe(32)
    token = GatewayToken.objects.create(
        team=gateway.team,
        gateway=gateway,
        token_sha256=digest(text),
        created_by=actor.user,
        created_at=now,
    )
    audit.record(actor, "gateway_token.created", gateway, team=gateway.team)
    return token, text


@transaction.atomic
def revoke(*, token: GatewayToken, actor: Actor, now: dt.datetime) -> None:
    """The token works no longer, from this instant; calling it again changes nothing."""
    if GatewayToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        audit.record(actor, "gateway_token.revoked", token.gateway, team=token.team)


def find(header: str) -> GatewayToken:
    """The working token of an Authorization header, with its gateway, in one query; PortalError when there is none."""
    kind, _, text = header.partition(" ")
    rows = GatewayToken.objects.select_related("gateway", "gateway__team")
    right = kind.lower() == "bearer" and text.startswith(PREFIX)
    token = only(rows.filter(token_sha256=digest(text.strip()), revoked_at=None)) if right else None
    if token is None:
        sentence = "This is no working token of a gateway: make one on the gateway's page, and send it as “Authorization: Bearer skg_…”."
        raise PortalError("bad_token", sentence, status=401)
    return token
