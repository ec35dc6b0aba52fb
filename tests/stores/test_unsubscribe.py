"""The way out of mails: signed, without signing in, in one click, and only what it says (RFC 8058)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from portal.models import AuditEvent, Team
from stores import notices, policy, watch
from stores.models import Notice, Preferences, Watcher
from stores.notices.delivery import deliver
from tests.cast import Cast, client_of
from tests.mail_server import Mailbox
from tests.material import NOW
from tests.stores.test_notices import due
from tests.stores.watched import Link, watched

pytestmark = pytest.mark.usefixtures("now")
OPS = "ops@example.org"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def way_out(mailbox: Mailbox, recipient: str) -> str:
    """The path in the header of the last mail to somebody."""
    message = mailbox.messages[len(mailbox.recipients) - 1 - mailbox.recipients[::-1].index(recipient)]
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    header = message["List-Unsubscribe"].strip()
    found = re.fullmatch(r"<http://localhost:8000(/notices/unsubscribe/[^>]+)>", header)
    assert found
    return found[1]


def stranger() -> Client:
    """A mail program: no session, and forms without our token are refused where they have to have one."""
    return Client(enforce_csrf_checks=True)


def named(team: Team, *addresses: str) -> None:
    team.policy = policy.write(policy.TeamPolicy(addresses=addresses))
    team.save()


def watching(cast: Cast, name: str, *addresses: str) -> Any:
    version = watched(cast.team, Link(name, end=5), name=name)
    for address in addresses:
        Watcher.objects.create(
            team=cast.team, certificate=version.certificate, email=address, added_at=NOW, added_by=cast.owner
        )
    return version


class TestPerson:
    def test_looking_at_the_page_changes_nothing(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team)
        deliver(NOW)
        answer = stranger().get(way_out(mailbox, cast.owner.email))
        assert answer.status_code == 200
        assert "Mail me only what has expired" in answer.content.decode()
        assert answer["Cache-Control"].startswith("max-age=0")
        assert not Preferences.objects.exists()

    def test_one_click_silences_all_but_what_has_expired(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team)
        deliver(NOW)
        answer = stranger().post(way_out(mailbox, cast.owner.email), ONE_CLICK)
        assert answer.status_code == 200
        assert "always mailed" in answer.content.decode()
        said = Preferences.objects.get(user=cast.owner)
        assert sorted(said.silent) == ["info", "notice", "urgent", "warning"]
        assert said.summary
        due(cast.team, name="second")
        deliver(NOW)
        assert len(mailbox.messages) == 1
        due(cast.team, Link("x", end=-1), name="third")
        deliver(NOW)
        assert mailbox.messages[1]["Subject"] == "third failed 1 day ago"

    def test_clicking_twice_is_one_change(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team)
        deliver(NOW)
        address = way_out(mailbox, cast.owner.email)
        assert [stranger().post(address, ONE_CLICK).status_code for _ in range(2)] == [200, 200]
        (event,) = AuditEvent.objects.filter(action="mail.chosen")
        assert (event.actor, event.address) == (cast.owner, "127.0.0.1")
        assert "gets no notices by mail any more" in stranger().get(address).content.decode()

    def test_nobody_elses_mail_is_touched(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team, owner=cast.editor)
        deliver(NOW)
        stranger().post(way_out(mailbox, cast.editor.email), ONE_CLICK)
        assert [said.user for said in Preferences.objects.all()] == [cast.editor]

    def test_what_waits_and_is_not_wanted_stays_unsent(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team)
        deliver(NOW)
        due(cast.team, name="second")
        notices.tell(team=cast.team, people=[cast.owner], key="k", title="Note", text="x", url="/", now=NOW)
        due(cast.team, Link("x", end=-1), name="gone")
        stranger().post(way_out(mailbox, cast.owner.email), ONE_CLICK)
        deliver(NOW)
        assert [message["Subject"] for message in mailbox.messages[1:]] == ["gone failed 1 day ago"]
        dropped = Notice.objects.filter(state="dropped")
        assert {notice.error for notice in dropped} == {"Its recipient wants no mail of this kind."}
        assert dropped.count() == 2

    def test_what_has_expired_is_told_whatever_was_kept(self, cast: Cast, mailbox: Mailbox) -> None:
        Preferences.objects.create(user=cast.owner, silent=["expired"])
        said = {"key": "k", "title": "It ended", "text": "x", "url": "/", "severity": "expired"}
        notices.tell(team=cast.team, people=[cast.owner], now=NOW, **said)  # type: ignore[arg-type]
        due(cast.team, Link("x", end=-1))
        assert deliver(NOW).notices == 2


class TestAddress:
    def test_a_watcher_watches_that_certificate_no_longer(self, cast: Cast, mailbox: Mailbox) -> None:
        watching(cast, "orders", OPS, "other@example.org")
        watching(cast, "quiet", OPS)
        watch.find_due(NOW)
        Notice.objects.filter(recipient=OPS, flag__version__certificate__name="quiet").delete()
        deliver(NOW)
        answer = stranger().post(way_out(mailbox, OPS), ONE_CLICK)
        assert "<b>orders</b>" in answer.content.decode()
        left = {(one.certificate.name, one.email) for one in Watcher.objects.all()}
        assert left == {("orders", "other@example.org"), ("quiet", OPS)}
        (event,) = AuditEvent.objects.filter(action="watcher.removed")
        assert (event.actor, event.actor_name, event.object_name) == (None, OPS, "orders")

    def test_a_mail_of_several_certificates_ends_all_of_the_team(self, cast: Cast, mailbox: Mailbox) -> None:
        for name in ("orders", "billing"):
            watching(cast, name, OPS)
        quiet = watched(cast.team, Link("quiet", end=300), name="quiet")
        theirs = watched(cast.other_team, Link("theirs", end=300), name="theirs")
        for version in (quiet, theirs):
            Watcher.objects.create(
                team=version.team, certificate=version.certificate, email=OPS, added_at=NOW
            )
        watch.find_due(NOW)
        deliver(NOW)
        page = stranger().get(way_out(mailbox, OPS)).content.decode()
        assert "any certificate of" in page
        assert "<b>Payments</b>" in page
        stranger().post(way_out(mailbox, OPS), ONE_CLICK)
        assert [one.certificate.name for one in Watcher.objects.all()] == ["theirs"]

    def test_an_address_that_the_policy_names_is_taken_out_of_it(self, cast: Cast, mailbox: Mailbox) -> None:
        named(cast.team, OPS, "chief@example.org")
        due(cast.team)
        deliver(NOW)
        stranger().post(way_out(mailbox, OPS), ONE_CLICK)
        cast.team.refresh_from_db()
        assert policy.read(cast.team.policy).addresses == ("chief@example.org",)
        (event,) = AuditEvent.objects.filter(action="policy.address_left")
        assert (event.team, event.actor_name, event.facts) == (cast.team, OPS, {"email": OPS})

    def test_a_policy_that_cannot_be_read_keeps_nobody_in(self, cast: Cast, mailbox: Mailbox) -> None:
        watching(cast, "orders", OPS)
        watch.find_due(NOW)
        deliver(NOW)
        Team.objects.update(policy={"summary": 9})
        assert stranger().post(way_out(mailbox, OPS), ONE_CLICK).status_code == 200
        assert not Watcher.objects.exists()

    def test_what_waits_for_it_is_not_sent(self, cast: Cast, mailbox: Mailbox) -> None:
        watching(cast, "orders", OPS)
        watch.find_due(NOW)
        deliver(NOW)
        stranger().post(way_out(mailbox, OPS), ONE_CLICK)
        Notice.objects.filter(recipient=OPS).update(state="waiting", due_at=NOW)
        assert deliver(NOW).dropped == 1

    def test_a_certificate_that_is_gone_widens_nothing(self, cast: Cast, mailbox: Mailbox) -> None:
        version = watching(cast, "orders", OPS)
        watch.find_due(NOW)
        deliver(NOW)
        watching(cast, "billing", OPS)
        version.certificate.versions.all().delete()
        version.certificate.delete()
        assert stranger().post(way_out(mailbox, OPS), ONE_CLICK).status_code == 200
        assert [one.certificate.name for one in Watcher.objects.all()] == ["billing"]


class TestToken:
    def test_it_goes_over_the_wire_as_it_is(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team)
        deliver(NOW)
        (wire,) = mailbox.raw
        assert re.search(
            rb"^List-Unsubscribe: \s*<http://localhost:8000/notices/[^\s>]+/>\r$", wire, re.MULTILINE
        )
        assert b"\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in wire

    @pytest.mark.parametrize("method", ["get", "post"])
    def test_what_we_did_not_sign_does_nothing(self, cast: Cast, method: str) -> None:
        answer = getattr(stranger(), method)(reverse("stores:unsubscribe", args=["eyJ1c2VyIjoxfQ:x:y"]))
        assert answer.status_code == 404
        assert "stops nothing" in answer.content.decode()
        assert not Preferences.objects.exists()

    def test_a_changed_token_does_nothing(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team)
        deliver(NOW)
        address = way_out(mailbox, cast.owner.email)
        assert stranger().post(address[:-2] + ("A/" if address[-2] != "A" else "B/")).status_code == 404

    def test_it_opens_nothing_else(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team)
        deliver(NOW)
        browser = stranger()
        browser.post(way_out(mailbox, cast.owner.email), ONE_CLICK)
        assert browser.get("/notices/").status_code == 302

    def test_who_is_gone_has_nothing_to_stop(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team, owner=cast.editor)
        deliver(NOW)
        address = way_out(mailbox, cast.editor.email)
        cast.editor.delete()
        assert client_of(cast.owner).post(address).status_code == 404
