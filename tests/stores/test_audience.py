"""Whom to tell: by the team's policy, by who owns what, and by what people want."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import Membership, Role, Team, User
from providers.models import Provider
from stores import policy
from stores.expiry import Stage
from stores.models import Case, Certificate, Preferences, Version, Watcher, Webhook
from stores.notices.audience import Directory
from stores.policy import Audience, Route, TeamPolicy
from tests.cast import Cast, person
from tests.material import NOW
from tests.stores.watched import Link, watched

pytestmark = pytest.mark.usefixtures("now")


@pytest.fixture
def version(cast: Cast) -> Version:
    return watched(cast.team, Link("orders", end=300), owner=cast.editor)


def told(certificate: Certificate, stage: Stage, channel: str) -> list[str]:
    found = Directory([certificate]).told(certificate, stage)
    return sorted(one.address for one in found if one.channel == channel)


def member(team: Team, name: str, role: Role = Role.EDITOR) -> User:
    user = person(name)
    Membership.objects.create(team=team, user=user, role=role)
    return user


def case_of(version: Version, **more: object) -> Case:
    return Case.objects.create(
        team=version.team, certificate=version.certificate, version=version, stage="notice", fails_at=NOW, opened_at=NOW, **more
    )  # fmt: skip


def say(team: Team, **said: object) -> None:
    team.policy = policy.write(TeamPolicy(**said))  # type: ignore[arg-type]
    team.save()


class TestPeople:
    def test_early_only_the_owner_of_the_certificate_is_told(self, cast: Cast, version: Version) -> None:
        for stage in (Stage.NOTICE, Stage.WARNING):
            for channel in ("portal", "email"):
                assert told(version.certificate, stage, channel) == [cast.editor.email]

    def test_late_the_owners_of_the_team_and_of_the_providers_too(self, cast: Cast, version: Version) -> None:
        caller = member(cast.team, "caller")
        outsider = cast.outsider
        for name, owner in (("orders", caller), ("billing", outsider), ("other", cast.editor)):
            Provider.objects.create(
                team=cast.team, name=name, host="h", key_certificate=version.certificate, owner=owner
            )
        everybody = sorted([caller.email, cast.editor.email, cast.owner.email])
        assert told(version.certificate, Stage.URGENT, "portal") == everybody
        assert told(version.certificate, Stage.EXPIRED, "email") == everybody

    def test_who_has_taken_the_case_is_told_in_the_place_of_the_owner(
        self, cast: Cast, version: Version
    ) -> None:
        taker = member(cast.team, "taker")
        case_of(version, owner=taker)
        assert told(version.certificate, Stage.NOTICE, "portal") == [taker.email]
        Membership.objects.filter(user=taker).delete()
        assert told(version.certificate, Stage.NOTICE, "portal") == [cast.editor.email]

    def test_one_level_up_are_the_owners_of_the_team(self, cast: Cast, version: Version) -> None:
        case_of(version, level=1)
        assert told(version.certificate, Stage.NOTICE, "portal") == sorted(
            [cast.editor.email, cast.owner.email]
        )

    def test_where_a_route_leads_to_nobody_the_owners_of_the_team_are_told(
        self, cast: Cast, version: Version
    ) -> None:
        only_providers = Route(frozenset({Audience.PROVIDERS}))
        say(cast.team, routes={**policy.ROUTES, Stage.NOTICE: only_providers})
        assert told(version.certificate, Stage.NOTICE, "portal") == [cast.owner.email]


class TestMails:
    def test_a_person_may_silence_a_stage_but_not_the_end(self, cast: Cast, version: Version) -> None:
        Preferences.objects.create(user=cast.editor, silent=["notice", "expired"])
        assert told(version.certificate, Stage.NOTICE, "email") == []
        assert told(version.certificate, Stage.NOTICE, "portal") == [cast.editor.email]
        assert cast.editor.email in told(version.certificate, Stage.EXPIRED, "email")

    def test_owners_of_providers_may_silence_a_stage_as_well(self, cast: Cast, version: Version) -> None:
        caller = member(cast.team, "caller")
        Provider.objects.create(
            team=cast.team, name="orders", host="h", key_certificate=version.certificate, owner=caller
        )
        Preferences.objects.create(user=caller, silent=["urgent"])
        assert caller.email in told(version.certificate, Stage.URGENT, "portal")
        assert caller.email not in told(version.certificate, Stage.URGENT, "email")

    def test_plain_addresses_get_mails_and_each_address_one(self, cast: Cast, version: Version) -> None:
        say(cast.team, addresses=("noc@example.org", "desk@example.org"))
        for email in ("desk@example.org", cast.editor.email, "partner@example.net"):
            Watcher.objects.create(team=cast.team, certificate=version.certificate, email=email, added_at=NOW)
        expected = ["desk@example.org", cast.editor.email, "noc@example.org", "partner@example.net"]
        assert told(version.certificate, Stage.NOTICE, "email") == sorted(expected)
        assert told(version.certificate, Stage.NOTICE, "portal") == [cast.editor.email]

    def test_a_stage_may_go_without_mails(self, cast: Cast, version: Version) -> None:
        quiet = Route(frozenset({Audience.CERTIFICATE}), email=False, webhook=False)
        say(cast.team, routes={**policy.ROUTES, Stage.NOTICE: quiet})
        assert told(version.certificate, Stage.NOTICE, "email") == []
        assert told(version.certificate, Stage.NOTICE, "portal") == [cast.editor.email]


def test_enabled_webhooks_of_the_team_are_told(cast: Cast, version: Version) -> None:
    common = {"host": "https://example.org", "sealed_url": b"", "sealed_secret": b"", "created_at": NOW}
    on = Webhook.objects.create(team=cast.team, name="on", **common)
    Webhook.objects.create(team=cast.team, name="off", is_enabled=False, **common)
    Webhook.objects.create(team=cast.other_team, name="theirs", **common)
    assert told(version.certificate, Stage.NOTICE, "webhook") == [on.pk]


def test_the_queries_do_not_grow_with_the_certificates(cast: Cast) -> None:
    certificates = [
        watched(cast.team, Link("leaf", end=5), name=f"client-{n}").certificate for n in range(30)
    ]
    counts = []
    for some in (certificates[:2], certificates):
        with CaptureQueriesContext(connection) as asked:
            directory = Directory(some)
            for certificate in some:
                assert directory.told(certificate, Stage.EXPIRED)
        counts.append(len(asked))
    assert counts[0] == counts[1]
