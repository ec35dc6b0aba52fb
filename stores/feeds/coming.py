"""Finding: what a feed tells of, the first to end first; a bounded number of ends by a constant number of queries."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.db.models import Q

from portal.models import Membership, Role
from stores.models import Case, ChainCertificate, Feed, Store, Version
from stores.prompts import Prompt, explained_versions, prompts_of
from stores.theirs import TheirEnd, their_ends

MOST = 500
BACK = dt.timedelta(days=30)
"""How long what has ended stays: it has failed, and a calendar that forgets it at once looks as if all were well."""
AHEAD = dt.timedelta(days=5 * 365)
"""Later ends come into sight in time."""


@dataclass(frozen=True)
class Coming:
    """One end, of a version of ours or of a provider's server."""

    key: str
    """The same for the same end, whatever becomes of its name."""
    end: Prompt | TheirEnd
    since: dt.datetime | None
    """When its version became active; None for what is not ours."""


def coming(feed: Feed, now: dt.datetime) -> list[Coming]:
    """The ends that the feed tells of.

    A chain fails as a whole with its first link, so it has one end. Of a bundle each certificate ends for itself.
    """
    is_owner = Membership.objects.filter(team=feed.team, user=feed.user, role=Role.OWNER).exists()
    found = [*_ours(feed, is_owner, now), *_theirs(feed, is_owner, now)]
    return sorted(found, key=lambda one: (one.end.ends_at, one.end.label, one.key))[:MOST]


def _ours(feed: Feed, is_owner: bool, now: dt.datetime) -> list[Coming]:
    rows = Version.objects.current().filter(
        certificate__team=feed.team,
        certificate__fails_at__gte=now - BACK,
        certificate__fails_at__lt=now + AHEAD,
    )
    if feed.scope == Feed.Scope.MINE:
        rows = rows.filter(_looked_after(feed, is_owner))
    versions = list(explained_versions(rows.order_by("certificate__fails_at", "certificate"))[:MOST])
    prompts = dict(zip((version.pk for version in versions), prompts_of(versions, now), strict=True))
    chains = {one.pk: one for one in versions if one.certificate.store.kind == Store.Kind.KEY}
    found = [Coming(_key(pk, one.fails_sha256), prompts[pk], one.activated_at) for pk, one in chains.items()]
    return found + _of_bundles([one for one in versions if one.pk not in chains], prompts, now)


def _of_bundles(bundles: Sequence[Version], prompts: dict[str, Prompt], now: dt.datetime) -> list[Coming]:
    """Every certificate of these that ends."""
    since = {version.pk: version.activated_at for version in bundles}
    rows = ChainCertificate.objects.filter(
        version__in=list(since), not_after__gte=now - BACK, not_after__lt=now + AHEAD
    ).order_by("not_after", "version", "position")
    names = rows.values_list("version_id", "sha256", "common_name", "not_after")
    return [
        Coming(_key(pk, sha256), replace(prompts[pk], ends_at=ends_at, ends_name=name), since[pk])
        for pk, sha256, name, ends_at in names[:MOST]
    ]


def _looked_after(feed: Feed, is_owner: bool) -> Q:
    """What is the person's own, or their case; for owners of the team also what nobody of the team owns."""
    cases = Case.objects.open().filter(team=feed.team, owner=feed.user)
    mine = Q(certificate__owner=feed.user) | Q(certificate__in=cases.values("certificate"))
    if is_owner:
        members = Membership.objects.filter(team=feed.team, user__is_active=True)
        mine |= Q(certificate__owner=None) | ~Q(certificate__owner__in=members.values("user"))
    return mine


def _theirs(feed: Feed, is_owner: bool, now: dt.datetime) -> list[Coming]:
    ends = their_ends(feed.team, now, MOST, addresses=False)
    if feed.scope == Feed.Scope.MINE:
        ends = [end for end in ends if end.owner == feed.user or (is_owner and end.owner is None)]
    return [
        Coming(_key(end.url, end.ends_at.isoformat()), end, None)
        for end in ends
        if now - BACK <= end.ends_at < now + AHEAD
    ]


def _key(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]
