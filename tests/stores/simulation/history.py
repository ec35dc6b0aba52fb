"""What happened in a simulated year, as plain facts: all that the checker knows of it, beside what was told."""

from __future__ import annotations

import bisect
import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value")
STAGES = ("notice", "warning", "urgent", "expired")


class Timeline(Generic[Value]):
    """A fact that changes: what it was at any instant."""

    def __init__(self, first: Value) -> None:
        self._instants: list[dt.datetime] = []
        self._values = [first]

    def set(self, at: dt.datetime, value: Value) -> None:
        """Instants only grow."""
        assert not self._instants or at >= self._instants[-1]
        self._instants.append(at)
        self._values.append(value)

    def at(self, instant: dt.datetime) -> Value:
        return self._values[bisect.bisect_right(self._instants, instant)]

    @property
    def last(self) -> Value:
        return self._values[-1]


@dataclass(frozen=True)
class Said:
    """What a team has said about being told."""

    days: tuple[int, int, int] | None = None
    """Before the end: notice, warning, urgent; None: by the lifetime."""
    who: dict[str, frozenset[str]] = field(default_factory=dict)
    """Stage to the kinds of people who are told, where it is not the default."""
    mute: frozenset[str] = frozenset()
    """Stages of which neither mail nor webhook is sent."""
    addresses: tuple[str, ...] = ()
    quiet: tuple[int, int] | None = None
    """From which hour until which hour of UTC, or of the zone that is so many hours ahead of it."""
    ahead: int = 0


class End(NamedTuple):
    """One certificate of a version whose end counts."""

    sha256: str
    begin: dt.datetime
    end: dt.datetime


@dataclass
class Life:
    """One version: what of it ends, and from when until when it was active."""

    certificate: str
    is_bundle: bool
    ends: tuple[End, ...]
    active: list[list[dt.datetime | None]] = field(default_factory=list)

    def is_active(self, at: dt.datetime) -> bool:
        return any(begin and begin <= at and (end is None or at < end) for begin, end in self.active)

    def stopped_after(self, at: dt.datetime) -> dt.datetime | None:
        """When the version that was active at the instant was superseded; None when it never was."""
        for begin, end in self.active:
            if begin and begin <= at and (end is None or at < end):
                return end
        return at


class Scan(NamedTuple):
    """A run of the watch. `judged` has the versions that a broken one had done; None: all that were due."""

    at: dt.datetime
    judged: frozenset[str] | None


class Delivery(NamedTuple):
    """A run of the delivery. `is_whole`: to its end, with a server that took all mail but that for `refused`."""

    at: dt.datetime
    is_whole: bool
    refused: frozenset[str]


class Event(NamedTuple):
    """What changes the case of a certificate beside scans: `replaced` (by a version), `handed` and `taken` (person), `snoozed` (until)."""

    at: dt.datetime
    kind: str
    certificate: str
    what: object


class Mail(NamedTuple):
    """A message that the mail server took. `is_sure`: the portal was told so."""

    at: dt.datetime
    recipient: str
    message_id: str
    names: frozenset[str]
    more: int
    is_sure: bool


class Drop(NamedTuple):
    """A notice that the delivery found to have nobody to go to."""

    at: dt.datetime
    version: str
    sha256: str
    stage: str


@dataclass
class History:
    """All facts; people by address, teams and certificates by name."""

    team_of: dict[str, str] = field(default_factory=dict)
    """Of each certificate."""
    policies: dict[str, Timeline[Said]] = field(default_factory=dict)
    webhooks: dict[str, Timeline[bool]] = field(default_factory=dict)
    seats: dict[tuple[str, str], Timeline[str | None]] = field(default_factory=dict)
    """Team and person to the role."""
    accounts: dict[str, Timeline[bool]] = field(default_factory=dict)
    silent: dict[str, Timeline[frozenset[str]]] = field(default_factory=dict)
    owners: dict[str, Timeline[str | None]] = field(default_factory=dict)
    """Of each certificate."""
    users: dict[str, Timeline[frozenset[str]]] = field(default_factory=dict)
    """Of each certificate: the owners of the providers that use it."""
    watchers: dict[str, Timeline[frozenset[str]]] = field(default_factory=dict)
    versions: dict[str, Life] = field(default_factory=dict)
    scans: list[Scan] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    posts: list[tuple[dt.datetime, str, tuple[str, ...]]] = field(default_factory=list)
    """What webhooks took: when, which team's, and the notices."""
    drops: list[Drop] = field(default_factory=list)
    counts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """How often what happened; for people who read the result."""

    def members(self, team: str, at: dt.datetime) -> Iterator[tuple[str, str]]:
        """Person and role of everybody in the team whose account is open."""
        for (one, person), seat in self.seats.items():
            if one == team and (role := seat.at(at)) and self.accounts[person].at(at):
                yield person, role

    def deliveries_between(self, begin: dt.datetime, end: dt.datetime) -> list[Delivery]:
        """From `begin` on, before `end`."""
        first, last = (bisect.bisect_left(self.deliveries, at, key=lambda run: run.at) for at in (begin, end))
        return self.deliveries[first:last]

    def has_owner(self, team: str, certificate: str, at: dt.datetime) -> bool:
        """Whether anybody could act: an owner of the team, or that of the certificate."""
        owner = self.owners[certificate].at(at)
        return any(role == "owner" or person == owner for person, role in self.members(team, at))
