"""Drift: what changed since the last good report is written down, told once, and becomes what is known."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from providers import services
from providers.models import Alert, Change, ConnectionReport, Provider
from stores.models import Notice
from tests.cast import Cast, kept
from tests.material import NOW, Minted, mint
from tests.providers.conftest import Register
from tests.providers.seen import seen

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
ROOT = mint("Example Root", ca=True, end=3000)
FIRST, SECOND, THIRD = (mint("orders", ROOT, end=end) for end in (90, 200, 300))


@pytest.fixture
def orders(register: Register) -> Provider:
    return register(title="Orders API")


def at(hours: float) -> dt.datetime:
    return NOW + dt.timedelta(hours=hours)


def see(provider: Provider, *chain: Minted, hours: float, **more: Any) -> ConnectionReport:
    """What a test saw, so many hours later."""
    return seen(provider, *chain, now=at(hours), **more)


def changes(provider: Provider) -> list[tuple[str, str]]:
    return [(one.kind, one.state) for one in provider.changes.order_by("seen_at")]


def told() -> list[str]:
    """Titles in the inbox, the oldest first."""
    return [one.title for one in Notice.objects.filter(channel="portal").order_by("created_at", "pk")]


class TestChanges:
    def test_the_first_good_report_is_where_drift_begins(self, orders: Provider) -> None:
        report = see(orders, FIRST, hours=0)
        orders.refresh_from_db()
        assert orders.last_good == report
        assert changes(orders) == []

    def test_what_never_passed_does_not_fall(self, orders: Provider) -> None:
        see(orders, hours=0, code="timeout")
        orders.refresh_from_db()
        assert (changes(orders), told(), orders.last_good) == ([], [], None)

    def test_a_new_certificate_is_kept_with_both_sides_and_told_to_the_owners(
        self, orders: Provider, cast: Cast
    ) -> None:
        see(orders, FIRST, hours=0)
        report = see(orders, SECOND, hours=1)
        (change,) = Change.objects.all()
        assert (change.kind, change.report, change.seen_at, change.team) == (
            "chain",
            report,
            at(1),
            cast.team,
        )
        assert "30 Aug 2026" in change.before and "18 Dec 2026" in change.after
        notice = Notice.objects.get(channel="email")
        assert (notice.user, notice.title) == (cast.owner, "Orders API: the server shows a new certificate")
        assert notice.text == "The server shows a new certificate of the same issuer, until 18 Dec 2026."
        assert notice.url == f"/providers/{orders.pk}/changes/"
        orders.refresh_from_db()
        assert orders.last_good == report

    def test_the_owner_of_the_provider_is_told_alone(self, orders: Provider, cast: Cast) -> None:
        Provider.objects.filter(pk=orders.pk).update(owner=cast.viewer)
        see(orders, FIRST, hours=0)
        see(orders, SECOND, hours=1)
        assert {notice.user for notice in Notice.objects.all()} == {cast.viewer}

    def test_nothing_new_is_nothing(self, orders: Provider) -> None:
        for hours in range(4):
            see(orders, FIRST, hours=hours)
        assert (changes(orders), told()) == ([], [])

    def test_a_server_that_goes_to_and_fro_is_written_down_each_time_and_told_of_once(
        self, orders: Provider
    ) -> None:
        for hours, chain in enumerate((FIRST, SECOND, FIRST, SECOND, FIRST)):
            see(orders, chain, hours=hours)
        assert len(changes(orders)) == 4
        assert len(told()) == 2

    def test_of_two_providers_each_is_told(self, orders: Provider, register: Register) -> None:
        for provider in (orders, register(name="payments")):
            see(provider, FIRST, hours=0)
            see(provider, SECOND, hours=1)
        assert len(told()) == 2

    def test_a_rehearsal_says_nothing_of_drift(self, orders: Provider) -> None:
        good = see(orders, FIRST, hours=0)
        see(orders, SECOND, hours=1, reason="rehearsal", code="client_certificate_refused")
        see(orders, SECOND, hours=2, reason="rehearsal")
        orders.refresh_from_db()
        assert changes(orders) == []
        assert orders.last_good == good

    def test_another_server_begins_anew(self, orders: Provider, cast: Cast) -> None:
        see(orders, FIRST, hours=0)
        orders.refresh_from_db()
        orders.host = "other.example.org"
        services.edit_provider(provider=orders, actor=cast.actor)
        see(orders, SECOND, hours=1)
        assert changes(orders) == []


class TestReachability:
    def test_a_fall_is_told_once_however_long_it_lasts(self, orders: Provider) -> None:
        see(orders, FIRST, hours=0)
        for hours, code in enumerate(("timeout", "timeout", "connection_refused"), 1):
            see(orders, hours=hours, code=code)
        assert changes(orders) == [("reachability", "expired")]
        assert told() == ["Orders API: the connection fails"]
        assert Notice.objects.get(channel="email").text == "The server is too slow. It passed before."

    def test_the_return_and_the_next_fall_are_new(self, orders: Provider) -> None:
        for hours, code in enumerate(("ok", "timeout", "ok", "timeout", "ok")):
            see(orders, FIRST, hours=hours, code=code)
        assert [state for _, state in changes(orders)] == ["expired", "valid"] * 2
        assert told() == ["Orders API: the connection fails", "Orders API: the connection works again"] * 2

    def test_what_a_failing_server_shows_is_said_once_and_again_when_it_is_undone(
        self, orders: Provider
    ) -> None:
        see(orders, FIRST, hours=0)
        for hours in (1, 2):
            see(orders, SECOND, hours=hours, code="untrusted_issuer")
        assert sorted(changes(orders)) == [("chain", "info"), ("reachability", "expired")]
        see(orders, FIRST, hours=3)
        assert len(changes(orders)) == 4
        see(orders, FIRST, hours=4)
        assert len(changes(orders)) == 4

    def test_a_test_that_was_cut_short_says_nothing(self, orders: Provider) -> None:
        see(orders, FIRST, hours=0)
        report = ConnectionReport.objects.create(
            team=orders.team,
            provider=orders,
            reason="watch",
            state="running",
            asked_at=at(1),
            started_at=at(1),
        )
        from providers import testing

        assert testing.resume(at(2)) == 1
        report.refresh_from_db()
        assert report.code == "interrupted"
        assert changes(orders) == []

    def test_an_alert_tells_of_the_fall_and_the_watch_does_not_repeat_it(
        self, orders: Provider, cast: Cast
    ) -> None:
        version = kept(cast)
        see(orders, FIRST, hours=-1)
        see(orders, hours=1, code="client_certificate_unknown_ca", reason="activation", activated=version)
        assert Alert.objects.count() == 1
        assert changes(orders) == [("reachability", "expired")]
        assert "Orders API: the connection fails" not in told()

    def test_no_notice_says_where_the_server_is(self, orders: Provider) -> None:
        see(orders, FIRST, hours=0)
        see(orders, mint("orders.example.org", end=60), hours=1)
        see(orders, hours=2, code="dns_failure")
        assert told()
        assert "orders.example.org" not in str([(one.title, one.text) for one in Notice.objects.all()])
