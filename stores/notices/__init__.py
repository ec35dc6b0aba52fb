"""The outbox and the inbox: what is queued for whom. Whom to tell is `audience`, sending is `delivery`, each channel has its own module."""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from portal import bulk
from portal.models import Membership, Role, Team, User
from stores import policy
from stores.expiry import Stage
from stores.models import Certificate, Flag, Notice, Preferences, Version, Webhook
from stores.notices.audience import Channel, Directory, Recipient

log = logging.getLogger("storekeeper")
INFO = "info"
NOBODY = "Nobody could be told: the team has no owner. Give it one; then this is told."
AGAIN = 500
"""How many flags are told again by one transaction."""


class Owned(Protocol):
    """What belongs to a team, and may have an owner in it: a certificate, a provider."""

    pk: Any
    team_id: Any
    owner_id: Any


def recipients(rows: Collection[Owned]) -> dict[str, list[User]]:
    """Id of each row to those who look after it: its owner while a member of the team, else the team's owners. One query."""
    members: defaultdict[str, dict[int, Membership]] = defaultdict(dict)
    wanted = Q(role=Role.OWNER) | Q(user__in={row.owner_id for row in rows} - {None})
    found = Membership.objects.filter(wanted, team__in={row.team_id for row in rows}, user__is_active=True)
    for membership in found.select_related("user"):
        members[membership.team_id][membership.user_id] = membership
    return {row.pk: _looks_after(row, members[row.team_id]) for row in rows}


def people_of(row: Owned) -> list[User]:
    """Those who look after the row, as `recipients`."""
    return recipients([row])[row.pk]


def owners_of(team: Team) -> list[User]:
    """The owners of a team who can be told."""
    rows = Membership.objects.filter(team=team, role=Role.OWNER, user__is_active=True)
    return [membership.user for membership in rows.select_related("user").order_by("user")]


def _looks_after(row: Owned, members: dict[int, Membership]) -> list[User]:
    if row.owner_id in members:
        return [members[row.owner_id].user]
    return [membership.user for membership in members.values() if membership.role == Role.OWNER]


def queue(flags: Sequence[Flag], directory: Directory, now: dt.datetime) -> int:
    """Queues each flag for all who are told of it; how many rows. Safe to repeat.

    The flags carry their versions and certificates. Where there is nobody, a failed row says so. Call it in the transaction that writes
    the flags.
    """
    rows = [row for flag in flags for row in _rows_of(flag, directory, now)]
    bulk.create(Notice, rows, ignore_conflicts=True)
    return len(rows)


def planned(
    certificate: Certificate, stage: Stage, directory: Directory, now: dt.datetime
) -> list[tuple[Recipient | None, dt.datetime]]:
    """Everybody who is told that the certificate comes into a stage now, each with when; None where it reaches nobody."""
    told = directory.told(certificate, stage)
    due_at = directory.policy(certificate.team_id).send_at(stage, now)
    # What lies in the portal's inbox has arrived.
    found: list[tuple[Recipient | None, dt.datetime]] = [
        (one, now if one.channel == Channel.PORTAL else due_at) for one in told
    ]
    if not any(one.user for one in told):
        found.append((None, due_at))
    return found


def _rows_of(flag: Flag, directory: Directory, now: dt.datetime) -> Iterator[dict[str, Any]]:
    certificate = flag.version.certificate
    for recipient, due_at in planned(certificate, Stage(flag.stage), directory, now):
        common = {"team_id": certificate.team_id, "flag_id": flag.pk, "created_at": now, "due_at": due_at}
        if recipient:
            yield _row(recipient, now, common)
            continue
        log.error("nobody can be told of certificate %s: its team has no owner", certificate.pk)
        yield _for_nobody(now, common)


def _row(recipient: Recipient, now: dt.datetime, common: dict[str, Any]) -> dict[str, Any]:
    row = common | {
        "channel": recipient.channel,
        "recipient": recipient.address,
        "user_id": recipient.user.pk if recipient.user else None,
        "webhook_id": recipient.webhook_id,
    }
    if recipient.channel == Channel.PORTAL:
        # What lies in the portal's inbox has arrived.
        row |= {"state": Notice.State.SENT, "sent_at": now, "due_at": now}
    return row


def _for_nobody(now: dt.datetime, common: dict[str, Any]) -> dict[str, Any]:
    """Stands for what could be told to nobody, until it can."""
    failed = {"state": Notice.State.FAILED, "attempted_at": now, "error": NOBODY}
    return common | failed | {"channel": Channel.PORTAL, "recipient": ""}


def tell(
    *,
    team: Team,
    people: Iterable[User],
    key: str,
    title: str,
    text: str,
    url: str,
    now: dt.datetime,
    severity: str = INFO,
    webhooks: bool = True,
) -> int:
    """Queues for each person and the team's webhooks what is no stage of a version; how many rows.

    Under one `key` everybody is told once, so that it is safe to repeat. The text is one paragraph, `url` a path of the portal, `severity`
    a stage or "info". Viewers read it too: neither title nor text may hold the address of a provider. Call it in the transaction that
    finds what there is to tell.
    """
    people = list(people)
    stage = Stage(severity) if severity != INFO else None
    due_at = policy.read(team.policy).send_at(stage, now)
    said = {"key": key, "title": title, "text": text, "url": url, "severity": severity}
    common = {"team_id": team.pk, "created_at": now, "due_at": due_at} | said
    silent = Preferences.objects.filter(user__in=[person.pk for person in people]).exclude(silent=[])
    unwanted = {user for user, kinds in silent.values_list("user", "silent") if severity in kinds}
    if stage == Stage.EXPIRED:
        unwanted = set()
    told = [Recipient(Channel.PORTAL, person.email, person) for person in people]
    told += [Recipient(Channel.EMAIL, person.email, person) for person in people if person.pk not in unwanted]
    if webhooks:
        hooks = Webhook.objects.filter(team=team, is_enabled=True).values_list("pk", flat=True)
        told += [Recipient(Channel.WEBHOOK, pk, webhook_id=pk) for pk in hooks]
    rows = [_row(one, now, common) for one in told]
    if not people:
        log.error("nobody can be told of %s: team %s has no owner", key, team.pk)
        rows.append(_for_nobody(now, common))
    bulk.create(Notice, rows, ignore_conflicts=True)
    return len(told)


def tell_again(now: dt.datetime) -> int:
    """Tells what could be told to nobody, where there is somebody now; how many. Safe to repeat."""
    found, told = list(_heard_now()[:AGAIN]), _tell_messages_again(now)
    while found:
        told += queue_again(found, now)
        last = found[-1].pk
        found = list(_heard_now().filter(pk__gt=last)[:AGAIN]) if len(found) == AGAIN else []
    return told


def _tell_messages_again(now: dt.datetime) -> int:
    """What is no stage of a version goes to the owners of its team."""
    owners = Membership.objects.filter(role=Role.OWNER, team=OuterRef("team"), user__is_active=True)
    missed = (
        Notice.objects.for_nobody().filter(Exists(owners), flag=None).select_related("team").order_by("pk")
    )
    told = 0
    for row in missed[:AGAIN]:
        people = Membership.objects.filter(role=Role.OWNER, team=row.team_id, user__is_active=True)
        said = {
            "key": row.key,
            "title": row.title,
            "text": row.text,
            "url": row.url,
            "severity": row.severity,
        }
        with transaction.atomic():
            Notice.objects.filter(pk=row.pk).delete()
            tell(
                team=row.team, people=[one.user for one in people.select_related("user")], now=now, webhooks=False, **said
            )  # fmt: skip
        told += 1
    return told


def _heard_now() -> QuerySet[Flag]:
    """The flags that nobody could be told of, where the team has an owner now, or the certificate one who is in the team."""
    somebody = Q(role=Role.OWNER) | Q(user=OuterRef("flag__version__certificate__owner"))
    people = Membership.objects.filter(somebody, team=OuterRef("team"), user__is_active=True)
    missed = Notice.objects.for_nobody().filter(Exists(people)).order_by()
    flags = Flag.objects.open().filter(pk__in=missed.values("flag"))
    return flags.select_related("version__certificate").order_by("pk")


@transaction.atomic
def queue_again(flags: Collection[Flag], now: dt.datetime) -> int:
    """Queues open flags for all who are told of them now and have no message of them yet; how many flags. Safe to repeat.

    For those whom the scan could not think of: who came after it, or stands in for somebody who left. A version that is superseded at this
    instant is either told before, or not at all.
    """
    certificates = {flag.version.certificate_id for flag in flags}
    list(Certificate.objects.select_for_update().filter(pk__in=certificates).order_by("pk").values_list("pk"))
    still_open = Flag.objects.open().filter(pk__in=[flag.pk for flag in flags])
    found = list(still_open.select_related("version__certificate"))
    directory = Directory([flag.version.certificate for flag in found])
    rows = [flag for flag in found if directory.can_read(flag.version.team_id)]
    if rows:
        kept = Notice.objects.filter(flag__in=rows)
        kept.for_nobody().delete()
        # Whoever left and came back is told after all.
        kept.filter(
            state=Notice.State.DROPPED, user__is_active=True, user__memberships__team=F("team")
        ).delete()
        queue(rows, directory, now)
    return len(rows)


def withdraw(versions: Collection[Version], now: dt.datetime) -> None:
    """There is nothing left to tell of the versions: what is not sent is dropped, what is not read counts no more."""
    rows = Notice.objects.filter(flag__version__in=versions)
    rows.filter(state__in=(Notice.State.WAITING, Notice.State.SENDING)).delete()
    rows.for_nobody().delete()
    rows.filter(channel=Channel.PORTAL).unread().update(read_at=now)
