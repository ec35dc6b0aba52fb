"""Webhooks for tests, and what an independent implementation of Standard Webhooks says of what arrived."""

from __future__ import annotations

from typing import Any

from standardwebhooks.webhooks import Webhook as Independent

from stores import webhooks
from stores.models import Webhook
from tests.cast import Cast
from tests.material import NOW
from tests.receiver import Receiver, Request


def hooked(
    cast: Cast, receiver: Receiver, *, shape: str = "standard", name: str = "pipeline"
) -> tuple[Webhook, str]:
    """A webhook of the team that leads to the receiver, and its secret."""
    return webhooks.make(team=cast.team, name=name, url=receiver.url, shape=shape, actor=cast.actor, now=NOW)


def verified(secret: str, request: Request) -> Any:
    """The payload. Raises WebhookVerificationError when the signature or the instant does not fit."""
    return Independent(secret).verify(request.body, request.headers)
