"""Feeds: secret addresses from which calendars and readers take what comes to its end, without signing in.

The secret has 256 bits, so that it cannot be guessed; only its digest is kept, and looked up as a whole. What ends is found by `coming`;
`calendar` and `atom` write it down. None of them holds an address of a provider, whoever asks: a feed is kept by programs of others.
"""

from __future__ import annotations

import datetime as dt
import secrets

from django.db import transaction
from django.db.models import F, Q, QuerySet

from portal import audit
from portal.audit import Actor
from portal.errors import Conflict
from portal.ids import digest
from portal.models import Team
from stores.models import Feed

MOST = 20
"""That work at once, of one person in one team."""


@transaction.atomic
def make(*, team: Team, scope: Feed.Scope, actor: Actor, now: dt.datetime) -> tuple[Feed, str]:
    """A new feed of the person and the secret of its addresses, which nobody can read again. Conflict when there are too many."""
    if actor.user is None:
        raise ValueError("a feed is made by a person")
    if Feed.objects.filter(team=team, user=actor.user, revoked_at=None).count() >= MOST:
        raise Conflict("too_many_feeds", f"You have {MOST} feeds that work. Revoke one that nobody uses.")
    token = secrets.token_urlsafe(32)
    feed = Feed.objects.create(
        team=team, user=actor.user, scope=scope, token_sha256=digest(token), created_at=now
    )
    audit.record(actor, "feed.made", feed, team=team)
    return feed, token


@transaction.atomic
def revoke(*, feed: Feed, actor: Actor, now: dt.datetime) -> None:
    """Its addresses open nothing from this instant; calling it again changes nothing."""
    if Feed.objects.filter(pk=feed.pk, revoked_at=None).update(revoked_at=now):
        audit.record(actor, "feed.revoked", feed, team=feed.team, member=feed.user.email)


def find(token: str) -> Feed | None:
    """The feed that a secret opens; None for an unknown or revoked one, and when its person has left the team or was closed."""
    return working().filter(token_sha256=digest(token)).select_related("team", "user").first()


def working() -> QuerySet[Feed]:
    """Feeds that open something."""
    member = Q(user__memberships__team=F("team"), user__is_active=True)
    return Feed.objects.filter(member, revoked_at=None)


def note_taken(feed: Feed, now: dt.datetime) -> None:
    """To the hour, so that programs which ask every minute write once."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if feed.seen_at is None or feed.seen_at < hour:
        Feed.objects.filter(Q(seen_at=None) | Q(seen_at__lt=hour), pk=feed.pk).update(seen_at=hour)
