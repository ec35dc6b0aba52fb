"""Sending: claims what is due, saves the attempt before it is made and the outcome after it (DESIGN section 10)."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Case, Exists, F, Max, Min, OuterRef, Q, When

from portal import runs
from portal.models import Membership, Team
from stores import notices, policy, webhooks
from stores.models import Flag, Notice, Watcher, Webhook
from stores.notices import email, webhook
from stores.notices.digest import Digest, Row, digest_of, rows_of
from stores.notices.outcome import Failure
from stores.querysets import NoticeQuerySet

log = logging.getLogger("storekeeper")
STUCK_AFTER = dt.timedelta(minutes=15)
"""A sender that has not said how it went by then has died."""
LONGEST_RUN = runs.LONGEST_DELIVERY.total_seconds()
"""Seconds, well below STUCK_AFTER, so that nothing counts as stuck while this run still holds it."""
LONGEST_SCAN = dt.timedelta(minutes=10)
"""A scan that has not ended by then has died, or is so long that what it has queued had better be sent."""
GONE = "Its recipient is told no longer: they left the team, or their address was taken out."
NOT_MADE = Failure("The message could not be made; the portal's log says why.", again=True)
Send = Callable[[Digest], Failure | None]


class Channel(NamedTuple):
    """One way to send, and how long to wait after each attempt that failed; after the last pause there is one more attempt."""

    send: Send
    pauses: Sequence[dt.timedelta]


def _minutes(*numbers: int) -> tuple[dt.timedelta, ...]:
    return tuple(dt.timedelta(minutes=number) for number in numbers)


CHANNELS: Mapping[str, Channel] = {
    Notice.Channel.EMAIL: Channel(email.send, _minutes(1, 5, 15, 60, 180, 360, 720, 1440)),
    Notice.Channel.WEBHOOK: Channel(webhook.send, _minutes(1, 5, 15, 60, 180, 360, 720)),
}


class Group(NamedTuple):
    """Notices that one message tells: all that waits for a recipient, or what was sent together before and may have arrived.

    The latter stays together, so that its message is the same.
    """

    channel: str
    recipient: str
    sent_at: dt.datetime | None
    """When it was sent before, without anybody knowing whether it arrived; None for what waits."""
    held: dt.datetime | None = None
    """What a scan that began then has queued waits for its end."""

    def due(self, now: dt.datetime) -> NoticeQuerySet:
        """Those of its notices that are due."""
        rows = _due(now, self.held).filter(channel=self.channel, recipient=self.recipient)
        if self.sent_at is None:
            return rows.filter(state=Notice.State.WAITING)
        return rows.filter(state=Notice.State.SENDING, attempted_at=self.sent_at)


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
    answered: list[str] = field(default_factory=list, compare=False)
    """Channels over which somebody was reached, be it to refuse a message."""


def deliver(now: dt.datetime) -> Delivered:
    """Sends all notices that are due, one message per recipient. Safe to run ten times at once.

    What a scan has queued that is still under way waits for its end, so that nobody gets its digest in pieces.
    """
    done = Delivered()
    until = time.monotonic() + LONGEST_RUN
    _keep_quiet(now)
    silent: set[str] = set()
    for group in _groups(now, runs.under_way(runs.WATCH, now, LONGEST_SCAN)):
        if time.monotonic() > until:
            break
        if group.channel in done.lost or group.recipient in silent:
            continue
        if _claim(group, now) and not _deliver_one(group, now, done):
            # Each message to a receiver that does not answer costs time that others wait for: one of them per run.
            silent.add(group.recipient)
    return done


def _due(now: dt.datetime, held: dt.datetime | None) -> NoticeQuerySet:
    rows = Notice.objects.due(now)
    return rows.exclude(created_at=held, state=Notice.State.WAITING) if held else rows


def _groups(now: dt.datetime, held: dt.datetime | None) -> list[Group]:
    """Everybody for whom something is due, with all that is due: nobody gets two messages by one run, unless one is a repeat.

    What was tried last comes last, so that a message with which the server always breaks down keeps no other from being sent.
    """
    sent_at = Case(When(state=Notice.State.SENDING, then=F("attempted_at")))
    due = _due(now, held).annotate(together=sent_at).values_list("channel", "recipient", "together")
    rows = due.annotate(last=Max("attempted_at")).order_by(
        F("last").asc(nulls_first=True), "channel", "recipient"
    )
    return [Group(channel, recipient, together, held) for channel, recipient, together, _ in rows]


def _keep_quiet(now: dt.datetime) -> None:
    """What came into the quiet hours of its team by being late, or since they were set, waits for their end."""
    due = Notice.objects.due(now).filter(team=OuterRef("pk"))
    for team in Team.objects.filter(Exists(due), policy__has_key="quiet").order_by("pk"):
        with contextlib.suppress(ValueError):
            later = policy.read(team.policy).send_at(None, now)
            if later > now:
                urgent = Q(flag__stage__in=policy.AT_ANY_HOUR) | Q(severity__in=policy.AT_ANY_HOUR)
                late = Notice.objects.due(now).filter(team=team).exclude(urgent)
                Notice.objects.filter(pk__in=late.values("pk")).update(due_at=later)


def _claim(group: Group, now: dt.datetime) -> int:
    """Takes a group; nothing while somebody else holds its first notice. So no two messages tell the same.

    What comes in meanwhile and would stand before the first is left, so that two who claim never wait for each other.
    """
    first = group.due(now).aggregate(first=Min("pk"))["first"]
    with transaction.atomic():
        held = group.due(now).filter(pk=first).select_for_update(skip_locked=True).values_list("pk")
        if not list(held):
            return 0
        return group.due(now).filter(pk__gte=first).update(
            state=Notice.State.SENDING, attempts=F("attempts") + 1, attempted_at=now, due_at=now + STUCK_AFTER
        )  # fmt: skip


def _mine(group: Group, now: dt.datetime) -> NoticeQuerySet:
    """What this run has claimed of the group."""
    return Notice.objects.unsent().filter(
        channel=group.channel, recipient=group.recipient, attempted_at=now, state=Notice.State.SENDING
    )


def _deliver_one(group: Group, now: dt.datetime, done: Delivered) -> bool:
    """Sends one message and records how it went; False when it was not taken."""
    mine = _mine(group, now)
    rows: Sequence[Row] = rows_of(mine)
    if group.channel == Notice.Channel.WEBHOOK:
        rows = _still_on(group.recipient, mine, rows, done)
    else:
        rows = _still_theirs(group.recipient, mine, rows, now, done)
    if not rows:
        return True
    begun = time.monotonic()
    failure = _send(CHANNELS[group.channel].send, rows, now)
    seconds = time.monotonic() - begun
    if failure is None:
        _record_sent(mine, now, seconds)
        done.messages += 1
        done.notices += len(rows)
        _note_answer(group.channel, done)
        return True
    log.warning("a message of %d notices was not sent: %s", len(rows), failure.sentence)
    _record_failure(group, failure, now, seconds, done)
    return False


def _send(send: Send, rows: Sequence[Row], now: dt.datetime) -> Failure | None:
    try:
        return send(digest_of(rows, now))
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("a message of %d notices could not be made", len(rows))
        return NOT_MADE


def _still_on(hook_id: str, mine: NoticeQuerySet, rows: Sequence[Row], done: Delivered) -> Sequence[Row]:
    """Nothing goes to a webhook that was switched off."""
    if Webhook.objects.filter(pk=hook_id, is_enabled=True).exists():
        return rows
    done.dropped += webhooks.drop(mine)
    return []


def _still_theirs(
    recipient: str, mine: NoticeQuerySet, rows: Sequence[Row], now: dt.datetime, done: Delivered
) -> Sequence[Row]:
    """Without what the recipient is not told any more; those who are told now get it instead."""
    theirs = _theirs(recipient, rows)
    gone = [row for row in rows if row.pk not in theirs]
    if not gone:
        return rows
    lost = {row.pk for row in gone}
    mine.filter(pk__in=lost).update(state=Notice.State.DROPPED, error=GONE)
    done.dropped += len(gone)
    flags = Flag.objects.filter(pk__in={row.flag_id for row in gone if row.flag_id})
    notices.queue_again(list(flags.select_related("version__certificate")), now)
    return [row for row in rows if row.pk in theirs]


def _theirs(recipient: str, rows: Sequence[Row]) -> set[str]:
    """The notices that the recipient is still to be told: a person who is in the team, else a plain address that is still named."""
    people, plain = {row.user_id for row in rows if row.user_id}, [row for row in rows if not row.user_id]
    members = Membership.objects.filter(user__in=people, user__is_active=True)
    seats = set(members.values_list("user_id", "team_id"))
    named = _named(recipient, plain)
    return {row.pk for row in rows if (row.user_id, row.team_id) in seats or row.pk in named}


def _named(recipient: str, rows: Sequence[Row]) -> set[str]:
    """Those whose certificate the address watches, or whose team names it."""
    teams = {row.team_id for row in rows}
    watched = Watcher.objects.filter(email__iexact=recipient, team__in=teams)
    certificates = set(watched.values_list("certificate_id", flat=True))
    kept = Team.objects.filter(pk__in=teams).values_list("pk", "policy")
    naming = {team for team, said in kept if _names(said, recipient)}
    return {row.pk for row in rows if row.certificate in certificates or row.team_id in naming}


def _names(said: Mapping[str, Any] | None, recipient: str) -> bool:
    """Whether a team's policy names the address. One that cannot be read takes out nobody."""
    try:
        return recipient.lower() in (address.lower() for address in policy.read(said).addresses)
    except ValueError:
        return True


def _record_sent(mine: NoticeQuerySet, now: dt.datetime, seconds: float) -> None:
    mine.update(state=Notice.State.SENT, sent_at=now, seconds=seconds, error="")


def _record_failure(
    group: Group, failure: Failure, now: dt.datetime, seconds: float, done: Delivered
) -> None:
    """Tried again after a pause while that makes sense, else given up. What was withdrawn meanwhile, or taken by another sender
    because this one was slow, is left alone."""
    mine, pauses = _mine(group, now), CHANNELS[group.channel].pauses
    is_unsure = failure.unsure or group.sent_at is not None
    said = {
        "state": Notice.State.SENDING if is_unsure else Notice.State.WAITING,
        "seconds": seconds,
        "error": failure.sentence,
    }
    if failure.server_lost:
        done.lost[group.channel] = failure.sentence
    elif failure is not NOT_MADE:
        _note_answer(group.channel, done)
    if failure.server_lost and not failure.unsure:
        # Nobody was asked to take it: it stays due, and goes with all that comes until the server is back.
        done.later += mine.update(attempts=F("attempts") - 1, due_at=now, **said)
        return
    for attempts in sorted(set(mine.values_list("attempts", flat=True))):
        tried = mine.filter(attempts=attempts)
        if failure.again and attempts <= len(pauses):
            done.later += tried.update(due_at=now + pauses[attempts - 1], **said)
        else:
            done.failed += tried.update(**said | {"state": Notice.State.FAILED})


def _note_answer(channel: str, done: Delivered) -> None:
    if channel not in done.answered:
        done.answered.append(channel)


def lost_since(done: Delivered, before: Mapping[str, Any], now: dt.datetime) -> dict[str, dict[str, str]]:
    """Channel to why and since when nothing can be sent over it, after a run; `before` is what the run before said.

    A channel stays lost until somebody was reached over it again: a run with nothing to send proves nothing.
    """
    found = {channel: said for channel, said in before.items() if channel not in done.answered}
    for channel, why in done.lost.items():
        since = found[channel]["since"] if channel in found else now.isoformat()
        found[channel] = {"why": why, "since": since}
    return found
