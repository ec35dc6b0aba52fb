"""The page of a team's policy: who may change it, what it says before it is saved, and what follows from saving."""

from __future__ import annotations

import datetime as dt
import html
from typing import Any

import pytest

from portal.errors import Conflict
from portal.models import AuditEvent, Role, Team, User
from providers import expiring
from providers.models import Provider
from stores import policy, policy_change, watch
from stores.ahead import MOST_LINES, preview
from stores.expiry import Policy, Stage
from stores.models import Notice, Version
from stores.policy import Audience, Route, TeamPolicy
from stores.policy_change import change, fingerprint
from tests.cast import Cast, client_of
from tests.material import NOW
from tests.stores.watched import Link, day, watched

pytestmark = pytest.mark.usefixtures("now")
READ, EDIT = "/team/policy/", "/team/policy/edit/"
TYPED: dict[str, Any] = {
    "notice_days": "90", "warning_days": "", "urgent_days": "5",
    "notice_who": ["certificate"], "warning_who": ["certificate", "team"],
    "urgent_who": ["certificate", "providers", "team"], "expired_who": ["certificate", "providers", "team", "addresses"],
    "notice_channels": [], "warning_channels": ["email"], "urgent_channels": ["email", "webhook"], "expired_channels": ["email"],
    "addresses": "duty@example.net\r\nDUTY@example.net, noc@example.net", "quiet_from": "22:00", "quiet_until": "06:30",
    "zone": "Europe/Berlin", "summary": "0",
}  # fmt: skip
MEANT = TeamPolicy(
    days=Policy(notice=90, urgent=5),
    routes={
        Stage.NOTICE: Route(frozenset({Audience.CERTIFICATE}), email=False, webhook=False),
        Stage.WARNING: Route(frozenset({Audience.CERTIFICATE, Audience.TEAM}), email=True, webhook=False),
        Stage.URGENT: Route(frozenset(Audience) - {Audience.ADDRESSES}),
        Stage.EXPIRED: Route(frozenset(Audience), email=True, webhook=False),
    },
    addresses=("duty@example.net", "noc@example.net"),
    quiet=(dt.time(22), dt.time(6, 30)),
    zone="Europe/Berlin",
    summary=0,
)


def typed(team: Team, do: str = "preview", **more: Any) -> dict[str, Any]:
    return TYPED | {"seen": fingerprint(team), "do": do} | more


def unescaped(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def hidden(answer: Any) -> dict[str, Any]:
    """What the form of the answer would send again."""
    form = answer.context["form"]
    assert answer.content.decode().count('<form method="post"') >= 1
    return {field.html_name: field.value() for field in form if field.value() not in (None, "")}


class TestReading:
    @pytest.mark.parametrize("who", ["viewer", "editor", "owner"])
    def test_everybody_of_the_team_reads_it_and_only_owners_are_offered_to_edit(
        self, cast: Cast, who: str
    ) -> None:
        Team.objects.filter(pk=cast.team.pk).update(policy=policy.write(MEANT))
        page = unescaped(client_of(getattr(cast, who)).get(READ))
        for words in (
            "90 days before the end",
            "a sixth of the lifetime",
            "22:00 to 06:30",
            "Europe/Berlin",
            "Monday, 08:00",
        ):
            assert words in page
        assert ("duty@example.net" in page) == (who != "viewer")
        assert (EDIT in page) == (who == "owner")

    def test_the_stages_are_shown_for_lifetimes_from_47_days_to_10_years(self, cast: Cast) -> None:
        page = unescaped(client_of(cast.viewer).get(READ))
        for words in (
            "47 days",
            "100 days",
            "200 days",
            "398 days",
            "10 years",
            "15 days 16 hours",
            "3 days 3 hours",
            "33 days 8 hours",
        ):
            assert words in page

    def test_one_that_cannot_be_read_is_shown_as_the_default_and_can_be_put_right(self, cast: Cast) -> None:
        Team.objects.filter(pk=cast.team.pk).update(policy={"zone": "Nowhere", "told": 3})
        client = client_of(cast.owner)
        assert client.get(READ).status_code == 200
        team = Team.objects.get(pk=cast.team.pk)
        assert client.post(EDIT, typed(team, "save")).status_code == 302
        team.refresh_from_db()
        assert policy.read(team.policy) == MEANT


class TestForm:
    def test_it_shows_what_holds(self, cast: Cast) -> None:
        Team.objects.filter(pk=cast.team.pk).update(policy=policy.write(MEANT))
        form = client_of(cast.owner).get(EDIT).context["form"]
        sent = {field.html_name: field.value() for field in form}
        assert sent["notice_days"] == 90
        assert sent["warning_days"] is None
        assert sent["urgent_who"] == ["certificate", "providers", "team"]
        assert sent["expired_channels"] == ["email"]
        assert sent["addresses"] == "duty@example.net\nnoc@example.net"

    @pytest.mark.parametrize(
        ("wrong", "field", "sentence"),
        [
            ({"notice_days": "20"}, "notice_days", "“Warning” begins 30 days"),
            ({"warning_days": "91"}, "warning_days", "“Warning” begins 91 days"),
            ({"notice_days": "4000"}, "notice_days", "1 to 3,650 days"),
            ({"urgent_days": "soon"}, "urgent_days", "whole number"),
            ({"urgent_who": ["addresses"]}, "urgent_who", "plain addresses cannot act"),
            ({"notice_who": []}, "notice_who", "Choose somebody of the team"),
            ({"notice_who": ["king"]}, "notice_who", "not one of the available choices"),
            ({"expired_channels": ["webhook"]}, "expired_channels", "always sent by e-mail"),
            ({"addresses": "nobody"}, "addresses", "'nobody' is not an e-mail address"),
            ({"addresses": "x" * 250 + "@example.net"}, "addresses", "is not an e-mail address"),
            ({"addresses": " ".join(f"a{n}@example.net" for n in range(21))}, "addresses", "At most 20"),
            ({"addresses": "a\x00@example.net"}, "addresses", "Null characters"),
            ({"quiet_from": ""}, "quiet_from", "need a beginning and an end"),
            ({"quiet_until": ""}, "quiet_until", "need a beginning and an end"),
            ({"quiet_until": "22:00"}, "quiet_until", "end at another time"),
            ({"quiet_until": "late"}, "quiet_until", "as 22:00"),
            ({"zone": "Mars/Base"}, "zone", "not one of the available choices"),
            ({"summary": "8"}, "summary", "not one of the available choices"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("do", ["preview", "save", "back"])
    def test_what_makes_no_sense_is_said_at_its_field_and_all_is_kept(
        self, cast: Cast, do: str, wrong: dict[str, Any], field: str, sentence: str
    ) -> None:
        answer = client_of(cast.owner).post(EDIT, typed(cast.team, do, **wrong))
        assert answer.status_code == 422
        errors = answer.context["form"].errors
        assert list(errors) == [field]
        assert sentence in errors[field][0]
        assert errors[field][0] in unescaped(answer)
        assert answer.context["form"]["zone"].value() == wrong.get("zone", "Europe/Berlin")
        assert Team.objects.get(pk=cast.team.pk).policy is None

    def test_an_empty_post_is_refused_in_words(self, cast: Cast) -> None:
        answer = client_of(cast.owner).post(EDIT, {"do": "save"})
        assert answer.status_code == 422
        assert "Choose somebody of the team" in unescaped(answer)

    def test_a_zone_that_is_kept_though_no_place_has_its_name_stays(self, cast: Cast) -> None:
        Team.objects.filter(pk=cast.team.pk).update(policy={"zone": "Etc/GMT+3"})
        team = Team.objects.get(pk=cast.team.pk)
        answer = client_of(cast.owner).post(EDIT, typed(team, "save", zone="Etc/GMT+3"))
        assert answer.status_code == 302
        team.refresh_from_db()
        assert policy.read(team.policy).zone == "Etc/GMT+3"


class TestSaving:
    def test_preview_then_save_and_back_keeps_what_was_typed(self, cast: Cast) -> None:
        client = client_of(cast.owner)
        seen = client.post(EDIT, typed(cast.team))
        assert seen.status_code == 200
        assert Team.objects.get(pk=cast.team.pk).policy is None
        back = client.post(EDIT, hidden(seen) | {"do": "back"})
        assert back.status_code == 200
        again = client.post(EDIT, hidden(back) | {"do": "preview"})
        answer = client.post(EDIT, hidden(again) | {"do": "save"}, follow=True)
        assert "Saved." in unescaped(answer)
        assert policy.read(Team.objects.get(pk=cast.team.pk).policy) == MEANT

    def test_the_audit_says_what_has_changed(self, cast: Cast) -> None:
        client_of(cast.owner).post(EDIT, typed(cast.team, "save"))
        event = AuditEvent.objects.get(action="team.policy_changed")
        assert event.actor == cast.owner
        assert "Expires soon begins 90 days before the end; until now a third" in event.facts["changed"]
        assert "Told as well: duty@example.net and noc@example.net." in event.facts["changed"]

    def test_saving_what_holds_changes_nothing(self, cast: Cast) -> None:
        client = client_of(cast.owner)
        client.post(EDIT, typed(cast.team, "save"))
        team = Team.objects.get(pk=cast.team.pk)
        assert "Nothing would change" in unescaped(client.post(EDIT, typed(team)))
        watched(team, Link("leaf", end=200))
        before = list(Version.objects.values_list("next_stage_at", flat=True))
        answer = client.post(EDIT, typed(team, "save"), follow=True)
        assert "Nothing was changed." in unescaped(answer)
        assert AuditEvent.objects.filter(action="team.policy_changed").count() == 1
        assert list(Version.objects.values_list("next_stage_at", flat=True)) == before

    def test_of_two_owners_at_once_the_second_is_told_and_loses_nothing(self, cast: Cast) -> None:
        other = User.objects.create_user(email="second@example.org")
        cast.team.memberships.create(user=other, role=Role.OWNER)
        client = client_of(other)
        late = typed(cast.team)
        client_of(cast.owner).post(EDIT, typed(cast.team, "save", notice_days="80", summary=""))
        for do in ("preview", "save"):
            answer = client.post(EDIT, late | {"do": do})
            assert answer.status_code == 409
            page = unescaped(answer)
            assert "owner@example.org has changed the policy while you were at it" in page
            assert "Expires soon begins 90 days before the end; until now 80 days before the end." in page
            assert answer.context["form"]["notice_days"].value() == "90"
        assert policy.read(Team.objects.get(pk=cast.team.pk).policy).days.notice == 80
        assert client.post(EDIT, hidden(answer) | {"do": "save"}).status_code == 302
        assert policy.read(Team.objects.get(pk=cast.team.pk).policy) == MEANT

    def test_the_service_itself_refuses_what_was_not_seen(self, cast: Cast) -> None:
        seen = fingerprint(cast.team)
        change(team=cast.team, wanted=MEANT, seen=seen, actor=cast.actor, now=NOW)
        with pytest.raises(Conflict):
            change(team=cast.team, wanted=policy.DEFAULT, seen=seen, actor=cast.actor, now=NOW)

    def test_all_that_the_team_keeps_is_judged_anew_and_servers_too(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=80), name="ours")
        theirs = watched(cast.other_team, Link("leaf", end=80), name="theirs")
        server = Provider.objects.create(
            team=cast.team, name="orders", host="h.example.org", server_ends_at=day(80), server_ends_sha256="1" * 64,
            server_ends_name="h.example.org", server_next_stage_at=day(20),
        )  # fmt: skip
        ended = Provider.objects.create(
            team=cast.team, name="ended", host="h.example.org", server_ends_at=day(-1), server_ends_sha256="2" * 64, server_stage="expired"
        )  # fmt: skip
        change(team=cast.team, wanted=MEANT, seen=fingerprint(cast.team), actor=cast.actor, now=NOW)
        watch.find_due(NOW)
        expiring.find_due(NOW)
        assert set(Notice.objects.filter(flag__isnull=False).values_list("flag__stage", "team")) == {
            ("notice", cast.team.pk)
        }
        assert Notice.objects.filter(key__startswith=f"server:{server.pk}").exists()
        server.refresh_from_db()
        ended.refresh_from_db()
        assert (server.server_stage, ended.server_next_stage_at) == ("notice", None)
        theirs.refresh_from_db()
        assert theirs.next_stage_at == day(20)

    def test_where_something_fails_nothing_is_written(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(team: Team, now: dt.datetime) -> None:
            raise RuntimeError

        monkeypatch.setattr(policy_change, "_followers", [fails])
        with pytest.raises(RuntimeError):
            change(team=cast.team, wanted=MEANT, seen=fingerprint(cast.team), actor=cast.actor, now=NOW)
        assert Team.objects.get(pk=cast.team.pk).policy is None
        assert not AuditEvent.objects.filter(action="team.policy_changed").exists()


class TestPreview:
    def test_what_would_be_told_at_once_is_what_the_next_scan_tells(self, cast: Cast) -> None:
        for number, end in enumerate((70, 85, 95, 25)):
            watched(cast.team, Link(f"leaf {number}", end=end), name=f"c{number}", owner=cast.editor)
        watch.find_due(NOW)
        told_before = Notice.objects.count()
        seen = preview(cast.team, MEANT, NOW)
        assert seen.at_once == 2
        assert "2 things would be told at once" in unescaped(
            client_of(cast.owner).post(EDIT, typed(cast.team))
        )
        by_name = {one.name: one for one in seen.people}
        assert by_name[cast.editor.email].at_once == 2
        change(team=cast.team, wanted=MEANT, seen=fingerprint(cast.team), actor=cast.actor, now=NOW)
        watch.find_due(NOW)
        assert Notice.objects.count() - told_before == 2

    def test_each_change_says_what_was_and_what_would_be(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=200), owner=cast.editor)
        wanted = TeamPolicy(
            days=Policy(notice=70), routes={**policy.ROUTES, Stage.URGENT: policy.ROUTES[Stage.NOTICE]}
        )
        changes = preview(cast.team, wanted, NOW).changes
        assert [(one.entry.stage, one.before, one.after, one.entry.to) for one in changes] == [
            ("notice", day(140), day(130), ["editor@example.org (portal, e-mail)"]),
            ("urgent", day(193), None, ["owner@example.org (portal, e-mail)"]),
        ]
        people = {one.name: (one.before, one.after) for one in preview(cast.team, wanted, NOW).people}
        assert people == {"owner@example.org": (2, 1), "editor@example.org": (4, 4)}

    def test_only_the_first_lines_are_shown_and_only_the_first_to_fail_are_looked_at(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(30):
            watched(cast.team, Link(f"leaf {number}", end=100 + number), name=f"c{number:02}")
        seen = preview(cast.team, MEANT, NOW)
        assert len(seen.changes) == MOST_LINES
        assert seen.more > 0
        assert not seen.left_out
        monkeypatch.setattr("stores.ahead.MOST_PREVIEWED", 3)
        few = preview(cast.team, MEANT, NOW)
        assert few.left_out
        assert {one.entry.certificate.name for one in few.changes} == {"c00", "c01", "c02"}
