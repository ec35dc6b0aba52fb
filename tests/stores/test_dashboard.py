"""The dashboard: what fails next, what must I do, can I trust the watch; as fast with much as with little."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from portal.models import TaskRun, User
from portal.runs import DELIVERY, SIGNAL, WATCH
from providers.models import Provider
from stores import watch
from stores.models import Certificate, Notice, Store, Version
from stores.views import dashboard
from tests.cast import Cast, client_of
from tests.material import NOW
from tests.stores.watched import Link, watched

pytestmark = pytest.mark.usefixtures("now")


def ran(at: dt.datetime = NOW, **facts: int) -> TaskRun:
    """A good run of the watch, and one of the delivery."""
    delivered = {"started_at": at, "finished_at": at, "seconds": 1.24}
    TaskRun.objects.update_or_create(task=DELIVERY, defaults=delivered)
    run, _ = TaskRun.objects.update_or_create(
        task=WATCH, defaults={"started_at": at, "finished_at": at, "seconds": 0.009, "facts": facts}
    )
    return run


def page_of(user: User) -> str:
    answer = client_of(user).get("/")
    assert answer.status_code == 200
    return answer.content.decode()


def main_of(user: User) -> str:
    """The page without its frame, white space folded."""
    return " ".join(page_of(user).split("<main")[1].split())


class TestEmpty:
    def test_it_says_what_to_do_first(self, cast: Cast) -> None:
        page = main_of(cast.owner)
        assert "Upload a certificate" in page
        assert "Register a provider" in page
        assert "Load an example team" in page

    def test_a_viewer_is_offered_no_upload(self, cast: Cast) -> None:
        assert 'href="/certificates/new/"' not in main_of(cast.viewer)

    def test_who_is_in_no_team_is_told_whom_to_ask(self, cast: Cast) -> None:
        answer = client_of(cast.nobody).get("/")
        assert answer.status_code == 403
        assert "Ask an owner" in answer.content.decode()


class TestWhatFailsNext:
    def test_the_first_to_fail_stands_large_with_reason_users_and_button(self, cast: Cast) -> None:
        watched(cast.team, Link("late", end=20), name="late")
        soon = watched(
            cast.team, Link("orders", end=100), Link("Issuing CA 2", end=6, life=3000), owner=cast.owner
        )
        Provider.objects.create(team=cast.team, name="Orders API", host="h", key_certificate=soon.certificate)
        watch.find_due(NOW)
        hero = main_of(cast.owner).split("<h2>Then</h2>")[0]
        assert "is-urgent" in hero
        assert "orders-client fails in 6 days" in hero
        assert "7 Jun 2026, 12:00 UTC" in hero
        assert "because Issuing CA 2, a link of its chain, ends" in hero
        assert "The certificate itself would last until 9 September 2026." in hero
        assert "Orders API" in hero
        assert "yours</a> since" in hero
        assert f"/certificates/{soon.certificate.pk}/replace/" in hero

    def test_open_cases_come_before_what_is_quiet_and_both_in_order_of_their_end(self, cast: Cast) -> None:
        for name, end in (("c", 5), ("d", 40), ("a", -1), ("far", 300), ("farther", 500)):
            watched(cast.team, Link(name, end=end), name=name)
        watch.find_due(NOW)
        names = [
            end.label.partition(" / ")[2] for end in dashboard.fails_next(cast.team, NOW, addresses=True)
        ]
        assert names == ["a", "c", "d", "far", "farther"]

    def test_it_shows_a_few_however_many_there_are(self, cast: Cast) -> None:
        for number in range(12):
            watched(cast.team, Link("leaf", end=number + 1), name=f"client-{number:02}")
        watch.find_due(NOW)
        names = [
            end.label.partition(" / ")[2] for end in dashboard.fails_next(cast.team, NOW, addresses=True)
        ]
        assert names == [f"client-{number:02}" for number in range(8)]

    def test_before_the_first_scan_a_stage_that_is_reached_shows_already(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=3))
        assert "is-urgent" in main_of(cast.owner)

    def test_a_bundle_says_how_many_of_how_many_end(self, cast: Cast) -> None:
        roots = [Link(f"Root {number}", end=900 + number, life=3000) for number in range(139)]
        watched(cast.team, *roots, Link("Old Root", end=5, life=3000), kind="trust", name="partner-cas")
        watch.find_due(NOW)
        page = main_of(cast.owner)
        assert "partner-cas: 1 of 140 ends in 5 days" in page
        assert "because Old Root, 1 of 140 certificates in it, ends" in page

    def test_what_has_ended_is_said_in_the_past(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=-3))
        watch.find_due(NOW)
        assert "orders-client failed 3 days ago" in main_of(cast.owner)

    def test_what_nothing_uses_is_to_be_deleted(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=5))
        watch.find_due(NOW)
        page = main_of(cast.owner)
        assert "Nothing uses it. Delete it if it is no longer needed." in page
        assert "Delete?" in page

    def test_nothing_of_another_team_shows(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=400), name="ours")
        watched(cast.other_team, Link("leaf", end=5), name="theirs")
        watch.find_due(NOW)
        assert "theirs" not in page_of(cast.owner)

    def test_with_staged_versions_only_it_says_what_is_missing(self, cast: Cast) -> None:
        version = watched(cast.team, Link("leaf", end=400))
        Version.objects.update(state=Version.State.STAGED, next_stage_at=None)
        Certificate.objects.update(fails_at=None)
        assert version
        page = main_of(cast.owner)
        assert "Nothing is active yet" in page
        assert "<b>1</b> staged" in page


class TestToDo:
    def test_it_counts_cases_yours_and_unread_notices(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=20), name="mine", owner=cast.owner)
        watched(cast.team, Link("leaf", end=20), name="theirs", owner=cast.editor)
        watch.find_due(NOW)
        page = main_of(cast.owner)
        assert "<b>2</b>" in page
        assert "1 of them yours" in page
        assert "<b>1</b>" in page
        sidebar = page_of(cast.owner).split("<main")[0]
        assert '2<span class="visually-hidden"> to replace' in sidebar
        assert '1<span class="visually-hidden"> unread' in sidebar

    def test_counts_stop_at_their_limit(self, cast: Cast) -> None:
        for number in range(101):
            watched(cast.team, Link("leaf", end=5), name=f"client-{number}")
        watch.find_due(NOW)
        assert '99+<span class="visually-hidden"> to replace' in page_of(cast.owner)


class TestTheWatch:
    def test_it_says_last_run_duration_next_due_and_what_was_flagged(self, cast: Cast) -> None:
        ran(NOW - dt.timedelta(minutes=2), flags=3)
        watched(cast.team, Link("leaf", end=90))
        page = main_of(cast.owner)
        assert "Running" in page
        assert "2 minutes ago, 9 ms, 3 flagged" in page
        assert "in 30 days" in page.split("Next due")[1]
        assert "<dd>2 minutes ago, 1.2 s</dd>" in page

    def test_what_is_due_and_not_judged_is_said(self, cast: Cast) -> None:
        ran()
        version = watched(cast.team, Link("leaf", end=90))
        said = {1: "1 minute ago, with the next run", 21: "21 minutes ago, not judged yet"}
        for minutes, words in said.items():
            Version.objects.filter(pk=version.pk).update(next_stage_at=NOW - dt.timedelta(minutes=minutes))
            assert words in main_of(cast.owner)

    def test_a_delivery_that_is_silent_is_a_banner_for_everybody_on_every_page(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=90))
        ran()
        TaskRun.objects.filter(task=DELIVERY).update(started_at=NOW - dt.timedelta(minutes=3))
        for user in (cast.viewer, cast.outsider):
            for address in ("/", "/replace/", "/notices/"):
                assert "Notices are not being sent" in client_of(user).get(address).content.decode()
        assert "Not sending" in main_of(cast.viewer)
        TaskRun.objects.filter(task=WATCH).update(finished_at=NOW - dt.timedelta(hours=1))
        page = page_of(cast.viewer)
        assert page.count('class="banner"') == 1
        assert "The watch is not running" in page

    def test_a_signal_that_could_not_be_sent_is_said(self, cast: Cast, settings: Settings) -> None:
        watched(cast.team, Link("leaf", end=90))
        ran()
        assert "Signal" not in main_of(cast.owner)
        settings.STOREKEEPER_PING_URL = "https://hc.example.org/secret"
        facts = {"failure": "Nothing listens on 192.0.2.7, port 443."}
        run = TaskRun.objects.create(task=SIGNAL, started_at=NOW, facts=facts)
        assert "the signal could not be sent: Nothing listens on 192.0.2.7, port 443." in main_of(cast.editor)
        assert "192.0.2.7" not in main_of(cast.viewer)
        assert "the signal could not be sent" in main_of(cast.viewer)
        TaskRun.objects.filter(pk=run.pk).update(facts={"failure": ""}, finished_at=NOW)
        assert "sent now" in main_of(cast.viewer).split("Signal")[1]

    def test_notices_that_wait_and_that_failed_are_counted(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=5))
        watch.find_due(NOW)
        assert "1 waiting, 0 failed<br><small>the oldest queued now</small>" in main_of(cast.owner)
        Notice.objects.filter(channel="email").update(state=Notice.State.FAILED)
        assert "0 waiting, <a" in main_of(cast.owner)
        assert "1 failed" in main_of(cast.owner)

    def test_overdue_by_two_intervals_it_is_a_banner_for_everybody_on_every_page(self, cast: Cast) -> None:
        ran(NOW - dt.timedelta(minutes=20))
        assert "The watch is not running" not in page_of(cast.viewer)
        ran(NOW - dt.timedelta(minutes=20, seconds=1))
        for user in (cast.viewer, cast.outsider):
            for address in ("/", "/replace/", "/notices/"):
                assert "The watch is not running" in client_of(user).get(address).content.decode()
        watched(cast.team, Link("leaf", end=90))
        assert "Not running" in main_of(cast.owner)

    def test_before_its_first_run_a_young_portal_waits_and_an_old_one_complains(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=90))
        assert "Waits for its first run" in main_of(cast.owner)
        User.objects.update(date_joined=NOW - dt.timedelta(hours=1))
        assert "The watch is not running" in page_of(cast.owner)

    def test_versions_that_could_not_be_judged_are_said(self, cast: Cast) -> None:
        ran(failed=2)
        watched(cast.team, Link("leaf", end=90))
        assert "2 could not be judged" in main_of(cast.owner)


@pytest.mark.parametrize("size", [3, 20])
def test_the_number_of_queries_is_small_and_does_not_grow(cast: Cast, size: int) -> None:
    ran()
    for number in range(size):
        version = watched(cast.team, Link("leaf", end=number * 30), name=f"client-{number}")
        Provider.objects.create(
            team=cast.team, name=f"api-{number}", host="h", key_certificate=version.certificate
        )
    watch.find_due(NOW)
    client = client_of(cast.owner)
    with CaptureQueriesContext(connection) as queries:
        client.get("/")
    # One of them only while something waits to be sent.
    assert len(queries) <= 13


def test_no_count_reads_more_than_its_limit(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """With everything bounded, 100,000 certificates cost what 10,000 do."""
    monkeypatch.setattr(dashboard, "MOST_KEPT", 5)
    store = Store.objects.create(team=cast.team, kind="key", name="outbound")
    Certificate.objects.bulk_create(
        Certificate(team=cast.team, store=store, name=f"client-{number}") for number in range(20)
    )
    assert "5+ certificates" in main_of(cast.owner)
