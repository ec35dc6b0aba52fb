"""Feeds: made, taken by programs, revoked; what they say, in a form that calendars and readers understand, and what they never say."""

from __future__ import annotations

import datetime as dt
import logging
import re
from typing import Any
from xml.etree import ElementTree

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from icalendar import Calendar, Event

from portal.audit import Actor
from portal.logs import Discreet
from portal.models import AuditEvent, Membership, User
from providers.models import Provider
from stores import feeds, notices, watch
from stores.feeds import atom, coming
from stores.models import Case, Certificate, Feed, Notice, Store
from tests.cast import Cast, client_of
from tests.material import NOW
from tests.stores.watched import Link, day, watched

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
ATOM = "{http://www.w3.org/2005/Atom}"
HOSTILE = (
    "a,b;c:d\\n\r\nBEGIN:VEVENT\r\nSUMMARY:forged\u2028\u202egnp\u202c\x0b\ufeff\ufffe“Ärzte” 🔑<b>&amp;]]>"
)
HOUR = dt.timedelta(hours=1)


def made(cast: Cast, user: User | None = None, scope: str = "team") -> tuple[Feed, str]:
    """A feed and the beginning of its addresses."""
    feed, token = feeds.make(
        team=cast.team, scope=Feed.Scope(scope), actor=Actor(user or cast.viewer), now=NOW
    )
    return feed, f"/feeds/{token}/"


def taken(address: str, status: int = 200, **headers: str) -> Any:
    answer = Client().get(address, headers=headers)
    assert answer.status_code == status
    return answer


def events(address: str) -> list[Event]:
    found: Any = Calendar.from_ical(taken(address + "calendar.ics").content)
    return list(found.walk("VEVENT"))


def summaries(address: str) -> list[str]:
    return [str(one["summary"]) for one in events(address)]


def entries(address: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(taken(address + "notices.atom").content).iter(f"{ATOM}entry"))


def titles(address: str) -> list[str]:
    return [str(one.findtext(f"{ATOM}title")) for one in entries(address)]


def used(version: Any, title: str = "Orders API", **more: Any) -> Provider:
    return Provider.objects.create(
        team=version.team, name=title.lower(), title=title, host="secret.example.org", key_certificate=version.certificate, **more
    )  # fmt: skip


class TestMaking:
    def test_the_addresses_are_shown_once_and_kept_as_a_digest(self, cast: Cast) -> None:
        viewer = client_of(cast.viewer)
        answer: Any = viewer.post("/notices/feeds/", {"scope": "mine"})
        found = re.findall(
            r"http://localhost:8000(/feeds/([\w-]{43})/(?:calendar.ics|notices.atom))<",
            answer.content.decode(),
        )
        assert len(found) == 2 and found[0][1] == found[1][1]
        assert "no-store" in answer["Cache-Control"]
        for address, token in found:
            taken(address)
            assert token not in viewer.get("/notices/feeds/").content.decode()
            assert token not in str([*Feed.objects.values(), *AuditEvent.objects.values()])
        assert Feed.objects.get().scope == "mine"

    def test_a_wrong_choice_is_said_at_its_field(self, cast: Cast) -> None:
        answer: Any = client_of(cast.viewer).post("/notices/feeds/", {"scope": "everything"})
        assert answer.status_code == 422
        assert "scope" in answer.context["form"].errors
        assert not Feed.objects.exists()

    def test_of_too_many_one_has_to_be_revoked_first(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(feeds, "MOST", 2)
        first, _ = made(cast)
        made(cast)
        made(cast, cast.owner)
        answer = client_of(cast.viewer).post("/notices/feeds/", {"scope": "team"})
        assert answer.status_code == 422
        assert "Revoke one" in answer.content.decode()
        feeds.revoke(feed=first, actor=cast.actor, now=NOW)
        assert client_of(cast.viewer).post("/notices/feeds/", {"scope": "team"}).status_code == 200

    def test_making_and_revoking_are_audited_and_taking_is_not(self, cast: Cast) -> None:
        feed, address = made(cast)
        events(address)
        entries(address)
        feeds.revoke(feed=feed, actor=cast.actor, now=NOW)
        feeds.revoke(feed=feed, actor=cast.actor, now=NOW)
        assert sorted(AuditEvent.objects.values_list("action", flat=True)) == ["feed.made", "feed.revoked"]


class TestWhoMay:
    def test_a_person_sees_and_revokes_their_own_and_an_owner_everybodys(self, cast: Cast) -> None:
        feed, address = made(cast, cast.editor)
        revoke = f"/notices/feeds/{feed.pk}/revoke/"
        assert "for Editor" not in client_of(cast.viewer).get("/notices/feeds/").content.decode()
        assert client_of(cast.viewer).post(revoke).status_code == 404
        taken(address + "calendar.ics")
        assert "for Editor" in client_of(cast.owner).get("/notices/feeds/").content.decode()
        assert client_of(cast.owner).post(revoke).status_code == 302
        taken(address + "calendar.ics", 404)
        taken(address + "notices.atom", 404)
        assert "Revoked" in client_of(cast.editor).get("/notices/feeds/").content.decode()

    @pytest.mark.parametrize("end", ["left the team", "was closed"])
    def test_it_opens_nothing_for_who_left_or_was_closed(self, cast: Cast, end: str) -> None:
        _, address = made(cast)
        if end == "left the team":
            Membership.objects.filter(user=cast.viewer).delete()
        else:
            User.objects.filter(pk=cast.viewer.pk).update(is_active=False)
        for name in ("calendar.ics", "notices.atom"):
            answer = taken(address + name, 404)
            assert answer["X-Robots-Tag"] == "noindex, nofollow"
        page = client_of(cast.owner).get("/notices/feeds/").content.decode()
        assert "Opens nothing" in page and "is in the team no longer" in page

    def test_of_a_person_in_two_teams_each_feed_shows_its_own(self, cast: Cast) -> None:
        watched(cast.other_team, Link("theirs", end=5), name="theirs")
        Membership.objects.create(team=cast.other_team, user=cast.viewer)
        assert summaries(made(cast)[1]) == []

    @pytest.mark.parametrize("token", ["wrong", "x" * 5000, "%F0%9F%94%91", "..%2e", "%ff%fe", "0" * 43])
    def test_a_wrong_secret_opens_nothing(self, cast: Cast, token: str) -> None:
        made(cast)
        for name in ("calendar.ics", "notices.atom"):
            taken(f"/feeds/{token}/{name}", 404)

    def test_it_is_read_only(self, cast: Cast) -> None:
        _, address = made(cast)
        assert Client().post(address + "calendar.ics").status_code == 405
        assert Client().head(address + "calendar.ics").status_code == 200


class TestTaking:
    @pytest.mark.parametrize("name", ["calendar.ics", "notices.atom"])
    def test_who_has_it_already_is_told_so(self, cast: Cast, name: str) -> None:
        watched(cast.team, Link("leaf", end=5))
        watch.find_due(NOW)
        _, address = made(cast)
        first = taken(address + name)
        assert first["Cache-Control"] == "private, no-cache"
        with time_machine.travel(NOW + 3 * HOUR, tick=False):
            again = taken(address + name, 304, if_none_match=first["ETag"])
        assert again.content == b""
        watched(cast.team, Link("next", end=4), name="next")
        watch.find_due(NOW)
        assert taken(address + name, if_none_match=first["ETag"])["ETag"] != first["ETag"]

    def test_an_empty_one_stays_the_same_as_well(self, cast: Cast) -> None:
        _, address = made(cast)
        for name in ("calendar.ics", "notices.atom"):
            first = taken(address + name)
            with time_machine.travel(NOW + HOUR, tick=False):
                taken(address + name, 304, if_none_match=first["ETag"])

    def test_it_sets_no_cookie_needs_none_and_asks_not_to_be_found(self, cast: Cast) -> None:
        _, address = made(cast)
        for name in ("calendar.ics", "notices.atom"):
            answer = taken(address + name)
            assert not answer.cookies
            assert answer["X-Robots-Tag"] == "noindex, nofollow"
            assert answer["Referrer-Policy"] == "no-referrer"
            assert client_of(cast.outsider).get(address + name).content == answer.content

    def test_that_it_was_taken_is_noted_to_the_hour(self, cast: Cast) -> None:
        feed, address = made(cast)
        with CaptureQueriesContext(connection) as queries:
            for minutes in (0, 10, 59):
                with time_machine.travel(NOW + dt.timedelta(minutes=minutes), tick=False):
                    taken(address + "calendar.ics")
        assert len([one for one in queries.captured_queries if one["sql"].startswith("UPDATE")]) == 1
        feed.refresh_from_db()
        assert feed.seen_at == NOW
        with time_machine.travel(NOW + 61 * dt.timedelta(minutes=1), tick=False):
            taken(address + "notices.atom")
        feed.refresh_from_db()
        assert feed.seen_at == NOW + HOUR

    @pytest.mark.parametrize("size", [2, 40])
    @pytest.mark.parametrize("name", ["calendar.ics", "notices.atom"])
    def test_the_number_of_queries_is_small_and_does_not_grow(self, cast: Cast, size: int, name: str) -> None:
        for number in range(size):
            used(watched(cast.team, Link("leaf", end=number), name=f"client-{number}"), f"api-{number}")
            watched(cast.team, Link("a", end=number), Link("b", end=9), name=f"cas-{number}", kind="trust")
        watch.find_due(NOW)
        _, address = made(cast, scope="mine")
        with CaptureQueriesContext(connection) as queries:
            taken(address + name)
        assert len(queries) <= 12

    def test_it_is_bounded(self, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(coming, "MOST", 3)
        monkeypatch.setattr(atom, "MOST", 3)
        for number in range(5):
            watched(cast.team, Link("leaf", end=number + 1), name=f"client-{number}")
        watched(cast.team, *(Link(f"Root {n}", end=n + 0.5) for n in range(5)), name="cas", kind="trust")
        watch.find_due(NOW)
        _, address = made(cast)
        assert summaries(address) == ["cas: Root 0 ends", "client-0 fails", "cas: Root 1 ends"]
        assert len(entries(address)) == 3

    def test_the_log_does_not_say_the_secret(self, cast: Cast) -> None:
        _, address = made(cast)
        record = logging.LogRecord(
            "django.request", logging.ERROR, "", 0, "Failed: %s", (address + "calendar.ics",), None
        )
        Discreet().filter(record)
        assert record.getMessage() == "Failed: /feeds/…/calendar.ics"


class TestCalendar:
    def test_it_says_what_fails_when_why_who_uses_it_and_what_to_do(self, cast: Cast) -> None:
        version = watched(cast.team, Link("orders", end=100), Link("Issuing CA 2", end=6, life=3000))
        used(version)
        [event] = events(made(cast)[1])
        assert event["summary"] == "orders-client fails"
        assert event.decoded("dtstart") == day(6)
        lines = str(event["description"]).split("\n")
        assert lines[0] == "It fails because Issuing CA 2, a link of its chain, ends."
        assert "Used by Orders API." in lines
        replace = f"http://localhost:8000/certificates/{version.certificate_id}/replace/"
        assert lines[-1] == f"Replace it: {replace}"
        assert event["url"] == replace
        assert event["transp"] == "TRANSPARENT"
        assert (event["sequence"], event.decoded("last-modified")) == (0, NOW)
        assert "secret.example.org" not in str(event)

    def test_what_nothing_uses_is_to_be_deleted(self, cast: Cast) -> None:
        version = watched(cast.team, Link("orders", end=5))
        [event] = events(made(cast)[1])
        assert "It fails when the certificate itself ends." in str(event["description"])
        assert "Nothing uses it. Delete it" in str(event["description"])
        assert event["url"] == f"http://localhost:8000/certificates/{version.certificate_id}/"

    def test_each_certificate_of_a_bundle_ends_for_itself(self, cast: Cast) -> None:
        watched(cast.team, Link("Root B", end=90), Link("Root A", end=9), name="cas", kind="trust")
        found = events(made(cast)[1])
        assert [one["summary"] for one in found] == ["cas: Root A ends", "cas: Root B ends"]
        assert [one.decoded("dtstart") for one in found] == [day(9), day(90)]
        assert "Root A is 1 of 2 certificates in it." in str(found[0]["description"])

    def test_the_servers_of_providers_are_told_without_their_addresses(self, cast: Cast) -> None:
        provider = Provider.objects.create(
            team=cast.team, name="billing", title="Billing API", host="secret.example.org", server_ends_at=day(12),
            server_ends_name="secret.example.org", server_ends_sha256="5" * 64,
        )  # fmt: skip
        for user in (cast.viewer, cast.owner):
            [event] = events(made(cast, user)[1])
            assert event["summary"] == "Billing API fails"
            assert event["url"] == f"http://localhost:8000/providers/{provider.pk}/share/"
            assert "It fails because its server's own certificate ends." in str(event["description"])
            assert b"secret" not in event.to_ical()

    def test_only_what_is_active_and_within_sight_stands_there(self, cast: Cast) -> None:
        for name, end in (("gone", -31), ("failed", -29), ("soon", 5), ("far", 5 * 365 + 1)):
            watched(cast.team, Link(name, end=end), name=name)
        staged = watched(cast.team, Link("staged", end=5), name="staged")
        type(staged).objects.filter(pk=staged.pk).update(state="staged")
        assert summaries(made(cast)[1]) == ["failed fails", "soon fails"]

    def test_an_event_keeps_its_id_until_the_version_is_replaced(self, cast: Cast) -> None:
        before = watched(cast.team, Link("orders", end=5))
        _, address = made(cast)
        [uid] = [one["uid"] for one in events(address)]
        Certificate.objects.update(name="renamed")
        with time_machine.travel(NOW + dt.timedelta(days=2), tick=False):
            assert [one["uid"] for one in events(address)] == [uid]
        assert events(made(cast, cast.owner)[1])[0]["uid"] == uid
        type(before).objects.update(state="superseded")
        watched(cast.team, Link("orders", end=300), name="renamed")
        [event] = events(address)
        assert event["uid"] != uid
        assert event.decoded("dtstart") == day(300)

    def test_it_says_how_often_to_ask_and_rings_no_alarm(self, cast: Cast) -> None:
        watched(cast.team, Link("orders", end=5))
        answer = taken(made(cast)[1] + "calendar.ics")
        assert answer["Content-Type"] == "text/calendar; charset=utf-8"
        text = answer.content.decode()
        assert "REFRESH-INTERVAL;VALUE=DURATION:PT6H\r\n" in text
        assert "X-PUBLISHED-TTL;VALUE=DURATION:PT6H\r\n" in text
        assert "NAME:Certificates of Payments\r\n" in text
        assert "ALARM" not in text

    def test_hostile_names_stay_text_and_lines_stay_short(self, cast: Cast) -> None:
        cast.team.name = HOSTILE[:100]
        cast.team.save()
        version = watched(
            cast.team, Link(HOSTILE, end=100), Link(HOSTILE, end=6, life=3000), name=HOSTILE[:100]
        )
        used(version, HOSTILE[:50])
        watched(cast.team, Link(HOSTILE * 30, end=5), Link("x", end=9), name="日本語" * 30, kind="trust")
        Store.objects.update(name=HOSTILE[:100])
        answer = taken(made(cast)[1] + "calendar.ics")
        lines = answer.content.split(b"\r\n")
        assert max(map(len, lines)) <= 75
        assert not [line for line in lines if line.startswith(b"SUMMARY:forged")]
        assert not any(b"\n" in line or b"\r" in line for line in lines)
        text = answer.content.decode()
        assert not [character for character in "\u2028\u202e\x0b\ufeff\ufffe" if character in text]
        assert lines.count(b"BEGIN:VEVENT") == 3
        found: Any = Calendar.from_ical(answer.content)
        assert found.to_ical() == answer.content
        assert not found.errors and not [one.errors for one in found.walk() if one.errors]
        [event] = [one for one in found.walk("VEVENT") if one.decoded("dtstart") == day(6)]
        assert str(event["summary"]).startswith("a,b;c:d\\n\\u000d\\u000aBEGIN:VEVENT")

    def test_without_an_end_it_is_a_calendar_still(self, cast: Cast) -> None:
        found: Any = Calendar.from_ical(taken(made(cast)[1] + "calendar.ics").content)
        assert [one.name for one in found.walk()] == ["VCALENDAR", "VTIMEZONE", "STANDARD"]


class TestWhose:
    def kept(self, cast: Cast) -> None:
        for number, (name, owner) in enumerate(
            (("editors", cast.editor), ("owners", cast.owner), ("nobodys", None), ("left", cast.outsider))
        ):
            watched(cast.team, Link(name, end=number + 1), name=name, owner=owner)
        watch.find_due(NOW)

    def test_the_teams_has_everything(self, cast: Cast) -> None:
        self.kept(cast)
        assert summaries(made(cast)[1]) == ["editors fails", "owners fails", "nobodys fails", "left fails"]

    def test_ones_own_has_what_one_owns(self, cast: Cast) -> None:
        self.kept(cast)
        assert summaries(made(cast, cast.editor, "mine")[1]) == ["editors fails"]
        assert summaries(made(cast, cast.viewer, "mine")[1]) == []

    def test_an_owner_of_the_team_looks_after_what_nobody_owns(self, cast: Cast) -> None:
        self.kept(cast)
        assert summaries(made(cast, cast.owner, "mine")[1]) == ["owners fails", "nobodys fails", "left fails"]

    def test_a_case_that_was_taken_is_ones_own(self, cast: Cast) -> None:
        self.kept(cast)
        Case.objects.filter(certificate__name="owners").update(owner=cast.viewer)
        assert summaries(made(cast, cast.viewer, "mine")[1]) == ["owners fails"]
        Case.objects.update(closed_at=NOW)
        assert summaries(made(cast, cast.viewer, "mine")[1]) == []

    def test_of_providers_as_well(self, cast: Cast) -> None:
        for name, owner in (("a", cast.editor), ("b", None)):
            Provider.objects.create(
                team=cast.team,
                name=name,
                host="h",
                server_ends_at=day(5),
                server_ends_sha256=name,
                owner=owner,
            )
        assert summaries(made(cast, cast.editor, "mine")[1]) == ["a fails"]
        assert summaries(made(cast, cast.owner, "mine")[1]) == ["b fails"]


class TestAtom:
    @pytest.fixture
    def told(self, cast: Cast) -> None:
        used(watched(cast.team, Link("orders", end=50), owner=cast.editor))
        watch.find_due(NOW)

    def tell(
        self, cast: Cast, *people: User, key: str = "k", title: str = "Orders API answers again"
    ) -> None:
        notices.tell(
            team=cast.team, people=people, key=key, title=title, text="It was tested <today> & works.", url="/providers/", now=NOW + HOUR
        )  # fmt: skip

    def test_it_says_what_was_told_once_the_newest_first(self, cast: Cast, told: None) -> None:
        self.tell(cast, cast.owner, cast.editor)
        _, address = made(cast)
        assert titles(address) == ["Orders API answers again", "orders-client fails in 50 days"]
        with time_machine.travel(NOW + dt.timedelta(days=3), tick=False):
            assert titles(address)[1] == "orders-client fails in 50 days", "as it was told"
        first, second = entries(address)
        assert first.findtext(f"{ATOM}summary") == "It was tested &lt;today&gt; &amp; works."
        assert "used by Orders API" in str(second.findtext(f"{ATOM}summary"))
        assert "21 Jul 2026, 12:00 UTC, when the certificate itself ends." in str(
            second.findtext(f"{ATOM}summary")
        )

    def test_ones_own_is_ones_inbox(self, cast: Cast, told: None) -> None:
        self.tell(cast, cast.owner)
        assert titles(made(cast, cast.owner, "mine")[1]) == ["Orders API answers again"]
        assert titles(made(cast, cast.editor, "mine")[1]) == ["orders-client fails in 50 days"]
        assert titles(made(cast, cast.viewer, "mine")[1]) == []

    def test_what_reached_nobody_or_another_channel_is_not_in_it(self, cast: Cast, told: None) -> None:
        Notice.objects.filter(channel="portal").update(
            user=None, recipient="", state="failed", error=notices.NOBODY
        )
        assert Notice.objects.exclude(channel="portal").exists()
        assert titles(made(cast)[1]) == []

    def test_it_is_what_rfc_4287_asks_for(self, cast: Cast, told: None) -> None:
        self.tell(cast, cast.owner, title=HOSTILE)
        self.tell(cast, cast.owner, key="other")
        _, address = made(cast)
        answer = taken(address + "notices.atom")
        assert answer["Content-Type"] == "application/atom+xml; charset=utf-8"
        self.check(ElementTree.fromstring(answer.content))
        assert "forged" in answer.content.decode() and "\u202e" not in answer.content.decode()
        assert address.split("/")[2] not in answer.content.decode()

    def test_without_an_entry_as_well(self, cast: Cast) -> None:
        self.check(ElementTree.fromstring(taken(made(cast)[1] + "notices.atom").content))

    def check(self, feed: ElementTree.Element) -> None:
        """Sections 4.1.1, 4.1.2, 4.2.6, 4.2.7 and 3.3."""
        assert feed.tag == f"{ATOM}feed"
        assert len(feed.findall(f"{ATOM}author/{ATOM}name")) == 1, "so that no entry needs one"
        rows = feed.findall(f"{ATOM}entry")
        for one in (feed, *rows):
            for name in ("id", "title", "updated"):
                assert len(one.findall(f"{ATOM}{name}")) == 1, name
            assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", str(one.findtext(f"{ATOM}id")))
            for instant in (*one.findall(f"{ATOM}updated"), *one.findall(f"{ATOM}published")):
                assert dt.datetime.fromisoformat(str(instant.text)).tzinfo
            links = [
                (link.get("rel"), link.get("type"), link.get("hreflang"))
                for link in one.findall(f"{ATOM}link")
            ]
            assert links == [("alternate", None, None)], "an entry without content has one, and none twice"
            assert all(
                str(link.get("href")).startswith("http://localhost:8000/")
                for link in one.findall(f"{ATOM}link")
            )
            assert len(one.findall(f"{ATOM}summary")) <= 1
        ids = [str(one.findtext(f"{ATOM}id")) for one in (feed, *rows)]
        assert len(ids) == len(set(ids))


def test_an_entry_keeps_its_id_whoever_takes_it(cast: Cast) -> None:
    watched(cast.team, Link("orders", end=5), owner=cast.editor)
    watch.find_due(NOW)
    addresses = [made(cast)[1], made(cast, cast.editor, "mine")[1]]
    assert len({entries(address)[0].findtext(f"{ATOM}id") for address in addresses}) == 1
