"""Who has to be told of what: DESIGN section 10 worked out anew from a history, without any of the portal's code."""

from __future__ import annotations

import datetime as dt
import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.stores.simulation.history import STAGES, Delivery, Drop, End, Event, History, Life, Said, Scan

DAY = dt.timedelta(days=1)
DISTANCES = ((60, 3), (30, 6), (7, 15))
"""Of notice, warning and urgent: days before the end, or the part of the lifetime where that is shorter."""
FEW = frozenset({"certificate", "addresses"})
ALL = frozenset({"certificate", "addresses", "providers", "team"})
EVERYBODY = {"notice": FEW, "warning": FEW, "urgent": ALL, "expired": ALL}


class Key(NamedTuple):
    """A stage of one end of a version."""

    version: str
    sha256: str
    stage: str


class Told(NamedTuple):
    """A message for one recipient over one channel."""

    key: Key
    channel: str
    recipient: str


@dataclass
class Case:
    """An open case, as far as it decides who is told."""

    stage: str
    fails_at: dt.datetime
    owner: str | None
    level: int = 0
    asleep_until: dt.datetime | None = None


@dataclass
class Watched:
    """What is known of a version."""

    due: dt.datetime | None = None
    flagged: set[tuple[str, str]] = field(default_factory=set)


def instants(end: End, said: Said) -> list[dt.datetime]:
    """When each stage begins."""
    lifetime, found = end.end - end.begin, [end.end]
    for place in (2, 1, 0):
        days, part = DISTANCES[place]
        before = min(said.days[place] * DAY, lifetime) if said.days else min(days * DAY, lifetime / part)
        found.insert(0, min(end.end - before, found[0]))
    return found


def is_quiet(said: Said, at: dt.datetime) -> bool:
    """Whether the team's clock shows one of its quiet hours."""
    if said.quiet is None:
        return False
    begin, end = said.quiet
    hour = (at.hour + said.ahead) % 24
    return begin <= hour < end if begin < end else hour >= begin or hour < end


def quiet_until(said: Said, at: dt.datetime) -> dt.datetime:
    """The instant, or the end of the quiet hours that it lies in."""
    while is_quiet(said, at):
        at = at.replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)
    return at


class Expected:
    """Goes through a history and collects `flags` (when, and whether told), `told` (at which instants queued), and open `cases`."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.flags: dict[Key, tuple[dt.datetime, bool]] = {}
        self.told: defaultdict[Told, list[dt.datetime]] = defaultdict(list)
        self.cases: dict[str, Case] = {}
        self.unheard: set[Key] = set()
        """What no person could be told."""
        self._watched = {version: Watched() for version in history.versions}
        self._due: list[tuple[dt.datetime, str]] = []
        self._active: dict[str, str] = {}
        """The active version of each certificate."""
        for _, _, fact in sorted(self._facts(), key=lambda one: one[:2]):
            self._follow(fact)

    def _facts(self) -> Iterator[tuple[dt.datetime, int, object]]:
        history = self.history
        for version, life in history.versions.items():
            for begin, _ in life.active:
                assert begin
                yield begin, 0, (version, begin)
        for facts in (history.events, history.scans, history.drops, history.deliveries):
            for fact in facts:
                # What the delivery tells again comes before what it drops.
                yield fact.at, 2 if isinstance(fact, Drop) else 1, fact

    def _follow(self, fact: object) -> None:
        if isinstance(fact, Event):
            self._change(fact)
        elif isinstance(fact, Scan):
            self._scan(fact)
        elif isinstance(fact, Drop):
            key = Key(fact.version, fact.sha256, fact.stage)
            if self.history.versions[fact.version].is_active(fact.at):
                self._tell(key, fact.at)
        elif isinstance(fact, Delivery):
            for key in sorted(self.unheard):
                life = self.history.versions[key.version]
                team = self.history.team_of[life.certificate]
                if self.history.has_owner(team, life.certificate, fact.at):
                    self._tell(key, fact.at)
        elif isinstance(fact, tuple):
            self._activate(*fact)

    # What people do

    def _change(self, event: Event) -> None:
        if event.kind == "policy":
            for certificate, version in self._active.items():
                if self.history.team_of[certificate] == event.what and self._watched[version].due:
                    self._be_due(version, event.at)
            return
        case = self.cases.get(event.certificate)
        if case and event.kind == "snoozed":
            assert isinstance(event.what, dt.datetime)
            case.asleep_until = event.what
        elif case:
            assert event.what is None or isinstance(event.what, str)
            case.owner = event.what

    def _activate(self, version: str, at: dt.datetime) -> None:
        life = self.history.versions[version]
        before = self._active.get(life.certificate)
        self._active[life.certificate] = version
        self.unheard = {key for key in self.unheard if key.version != before}
        said = self._said(life, at)
        self._be_due(version, min(instants(end, said)[0] for end in life.ends))
        reached = {end: stage for end in life.ends if (stage := self._stage(end, said, at))}
        for end, stage in reached.items():
            key = Key(version, end.sha256, stage)
            if self.flags.get(key, (at, False))[1]:
                self._tell(key, at)
        case = self.cases.get(life.certificate)
        if before and case:
            self._replaced(case, life, max(reached.values(), key=STAGES.index, default=None), at)

    def _replaced(self, case: Case, life: Life, stage: str | None, at: dt.datetime) -> None:
        ends = sorted(end.end for end in life.ends)
        fails_at = next((end for end in ends if end > at), ends[-1]) if life.is_bundle else ends[0]
        if stage is None and fails_at > case.fails_at:
            del self.cases[life.certificate]
            return
        case.fails_at, case.stage, case.asleep_until = fails_at, stage or case.stage, None

    # What scans find

    def _be_due(self, version: str, at: dt.datetime | None) -> None:
        self._watched[version].due = at
        if at:
            heapq.heappush(self._due, (at, version))

    def _scan(self, scan: Scan) -> None:
        left = []
        while self._due and self._due[0][0] <= scan.at:
            at, version = heapq.heappop(self._due)
            if (
                self._watched[version].due != at
                or self._active[self.history.versions[version].certificate] != version
            ):
                continue
            if scan.judged is not None and version not in scan.judged:
                left.append((at, version))
                continue
            self._judge(version, scan.at)
        for one in left:
            heapq.heappush(self._due, one)

    def _judge(self, version: str, at: dt.datetime) -> None:
        life, watched = self.history.versions[version], self._watched[version]
        said, found, reached = self._said(life, at), [], []
        for place, end in enumerate(life.ends):
            stage = self._stage(end, said, at)
            if stage is None:
                continue
            reached.append((-STAGES.index(stage), end.end, place, stage))
            for one in STAGES[: STAGES.index(stage) + 1]:
                if (end.sha256, one) not in watched.flagged:
                    watched.flagged.add((end.sha256, one))
                    key = Key(version, end.sha256, one)
                    self.flags[key] = at, one == stage
                    found += [key] if one == stage else []
        if reached:
            _, fails_at, _, stage = min(reached)
            self._open_or_advance(life.certificate, stage, fails_at, at)
        for key in found:
            self._tell(key, at)
        later = [instant for end in life.ends for instant in instants(end, said) if instant > at]
        self._be_due(version, min(later, default=None))

    def _open_or_advance(self, certificate: str, stage: str, fails_at: dt.datetime, at: dt.datetime) -> None:
        case = self.cases.get(certificate)
        if case is None:
            owner = self.history.owners[certificate].at(at)
            here = dict(self.history.members(self.history.team_of[certificate], at))
            self.cases[certificate] = Case(stage, fails_at, owner if owner in here else None)
            return
        if STAGES.index(stage) > STAGES.index(case.stage):
            case.level += case.asleep_until is not None and case.asleep_until > at
            case.asleep_until = None
        elif case.asleep_until and case.asleep_until > fails_at:
            case.asleep_until = None
        case.stage, case.fails_at = stage, fails_at

    @staticmethod
    def _stage(end: End, said: Said, at: dt.datetime) -> str | None:
        begun = [stage for stage, instant in zip(STAGES, instants(end, said), strict=True) if instant <= at]
        return begun[-1] if begun else None

    def _said(self, life: Life, at: dt.datetime) -> Said:
        return self.history.policies[self.history.team_of[life.certificate]].at(at)

    # Whom to tell

    def _tell(self, key: Key, at: dt.datetime) -> None:
        life, history = self.history.versions[key.version], self.history
        team, said = history.team_of[life.certificate], self._said(life, at)
        people = self._people(life.certificate, key.stage, at)
        channels = [("portal", person) for person in people]
        if key.stage not in said.mute:
            channels += [
                ("email", person)
                for person in people
                if key.stage not in history.silent[person].at(at) or key.stage == "expired"
            ]
            plain = set(history.watchers[life.certificate].at(at))
            if "addresses" in said.who.get(key.stage, EVERYBODY[key.stage]):
                plain |= set(said.addresses)
            channels += [("email", address) for address in plain - people]
            channels += [("webhook", team)] if history.webhooks[team].at(at) else []
        for channel, recipient in channels:
            self.told[Told(key, channel, recipient)].append(at)
        (self.unheard.discard if people else self.unheard.add)(key)

    def _people(self, certificate: str, stage: str, at: dt.datetime) -> set[str]:
        history, team = self.history, self.history.team_of[certificate]
        who = history.policies[team].at(at).who.get(stage, EVERYBODY[stage])
        here = dict(history.members(team, at))
        owners = {person for person, role in here.items() if role == "owner"}
        case, found = self.cases.get(certificate), set[str]()
        if "certificate" in who:
            hands = (case.owner if case else None, history.owners[certificate].at(at))
            found |= {next((hand for hand in hands if hand in here and hand), "")} - {""} or owners
        if "providers" in who:
            found |= history.users[certificate].at(at) & here.keys()
        if "team" in who or (case and case.level) or not found:
            found |= owners
        return found
