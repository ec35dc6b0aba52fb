"""Notices: one message per recipient and run over real SMTP, tried again while that makes sense, and the inbox."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage

import pytest
from django.core.mail import EmailMultiAlternatives
from django.db import connection, connections
from pytest_django.fixtures import Settings

from portal.models import Membership, Role, Team, User
from providers.models import Provider
from stores import watch
from stores.models import Notice, Version
from stores.notices import delivery, email
from stores.notices.delivery import CHANNELS, STUCK_AFTER, Delivered, Group, deliver
from stores.notices.digest import Digest
from tests.cast import Cast, client_of
from tests.mail_server import Mailbox
from tests.material import NOW
from tests.stores.watched import Link, day, watched

pytestmark = pytest.mark.usefixtures("now")
SOON = Link("orders.example.org", end=5)
IN_TIME = Link("orders.example.org", end=20)
"""In its warning stage, of which only the owner of the certificate is told."""
LATER = NOW + dt.timedelta(hours=1)
PAUSES = CHANNELS["email"].pauses


def due(team: Team, *links: Link, name: str = "orders-client", used: bool = True, **more: object) -> Version:
    """A version near its end, flagged."""
    version = watched(team, *(links or (SOON,)), name=name, **more)  # type: ignore[arg-type]
    if used:
        Provider.objects.create(
            team=team, name=f"{name} API", host="h.example.org", key_certificate=version.certificate
        )
    watch.find_due(NOW)
    return version


def mails() -> list[Notice]:
    return list(Notice.objects.filter(channel="email").order_by("recipient"))


def text_of(message: EmailMessage, kind: str = "plain") -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


class TestMessage:
    def test_it_says_what_fails_when_why_and_where_to_replace_it(self, cast: Cast, mailbox: Mailbox) -> None:
        version = due(cast.team, Link("orders", end=90), Link("Issuing CA 2", end=5, life=3000))
        assert deliver(NOW) == Delivered(messages=1, notices=1)
        (message,) = mailbox.messages
        assert mailbox.recipients == [cast.owner.email]
        assert message["Subject"] == "orders-client fails in 5 days"
        assert message["Auto-Submitted"] == "auto-generated"
        for kind in ("plain", "html"):
            text = text_of(message, kind)
            assert "6 Jun 2026, 12:00 UTC" in text
            assert "because Issuing CA 2, a link of its chain, ends" in text
            assert f"http://localhost:8000/certificates/{version.certificate.pk}/replace/" in text
            assert "orders-client API" in text
            assert "Payments" in text

    def test_what_nothing_uses_is_to_be_deleted(self, cast: Cast, mailbox: Mailbox) -> None:
        version = due(cast.team, used=False)
        deliver(NOW)
        for kind in ("plain", "html"):
            text = text_of(mailbox.messages[0], kind)
            assert "Nothing uses it. Delete it" in text
            assert f"/certificates/{version.certificate.pk}/" in text
            assert f"/certificates/{version.certificate.pk}/replace/" not in text

    def test_one_message_per_recipient_and_run(self, cast: Cast, mailbox: Mailbox) -> None:
        for number, owner in enumerate((cast.owner, cast.owner, cast.owner, cast.editor)):
            due(cast.team, IN_TIME, name=f"client-{number}", owner=owner)
        assert deliver(NOW) == Delivered(messages=2, notices=4)
        assert sorted(mailbox.recipients) == [cast.editor.email, cast.owner.email]
        to_owner = mailbox.messages[mailbox.recipients.index(cast.owner.email)]
        assert to_owner["Subject"] == "3 certificates fail within 20 days: client-0, client-1, client-2"
        assert all(f"client-{number} fails" in text_of(to_owner) for number in range(3))
        assert "client-3" not in text_of(to_owner)

    def test_several_ends_of_one_certificate_are_one_item(self, cast: Cast, mailbox: Mailbox) -> None:
        roots = [Link("Root A", end=5, life=3000), Link("Root B", end=6, life=3000), Link("Root C", end=900)]
        due(cast.team, *roots, kind="trust", name="partner-cas", used=False)
        assert deliver(NOW).notices == 2
        (message,) = mailbox.messages
        assert message["Subject"] == "partner-cas: 1 of 3 ends in 5 days"
        assert "Also: Root B ends in 6 days" in text_of(message)
        assert "Root C" not in text_of(message)

    def test_of_two_stages_that_wait_together_the_farthest_is_said(
        self, cast: Cast, mailbox: Mailbox
    ) -> None:
        due(cast.team, Link("orders", end=20))
        watch.find_due(day(15))
        deliver(day(15))
        assert "Also" not in text_of(mailbox.messages[0])
        assert "Urgent" in text_of(mailbox.messages[0], "html")

    def test_instants_are_in_the_readers_zone(self, cast: Cast, mailbox: Mailbox) -> None:
        User.objects.filter(pk=cast.owner.pk).update(time_zone="Europe/Berlin")
        due(cast.team)
        deliver(NOW)
        assert "6 Jun 2026, 14:00 CEST" in text_of(mailbox.messages[0])

    def test_names_from_outside_can_forge_nothing(self, cast: Cast, mailbox: Mailbox) -> None:
        evil = Link("x\r\nBcc: all@example.org\u202e<script>", end=5, life=3000)
        due(cast.team, Link("orders", end=50), evil, name="a\nb")
        deliver(NOW)
        (message,) = mailbox.messages
        assert message["Bcc"] is None
        assert message["Subject"] == "a\\u000ab fails in 5 days"
        assert "\u202e" not in text_of(message)
        assert "<script>" not in text_of(message, "html")

    def test_a_long_digest_is_cut_and_says_so(self, cast: Cast, mailbox: Mailbox) -> None:
        for number in range(53):
            watched(cast.team, SOON, name=f"client-{number:02}")
        watch.find_due(NOW)
        deliver(NOW)
        (message,) = mailbox.messages
        assert "And 3 more; the most urgent stand above" in text_of(message)
        assert message["Subject"].startswith("53 certificates fail within 5 days: client-0")
        assert message["Subject"].endswith(", ...")


class TestOutcome:
    def test_what_was_sent_is_not_sent_again(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team)
        deliver(NOW)
        assert deliver(LATER) == Delivered()
        (notice,) = mails()
        assert (notice.state, notice.attempts, notice.attempted_at, notice.sent_at) == ("sent", 1, NOW, NOW)
        assert notice.seconds is not None

    def test_the_attempt_is_saved_before_the_message_is_sent(
        self, cast: Cast, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        due(cast.team)
        seen: list[Notice] = []

        def die_looking(digest: object) -> None:
            seen.extend(mails())
            raise KeyboardInterrupt

        monkeypatch.setattr(email, "compose", die_looking)
        with pytest.raises(KeyboardInterrupt):
            deliver(NOW)
        assert [(one.state, one.attempts, one.attempted_at) for one in seen] == [("sending", 1, NOW)]

    def test_a_sender_that_died_is_followed_after_a_quarter_of_an_hour_by_the_same_message(
        self, cast: Cast, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        due(cast.team)
        with monkeypatch.context() as patch:
            patch.setattr(delivery, "_record_sent", _die)
            with pytest.raises(KeyboardInterrupt):
                deliver(NOW)
        due(cast.team, name="second")
        due(cast.team, name="third")
        Notice.objects.filter(flag__version__certificate__name="third").update(due_at=NOW + STUCK_AFTER)
        assert deliver(NOW + STUCK_AFTER - dt.timedelta(seconds=1)) == Delivered(messages=1, notices=1)
        assert deliver(NOW + STUCK_AFTER) == Delivered(messages=2, notices=2)
        first, _, *late = (message["Message-ID"] for message in mailbox.messages)
        assert late.count(first) == 1

    def test_what_somebody_else_has_taken_is_left_alone(self, cast: Cast) -> None:
        due(cast.team, name="first")
        due(cast.team, name="second")
        group = Group("email", cast.owner.email, None)
        assert delivery._claim(group, NOW) == 2
        due(cast.team, name="third")
        assert delivery._claim(group, NOW + dt.timedelta(seconds=1)) == 1
        assert [notice.attempts for notice in mails()] == [1, 1, 1]

    @pytest.mark.parametrize(
        "answer",
        ["450 4.2.1 Mailbox busy", "451 4.7.1 Greylisted", "452 4.3.1 Full"],
        ids=lambda text: text[:3],
    )
    def test_a_4xx_is_tried_again_later_and_later(self, cast: Cast, mailbox: Mailbox, answer: str) -> None:
        due(cast.team)
        mailbox.answers[cast.owner.email] = answer
        assert deliver(NOW) == Delivered(later=1)
        (notice,) = mails()
        assert (notice.state, notice.attempts, notice.due_at) == ("waiting", 1, NOW + PAUSES[0])
        assert answer in notice.error
        assert deliver(NOW + PAUSES[0] - dt.timedelta(seconds=1)) == Delivered()
        second = NOW + PAUSES[0]
        assert deliver(second) == Delivered(later=1)
        assert mails()[0].due_at == second + PAUSES[1]
        mailbox.answers.clear()
        assert deliver(second + PAUSES[1]) == Delivered(messages=1, notices=1)
        assert mails()[0].error == ""

    def test_trying_again_ends(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team)
        mailbox.answers[cast.owner.email] = "450 Busy"
        at, outcomes = NOW, []
        while mails()[0].state == "waiting":
            outcomes.append(deliver(at))
            at = max(at, mails()[0].due_at)
        assert outcomes == [Delivered(later=1)] * len(PAUSES) + [Delivered(failed=1)]
        assert deliver(at + dt.timedelta(days=9)) == Delivered()

    @pytest.mark.parametrize("command", ["RCPT", "DATA"])
    def test_a_5xx_is_given_up_and_says_why(self, cast: Cast, mailbox: Mailbox, command: str) -> None:
        due(cast.team)
        if command == "RCPT":
            mailbox.answers[cast.owner.email] = "550 5.1.1 No such user"
        else:
            mailbox.data_answer = "550 5.1.1 No such user"
        assert deliver(NOW) == Delivered(failed=1)
        (notice,) = mails()
        assert (notice.state, notice.error) == ("failed", "The mail server answered 550 5.1.1 No such user")
        assert deliver(LATER) == Delivered()

    def test_one_recipient_that_is_refused_keeps_no_other_from_being_told(
        self, cast: Cast, mailbox: Mailbox
    ) -> None:
        due(cast.team, IN_TIME, name="first", owner=cast.editor)
        due(cast.team, IN_TIME, name="second", owner=cast.owner)
        mailbox.answers[cast.editor.email] = "550 No such user"
        assert deliver(NOW) == Delivered(messages=1, notices=1, failed=1)

    def test_without_a_server_the_run_ends_and_all_are_told_when_it_is_back(
        self, cast: Cast, mailbox: Mailbox, settings: Settings
    ) -> None:
        due(cast.team, IN_TIME, name="first", owner=cast.editor)
        due(cast.team, IN_TIME, name="second", owner=cast.owner)
        port, settings.EMAIL_PORT = settings.EMAIL_PORT, 9
        done = deliver(NOW)
        assert (done.later, done.messages, list(done.lost)) == (1, 0, ["email"])
        assert "cannot be reached" in mails()[0].error
        assert [notice.attempts for notice in mails()] == [0, 0], "nobody was asked to take them"
        settings.EMAIL_PORT = port
        assert deliver(LATER) == Delivered(messages=2, notices=2)

    def test_a_message_that_cannot_be_made_keeps_no_other_from_being_sent(
        self, cast: Cast, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        due(cast.team, IN_TIME, name="first", owner=cast.editor)
        due(cast.team, IN_TIME, name="second", owner=cast.owner)
        plain = email.compose

        def fail_for_the_editor(digest: Digest) -> EmailMultiAlternatives:
            if digest.user == cast.editor:
                raise ValueError("a template is broken")
            return plain(digest)

        monkeypatch.setattr(email, "compose", fail_for_the_editor)
        assert deliver(NOW) == Delivered(messages=1, notices=1, later=1)
        assert "could not be made" in caplog.text

    def test_what_was_withdrawn_while_it_was_sent_stays_withdrawn(
        self, cast: Cast, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version = due(cast.team)
        plain = email.compose

        def replaced_meanwhile(digest: Digest) -> EmailMultiAlternatives:
            watch.stop(version, NOW)
            return plain(digest)

        monkeypatch.setattr(email, "compose", replaced_meanwhile)
        deliver(NOW)
        assert mails() == []

    def test_a_slow_sender_does_not_undo_what_another_has_done_since(
        self, cast: Cast, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        due(cast.team)
        plain = email.compose

        def sent_meanwhile(digest: Digest) -> EmailMultiAlternatives:
            monkeypatch.setattr(email, "compose", plain)
            assert deliver(NOW + STUCK_AFTER) == Delivered(messages=1, notices=1)
            mailbox.answers[cast.owner.email] = "450 Busy"
            return plain(digest)

        monkeypatch.setattr(email, "compose", sent_meanwhile)
        deliver(NOW)
        assert [(notice.state, notice.attempts) for notice in mails()] == [("sent", 2)]

    def test_who_left_the_team_is_not_told_any_more(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team, IN_TIME, owner=cast.editor)
        Membership.objects.filter(user=cast.editor).delete()
        done = deliver(NOW)
        assert (done.messages, done.dropped, mailbox.messages) == (0, 1, [])
        dropped, instead = sorted(mails(), key=lambda notice: notice.state)
        assert (dropped.recipient, dropped.state) == (cast.editor.email, "dropped")
        assert (instead.recipient, instead.state) == (cast.owner.email, "waiting")


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.django_db(transaction=True)
def test_ten_senders_at_once_send_each_message_once(cast: Cast, mailbox: Mailbox) -> None:
    for number in range(10):
        user = User.objects.create_user(email=f"person-{number}@example.org")
        Membership.objects.create(team=cast.team, user=user, role=Role.EDITOR)
        for part in range(3):
            watched(cast.team, IN_TIME, name=f"client-{number}-{part}", owner=user)
    watch.find_due(NOW)
    barrier = threading.Barrier(10)

    def send(_: int) -> Delivered:
        try:
            barrier.wait()
            return deliver(NOW)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(send, range(10)))
    assert sorted(mailbox.recipients) == sorted(f"person-{number}@example.org" for number in range(10))
    assert (
        sum(one.notices for one in done) == Notice.objects.filter(channel="email", state="sent").count() == 30
    )


class TestInbox:
    def test_a_notice_stands_in_the_inbox_and_in_the_count_until_it_is_read(self, cast: Cast) -> None:
        due(cast.team)
        client = client_of(cast.owner)
        page = client.get("/notices/").content.decode()
        assert "orders-client fails in 5 days" in page
        assert '1<span class="visually-hidden"> unread' in page
        notice = Notice.objects.get(channel="portal")
        assert client.post(f"/notices/{notice.pk}/read/").status_code == 302
        notice.refresh_from_db()
        assert notice.read_at == NOW
        page = client.get("/notices/").content.decode()
        assert "orders-client fails in 5 days" in page
        assert 'class="visually-hidden"> unread' not in page

    def test_all_are_read_at_once_in_the_team_shown(self, cast: Cast) -> None:
        Membership.objects.create(team=cast.other_team, user=cast.owner, role=Role.OWNER)
        due(cast.team, name="here")
        due(cast.team, name="here-too")
        due(cast.other_team, name="there")
        client_of(cast.owner).post("/notices/read/")
        unread = Notice.objects.inbox(cast.owner).unread()
        assert [notice.team for notice in unread] == [cast.other_team]

    def test_nobody_reads_or_marks_a_teammates_notice(self, cast: Cast) -> None:
        due(cast.team, owner=cast.owner)
        notice = Notice.objects.get(channel="portal")
        client = client_of(cast.editor)
        assert "orders-client" not in client.get("/notices/").content.decode()
        assert client.post(f"/notices/{notice.pk}/read/").status_code == 404
        notice.refresh_from_db()
        assert notice.read_at is None

    def test_a_mail_is_no_entry_of_the_inbox(self, cast: Cast) -> None:
        due(cast.team)
        assert len(client_of(cast.owner).get("/notices/").context["page"].rows) == 1

    def test_what_was_replaced_is_said_to_be_done(self, cast: Cast) -> None:
        version = due(cast.team)
        watch.stop(version, NOW)
        page = client_of(cast.owner).get("/notices/").content.decode()
        assert "Done" in page
        assert 'class="visually-hidden"> unread' not in page

    def test_what_could_not_be_delivered_is_shown_to_owners(self, cast: Cast) -> None:
        due(cast.team, owner=cast.editor)
        due(cast.other_team, name="theirs")
        Notice.objects.filter(channel="email").update(
            state=Notice.State.FAILED, attempted_at=NOW, error="The mail server answered 550 No such user"
        )
        page = client_of(cast.owner).get("/notices/").content.decode()
        assert "550 No such user" in page
        assert cast.editor.email in page
        assert "theirs" not in page
        assert "550" not in client_of(cast.editor).get("/notices/").content.decode()

    def test_an_empty_inbox_says_what_comes_here(self, cast: Cast) -> None:
        assert "No notices yet" in client_of(cast.viewer).get("/notices/").content.decode()


def test_an_address_is_told_as_a_member_of_one_team_and_as_a_plain_address_of_another(
    cast: Cast, mailbox: Mailbox
) -> None:
    Team.objects.filter(pk=cast.other_team.pk).update(policy={"addresses": [cast.owner.email]})
    due(cast.team, name="ours")
    due(cast.other_team, name="theirs")
    deliver(NOW)
    mine = next(message for message in mailbox.messages if message["To"] == cast.owner.email)
    assert "ours" in text_of(mine)
    assert "theirs" in text_of(mine)
    assert not Notice.objects.filter(state="dropped").exists()


def test_what_is_sent_is_found_among_all_that_ever_was_by_an_index(cast: Cast) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    group = Group("email", cast.owner.email, None)
    for rows in (group.due(NOW), delivery._mine(group, NOW)):
        assert "notice_of_recipient" in rows.explain()
    assert "notice_due" in Notice.objects.due(NOW).order_by().explain()
