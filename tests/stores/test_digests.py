"""No storm, and nobody forgotten: one message however late it is, by the hours of the team, to those who are told now."""

from __future__ import annotations

import datetime as dt
import smtplib
from typing import Any

import pytest
from django.core.mail.backends.smtp import EmailBackend
from pytest_django.fixtures import Settings

from portal import runs
from portal.models import Membership, Role, TaskRun, Team, User
from stores import notices, watch
from stores.models import Case, Flag, Notice, Watcher
from stores.notices import email
from stores.notices.delivery import LONGEST_SCAN, STUCK_AFTER, Delivered, deliver
from tests.cast import Cast
from tests.mail_server import Mailbox
from tests.material import NOW
from tests.stores.test_notices import due, mails, text_of
from tests.stores.watched import Link, day, watched

pytestmark = pytest.mark.usefixtures("now")
MINUTE = dt.timedelta(minutes=1)
NOTICE, WARNING = Link("orders", end=50), Link("orders", end=20)
QUIET = {"quiet": ["11:00", "14:00"]}
"""At noon, when tests stand, nothing is sent but what is urgent."""


def says(team: Team, **policy: Any) -> None:
    Team.objects.filter(pk=team.pk).update(policy=policy)


class TestScanUnderWay:
    def test_its_digest_waits_for_its_end_and_nothing_else_does(self, cast: Cast, mailbox: Mailbox) -> None:
        notices.tell(
            team=cast.team, people=[cast.owner], key="k", title="A change", text="", url="/", now=day(-1)
        )
        with runs.recorded(runs.WATCH, NOW):
            due(cast.team, name="first")
            assert deliver(NOW + MINUTE) == Delivered(messages=1, notices=1)
            due(cast.team, name="second")
            assert deliver(NOW + 2 * MINUTE) == Delivered()
        assert deliver(NOW + 3 * MINUTE) == Delivered(messages=1, notices=2)
        assert [message["Subject"] for message in mailbox.messages] == [
            "A change",
            "2 certificates fail within 5 days: first, second",
        ]

    def test_one_that_has_died_keeps_back_nothing_for_long(self, cast: Cast, mailbox: Mailbox) -> None:
        TaskRun.objects.create(task=runs.WATCH, started_at=NOW)
        due(cast.team)
        assert deliver(NOW + LONGEST_SCAN - MINUTE) == Delivered()
        assert deliver(NOW + LONGEST_SCAN).messages == 1

    def test_one_that_fails_again_and_again_keeps_back_only_its_own(
        self, cast: Cast, mailbox: Mailbox
    ) -> None:
        TaskRun.objects.create(task=runs.WATCH, started_at=NOW)
        due(cast.team)
        TaskRun.objects.update(started_at=NOW + MINUTE)
        assert deliver(NOW + MINUTE).messages == 1


class TestMailServerDown:
    def test_all_that_comes_meanwhile_is_one_message_when_it_is_back(
        self, cast: Cast, mailbox: Mailbox, settings: Settings
    ) -> None:
        port, settings.EMAIL_PORT = settings.EMAIL_PORT, 9
        for number in range(100):
            due(cast.team, name=f"client-{number:03}")
            assert deliver(NOW + number * dt.timedelta(hours=2)).later == number + 1
        settings.EMAIL_PORT = port
        assert deliver(day(9)) == Delivered(messages=1, notices=100)

    def test_what_was_refused_for_now_goes_with_what_came_since(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team, name="first")
        mailbox.answers[cast.owner.email] = "450 Busy"
        deliver(NOW)
        mailbox.answers.clear()
        due(cast.team, name="second")
        assert deliver(NOW + MINUTE) == Delivered(messages=1, notices=2)

    def test_what_was_refused_often_is_given_up_and_what_came_since_is_not(
        self, cast: Cast, mailbox: Mailbox
    ) -> None:
        due(cast.team, name="first")
        Notice.objects.filter(channel="email").update(attempts=8)
        due(cast.team, name="second")
        mailbox.answers[cast.owner.email] = "450 Busy"
        assert deliver(NOW) == Delivered(later=1, failed=1)

    def test_what_may_have_arrived_is_sent_again_as_it_was(
        self, cast: Cast, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        due(cast.team, name="first")
        plain = EmailBackend.send_messages

        def lost_after(*given: Any) -> int:
            plain(*given)
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")

        with monkeypatch.context() as patch:
            patch.setattr(EmailBackend, "send_messages", lost_after)
            assert deliver(NOW).later == 1
        due(cast.team, name="second")
        assert deliver(NOW + MINUTE) == Delivered(messages=2, notices=2)
        first, *rest = (message["Message-ID"] for message in mailbox.messages)
        assert rest.count(first) == 1

    def test_a_message_at_which_the_server_breaks_down_keeps_no_other_from_being_sent(
        self, cast: Cast, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        due(cast.team, WARNING, name="first", owner=cast.editor)
        due(cast.team, WARNING, name="second", owner=cast.owner)
        plain = EmailBackend.send_messages

        def breaks_down(backend: EmailBackend, messages: Any) -> int:
            if messages[0].to == [cast.editor.email]:
                raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
            return plain(backend, messages)

        monkeypatch.setattr(EmailBackend, "send_messages", breaks_down)
        assert deliver(NOW) == Delivered(
            later=1, lost={"email": email.judge(OSError("Connection unexpectedly closed")).sentence}
        )
        assert deliver(NOW + MINUTE).messages == 1


class TestQuietHours:
    def test_what_is_late_waits_for_their_end_as_well(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team, WARNING)
        due(cast.team, name="urgent")
        says(cast.team, **QUIET)
        assert deliver(NOW) == Delivered(messages=1, notices=1)
        assert deliver(NOW + 119 * MINUTE) == Delivered()
        assert deliver(NOW + 120 * MINUTE) == Delivered(messages=1, notices=1)

    def test_those_of_one_team_are_not_those_of_another(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team, WARNING)
        says(cast.other_team, **QUIET)
        assert deliver(NOW).messages == 1

    def test_a_policy_that_cannot_be_read_keeps_nobody_from_being_told(
        self, cast: Cast, mailbox: Mailbox
    ) -> None:
        due(cast.team)
        Notice.objects.filter(channel="email").update(user=None, recipient="desk@example.org")
        says(cast.team, quiet=["noon", "night"])
        assert deliver(NOW).messages == 1


class TestWhoIsTold:
    def test_one_address_in_two_parts_is_judged_by_each(self, cast: Cast, mailbox: Mailbox) -> None:
        """The owner of one team is a plain address of another; and who was taken out of one is not out of the other."""
        says(cast.other_team, addresses=[cast.owner.email])
        due(cast.team, name="theirs")
        due(cast.other_team, name="named")
        assert deliver(NOW).notices == 3
        assert sorted(mailbox.recipients) == [cast.outsider.email, cast.owner.email]
        due(cast.team, name="theirs-2")
        due(cast.other_team, name="named-2")
        says(cast.other_team)
        assert deliver(NOW).dropped == 1
        assert "named-2" not in text_of(mailbox.messages[-1]) or mailbox.recipients[-1] == cast.outsider.email

    def test_who_is_named_in_other_letters_gets_one_mail(self, cast: Cast, mailbox: Mailbox) -> None:
        says(cast.team, addresses=["Owner@Example.org", "Desk@example.org"])
        version = watched(cast.team, Link("orders", end=5))
        Watcher.objects.create(
            team=cast.team, certificate=version.certificate, email="desk@example.org", added_at=NOW
        )
        watch.find_due(NOW)
        assert deliver(NOW).messages == 2

    def test_a_team_with_a_plain_address_alone_has_nobody_who_could_act(self, cast: Cast) -> None:
        says(cast.team, addresses=["desk@example.org"])
        Membership.objects.filter(role=Role.OWNER).delete()
        due(cast.team)
        assert [row.recipient for row in mails()] == ["desk@example.org"]
        assert Notice.objects.for_nobody().get().error == notices.NOBODY

    def test_a_case_that_is_woken_goes_up_with_the_very_stage_that_wakes_it(self, cast: Cast) -> None:
        watched(cast.team, WARNING, owner=cast.editor)
        says(cast.team, told={"urgent": {"who": ["certificate"], "email": True, "webhook": True}})
        watch.find_due(NOW)
        Case.objects.update(snoozed_until=day(18))
        watch.find_due(day(13))
        urgent = Notice.objects.filter(channel="portal", flag__stage="urgent")
        assert {row.user for row in urgent} == {cast.editor, cast.owner}

    def test_a_case_whose_snooze_is_over_goes_nowhere(self, cast: Cast) -> None:
        watched(cast.team, WARNING, owner=cast.editor)
        watch.find_due(NOW)
        Case.objects.update(snoozed_until=day(2))
        watch.find_due(day(13))
        case = Case.objects.get()
        assert (case.level, case.snoozed_until) == (0, None)


class TestAgain:
    """What could be told to nobody, or was withdrawn, is told once there is somebody, or it counts again."""

    @pytest.fixture
    def without_owner(self, cast: Cast) -> None:
        Membership.objects.filter(team=cast.team, role=Role.OWNER).delete()

    def test_ten_thousand_are_told_at_once_and_in_one_message(
        self, cast: Cast, without_owner: None, mailbox: Mailbox
    ) -> None:
        for number in range(12):
            watched(cast.team, WARNING, name=f"client-{number}")
        watch.find_due(NOW)
        assert notices.tell_again(NOW) == 0
        Membership.objects.filter(team=cast.team, user=cast.editor).update(role=Role.OWNER)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(notices, "AGAIN", 5)
            assert notices.tell_again(NOW) == 12
        assert not Notice.objects.for_nobody().exists()
        assert deliver(NOW) == Delivered(messages=1, notices=12)
        assert notices.tell_again(NOW) == 0

    def test_a_team_that_still_has_nobody_keeps_no_other_waiting(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(notices, "AGAIN", 2)
        seats = Membership.objects.filter(role=Role.OWNER)
        other = list(seats.filter(team=cast.other_team))
        seats.delete()
        watched(cast.other_team, WARNING, name="theirs")
        for number in range(5):
            watched(cast.team, WARNING, name=f"client-{number}")
        watch.find_due(NOW)
        Membership.objects.bulk_create(other)
        assert notices.tell_again(NOW) == 1

    def test_the_owner_of_the_certificate_who_comes_back_is_somebody(
        self, cast: Cast, without_owner: None
    ) -> None:
        User.objects.filter(pk=cast.editor.pk).update(is_active=False)
        watched(cast.team, WARNING, owner=cast.editor)
        watch.find_due(NOW)
        User.objects.filter(pk=cast.editor.pk).update(is_active=True)
        assert notices.tell_again(NOW) == 1

    def test_who_left_and_came_back_is_told_after_all(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team)
        seat = Membership.objects.get(team=cast.team, role=Role.OWNER)
        seat.delete()
        assert deliver(NOW).dropped == 1
        Membership.objects.bulk_create([seat])
        assert notices.tell_again(NOW) == 1
        assert deliver(NOW).messages == 1
        assert Notice.objects.filter(channel="portal").count() == 1

    def test_a_version_that_is_restored_before_its_mail_went_is_told_after_all(
        self, cast: Cast, mailbox: Mailbox
    ) -> None:
        version = due(cast.team)
        watch.stop(version, NOW)
        assert deliver(NOW) == Delivered()
        watch.start(version, NOW + MINUTE)
        watch.find_due(NOW + MINUTE)
        assert deliver(NOW + MINUTE) == Delivered(messages=1, notices=1)
        assert Notice.objects.filter(channel="portal").count() == 1

    def test_one_that_is_restored_later_tells_only_the_latest_stage(
        self, cast: Cast, mailbox: Mailbox
    ) -> None:
        version = due(cast.team, WARNING)
        watch.stop(version, NOW)
        watch.start(version, day(14))
        watch.find_due(day(14))
        assert deliver(day(14)) == Delivered(messages=1, notices=1)
        assert "Urgent" in text_of(mailbox.messages[0], "html")

    def test_what_is_superseded_is_told_to_nobody_anew(self, cast: Cast) -> None:
        version = due(cast.team)
        flag = Flag.objects.select_related("version__certificate").get(stage="urgent")
        watch.stop(version, NOW)
        Notice.objects.all().delete()
        assert notices.queue_again([flag], NOW) == 0
        assert not Notice.objects.exists()


def test_a_sender_that_died_in_quiet_hours_is_followed_after_them(cast: Cast, mailbox: Mailbox) -> None:
    due(cast.team, WARNING)
    Notice.objects.filter(channel="email").update(
        state="sending", attempts=1, attempted_at=NOW, due_at=NOW + STUCK_AFTER
    )
    says(cast.team, **QUIET)
    assert deliver(NOW + STUCK_AFTER) == Delivered()
    assert deliver(NOW + 120 * MINUTE).messages == 1
