"""Notices: whom to tell, and the rows of the outbox and the inbox. Sending is `delivery`, each channel has its own module."""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from django.db.models import Q

from portal.models import Membership, Role, Team, User
from stores.models import Flag, Notice, Version

log = logging.getLogger("storekeeper")


class Owned(Protocol):
    """What belongs to a team, and may have an owner in it: a certificate, a provider."""

    pk: Any
    team_id: Any
    owner_id: Any


def recipients(rows: Collection[Owned]) -> dict[str, list[User]]:
    """Id of each row to those who are told of it: its owner while a member of the team, else the team's owners. One query."""
    members: defaultdict[str, dict[int, Membership]] = defaultdict(dict)
    wanted = Q(role=Role.OWNER) | Q(user__in={row.owner_id for row in rows} - {None})
    found = Membership.objects.filter(wanted, team__in={row.team_id for row in rows}, user__is_active=True)
    for membership in found.select_related("user"):
        members[membership.team_id][membership.user_id] = membership
    return {row.pk: _told(row, members[row.team_id]) for row in rows}


def people_of(row: Owned) -> list[User]:
    """Those who are told of the row, as `recipients`."""
    return recipients([row])[row.pk]


def _told(row: Owned, members: dict[int, Membership]) -> list[User]:
    if row.owner_id in members:
        return [members[row.owner_id].user]
    return [membership.user for membership in members.values() if membership.role == Role.OWNER]


def queue(version: Version, flags: Sequence[Flag], people: Iterable[User], now: dt.datetime) -> int:
    """Queues each flag for each person, in the portal and by e-mail; how many rows. Safe to repeat.

    Call it in the transaction that writes the flags.
    """
    rows = [
        row for flag in flags for person in people for row in _rows(version.team_id, person, now, flag=flag)
    ]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    if flags and not rows:
        log.warning("nobody can be told of version %s: its team has no owner", version.pk)
    return len(rows)


def tell(
    *, team: Team, people: Iterable[User], key: str, title: str, text: str, url: str, now: dt.datetime
) -> int:
    """Queues for each person, in the portal and by e-mail, what is no stage of a version; how many rows.

    Under one `key` a person is told once, so that it is safe to repeat. The text is one paragraph, `url` a path of the portal. Viewers
    read it too: neither title nor text may hold the address of a provider. Call it in the transaction that finds what there is to tell.
    """
    said = {"key": key, "title": title, "text": text, "url": url}
    rows = [row for person in people for row in _rows(team.pk, person, now, **said)]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    if not rows:
        log.warning("nobody can be told of %s: team %s has no owner", key, team.pk)
    return len(rows)


def _rows(team_id: str, person: User, now: dt.datetime, **said: Any) -> list[Notice]:
    common = {"team_id": team_id, "user": person, "recipient": person.email}
    common |= {"created_at": now, "due_at": now} | said
    return [
        # What lies in the portal's inbox has arrived.
        Notice(channel=Notice.Channel.PORTAL, state=Notice.State.SENT, sent_at=now, **common),
        Notice(channel=Notice.Channel.EMAIL, **common),
    ]


def withdraw(version: Version, now: dt.datetime) -> None:
    """There is nothing left to tell of the version: what is not sent is dropped, what is not read counts no more."""
    rows = Notice.objects.filter(flag__version=version)
    rows.filter(state__in=(Notice.State.WAITING, Notice.State.SENDING)).delete()
    rows.filter(channel=Notice.Channel.PORTAL).unread().update(read_at=now)
