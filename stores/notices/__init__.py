"""Notices: whom to tell, and the rows of the outbox and the inbox. Sending is `delivery`, each channel has its own module."""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from django.db.models import Q

from portal.models import Membership, Role, User
from stores.models import Certificate, Flag, Notice, Version

log = logging.getLogger("storekeeper")


def recipients(certificates: Collection[Certificate]) -> dict[str, list[User]]:
    """Certificate id to those who are told: its owner while a member of the team, else the team's owners. One query."""
    members: defaultdict[str, dict[int, Membership]] = defaultdict(dict)
    wanted = Q(role=Role.OWNER) | Q(user__in={certificate.owner_id for certificate in certificates} - {None})
    teams = {certificate.team_id for certificate in certificates}
    found = Membership.objects.filter(wanted, team__in=teams, user__is_active=True)
    for membership in found.select_related("user"):
        members[membership.team_id][membership.user_id] = membership
    return {certificate.pk: _told(certificate, members[certificate.team_id]) for certificate in certificates}


def _told(certificate: Certificate, members: dict[int, Membership]) -> list[User]:
    if certificate.owner_id in members:
        return [members[certificate.owner_id].user]
    return [membership.user for membership in members.values() if membership.role == Role.OWNER]


def queue(version: Version, flags: Sequence[Flag], people: Iterable[User], now: dt.datetime) -> int:
    """Queues each flag for each person, in the portal and by e-mail; how many rows. Safe to repeat.

    Call it in the transaction that writes the flags.
    """
    rows = [row for flag in flags for person in people for row in _rows(version, flag, person, now)]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    if flags and not rows:
        log.warning("nobody can be told of version %s: its team has no owner", version.pk)
    return len(rows)


def _rows(version: Version, flag: Flag, person: User, now: dt.datetime) -> list[Notice]:
    common = {"team_id": version.team_id, "flag": flag, "user": person, "recipient": person.email}
    common |= {"created_at": now, "due_at": now}
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
