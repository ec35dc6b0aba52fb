"""The weekly summary: on its day, once per week and person, and what it says."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import Membership, Team
from stores import policy, watch
from stores.models import Case, Notice, Preferences
from stores.notices import summary
from stores.notices.delivery import Delivered, deliver
from stores.tasks import send_summaries
from tests.cast import Cast
from tests.mail_server import Mailbox
from tests.stores.test_notices import text_of
from tests.stores.test_unsubscribe import ONE_CLICK, stranger, way_out
from tests.stores.watched import Link, watched

MONDAY = dt.datetime(2026, 6, 1, 8, tzinfo=dt.UTC)
"""The hour, on the day on which tests stand."""


@pytest.fixture(autouse=True)
def monday() -> Iterator[None]:
    with time_machine.travel(MONDAY, tick=False):
        yield


@pytest.fixture(autouse=True)
def wanted(cast: Cast) -> None:
    wants(cast.team)


def wants(team: Team, day: int = 0, **more: object) -> None:
    team.policy = policy.write(policy.TeamPolicy(summary=day, **more))  # type: ignore[arg-type]
    team.save()


class TestWhen:
    def test_it_is_mailed_on_its_day_and_does_not_lie_in_the_inbox(
        self, cast: Cast, mailbox: Mailbox
    ) -> None:
        assert summary.send_due(MONDAY - dt.timedelta(seconds=1)) == 0
        assert summary.send_due(MONDAY) == 1
        assert deliver(MONDAY) == Delivered(messages=1, notices=1)
        assert mailbox.recipients == [cast.owner.email]
        assert [notice.channel for notice in Notice.objects.all()] == ["email"]

    def test_six_runs_a_day_mail_it_once_a_week(self, cast: Cast, mailbox: Mailbox) -> None:
        for hours in range(0, 24 * 21, 4):
            at = MONDAY + dt.timedelta(hours=hours)
            summary.send_due(at)
            deliver(at)
        assert len(mailbox.messages) == 3

    def test_an_outage_over_the_hour_is_caught_up_the_same_day(self, cast: Cast) -> None:
        assert summary.send_due(MONDAY + dt.timedelta(hours=15, minutes=59)) == 1
        assert summary.send_due(MONDAY + dt.timedelta(hours=16)) == 0

    def test_the_next_day_is_too_late(self, cast: Cast) -> None:
        assert summary.send_due(MONDAY + dt.timedelta(hours=16)) == 0

    def test_the_teams_clock_counts(self, cast: Cast) -> None:
        wants(cast.team, zone="America/New_York")
        assert summary.send_due(MONDAY) == 0
        assert summary.send_due(MONDAY + dt.timedelta(hours=4)) == 1

    def test_quiet_hours_count(self, cast: Cast) -> None:
        wants(cast.team, quiet=(dt.time(22), dt.time(9)))
        summary.send_due(MONDAY)
        assert Notice.objects.get().due_at == MONDAY + dt.timedelta(hours=1)

    def test_a_team_that_wants_none_gets_none(self, cast: Cast) -> None:
        Team.objects.update(policy={"zone": "Europe/Berlin"})
        with CaptureQueriesContext(connection) as counted:
            assert summary.send_due(MONDAY) == 0
        assert len(counted) == 1

    def test_a_policy_that_cannot_be_read_harms_no_other_team(self, cast: Cast) -> None:
        Team.objects.filter(pk=cast.other_team.pk).update(policy={"summary": 9})
        assert summary.send_due(MONDAY) == 1

    def test_the_task_says_how_many(self, cast: Cast) -> None:
        send_summaries()
        assert Notice.objects.count() == 1


class TestWhom:
    def readers(self) -> list[str]:
        summary.send_due(MONDAY)
        rows = Notice.objects.filter(key__startswith=summary.KEY)
        return sorted(rows.values_list("recipient", flat=True))

    def test_owners_and_who_looks_after_something(self, cast: Cast) -> None:
        watched(cast.team, Link("x", end=300), owner=cast.viewer)
        assert self.readers() == [cast.owner.email, cast.viewer.email]

    def test_who_has_a_case_and_who_has_a_provider(self, cast: Cast) -> None:
        watched(cast.team, Link("x", end=5))
        watch.find_due(MONDAY)
        Case.objects.update(owner=cast.editor)
        cast.team.providers.create(name="orders", host="h.example.org", owner=cast.viewer)
        assert len(self.readers()) == 3

    def test_not_who_does_not_want_it_nor_who_has_left(self, cast: Cast) -> None:
        watched(cast.team, Link("x", end=300), owner=cast.viewer)
        Membership.objects.filter(user=cast.viewer).delete()
        Preferences.objects.create(user=cast.owner, summary=False)
        assert self.readers() == []

    def test_its_way_out_ends_the_summaries_alone(self, cast: Cast, mailbox: Mailbox) -> None:
        summary.send_due(MONDAY)
        deliver(MONDAY)
        assert stranger().post(way_out(mailbox, cast.owner.email), ONE_CLICK).status_code == 200
        said = Preferences.objects.get()
        assert (said.user, said.silent, said.summary) == (cast.owner, [], False)


class TestWhat:
    def sent(self, mailbox: Mailbox) -> tuple[str, str, str]:
        summary.send_due(MONDAY)
        deliver(MONDAY)
        message = mailbox.messages[-1]
        return message["Subject"], text_of(message), text_of(message, "html")

    def test_nothing_to_do_is_said_too(self, cast: Cast, mailbox: Mailbox) -> None:
        subject, text, html = self.sent(mailbox)
        assert subject == "Payments, this week: nothing to do"
        for part in (text, html):
            assert "Nothing has to be replaced, and nothing ends in the next 30 days." in part
            assert "get no summaries any more" in part.lower()

    def test_all_that_is_open_is_said_in_its_part(self, cast: Cast, mailbox: Mailbox) -> None:
        watched(cast.team, Link("a", end=5), name="open")
        watched(cast.team, Link("b", end=6), name="snoozed")
        new = watched(cast.team, Link("c", end=7), name="unproven")
        watched(cast.team, Link("d", end=20, life=30), name="short")
        watched(cast.other_team, Link("e", end=5), name="theirs")
        watch.find_due(MONDAY)
        Notice.objects.all().delete()
        Case.objects.filter(certificate__name="open").update(owner=cast.editor)
        wakes = MONDAY + dt.timedelta(days=2)
        Case.objects.filter(certificate__name="snoozed").update(
            snoozed_until=wakes, snooze_reason="Waits for <them>"
        )
        Case.objects.filter(certificate__name="unproven").update(successor=new)
        subject, text, html = self.sent(mailbox)
        assert subject == "Payments, this week: 1 to replace, 1 end within 30 days, 1 not proven, 1 snoozed"
        assert "- open fails in 5 days, Editor has it" in text
        assert "- short fails in 20 days" in text
        assert "- snoozed fails in 6 days, wakes in 2 days: Waits for <them>" in text
        assert "- unproven, the next version is active" in text
        assert "theirs" not in text
        assert "Waits for &lt;them&gt;" in html
        for part in (text, html):
            links = re.findall(r"http://localhost:8000/(certificates|replace)/\w+/", part)
            assert links == ["certificates", "certificates", "replace", "replace"]

    def test_a_long_list_is_cut_and_asks_no_more(self, cast: Cast, mailbox: Mailbox) -> None:
        asked = []
        for count in (10, 40):
            for number in range(count - cast.team.certificates.count()):
                watched(cast.team, Link("x", end=5), name=f"c{count}-{number}")
            watch.find_due(MONDAY)
            with CaptureQueriesContext(connection) as counted:
                sections = summary.sections_of(cast.team, MONDAY)
            asked.append(len(counted))
            assert (len(sections[0].lines), sections[0].more) == (
                summary.MOST_LINES,
                count - summary.MOST_LINES,
            )
        assert asked == [2, 2]

    def test_it_comes_in_one_mail_with_what_is_urgent(self, cast: Cast, mailbox: Mailbox) -> None:
        watched(cast.team, Link("a", end=5), name="orders")
        watch.find_due(MONDAY)
        subject, text, _ = self.sent(mailbox)
        assert len(mailbox.messages) == 1
        assert subject == "orders fails in 5 days, and 1 more"
        assert text.index("orders fails") < text.index("Weekly summary: Payments, this week")
