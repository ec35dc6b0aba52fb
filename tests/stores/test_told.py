"""What is told and is no stage of a version: once under its key, beside the ends of certificates in the inbox and in mails."""

from __future__ import annotations

from typing import Any

import pytest

from portal.models import Membership, Role, User
from providers.models import Provider
from stores import notices
from stores.models import Notice
from stores.notices.delivery import Delivered, deliver
from tests.cast import Cast, client_of
from tests.mail_server import Mailbox
from tests.material import NOW
from tests.stores.test_notices import due, text_of
from tests.stores.watched import Link

pytestmark = pytest.mark.usefixtures("now")
TITLE, TEXT = "Orders API shows a new certificate", "Its server's certificate was renewed by the same issuer."


def tell(cast: Cast, *people: User, **more: Any) -> int:
    """Tells the owner of a change, or what is given."""
    said = {"key": "change/1", "title": TITLE, "text": TEXT, "url": "/providers/x/changes/"} | more
    return notices.tell(team=cast.team, people=people or [cast.owner], now=NOW, **said)


class TestTelling:
    def test_it_waits_as_a_mail_and_lies_in_the_inbox(self, cast: Cast) -> None:
        assert tell(cast) == 2
        inbox, mail = Notice.objects.order_by("-channel")
        assert (inbox.channel, inbox.state, inbox.recipient) == ("portal", "sent", cast.owner.email)
        assert (mail.channel, mail.state, mail.flag) == ("email", "waiting", None)
        assert (mail.title, mail.text, mail.url) == (TITLE, TEXT, "/providers/x/changes/")

    def test_under_one_key_each_person_is_told_once(self, cast: Cast) -> None:
        tell(cast)
        tell(cast, cast.owner, cast.editor)
        tell(cast, key="change/2")
        assert Notice.objects.filter(channel="portal", key="change/1").count() == 2
        assert Notice.objects.filter(channel="portal", user=cast.owner).count() == 2

    def test_that_nobody_can_be_told_is_logged(self, cast: Cast, caplog: pytest.LogCaptureFixture) -> None:
        assert notices.tell(team=cast.team, people=[], key="k", title="t", text="", url="", now=NOW) == 0
        assert "nobody can be told" in caplog.text

    def test_the_owner_of_a_provider_is_told_while_a_member_else_the_teams_owners(self, cast: Cast) -> None:
        provider = Provider(team=cast.team, name="orders", host="h.example.org", owner=cast.viewer)
        assert notices.people_of(provider) == [cast.viewer]
        Membership.objects.filter(user=cast.viewer).delete()
        assert notices.people_of(provider) == [cast.owner]
        provider.owner = None
        Membership.objects.create(
            team=cast.team, user=User.objects.create_user(email="b@example.org"), role=Role.OWNER
        )
        assert len(notices.people_of(provider)) == 2


class TestMail:
    def test_alone_it_makes_the_subject_and_speaks_of_no_replacement(
        self,
        cast: Cast,
        mailbox: Mailbox,
    ) -> None:
        tell(cast)
        assert deliver(NOW) == Delivered(messages=1, notices=1)
        (message,) = mailbox.messages
        assert message["Subject"] == TITLE
        for kind in ("plain", "html"):
            text = text_of(message, kind)
            assert TITLE in text
            assert "http://localhost:8000/providers/x/changes/" in text
            assert "Payments" in text
            assert "to be replaced" not in text
            assert "http://localhost:8000/notices/" in text
        assert TEXT in text_of(message)

    def test_what_soon_fails_is_named_before_it_and_what_fails_later_after_it(
        self,
        cast: Cast,
        mailbox: Mailbox,
    ) -> None:
        due(cast.team, Link("later", end=50), name="later")
        tell(cast)
        due(cast.team, name="sooner")
        assert deliver(NOW) == Delivered(messages=1, notices=3)
        (message,) = mailbox.messages
        assert message["Subject"] == "sooner fails in 5 days, and 2 more"
        text = text_of(message)
        assert text.index("sooner fails") < text.index(TITLE) < text.index("later fails")
        assert "All that has to be replaced" in text

    def test_names_from_outside_can_forge_nothing(self, cast: Cast, mailbox: Mailbox) -> None:
        tell(cast, title="x\r\nBcc: all@example.org\u202e<script>", text="\u202e<script>")
        deliver(NOW)
        (message,) = mailbox.messages
        assert message["Bcc"] is None
        assert "\u202e" not in text_of(message)
        assert "<script>" not in text_of(message, "html")


class TestInbox:
    def test_it_stands_among_the_ends_of_certificates_and_counts_until_it_is_read(self, cast: Cast) -> None:
        due(cast.team)
        tell(cast)
        client = client_of(cast.owner)
        page = client.get("/notices/").content.decode()
        assert "orders-client fails in 5 days" in page
        assert f'<a href="/providers/x/changes/" class="fw-bold">{TITLE}</a>' in page
        assert "renewed by the same issuer" in page
        assert '2<span class="visually-hidden"> unread' in page
        client.post(f"/notices/{Notice.objects.get(channel='portal', flag=None).pk}/read/")
        assert '1<span class="visually-hidden"> unread' in client.get("/notices/").content.decode()

    def test_a_mail_that_could_not_be_delivered_is_shown_to_owners(self, cast: Cast) -> None:
        tell(cast, cast.editor)
        Notice.objects.filter(channel="email").update(
            state="failed", attempted_at=NOW, error="550 No such user"
        )
        page = client_of(cast.owner).get("/notices/").content.decode()
        assert "550 No such user" in page
        assert TITLE in page
