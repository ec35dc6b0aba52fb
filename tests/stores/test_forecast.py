"""What is foretold is what is told: the forecast against the real scan and the real delivery, event by event."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import Team, User
from providers.models import Provider
from stores import forecast, policy, watch
from stores.expiry import Policy, Stage
from stores.forecast import Told, foretell, watched_of
from stores.models import Case, Notice, Preferences, Version, Watcher, Webhook
from stores.notices import delivery
from stores.policy import Audience, Route, TeamPolicy
from tests.bench.populate import populate
from tests.cast import Cast
from tests.material import NOW
from tests.stores.watched import Link, day, watched
from tests.test_query_counts import questions

pytestmark = pytest.mark.usefixtures("now")
UNTIL = day(150)
ZONES = ("UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata")
Line = tuple[dt.datetime, dt.datetime, str, str, str, str, str]


def told(team: Team | None = None, until: dt.datetime = UNTIL, **more: Any) -> list[Told]:
    return sorted(foretell(watched_of(team), NOW, until, **more), key=lambda one: (one.at, one.stage))


def line(one: Told) -> Line:
    recipient = one.recipient
    address, channel = (recipient.address, recipient.channel.value) if recipient else ("", "portal")
    return (
        one.at, one.found_at, one.stage.value, one.certificate.pk, one.ending.sha256, address, channel
    )  # fmt: skip


def foretold(until: dt.datetime) -> list[Line]:
    return sorted(map(line, told(until=until)))


def really_told(until: dt.datetime) -> list[Line]:
    """What lies in the outbox and has been sent by then."""
    rows = Notice.objects.filter(flag__isnull=False).select_related("flag__version")
    found = []
    for row in rows:
        at = row.sent_at if row.recipient else row.due_at
        if at is None or at > until or row.flag is None:
            continue
        certificate = row.flag.version.certificate_id
        found.append(
            (at, row.created_at, row.flag.stage, certificate, row.flag.ends_sha256, row.recipient, row.channel)
        )  # fmt: skip
    return sorted(found)


def instants(until: dt.datetime) -> Iterator[dt.datetime]:
    """Now, then each instant at which the tables say that something is due, and every fifth day in between."""
    now = NOW
    while now <= until:
        yield now
        due: list[dt.datetime | None] = [
            *Version.objects.current().filter(next_stage_at__gt=now).values_list("next_stage_at", flat=True),
            *Notice.objects.filter(state="waiting", due_at__gt=now).values_list("due_at", flat=True),
        ]
        now = min(filter(None, [*due, now + dt.timedelta(days=5)]))


def live(until: dt.datetime) -> None:
    """Scans and sends until then."""
    for now in instants(until):
        watch.find_due(now)
        delivery.deliver(now)


def random_policy(chance: random.Random) -> TeamPolicy:
    days = sorted(chance.sample(range(1, 90), 3), reverse=True)
    routes = {
        stage: Route(
            frozenset([*chance.sample(list(Audience), chance.randint(0, 3)), Audience.CERTIFICATE]),
            email=stage == Stage.EXPIRED or chance.random() < 0.8,
            webhook=chance.random() < 0.5,
        )
        for stage in Stage
    }
    quiet = (dt.time(chance.randrange(24), 30), dt.time(chance.randrange(24), 15))
    return TeamPolicy(
        days=Policy(*days) if chance.random() < 0.5 else Policy(),
        routes=routes if chance.random() < 0.7 else policy.ROUTES,
        addresses=("duty@example.net", "owner@example.org")[: chance.randint(0, 2)],
        quiet=quiet if chance.random() < 0.7 else None,
        zone=chance.choice(ZONES),
    )


def random_world(cast: Cast, chance: random.Random) -> None:
    """Two teams with their own policies, and certificates in every phase of their lives."""
    lonely = Team.objects.create(name="Nobody here")
    for team in (cast.team, cast.other_team):
        team.policy = policy.write(random_policy(chance))
        team.save()
        Webhook.objects.create(
            team=team, name="chat", host="https://chat.example.org", sealed_url=b"", sealed_secret=b"", sealed_with="tests",
            is_enabled=chance.random() < 0.7, created_at=NOW,
        )  # fmt: skip
    people: list[User | None] = [cast.owner, cast.editor, cast.viewer, cast.outsider, None]
    Preferences.objects.create(user=cast.editor, silent=chance.sample([*Stage], 2))
    for number in range(14):
        team = chance.choices([cast.team, cast.other_team, lonely], [6, 3, 1])[0]
        links = [
            Link(f"link {place}", end=round(chance.uniform(-30, 200), 2), life=chance.choice([10, 47, 100, 398, 3650]))
            for place in range(chance.randint(1, 3))
        ]  # fmt: skip
        kind = chance.choice(["key", "trust"])
        one = watched(team, *links, name=f"certificate {number}", kind=kind, owner=chance.choice(people))
        if chance.random() < 0.4:
            Watcher.objects.create(
                team=team, certificate=one.certificate, email="w@example.com", added_at=NOW
            )
        if kind == "key" and chance.random() < 0.5:
            Provider.objects.create(
                team=team, name=f"p{number}", host="p.example.org", owner=chance.choice(people), key_certificate=one.certificate
            )  # fmt: skip
    ids = list(Version.objects.order_by("certificate__name").values_list("pk", flat=True))
    past = NOW - dt.timedelta(days=2)
    Version.objects.filter(pk__in=ids[:5]).update(next_stage_at=NOW + dt.timedelta(days=400))
    watch.find_due(past)
    for version in Version.objects.filter(pk__in=ids[:5]):
        watch.start(version, NOW)
    Notice.objects.all().delete()
    Case.objects.filter(pk__in=chance.sample([*Case.objects.values_list("pk", flat=True)], 2)).update(
        snoozed_until=UNTIL, owner=cast.editor
    )


@pytest.mark.parametrize("seed", range(4))
def test_what_is_foretold_is_told(cast: Cast, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    takes_all = delivery.Channel(lambda digest: None, ())
    monkeypatch.setattr(delivery, "CHANNELS", dict.fromkeys(("email", "webhook"), takes_all))
    random_world(cast, random.Random(seed))
    expected = foretold(UNTIL)
    live(UNTIL)
    assert len(expected) > 50
    assert {one[2] for one in expected} == set(Stage)
    assert really_told(UNTIL) == expected


class TestAskingTheFuture:
    def test_staged_and_superseded_versions_are_silent(self, cast: Cast) -> None:
        one = watched(cast.team, Link("leaf", end=100))
        assert told()
        for state in ("staged", "superseded", "discarded"):
            Version.objects.filter(pk=one.pk).update(state=state)
            assert told() == []

    def test_what_was_told_is_not_told_again_and_of_what_was_missed_only_the_latest(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=5))
        assert {one.stage for one in told(until=NOW)} == {Stage.URGENT}
        watch.find_due(NOW)
        assert told(until=day(4)) == []
        assert {one.stage for one in told(until=day(5))} == {Stage.EXPIRED}

    def test_a_snoozed_case_that_is_woken_reaches_the_owners_of_the_team_from_then_on(
        self, cast: Cast
    ) -> None:
        watched(cast.team, Link("leaf", end=29), owner=cast.editor)
        watch.find_due(NOW)
        Case.objects.update(snoozed_until=day(28))
        cast.team.policy = {"told": {"expired": {"who": ["certificate"], "email": True, "webhook": False}}}
        cast.team.save()
        last = [one for one in told() if one.stage == Stage.EXPIRED]
        assert {one.recipient and one.recipient.address for one in last} == {
            cast.editor.email,
            cast.owner.email,
        }

    def test_a_policy_that_is_tried_judges_all_anew_at_once(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=80))
        watched(cast.other_team, Link("theirs", end=80), name="theirs")
        tried = {cast.team.pk: TeamPolicy(days=Policy(notice=90))}
        first = told(policies=tried)[0]
        assert (first.at, first.stage, first.certificate.team) == (NOW, Stage.NOTICE, cast.team)
        assert {one.at for one in told(cast.other_team, policies=tried)} == {
            one.at for one in told(cast.other_team)
        }

    def test_a_team_whose_policy_cannot_be_read_harms_no_other(self, cast: Cast, caplog: Any) -> None:
        watched(cast.team, Link("leaf", end=5))
        watched(cast.other_team, Link("theirs", end=5), name="theirs")
        Team.objects.filter(pk=cast.team.pk).update(policy={"zone": "Nowhere/Land"})
        assert {one.certificate.team for one in told()} == {cast.other_team}
        assert "cannot be read" in caplog.text

    def test_the_questions_grow_with_the_batches_alone(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def asked(batch: int) -> int:
            monkeypatch.setattr(forecast, "BATCH", batch)
            with CaptureQueriesContext(connection) as counted:
                assert len(list(foretell(watched_of(), NOW, day(400)))) > 100
            return len(questions(counted))

        populate(cast.team, 60, NOW)
        in_one = asked(1000)
        assert in_one <= 14
        assert asked(31) == 2 * in_one
