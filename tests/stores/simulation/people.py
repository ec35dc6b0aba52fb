"""Teams and people of a simulated year, and all that they change beside certificates. Everything goes into the history too."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from typing import Any

from portal.audit import SYSTEM
from portal.models import Membership, Team, User
from providers.models import Provider
from stores import case_work, watch
from stores.models import Case, Certificate, Preferences, Watcher, Webhook
from stores.policy import ROUTES
from tests.stores.simulation.history import STAGES, Event, History, Said, Timeline

TEAMS, PEOPLE = 20, 60
ZONES = {0: "UTC", 2: "Etc/GMT-2", -7: "Etc/GMT+7", 9: "Asia/Tokyo"}
GROUPS = ("certificate", "providers", "team", "addresses")


class Society:
    """Who is there, and random changes of it."""

    def __init__(self, chance: random.Random, history: History, begin: dt.datetime) -> None:
        self.chance, self.history = chance, history
        self.people = {user.email: user for user in self._make_people()}
        self.teams = {
            f"team {number:02}": Team.objects.create(name=f"team {number:02}") for number in range(TEAMS)
        }
        self.providers = 0
        for name, team in self.teams.items():
            history.policies[name] = Timeline(Said())
            history.webhooks[name] = Timeline(chance.random() < 0.3)
            Webhook.objects.create(
                team=team, name="hook", host="https://chat.example.org", sealed_url=b"", sealed_secret=b"", sealed_with="tests",
                is_enabled=history.webhooks[name].last, created_at=begin,
            )  # fmt: skip
            if chance.random() < 0.7:
                self.change_policy(begin, name)
            for place, email in enumerate(chance.sample(list(self.people), 5)):
                self._seat(
                    begin,
                    name,
                    email,
                    "owner" if place == 0 else chance.choice(("owner", "editor", "viewer")),
                )

    def _make_people(self) -> list[User]:
        emails = [f"person-{number:02}@example.org" for number in range(PEOPLE)]
        for email in emails:
            self.history.accounts[email] = Timeline(True)
            self.history.silent[email] = Timeline(frozenset())
        return User.objects.bulk_create(User(username=email, email=email) for email in emails)

    def members(self, team: str) -> list[str]:
        return sorted(
            person for (one, person), seat in self.history.seats.items() if one == team and seat.last
        )

    def _seat(self, at: dt.datetime, team: str, email: str, role: str | None) -> None:
        seat = self.history.seats.setdefault((team, email), Timeline(None))
        rows = Membership.objects.filter(team=self.teams[team], user=self.people[email])
        if role is None:
            rows.delete()
        elif not rows.update(role=role):
            Membership.objects.create(team=self.teams[team], user=self.people[email], role=role)
        seat.set(at, role)

    def change(self, at: dt.datetime) -> None:
        """One random change."""
        self.history.counts["changes"] += 1
        works = {
            self.change_seats: 5, self.change_account: 2, self.change_policy: 3, self.change_owner: 4, self.change_uses: 4,
            self.change_watchers: 2, self.change_silence: 2, self.change_webhook: 1, self.snooze: 8, self.take: 3,
        }  # fmt: skip
        [work] = self.chance.choices(list(works), list(works.values()))
        work(at, self.chance.choice(sorted(self.teams)))

    def change_seats(self, at: dt.datetime, team: str) -> None:
        here = self.members(team)
        if here and self.chance.random() < 0.55:
            self._seat(
                at, team, self.chance.choice(here), self.chance.choice((None, None, "owner", "viewer"))
            )
        else:
            self._seat(
                at, team, self.chance.choice(sorted(self.people)), self.chance.choice(("owner", "editor"))
            )

    def change_account(self, at: dt.datetime, team: str) -> None:
        for email in self.chance.sample(sorted(self.people), 2):
            is_open = self.chance.random() < 0.6
            User.objects.filter(pk=self.people[email].pk).update(is_active=is_open)
            self.history.accounts[email].set(at, is_open)

    def change_policy(self, at: dt.datetime, team: str) -> None:
        said = self._new_policy()
        row = self.teams[team]
        Team.objects.filter(pk=row.pk).update(policy=_kept(said))
        row.policy = _kept(said)
        watch.rejudge(row, at)
        self.history.policies[team].set(at, said)
        self.history.events.append(Event(at, "policy", "", team))

    def _new_policy(self) -> Said:
        chance, said = self.chance, Said()
        if chance.random() < 0.5:
            notice, warning, urgent = sorted((chance.randint(1, 90) for _ in range(3)), reverse=True)
            said = dataclasses.replace(said, days=(notice, warning, urgent))
        who = {
            stage: frozenset(chance.sample(GROUPS[:3], 1)) | frozenset(chance.sample(GROUPS, 2))
            for stage in STAGES
            if chance.random() < 0.3
        }
        begin, length = chance.randrange(24), chance.randint(4, 14)
        return dataclasses.replace(
            said,
            who=who,
            mute=frozenset(chance.sample(STAGES[:3], 1)) if chance.random() < 0.2 else frozenset(),
            addresses=tuple(f"desk-{chance.randrange(9)}@example.net" for _ in range(chance.randrange(3))),
            quiet=(begin, (begin + length) % 24) if chance.random() < 0.5 else None,
            ahead=chance.choice(sorted(ZONES)),
        )

    def change_owner(self, at: dt.datetime, team: str) -> None:
        certificate = self._certificate(team)
        if certificate is None:
            return
        email = self.chance.choice([None, *self.members(team)])
        owner = self.people[email] if email else None
        Certificate.objects.filter(pk=certificate.pk).update(owner=owner)
        # As `cases.hand_over` does; what it tells beside is no stage of a version, and has tests of its own.
        Case.objects.open().filter(certificate=certificate).update(owner=owner)
        self.history.owners[certificate.name].set(at, email)
        self.history.events.append(Event(at, "handed", certificate.name, email))

    def change_uses(self, at: dt.datetime, team: str) -> None:
        certificate = self._certificate(team, store__kind="key")
        if certificate is None:
            return
        if self.chance.random() < 0.3:
            Provider.objects.filter(key_certificate=certificate).delete()
            self.history.users[certificate.name].set(at, frozenset())
        else:
            self.use(at, certificate)

    def use(self, at: dt.datetime, certificate: Certificate) -> None:
        """One more provider uses the certificate."""
        team = self.history.team_of[certificate.name]
        email = self.chance.choice([None, *self.members(team)])
        self.providers += 1
        Provider.objects.create(
            team=self.teams[team], name=f"api {self.providers}", host="h.example.org", key_certificate=certificate,
            owner=self.people[email] if email else None,
        )  # fmt: skip
        users = self.history.users[certificate.name]
        users.set(at, users.last | ({email} if email else set()))

    def change_watchers(self, at: dt.datetime, team: str) -> None:
        certificate = self._certificate(team)
        if certificate is None:
            return
        addresses = frozenset(
            f"watcher-{self.chance.randrange(9)}@example.com" for _ in range(self.chance.randrange(3))
        )
        if self.members(team) and self.chance.random() < 0.2:
            addresses |= {self.chance.choice(self.members(team))}
        Watcher.objects.filter(certificate=certificate).delete()
        for email in sorted(addresses):
            Watcher.objects.create(team=self.teams[team], certificate=certificate, email=email, added_at=at)
        self.history.watchers[certificate.name].set(at, addresses)

    def change_silence(self, at: dt.datetime, team: str) -> None:
        email = self.chance.choice(sorted(self.people))
        stages = frozenset(self.chance.sample(STAGES[:3], self.chance.randrange(3)))
        Preferences.objects.update_or_create(user=self.people[email], defaults={"silent": sorted(stages)})
        self.history.silent[email].set(at, stages)

    def change_webhook(self, at: dt.datetime, team: str) -> None:
        is_on = not self.history.webhooks[team].last
        Webhook.objects.filter(team=self.teams[team]).update(is_enabled=is_on)
        self.history.webhooks[team].set(at, is_on)

    def snooze(self, at: dt.datetime, team: str) -> None:
        case = self._case(team, fails_at__gt=at + dt.timedelta(days=2))
        if case:
            until = at + (case.fails_at - at) * self.chance.uniform(0.2, 1)
            case_work.snooze(case=case, until=until, reason="The supplier is slow.", actor=SYSTEM, now=at)
            self.history.events.append(Event(at, "snoozed", case.certificate.name, until))
            self.history.counts["snoozed"] += 1

    def take(self, at: dt.datetime, team: str) -> None:
        case, here = self._case(team), self.members(team)
        if case and here:
            email = self.chance.choice(here)
            Case.objects.filter(pk=case.pk).update(owner=self.people[email])
            self.history.events.append(Event(at, "taken", case.certificate.name, email))

    def _certificate(self, team: str, **more: Any) -> Certificate | None:
        rows = list(Certificate.objects.filter(team=self.teams[team], **more).order_by("name"))
        return self.chance.choice(rows) if rows else None

    def _case(self, team: str, **more: Any) -> Case | None:
        rows = Case.objects.open().filter(team=self.teams[team], **more).select_related("certificate")
        found = list(rows.order_by("certificate__name"))
        return self.chance.choice(found) if found else None


def _kept(said: Said) -> dict[str, Any] | None:
    """As a team keeps it."""
    kept: dict[str, Any] = {}
    if said.days:
        kept |= dict(zip(STAGES, said.days, strict=False))
    told = {}
    for stage, route in ROUTES.items():
        if stage.value in said.who or stage.value in said.mute:
            is_heard = stage.value not in said.mute
            who = sorted(said.who.get(stage.value, {one.value for one in route.who}))
            told[stage.value] = {"who": who, "email": is_heard, "webhook": is_heard}
    if told:
        kept["told"] = told
    if said.addresses:
        kept["addresses"] = list(dict.fromkeys(said.addresses))
    if said.quiet:
        kept["quiet"] = [f"{hour:02}:00" for hour in said.quiet]
    if said.ahead:
        kept["zone"] = ZONES[said.ahead]
    return kept or None
