"""What will be told, as pages say it: one entry for each stage of each end, with all who are told; and how a policy would change it."""

from __future__ import annotations

import datetime as dt
import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from portal.models import Team
from stores.expiry import Ending, Stage
from stores.forecast import Told, foretell, watched_of
from stores.models import Certificate, Notice, Webhook
from stores.notices.audience import Recipient
from stores.policy import TeamPolicy
from stores.querysets import VersionQuerySet

AHEAD = dt.timedelta(days=365)
MOST_PREVIEWED = 2000
"""So many certificates of a team, those that fail first, are looked at before a policy is saved."""
MOST_LINES = 40
Key = tuple[str, str, Stage]
"""A certificate, one of its ends, a stage."""


class Names:
    """How the recipients of a team are called on pages; plain addresses only for those who may see `addresses`."""

    def __init__(self, team: Team, *, addresses: bool) -> None:
        self._webhooks = dict(Webhook.objects.filter(team=team).values_list("pk", "name"))
        self._addresses = addresses

    def of(self, recipient: Recipient | None) -> str:
        """The name of one recipient."""
        if recipient is None:
            return "nobody: the team has no owner"
        if recipient.webhook_id:
            return f"webhook {self._webhooks.get(recipient.webhook_id, recipient.webhook_id)}"
        return recipient.address if recipient.user or self._addresses else "an extra address"


@dataclass
class Entry:
    """One stage of one end, and who is told of it."""

    at: dt.datetime
    stage: Stage
    certificate: Certificate
    ending: Ending
    later: dt.datetime | None = None
    """When it is sent where quiet hours hold it back."""
    channels: dict[str, list[str]] = field(default_factory=dict)
    """Name of a recipient to the channels."""

    def add(self, name: str, told: Told) -> None:
        """One more who is told."""
        if told.at > self.at:
            self.later = told.at
        channel = told.recipient.channel if told.recipient else None
        known = self.channels.setdefault(name, [])
        if channel and channel != Notice.Channel.WEBHOOK and channel.label.lower() not in known:
            known.append(channel.label.lower())

    @property
    def month(self) -> str:
        """The month in which it is told."""
        return f"{self.at:%B %Y}"

    @property
    def to(self) -> list[str]:
        """All who are told: "owner@example.org (portal, e-mail)"."""
        return [f"{name} ({', '.join(over)})" if over else name for name, over in self.channels.items()]


def key_of(told: Told) -> Key:
    return told.certificate.pk, told.ending.sha256, told.stage


def first(entries: Iterable[Entry], most: int) -> tuple[list[Entry], bool]:
    """The first in the order of time, and whether there are more; no more than these are held."""
    found = heapq.nsmallest(most + 1, entries, key=lambda entry: (entry.at, entry.certificate.name))
    return found[:most], len(found) > most


def entries_of(told: Iterable[Told], names: Names) -> Iterator[Entry]:
    """An entry for each stage of each end, where `told` has what belongs to one certificate together."""
    certificate, found = "", dict[Key, Entry]()
    for one in told:
        if one.certificate.pk != certificate:
            yield from found.values()
            certificate, found = one.certificate.pk, {}
        entry = found.setdefault(key_of(one), Entry(one.found_at, one.stage, one.certificate, one.ending))
        entry.add(names.of(one.recipient), one)
    yield from found.values()


@dataclass
class Change:
    """What becomes of some messages that tell one stage of one end: `before` or `after` is None where there are none."""

    before: dt.datetime | None
    after: dt.datetime | None
    entry: Entry


@dataclass
class Person:
    """How often somebody is told within the year."""

    name: str
    before: int = 0
    after: int = 0
    at_once: int = 0


@dataclass(frozen=True)
class Preview:
    """What a policy would change over the next year."""

    people: Sequence[Person]
    changes: Sequence[Change]
    more: int
    """Changes that are not listed."""
    at_once: int
    """How many stages the next scan would tell."""
    left_out: bool
    """Whether the team has more certificates than were looked at."""


def preview(team: Team, wanted: TeamPolicy, now: dt.datetime) -> Preview:
    """What would be told to whom under another policy, against what will be told as things stand."""
    versions, left_out = _first_to_fail(team)
    names = Names(team, addresses=True)
    before = _by_message(foretell(versions, now, now + AHEAD), names)
    after = _by_message(foretell(versions, now, now + AHEAD, {team.pk: wanted}), names)
    changes = _changes(before, after)
    once = {key_of(one) for one in after.values() if one.found_at <= now}
    return Preview(
        _people(before, after, now),
        changes[:MOST_LINES],
        max(len(changes) - MOST_LINES, 0),
        len(once),
        left_out,
    )


def _first_to_fail(team: Team) -> tuple[VersionQuerySet, bool]:
    rows = watched_of(team).filter(certificate__fails_at__isnull=False)
    ids = list(
        rows.order_by("certificate__fails_at", "pk").values_list("pk", flat=True)[: MOST_PREVIEWED + 1]
    )
    return watched_of(team).filter(pk__in=ids[:MOST_PREVIEWED]), len(ids) > MOST_PREVIEWED


Message = tuple[Key, str, str]
"""What is told, to whom, over which channel."""


def _by_message(told: Iterable[Told], names: Names) -> dict[Message, Told]:
    return {
        (key_of(one), names.of(one.recipient), one.recipient.channel if one.recipient else ""): one
        for one in told
    }


def _changes(before: dict[Message, Told], after: dict[Message, Told]) -> list[Change]:
    """Messages that come, go or move, those that do the same together; the first of them first."""
    found: dict[tuple[Key, dt.datetime | None, dt.datetime | None], Change] = {}
    for message in [*after, *(one for one in before if one not in after)]:
        old, new = before.get(message), after.get(message)
        times = old.at if old else None, new.at if new else None
        told = new or old
        if told is None or times[0] == times[1]:
            continue
        at = times[1] or times[0] or told.at
        entry = Entry(at, told.stage, told.certificate, told.ending)
        change = found.setdefault((message[0], *times), Change(*times, entry))
        change.entry.add(message[1], told)
    return sorted(found.values(), key=lambda change: (change.entry.at, change.entry.certificate.name))


def _people(before: dict[Message, Told], after: dict[Message, Told], now: dt.datetime) -> list[Person]:
    """Everybody who is or would be told; whom it changes most comes first."""
    told: defaultdict[str, tuple[set[Key], set[Key], set[Key]]] = defaultdict(lambda: (set(), set(), set()))
    for place, messages in enumerate((before, after)):
        for (key, name, _), one in messages.items():
            told[name][place].add(key)
            if place and one.found_at <= now:
                told[name][2].add(key)
    people = [Person(name, *map(len, counts)) for name, counts in told.items()]
    return sorted(people, key=lambda one: (-abs(one.after - one.before), -one.at_once, one.name))
