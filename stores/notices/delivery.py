"""Sending: claims what is due, saves the attempt before it is made and the outcome after it (DESIGN section 10)."""

from __future__ import annotations

import datetime as dt
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F

from portal.models import Membership, Team
from stores import notices, policy
from stores.models import Flag, Notice, Watcher
from stores.notices import email
from stores.notices.digest import Digest, Row, digest_of, rows_of
from stores.notices.outcome import Failure
from stores.querysets import NoticeQuerySet

log = logging.getLogger("storekeeper")
STUCK_AFTER = dt.timedelta(minutes=15)
"""A sender that has not said how it went by then has died."""
LONGEST_RUN = 300.0
"""Seconds, well below STUCK_AFTER, so that nothing counts as stuck while this run still holds it."""
GONE = "Its recipient is told no longer: they left the team, or their address was taken out."
Send = Callable[[Digest], Failure | None]


class Channel(NamedTuple):
    """One way to send, and how long to wait after each attempt that failed; after the last pause there is one more attempt."""

    send: Send
    pauses: Sequence[dt.timedelta]


def _minutes(*numbers: int) -> tuple[dt.timedelta, ...]:
    return tuple(dt.timedelta(minutes=number) for number in numbers)


CHANNELS: Mapping[str, Channel] = {
    Notice.Channel.EMAIL: Channel(email.send, _minutes(1, 5, 15, 60, 180, 360, 720, 1440)),
}


class Group(NamedTuple):
    """Notices that one message tells. What was attempted together stays together, so that its message is the same."""

    channel: str
    recipient: str
    attempted_at: dt.datetime | None

    def due(self, now: dt.datetime) -> NoticeQuerySet:
        """Those of its notices that are due."""
        return Notice.objects.due(now).filter(
            channel=self.channel, recipient=self.recipient, attempted_at=self.attempted_at
        )


@dataclass
class Delivered:
    """What one run did; `later` notices are tried again, `failed` ones are not, `dropped` ones have nobody to go to."""

    messages: int = 0
    notices: int = 0
    later: int = 0
    failed: int = 0
    dropped: int = 0
    lost: dict[str, str] = field(default_factory=dict)
    """Channel to why nothing can be sent over it now."""


def deliver(now: dt.datetime) -> Delivered:
    """Sends all notices that are due, one message per recipient. Safe to run ten times at once."""
    done = Delivered()
    until = time.monotonic() + LONGEST_RUN
    for group in _groups(now):
        if time.monotonic() > until:
            break
        if group.channel not in done.lost and _claim(group, now):
            _deliver_one(group, now, done)
    return done


def _groups(now: dt.datetime) -> Iterator[Group]:
    """Everybody for whom something is due, with all that is due: nobody gets two messages by one run."""
    due = Notice.objects.due(now).order_by("channel", "recipient", "attempted_at")
    rows = due.values_list("channel", "recipient", "attempted_at").distinct()
    yield from itertools.starmap(Group, list(rows))


def _claim(group: Group, now: dt.datetime) -> int:
    """Takes a group; nothing while somebody else holds its first notice. So no two messages tell the same.

    What comes in meanwhile and would stand before the first is left, so that two who claim never wait for each other.
    """
    first = group.due(now).order_by("pk").values_list("pk", flat=True).first()
    with transaction.atomic():
        held = group.due(now).filter(pk=first).select_for_update(skip_locked=True).values_list("pk")
        if not list(held):
            return 0
        return group.due(now).filter(pk__gte=first).update(
            state=Notice.State.SENDING, attempts=F("attempts") + 1, attempted_at=now, due_at=now + STUCK_AFTER
        )  # fmt: skip


def _mine(group: Group, now: dt.datetime) -> NoticeQuerySet:
    """What this run has claimed of the group."""
    return Notice.objects.filter(
        channel=group.channel, recipient=group.recipient, attempted_at=now, state=Notice.State.SENDING
    )


def _deliver_one(group: Group, now: dt.datetime, done: Delivered) -> None:
    """Sends one message and records how it went."""
    mine = _mine(group, now)
    rows = _still_theirs(mine, rows_of(mine), now, done)
    if not rows:
        return
    begun = time.monotonic()
    failure = _send(CHANNELS[group.channel].send, rows, now)
    seconds = time.monotonic() - begun
    if failure is None:
        _record_sent(mine, now, seconds)
        done.messages += 1
        done.notices += len(rows)
        return
    log.warning("a message of %d notices was not sent: %s", len(rows), failure.sentence)
    _record_failure(group, failure, now, seconds, done)


def _send(send: Send, rows: Sequence[Row], now: dt.datetime) -> Failure | None:
    try:
        return send(digest_of(rows, now))
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("a message of %d notices could not be made", len(rows))
        return Failure("The message could not be made; the portal's log says why.", again=True)


def _still_theirs(
    mine: NoticeQuerySet, rows: Sequence[Row], now: dt.datetime, done: Delivered
) -> Sequence[Row]:
    """Without what the recipient is not told any more; those who are told now get it instead."""
    first = mine.first()
    if first is None or first.channel == Notice.Channel.WEBHOOK:
        return rows
    teams = _teams_of(first) if first.user_id else None
    gone = [
        row for row in rows if (row.team_id not in teams if teams is not None else not _is_named(first, row))
    ]
    if not gone:
        return rows
    lost = {row.pk for row in gone}
    mine.filter(pk__in=lost).update(state=Notice.State.DROPPED, error=GONE)
    done.dropped += len(gone)
    flags = Flag.objects.filter(pk__in={row.flag_id for row in gone if row.flag_id})
    notices.replace_recipients(list(flags.select_related("version__certificate")), now)
    return [row for row in rows if row.pk not in lost]


def _teams_of(notice: Notice) -> set[str]:
    """The teams that the person of the notice is in."""
    rows = Membership.objects.filter(user=notice.user_id, user__is_active=True)
    return set(rows.values_list("team_id", flat=True))


def _is_named(notice: Notice, row: Row) -> bool:
    """Whether a plain address still watches the certificate, or is still named by the team."""
    if Watcher.objects.filter(certificate=row.certificate, email=notice.recipient).exists():
        return True
    team = Team.objects.get(pk=row.team_id)
    return notice.recipient in policy.read(team.policy).addresses


def _record_sent(mine: NoticeQuerySet, now: dt.datetime, seconds: float) -> None:
    mine.update(state=Notice.State.SENT, sent_at=now, seconds=seconds, error="")


def _record_failure(
    group: Group, failure: Failure, now: dt.datetime, seconds: float, done: Delivered
) -> None:
    """Tried again after a pause while that makes sense, else given up. What was withdrawn meanwhile, or taken by another sender
    because this one was slow, is left alone."""
    mine, pauses = _mine(group, now), CHANNELS[group.channel].pauses
    attempts = max(mine.values_list("attempts", flat=True), default=0)
    if failure.server_lost:
        done.lost[group.channel] = failure.sentence
    if failure.again and attempts <= len(pauses):
        due_at = now + pauses[max(attempts, 1) - 1]
        done.later += mine.update(
            state=Notice.State.WAITING, due_at=due_at, seconds=seconds, error=failure.sentence
        )
    else:
        done.failed += mine.update(state=Notice.State.FAILED, seconds=seconds, error=failure.sentence)
