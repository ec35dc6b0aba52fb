"""What one mail says: its subject, its parts, and how little it asks however much there is to tell."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.ids import digest
from stores import notices, watch
from stores.models import Certificate, ChainCertificate, IssuerNote, Notice, Version, Watcher
from stores.notices.delivery import deliver
from stores.notices.digest import MOST_SHOWN
from tests.cast import Cast
from tests.mail_server import Mailbox
from tests.material import NOW
from tests.stores.test_notices import due, text_of
from tests.stores.watched import Link, row, watched

pytestmark = pytest.mark.usefixtures("now")


def subject(cast: Cast, mailbox: Mailbox) -> str:
    """Of the one mail to the owner."""
    watch.find_due(NOW)
    deliver(NOW)
    (message,) = mailbox.messages
    return str(message["Subject"])


def certificates(cast: Cast, *ends: float, kind: str = "key") -> None:
    """One certificate for each end, in days from now: `client-0`, `client-1`, ..."""
    for number, end in enumerate(ends):
        links = [Link(f"client-{number}", end=end, life=360)]
        if kind == "trust":
            links.append(Link("another", end=900, life=1000))
        watched(cast.team, *links, name=f"client-{number}", kind=kind)


class TestSubject:
    def test_one_is_named_with_its_end(self, cast: Cast, mailbox: Mailbox) -> None:
        certificates(cast, 5)
        assert subject(cast, mailbox) == "client-0 fails in 5 days"

    def test_the_most_urgent_are_counted_and_named(self, cast: Cast, mailbox: Mailbox) -> None:
        certificates(cast, 5, 6.5)
        assert subject(cast, mailbox) == "2 certificates fail within 7 days: client-0, client-1"

    def test_what_is_less_urgent_is_only_counted(self, cast: Cast, mailbox: Mailbox) -> None:
        certificates(cast, 5, 1, 50, 20, 3, 4)
        expected = "4 certificates fail within 5 days: client-1, client-4, client-5, ..., and 2 more"
        assert subject(cast, mailbox) == expected

    def test_what_has_failed_comes_first(self, cast: Cast, mailbox: Mailbox) -> None:
        certificates(cast, -1, 5, -2, 6, 50)
        expected = "2 certificates have failed: client-2, client-0, and 3 more end soon"
        assert subject(cast, mailbox) == expected

    def test_one_that_has_failed_is_told_with_its_end(self, cast: Cast, mailbox: Mailbox) -> None:
        certificates(cast, -1, 5)
        assert subject(cast, mailbox) == "client-0 failed 1 day ago, and 1 more ends soon"

    def test_the_last_day_is_called_so(self, cast: Cast, mailbox: Mailbox) -> None:
        certificates(cast, 0.5, 0.9)
        assert subject(cast, mailbox) == "2 certificates fail within a day: client-0, client-1"

    def test_bundles_end_and_do_not_fail(self, cast: Cast, mailbox: Mailbox) -> None:
        certificates(cast, -3, -1, kind="trust")
        assert subject(cast, mailbox) == "2 certificates have ended: client-0, client-1"

    def test_a_long_name_leaves_room_for_others(self, cast: Cast, mailbox: Mailbox) -> None:
        certificates(cast, 5)
        watched(cast.team, Link("x", end=6), name="x" * 100)
        assert subject(cast, mailbox) == f"2 certificates fail within 6 days: client-0, {'x' * 37}..."

    def test_of_a_bundle_the_gravest_stage_counts_though_another_root_ends_sooner(
        self, cast: Cast, mailbox: Mailbox
    ) -> None:
        short = Link("Short root", end=5, life=47)
        watched(cast.team, short, Link("Long root", end=6, life=3000), name="roots", kind="trust")
        watched(cast.team, Link("later", end=50), name="later")
        notices.tell(team=cast.team, people=[cast.owner], key="k", title="Note", text="x", url="/", now=NOW)
        assert subject(cast, mailbox) == "roots: 1 of 2 ends in 5 days, and 2 more"

    def test_a_message_is_named_by_its_title(self, cast: Cast, mailbox: Mailbox) -> None:
        certificates(cast, 50)
        notices.tell(team=cast.team, people=[cast.owner], key="k", title="Note", text="x", url="/", now=NOW)
        assert subject(cast, mailbox) == "Note, and 1 more"


class TestParts:
    def test_how_to_renew_here_is_said_once_per_issuer(self, cast: Cast, mailbox: Mailbox) -> None:
        note = "Ask pki@example.org\nfor a CSR slot <script>."
        IssuerNote.objects.create(
            team=cast.team,
            issuer="CN=Somebody",
            issuer_sha256=digest("CN=Somebody"),
            text=note,
            updated_at=NOW,
        )
        due(cast.team, name="orders")
        due(cast.team, name="billing")
        deliver(NOW)
        (message,) = mailbox.messages
        text, html = text_of(message), text_of(message, "html")
        assert text.count(note) == 1
        assert html.count("for a CSR slot &lt;script&gt;.") == 1
        for part in (text, html):
            assert part.count("How to renew here") == 2
            assert "as said above at billing" in part

    @pytest.mark.parametrize(
        ("severity", "words"),
        [("info", "Note"), ("warning", "Warning"), ("urgent", "Urgent"), ("expired", "Expired")],
    )
    def test_how_grave_a_message_is_stands_above_it(
        self, cast: Cast, mailbox: Mailbox, severity: str, words: str
    ) -> None:
        said = {"key": "k", "title": "It changed", "text": "x", "url": "/", "severity": severity}
        notices.tell(team=cast.team, people=[cast.owner], now=NOW, **said)  # type: ignore[arg-type]
        deliver(NOW)
        assert f"{words}: It changed" in text_of(mailbox.messages[0])
        html = text_of(mailbox.messages[0], "html")
        assert f'<div class="card is-{severity}">' in html
        assert f'<p class="state">{words}</p>' in html

    def test_both_parts_say_where_to_be_told_less(self, cast: Cast, mailbox: Mailbox) -> None:
        due(cast.team)
        deliver(NOW)
        for kind in ("plain", "html"):
            text = text_of(mailbox.messages[0], kind)
            assert "http://localhost:8000/notices/preferences/" in text
            assert "http://localhost:8000/notices/unsubscribe/" in text
            assert "only what has expired" in text


class TestSize:
    """Ten thousand notices cost what fifty do, but for one lean row each."""

    def fill(self, cast: Cast, count: int) -> None:
        first = watched(cast.team, Link("x", end=5), name="client-00000")
        certificate = first.certificate
        others = Certificate.objects.bulk_create(
            Certificate(
                team=cast.team,
                store=certificate.store,
                name=f"client-{number:05}",
                folded_name=f"client-{number:05}",
            )
            for number in range(1, count)
        )
        ends = {"fails_at": first.fails_at, "next_stage_at": first.next_stage_at}
        versions = Version.objects.bulk_create(
            Version(
                team=cast.team, certificate=one, number=1, state="active", format="pem", file_name="x", file_size=1, created_at=NOW,
                activated_at=NOW, original="tests", sealed_with="tests", **ends,
            )
            for one in others
        )  # fmt: skip
        link = Link("x", end=5)
        ChainCertificate.objects.bulk_create(row(version, 0, link) for version in versions)
        watch.find_due(NOW)

    @pytest.mark.parametrize("plain", [False, True], ids=["person", "address"])
    def test_the_questions_do_not_grow(self, cast: Cast, mailbox: Mailbox, plain: bool) -> None:
        asked = []
        for count in (60, 600):
            Version.objects.all().delete()
            Certificate.objects.all().delete()
            self.fill(cast, count)
            if plain:
                self.watch_all(cast, "ops@example.org")
            with CaptureQueriesContext(connection) as counted:
                done = deliver(NOW)
            assert (done.messages, done.notices) == (1, count)
            asked.append(len(counted))
        few, many = asked
        assert few == many <= 30
        message = mailbox.messages[-1]
        assert str(message["Subject"]).startswith("600 certificates fail within 5 days: client-0")
        assert f"And {600 - MOST_SHOWN} more" in text_of(message)
        assert len(text_of(message, "html")) < 100_000

    def watch_all(self, cast: Cast, address: str) -> None:
        """The notices go to a plain address instead."""
        Watcher.objects.bulk_create(
            Watcher(team=cast.team, certificate=one, email=address, added_at=NOW)
            for one in cast.team.certificates.all()
        )
        Notice.objects.filter(channel="email").update(recipient=address, user=None)


def test_a_mail_that_waits_says_the_time_at_which_it_is_sent(cast: Cast, mailbox: Mailbox) -> None:
    due(cast.team)
    mailbox.answers[cast.owner.email] = "450 Busy"
    deliver(NOW)
    mailbox.answers.clear()
    deliver(NOW + dt.timedelta(days=2))
    assert mailbox.messages[0]["Subject"] == "orders-client fails in 3 days"
