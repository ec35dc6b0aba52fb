"""A portal through a simulated year: certificates that end and are replaced, runs that come or do not, and what they tell."""

from __future__ import annotations

import datetime as dt
import hashlib
import heapq
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.db import OperationalError
from django.db.models import Min

from portal import runs
from portal.audit import SYSTEM
from stores import cases, notices, services, watch
from stores.models import Certificate, ChainCertificate, Notice, Store, Version
from stores.notices import delivery, email
from stores.notices.digest import Digest, Row
from stores.notices.outcome import Failure
from tests.material import NOW
from tests.stores.simulation.history import Delivery, Drop, End, History, Life, Scan, Timeline
from tests.stores.simulation.people import Society
from tests.stores.simulation.weather import Killed, Weather

STEP, MINUTE, DAY = dt.timedelta(minutes=10), dt.timedelta(minutes=1), dt.timedelta(days=1)
LIVES = {47: 2, 90: 3, 200: 8, 398: 27, 825: 20, 3650: 40}
"""Lifetimes in days, and how often they occur."""
HEALTHY = 9
"""So many days at the end nothing goes wrong and nobody changes anything."""
Work = Callable[[dt.datetime], None]


class World:
    """Made of one seed. `spacing` is the time between two runs where nothing is due; `is_prompt`: a run follows each due instant.
    `is_bare`: mails are not put into words, and versions become active without what does not concern the watch."""

    def __init__(
        self,
        seed: int,
        *,
        certificates: int,
        days: int,
        spacing: dt.timedelta,
        is_prompt: bool,
        is_bare: bool,
    ) -> None:
        self.chance = random.Random(seed)
        self.history = History()
        self.end = NOW + days * DAY
        self.spacing, self.is_prompt, self.is_bare = spacing, is_prompt, is_bare
        self.names: dict[str, str] = {}
        """Of the certificates, by id."""
        self.weather = Weather(self.chance, self.history, NOW, days - HEALTHY)
        self.society = Society(self.chance, self.history, NOW)
        self._works: list[tuple[dt.datetime, int, Work]] = []
        self._numbers = itertools.count()
        self._populate(certificates)
        for _ in range(days * 2):
            self._plan(NOW + self.chance.uniform(0, days - HEALTHY) * DAY, self.society.change)

    def run(self) -> History:
        """Lives through all days."""
        now = NOW
        while now < self.end:
            self._work_until(now)
            if not self.weather.away.covers(now) or now >= self.weather.last_bad_day:
                self._scan(now + 2 * MINUTE)
                self._deliver(now + 3 * MINUTE)
            now = self._next(now)
        return self.history

    def _next(self, now: dt.datetime) -> dt.datetime:
        then = now + self.spacing
        if self.is_prompt:
            due = Version.objects.current().aggregate(at=Min("next_stage_at"))["at"] or then
            then = min(then, max(due, now + STEP))
            if self.chance.random() < 0.2 and not self.history.deliveries[-1].is_whole:
                then = min(then, now + 2 * STEP)
        return NOW + -((NOW - then) // STEP) * STEP

    # What is there, and what becomes of it

    def _plan(self, at: dt.datetime, work: Work) -> None:
        if at < self.end - HEALTHY * DAY:
            heapq.heappush(self._works, (at, next(self._numbers), work))

    def _work_until(self, now: dt.datetime) -> None:
        """Each at an instant of its own, so that there is no doubt what came before what."""
        for number in itertools.count():
            if not self._works or self._works[0][0] > now:
                return
            heapq.heappop(self._works)[2](now + number * dt.timedelta(milliseconds=1))

    def _populate(self, number: int) -> None:
        stores = {
            (name, kind): Store.objects.create(team=team, kind=kind, name=kind)
            for name, team in self.society.teams.items()
            for kind in ("key", "trust")
        }
        versions, links, names = [], [], sorted(self.society.teams)
        for place in range(number):
            team, kind = names[place % len(names)], self.chance.choice(("key", "key", "key", "trust"))
            certificate = self._slot(f"c{place:04}", team, stores[team, kind])
            life = self.chance.choices(list(LIVES), list(LIVES.values()))[0]
            self.names[certificate.pk] = certificate.name
            version, chain = self._version(certificate, 1, life, NOW - self.chance.uniform(0, 1) * life * DAY)
            version.state, version.activated_at, version.next_stage_at = Version.State.ACTIVE, NOW, NOW
            self.history.versions[version.pk].active.append([NOW, None])
            versions.append(version)
            links += chain
            self._plan_replacement(version, life)
        Version.objects.bulk_create(versions)
        ChainCertificate.objects.bulk_create(links)
        for certificate in Certificate.objects.filter(store__kind="key").order_by("name"):
            if self.chance.random() < 0.4:
                self.society.use(NOW, certificate)

    def _slot(self, name: str, team: str, store: Store) -> Certificate:
        email = self.chance.choice([None, *self.society.members(team)])
        owner = self.society.people[email] if email else None
        self.history.team_of[name], self.history.owners[name] = team, Timeline(email)
        self.history.users[name], self.history.watchers[name] = Timeline(frozenset()), Timeline(frozenset())
        return Certificate.objects.create(team=self.society.teams[team], store=store, name=name, owner=owner)

    def _version(
        self, certificate: Certificate, number: int, life: int, begin: dt.datetime
    ) -> tuple[Version, list[ChainCertificate]]:
        """A version of a leaf with a life of so many days and its issuer, or of a bundle of roots."""
        begin = begin.replace(hour=self.chance.choice((0, 0, 0, 13)), minute=0, second=0, microsecond=0)
        version = Version(
            team_id=certificate.team_id, certificate=certificate, number=number, state=Version.State.STAGED, format="pem",
            file_name="orders.pem", file_size=1000, created_at=begin, original="tests", sealed_with="tests",
        )  # fmt: skip
        lives = [(begin, life, False)]
        is_bundle = certificate.store.kind == "trust"
        for _ in range(self.chance.randrange(3)):
            begun, other = begin - self.chance.randrange(2000) * DAY, 3650
            lives.append((begun, other, is_bundle and self.chance.random() < 0.8))
        if not is_bundle and self.chance.random() < 0.3:
            lives.append((begin - 3640 * DAY, 3650, True))
        chain, ends = [], []
        for place, (start, length, is_root) in enumerate(lives):
            sha256 = hashlib.sha256(f"{version.pk} {place}".encode()).hexdigest()
            chain.append(_link(version, place, sha256, start, start + length * DAY, is_root))
            if is_bundle or place == 0 or not is_root:
                ends.append(End(sha256, start, start + length * DAY))
        self.history.versions[version.pk] = Life(certificate.name, is_bundle, tuple(ends))
        return version, chain

    def _plan_replacement(self, version: Version, life: int) -> None:
        ends = self.history.versions[version.pk].ends[0].end
        early = ends - self.chance.uniform(0, min(60, life / 3)) * DAY
        late = ends + self.chance.uniform(0, 10) * DAY
        at = self.chance.choices((early, late, None), (75, 10, 15))[0]
        if at:
            self._plan(max(at, NOW + DAY), lambda now: self._replace(version, life, now))

    def _replace(self, old: Version, life: int, now: dt.datetime) -> None:
        certificate = Certificate.objects.select_related("store").get(pk=old.certificate_id)
        new, chain = self._version(
            certificate, certificate.versions.count() + 1, life, now - self.chance.randrange(1, 9) * DAY
        )
        if min(link.not_after for link in chain) <= now:
            del self.history.versions[new.pk]
            return
        new.save(force_insert=True)
        ChainCertificate.objects.bulk_create(chain)
        self._activate(new, now)
        self._plan_replacement(new, life)
        if self.chance.random() < 0.15:
            soon = now + self.chance.uniform(0, 4) ** 3 * dt.timedelta(hours=1)
            self._plan(soon, lambda then: self._restore(old, then))

    def _restore(self, old: Version, now: dt.datetime) -> None:
        if all(end.end > now for end in self.history.versions[old.pk].ends) and not self.history.versions[
            old.pk
        ].is_active(now):
            self._activate(old, now)
            self.history.counts["restored"] += 1

    def _activate(self, version: Version, now: dt.datetime) -> None:
        before = version.certificate.versions.current().get()
        fresh = Version.objects.select_related("team", "certificate__store").get(pk=version.pk)
        if self.is_bare:
            self._swap(before, fresh, now)
        else:
            services.activate(version=fresh, actor=SYSTEM, now=now)
        self.history.versions[before.pk].active[-1][1] = now
        self.history.versions[version.pk].active.append([now, None])
        self.history.counts["activated"] += 1

    @staticmethod
    def _swap(old: Version, new: Version, now: dt.datetime) -> None:
        """What an activation does to the watch."""
        Version.objects.filter(pk=old.pk).update(state="superseded", superseded_at=now)
        watch.stop(old, now)
        watch.start(new, now, state="active", activated_at=now, superseded_at=None)
        cases.replaced(new, now)

    # The runs

    def _scan(self, now: dt.datetime) -> None:
        is_bad = now < self.weather.last_bad_day and self.chance.random() < 0.06
        due = set(Version.objects.due(now).values_list("pk", flat=True)) if is_bad else set()
        judged: frozenset[str] | None = None
        try:
            with breaking_queue(self.chance if due else None), runs.recorded(runs.WATCH, now):
                watch.find_due(now, batch=self.chance.choice((20, 500)))
        except (Killed, OperationalError):
            left = Version.objects.due(now).values_list("pk", flat=True)
            judged = frozenset(due - set(left))
            self.history.counts["broken scans"] += 1
        self.history.scans.append(Scan(now, judged))

    def _deliver(self, now: dt.datetime) -> None:
        self.weather.begin_delivery(now, sorted(self.society.people))
        is_whole = not self.weather.mail_down
        try:
            notices.tell_again(now)
            done = delivery.deliver(now)
        except (Killed, OperationalError):
            is_whole = False
        else:
            is_whole &= not self.weather.broke
            if not done.dropped:
                self.history.deliveries.append(Delivery(now, is_whole, frozenset(self.weather.refused)))
                return
        self.history.deliveries.append(Delivery(now, is_whole, frozenset(self.weather.refused)))
        rows = Notice.objects.filter(state="dropped", attempted_at=now, channel="email")
        facts = rows.values_list("flag__version", "flag__ends_sha256", "flag__stage")
        self.history.drops += [Drop(now, *fact) for fact in sorted(set(facts))]
        self.history.counts["dropped"] += len(rows)

    def mail(self, digest: Digest) -> Failure | None:
        """Stands in the place of the words and of the mail server."""
        try:
            if self.weather.mail_down:
                return email.judge(ConnectionRefusedError(111, "Connection refused"))
            names = frozenset(self.names[row.certificate] for row in digest.rows if row.certificate)
            self.weather.take(digest.recipient, digest.message_id, names, 0)
        except OSError as error:
            failure = email.judge(error)
            return failure._replace(unsure=failure.server_lost)
        return None

    def post(self, digest: Digest) -> None:
        """Stands in the place of the webhooks."""
        self.history.posts.append((self.weather.now, digest.recipient, tuple(row.pk for row in digest.rows)))


def bare(rows: Sequence[Row], now: dt.datetime) -> Digest:
    """A digest without words."""
    first = Notice.objects.only("channel", "recipient").get(pk=rows[0].pk)
    return Digest(first.channel, first.recipient, rows, (), 0, None, None, now)


@contextmanager
def breaking_queue(chance: random.Random | None) -> Iterator[None]:
    """What the scan queues breaks it at one of its first batches; without `chance` nothing does."""
    if chance is None:
        yield
        return
    plain, left = notices.queue, iter([*[False] * chance.randrange(3), True])
    error = chance.choice((Killed(), OperationalError("gone")))

    def queue(*given: Any) -> int:
        if next(left, False):
            raise error
        return plain(*given)

    with mock.patch.object(notices, "queue", queue):
        yield


def _link(
    version: Version, place: int, sha256: str, begin: dt.datetime, end: dt.datetime, is_root: bool
) -> ChainCertificate:
    return ChainCertificate(
        version=version, position=place, sha256=sha256, subject=f"CN=link {place}", issuer="CN=Somebody", common_name=f"link {place}",
        serial="1", not_before=begin, not_after=end, key_type="EC P-256", signature="ECDSA with SHA-256", is_ca=place > 0,
        is_self_signed=is_root, spki_sha256="", der=b"",
    )  # fmt: skip
