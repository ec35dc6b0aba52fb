"""Changing a team's policy, and all that follows from it: one transaction, nothing lost to two owners at once."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable

from django.db import transaction

from portal import audit
from portal.audit import Actor
from portal.errors import Conflict
from portal.models import AuditEvent, Team
from stores import policy, watch
from stores.policy import TeamPolicy
from stores.policy_words import differences

ACTION = "team.policy_changed"
Follower = Callable[[Team, dt.datetime], object]
"""Judges anew what an app watches of a team; called in the transaction that writes the policy."""
_followers: list[Follower] = []


def announce(follower: Follower) -> None:
    """Called once by each app that watches ends of its own by the policy."""
    if follower not in _followers:
        _followers.append(follower)


def fingerprint(team: Team) -> str:
    """Says which policy a form began from."""
    kept = json.dumps(team.policy or None, sort_keys=True)
    return hashlib.sha256(kept.encode()).hexdigest()[:16]


def current(team: Team) -> TeamPolicy:
    """What the team has said; the default where that cannot be read, so that it can be put right."""
    try:
        return policy.read(team.policy)
    except (ValueError, TypeError, KeyError, AttributeError):
        return policy.DEFAULT


def require_unchanged(team: Team, seen: str) -> None:
    """Conflict where somebody else has changed the policy since the form with this fingerprint was made."""
    if fingerprint(team) == seen:
        return
    last = AuditEvent.objects.filter(team=team, action__in=(ACTION, "policy.address_left")).first()
    who = last.actor_name if last else "Somebody"
    raise Conflict(
        "changed_meanwhile",
        f"{who} has changed the policy while you were at it. Nothing of yours is lost: see below what would change now, and preview again.",
    )


@transaction.atomic
def change(*, team: Team, wanted: TeamPolicy, seen: str, actor: Actor, now: dt.datetime) -> list[str]:
    """Writes a policy and has all that the team keeps judged by it; what has changed, as sentences. Nothing happens where that is nothing.

    Conflict where somebody else was first. What was told already is not told again.
    """
    row = Team.objects.select_for_update().get(pk=team.pk)
    require_unchanged(row, seen)
    changed = differences(current(row), wanted)
    kept = policy.write(wanted)
    if kept == (row.policy or None):
        return []
    row.policy = team.policy = kept
    row.save(update_fields=["policy"])
    audit.record(actor, ACTION, row, team=row, changed=" ".join(changed))
    watch.rejudge(row, now)
    for follower in _followers:
        follower(row, now)
    return changed
