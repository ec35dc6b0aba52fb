"""The record of what was done: allow-listed facts, never secrets."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import models
from django.http import HttpRequest
from django.utils import timezone

from portal.models import AuditEvent, Team, User

FACTS = frozenset({
    "version", "sha256", "serial", "format", "store", "certificate", "provider", "old_name", "new_name", "role", "member",
    "stage", "fails_at", "because", "findings", "reason", "key_id", "count", "activate_at", "until", "rows", "token_name", "changed",
    "chain", "message", "email",
})  # fmt: skip
"""What may be recorded. A fact of another name is a programming error."""


@dataclass(frozen=True)
class Actor:
    """Who acts, and from where. `user` is None for the portal's own tasks."""

    user: User | None = None
    address: str | None = None
    name: str = ""

    @property
    def label(self) -> str:
        return self.name or (self.user.email if self.user else "Storekeeper")


SYSTEM = Actor()


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in user of a request and the address that the web server saw."""
    user = request.user if isinstance(request.user, User) else None
    return Actor(user, request.META.get("REMOTE_ADDR") or None)


def record(
    actor: Actor, action: str, obj: models.Model | None, *, team: Team | None, **facts: object
) -> AuditEvent:
    """Writes one event about `obj`; call it in the transaction of the change itself."""
    unknown = facts.keys() - FACTS
    if unknown:
        raise ValueError(f"facts that may not be recorded: {', '.join(sorted(unknown))}")
    return AuditEvent.objects.create(
        at=timezone.now(),
        team=team,
        actor=actor.user,
        actor_name=actor.label[:254],
        address=actor.address,
        action=action,
        object_type=obj._meta.model_name or "" if obj else "",
        object_id=str(obj.pk) if obj else "",
        object_name=str(obj)[:250] if obj else "",
        facts={name: value for name, value in facts.items() if value is not None},
    )
