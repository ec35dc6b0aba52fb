"""Compares what was told with what had to be. What it allows beside that is written where it allows it."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.stores.simulation.expected import Expected, Key, Told, is_quiet, quiet_until
from tests.stores.simulation.history import History, Mail

LONGEST_PAUSE = dt.timedelta(hours=25)
"""After what went wrong a message is tried again within a day."""
HOLD = dt.timedelta(minutes=10)
"""For so long what a scan queued waits for its end, where it broke."""
AT_ANY_HOUR = ("urgent", "expired")


class Row(NamedTuple):
    """A notice as the portal keeps it."""

    pk: str
    told: Told
    is_person: bool
    state: str
    created_at: dt.datetime
    attempted_at: dt.datetime | None
    sent_at: dt.datetime | None


class Seen(NamedTuple):
    """What the portal has at the end: flags with their instant and whether they are told, cases with stage, owner and level."""

    flags: dict[Key, tuple[dt.datetime, bool]]
    rows: Sequence[Row]
    cases: dict[str, tuple[str, str | None, int]]


class Checker:
    """Finds what is missing and what is too much, each as a sentence."""

    def __init__(self, history: History, seen: Seen) -> None:
        self.history, self.seen = history, seen
        self.expected = Expected(history)
        self.by_message: defaultdict[tuple[str, dt.datetime], set[str]] = defaultdict(set)
        for row in seen.rows:
            if row.told.channel == "email" and row.sent_at:
                self.by_message[row.told.recipient, row.sent_at].add(self._certificate(row.told.key))

    def faults(self) -> list[str]:
        """All that is wrong."""
        return [
            *self._flags(),
            *self._cases(),
            *self._too_much(),
            *self._missing(),
            *self._outcomes(),
            *self._mails(),
            *self._posts(),
        ]

    def _certificate(self, key: Key) -> str:
        return self.history.versions[key.version].certificate

    def _team(self, key: Key) -> str:
        return self.history.team_of[self._certificate(key)]

    def _flags(self) -> Iterator[str]:
        for key in sorted(self.expected.flags.keys() | self.seen.flags.keys()):
            want, have = self.expected.flags.get(key), self.seen.flags.get(key)
            if want != have:
                yield f"flag {key} of {self._certificate(key)}: expected {want}, found {have}"

    def _cases(self) -> Iterator[str]:
        want = {name: (case.stage, case.owner, case.level) for name, case in self.expected.cases.items()}
        for name in sorted(want.keys() | self.seen.cases.keys()):
            if want.get(name) != self.seen.cases.get(name):
                yield f"case of {name}: expected {want.get(name)}, found {self.seen.cases.get(name)}"

    def _too_much(self) -> Iterator[str]:
        once = Counter(row.told for row in self.seen.rows)
        yield from (f"{told} stands there {number} times" for told, number in once.items() if number > 1)
        for row in self.seen.rows:
            if row.created_at not in self.expected.told.get(row.told, ()):
                yield f"nobody was to be told: {row}"

    def _missing(self) -> Iterator[str]:
        there = {row.told for row in self.seen.rows}
        for told, instants in self.expected.told.items():
            if told not in there and not self._was_withdrawn(told, instants):
                yield f"not told: {told} at {instants}"

    def _was_withdrawn(self, told: Told, instants: Sequence[dt.datetime]) -> bool:
        """Allowed: the version was superseded before the message could go; or its recipient had left before, and came back."""
        if told.channel == "portal":
            return False
        for at in instants:
            stop = self.history.versions[told.key.version].stopped_after(at)
            if stop and not self._had_to_go(told, at, stop):
                continue
            if not any(drop.at >= at and self._key(drop) == told.key for drop in self.history.drops):
                return False
        return True

    @staticmethod
    def _key(drop: object) -> Key:
        return Key(drop.version, drop.sha256, drop.stage)  # type: ignore[attr-defined]

    def _had_to_go(self, told: Told, queued: dt.datetime, until: dt.datetime) -> bool:
        """Whether a message queued at an instant had to go before another: a run came that nothing kept from sending it."""
        policies, is_urgent = self.history.policies[self._team(told.key)], told.key.stage in AT_ANY_HOUR
        due = queued if is_urgent else quiet_until(policies.at(queued), queued)
        if any(scan.at == queued and scan.judged is not None for scan in self.history.scans):
            due = max(due, queued + HOLD)
        disturbed = None
        # What is queued by a run of the delivery itself goes with this one or with the next.
        for run in self.history.deliveries_between(queued + dt.timedelta(seconds=1), until):
            if not run.is_whole or told.recipient in run.refused:
                disturbed = run.at
            elif run.at >= due and (is_urgent or not is_quiet(policies.at(run.at), run.at)):
                if disturbed is None or run.at >= disturbed + LONGEST_PAUSE:
                    return True
            elif not is_urgent and is_quiet(policies.at(run.at), run.at):
                due = max(due, quiet_until(policies.at(run.at), run.at))
        return False

    def _outcomes(self) -> Iterator[str]:
        for row in self.seen.rows:
            if row.told.channel == "portal":
                if row.sent_at != row.created_at:
                    yield f"an entry of the inbox came late: {row}"
                continue
            until = row.sent_at or (row.attempted_at if row.state in ("failed", "dropped") else None)
            if self._had_to_go(row.told, row.created_at, until or self.history.deliveries[-1].at):
                yield f"it had to go before: {row}"
            yield from self._outcome(row)

    def _outcome(self, row: Row) -> Iterator[str]:
        at = row.sent_at or row.attempted_at
        if row.state in ("waiting", "sending"):
            return
        assert at, row
        if row.state == "failed" and row.told.recipient not in self._refused(at):
            yield f"it was given up though nobody refused it: {row}"
        if (row.state == "dropped") == self._is_theirs(row, at):
            yield f"it was {'dropped' if row.state == 'dropped' else 'sent'} against what was so then: {row}"
        if row.state == "sent":
            if not self.history.versions[row.told.key.version].is_active(at):
                yield f"what was superseded was told: {row}"
            said = self.history.policies[self._team(row.told.key)].at(at)
            if row.told.key.stage not in AT_ANY_HOUR and is_quiet(said, at):
                yield f"it was sent in quiet hours: {row}"

    def _refused(self, at: dt.datetime) -> frozenset[str]:
        return next(run.refused for run in self.history.deliveries_between(at, at + HOLD))

    def _is_theirs(self, row: Row, at: dt.datetime) -> bool:
        certificate, team, recipient = (
            self._certificate(row.told.key),
            self._team(row.told.key),
            row.told.recipient,
        )
        if row.told.channel == "webhook":
            return self.history.webhooks[team].at(at)
        if row.is_person:
            return recipient in dict(self.history.members(team, at))
        return (
            recipient in self.history.watchers[certificate].at(at)
            or recipient in self.history.policies[team].at(at).addresses
        )

    def _mails(self) -> Iterator[str]:
        arrived: defaultdict[tuple[str, dt.datetime], list[Mail]] = defaultdict(list)
        for mail in self.history.mails:
            if mail.is_sure:
                arrived[mail.recipient, mail.at].append(mail)
        for place in sorted(arrived.keys() | self.by_message.keys()):
            yield from self._mail(place, arrived.get(place, []))
        for message_id, number in Counter(
            mail.message_id for mail in self.history.mails if mail.is_sure
        ).items():
            if number > 1:
                yield f"message {message_id} was taken {number} times though the portal knew"

    def _mail(self, place: tuple[str, dt.datetime], mails: Sequence[Mail]) -> Iterator[str]:
        names, more = {name for mail in mails for name in mail.names}, sum(mail.more for mail in mails)
        want = self.by_message.get(place, set())
        if (
            not names <= want
            or (len(mails) < 2 and len(names) + more != len(want))
            or (not more and names != want)
        ):
            yield f"mail of {place[1]} to {place[0]}: says {sorted(names)} and {more} more, should say {sorted(want)}"
        # What may have arrived before goes again as it was, and so beside what is new.
        unsure = {mail.message_id for mail in self.history.mails if not mail.is_sure}
        fresh = [mail for mail in mails if mail.message_id not in unsure]
        if len(fresh) > 1 and not self._was_disturbed(place[1]):
            yield f"{len(mails)} mails at once to {place[0]} at {place[1]}"

    def _was_disturbed(self, at: dt.datetime) -> bool:
        """Allowed: what may have been sent when the delivery broke goes again as it was."""
        return any(not run.is_whole for run in self.history.deliveries_between(at - LONGEST_PAUSE, at))

    def _posts(self) -> Iterator[str]:
        posted = Counter(pk for _, _, pks in self.history.posts for pk in pks)
        for row in self.seen.rows:
            if row.told.channel == "webhook" and posted[row.pk] != (row.state == "sent"):
                yield f"posted {posted[row.pk]} times: {row}"
