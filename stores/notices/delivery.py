"""Sending: claims what is due, saves the attempt before it is made and the outcome after it (DESIGN section 10)."""

from __future__ import annotations

import datetime as dt
import itertools
import logging
import smtplib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db import transaction
from django.db.models import F

from portal.models import Membership
from portal.templatetags.portal_tags import visible
from stores.models import Notice
from stores.notices import email
from stores.notices.items import Item, items_of
from stores.prompts import explained_notices

log = logging.getLogger("storekeeper")
BATCH = 2000
STUCK_AFTER = dt.timedelta(minutes=15)
"""A sender that has not said how it went by then has died."""
LONGEST_RUN = 300.0
"""Seconds, well below STUCK_AFTER, so that nothing counts as stuck while this run still holds it."""
PAUSES = tuple(dt.timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720, 1440))
"""How long to wait after each attempt that failed; after the last pause there is one more attempt."""


@dataclass
class Delivered:
    """What one run did; `later` notices are tried again, `failed` ones are not."""

    mails: int = 0
    notices: int = 0
    later: int = 0
    failed: int = 0


class Failure(NamedTuple):
    """Why a message was not sent, and whether trying again makes sense."""

    sentence: str
    again: bool
    server_lost: bool = False
    """No other message would be sent now either."""


def deliver(now: dt.datetime) -> Delivered:
    """Sends all notices that are due, one message per recipient. Safe to run ten times at once."""
    done = Delivered()
    until = time.monotonic() + LONGEST_RUN
    for ids in _groups(now):
        if time.monotonic() > until:
            break
        if _claim(ids, now) and not _deliver_one(ids, now, done):
            break
    return done


def _groups(now: dt.datetime) -> Iterator[list[str]]:
    """Ids of due notices by recipient; what was attempted together stays together, so that its message is the same."""
    due = Notice.objects.due(now).order_by("recipient", "attempted_at", "pk")
    rows = due.values_list("recipient", "attempted_at", "pk")[:BATCH]
    for _, group in itertools.groupby(rows, key=lambda row: row[:2]):
        yield [row[2] for row in group]


def _claim(ids: Sequence[str], now: dt.datetime) -> bool:
    """Takes all of a group or, where somebody else has taken one, nothing."""
    with transaction.atomic():
        taken = Notice.objects.due(now).filter(pk__in=ids).update(
            state=Notice.State.SENDING, attempts=F("attempts") + 1, attempted_at=now, due_at=now + STUCK_AFTER
        )  # fmt: skip
        if taken != len(ids):
            transaction.set_rollback(True)
        return taken == len(ids)


def _deliver_one(ids: Sequence[str], now: dt.datetime, done: Delivered) -> bool:
    """Sends one message and records how it went; False when no other message can be sent now."""
    found = list(explained_notices(Notice.objects.filter(pk__in=ids)))
    rows = _still_theirs(list(zip(found, items_of(found, now), strict=True)), done)
    if not rows:
        return True
    begun = time.monotonic()
    failure = _send(rows)
    seconds = time.monotonic() - begun
    if failure is None:
        _record(rows, state=Notice.State.SENT, sent_at=now, seconds=seconds, error="")
        done.mails += 1
        done.notices += len(rows)
        return True
    log.warning("a message of %d notices was not sent: %s", len(rows), failure.sentence)
    _record_failure(rows, failure, now, seconds, done)
    return not failure.server_lost


def _still_theirs(rows: list[tuple[Notice, Item]], done: Delivered) -> list[tuple[Notice, Item]]:
    """Without notices of teams that the recipient has left since."""
    people = {row.user_id for row, _ in rows}
    memberships = set(
        Membership.objects.filter(user__in=people, user__is_active=True).values_list("user_id", "team_id")
    )
    gone = [row for row in rows if (row[0].user_id, row[0].team_id) not in memberships]
    if gone:
        _record(gone, state=Notice.State.FAILED, error="The recipient is no longer a member of the team.")
        done.failed += len(gone)
    return [row for row in rows if row not in gone]


def _send(rows: Sequence[tuple[Notice, Item]]) -> Failure | None:
    try:
        email.compose(rows).send()
    except OSError as error:
        return judge(error)
    except Exception:
        log.exception("a message of %d notices could not be made", len(rows))
        return Failure("The message could not be made; the portal's log says why.", again=True)
    return None


def judge(error: OSError) -> Failure:
    """Whether trying again makes sense: 4xx means later, 5xx never (RFC 5321, section 4.2.1); a lost server comes back."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
        return _answered(code, text)
    if isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPDataError):
        return _answered(error.smtp_code, error.smtp_error)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Failure(f"The mail server cannot take this message: {error}", again=False)
    if isinstance(error, smtplib.SMTPResponseException):
        # It refuses us, not the message: a password or a setting to be put right.
        sentence = _answered(error.smtp_code, error.smtp_error).sentence
        return Failure(sentence, again=True, server_lost=True)
    return Failure(f"The mail server cannot be reached: {visible(error)[:300]}", again=True, server_lost=True)


def _answered(code: int, text: bytes | str) -> Failure:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return Failure(f"The mail server answered {code} {visible(words)[:300]}", again=code < 500)


def _record_failure(
    rows: Sequence[tuple[Notice, Item]], failure: Failure, now: dt.datetime, seconds: float, done: Delivered
) -> None:
    attempts = max(row.attempts for row, _ in rows)
    if failure.again and attempts <= len(PAUSES):
        due_at = now + PAUSES[attempts - 1]
        _record(rows, state=Notice.State.WAITING, due_at=due_at, seconds=seconds, error=failure.sentence)
        done.later += len(rows)
    else:
        _record(rows, state=Notice.State.FAILED, seconds=seconds, error=failure.sentence)
        done.failed += len(rows)


def _record(rows: Sequence[tuple[Notice, Item]], **outcome: object) -> None:
    """Writes the outcome unless the notices were withdrawn meanwhile, or given to another sender because this one was slow."""
    ids, attempted_at = [row.pk for row, _ in rows], rows[0][0].attempted_at
    Notice.objects.filter(pk__in=ids, attempted_at=attempted_at).update(**outcome)
