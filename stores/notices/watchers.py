"""Plain addresses of people without an account: who is told of a certificate beside its owner, and how they get out again."""

from __future__ import annotations

import dataclasses
import datetime as dt

from django.db import IntegrityError, transaction

from portal import audit
from portal.audit import Actor
from portal.errors import Conflict
from portal.models import Team, User
from stores import policy, policy_change
from stores.locking import locked_certificate
from stores.models import Certificate, Watcher

MOST = 20


@transaction.atomic
def add(*, certificate: Certificate, email: str, actor: Actor, now: dt.datetime) -> Watcher:
    """The address is told of each stage of the certificate from now on. Conflict when it is already, or when there are too many."""
    certificate = locked_certificate(certificate)
    address = User.objects.normalize_email(email)
    if certificate.watchers.count() >= MOST:
        raise Conflict(
            "too_many_watchers",
            f"{MOST} addresses are told of this certificate already. Remove one, or use the address of a mailing list.",
            field="email",
        )
    try:
        with transaction.atomic():
            watcher = Watcher.objects.create(
                team=certificate.team,
                certificate=certificate,
                email=address,
                added_by=actor.user,
                added_at=now,
            )
    except IntegrityError:
        raise Conflict(
            "watches_already", f"{address} is told of this certificate already.", field="email"
        ) from None
    audit.record(actor, "watcher.added", certificate, team=certificate.team, email=address)
    return watcher


@transaction.atomic
def remove(*, watcher: Watcher, actor: Actor) -> None:
    """The address is told no longer; what waits for it is not sent. Safe to repeat."""
    if Watcher.objects.filter(pk=watcher.pk).delete()[0]:
        audit.record(actor, "watcher.removed", watcher.certificate, team=watcher.team, email=watcher.email)


@transaction.atomic
def leave(*, team: Team, certificate_id: str, email: str, actor: Actor) -> int:
    """The person behind a plain address wants no more mail: it watches the certificate no longer, or without one none of the team, and
    the team's policy names it no longer; how much was changed. Safe to repeat."""
    watched = Watcher.objects.filter(team=team, email__iexact=email).select_related("certificate", "team")
    if certificate_id:
        watched = watched.filter(certificate=certificate_id)
    rows = list(watched)
    for watcher in rows:
        remove(watcher=watcher, actor=actor)
    return len(rows) + _unname(team, email, actor)


def _unname(team: Team, email: str, actor: Actor) -> int:
    """Takes an address out of those that the team's policy names."""
    team = Team.objects.select_for_update().get(pk=team.pk)
    said = policy_change.current(team)
    others = tuple(address for address in said.addresses if address.lower() != email.lower())
    if len(others) == len(said.addresses):
        return 0
    team.policy = policy.write(dataclasses.replace(said, addresses=others))
    team.save(update_fields=["policy"])
    audit.record(actor, "policy.address_left", team, team=team, email=email)
    return 1
